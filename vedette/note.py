"""Signed notes and log checkpoints: C2SP signed-note and tlog-checkpoint, with Ed25519 signatures (type 0x01).

Decided here: the key name of a log's signature is its origin; signatures of keys we do not know are ignored, as the
C2SP text asks, and a wrong signature of a key we know refuses the whole note. Implements TL-5 to TL-9 of
docs/spec/log.md.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from vedette.errors import Integrity, NotTrusted
from vedette.keys import PublicKey, SigningKey
from vedette.merkle import HASH_BYTES

MAX_NOTE_BYTES = 64 * 1024
MAX_SIGNATURES = 16
MAX_TREE_SIZE = (1 << 53) - 1
ED25519 = 1
_DASH = "\u2014 "


@dataclass(frozen=True, kw_only=True, slots=True)
class NoteKey:
    """A name and the key that signs notes under it."""

    name: str
    public: PublicKey

    @classmethod
    def from_text(cls, text: str) -> NoteKey:
        """Parse a verifier key of type 0x01; raises Integrity."""
        name, public = parse_verifier_key(text, ED25519)
        return cls(name=name, public=public)

    @property
    def key_id(self) -> bytes:
        """The first 4 bytes of SHA-256(name ‖ newline ‖ 0x01 ‖ key)."""
        return key_id(self.name, ED25519, self.public)

    @property
    def text(self) -> str:
        """The verifier key as other tools take it: `<name>+<key id hex>+<base64(0x01 ‖ key)>`."""
        return verifier_key(self.name, ED25519, self.public)


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A log's promise: under `origin`, the first `size` leaves have this `root` (32 bytes)."""

    origin: str
    size: int
    root: bytes

    def to_text(self) -> str:
        """The three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def key_id(name: str, algorithm: int, public: PublicKey) -> bytes:
    """The first 4 bytes of SHA-256(name ‖ newline ‖ algorithm ‖ key)."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([algorithm]) + public.raw).digest()[:4]


def verifier_key(name: str, algorithm: int, public: PublicKey) -> str:
    """A key's text form: `<name>+<key id hex>+<base64(algorithm ‖ key)>`."""
    raw = base64.b64encode(bytes([algorithm]) + public.raw).decode()
    return f"{name}+{key_id(name, algorithm, public).hex()}+{raw}"


def parse_verifier_key(text: str, algorithm: int) -> tuple[str, PublicKey]:
    """Name and key of a verifier key of this algorithm; raises Integrity for any other text."""
    name, _, rest = text.partition("+")
    raw = base64_bytes(rest.partition("+")[2], "verifier key")
    if len(raw) != 33 or raw[0] != algorithm or not is_name(name):
        raise Integrity(f"{text[:80]!r} is not a verifier key <name>+<id>+<base64> of signature type {algorithm}")
    public = PublicKey(raw[1:])
    if verifier_key(name, algorithm, public) != text:
        raise Integrity(f"{text[:80]!r}: its key id is not that of its name and key")
    return name, public


def signature_line(name: str, blob: bytes) -> str:
    """A note's signature line, newline included; `blob` is the key id and what the algorithm adds."""
    return f"{_DASH}{name} {base64.b64encode(blob).decode()}\n"


def sign_note(text: str, name: str, key: SigningKey) -> str:
    """The signed note over `text` (which ends in a newline) with one signature line by `name`; ValueError for other
    text.
    """
    if not text.endswith("\n") or not _is_plain(text) or not is_name(name):
        raise ValueError("a note's text ends in a newline and has no control characters; a name has no space and no +")
    signature = NoteKey(name=name, public=key.public).key_id + key.sign(text.encode())
    return f"{text}\n{signature_line(name, signature)}"


