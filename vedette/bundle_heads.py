"""What a bundle says of how far its device had signed for the journal in it, and what that shows to be missing.

Decided here: the centre's record of a device's newest heads and of how much of that journal it has itself, and how both
are held against the lines in the bundle. A line that is another than the one that was signed for is damage; lines that
were signed for and are not here are said, with their numbers, and are no damage: a bundle holds a stretch (BU-5), and
what stands behind it is missed only where the centre does not have it either, nor another bundle that is checked with
it. Implements BU-34 to BU-40 and BU-53 of docs/spec/bundle.md.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vedette.clock import iso
from vedette.custody_entry import Entry
from vedette.custody_heads import MAX_HEADS_BYTES, Head, open_heads
from vedette.errors import Integrity, NotTrusted
from vedette.fields import Fields
from vedette.findings import Checks
from vedette.keys import PublicKey, SigningKey
from vedette.note import base64_bytes
from vedette.records import Body, Manifest, keyring, open_record, sign_record

HELD_HEADS = "vedette/held-heads/1"
MAX_RECORDS = 16
MAX_PROBLEM_CHARACTERS = 512
SIGNED_LINES = "signed lines"
ELSEWHERE = "they stand in other bundles here"
NOT_COME = "HAD NOT COME to the centre when this was made, as it says itself"
NONE_HERE = "none here: how far the device had signed for its journal is not known from this bundle"
_MAX_BASE64 = 4 * (MAX_HEADS_BYTES // 3 + 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldHeads:
    """The centre's word, made for the bundle of `item`: the device's signed records of heads that count for the journal
    of `service`, and the last line of it that the centre has (its number and SHA-256 in hex; None where it has none).
    `problem` is what the centre found wrong with that journal.
    """

    item: str
    device: str
    service: str
    held: tuple[int, str] | None
    problem: str | None
    records: tuple[bytes, ...]

    def sign(self, key: SigningKey) -> bytes:
        """The signed record's bytes: the file of the bundle."""
        body: Body = {
            "item": self.item,
            "device": self.device,
            "service": self.service,
            "held": self.held and {"seq": self.held[0], "head": self.held[1]},
            "problem": self.problem,
            "records": [{"record": base64.b64encode(one).decode()} for one in self.records],
        }
        return sign_record(HELD_HEADS, body, key)


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedHead:
    """A line of the journal that the device signed for at `told_us` (UTC in microseconds, by its own clock)."""

    head: Head
    told_us: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Shortfall:
    """How a bundle's journal, which ends at line `here_to` (None: no line is here), compares with line `signed_to`, for
    which the device had signed at `told_us`. `held_to` is the last line that the centre has, `head` the SHA-256
    (hex) of line `signed_to`.
    """

    service: str
    signed_to: int
    head: str
    told_us: int
    here_to: int | None
    held_to: int

    @property
    def not_here(self) -> range:
        """The numbers of the lines behind the bundle's that were signed for."""
        return range((self.here_to or 0) + 1, self.signed_to + 1)

    @property
    def not_come(self) -> range:
        """Those of them that the centre does not have either."""
        return range(max(self.here_to or 0, self.held_to) + 1, self.signed_to + 1)

    @property
    def is_owed(self) -> bool:
        """Whether a line that was signed for is missed: the centre does not have it, or no line of the item is here."""
        return bool(self.not_come) or (self.here_to is None and bool(self.not_here))

    def __str__(self) -> str:
        signed = f"the device signed at {iso(self.told_us)} for line {self.signed_to} of {self.service}"
        if not self.not_here:
            return f"{signed}, and the journal here reaches it"
        if self.here_to is None:
            short = "no line of it that holds is here"
        else:
            short = f"the journal here ends at line {self.here_to}: {_count(self.not_here)} are not in this bundle"
        if not self.not_come:
            return f"{signed}; {short}; the centre says that it has them"
        return f"{signed}; {short}; {_count(self.not_come)} {NOT_COME}"


def open_held(record: bytes, centre: PublicKey | None) -> HeldHeads:
    """What the centre says in that file; raises Integrity or NotTrusted."""
    fields = Fields(open_record(HELD_HEADS, record, keyring(centre) if centre else {}), "held heads")
    last = fields.optional("held", fields.object)
    held = None if last is None else (last.integer("seq", least=1), last.sha256("head"))
    if last is not None:
        last.close()
    records = fields.objects("records", most=MAX_RECORDS)
    found = HeldHeads(
        item=fields.uuid7("item"),
        device=fields.device("device"),
        service=fields.text("service", most=32),
        held=held,
        problem=fields.optional("problem", lambda name: fields.text(name, most=MAX_PROBLEM_CHARACTERS)),
        records=tuple(base64_bytes(one.text("record", most=_MAX_BASE64), "a record of heads") for one in records),
    )
    for one in (*records, fields):
        one.close()
    if not found.records:
        raise Integrity("held heads: there is no record of the device's in it")
    return found


