"""Tracks: which detection is the same plate as before."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.reader.track import MAX_COAST_US, MAX_RETURN_WIDTHS, MAX_TRACKS, Box, Tracker, closeness

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


SHAKE = [(30, -30), (-30, 30), (28, 14), (-30, -30), (0, 30), (30, 0), (-30, -12), (30, 30)] * 3


def shaken(
    tracker: Tracker, places: list[list[tuple[int, int]]], *, width: int, error: int = 4
) -> list[tuple[int, ...]]:
    """The tracks of plates at `places`, picture by picture, seen by a camera that is shaken and measures its shake
    with an `error`."""
    found, last = [], (0, 0)
    for number, (plates, (right, down)) in enumerate(zip(places, SHAKE, strict=False)):
        off = error if number % 2 else -error
        shift = (right - last[0] + off, down - last[1] - off)
        boxes = [box(x + right, y + down, width=width) for x, y in plates]
        found.append(tracker.update(boxes, number * FRAME_US, shift if number else (0.0, 0.0)).tracks)
        last = (right, down)
    return found


def test_small_plates_side_by_side_keep_their_tracks_when_the_camera_is_shaken() -> None:
    """Plates 40 pixels wide, 70 apart, in a picture that jumps by up to 60 from one frame to the next."""
    places = [[(200, 200), (270, 200), (340, 200)]] * len(SHAKE)
    assert set(shaken(Tracker(), places, width=40)) == {(1, 2, 3)}


def test_a_shake_would_tear_these_tracks_apart_when_it_were_not_known() -> None:
    tracker, tracks = Tracker(), set()
    for number, (right, down) in enumerate(SHAKE):
        boxes = [box(x + right, 200 + down, width=40) for x in (200, 270, 340)]
        tracks |= set(tracker.update(boxes, number * FRAME_US).tracks)
    assert len(tracks) > 3


def test_moving_plate_keeps_its_track_when_the_camera_is_shaken() -> None:
    places = [[(100 + 12 * number, 200 + 3 * number)] for number in range(len(SHAKE))]
    assert set(shaken(Tracker(), places, width=40)) == {(1,)}


def test_shift_is_not_believed_when_the_plates_fit_better_without() -> None:
    """A lorry fills the picture and passes: what moved was the lorry, not the camera."""
    tracker = Tracker()
    for number in range(8):
        step = tracker.update([box(200, width=40), box(300, width=40)], number * FRAME_US, (90.0, 0.0))
        assert step.tracks == (1, 2)


@pytest.mark.parametrize("speed", [-14, 0, 9])
def test_track_outlives_fifteen_pictures_of_occlusion_when_the_camera_is_shaken_too(speed: int) -> None:
    places = [[(400 + speed * number, 200)] if not 5 <= number < 20 else [] for number in range(len(SHAKE))]
    found = shaken(Tracker(), places, width=60)
    assert {tracks for tracks in found if tracks} == {(1,)}


def test_tracks_stay_apart_when_two_cars_cross() -> None:
    """One from the left and one from the right, their plates 8 pixels apart in height where they meet."""
    pictures = [[box(100 + 20 * n, 200, width=80), box(900 - 20 * n, 208, width=80)] for n in range(40)]
    assert set(run(Tracker(), *pictures)) == {(1, 2)}


def test_tracks_stay_apart_when_one_car_hides_the_other_where_they_cross() -> None:
    pictures = [
        [box(100 + 20 * n, 200, width=80)] + ([box(900 - 20 * n, 208, width=80)] if not 16 <= n <= 24 else [])
        for n in range(40)
    ]
    assert set(run(Tracker(), *pictures)) == {(1, 2), (1,)}


def lost_and_found(x: int, *, width: int = 100, after_us: int = 500_000) -> tuple[Tracker, int]:
    """A plate that stood at 100 is lost; another track begins at `x`. The tracker and the new track."""
    tracker = Tracker()
    for number in range(3):
        tracker.update([box(100)], number * FRAME_US)
    (number,) = tracker.update([box(x, width=width)], 2 * FRAME_US + after_us).tracks
    return tracker, number


@pytest.mark.parametrize(("x", "lost"), [(300, (1,)), (100 + int(MAX_RETURN_WIDTHS * 100), (1,)), (710, ())])
def test_lost_track_may_be_gone_on_when_a_new_one_begins_not_too_far_away(x: int, lost: tuple[int, ...]) -> None:
    """HT-40."""
    tracker, number = lost_and_found(x)
    assert number == 2
    assert tracker.returned(number) == lost


def test_track_may_not_be_gone_on_when_it_is_seen_still_or_its_plate_has_another_size() -> None:
    """HT-40."""
    tracker, number = lost_and_found(400, width=300)
    assert tracker.returned(number) == ()
    tracker = Tracker()
    tracker.update([box(100)], 0)
    assert tracker.update([box(100), box(400)], FRAME_US).tracks == (1, 2)
    assert tracker.returned(2) == ()
    assert tracker.returned(99) == ()


def test_joined_track_goes_on_from_where_the_new_one_is() -> None:
    """HT-40."""
    tracker, number = lost_and_found(400)
    tracker.join(1, number)
    assert tracker.update([box(405)], 2 * FRAME_US + 540_000).tracks == (1,)
    assert tracker.end_all() == (1,)


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
