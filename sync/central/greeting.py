"""The first words of an MQTT connection, spoken by hand: connect, hear the broker's answer, leave.

Decided here: how one asks a broker whether it lets somebody in without an MQTT client that would try again or hide the
reason. Used to see that the broker takes connections, that it refuses revoked certificates, to end the session of a
revoked device by taking it over (a broker ends the older of two sessions with one client id), and by the audit, which
also asks at Unix sockets.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sync.central.authority import Issued
from sync.paho_session import short_address
from vedette.errors import NotFound

TIMEOUT_S = 3.0
MQTT_311, MQTT_5 = 4, 5
_CLEAN, _HAS_PASSWORD, _HAS_USER = 0x02, 0x40, 0x80
_KEEPALIVE_S = 30
_CONNACK, _DISCONNECT = 0x20, b"\xe0\x00"
MAX_ANSWER_BYTES = 4096


def level(mqtt: str) -> int:
    """The number by which the protocol calls its version, of the name people call it by."""
    return MQTT_311 if mqtt == "3.1.1" else MQTT_5


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a broker said to a connection: `code` 0 lets in, another is its reason; None: it was ended before, `why`;
    `is_silence` where nothing was said in time.
    """

    code: int | None
    why: str = ""
    session: ssl.SSLSession | None = None
    resumed: bool = False
    is_silence: bool = False

    @property
    def is_in(self) -> bool:
        """The broker let this client in."""
        return self.code == 0


def greet(
    host: str,
    port: int,
    context: ssl.SSLContext | None,
    client_id: str,
    *,
    version: int = MQTT_5,
    session: ssl.SSLSession | None = None,
) -> Answer:
    """Connect as `client_id`, hear the broker's answer and leave; never raises for what a broker or network does.

    `context` None speaks without TLS; `session` tries to take up an earlier TLS session.
    """
    try:
        with socket.create_connection((host, port), timeout=TIMEOUT_S) as plain:
            if context is None:
                return Answer(code=_converse(plain, _connect(client_id, version)))
            with context.wrap_socket(plain, server_hostname=host, session=session) as secured:
                code = _converse(secured, _connect(client_id, version))
                return Answer(code=code, session=secured.session, resumed=bool(secured.session_reused))
    except (OSError, EOFError, ValueError) as error:
        return Answer(code=None, why=str(error) or type(error).__name__, is_silence=isinstance(error, TimeoutError))


def greet_local(
    path: Path, client_id: str, *, user: str | None = None, password: str | None = None, version: int = MQTT_5
) -> Answer:
    """As `greet`, at the Unix socket at `path`; None says no user name, or no password. `NotFound`: nobody is there."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT_S)
        try:
            with short_address(path) as address:
                connection.connect(address)
        except OSError as error:
            raise NotFound(f"nobody is to be met at {path}: {error.strerror or error}") from None
        try:
            return Answer(code=_converse(connection, _connect(client_id, version, user, password)))
        except (OSError, EOFError, ValueError) as error:
            return Answer(code=None, why=str(error) or type(error).__name__, is_silence=isinstance(error, TimeoutError))


def context_of(ca: Path, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """A client's TLS settings: TLS 1.3 or newer, the broker checked against `ca`."""
    context = ssl.create_default_context(cafile=str(ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


def context_for(ca: Path, issued: Issued) -> ssl.SSLContext:
    """As `context_of`, with a certificate and key that were never written to a disk."""
    with in_memory(issued.key + issued.certificate) as path:
        return context_of(ca, path)


@contextlib.contextmanager
def in_memory(data: bytes) -> Iterator[Path]:
    """`data` as a file that exists only in memory and only here; for libraries that want a path."""
    descriptor = os.memfd_create("vedette", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(data)
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _converse(connection: socket.socket, packet: bytes) -> int:
    connection.sendall(packet)
    answer = connection.recv(MAX_ANSWER_BYTES)
    if len(answer) < 4:
        raise EOFError("the broker ended the connection without an answer")
    if answer[0] != _CONNACK:
        raise ValueError(f"the broker's answer begins with {answer[0]:#04x}, which is no MQTT")
    code = answer[3]
    if code == 0:
        connection.sendall(_DISCONNECT)
        with contextlib.suppress(OSError):
            connection.recv(MAX_ANSWER_BYTES)  # the broker has closed the session when this ends
    return code


def _connect(client_id: str, version: int, user: str | None = None, password: str | None = None) -> bytes:
    flags = _CLEAN | (0 if user is None else _HAS_USER) | (0 if password is None else _HAS_PASSWORD)
    properties = b"\x00" if version == MQTT_5 else b""
    body = b"\x00\x04MQTT" + struct.pack(">BBH", version, flags, _KEEPALIVE_S) + properties
    for word in (client_id, user, password):
        if word is not None:
            body += struct.pack(">H", len(word.encode())) + word.encode()
    size = len(body)
    return b"\x10" + (bytes([size]) if size < 0x80 else bytes([size & 0x7F | 0x80, size >> 7])) + body
