"""The plan for a recording: what it says of each part is what it says of the whole, in picture and in sound."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.redact.cover import cells_at
from edge.redact.parts import BEFORE_MUTE_US, BEHIND_MUTE_US, part_plan
from edge.redact.plan import OF_RECORDING, Key, Mute, Part, Plan, Region, check_plan, parse_plan
from edge.redact.plan_text import plan_text
from vedette import cli
from vedette.errors import Refused

ITEM = "01a2076b-4400-7f5c-8293-c2c1e62e57d{}"
SECOND_US, STEP_US = 1_000_000, 40_000


def part(number: int, **changes: Any) -> Part:
    values: dict[str, Any] = {
        "item": ITEM.format(number), "sequence": 4 + number, "parent_sha256": f"{number}" * 64, "frames": 25,
        "started_us": 1_795_420_800_000_000 + number * SECOND_US, "begins_us": number * SECOND_US,
        "end_us": 960_000, "has_sound": True,
    }  # fmt: skip
    return Part(**{**values, **changes})


def plan_of(*regions: Region, mutes: tuple[Mute, ...] = (), **changes: Any) -> Plan:
    values: dict[str, Any] = {
        "recording": ITEM.format(9), "device": "car-1", "width": 320, "height": 180, "checked_by": "A", "why": "b",
        "stamp": "keep", "sound": "keep", "models": {"detector": "c" * 64}, "parts": (part(0), part(1), part(2)),
    }  # fmt: skip
    return Plan(**{**values, **changes}, regions=regions, mutes=mutes)


@st.composite
def regions(draw: st.DrawFn) -> Region:
    """A region with keys anywhere on the recording's timeline, in the parts, on their borders and between pictures."""
    times = st.integers(0, 74).map(lambda one: one * STEP_US) | st.integers(0, 2_960_000)
    from_us, to_us = sorted((draw(times), draw(times)))
    at = sorted(draw(st.sets(times, min_size=1, max_size=6)))
    boxes = st.tuples(st.integers(0, 150), st.integers(0, 80), st.integers(151, 320), st.integers(81, 180))
    keys = tuple(Key(at_us=one, places=draw(boxes)) for one in at)
    return Region(name="a", reason="r", found_by="person", shape="box", from_us=from_us, to_us=to_us, keys=keys)


@given(regions())
def test_a_region_covers_the_same_in_each_picture_by_its_part_as_by_the_whole(region: Region) -> None:
    """RD-44: whichever of its keys lie in other parts"""
    plan = plan_of(region)
    check_plan(plan)
    for number in range(75):
        ours = cells_at(part_plan(plan, number // 25).regions, number % 25 * STEP_US, width=320, height=180)
        assert np.array_equal(ours, cells_at([region], number * STEP_US, width=320, height=180)), number


def test_a_plan_reads_back_as_it_was_written() -> None:
    """RD-43, RD-5"""
    region = Region(
        name="a-1", reason="x", found_by="person", shape="box", from_us=5, to_us=2_960_000,
        keys=(Key(at_us=5, places=(0, 0, 9, 9)), Key(at_us=1_500_000, places=(1, 1, 320, 9))),
    )  # fmt: skip
    plan = plan_of(region, mutes=(Mute(from_us=900_000, to_us=1_100_000, reason="a name"),))
    text = plan_text(plan)
    assert parse_plan(text.encode(), version=OF_RECORDING) == plan
    assert "# 2026-11-23T08:00:01" in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"parts": ()}, "no \\[\\[part\\]\\]"),
        ({"parts": (part(0), part(2))}, "part 2 is segment 6; segment 5 comes there"),
        ({"parts": (part(0), part(1, begins_us=960_000))}, "part 2 begins at 960000 us, before the one before it ends"),
        ({"parts": (part(0, begins_us=1),)}, "does not begin at 0 us"),
        ({"parts": (part(0, item="../x"),)}, "is no id"),
        ({"recording": "x"}, "is no id"),
        ({"parts": (part(0, parent_sha256="x"),)}, "is not a SHA-256"),
        ({"mutes": (Mute(from_us=0, to_us=3_960_001, reason="x"),)}, "mute 1 goes to 3960001 us"),
        (
            {"mutes": (Mute(from_us=1_000_000, to_us=1_500_000, reason="x"),),
             "parts": (part(0), part(1, has_sound=False), part(2))},
            "mute 1 lies where the recording has no sound",
        ),
    ],
)  # fmt: skip
def test_a_plan_that_cannot_be_is_refused(changes: dict[str, Any], said: str) -> None:
    """RD-43, RD-4"""
    with pytest.raises(Refused, match=said):
        check_plan(plan_of(**changes))


