"""A plan that cannot be carried out is refused before a picture is decoded, and says where."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.redact.plan import (
    BY_DETECTOR,
    MAX_KEYS,
    MAX_PLAN_BYTES,
    Key,
    Mute,
    Part,
    Plan,
    Region,
    check_looked_at,
    check_plan,
    parse_plan,
)
from edge.redact.plan_text import plan_text
from vedette.errors import Refused

ROOT = Path(__file__).parents[3]
TEXTS = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=40)


def plan_of(*regions: Region, mutes: tuple[Mute, ...] = (), **changes: object) -> Plan:
    values: dict[str, object] = {
        "parts": (Part(parent_sha256="a" * 64, frames=75, end_us=2_960_000),), "width": 640, "height": 360,
        "checked_by": "A. Tazi", "why": "disclosure", "stamp": "keep", "sound": "keep",
        "models": {"detector": "b" * 64},
    }  # fmt: skip
    return Plan(**{**values, **changes}, regions=regions, mutes=mutes)  # type: ignore[arg-type]


def box(
    *places: int, name: str = "one", from_us: int = 0, to_us: int = 1_000_000, keys: tuple[Key, ...] | None = None
) -> Region:
    return Region(
        name=name, reason="plate", found_by=BY_DETECTOR, shape="box", from_us=from_us, to_us=to_us,
        keys=keys if keys is not None else (Key(at_us=from_us, places=places),),
    )  # fmt: skip


@given(name=TEXTS, why=TEXTS, note=TEXTS)
def test_a_plan_reads_back_as_it_was_written_whatever_a_person_types(name: str, why: str, note: str) -> None:
    """RD-5"""
    region = Region(
        name="a-1", reason=note, found_by="person", shape="polygon", from_us=5, to_us=9, note=note,
        keys=(Key(at_us=5, places=(0, 0, 9, 0, 9, 9)), Key(at_us=7, places=(1, 1, 640, 0, 9, 360))),
    )  # fmt: skip
    plan = plan_of(region, mutes=(Mute(from_us=1, to_us=2, reason=why),), checked_by=name, why=why)
    assert parse_plan(plan_text(plan).encode()) == plan


@pytest.mark.parametrize(
    ("region", "said"),
    [
        (box(0, 0, 641, 10), "outside of the picture of 640x360"),
        (box(-1, 0, 10, 10), "outside of the picture"),
        (box(0, 350, 10, 361), "outside of the picture"),
        (box(10, 10, 10, 20), "is empty"),
        (box(10, 10, 5, 20), "is empty"),
        (box(0, 0, 10), "each key is"),
        (box(0, 0, 10, 10, 5, 5), "each key is"),
        (box(0, 0, 10, 10, from_us=2, to_us=1), "before it begins"),
        (box(0, 0, 10, 10, to_us=2_960_001), "the video ends at 2960000 us"),
        (box(0, 0, 10, 10, name="A region"), "a name is"),
        (box(keys=()), "has no keys"),
        (box(keys=(Key(at_us=5, places=(0, 0, 9, 9)), Key(at_us=5, places=(0, 0, 9, 9)))), "do not rise"),
    ],
)
def test_a_region_that_cannot_be_is_refused_and_named(region: Region, said: str) -> None:
    """RD-3"""
    with pytest.raises(Refused, match=said) as refused:
        check_plan(plan_of(region))
    assert region.name in str(refused.value)


def test_a_region_may_reach_exactly_to_the_edges_and_the_end() -> None:
    """RD-3"""
    check_plan(plan_of(box(0, 0, 640, 360, to_us=2_960_000)))


def test_two_regions_of_one_name_are_refused() -> None:
    """RD-3"""
    with pytest.raises(Refused, match="two regions are called 'one'"):
        check_plan(plan_of(box(0, 0, 9, 9), box(0, 0, 9, 9)))


@pytest.mark.parametrize(("begin", "is_refused"), [(99, True), (100, True), (101, False)])
def test_mutes_that_overlap_are_refused_and_numbered(begin: int, is_refused: bool) -> None:
    """RD-4"""
    first, second = Mute(from_us=begin, to_us=200, reason="b"), Mute(from_us=0, to_us=100, reason="a")
    said = None
    try:
        check_plan(plan_of(mutes=(first, second)))
    except Refused as error:
        said = str(error)
    assert (said is not None) == is_refused
    assert said is None or "mutes 2 and 1 overlap" in said


def test_mutes_and_no_sound_at_all_contradict_each_other() -> None:
    """RD-4"""
    with pytest.raises(Refused, match="drops all of it"):
        check_plan(plan_of(mutes=(Mute(from_us=0, to_us=1, reason="x"),), sound="drop"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("version = 1", "version = 2", "version 2"),
        ("version = 1", "", "version is missing"),
        ("width = 640", 'width = "640"', "width is not a whole number"),
        ("width = 640", "width = 640.0", "width is not a whole number"),
        ("width = 640", "width = 640\ncolour = 1", "'colour' is unknown"),
        ("width = 640", "width = = 640", "not TOML"),
        ('stamp = "keep"', 'stamp = "blur"', "it is one of keep, without_position, drop"),
        ('parent_sha256 = "aa', 'parent_sha256 = "AA', "parent_sha256 is not a SHA-256"),
        ("keys = [\n  [0, 0, 0, 9, 9],\n]", "keys = [[0, 0, 0, 9]]", "keys is not a list"),
        ("keys = [\n  [0, 0, 0, 9, 9],\n]", "keys = [[0, 0, 0, 9, 9.5]]", "something other than whole numbers"),
        ("keys = [\n  [0, 0, 0, 9, 9],\n]", "keys = [[0, 0, 0, 9, true]]", "something other than whole numbers"),
        ('name = "one"', 'name = "one"\nblur = 3', "region 1: 'blur' is unknown"),
        ("\n[[region]]", "\n[region]", r"\[\[region\]\] is a list"),
    ],
)
def test_a_slip_of_the_pen_is_named(old: str, new: str, said: str) -> None:
    """RD-5"""
    text = plan_text(plan_of(box(0, 0, 9, 9)))
    assert old in text
    with pytest.raises(Refused, match=said):
        parse_plan(text.replace(old, new, 1).encode())


def test_a_plan_has_limits() -> None:
    """RD-5"""
    fitting = tuple(Key(at_us=number, places=(0, 0, 9, 9)) for number in range(MAX_KEYS))
    parse_plan(plan_text(plan_of(box(keys=fitting))).encode())
    more = (*fitting, Key(at_us=MAX_KEYS, places=(0, 0, 9, 9)))
    with pytest.raises(Refused, match="keys is not a list"):
        parse_plan(plan_text(plan_of(box(keys=more))).encode())
    with pytest.raises(Refused, match="larger than"):
        parse_plan(b"#" * (MAX_PLAN_BYTES + 1))


@pytest.mark.parametrize(("changes", "said"), [({"checked_by": " "}, "checked_by"), ({"why": ""}, "why is empty")])
def test_a_plan_that_nobody_answers_for_is_not_carried_out(changes: dict[str, str], said: str) -> None:
    """RD-2"""
    check_looked_at(plan_of())
    with pytest.raises(Refused, match=said):
        check_looked_at(plan_of(**changes))
