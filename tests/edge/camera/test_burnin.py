"""The stamp in the pictures of a clip: really coded, decoded again and compared with what should be drawn."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.camera import burnin, open_camera
from edge.camera.burnin import BurntStamp, stamp_text
from edge.camera.clip import ClipCamera
from edge.camera.drawnstamp import StampFacts
from edge.camera.port import EncodedUnit, Given, SmallFrame, Stamped
from vedette.clock import FakeClock
from vedette.config import CameraSection
from vedette.errors import Usage

NOON_US = 1_795_608_402_900_000
FACTS = StampFacts(
    device="car-1", ahead_us=0, zone_s=3600, recording="019ac123-4567-7000-8000-0123456789ab",
    place="33.57310 N 7.58981 W ±5 m 3D 9 sat", fixed_us=NOON_US,
)  # fmt: skip
OTHERS = [
    replace(FACTS, recording="019ac123-4567-7000-8000-0123456789ac"),
    replace(FACTS, recording=""),
    replace(FACTS, place="33.57310 N 7.58982 W ±5 m 3D 9 sat"),
    replace(FACTS, place=""),
    replace(FACTS, is_distrusted=True),
    replace(FACTS, fixed_us=NOON_US - 9_000_000),
    replace(FACTS, zone_s=0),
    replace(FACTS, device="car-7"),
]
Luma = NDArray[np.uint8]


def clip(path: Path, **options: str) -> ClipCamera:
    section = CameraSection(source=str(path), pace="fast", bitrate_kbps=2_000, options=options)
    one = open_camera(section, FakeClock(utc_us=NOON_US))
    assert isinstance(one, ClipCamera)
    assert isinstance(one, Stamped)
    return one


def taken(one: ClipCamera, facts: StampFacts | None) -> tuple[list[Luma], list[SmallFrame]]:
    """Every picture as it was recorded, and as the reader gets it."""
    if facts is not None:
        one.stamp(facts)
    one.open()
    given: list[Given] = []
    while not one.ended:
        given += one.read(0)
    decoder = av.CodecContext.create("h264", "r")
    units = [unit for unit in given if isinstance(unit, EncodedUnit)]
    decoded = [picture for unit in units for picture in decoder.decode(av.Packet(unit.data))]
    frames = [frame for frame in given if isinstance(frame, SmallFrame)]
    return [picture.to_ndarray()[: frames[0].height] for picture in decoded], frames


def expected(frame: SmallFrame, facts: StampFacts, text: str = "") -> Luma:
    stamp = BurntStamp(text)
    stamp.facts = facts
    luma = frame.luma.copy()
    stamp.draw(luma, frame.utc_us)
    return luma


def apart(one: Luma, other: Luma, rows: slice = slice(0, 60)) -> float:
    return float(np.abs(one[rows].astype(int) - other[rows]).mean())


@pytest.mark.parametrize("size", ["640x480", "1920x1080"])
def test_recorded_picture_has_the_stamp_and_no_other(make_clip: Callable[..., Path], size: str) -> None:
    """SG-21, SG-22: of all that might be drawn, what was told comes nearest to the picture after H.264."""
    recorded, frames = taken(clip(make_clip("mpeg4", size=size, seconds=1), stamp="true"), FACTS)
    for picture, frame in list(zip(recorded, frames, strict=True))[::24]:
        near = apart(picture, expected(frame, FACTS))
        assert all(near < apart(picture, expected(frame, other)) for other in OTHERS)
        assert near < 0.5 * apart(picture, frame.luma)
        assert apart(picture, frame.luma, slice(60, None)) < 8


def test_readers_picture_has_no_stamp(make_clip: Callable[..., Path]) -> None:
    """SG-21."""
    path = make_clip("mpeg4", size="640x480", seconds=1)
    _, seen = taken(clip(path, stamp="unit-7"), FACTS)
    _, plain = taken(clip(path), None)
    assert [a.i420.tobytes() for a in seen] == [b.i420.tobytes() for b in plain]


@pytest.mark.parametrize(
    ("coding", "options", "is_stamped"),
    [("h264", {"stamp": "true"}, False), ("mpeg4", {}, False), ("mpeg4", {"stamp": "x"}, True)],
)
def test_picture_that_is_not_coded_here_is_not_coded_for_the_stamp(
    make_clip: Callable[..., Path], coding: str, options: dict[str, str], is_stamped: bool
) -> None:
    """SG-21."""
    one = clip(make_clip(coding, size="640x480", seconds=1), **options)
    recorded, frames = taken(one, FACTS)
    assert one.is_stamped is is_stamped
    assert (apart(recorded[0], frames[0].luma) > 15) is is_stamped


def test_what_is_told_while_it_runs_is_in_the_pictures_from_then_on(make_clip: Callable[..., Path]) -> None:
    """SG-23."""
    standby = replace(FACTS, recording="")
    one = clip(make_clip("mpeg4", size="640x480", seconds=1), stamp="true")
    one.stamp(standby)
    one.open()
    first = one.read(0)
    one.stamp(FACTS)
    then = one.read(0)
    decoder = av.CodecContext.create("h264", "r")
    for given, facts, other in ((first, standby, FACTS), (then, FACTS, standby)):
        frames = [frame for frame in given if isinstance(frame, SmallFrame)]
        units = [unit for unit in given if isinstance(unit, EncodedUnit)]
        for unit, frame in zip(units, frames, strict=True):
            (picture,) = decoder.decode(av.Packet(unit.data))
            luma = picture.to_ndarray()[:480]
            assert apart(luma, expected(frame, facts)) < apart(luma, expected(frame, other))


def test_nothing_is_drawn_until_something_was_told(make_clip: Callable[..., Path]) -> None:
    """SG-21: a stamp with a name and a place that nobody said would be a lie."""
    recorded, frames = taken(clip(make_clip("mpeg4", size="640x480", seconds=1), stamp="true"), None)
    assert apart(recorded[0], frames[0].luma) < 8


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("height", [240, 480, 720, 1080])
def test_letters_stand_out_on_any_ground_and_hide_little(level: int, height: int) -> None:
    """SG-24: no line is cut, at most a tenth of a picture of 480 rows and more is touched, half of it shows through."""
    width = height * 16 // 9 // 2 * 2
    luma = np.full((height, width), level, np.uint8)
    stamp = BurntStamp("unit-7")
    stamp.facts = replace(FACTS, fixed_us=NOON_US - 9_000_000)
    stamp.draw(luma, NOON_US)
    rows = sum(strip.shape[0] for strip in stamp._strips.values())
    assert (luma[rows:] == level).all()
    assert rows * 10 <= height or height < 480
    assert all(strip.shape[1] <= width and not strip[:, -2:].any() for strip in stamp._strips.values())
    top = 0
    for strip in stamp._strips.values():
        drawn = luma[top : top + strip.shape[0], : strip.shape[1]]
        assert (drawn[strip > 200] > 200).sum() > 100
        assert (drawn[strip == 1] == 1).sum() > 100
        assert (drawn[strip == 0] == level // 2).all()
        # Nothing bright touches the ground: the dark edge goes all around each letter.
        beside = cv2.dilate((strip > 1).astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        assert (strip[beside] > 0).all()
        top += strip.shape[0]


def test_line_is_rendered_again_only_when_its_words_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """SG-24: the second line, which has the number, stays as it is when the second changes in the first."""
    rendered: list[str] = []
    real = burnin._strip

    def counted(line: str, scale: float, room: int) -> Luma:
        rendered.append(line.split()[0])
        return real(line, scale, room)

    monkeypatch.setattr(burnin, "_strip", counted)
    stamp, luma = BurntStamp(""), np.zeros((480, 640), np.uint8)
    stamp.facts = FACTS
    for picture in range(60):
        stamp.draw(luma, NOON_US + picture * 33_333)
    assert len(rendered) == 4
    assert rendered.count("recording") == 1
    assert all(a != b for a, b in pairwise(rendered[:2]))


@pytest.mark.parametrize(("option", "text"), [({}, None), ({"stamp": ""}, None), ({"stamp": "true"}, ""),
                                              ({"stamp": "x" * 32}, "x" * 32)])  # fmt: skip
def test_option_says_whether_and_with_what_text(option: dict[str, str], text: str | None) -> None:
    assert stamp_text(option) == text


@pytest.mark.parametrize("text", ["x" * 33, "two words", "<b>", "é"])
def test_text_that_cannot_be_drawn_is_a_usage_error(text: str) -> None:
    with pytest.raises(Usage, match="stamp"):
        stamp_text({"stamp": text})
