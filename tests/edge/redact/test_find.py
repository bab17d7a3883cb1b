"""From sights of a plate to a region that leaves no picture open in between."""

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.reader.detect import Detection
from edge.redact.cover import cells_at, spread
from edge.redact.find import HOLD_US, KEY_ERROR_PX, plates, regions, simplified
from edge.redact.follow import Box, Follower, Sight, Sights
from edge.redact.pictures import Picture
from edge.redact.plan import MAX_KEYS, Region

WIDTH, HEIGHT, STEP_US = 640, 360, 40_000


def true_box(number: int) -> Box:
    """A plate that grows and moves to the right, faster and faster."""
    x, y, w = 60 + 2 * number + number * number // 40, 150 - number // 2, 40 + number // 2
    return (x, y, x + w, y + w // 4)


def covers(found: Region, number: int, box: Box) -> bool:
    mask = spread(cells_at([found], number * STEP_US, width=WIDTH, height=HEIGHT), 8, (HEIGHT, WIDTH))
    return bool(mask[box[1] : box[3], box[0] : box[2]].all())


@given(st.sets(st.integers(10, 89), min_size=2))
def test_every_picture_between_first_and_last_sight_is_covered_whichever_were_missed(seen: set[int]) -> None:
    """RD-6: no gap of the detector leaves a picture open, as long as the plate moves as between the sights"""
    sights = [Sight(number=n, at_us=n * STEP_US, box=true_box(n), confidence_permille=500) for n in sorted(seen)]
    times = [number * STEP_US for number in range(100)]
    (found,) = regions(Sights(sights=sights), times, WIDTH, HEIGHT)
    assert found.from_us == max(0, min(seen) * STEP_US - HOLD_US)
    assert found.to_us == min(times[-1], max(seen) * STEP_US + HOLD_US)
    assert all(covers(found, number, true_box(number)) for number in seen)
    for a, b in itertools.pairwise(sorted(seen)):
        if b - a <= 10:
            assert all(covers(found, number, true_box(number)) for number in range(a, b))


@given(st.lists(st.tuples(*[st.integers(0, 300)] * 4), min_size=2, max_size=40))
def test_fewer_keys_say_the_same_within_two_pixels(boxes: list[tuple[int, int, int, int]]) -> None:
    """RD-6"""
    points = [(10 * index, box) for index, box in enumerate(boxes)]
    kept = simplified(points)
    times = [at for at, _ in kept]
    for at_us, box in points:
        for side in range(4):
            line = np.interp(at_us, times, [one[side] for _, one in kept])
            assert abs(line - box[side]) <= KEY_ERROR_PX + 1e-6


class Shy:
    """A detector that sees the plate whole in some pictures only, and from closer in some more."""

    def __init__(self, wide: set[int], close: set[int]) -> None:
        self.wide, self.close = wide, close

    def detect(self, luma: np.ndarray) -> list[Detection]:  # type: ignore[type-arg]
        """Finds the bright box of the picture, or of the part of one, where it is not too shy for it."""
        number = int(luma.max()) - 100
        ys, xs = np.nonzero(luma == luma.max())
        if number not in (self.wide if luma.shape == (HEIGHT, WIDTH) else self.close) or number < 0:
            return []
        x0, y0, x1, y1 = (float(one) for one in (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
        return [Detection(corners_px=((x0, y0), (x1, y0), (x1, y1), (x0, y1)), confidence_permille=600)]

    def detect_closer(self, luma: np.ndarray) -> list[Detection]:  # type: ignore[type-arg]
        return []


def pictures(count: int) -> list[Picture]:
    made = []
    for number in range(count):
        luma = np.full((HEIGHT, WIDTH), 90, dtype=np.uint8)
        x0, y0, x1, y1 = true_box(number)
        luma[y0:y1, x0:x1] = 100 + number
        grey = np.full((HEIGHT // 2, WIDTH // 2), 128, dtype=np.uint8)
        planes = (luma, grey, grey)
        made.append(Picture(number=number, ticks=number, at_us=number * STEP_US, duration=1, planes=planes))
    return made


def test_a_plate_is_followed_back_and_looked_for_closely_where_it_was_missed() -> None:
    """RD-6: first found in picture 30, it is covered from picture 5 on, where it can be seen from closer"""
    finder = Shy(wide=set(range(30, 36)) | {50}, close=set(range(5, 30)) | set(range(36, 50)))
    (found,) = plates(pictures(60), Follower(finder))
    assert found.from_us == 0
    assert all(covers(found, number, true_box(number)) for number in range(5, 51))
    assert found.note.startswith("found in 46 of 46 pictures")


def test_a_video_without_plates_gives_no_region() -> None:
    """RD-6"""
    assert plates(pictures(3), Follower(Shy(set(), set()))) == []


@pytest.mark.parametrize(
    ("sights", "confidence", "is_kept"), [(1, 399, False), (2, 399, False), (3, 399, True), (1, 400, True)]
)
def test_only_what_was_hardly_ever_found_and_never_surely_is_left_out(
    sights: int, confidence: int, is_kept: bool
) -> None:
    """RD-6"""
    seen = [Sight(number=n, at_us=n * STEP_US, box=true_box(n), confidence_permille=confidence) for n in range(sights)]
    times = [number * STEP_US for number in range(100)]
    assert bool(regions(Sights(sights=seen), times, WIDTH, HEIGHT)) == is_kept


def test_a_plate_is_never_taken_to_have_moved_far_where_it_was_not_seen() -> None:
    """RD-6: three sights of a detector that errs say a speed that no car has"""
    jumping = [(100, 100, 140, 110), (150, 100, 190, 110), (200, 100, 240, 110)]
    seen = [Sight(number=50 + n, at_us=(50 + n) * STEP_US, box=jumping[n], confidence_permille=500) for n in range(3)]
    (found,) = regions(Sights(sights=seen), [number * STEP_US for number in range(100)], WIDTH, HEIGHT)
    assert max(key.places[2] - key.places[0] for key in found.keys) <= 40 * 2.5


@pytest.mark.parametrize(("wide_px", "confidence", "is_kept"), [(77, 499, False), (77, 500, True), (76, 499, True)])
def test_what_is_large_and_never_surely_found_is_no_plate(wide_px: int, confidence: int, is_kept: bool) -> None:
    """RD-6"""
    box = (50, 50, 50 + wide_px, 80)
    seen = [Sight(number=n, at_us=n * STEP_US, box=box, confidence_permille=confidence) for n in range(9)]
    times = [number * STEP_US for number in range(100)]
    assert bool(regions(Sights(sights=seen), times, WIDTH, HEIGHT)) == is_kept


def test_a_plate_that_needs_more_keys_than_a_region_may_have_is_covered_by_several() -> None:
    """RD-6, RD-5: half an hour behind the same car, the detector's corners jumping: a plan that can be read back"""
    jumps = np.random.default_rng(1).integers(0, 40, MAX_KEYS + 5000)
    boxes = [(100 + int(by), 100, 140 + int(by), 110) for by in jumps]
    seen = [Sight(number=n, at_us=n * STEP_US, box=box, confidence_permille=500) for n, box in enumerate(boxes)]
    times = [number * STEP_US for number in range(len(boxes))]
    found = regions(Sights(sights=seen), times, WIDTH, HEIGHT)
    assert [one.name for one in found] == ["", "-2"]
    assert max(len(one.keys) for one in found) == MAX_KEYS
    first, second = found
    assert (first.from_us, first.to_us, second.to_us) == (0, second.from_us, times[-1])
    edge = first.to_us // STEP_US
    for number in range(edge - 3, edge + 4):
        cells = cells_at(found, number * STEP_US, width=WIDTH, height=HEIGHT)
        x0, y0, x1, y1 = boxes[number]
        assert spread(cells, 8, (HEIGHT, WIDTH))[y0:y1, x0:x1].all(), number


def test_plates_that_are_gone_are_not_kept_and_named_as_if_they_were() -> None:
    """RD-6: one plate after another, each in its own time: what is kept of them does not grow with the video"""
    follower = Follower(Blinking())
    most = 0
    shown = pictures(1)[0]

    def many() -> Iterator[Picture]:
        nonlocal most
        for number in range(600):
            yield dataclasses.replace(shown, number=number, at_us=number * STEP_US)
            most = max(most, len(follower.tracks))

    found = plates(many(), follower)
    assert [one.name for one in found] == [f"plate-{number}" for number in range(1, 11)]
    assert [one.from_us for one in found] == [max(0, 60 * at * STEP_US - HOLD_US) for at in range(10)]
    assert all(one.note.startswith("found in 5 of 5 pictures") for one in found)
    assert most <= 2


class Blinking:
    """A detector that sees a plate in the first five of every sixty pictures."""

    def __init__(self) -> None:
        self.number = -1

    def detect(self, luma: np.ndarray) -> list[Detection]:  # type: ignore[type-arg]
        is_whole = luma.shape == (HEIGHT, WIDTH)
        self.number += is_whole
        corners = ((100.0, 100.0), (140.0, 100.0), (140.0, 110.0), (100.0, 110.0))
        return [Detection(corners_px=corners, confidence_permille=600)] * (is_whole and self.number % 60 < 5)

    def detect_closer(self, luma: np.ndarray) -> list[Detection]:  # type: ignore[type-arg]
        return []