def open_note(note: str, keys: Sequence[NoteKey]) -> str:
    """The text of a note that at least one of `keys` signed; raises Integrity for a bad form, NotTrusted for its
    signatures.
    """
    text, lines = split_note(note)
    known = {(key.name, key.key_id): key.public for key in keys}
    verified = 0
    for name, blob in lines:
        public = known.get((name, blob[:4]))
        if public is not None:
            public.verify(blob[4:], text.encode())
            verified += 1
    if not verified:
        raise NotTrusted(
            "the note carries no signature of a key that is trusted here: " + ", ".join(key.text for key in keys)
        )
    return text


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> str:
    """The checkpoint as a note signed under its own origin."""
    return sign_note(checkpoint.to_text(), checkpoint.origin, key)


def open_checkpoint(note: str, origin: str, public: PublicKey) -> Checkpoint:
    """The checkpoint of log `origin` in a note its key signed; raises Integrity (form) or NotTrusted (signature,
    other log).
    """
    checkpoint = parse_checkpoint(open_note(note, [NoteKey(name=origin, public=public)]))
    if checkpoint.origin != origin:
        raise NotTrusted(f"the checkpoint is of log {checkpoint.origin[:80]!r}, expected {origin!r}")
    return checkpoint


def parse_checkpoint(text: str) -> Checkpoint:
    """The checkpoint in a note's text, extension lines ignored; its signature is *not* checked here."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] != "" or "" in lines[:-1]:
        raise Integrity("checkpoint: not three or more lines that each hold something")
    origin, size, root = lines[:3]
    return Checkpoint(origin=origin, size=decimal(size, "checkpoint size"), root=base64_hash(root, "checkpoint root"))


def decimal(text: str, what: str) -> int:
    """A decimal number without sign or leading zero, below 2^53; raises Integrity."""
    good = text.isascii() and text.isdigit() and len(text) <= 16 and (text == "0" or text[0] != "0")
    if not good or int(text) > MAX_TREE_SIZE:
        raise Integrity(f"{what}: {text[:20]!r} is not a plain decimal number below 2^53")
    return int(text)


def base64_hash(text: str, what: str) -> bytes:
    """A base64 line that holds a 32-byte hash, in its one canonical form; raises Integrity."""
    node = base64_bytes(text, what)
    if len(node) != HASH_BYTES:
        raise Integrity(f"{what}: {len(node)} bytes where a hash of {HASH_BYTES} is expected")
    return node


def base64_bytes(text: str, what: str) -> bytes:
    """Standard base64 with padding, in its one canonical form (stray bits refused); raises Integrity."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Integrity(f"{what}: not base64") from None
    if base64.b64encode(raw).decode() != text:
        raise Integrity(f"{what}: base64 that is not canonical")
    return raw


def split_note(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """A note's text, and each signature line's name and bytes (key id first); nothing is verified; raises Integrity."""
    if len(note) > MAX_NOTE_BYTES or not _is_plain(note):
        raise Integrity(f"note: over {MAX_NOTE_BYTES} bytes, or it holds a control character")
    text, separator, tail = note.rpartition("\n\n")
    lines = tail.split("\n")
    if not separator or lines.pop() != "" or not 1 <= len(lines) <= MAX_SIGNATURES:
        raise Integrity(f"note: not a text, an empty line and 1 to {MAX_SIGNATURES} signature lines")
    if len(set(lines)) != len(lines):
        raise Integrity("note: a signature line is there twice")
    return text + "\n", [_signature_line(line) for line in lines]


def _signature_line(line: str) -> tuple[str, bytes]:
    fields = line.removeprefix(_DASH).split(" ")
    if not line.startswith(_DASH) or len(fields) != 2 or not is_name(fields[0]):
        raise Integrity(f"note: {line[:60]!r} is not a signature line")
    blob = base64_bytes(fields[1], "note signature")
    if len(blob) < 5:
        raise Integrity("note signature: shorter than a key id and a signature")
    return fields[0], blob


def _is_plain(text: str) -> bool:
    return all(character >= " " or character == "\n" for character in text)


def is_name(name: str) -> bool:
    """Whether `name` may name a key: not empty, no white space, no +."""
    return bool(name) and "+" not in name and not any(character.isspace() for character in name)
