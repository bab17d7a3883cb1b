"""The server process: its address file, a busy port, HTTPS off the loopback."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

START_S = 20


def _configure(centre: Any, web: str) -> Path:
    path: Path = centre.folder / "central.toml"
    path.write_text(path.read_text() + web)
    return path


def _run(config: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sync.central.web", "--config", str(config)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def _address(centre: Any, process: subprocess.Popen[str]) -> dict[str, Any]:
    file = centre.folder / "run" / "web.json"
    deadline = time.monotonic() + START_S
    while not file.is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    parsed: dict[str, Any] = json.loads(file.read_text())
    return parsed


def test_server_names_its_free_port_and_ends_cleanly_when_terminated(centre: Any) -> None:
    process = _run(_configure(centre, ""))
    address = _address(centre, process)
    with urllib.request.urlopen(f"{address['url']}login", timeout=10) as answer:
        assert answer.status == 200
    assert address["pid"] == process.pid
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=15)
    assert process.returncode == 0
    assert "GET /login 200" in log
    assert not (centre.folder / "run" / "web.json").exists()


def test_server_says_which_port_is_busy_when_it_is(centre: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        process = _run(_configure(centre, f'\n[web]\nhost = "127.0.0.1"\nport = {port}\n'))
        _, message = process.communicate(timeout=START_S)
    assert process.returncode == 1
    assert message.startswith("vedette: the pages cannot be served on 127.0.0.1 port")
    assert str(port) in message
    assert "Traceback" not in message


def test_server_speaks_tls_with_the_centres_certificate_when_off_the_loopback(centre: Any) -> None:
    process = _run(_configure(centre, '\n[web]\nhost = "0.0.0.0"\n'))
    port = _address(centre, process)["port"]
    context = ssl.create_default_context(cafile=str(centre.folder / "keys" / "ca.crt"))
    with urllib.request.urlopen(f"https://localhost:{port}/login", timeout=10, context=context) as answer:
        headers = answer.headers
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    assert "secure" in headers["set-cookie"].lower()
    assert headers["strict-transport-security"]


@pytest.mark.parametrize(("name", "code"), [("store.db", 3), ("trust.json", 3)])
def test_server_says_what_is_missing_when_the_centre_is_not_whole(centre: Any, name: str, code: int) -> None:
    (centre.folder / name).unlink()
    process = _run(_configure(centre, ""))
    _, message = process.communicate(timeout=START_S)
    assert process.returncode == code
    assert "Traceback" not in message
