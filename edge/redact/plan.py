"""The redaction plan: which part of the picture is covered when, which sound is muted, what becomes of the stamp.

Decided here: the file's form (TOML, so that a person can edit it), its limits, and what is refused before a single
picture is decoded. A plan says who looked at it and why the copy is made; one that nobody looked at is not carried out.
Version 1 is for one item, version 2 for a whole recording: its timeline is its parts one behind another. Implements
RD-1 to RD-6 and RD-43 of docs/spec/redaction.md. Coordinates are pixels of the picture as it is coded, times are
microseconds of its own timeline. What of a recording's plan is the plan for one of its parts is `edge.redact.parts`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from edge.redact.plan_table import MAX_PLAN_BYTES as MAX_PLAN_BYTES
from edge.redact.plan_table import Table, load_table
from vedette.errors import Refused
from vedette.redaction import MAX_PARTS

MAX_REGIONS = 20_000
MAX_KEYS = 20_000
MAX_MUTES = 1000
MAX_CORNERS = 32
MAX_UTC_US = (1 << 53) - 1
# Sound may go on behind the last picture's time, by that picture's length and what a microphone was late.
SOUND_BEHIND_US = 1_000_000
BY_DETECTOR, BY_PERSON = "detector", "person"
BOX, POLYGON = "box", "polygon"
STAMPS = ("keep", "without_position", "drop")
SOUNDS = ("keep", "drop")
OF_ITEM, OF_RECORDING = 1, 2
_OTHER = {
    OF_ITEM: "the plan is of version 2, for a whole recording; give all of its items, or propose a plan for this one",
    OF_RECORDING: "the plan is of version 1, for one item; give that item alone, or propose a plan for the recording",
}
_NAME = re.compile(r"^[a-z0-9][a-z0-9-]{0,39}$")
_SHA256 = re.compile(r"^[0-9a-f]{64}$")
_UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """Where a region is at one moment: x0, y0, x1, y1 of a box, or x and y of each corner of a polygon, in pixels."""

    at_us: int
    places: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Region:
    """A part of the picture to be covered from `from_us` to `to_us`, both included; between keys it moves evenly,
    before the first and after the last it stands still.
    """

    name: str
    reason: str
    found_by: str
    shape: str
    from_us: int
    to_us: int
    keys: tuple[Key, ...]
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mute:
    """Sound that is not to be heard, from `from_us` to `to_us`, both included."""

    from_us: int
    to_us: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One item: its opened bytes (SHA-256 in hex), its `frames` pictures, the last at `end_us` of its own time.

    Of a recording also which item and segment it is, when its first picture was taken (UTC) and where that stands on
    the recording's timeline.
    """

    parent_sha256: str
    frames: int
    end_us: int
    item: str = ""
    sequence: int = 0
    started_us: int = 0
    begins_us: int = 0
    has_sound: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is done to one item, or to the parts of recording `recording` by `device`; regions and mutes are in the
    time of the whole, `models` looked for plates (SHA-256 by name).
    """

    parts: tuple[Part, ...]
    recording: str = ""
    device: str = ""
    width: int
    height: int
    checked_by: str
    why: str
    stamp: str
    sound: str
    models: Mapping[str, str]
    regions: tuple[Region, ...]
    mutes: tuple[Mute, ...]

    @property
    def version(self) -> int:
        """Of the file: `OF_ITEM` or `OF_RECORDING`."""
        return OF_RECORDING if self.recording else OF_ITEM

    @property
    def frames(self) -> int:
        """The pictures of all parts."""
        return sum(one.frames for one in self.parts)

    @property
    def end_us(self) -> int:
        """The last picture's time on the timeline."""
        return self.parts[-1].begins_us + self.parts[-1].end_us

    def sound_end_us(self, at: int) -> int:
        """Where the sound of part `at` ends on the timeline, at the latest."""
        last_us = self.parts[at].begins_us + self.parts[at].end_us + SOUND_BEHIND_US
        return min(last_us, self.parts[at + 1].begins_us) if at + 1 < len(self.parts) else last_us


