"""Which parts of a recording left the centre together, in its own signed words, and what of it is not here.

Decided here: the record that each bundle of a recording carries, what is said of a part that is not among those which
are checked, and what of that is damage. A part that left with these and is not here was taken out, and so was one of
which nobody says anything though parts before and behind it are here; one that the centre kept or never had is said and
is no damage, so that a part of a recording may leave. Implements BU-41 to BU-47 of docs/spec/bundle.md; parts are
numbered from 1, which is the manifest's `sequence` 0.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from vedette.clock import iso
from vedette.custody_entry import Entry
from vedette.errors import Integrity
from vedette.fields import Fields
from vedette.findings import PARTS, Checks
from vedette.keys import PublicKey, SigningKey
from vedette.records import Body, Manifest, keyring, open_record, sign_record

RECORDING_PARTS = "vedette/recording-parts/1"
MAX_PARTS = 16_384
MAX_PARTS_BYTES = 4 << 20
STATES = ("here", "held", "missing")
State = Literal["here", "held", "missing"]
_WHY: Mapping[str, str] = {
    "here": "it left the centre together with what is here",
    "unsaid": "nothing here says that it was left out",
    "held": "the centre had it and left it out",
    "missing": "it HAD NOT COME to the centre when this was made",
    "unknown": "the centre knew of no item of it when this was made",
    "before": "whether it was left out is not known from what is here",
}
_DAMAGE = ("here", "unsaid")
Spans = Mapping[int, tuple[int | None, int | None]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One part that the centre knew of: its item, from when to when it is (UTC in microseconds, None where the centre
    does not know), and whether it left with the others (`here`), was left out (`held`) or had not come (`missing`).
    """

    item: str
    sequence: int
    state: State
    from_us: int | None
    to_us: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """The centre's word of one export: the parts of the recording that it knew of, in order.

    `first` is the `sequence` with which the recording begins for the centre; `ended` is whether the device's custody
    says that none follows behind the last one.
    """

    device: str
    recording: str
    first: int
    ended: bool
    parts: tuple[Part, ...]

    @property
    def last(self) -> int:
        """The `sequence` of the last part that the centre knew of."""
        return self.parts[-1].sequence

    def sign(self, key: SigningKey) -> bytes:
        """The signed record's bytes: the file of each bundle."""
        names = ("item", "sequence", "state", "from_us", "to_us")
        body: Body = {
            "device": self.device,
            "recording": self.recording,
            "first": self.first,
            "ended": self.ended,
            "parts": [{name: getattr(one, name) for name in names} for one in self.parts],
        }
        return sign_record(RECORDING_PARTS, body, key)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ends:
    """Where the stretch of a journal in a bundle begins and ends: numbers and hashes (hex) of lines."""

    service: str
    first: int
    prev: str
    last: int
    last_sha256: str

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Ends | None:
        """The ends of a chain that holds; None where there is no line."""
        if not entries:
            return None
        first, last = entries[0], entries[-1]
        return cls(service=first.service, first=first.seq, prev=first.prev, last=last.seq, last_sha256=last.sha256)


@dataclass(frozen=True, kw_only=True, slots=True)
class Present:
    """A bundle's part of a recording; `bundle` is its name, `said` the centre's word in it where that holds."""

    bundle: str
    item: str
    device: str
    recording: str
    sequence: int
    from_us: int
    to_us: int
    said: Parts | None
    ends: Ends | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """Parts `first` to `last` (as `sequence`) that are not here, why as far as is known, and from when to when."""

    first: int
    last: int
    why: str
    items: tuple[str, ...] = ()
    from_us: int | None = None
    to_us: int | None = None

    @property
    def is_damage(self) -> bool:
        """Whether it was taken out behind the centre."""
        return self.why in _DAMAGE

    @property
    def times(self) -> str:
        """From when to when, `?` for what is not known; nothing where neither is."""
        return f"{_time(self.from_us)} to {_time(self.to_us)}" if self.from_us or self.to_us else ""

    def said(self, recording: str) -> str:
        """What is said of it, in a sentence."""
        verb = "is" if self.first == self.last else "are"
        times = f" ({self.times})" if self.times else ""
        named = f"item{'s' * (len(self.items) > 1)} {' to '.join(self.items)}, " if self.items else ""
        what = f"{numbers(self.first, self.last)} of recording {recording} {verb} not here{times}"
        return f"{what}: {named}{_WHY[self.why]}"