def signed_heads(held: HeldHeads, device: PublicKey) -> list[SignedHead]:
    """The heads of that journal in the device's own records; Integrity or NotTrusted where one does not hold."""
    found = []
    for number, record in enumerate(held.records, start=1):
        try:
            told = open_heads(record, held.device, device)
            head = next((one for one in told.heads if one.service == held.service), None)
            if head is None:
                raise Integrity(f"it says nothing of {held.service}")
        except (Integrity, NotTrusted) as error:
            raise type(error)(f"record {number} of the device: {error}") from None
        found.append(SignedHead(head=head, told_us=told.told_us))
    return found


def shortfall(held: HeldHeads, signed: Sequence[SignedHead], here_to: int | None) -> Shortfall:
    """The furthest line that was signed for beside the last one here."""
    furthest = max(signed, key=lambda one: (one.head.seq, one.told_us))
    return Shortfall(
        service=held.service,
        signed_to=furthest.head.seq,
        head=furthest.head.head,
        told_us=furthest.told_us,
        here_to=here_to,
        held_to=held.held[0] if held.held else 0,
    )


def last_line_here(manifest: Manifest, entries: Sequence[Entry]) -> int | None:
    """The number of the last line in a bundle: of its stretch, and of a journal's file that is itself the item."""
    if entries:
        return entries[-1].seq
    return manifest.journal.seq if manifest.kind == "custody" and manifest.journal else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What heads are held against: the item's manifest, the lines here that hold as a chain, and the keys that count
    (None where none does).
    """

    manifest: Manifest
    entries: Sequence[Entry]
    centre: PublicKey | None
    device: PublicKey | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Lines:
    """What bundles that are checked together are held against each other by: the lines of a journal that stand in one
    (SHA-256 in hex by number), and what it misses, None where nothing.
    """

    device: str
    service: str
    here: Mapping[int, str]
    owed: Shortfall | None

    @classmethod
    def of(cls, manifest: Manifest, entries: Sequence[Entry], short: Shortfall | None) -> Lines | None:
        """Of a bundle; None where its item names no journal."""
        if manifest.journal is None:
            return None
        here = {one.seq: one.sha256 for one in entries}
        owed = short if short is not None and short.is_owed else None
        return cls(device=manifest.device, service=manifest.journal.service, here=here, owed=owed)


def is_elsewhere(lines: Lines, others: Iterable[Lines]) -> bool:
    """Whether all that a bundle misses stands in `others`, up to the very line that was signed for (BU-53)."""
    short = lines.owed
    if short is None or short.here_to is None:
        return False
    there: dict[int, str] = {}
    for one in others:
        if (one.device, one.service) == (lines.device, lines.service):
            there |= one.here
    return there.get(short.signed_to) == short.head and all(number in there for number in short.not_come)


def check_heads(name: str, record: bytes, known: Known, checks: Checks) -> Shortfall | None:
    """Make the checks of BU-36 to BU-39 on the file `name`; how far its journal goes, None where that is not known."""
    manifest, found = known.manifest, list[HeldHeads]()

    def check() -> Shortfall:
        held = open_held(record, known.centre)
        if known.device is None:
            raise NotTrusted("no key of the device is known here that somebody vouches for")
        service = manifest.journal.service if manifest.journal else None
        if (held.item, held.device, held.service) != (manifest.item, manifest.device, service):
            raise Integrity(f"it is of item {held.item} of {held.device} and its journal of {held.service}")
        signed = signed_heads(held, known.device)
        _check_lines(held, signed, manifest, {one.seq: one for one in known.entries})
        found.append(held)
        return shortfall(held, signed, last_line_here(manifest, known.entries))

    short = checks.run("signed heads", name, check, lambda said: f"signed by {manifest.device}: line {said.signed_to}")
    if short is not None and short.is_owed:
        checks.absent(SIGNED_LINES, name, str(short))
    elif short is not None:
        checks.run(SIGNED_LINES, name, lambda: None, str(short))
    if found and found[0].problem is not None:
        checks.absent("journal at the centre", name, f"the centre found this wrong with it: {found[0].problem}")
    return short


def _check_lines(held: HeldHeads, signed: Sequence[SignedHead], manifest: Manifest, here: Mapping[int, Entry]) -> None:
    """Integrity where two say different things of one line: the journal here, the manifest, a head, the centre."""
    known = {seq: (entry.sha256, "in the journal here") for seq, entry in here.items()}
    if manifest.journal:
        known.setdefault(manifest.journal.seq, (manifest.journal.head, "that the manifest names"))
    if held.held:
        _agree(known, *held.held, "that the centre has")
        last = max(here, default=0)
        if held.held[0] < last:
            raise Integrity(f"the centre says that it has {held.held[0]} lines of {held.service}; line {last} is here")
    for one in signed:
        _agree(known, one.head.seq, one.head.head, f"for which the device signed at {iso(one.told_us)}")
        entry = here.get(one.head.seq)
        if entry is not None and entry.boot != one.head.boot:
            raise Integrity(f"line {entry.seq} was signed for at {iso(one.told_us)} as one of another start")


def _agree(known: dict[int, tuple[str, str]], seq: int, digest: str, whose: str) -> None:
    other, theirs = known.setdefault(seq, (digest, whose))
    if other != digest:
        raise Integrity(f"line {seq} {theirs} is not the one {whose}: lines were cut off or replaced")


def _count(lines: range) -> str:
    return f"{len(lines)} lines that it signed for ({lines.start} to {lines.stop - 1})"