def parse_plan(content: bytes, *, version: int = OF_ITEM) -> Plan:
    """The plan of that version in a TOML file; Refused names the table and what is wrong with it."""
    top = load_table(content)
    found = top.integer("version", least=0)
    if found not in _OTHER:
        raise Refused(f"the plan is of version {found}; this software knows versions 1 and 2 only")
    if found != version:
        raise Refused(_OTHER[version])
    is_whole = version == OF_RECORDING
    plan = Plan(
        recording=_id(top.text("recording")) if is_whole else "",
        device=top.text("device") if is_whole else "",
        width=top.integer("width", least=2),
        height=top.integer("height", least=2),
        checked_by=top.text("checked_by", default=""),
        why=top.text("why", default=""),
        stamp=top.one_of("stamp", STAMPS),
        sound=top.one_of("sound", SOUNDS),
        models={str(name): str(value) for name, value in top.table("models").items()},
        parts=tuple(map(_part, top.tables("part", most=MAX_PARTS))) if is_whole else (_only(top),),
        regions=tuple(map(_region, top.tables("region", most=MAX_REGIONS))),
        mutes=tuple(map(_mute, top.tables("mute", most=MAX_MUTES))),
    )
    top.close()
    check_plan(plan)
    return plan


def check_plan(plan: Plan) -> None:
    """Return when the plan can be carried out on videos of its own measures; else Refused says which part cannot."""
    if plan.recording:
        _check_parts(plan)
    hashes = [("parent_sha256", one.parent_sha256) for one in plan.parts]
    for what, sha256 in (*hashes, *((f"models.{k}", v) for k, v in plan.models.items())):
        if not _SHA256.fullmatch(sha256):
            raise Refused(f"the plan: {what} is not a SHA-256 in hex")
    names = [one.name for one in plan.regions]
    twice = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
    if twice:
        raise Refused(f"the plan: two regions are called {min(twice)!r}; give each its own name")
    for region in plan.regions:
        _check_region(region, plan)
    _check_mutes(plan)


def _check_parts(plan: Plan) -> None:
    if not plan.parts:
        raise Refused("the plan: it has no [[part]], so it is of nothing")
    for one in (plan.recording, *(part.item for part in plan.parts)):
        _id(one)
    for number, (a, b) in enumerate(pairwise(plan.parts), start=2):
        if b.sequence != a.sequence + 1:
            raise Refused(f"the plan: part {number} is segment {b.sequence}; segment {a.sequence + 1} comes there")
        if b.begins_us <= a.begins_us + a.end_us:
            raise Refused(f"the plan: part {number} begins at {b.begins_us} us, before the one before it ends")
    if plan.parts[0].begins_us != 0:
        raise Refused("the plan: its first part does not begin at 0 us")


def _check_mutes(plan: Plan) -> None:
    for number, mute in enumerate(plan.mutes, start=1):
        _check_span(f"mute {number}", mute.from_us, mute.to_us, plan.end_us + SOUND_BEHIND_US)
        if plan.recording and not any(
            one.has_sound and mute.from_us < plan.sound_end_us(at) and mute.to_us >= one.begins_us
            for at, one in enumerate(plan.parts)
        ):
            raise Refused(f"the plan: mute {number} lies where the recording has no sound; take it out")
    ordered = sorted(enumerate(plan.mutes, start=1), key=lambda one: (one[1].from_us, one[0]))
    for (first, a), (second, b) in pairwise(ordered):
        if b.from_us <= a.to_us:
            raise Refused(f"the plan: mutes {first} and {second} overlap; make one of them")
    if plan.mutes and plan.sound == "drop":
        raise Refused('the plan: it mutes sound and drops all of it; take out the mutes or say sound = "keep"')


def check_looked_at(plan: Plan) -> None:
    """Return when a person's name and a reason are in the plan; Refused otherwise: no copy leaves unseen."""
    if not plan.checked_by.strip():
        raise Refused(
            "the plan: checked_by is empty; the detector misses plates, so a person has to look at the whole video, "
            "mend the plan and put the name there"
        )
    if not plan.why.strip():
        raise Refused("the plan: why is empty; say for whom or what this copy is made")


