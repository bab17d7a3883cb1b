"""The centre's own Mosquitto: its configuration, who may write where, and its supervision.

Decided here: TLS 1.3 with client certificates only, the certificate's common name is user name *and* client id
(so nobody can take over the centre's session), a device writes below `devices/<its id>/` and reads below
`cmd/<its id>/` and nothing else, nothing is kept on disk (receipts are the only promise). A new revocation list
restarts the broker, because Mosquitto would leave the sessions of revoked devices alive; the others are back
within seconds and lose nothing.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import ssl
import time
from pathlib import Path

from sync.central.children import Child
from sync.central.fleet import CENTRE_ID, REVOCATIONS
from vedette import files
from vedette.errors import Integrity, NotFound, Refused
from vedette.wire import MAX_PACKET_BYTES

START_S = 10.0
MAX_IN_FLIGHT = 1000
MAX_QUEUED = 20_000
MIN_QUEUED_BYTES = 128 << 20
_PORT_FILE = "port"


class Broker:
    """The Mosquitto of the centre in `folder`, listening on `host` and `port`."""

    def __init__(self, folder: Path, host: str, port: int, *, queue_bytes: int = 0) -> None:
        """Write its configuration; `queue_bytes` is the most it holds for a client that is slow to take messages."""
        self._folder = folder
        self.host = host
        self.port = port
        path = folder / "broker" / "mosquitto.conf"
        _write_configuration(path, configuration(folder.resolve(), host, port, max(queue_bytes, MIN_QUEUED_BYTES)))
        self._child = Child("broker", [_mosquitto(), "-c", str(path)], folder / "run")
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
        """Start it and wait until it takes connections; `Refused` when the port is busy or it does not start."""
        self._child.end_orphan()
        check_port("broker", self.host, self.port)
        self._child.start(now_us)
        until = time.monotonic() + START_S
        while not self._answers():
            if self._child.pid is None or time.monotonic() > until:
                raise Refused(f"the broker does not start on {self.host} port {self.port}: {self._child.last_words()}")
            time.sleep(0.02)

    def tend(self, now_us: int) -> None:
        """Start it again when it died; restart it when the revocation list has changed."""
        stamp = self._revocations_stamp()
        if stamp != self._revocations:
            self._revocations = stamp
            self._child.restart(now_us)
        self._child.tend(now_us)

    def stop(self) -> None:
        """End it."""
        self._child.stop()

    def _answers(self) -> bool:
        """Whether it completes a TLS handshake; it listens a moment before it has read its certificate."""
        keys = self._folder / "keys"
        context = ssl.create_default_context(cafile=str(keys / "ca.crt"))
        context.check_hostname = False
        context.load_cert_chain(keys / "ingest.crt", keys / "ingest.key")
        try:
            with (
                socket.create_connection((_reachable(self.host), self.port), timeout=1.0) as plain,
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


def configuration(folder: Path, host: str, port: int, queue_bytes: int) -> str:
    """The text of mosquitto.conf."""
    keys = folder / "keys"
    lines = [
        f"listener {port} {host}",
        f"cafile {keys / 'ca.crt'}",
        f"certfile {keys / 'server.crt'}",
        f"keyfile {keys / 'server.key'}",
        f"crlfile {keys / REVOCATIONS}",
        "tls_version tlsv1.3",
        "require_certificate true",
        "use_identity_as_username true",
        "use_username_as_clientid true",
        "allow_anonymous false",
        f"acl_file {folder / 'broker' / 'acl'}",
        "persistence false",
        f"max_packet_size {MAX_PACKET_BYTES}",
        f"max_inflight_messages {MAX_IN_FLIGHT}",
        f"max_queued_messages {MAX_QUEUED}",
        f"max_queued_bytes {queue_bytes}",
        "set_tcp_nodelay true",
        "sys_interval 0",
        "connection_messages false",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
    ]
    if os.geteuid() == 0:
        # Started as root, Mosquitto would change to its own user, which cannot read the centre's keys. In production
        # the whole centre runs as a user of its own (systemd/vedette-central.service) and this line is not written.
        lines.insert(0, f"user {getpass.getuser()}")
    return "\n".join(lines) + "\n"


def access_list() -> str:
    """The text of the access list; `%u` is the certificate's common name."""
    centre = f"user {CENTRE_ID}\ntopic read devices/#\ntopic write cmd/#\n"
    return f"{centre}\npattern write devices/%u/#\npattern read cmd/%u/#\n"


def _write_configuration(path: Path, text: str) -> None:
    if "\n" in str(path) or "\r" in text:
        raise Refused(f"{path!s}: a line break in a path cannot be written into mosquitto.conf")
    files.replace(path.with_name("acl"), access_list().encode(), mode=0o600)
    files.replace(path, text.encode(), mode=0o600)


def find_mosquitto() -> str | None:
    """Where the program is; None where it is not installed."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def _mosquitto() -> str:
    found = find_mosquitto()
    if found is None:
        raise NotFound("mosquitto is not installed; on Debian: apt-get install mosquitto (its service is not needed)")
    return found


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


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
