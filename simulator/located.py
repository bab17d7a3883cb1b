"""Whether a report says where the damage is, and how exactly.

Decided here: in the sealed file the stretch between the two checkpoints around the first damaged byte, with a key the
chunk of 64 KiB too, and where bytes were added the end behind which they lie; in the opened file the fragment; in the
journal the line; between the files of a zip the byte; of every other file its name. The first finding about a file must
be about that one, but where it is a record that names others (`NAMES_OTHERS`) and whose change shows in them first.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from simulator.mutations import Mutant
from vedette.age_stream import SEALED_CHUNK_BYTES
from vedette.bundle import KEYS, LISTING
from vedette.findings import Finding, Report
from vedette.sealed import header_length

MOST_STRETCH_BYTES = 2 * SEALED_CHUNK_BYTES
CONTAINER = ("bundle", "container")
EXTENT = (": its beginning is missing", ": its tail is missing")
NAMES_OTHERS = (LISTING, ".redaction")
# A zip begins with the checksum and sizes of bundle.json: where that is gone too, nobody can say what they were.
_TOLD_BY_LISTING = range(14, 26)
_STRETCH = re.compile(r"between byte (\d+) and byte (\d+) ")
_END = re.compile(r"bytes follow after the end that was recorded \(byte (\d+)\)")
_CHUNK = re.compile(r"chunk (\d+) ")
_FRAGMENTS = re.compile(r"^fragments? (\d+)(?: to (\d+))? of")
_BEHIND = re.compile(r"(?:, behind fragment (\d+) of|^(\d+) bytes follow behind its end)")
_LINE = re.compile(r"line (\d+)\b")
_BYTE = re.compile(r"byte (\d+)\b")


@dataclass(frozen=True, kw_only=True, slots=True)
class Good:
    """The undamaged item: names of the files that are looked into, their bytes, and where a verifier can divide them.

    `marks` are the ends of the stretches that custody proves, `payload_at` is where the first sealed chunk begins,
    `fragments` are the ends of the opened file's.
    """

    device: str
    sealed_name: str
    journal_name: str
    sealed: bytes
    journal: bytes
    marks: tuple[int, ...]
    payload_at: int
    opened_name: str
    fragments: tuple[int, ...]

    @classmethod
    def of(cls, files: dict[str, bytes], *, sealed_name: str, journal_name: str) -> Good:
        """Read the marks from the item's own lines; ValueError where a stretch is longer than the recorder makes it."""
        item, marks, signed = sealed_name.partition(".")[0], [0], list[str]()
        entries = [json.loads(line) for line in files[journal_name].splitlines()]
        for entry in entries:
            if entry["item"] == item:
                marks += [entry["detail"][name] for name in ("offset", "sealed_size") if name in entry["detail"]]
                signed += filter(None, entry["detail"].get("fragments", "").split(","))
        if max(after - before for before, after in pairwise(marks)) > MOST_STRETCH_BYTES:
            raise ValueError(f"a stretch is longer than {MOST_STRETCH_BYTES} bytes: {marks}")
        return cls(
            device=entries[0]["device"],
            sealed_name=sealed_name,
            journal_name=journal_name,
            sealed=files[sealed_name],
            journal=files[journal_name],
            marks=tuple(marks),
            payload_at=header_length(io.BytesIO(files[sealed_name])),
            opened_name=f"{item}.mp4",
            fragments=tuple(accumulate(int(one.split(":")[0]) for one in signed)),
        )


def why_vague(report: Report, owner: str | None, mutant: Mutant, good: Good, *, has_key: bool) -> str | None:
    """None where the report names the damage in the file `owner`; None as `owner` is a place between a zip's files."""
    failed = [one for one in report.findings if not one.ok]
    said = [one.message for one in failed if owner is None or one.where == owner]
    if owner is None:
        wanted = {mutant.first}
        if mutant.first in _TOLD_BY_LISTING and any("bundle.json cannot be read" in one for one in said):
            wanted.add(_TOLD_BY_LISTING.stop)
        return None if any(int(found) in wanted for one in said for found in _BYTE.findall(one)) else "no byte"
    about = [one.where for one in failed if one.what not in CONTAINER]
    if owner == KEYS and not said and any(one.where == KEYS and _is_of_another(one, good) for one in report.findings):
        return None  # Who else than this device is vouched for is said, and that the manifest is not by that key.
    if owner == LISTING and owner not in about and any(one.what == "container" for one in failed):
        return None  # A genuine listing, of another item: what lies beside it is not listed, and that is said.
    if owner not in about or (about[0] != owner and not owner.endswith(NAMES_OTHERS)):
        return "another file is named first: " + ", ".join(about[:3])
    if owner == good.sealed_name:
        return _why_vague_sealed(failed, mutant.first, good, has_key=has_key)
    if owner == good.opened_name:
        return _why_vague_opened(failed, mutant.first, good)
    return _why_vague_journal(said, mutant, good) if owner == good.journal_name else None


def _is_of_another(one: Finding, good: Good) -> bool:
    return "the centre vouches for " in one.message and f" vouches for {good.device}:" not in one.message


def _why_vague_sealed(failed: Sequence[Finding], first: int, good: Good, *, has_key: bool) -> str | None:
    by_check = {one.what: one.message for one in failed if one.where == good.sealed_name}
    stretch = _STRETCH.search(by_check.get("checkpoints", ""))
    end = _END.search(by_check.get("checkpoints", ""))
    wanted = next(((one, other) for one, other in pairwise(good.marks) if one <= first < other), None)
    if wanted is None and not (end and int(end[1]) == first == len(good.sealed)):
        return "its end is not named"
    if wanted is not None and not (stretch and (int(stretch[1]), int(stretch[2])) == wanted):
        return f"the stretch is not {wanted}"
    if has_key and first >= good.payload_at:
        chunk, last = _CHUNK.search(by_check.get("opening", "")), len(good.sealed) - 1
        if not chunk or int(chunk[1]) != (min(first, last) - good.payload_at) // SEALED_CHUNK_BYTES:
            return f"the chunk is not named: {by_check.get('opening')}"
    return None if not has_key or "opening" in by_check else "that it does not open is not said"


def _why_vague_opened(failed: Sequence[Finding], first: int, good: Good) -> str | None:
    said = next((one.message for one in failed if one.what == "opened fragments"), "")
    wanted = next((at for at, end in enumerate(good.fragments, start=1) if first < end), len(good.fragments) + 1)
    named, behind = _FRAGMENTS.search(said), _BEHIND.search(said)
    # What is put in behind one may begin as the next one does.
    if wanted == 1 and "before the first fragment" in said:
        return None
    if behind and (wanted > len(good.fragments) or int(behind[1] or 0) in (wanted - 1, wanted)):
        return None
    if named and int(named[1]) - 1 <= wanted <= int(named[2] or named[1]) + 1:
        return None
    return f"fragment {wanted} of the opened file is not named: {said}"


def _why_vague_journal(said: Sequence[str], mutant: Mutant, good: Good) -> str | None:
    line = good.journal[: mutant.first].count(b"\n") + 1
    # A chain may begin anywhere (CJ-8): another line of it at the top shows by the one behind.
    wanted = {line, 2} if line == 1 else {line}
    if not mutant.data or any(int(found) in wanted for one in said for found in _LINE.findall(one)):
        return None
    # An unbroken chain that is signed to its end: the item's own without its tail, or another stretch from line 1 on.
    if (line == 1 or good.journal.startswith(mutant.data)) and any(one.endswith(EXTENT) for one in said):
        return None
    return f"line {line} is not named"
