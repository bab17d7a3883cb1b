"""The text header of an age v1 file (C2SP age.md): strict parsing, writing, and its MAC.

Decided here: a header is at most `MAX_HEADER_BYTES` long, so that a hostile file costs a bounded amount of work.
What the stanzas mean is in `age_recipients`. Spec: docs/spec/sealed-file.md.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vedette.errors import Integrity, NotTrusted, Refused

MAX_HEADER_BYTES = 64 * 1024
FILE_KEY_BYTES = 16

_VERSION = b"age-encryption.org/v1"
_VERSION_LINE = re.compile(rb"age-encryption\.org/([!-~]+)\n")
_ARGUMENT_LINE = re.compile(rb"->((?: [!-~]+)+)\n")
_BODY_LINE = re.compile(rb"([A-Za-z0-9+/]{0,64})\n")
_MAC_LINE = re.compile(rb"--- ([A-Za-z0-9+/]{43})\n")
_COLUMNS = 64


class HeaderFault(Integrity):
    """The header of a sealed file is not one that the format allows."""


class MacFault(Integrity):
    """The header of a sealed file was changed after it was written."""


class NoMatch(NotTrusted):
    """None of the keys at hand opens this sealed file: it was sealed to others."""


class LineSource(Protocol):
    """Any binary file."""

    def readline(self, size: int = -1, /) -> bytes:
        """One line with its line feed, `size` bytes at most."""


@dataclass(frozen=True, slots=True)
class Stanza:
    """The file key wrapped for one recipient: `arguments` (the first names the type) and the decoded `body`."""

    arguments: tuple[str, ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Header:
    """A parsed header; `signed` is what the MAC covers, `length` counts the bytes up to the payload's nonce."""

    stanzas: tuple[Stanza, ...]
    signed: bytes
    mac: bytes
    length: int

    def check(self, file_key: bytes) -> None:
        """Return when the header is the one written with `file_key`, else `MacFault`."""
        if not hmac.compare_digest(_mac(file_key, self.signed), self.mac):
            raise MacFault("the sealed file's header was changed after it was sealed; do not use it")


def format_header(stanzas: Sequence[Stanza], file_key: bytes) -> bytes:
    """The bytes of a header; `Refused` when they would exceed `MAX_HEADER_BYTES`."""
    lines = [_VERSION + b"\n"]
    for stanza in stanzas:
        body = encode64(stanza.body).encode()
        lines.append(b"-> " + " ".join(stanza.arguments).encode() + b"\n")
        lines += [body[start : start + _COLUMNS] + b"\n" for start in range(0, len(body) + 1, _COLUMNS)]
    signed = b"".join(lines) + b"---"
    header = signed + b" " + encode64(_mac(file_key, signed)).encode() + b"\n"
    if len(header) > MAX_HEADER_BYTES:
        raise Refused(f"{len(stanzas)} recipients are too many for one sealed file; seal to fewer")
    return header


def read_header(source: LineSource) -> Header:
    """Parse the header at the source's position and leave the source just behind it; `HeaderFault` if it is not one."""
    lines = _Lines(source)
    version = _VERSION_LINE.fullmatch(lines.next())
    if version is None:
        raise HeaderFault("this is not a sealed file: it does not begin with age-encryption.org")
    if version[1] != b"v1":
        raise HeaderFault(f"this file has version {version[1][:20].decode()!r} of the age format, only v1 is known")
    stanzas: list[Stanza] = []
    line = lines.next()
    while not line.startswith(b"---"):
        stanzas.append(_read_stanza(line, lines))
        line = lines.next()
    end = _MAC_LINE.fullmatch(line)
    if end is None or not stanzas:
        raise HeaderFault("the sealed file's header has no recipient or a malformed last line")
    signed = b"".join(lines.seen[:-1]) + b"---"
    return Header(tuple(stanzas), signed, decode64(end[1].decode(), "MAC"), lines.length)


def encode64(raw: bytes) -> str:
    """Base64 without padding."""
    return base64.b64encode(raw).rstrip(b"=").decode()


def decode64(text: str, what: str) -> bytes:
    """The bytes of canonical base64 without padding, else `HeaderFault` naming `what`."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if encode64(raw) != text:
        raise HeaderFault(f"the sealed file's {what} is not canonical base64")
    return raw


def hkdf(key: bytes, *, salt: bytes, info: bytes) -> bytes:
    """32 bytes of HKDF-SHA-256."""
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=salt, info=info).derive(key)


def _mac(file_key: bytes, signed: bytes) -> bytes:
    return hmac.new(hkdf(file_key, salt=b"", info=b"header"), signed, hashlib.sha256).digest()


class _Lines:
    """The lines of a header as they were read, within the limit."""

    def __init__(self, source: LineSource) -> None:
        self._source = source
        self.seen: list[bytes] = []
        self.length = 0

    def next(self) -> bytes:
        line = self._source.readline(MAX_HEADER_BYTES - self.length + 1)
        self.length += len(line)
        if self.length > MAX_HEADER_BYTES:
            raise HeaderFault(f"the sealed file's header is longer than {MAX_HEADER_BYTES} bytes")
        if not line.endswith(b"\n"):
            raise HeaderFault("the sealed file ends within its header, or is not a sealed file")
        self.seen.append(line)
        return line


def _read_stanza(line: bytes, lines: _Lines) -> Stanza:
    head = _ARGUMENT_LINE.fullmatch(line)
    if head is None:
        raise HeaderFault("the sealed file's header has a malformed recipient line")
    body = b""
    while True:
        part = _BODY_LINE.fullmatch(lines.next())
        if part is None:
            raise HeaderFault("the sealed file's header has a malformed recipient body")
        body += part[1]
        if len(part[1]) < _COLUMNS:
            return Stanza(tuple(head[1].decode()[1:].split(" ")), decode64(body.decode(), "recipient body"))
