"""What a witness signs: C2SP tlog-cosignature v1, a timestamped Ed25519 signature (type 0x04) on a checkpoint.

Decided here: a witness's key in its text form, one cosignature line, and which witnesses cosigned a note and when.
Which witnesses are enough is `vedette.log_policy`; what a witness checks before is `vedette.witness`. Implements
TL-20 to TL-22 of docs/spec/log.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vedette import note
from vedette.errors import NotTrusted
from vedette.keys import PublicKey, SigningKey

ALGORITHM = 4
MAX_TIME_S = (1 << 53) - 1
_TIME_BYTES = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class WitnessKey:
    """A witness's name and the key that cosigns under it."""

    name: str
    public: PublicKey

    @classmethod
    def from_text(cls, text: str) -> WitnessKey:
        """Parse a verifier key of type 0x04; raises Integrity."""
        name, public = note.parse_verifier_key(text, ALGORITHM)
        return cls(name=name, public=public)

    @property
    def key_id(self) -> bytes:
        """The first 4 bytes of SHA-256(name ‖ newline ‖ 0x04 ‖ key)."""
        return note.key_id(self.name, ALGORITHM, self.public)

    @property
    def text(self) -> str:
        """The verifier key as other tools take it: `<name>+<key id hex>+<base64(0x04 ‖ key)>`."""
        return note.verifier_key(self.name, ALGORITHM, self.public)


def cosign(text: str, name: str, key: SigningKey, time_s: int) -> str:
    """The signature line, newline included, with which witness `name` cosigns a checkpoint's `text`.

    `time_s` is in seconds since 1970.
    """
    signature = time_s.to_bytes(_TIME_BYTES, "big") + key.sign(_message(text, time_s))
    return note.signature_line(name, WitnessKey(name=name, public=key.public).key_id + signature)


def cosignatures(signed: str, keys: Iterable[WitnessKey]) -> dict[str, int]:
    """Who of `keys` cosigned this note and when: name → seconds since 1970; of two by one witness the later.

    Raises Integrity for a bad form, NotTrusted for a wrong cosignature of a known witness.
    """
    text, lines = note.split_note(signed)
    known = {(key.name, key.key_id): key for key in keys}
    found: dict[str, int] = {}
    for name, blob in lines:
        key = known.get((name, blob[:4]))
        if key is not None:
            found[name] = max(found.get(name, 0), _time_of(blob[4:], text, key))
    return found


def _time_of(signature: bytes, text: str, key: WitnessKey) -> int:
    time_s = int.from_bytes(signature[:_TIME_BYTES], "big")
    if len(signature) != _TIME_BYTES + 64 or time_s > MAX_TIME_S:
        raise NotTrusted(f"the cosignature of {key.name} is not a time and an Ed25519 signature")
    try:
        key.public.verify(signature[_TIME_BYTES:], _message(text, time_s))
    except NotTrusted:
        raise NotTrusted(f"the cosignature of {key.name} is not over this checkpoint") from None
    return time_s


def _message(text: str, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def add_line(signed: str, line: str) -> str:
    """The note with one more signature line at its end; raises Integrity where it would not be a note any more."""
    longer = signed + line
    note.split_note(longer)
    return longer
