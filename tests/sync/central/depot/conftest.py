"""The depot's HTTPS door in its own process, a plain HTTPS client of it, a line to it, and an item to send.

Also the door's application in this process, which takes any bytes as a request: what reaches it through a web server.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import json
import os
import random
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from simulator.relay import Relay, Relays, Shape
from sync.central import fleet
from sync.central.depot_app import DEVICE, make_app
from sync.central.depot_desk import Desk
from sync.https_link import HttpsConfig, HttpsLink
from vedette.clock import SystemClock
from vedette.config import IngestSection
from vedette.errors import NotFound
from vedette.wire import Fin

OCTETS = "application/offset+octet-stream"
PART = 16 * 1024
WAIT_S = 20.0
LEASE_US = 60_000_000
NOWHERE = "0192a000-0000-7000-8000-000000000000"
# Where the kernel's `struct tcp_info` holds tcpi_backoff (it has tried again, and waits), tcpi_bytes_acked and
# tcpi_notsent_bytes.
BACKOFF_AT, ACKED_AT, UNSENT_AT = 4, 120, 144


class Door:
    """The depot's process on a centre's folder."""

    def __init__(self, centre: Any, part_kib: int) -> None:
        self.centre = centre
        path = centre.folder / fleet.CONFIG
        limits = f"[ingest]\npart_kib = {part_kib}\nmax_item_mib = 16\n"
        path.write_text(f"{path.read_text()}\n[depot]\nport = 0\n\n{limits}")
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

    def link(self, device: Any, clock: SystemClock | None = None) -> HttpsLink:
        keys = device.folder / "keys"
        config = HttpsConfig(
            host="127.0.0.1",
            port=self.port,
            device=device.id,
            ca=keys / "ca.crt",
            certificate=keys / "tls.crt",
            key=keys / "tls.key",
        )
        return HttpsLink(config, clock or SystemClock(), jitter_permille=lambda: 0)


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


@dataclass
class Asked:
    """One request as it comes to the application; `cut`: its client is gone after the last of `body`."""

    method: str
    path: bytes = b"/files"
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: Sequence[bytes] = ()
    cut: bool = False

    @property
    def scope(self) -> dict[str, Any]:
        path = urllib.parse.unquote(self.path.decode("ascii"))
        said = {"type": "http", "http_version": "1.1", "method": self.method, "path": path, "raw_path": self.path}
        named = [(name.lower(), value) for name, value in self.headers]
        return {**said, "query_string": b"", "headers": named, "scheme": "https", "server": ("h", 1), "root_path": ""}


class Asgi:
    """The door's application on the test's store, in an event loop of its own; an exception of it is raised here."""

    def __init__(self, centre: Any, limits: Any, receipt_of: Callable[[str, str], bytes | None]) -> None:
        self.loop = asyncio.new_event_loop()
        self.clock = centre.clock
        self.desk = Desk(centre.store, centre.signer, limits, self.clock)
        self.app = make_app(self.desk, receipt_of, max_item_bytes=limits.max_item_mib << 20)
        self._life = self.app.router.lifespan_context(self.app)
        self.run(self._life.__aenter__())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, WAIT_S))

    def __call__(self, device: str, asked: Asked) -> tuple[int, dict[str, str], bytes]:
        return self.run(self.ask(device, asked))  # type: ignore[no-any-return]

    async def ask(self, device: str, asked: Asked) -> tuple[int, dict[str, str], bytes]:
        """What `device` is answered: the status, headers by their small names, the body."""
        coming = [{"type": "http.request", "body": piece, "more_body": True} for piece in asked.body]
        coming.append({"type": "http.disconnect"} if asked.cut else {"type": "http.request", "body": b""})
        said: list[Any] = []

        async def receive() -> Any:
            return coming.pop(0) if coming else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            said.append(message)

        await self.app({**asked.scope, DEVICE: device}, receive, send)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in said[0]["headers"]}
        return said[0]["status"], headers, b"".join(one.get("body", b"") for one in said[1:])

    def lapse(self, device: str) -> None:
        """Let the leases of all uploads run out; the engine has let go of them on return."""
        self.clock.advance(LEASE_US + 1)
        for _ in range(3):  # it may be within a round that began before, and lets go at a round's end
            self.run(self._look(device))

    async def _look(self, device: str) -> None:
        async with self.desk.talk(device, NOWHERE) as talk:
            await talk.ask(Fin(item=NOWHERE, sha256="0" * 64))

    def close(self) -> None:
        self.run(self._life.__aexit__(None, None, None))
        self.loop.close()


def is_to(connection: socket.socket, port: int) -> bool:
    try:
        return connection.family == socket.AF_INET and connection.getpeername()[1] == port
    except OSError:  # it listens, or is over
        return False


@dataclass(frozen=True)
class Standing:
    """What the kernel says of a connection: bytes that have left, bytes that it holds, and that nobody takes them."""

    left: int
    held: int
    in_vain: bool


@dataclass
class Line:
    """The way from this process to the door, by a relay. What it tells it asks the kernel, and nothing of the link."""

    relay: Relay

    @contextlib.contextmanager
    def sockets(self) -> Iterator[list[socket.socket]]:
        """Descriptors of this process's sockets that are connected to the relay; a socket may have several."""
        found = []
        for path in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):  # another thread has closed it meanwhile
                if path.is_socket():
                    found.append(socket.socket(fileno=os.dup(int(path.name))))
        try:
            yield [one for one in found if is_to(one, self.relay.port)]
        finally:
            for one in found:
                one.close()

    def standing(self) -> Standing:
        """How the one connection stands."""
        with self.sockets() as (connection, *_same):
            told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        (left,), (held,) = struct.unpack_from("Q", told, ACKED_AT), struct.unpack_from("I", told, UNSENT_AT)
        return Standing(left, held, in_vain=told[BACKOFF_AT] > 0)

    def marks(self) -> set[int]:
        """The type of service of each connection."""
        with self.sockets() as found:
            return {one.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) for one in found}

    def narrow(self, room_bytes: int) -> None:
        """Let the kernel hold no more than about so many bytes of each connection."""
        with self.sockets() as found:
            for one in found:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room_bytes)

    def hold(self) -> None:
        """Let nothing through from now on; it holds when this returns."""
        self.relay.mute()
        self.until(lambda: not self.relay._muted.is_set())

    def until(self, fact: Callable[[], object]) -> None:
        """Wait for what other threads do."""
        end = time.monotonic() + WAIT_S
        while not fact():
            assert time.monotonic() < end