@functools.lru_cache(maxsize=2)
def open_parts(record: bytes, centre: PublicKey | None) -> Parts:
    """What the centre says in that file; raises Integrity or NotTrusted. All bundles of one export have the same."""
    keys = keyring(centre) if centre else {}
    fields = Fields(open_record(RECORDING_PARTS, record, keys, max_bytes=MAX_PARTS_BYTES), "recording's parts")
    parts = tuple(_part(one) for one in fields.objects("parts", most=MAX_PARTS))
    found = Parts(
        device=fields.device("device"),
        recording=fields.uuid7("recording"),
        first=fields.integer("first"),
        ended=fields.boolean("ended"),
        parts=parts,
    )
    fields.close()
    if not parts or found.first > parts[0].sequence:
        raise Integrity("recording's parts: there is none, or one before the first")
    if any(one.sequence >= other.sequence for one, other in itertools.pairwise(parts)):
        raise Integrity("recording's parts: they are not in order")
    return found


def _part(fields: Fields) -> Part:
    part = Part(
        item=fields.uuid7("item"),
        sequence=fields.integer("sequence"),
        state=cast(State, fields.one_of("state", STATES)),
        from_us=fields.optional("from_us", fields.integer),
        to_us=fields.optional("to_us", fields.integer),
    )
    fields.close()
    return part


def numbers(first: int, last: int) -> str:
    """`part 3` or `parts 3 to 5`, of what begins at `sequence` 0."""
    return f"part {first + 1}" if first == last else f"parts {first + 1} to {last + 1}"


def place(sequence: int, said: Parts | None) -> str:
    """`part 3 of 4`, and where the centre did not know the recording's end `part 3 of 4 or more`."""
    if said is None:
        return f"part {sequence + 1}"
    return f"part {sequence + 1} of {said.last + 1}{'' if said.ended else ' or more'}"


def part_of(
    name: str, record: bytes | None, manifest: Manifest, centre: PublicKey | None, checks: Checks
) -> Parts | None:
    """Check the file `name` of a bundle of this item (BU-43); None where it is not there or does not hold."""
    if record is None:
        said = f"part {manifest.sequence + 1} of recording {manifest.recording}; which others left with it is not known"
        checks.absent("recording's part", name, said)
        return None

    def check() -> Parts:
        found = open_parts(record, centre)
        if (found.device, found.recording) != (manifest.device, manifest.recording):
            raise Integrity(f"it is of recording {found.recording} of {found.device}")
        own = [one for one in found.parts if one.item == manifest.item]
        if [(one.sequence, one.state) for one in own] != [(manifest.sequence, "here")]:
            raise Integrity(f"it does not say that item {manifest.item} left as part {manifest.sequence + 1}")
        return found

    return checks.run(
        "recording's part",
        name,
        check,
        lambda found: f"{place(manifest.sequence, found)} of recording {found.recording}",
    )


def not_here(present: Spans, said: Sequence[Parts]) -> list[Run]:
    """The parts that are not among `present` (from when to when by `sequence`), by the centre's words and by the
    numbers of those that are (BU-44, BU-45).
    """
    known = _known(said)
    spans = {at: (one.from_us, one.to_us) for at, one in known.items()} | dict(present)
    before = min((one.first for one in said), default=0) - 1
    runs, ended_us = [], None
    for at in sorted(spans):
        from_us, to_us = spans[at]
        if at > before + 1:
            why = _why_unlisted(before + 1, at - 1, said, is_first=ended_us is None)
            runs.append(Run(first=before + 1, last=at - 1, why=why, from_us=ended_us, to_us=from_us))
        if at not in present:
            one = known[at]
            runs.append(Run(first=at, last=at, why=one.state, items=(one.item,), from_us=from_us, to_us=to_us))
        before, ended_us = at, to_us
    return _joined(runs)


def _known(said: Sequence[Parts]) -> dict[int, Part]:
    """Each part that one of them names, as the one has it that says most: here, held, missing."""
    known: dict[int, Part] = {}
    for one in said:
        for part in one.parts:
            other = known.setdefault(part.sequence, part)
            if STATES.index(part.state) < STATES.index(other.state):
                known[part.sequence] = part
    return known


