"""The embedded broker's program and its configuration: which Mosquitto, in which dialect, and who may write where.

Decided here: TLS 1.3 with client certificates only, the certificate's common name is user name *and* client id
(so nobody can take over the centre's session), a device writes below `devices/<its id>/` and reads below
`cmd/<its id>/` and nothing else, nothing is kept on disk (receipts are the only promise). The centre itself comes by a
Unix socket and a password (ADR 35). From 2.1 on the access list is read by a plugin, where Debian's package or the one
who built it installed that; the option of 2.0 does the same.
"""

from __future__ import annotations

import base64
import contextlib
import getpass
import hashlib
import os
import re
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from sync.central import succession
from sync.central.certificates import CANARY_ID, REVOCATIONS
from sync.central.fleet import CENTRE_ID
from sync.paho_session import LocalSocket
from vedette import files, topics
from vedette.errors import NotFound, Refused
from vedette.wire import MAX_PACKET_BYTES

CHECK_DEVICES = (CANARY_ID, "check-b")  # no device may have these ids: with them it tries what a thief would
CHECK_IDS = ("check", "check-2")  # `vedette central check` listens with these, and hears nothing but `…/check`
WORKER_IDS = tuple(f"w{number}" for number in range(2, 10))  # too short for a device's; see worker.py
MAX_IN_FLIGHT = 1000
MAX_QUEUED = 20_000
PASSWORD = "broker.password"
PASSWORD_ROUNDS = 101  # mosquitto_passwd's own; the password has 256 random bits, so that there is nothing to guess
VERSION_TIMEOUT_S = 10.0
PLUGIN_SINCE = (2, 1)
_PLUGIN = "mosquitto_acl_file.so"
_VERSION = re.compile(r"mosquitto version (\d+)\.(\d+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mosquitto:
    """One installed Mosquitto; `plugin` is its reader of access lists, None where the option `acl_file` is used."""

    program: str
    version: tuple[int, int]
    plugin: Path | None = None


def installed() -> Mosquitto:
    """The Mosquitto of this machine; `NotFound` when there is none, `Refused` when it is older than 2.0."""
    program = find_mosquitto()
    if program is None:
        raise NotFound("mosquitto is not installed; on Debian: apt-get install mosquitto (its service is not needed)")
    try:
        said = subprocess.run(
            [program, "-h"], capture_output=True, text=True, timeout=VERSION_TIMEOUT_S, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Refused(f"{program} does not say its version: {error}") from None
    version = parse_version(said)
    return Mosquitto(program=program, version=version, plugin=_plugin(Path(program), version))


def parse_version(said: str) -> tuple[int, int]:
    """Major and minor version in what `mosquitto -h` prints; `Refused` where it says none or is older than 2.0."""
    found = _VERSION.search(said)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    if version < (2, 0):
        raise Refused(f"mosquitto says {said.strip()[:60]!r}; version 2.0 or newer is needed")
    return version


def find_mosquitto() -> str | None:
    """Where the program is; None where it is not installed."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def local_socket(folder: Path, name: str) -> LocalSocket:
    """Where the centre in `folder` meets its own broker `name`; the password is made when it is asked for first."""
    path = folder / "keys" / PASSWORD
    if not path.exists():
        with contextlib.suppress(Refused):  # another process of the centre was first
            files.write_new(path, f"{secrets.token_urlsafe(32)}\n".encode(), mode=0o600)
    return LocalSocket(path=folder / "broker" / f"{name}.sock", password=path.read_text().strip())


def write_configuration(folder: Path, path: Path, program: Mosquitto, host: str, port: int, queue_bytes: int) -> None:
    """Write `path`, and access list and passwords beside it, for the centre in `folder`.

    The broker must be started in the folder of `path`.
    """
    local = local_socket(folder, path.stem)
    text = configuration(folder, program, host, port, queue_bytes, local.path.name)
    if "\n" in str(path) or "\r" in text:
        raise Refused(f"{path!s}: a line break in a path cannot be written into mosquitto.conf")
    files.replace(path.with_name("acl"), access_list().encode(), mode=0o600)
    files.replace(path.with_name("passwords"), password_list(local.password).encode(), mode=0o600)
    files.replace(path, text.encode(), mode=0o600)


def configuration(folder: Path, program: Mosquitto, host: str, port: int, queue_bytes: int, local: str) -> str:
    """The text of mosquitto.conf in the dialect of `program`; `local` is the socket's name in the broker's folder."""
    keys, access = folder / "keys", folder / "broker" / "acl"
    lines = [
        f"listener 0 {local}",
        "use_username_as_clientid true",
        f"listener {port} {host}",
        f"cafile {succession.trusted(keys)}",
        f"certfile {keys / 'server.crt'}",
        f"keyfile {keys / 'server.key'}",
        f"crlfile {keys / REVOCATIONS}",
        "tls_version tlsv1.3",
        "require_certificate true",
        "use_identity_as_username true",
        "use_username_as_clientid true",
        f"password_file {folder / 'broker' / 'passwords'}",
        "allow_anonymous false",
        *([f"plugin {program.plugin}", f"plugin_opt_acl_file {access}"] if program.plugin else [f"acl_file {access}"]),
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
    """The text of the access list; `%u` is the certificate's common name.

    A device may write the topics there are and no others, or it could fill the broker's memory with retained messages.
    """
    said = (*topics.written_by_devices((CENTRE_ID, *WORKER_IDS)), "check")
    devices = "".join(f"pattern write devices/%u/{name}\n" for name in said)
    centre = f"user {CENTRE_ID}\ntopic read devices/#\ntopic write cmd/#\n"
    workers = "".join(f"user {name}\ntopic read devices/#\ntopic write cmd/#\n\n" for name in WORKER_IDS)
    checks = "".join(f"user {name}\ntopic read devices/+/check\ntopic write cmd/+/check\n" for name in CHECK_IDS)
    return f"{centre}\n{workers}{checks}\n{devices}pattern read cmd/%u/#\n"


def password_list(password: str) -> str:
    """The text of the password file: `password` for the centre and its workers (mosquitto_passwd's PBKDF2-SHA512)."""
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, PASSWORD_ROUNDS)
    secret = f"$7${PASSWORD_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"
    return "".join(f"{name}:{secret}\n" for name in (CENTRE_ID, *WORKER_IDS))


def _plugin(program: Path, version: tuple[int, int]) -> Path | None:
    """Where the access list's plugin lies beside `program`, followed to the real file; None before 2.1."""
    if version < PLUGIN_SINCE:
        return None
    root = program.resolve().parent.parent
    places = (
        *sorted(root.glob(f"lib/*/mosquitto/{_PLUGIN}")),
        *sorted(root.glob(f"lib/*/{_PLUGIN}")),
        root / "lib" / _PLUGIN,
    )
    return next((place for place in places if place.is_file()), None)