@pytest.fixture
def shape() -> Shape:
    return Shape()


@pytest.fixture
def line(door: Door, shape: Shape) -> Iterator[Line]:
    with Relays("127.0.0.1", door.port) as relays:
        yield Line(relays.add(shape))


@pytest.fixture
def part_kib() -> int:
    """The largest part that the door grants."""
    return PART // 1024


@pytest.fixture
def door(centre: Any, part_kib: int) -> Iterator[Door]:
    found = Door(centre, part_kib)
    yield found
    found.kill()


@pytest.fixture
def item(device: Any) -> Any:
    random.seed(3)
    return device.item(random.randbytes(200_000))


@pytest.fixture
def open_door(centre: Any) -> Callable[[], Asgi]:
    """Makes the application on the test's store; as often as it is to be started anew."""

    def receipt_of(device: str, item: str) -> bytes | None:
        try:
            return centre.store.receipt(item) if centre.store.item(item).device == device else None
        except NotFound:
            return None

    return lambda: Asgi(centre, IngestSection(credit_mib=1, part_kib=16, max_item_mib=4), receipt_of)


@pytest.fixture
def asgi(open_door: Callable[[], Asgi]) -> Iterator[Asgi]:
    """The application on the test's store."""
    made = open_door()
    yield made
    made.close()


@pytest.fixture
def asked() -> type[Asked]:
    return Asked
