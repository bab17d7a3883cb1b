"""The centre's own Mosquitto: its port, and its supervision.

Decided here: it is started again when it dies, and told to read the revocation list when that has changed: from then
on it refuses a revoked certificate. It leaves the live sessions of revoked devices alone; ending those is cutting.py.
What it is configured to do is mosquitto.py.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl
import time
from pathlib import Path

from sync.central import mosquitto, succession
from sync.central.children import Child
from sync.central.fleet import REVOCATIONS
from sync.central.mosquitto import find_mosquitto as find_mosquitto
from vedette import files
from vedette.errors import Integrity, Refused

START_S = 10.0
MIN_QUEUED_BYTES = 128 << 20
_PORT_FILE = "port"


class Broker:
    """The Mosquitto of the centre in `folder`, listening on `host` and `port`."""

    def __init__(self, folder: Path, host: str, port: int, *, queue_bytes: int = 0, name: str = "broker") -> None:
        """Write its configuration; `queue_bytes` is the most it holds for a client that is slow to take messages.

        `name` tells it from other shards on this machine.
        """
        self._folder = folder
        self.host = host
        self.port = port
        program, place = mosquitto.installed(), folder.resolve() / "broker"
        path = place / f"{name}.conf"
        queue_bytes = max(queue_bytes, MIN_QUEUED_BYTES)
        mosquitto.write_configuration(folder.resolve(), path, program, host, port, queue_bytes)
        self._child = Child(name, [program.program, "-c", str(path)], folder / "run", place)
        self._revocations = self._revocations_stamp()

    @property
    def pid(self) -> int | None:
        """The running broker's process id."""
        return self._child.pid

    @property
    def starts(self) -> int:
        """How often it was started."""
        return self._child.starts

    def start(self, now_us: int) -> None:
        """Start it and wait until it takes connections; `Refused` when the port is busy or it does not start.

        One that is killed meanwhile is started again; one that ends by itself would do so each time.
        """
        self._child.end_orphan()
        check_port("broker", self.host, self.port)
        self._child.start(now_us)
        began_s = time.monotonic()
        while not self._answers():
            waited_s = time.monotonic() - began_s
            has_ended = self._child.pid is None and not self._child.was_killed
            if has_ended or waited_s > START_S:
                raise Refused(f"the broker does not start on {self.host} port {self.port}: {self._child.last_words()}")
            self._child.tend(now_us + int(waited_s * 1_000_000))
            time.sleep(0.02)

    def tend(self, now_us: int) -> None:
        """Start it again when it died; let it read the revocation list again when that has changed."""
        stamp = self._revocations_stamp()
        if stamp != self._revocations:
            self._revocations = stamp
            self._child.signal(signal.SIGHUP)
        self._child.tend(now_us)

    def stop(self) -> None:
        """End it."""
        self._child.stop()

    def _answers(self) -> bool:
        """Whether it completes a TLS handshake; it listens a moment before it has read its certificate."""
        keys = self._folder / "keys"
        context = ssl.create_default_context(cafile=str(succession.trusted(keys)))
        context.check_hostname = False
        context.load_cert_chain(keys / "ingest.crt", keys / "ingest.key")
        try:
            with (
                socket.create_connection((reachable(self.host), self.port), timeout=1.0) as plain,
                context.wrap_socket(plain) as secured,
            ):
                with contextlib.suppress(OSError):
                    secured.unwrap()
                return True
        except OSError:
            return False

    def _revocations_stamp(self) -> tuple[int, int]:
        status = (self._folder / "keys" / REVOCATIONS).stat()
        return status.st_mtime_ns, status.st_ino


def broker_name(number: int) -> str:
    """What the centre's own broker of that number is called, from 0 on, in the order of `shards.addresses`."""
    return f"broker-{number}" if number else "broker"


def broker_port(folder: Path, host: str, configured: int) -> int:
    """The port devices are told: the configured one, else a free one that is chosen once and kept in `broker/port`."""
    if configured:
        return configured
    kept = folder / "broker" / _PORT_FILE
    if kept.is_file():
        return _kept_port(kept)
    try:
        with socket.create_server((_bindable(host), 0), family=_family(host)) as probe:
            port = int(probe.getsockname()[1])
    except OSError as error:
        raise Refused(_cannot_listen("broker", host, 0, error)) from None
    files.write_new(kept, f"{port}\n".encode())
    return port


def check_port(section: str, host: str, port: int) -> None:
    """Return when `[section]` of central.toml names an address that can be listened on now, else `Refused`."""
    try:
        with socket.create_server((_bindable(host), port), family=_family(host)):
            pass
    except OSError as error:
        raise Refused(_cannot_listen(section, host, port, error)) from None


def _cannot_listen(section: str, host: str, port: int, error: OSError) -> str:
    reason = (error.strerror or str(error)).partition(" (while")[0]
    advice = f"stop what uses it or change [{section}] in central.toml"
    return f"[{section}] cannot listen on {host} port {port}: {reason}; {advice}"


def _kept_port(path: Path) -> int:
    try:
        return int(path.read_text())
    except ValueError:
        raise Integrity(f"{path} holds no port; write the one the devices know into [broker] port") from None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _bindable(host: str) -> str:
    return "" if host == "0.0.0.0" else host


def reachable(host: str) -> str:
    """The address by which this machine itself reaches a broker that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