@pytest.mark.parametrize(
    ("mute", "parts"),
    [
        ((900_000, 1_100_000), [[(900_000, 1_960_000)], [(0, 100_000)], []]),
        ((1_000_000 + BEFORE_MUTE_US, 1_200_000), [[(1_000_000, 1_000_000)], [(120_000, 200_000)], []]),
        ((1_000_001 + BEFORE_MUTE_US, 1_200_000), [[], [(120_001, 200_000)], []]),
        ((500_000, 1_000_000 - BEHIND_MUTE_US), [[(500_000, 920_000)], [(0, 0)], []]),
        ((500_000, 999_999 - BEHIND_MUTE_US), [[(500_000, 919_999)], [], []]),
        ((2_500_000, 3_900_000), [[], [], [(500_000, 1_900_000)]]),
    ],
)
def test_a_mute_reaches_the_packets_behind_a_cut_that_share_samples_with_it(
    mute: tuple[int, int], parts: list[list[tuple[int, int]]]
) -> None:
    """RD-45, RD-13"""
    plan = plan_of(mutes=(Mute(from_us=mute[0], to_us=mute[1], reason="x"),))
    check_plan(plan)
    assert [[(one.from_us, one.to_us) for one in part_plan(plan, at).mutes] for at in range(3)] == parts


def test_mutes_that_touch_at_a_cut_are_one_and_a_part_without_sound_has_none() -> None:
    """RD-45, RD-4"""
    mutes = (Mute(from_us=930_000, to_us=940_000, reason="b"), Mute(from_us=900_000, to_us=920_000, reason="a"))
    plan = plan_of(mutes=mutes, parts=(part(0), part(1), part(2, has_sound=False)))
    check_plan(plan)
    assert [[(one.from_us, one.to_us, one.reason) for one in part_plan(plan, at).mutes] for at in range(3)] == [
        [(900_000, 920_000, "a"), (930_000, 940_000, "b")], [(0, 0, "a; b")], [],
    ]  # fmt: skip


@pytest.mark.parametrize("codec", ["aac", "opus"])
@pytest.mark.parametrize("mute", [(700_000, 1_300_000), (1_010_000, 1_400_000), (600_000, 990_000)])
def test_a_mute_over_a_cut_is_silent_on_both_sides(
    codec: str, mute: tuple[int, int], grey_drive: Callable[..., Any], key_file: Path, tmp_path: Path,
    edited: Callable[[Path, str], Path],
) -> None:  # fmt: skip
    """RD-45, RD-13, RD-35: also heard as one stream, as a player that joins the parts would decode them"""
    drive = grey_drive(codec, 2)
    plan = tmp_path / "plan.toml"
    words = ["evidence", "redact", str(drive.folder), "--identity", str(drive.identity)]
    assert cli.main([*words, "--propose", str(plan), "--no-plates"]) == 0
    edited(plan, f'\n[[mute]]\nfrom_us = {mute[0]}\nto_us = {mute[1]}\nreason = "a name"\n')
    assert cli.main([*words, "--apply", str(plan), "-o", str(tmp_path / "out"), "--key", str(key_file)]) == 0
    assert cli.main([*words, "--check", str(tmp_path / "out")]) == 0
    copied = [one.read_bytes() for one in sorted((tmp_path / "out").glob("*.mp4"))]
    loud = heard(copied)
    assert loud[mute[0] // 10_000 : mute[1] // 10_000].max() <= 0.0005
    assert loud[20:45].min() > 0.2
    assert loud[160:190].min() > 0.1  # Opus takes a while to be as loud as before
    assert heard(list(drive.plains))[20:190].min() > 0.2


def heard(files: list[bytes]) -> np.ndarray:  # type: ignore[type-arg]
    """Loudness of each 10 ms of the files' sound, decoded by one decoder that never starts anew."""
    loud = np.zeros(250)
    decoder = None
    for number, content in enumerate(files):
        with av.open(io.BytesIO(content)) as file:
            stream = file.streams.audio[0]
            decoder = decoder or av.CodecContext.create(stream.codec_context.codec.name, "r")
            decoder.extradata = decoder.extradata or stream.codec_context.extradata
            for packet in file.demux(stream):
                if not packet.size:
                    continue
                at_us = number * SECOND_US + int((packet.pts or 0) * (packet.time_base or 1) * SECOND_US)
                for frame in decoder.decode(packet):
                    samples = np.abs(frame.to_ndarray().reshape(-1).astype(float))
                    for place in range(0, len(samples), 480):
                        slot = (at_us + place * 1_000_000 // 48_000) // 10_000
                        loud[slot] = max(loud[slot], samples[place : place + 480].max())
    return loud
