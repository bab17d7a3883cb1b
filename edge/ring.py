"""The ring: sealed video that nobody activated, kept for a few hours on the device and given up oldest first.

Decided here: what lies in the ring's folder and under which names, what a claim on a stretch of it is, and which
segments must go. A segment of the ring is no item: it has no manifest, is never sent, and becomes an item only by a
claim (`edge.recorder.claims`). Who writes it is `edge.recorder.retaining`, who deletes is `edge.keeper_ring`.
Implements docs/spec/ring.md; why this is no way round law 6 is ADR 19.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge.recorder.facts import Ending, SegmentFacts
from vedette import canonical, files
from vedette.activation_record import AT_CENTRE
from vedette.clock import UUID7, check_uuid7
from vedette.errors import Integrity, VedetteError
from vedette.fields import Fields
from vedette.keys import PublicKey, SigningKey
from vedette.records import MAX_RECORD_BYTES, keyring, open_record, sign_record

RECORD = "vedette/ring/1"
KEPT, GOING, CLAIM, UNEXPLAINED, SEALED = ".kept", ".going", ".claim", ".unexplained", ".segment.age"
SHARED = ".recorded"
WHYS = ("policy", "age", "size", "room")
REASONS = ("incident", "collision", "injury", "use_of_force", "complaint", "order", "other")
REMOTE = "remote"
MAX_CLAIMS = 16
MAX_CLAIM_BYTES = 1024
MAX_NAME = 64
HOUR_US = 3_600_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """A whole segment of the ring: its facts, its ending, and where custody stood then (`seq`, a line's SHA-256).

    `machine` is the boot of the machine whose monotonic clock its facts name, None where that is not known.
    """

    facts: SegmentFacts
    ending: Ending
    seq: int
    line_sha256: str
    machine: str | None = None

    @property
    def item(self) -> str:
        """Its id."""
        return self.facts.item

    @property
    def ended_us(self) -> int:
        """The end of its last picture (UTC)."""
        return self.facts.started_us + self.ending.media_us

    def age_us(self, now: Now) -> int:
        """How long ago it ended: by the monotonic clock, which nobody sets, and only between two boots by the wall."""
        if self.facts.mono_us is not None and self.machine is not None and self.machine == now.machine:
            return now.mono_us - self.facts.mono_us - self.ending.media_us
        return now.utc_us - self.ended_us

    def sign(self, key: SigningKey) -> bytes:
        """The record that lies beside the sealed file."""
        body = {"facts": asdict(self.facts), "ending": asdict(self.ending), "seq": self.seq, "line": self.line_sha256}
        return sign_record(RECORD, {**body, "machine": self.machine}, key)


@dataclass(frozen=True, kw_only=True, slots=True)
class Now:
    """The present on both clocks, and in which boot of the machine that is, None where it has no name."""

    utc_us: int
    mono_us: int
    machine: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A request to recover what was kept from `from_us` to `to_us` (UTC): its id, by whom it came, and the reason."""

    id: str
    by: str
    reason: str
    from_us: int
    to_us: int

    def covers(self, kept: Kept) -> bool:
        """Whether any moment of a segment lies in the stretch."""
        return kept.facts.started_us < self.to_us and self.from_us < kept.ended_us

    def to_bytes(self) -> bytes:
        """The claim as its file has it."""
        return canonical.dumps(asdict(self))


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """Where a segment may be cut: a checkpoint's bytes with their SHA-256, and the media time and pictures in them."""

    offset: int
    sha256: str
    media_us: int
    frames: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Shared:
    """A segment that recordings hold too, from `from_us` (UTC) to its end.

    Up to `cut` it holds what they do not, and less than a second that they do; None where they hold all of it, or where
    no checkpoint lies there.
    """

    item: str
    from_us: int
    cut: Cut | None = None

    def to_bytes(self) -> bytes:
        """What its file beside the segment has."""
        return canonical.dumps(asdict(self))


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """What the ring may be: how long a segment stays after its end, how many bytes all of it may have.

    `other_bytes` are those of its files that are no whole segment, `short_bytes` what the disk lacks for the rest.
    """

    keep_us: int
    most_bytes: int
    other_bytes: int = 0
    short_bytes: int = 0


def folder_of(spool_root: Path) -> Path:
    """The ring's folder: within the spool, as services are confined to it and no name reaches across two mounts, but no
    kind of item, so that nobody who looks for items sees it.
    """
    return spool_root / "ring"


def sealed_path(folder: Path, item: str) -> Path:
    """Where a segment's sealed file lies."""
    return folder / f"{check_uuid7(item)}{SEALED}"


def named(folder: Path, ending: str) -> list[str]:
    """The names, without it, of the files with this ending that begin with an id; oldest first."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except FileNotFoundError:
        return []
    return [name.removesuffix(ending) for name in names if name.endswith(ending) and UUID7.match(name[:36])]


def load_kept(path: Path, key: PublicKey) -> Kept:
    """The segment that the record at `path` describes.

    Raises NotFound, NotTrusted for another key, and Integrity for what is no such record or has another name.
    """
    body = open_record(RECORD, files.read(path, max_bytes=MAX_RECORD_BYTES), keyring(key))
    fields = Fields(body, path.name)
    facts, ending = fields.object("facts"), fields.object("ending")
    for name, table in (("started_us", facts), ("sealed_size", ending), ("media_us", ending)):
        table.integer(name)
    item = facts.uuid7("item")
    if item != path.name[:36]:
        raise Integrity(f"{path.name}: the record inside is of segment {item}")
    machine = body.get("machine")  # Older records have none.
    return Kept(
        facts=SegmentFacts.from_detail(item, body["facts"]),
        ending=Ending.from_detail(body["ending"]),
        seq=fields.integer("seq"),
        line_sha256=fields.sha256("line"),
        machine=machine if isinstance(machine, str) else None,
    )


def parse_claim(body: Mapping[str, Any], *, now_us: int) -> Claim | None:
    """The claim in a message `{"command":"recover","activation":by,"id","reason","from_us","to_us"}`, or None.

    What lies ahead of `now_us` is not claimed. A reason is one of `REASONS`, or that of a signed command.
    """
    try:
        fields = Fields(dict(body), "recover")
        fields.one_of("command", ("recover",))
        by = fields.text("activation", most=MAX_NAME)
        claim = Claim(
            id=fields.uuid7("id"),
            by=by,
            reason=fields.one_of("reason", (AT_CENTRE,) if by == REMOTE else REASONS),
            from_us=fields.integer("from_us"),
            to_us=min(fields.integer("to_us"), now_us),
        )
        fields.close()
    except Integrity:
        return None
    return claim if by and claim.from_us < claim.to_us else None


def load_claims(folder: Path) -> list[Claim]:
    """The claims that are not settled yet, oldest first; what is none protects nothing and is left out."""
    found = []
    for claim_id in named(folder, CLAIM):
        try:
            body = canonical.loads(files.read(folder / f"{claim_id}{CLAIM}", max_bytes=MAX_CLAIM_BYTES))
            found.append(Claim(**body))
        except (VedetteError, TypeError):
            continue
    return found


def load_shared(folder: Path, item: str) -> Shared | None:
    """What is known of a segment that recordings hold too; None where nothing is, or nothing that can be read."""
    try:
        body = canonical.loads(files.read(folder / f"{check_uuid7(item)}{SHARED}", max_bytes=MAX_CLAIM_BYTES))
        cut = body.pop("cut")
        found = Shared(**body, cut=None if cut is None else Cut(**cut))
    except (VedetteError, TypeError, KeyError, AttributeError):
        return None
    return found if found.item == item else None


@contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Whether nobody else decides over the ring meanwhile: the keeper what goes, the recorder what is claimed.

    Nobody waits; who does not get it tries again later. It ends with the process that holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def evictable(kept: Sequence[Kept], claims: Sequence[Claim], bounds: Bounds, *, now: Now) -> list[tuple[Kept, str]]:
    """Which segments must go and why (`policy`, `age`, `size`, `room`), oldest first; never one that is claimed.

    Which is older says custody's order.
    """
    free = [one for one in kept if not any(claim.covers(one) for claim in claims)]
    free.sort(key=lambda one: (one.seq, one.item))
    size_bytes = bounds.other_bytes + sum(one.ending.sealed_size for one in kept)
    short_bytes = bounds.short_bytes
    found: list[tuple[Kept, str]] = []
    for one in free:
        if bounds.keep_us == 0:
            why = "policy"
        elif one.age_us(now) >= bounds.keep_us:
            why = "age"
        elif size_bytes > bounds.most_bytes:
            why = "size"
        elif short_bytes > 0:
            why = "room"
        else:
            continue
        found.append((one, why))
        size_bytes -= one.ending.sealed_size
        short_bytes -= one.ending.sealed_size
    return found


def born_us(item: str) -> int:
    """When an id was drawn (UTC in microseconds, exact to a millisecond)."""
    return int(check_uuid7(item).replace("-", "")[:12], 16) * 1000
