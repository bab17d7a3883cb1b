"""Tracks: which detection is the same plate as before."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.reader.track import MAX_COAST_US, MAX_TRACKS, Box, Tracker, closeness

FRAME_US = 40_000


def box(x: int, y: int = 100, *, width: int = 100) -> Box:
    return (x, y, x + width, y + width // 4)


def run(tracker: Tracker, *pictures: list[Box], start_us: int = 0, frame_us: int = FRAME_US) -> list[tuple[int, ...]]:
    return [tracker.update(boxes, start_us + number * frame_us).tracks for number, boxes in enumerate(pictures)]


def test_track_goes_on_when_the_boxes_overlap() -> None:
    assert run(Tracker(), [box(0)], [box(10)], [box(25)]) == [(1,), (1,), (1,)]


def test_tracks_stay_apart_when_two_plates_are_in_the_picture_in_any_order() -> None:
    pictures = [[box(0), box(600)], [box(610), box(5)], [box(10), box(620)]]
    assert run(Tracker(), *pictures) == [(1, 2), (2, 1), (1, 2)]


def test_track_goes_on_when_a_slow_reader_leaves_gaps_between_boxes() -> None:
    assert run(Tracker(), [box(0)], [box(130)], [box(390)], [box(650)], frame_us=300_000) == [(1,), (1,), (1,), (1,)]


def test_track_outlives_an_occlusion_when_the_plate_comes_back_where_its_motion_leads() -> None:
    pictures = [[box(100 * n, width=80)] for n in range(1, 5)] + [[]] * 6 + [[box(1100, width=80)]]
    assert run(Tracker(), *pictures, frame_us=100_000)[-1] == (1,)


def test_track_is_new_when_the_box_is_too_far_or_of_another_size() -> None:
    assert run(Tracker(), [box(0)], [box(400)]) == [(1,), (2,)]
    assert run(Tracker(), [box(0)], [box(0, width=300)]) == [(1,), (2,)]


@pytest.mark.parametrize(("gap_us", "track"), [(MAX_COAST_US, 1), (MAX_COAST_US + 1, 2)])
def test_track_ends_when_it_was_unseen_for_longer_than_the_coast(gap_us: int, track: int) -> None:
    tracker = Tracker()
    tracker.update([box(0)], 0)
    ended = tracker.update([], gap_us).ended
    assert tracker.update([box(0)], gap_us).tracks == (track,)
    assert ended == (1,)[: track - 1]


@pytest.mark.parametrize(("plates", "ended"), [(MAX_TRACKS, ()), (MAX_TRACKS + 1, (1,))])
def test_oldest_track_ends_when_there_are_more_than_the_limit(plates: int, ended: tuple[int, ...]) -> None:
    tracker = Tracker()
    tracker.update([box(0)], 0)
    others = [box(1000, 60 * number) for number in range(plates - 1)]
    assert tracker.update(others, FRAME_US).ended == ended


def test_all_tracks_end_when_the_pictures_stop() -> None:
    tracker = Tracker()
    tracker.update([box(0), box(500)], 0)
    assert tracker.end_all() == (1, 2)
    assert tracker.update([box(0)], FRAME_US).tracks == (3,)


def test_closeness_is_nothing_when_a_box_has_no_width() -> None:
    assert closeness(box(0), (5, 5, 5, 9)) == 0.0


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 600), st.integers(0, 400), st.integers(10, 200)), max_size=40), max_size=12
    )
)
def test_tracks_are_bounded_and_boxes_of_one_picture_never_share_one(
    pictures: list[list[tuple[int, int, int]]],
) -> None:
    tracker = Tracker()
    ended: list[int] = []
    for number, picture in enumerate(pictures):
        step = tracker.update([box(x, y, width=width) for x, y, width in picture], number * 100_000)
        assert len(set(step.tracks)) == len(picture)
        assert len(tracker._tracks) <= MAX_TRACKS
        ended += step.ended
    ended += tracker.end_all()
    assert sorted(ended) == list(range(1, len(ended) + 1))
