"""The depot's HTTPS door in its own process, a plain HTTPS client of it, and an item to send."""

from __future__ import annotations

import base64
import http.client
import json
import random
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sync.central import fleet
from sync.https_link import HttpsConfig, HttpsLink
from vedette.clock import SystemClock

OCTETS = "application/offset+octet-stream"
PART = 16 * 1024
WAIT_S = 20.0


class Door:
    """The depot's process on a centre's folder."""

    def __init__(self, centre: Any) -> None:
        self.centre = centre
        path = centre.folder / fleet.CONFIG
        path.write_text(path.read_text() + "\n[depot]\nport = 0\n\n[ingest]\npart_kib = 16\nmax_item_mib = 16\n")
        self.address = centre.folder / "run" / "depot.json"
        self.start()

    def start(self) -> None:
        self.address.unlink(missing_ok=True)
        command = [sys.executable, "-m", "sync.central.depot", "--config", str(self.centre.folder / fleet.CONFIG)]
        self.process = subprocess.Popen(command)
        end = time.monotonic() + WAIT_S
        while not self.address.exists():
            assert self.process.poll() is None and time.monotonic() < end, "the door did not open"
            time.sleep(0.02)
        self.port = json.loads(self.address.read_bytes())["port"]

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def client(self, device: Any) -> Client:
        return Client(self.port, device.folder / "keys")

    def link(self, device: Any) -> HttpsLink:
        keys = device.folder / "keys"
        config = HttpsConfig(
            host="127.0.0.1",
            port=self.port,
            device=device.id,
            ca=keys / "ca.crt",
            certificate=keys / "tls.crt",
            key=keys / "tls.key",
        )
        return HttpsLink(config, SystemClock(), jitter_permille=lambda: 0)


class Client:
    """A plain HTTPS client with a device's certificate."""

    def __init__(self, port: int, keys: Path) -> None:
        self.context = ssl.create_default_context(cafile=str(keys / "ca.crt"))
        self.context.load_cert_chain(keys / "tls.crt", keys / "tls.key")
        self.connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=WAIT_S, context=self.context)

    def __call__(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, Any, bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, path, body=body or None, headers={"Tus-Resumable": "1.0.0", **named})
        response = self.connection.getresponse()
        return response.status, response.headers, response.read()

    def create(self, item: Any, **changes: Any) -> tuple[int, Any, bytes]:
        init = item.init(**changes)
        value = base64.b64encode(init.encode()).decode()
        return self("POST", "/files", Upload_Length=str(init.size), Upload_Metadata=f"init {value}")

    def patch(self, item: Any, offset: int, body: bytes, **more: str) -> tuple[int, Any, bytes]:
        headers = {"Content_Type": OCTETS, "Upload_Offset": str(offset), **more}
        return self("PATCH", f"/files/{item.id}", body, **headers)


@pytest.fixture
def door(centre: Any) -> Iterator[Door]:
    found = Door(centre)
    yield found
    found.kill()


@pytest.fixture
def item(device: Any) -> Any:
    random.seed(3)
    return device.item(random.randbytes(200_000))
