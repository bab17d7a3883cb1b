"""When sound counts as lost: what is said of pictures and sound that come in one look or in many."""

from collections.abc import Iterable

import pytest

from edge.camera.condition import Moment
from edge.camera.port import EncodedUnit, Given, SoundUnit
from edge.camera.soundwatch import LATEST_US, SILENCE_US, SoundWatch

PICTURE_US, PIECE_US, AHEAD_US = 40_000, 20_000, 1_000_000_000


def at(mono_us: int) -> Moment:
    return Moment(mono_us + AHEAD_US, mono_us)


def shown(from_us: int, to_us: int) -> list[Given]:
    times = [{"pts_us": one, "mono_us": one, "utc_us": one + AHEAD_US} for one in range(from_us, to_us, PICTURE_US)]
    return [EncodedUnit(data=b"", is_key=False, **one) for one in times]


def heard(from_us: int, to_us: int) -> list[Given]:
    times = [{"pts_us": one, "mono_us": one, "utc_us": one + AHEAD_US} for one in range(from_us, to_us, PIECE_US)]
    return [SoundUnit(codec="aac", data=b"", duration_us=PIECE_US, **one) for one in times]


def opened(at_us: int) -> SoundWatch:
    watch = SoundWatch()
    watch.expect(at(at_us), is_expected=True)
    return watch


def said(watch: SoundWatch, found: Iterable[Given], now_us: int) -> list[tuple[str, int | None]]:
    notices = watch.look(list(found), "", at(now_us))
    return [(one.event, one.change.since_us - AHEAD_US) for one in notices]


def test_pictures_that_waited_for_the_recorder_count_from_the_first_of_them():
    """SG-15: they were taken before it opened the camera, and no sound beside them came."""
    assert said(opened(3_000_000), shown(1_000_000, 3_000_000), 3_000_000) == [("sound.lost", 1_000_000)]
    assert said(opened(3_000_000), shown(1_000_000, 2_500_000), 3_000_000) == []
    late = opened(0)
    assert said(late, shown(3_000_000, 4_000_000), 4_000_000) == []
    assert said(late, shown(4_000_000, 4_600_000), 4_600_000) == [("sound.lost", 3_000_000)]


@pytest.mark.parametrize("hole_us", [SILENCE_US - PICTURE_US, SILENCE_US + PICTURE_US])
def test_time_without_sound_is_said_though_it_is_over_as_it_is_noticed(hole_us: int):
    """SG-15: after a stall all comes in one look."""
    watch = opened(0)
    assert said(watch, [*shown(0, 1_000_000), *heard(0, 1_000_000)], 1_000_000) == []
    back_us, end_us = 1_000_000 + hole_us, 1_000_000 + hole_us + 200_000
    stalled = [*shown(1_000_000, end_us), *heard(back_us, end_us)]
    is_long = hole_us >= SILENCE_US
    assert said(watch, stalled, end_us) == ([("sound.lost", 1_000_000)] if is_long else [])
    later_us = end_us + 1_000_000
    found = watch.look([*shown(end_us, later_us), *heard(end_us, later_us)], "", at(later_us))
    assert [(one.event, one.change.lasted_us) for one in found] == ([("sound.found", hole_us)] if is_long else [])
    assert (watch.state, watch.losses) == ("ok", int(is_long))


def test_time_without_pictures_is_no_loss_of_sound():
    """SG-15: a machine that slept has neither."""
    watch = opened(0)
    assert said(watch, [*shown(0, 1_000_000), *heard(0, 1_000_000)], 1_000_000) == []
    assert said(watch, [*shown(6_000_000, 7_000_000), *heard(6_000_000, 7_000_000)], 7_000_000) == []


def test_sound_that_comes_too_late_for_the_file_was_not_heard():
    """SG-8, SG-15."""
    watch = opened(0)
    assert said(watch, shown(0, 1_400_000), 1_400_000) == []
    assert said(watch, [*shown(1_400_000, 1_600_000), *heard(0, 1_360_000 - LATEST_US)], 1_600_000) == [
        ("sound.lost", 0)
    ]
    assert said(opened(0), [*shown(0, 1_600_000), *heard(0, 200_000)], 1_600_000) == []
