"""The redaction plan: which part of the picture is covered when, which sound is muted, what becomes of the stamp.

Decided here: the file's form (TOML, so that a person can edit it), its limits, and what is refused before a single
picture is decoded. A plan says who looked at it and why the copy is made; one that nobody looked at is not carried out.
Implements RD-1 to RD-6 of docs/spec/redaction.md. Coordinates are pixels of the picture as it is coded, times are
microseconds of its own timeline. A plan for a whole recording is `edge.redact.recording_plan`'s.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from edge.redact.plan_table import MAX_PLAN_BYTES as MAX_PLAN_BYTES
from edge.redact.plan_table import Table, load_table
from vedette.errors import Refused

MAX_REGIONS = 20_000
MAX_KEYS = 20_000
MAX_MUTES = 1000
MAX_CORNERS = 32
# Sound may go on behind the last picture's time, by that picture's length and what a microphone was late.
SOUND_BEHIND_US = 1_000_000
BY_DETECTOR, BY_PERSON = "detector", "person"
BOX, POLYGON = "box", "polygon"
STAMPS = ("keep", "without_position", "drop")
SOUNDS = ("keep", "drop")
_NAME = re.compile(r"^[a-z0-9][a-z0-9-]{0,39}$")
_SHA256 = re.compile(r"^[0-9a-f]{64}$")


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
class Plan:
    """What is done to the video whose bytes have `parent_sha256`; `models` looked for plates (SHA-256 by name)."""

    parent_sha256: str
    width: int
    height: int
    frames: int
    end_us: int
    checked_by: str
    why: str
    stamp: str
    sound: str
    models: Mapping[str, str]
    regions: tuple[Region, ...]
    mutes: tuple[Mute, ...]


def parse_plan(content: bytes) -> Plan:
    """The plan in a TOML file; Refused names the table and what is wrong with it."""
    top = load_table(content)
    version = top.integer("version", least=0)
    if version == 2:
        raise Refused(
            "the plan is of version 2, for a whole recording; give all of its items, or propose a plan for this one"
        )
    if version != 1:
        raise Refused(f"the plan is of version {version}; this software knows versions 1 and 2 only")
    plan = Plan(
        parent_sha256=top.text("parent_sha256"),
        width=top.integer("width", least=2),
        height=top.integer("height", least=2),
        frames=top.integer("frames", least=1),
        end_us=top.integer("end_us"),
        checked_by=top.text("checked_by", default=""),
        why=top.text("why", default=""),
        stamp=top.one_of("stamp", STAMPS),
        sound=top.one_of("sound", SOUNDS),
        models=read_models(top),
        regions=read_regions(top),
        mutes=read_mutes(top),
    )
    top.close()
    check_plan(plan)
    return plan


def check_plan(plan: Plan) -> None:
    """Return when the plan can be carried out on a video of its own measures; else Refused says which part cannot."""
    for what, sha256 in (("parent_sha256", plan.parent_sha256), *((f"models.{k}", v) for k, v in plan.models.items())):
        if not _SHA256.fullmatch(sha256):
            raise Refused(f"the plan: {what} is not a SHA-256 in hex")
    names = [one.name for one in plan.regions]
    twice = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
    if twice:
        raise Refused(f"the plan: two regions are called {min(twice)!r}; give each its own name")
    for region in plan.regions:
        _check_region(region, plan)
    for number, mute in enumerate(plan.mutes, start=1):
        _check_span(f"mute {number}", mute.from_us, mute.to_us, plan.end_us + SOUND_BEHIND_US)
    ordered = sorted(enumerate(plan.mutes, start=1), key=lambda one: (one[1].from_us, one[0]))
    for (first, a), (second, b) in pairwise(ordered):
        if b.from_us <= a.to_us:
            raise Refused(f"the plan: mutes {first} and {second} overlap; make one of them")
    if plan.mutes and plan.sound == "drop":
        raise Refused('the plan: it mutes sound and drops all of it; take out the mutes or say sound = "keep"')


class Answered(Protocol):
    """A plan that says who looked at the video and why the copy is made."""

    @property
    def checked_by(self) -> str: ...

    @property
    def why(self) -> str: ...


def check_looked_at(plan: Answered) -> None:
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


def read_regions(top: Table) -> tuple[Region, ...]:
    """The tables `[[region]]` of a plan."""
    return tuple(_region(one) for one in top.tables("region", most=MAX_REGIONS))


def read_mutes(top: Table) -> tuple[Mute, ...]:
    """The tables `[[mute]]` of a plan."""
    return tuple(_mute(one) for one in top.tables("mute", most=MAX_MUTES))


def read_models(top: Table) -> dict[str, str]:
    """The table `[models]` of a plan."""
    return {str(name): str(value) for name, value in top.table("models").items()}


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
