"""Which redacted copy goes into which bundle of an export.

Decided here: a copy is found by the parent that its record names, never by its file's name; of a recording each segment
has one or none leaves; and what is not what its record names does not leave. Implements BU-33 of docs/spec/bundle.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sync.central.rows import ItemRow
from vedette import files
from vedette.bundle import Content
from vedette.errors import Integrity, NotFound, Refused
from vedette.evidence_checks import digest_of
from vedette.records import peek_manifest
from vedette.redaction import MAX_REDACTION_BYTES, RedactedSet, Redaction, open_redaction
from vedette.redaction_checks import check_parent, check_set


@dataclass(frozen=True, kw_only=True, slots=True)
class RedactedCopy:
    """A copy as it lies at the centre: the MP4, its plan, its record's bytes and what they say."""

    path: Path
    record: bytes
    redaction: Redaction

    @property
    def plan(self) -> Path:
        """`<name>.plan.toml`, beside it."""
        return self.path.with_suffix(".plan.toml")

    @property
    def companions(self) -> dict[str, Content]:
        """What of it goes into a bundle."""
        return {"redacted": self.path, "redaction": self.record, "redaction_plan": self.plan}

    def check(self, manifest: bytes) -> None:
        """Integrity where it is of another parent than this item, or its files are not those that the record names."""
        check_parent(self.redaction.parent, peek_manifest(manifest), hashlib.sha256(manifest).hexdigest())
        named = (self.redaction.derived_size, self.redaction.derived_sha256)
        if _measured(self.path) != named or _measured(self.plan)[1] != self.redaction.plan_sha256:
            raise Integrity(f"{self.path} or its plan is not what its record names; make the copy again")


def open_copy(path: Path) -> RedactedCopy:
    """The copy at `path` with its record beside it; NotFound or Integrity where that is none."""
    name = path.with_suffix(".redaction")
    record = files.read(name, max_bytes=MAX_REDACTION_BYTES)
    try:
        return RedactedCopy(path=path, record=record, redaction=open_redaction(record, None))
    except Integrity as error:
        raise Integrity(f"{name}: {error}") from None


def copies_of(redacted: Path, rows: Sequence[ItemRow]) -> Mapping[str, RedactedCopy]:
    """The copy of each of these items, by the item: `redacted` is one copy, or the folder of a recording's.

    Raises NotFound where there is none, Refused where one is missing or of none of the items.
    """
    if not redacted.is_dir():
        if len(rows) > 1:
            raise Refused(
                f"recording {rows[0].recording} has {len(rows)} segments and {redacted} is the copy of one; name its "
                "item, or the folder of copies that was made of the whole recording"
            )
        return {rows[0].item: open_copy(redacted)}
    copies = [open_copy(path) for path in sorted(redacted.glob("*.mp4"))]
    if not copies:
        raise NotFound(f"{redacted} holds no redacted copy")
    found = {str(one.redaction.parent.item): one for one in copies}
    missing = [row for row in rows if row.item not in found]
    if missing:
        raise Refused(
            f"{redacted} holds no copy of item {missing[0].item} (segment {missing[0].sequence}); "
            f"{len(missing)} of {len(rows)} are missing, and nothing was exported"
        )
    if len(rows) > 1:
        _check_whole(redacted, found, rows)
    return {row.item: found[row.item] for row in rows}


def _check_whole(redacted: Path, found: Mapping[str, RedactedCopy], rows: Sequence[ItemRow]) -> None:
    strangers = set(found) - {row.item for row in rows}
    if strangers:
        raise Refused(
            f"{found[min(strangers)].path} is of no segment of this recording that is here; nothing was exported"
        )
    sets: set[RedactedSet | None] = {one.redaction.together for one in found.values()}
    if len(sets) > 1:
        raise Refused(f"the copies in {redacted} were not made together; make them of the whole recording")
    for together in sets - {None}:
        assert together is not None
        check_set(together, [one.redaction for one in found.values()])


def _measured(path: Path) -> tuple[int, str]:
    try:
        return digest_of(path.open("rb"))
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}") from None
