"""What a device is told at enrolment about the centre: whose signatures count, to whom evidence is sealed.

`trust.json` is canonical JSON; see docs/spec/spool.md. It holds public keys only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vedette import canonical, files
from vedette.errors import Integrity, NotFound
from vedette.fields import Fields
from vedette.keys import PublicKey
from vedette.sealed import Recipient, parse_recipient

MAX_TRUST_BYTES = 256 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Trust:
    """The centre's public keys: `centre` signs receipts and the log, `list_signer` signs watchlists."""

    centre: PublicKey
    list_signer: PublicKey
    log_origin: str
    evidence: tuple[str, ...]
    oversight: tuple[str, ...]
    triage: str

    def segment_recipients(self) -> list[Recipient]:
        """Who can open recordings: evidence and oversight keys, never the centre itself."""
        return _recipients((*self.evidence, *self.oversight))

    def lead_recipients(self) -> list[Recipient]:
        """Who can open hits and custody journals: as for recordings, and the centre's triage key."""
        return _recipients((*self.evidence, *self.oversight, self.triage))

    def to_bytes(self) -> bytes:
        """The bytes of `trust.json`."""
        return canonical.dumps(
            {
                "centre": self.centre.text,
                "list": self.list_signer.text,
                "log_origin": self.log_origin,
                "evidence": list(self.evidence),
                "oversight": list(self.oversight),
                "triage": self.triage,
            }
        )


def load_trust(path: Path) -> Trust:
    """Read `trust.json`; `NotFound` when the device is not enrolled, `Integrity` when the file is damaged."""
    try:
        return parse_trust(files.read(path, max_bytes=MAX_TRUST_BYTES))
    except NotFound:
        raise NotFound(f"{path} is not there; a device gets it from `vedette central enrol`") from None
    except Integrity as error:
        raise Integrity(f"{path}: {error}") from None


def parse_trust(data: bytes) -> Trust:
    """Parse the bytes of `trust.json`."""
    body = canonical.loads(data)
    fields = Fields(body, "trust.json")
    trust = Trust(
        centre=PublicKey.from_text(fields.text("centre")),
        list_signer=PublicKey.from_text(fields.text("list")),
        log_origin=fields.text("log_origin"),
        evidence=_texts(body, "evidence"),
        oversight=_texts(body, "oversight"),
        triage=fields.text("triage", most=4096),
    )
    if set(body) != {"centre", "list", "log_origin", "evidence", "oversight", "triage"}:
        raise Integrity("trust.json: it has an unknown field")
    trust.lead_recipients()
    return trust


def _texts(body: dict[str, object], name: str) -> tuple[str, ...]:
    value = body.get(name)
    if not isinstance(value, list) or not 1 <= len(value) <= 8 or not all(isinstance(one, str) for one in value):
        raise Integrity(f"trust.json: {name!r} is not a list of one to eight recipients")
    return tuple(value)


def _recipients(texts: Sequence[str]) -> list[Recipient]:
    return [parse_recipient(text) for text in texts]