def _check_region(region: Region, plan: Plan) -> None:
    where = f"region {region.name!r}"
    if not _NAME.fullmatch(region.name):
        raise Refused(f"the plan: {where}: a name is 1 to 40 of a-z, 0-9 and dash")
    _check_span(where, region.from_us, region.to_us, plan.end_us)
    if not region.keys:
        raise Refused(f"the plan: {where} has no keys, so it is nowhere")
    if any(a.at_us >= b.at_us for a, b in pairwise(region.keys)):
        raise Refused(f"the plan: {where}: the times of its keys do not rise")
    sides = {len(key.places) for key in region.keys}
    corners = {4} if region.shape == BOX else set(range(6, 2 * MAX_CORNERS + 1, 2))
    if len(sides) != 1 or not sides <= corners:
        wanted = "x0, y0, x1, y1" if region.shape == BOX else f"x, y of 3 to {MAX_CORNERS} corners, the same in all"
        raise Refused(f"the plan: {where}: each key is [time, {wanted}]")
    for key in region.keys:
        _check_place(f"{where}: the key at {key.at_us} us", region.shape, key.places, plan)


def _check_place(where: str, shape: str, places: Sequence[int], plan: Plan) -> None:
    xs, ys = places[::2], places[1::2]
    if min(xs) < 0 or min(ys) < 0 or max(xs) > plan.width or max(ys) > plan.height:
        raise Refused(f"the plan: {where} lies outside of the picture of {plan.width}x{plan.height} pixels")
    if shape == BOX and not (places[0] < places[2] and places[1] < places[3]):
        raise Refused(f"the plan: {where} is empty: x0 < x1 and y0 < y1 are wanted")
    if len(set(xs)) == 1 or len(set(ys)) == 1:
        raise Refused(f"the plan: {where} has no area")


def _check_span(where: str, from_us: int, to_us: int, end_us: int) -> None:
    if to_us < from_us:
        raise Refused(f"the plan: {where} ends at {to_us} us, before it begins at {from_us} us")
    if from_us > end_us or to_us > end_us:
        raise Refused(f"the plan: {where} goes to {to_us} us; the video ends at {end_us} us")


def _id(text: str) -> str:
    if not _UUID.fullmatch(text):
        raise Refused(f"the plan: {text[:40]!r} is no id of a recording or item")
    return text


def _only(top: Table) -> Part:
    return Part(
        parent_sha256=top.text("parent_sha256"), frames=top.integer("frames", least=1), end_us=top.integer("end_us")
    )


def _part(table: Table) -> Part:
    part = Part(
        item=table.text("item"),
        sequence=table.integer("sequence"),
        parent_sha256=table.text("parent_sha256"),
        started_us=table.integer("started_us", most=MAX_UTC_US),
        begins_us=table.integer("begins_us"),
        frames=table.integer("frames", least=1),
        end_us=table.integer("end_us"),
        has_sound=table.boolean("has_sound"),
    )
    table.close()
    return part


def _region(table: Table) -> Region:
    keys = [
        Key(at_us=row[0], places=tuple(row[1:])) for row in table.rows("keys", most=MAX_KEYS, longest=2 * MAX_CORNERS)
    ]
    region = Region(
        name=table.text("name"),
        reason=table.text("reason"),
        found_by=table.one_of("found_by", (BY_DETECTOR, BY_PERSON), default=BY_PERSON),
        shape=table.one_of("shape", (BOX, POLYGON), default=BOX),
        from_us=table.integer("from_us"),
        to_us=table.integer("to_us"),
        keys=tuple(keys),
        note=table.text("note", default=""),
    )
    table.close()
    return region


def _mute(table: Table) -> Mute:
    mute = Mute(from_us=table.integer("from_us"), to_us=table.integer("to_us"), reason=table.text("reason"))
    table.close()
    return mute