def _why_unlisted(first: int, last: int, said: Sequence[Parts], *, is_first: bool) -> str:
    if any(one.first <= first and last < one.last for one in said):
        return "unknown"
    return "before" if is_first and not said else "unsaid"


def _joined(runs: Iterable[Run]) -> list[Run]:
    joined: list[Run] = []
    for one in runs:
        last = joined[-1] if joined else None
        if last and (last.why, last.last + 1) == (one.why, one.first):
            items = (last.items[0], one.items[-1]) if last.items and one.items else ()
            one = Run(first=last.first, last=one.last, why=one.why, items=items, from_us=last.from_us, to_us=one.to_us)
            joined.pop()
        joined.append(one)
    return joined


def is_end_known(present: Iterable[int], said: Sequence[Parts]) -> bool:
    """Whether one of the centre's words says that nothing follows behind the last part that is known."""
    last = max([*present, *(one.last for one in said)])
    return any(one.ended and one.last == last for one in said)


def check_alone(part: Present, name: str, checks: Checks) -> None:
    """Say which parts of its recording are not here, of one bundle that is checked by itself (BU-46)."""
    if part.said is not None:
        for run in not_here({part.sequence: (part.from_us, part.to_us)}, [part.said]):
            checks.absent(PARTS, name, run.said(part.recording))
        _say_end(name, [part], checks)


def check_together(where: str, parts: Sequence[Present], checks: Checks) -> None:
    """Check of each recording that the parts which left together are here, each once (BU-44, BU-45, BU-47)."""
    recordings: dict[tuple[str, str], list[Present]] = {}
    for one in parts:
        recordings.setdefault((one.device, one.recording), []).append(one)
    for here in recordings.values():
        _check_recording(where, sorted(here, key=lambda one: (one.sequence, one.bundle)), checks)


def _check_recording(where: str, here: Sequence[Present], checks: Checks) -> None:
    recording, said = here[0].recording, _distinct(here)
    runs = not_here({one.sequence: (one.from_us, one.to_us) for one in here}, said)
    faults = [*_doubled(here), *(run.said(recording) for run in runs if run.is_damage), *_unlinked(here)]
    for fault in faults:
        checks.run(PARTS, where, functools.partial(_fail, fault))
    absent = [run for run in runs if not run.is_damage]
    for run in absent:
        checks.absent(PARTS, where, run.said(recording))
    _say_end(where, here, checks)
    if not faults and not absent and is_end_known((one.sequence for one in here), said):
        many = f"all {len(here)} parts of recording {recording} are here, each once"
        only = f"the only part of recording {recording} is here"
        checks.run(PARTS, where, lambda: None, many if len(here) > 1 else only)


def _fail(said: str) -> None:
    raise Integrity(said)


def _distinct(here: Sequence[Present]) -> list[Parts]:
    return list({id(one.said): one.said for one in here if one.said is not None}.values())


def _doubled(here: Sequence[Present]) -> Iterator[str]:
    """What is wrong where two bundles are of one part."""
    for at, found in itertools.groupby(here, key=lambda one: one.sequence):
        same = list(found)
        if len(same) > 1:
            named = ", ".join(f"{one.bundle} (item {one.item})" for one in same)
            yield f"{numbers(at, at)} of recording {same[0].recording} is here {len(same)} times: {named}"


def _unlinked(here: Sequence[Present]) -> Iterator[str]:
    """What is wrong where the journal of a part begins right behind that of the part before and is another (BU-47)."""
    for one, other in itertools.pairwise(here):
        ends, next_ends = one.ends, other.ends
        if ends is None or next_ends is None or other.sequence != one.sequence + 1:
            continue
        follows = (next_ends.service, next_ends.first) == (ends.service, ends.last + 1)
        if follows and next_ends.prev != ends.last_sha256:
            yield f"line {next_ends.first} in {other.bundle} does not follow the last one in {one.bundle}: two journals"


def _say_end(where: str, here: Sequence[Present], checks: Checks) -> None:
    said = _distinct(here)
    numbers_here = [one.sequence for one in here]
    if not is_end_known(numbers_here, said):
        last = max([*numbers_here, *(one.last for one in said)])
        text = f"whether recording {here[0].recording} goes on behind part {last + 1} is not known from what is here"
        checks.absent(PARTS, where, text)


def _time(utc_us: int | None) -> str:
    return "?" if utc_us is None else iso(utc_us)
