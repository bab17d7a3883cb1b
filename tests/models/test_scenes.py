"""Scenes and clutter: plates are labelled where they lie, and nothing else lies on them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from models.synth import clutter, placing, scenes, streets
from models.synth.clutter import ClutterSource
from models.synth.placing import Box, Pose, bounds, lay, overlaps, seen_through, tilted
from models.synth.scenes import SIZE_PX, SMALLEST_PLATE_PX, Judged, Scene, SceneSource
from models.synth.streets import Street, TreatedSource

QUAD = np.array([[220, 300], [420, 300], [420, 345], [220, 345]], dtype=np.float32)


@pytest.fixture(autouse=True)
def needs_fonts() -> None:
    pytest.importorskip("PIL", reason="Pillow draws the letters")
    from models.synth import fonts

    try:
        fonts.faces("plate"), fonts.faces("arabic"), fonts.faces("word")
    except fonts.FontsMissing as missing:
        pytest.skip(str(missing))


def street(seed: int) -> Street:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(20, 200, (20, 20), dtype=np.uint8)
    luma = np.asarray(cv2.resize(coarse, (640, 640), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    luma[300:345, 220:420] = rng.integers(30, 250, (45, 200), dtype=np.uint8)
    return Street(luma=luma, quad=QUAD, exact=True)


def some_scenes(count: int, seed: int = 1) -> list[Scene]:
    source = SceneSource(rng=np.random.default_rng(seed), streets=[street(k) for k in range(3)])
    return [source.next() for _ in range(count)]


def test_the_same_seed_gives_the_same_scenes() -> None:
    for a, b in zip(some_scenes(15), some_scenes(15), strict=True):
        assert np.array_equal(a.luma, b.luma)
        assert np.array_equal(a.quads, b.quads) and np.array_equal(a.ignored, b.ignored)


def test_every_labelled_plate_is_convex_large_enough_and_in_the_picture() -> None:
    quads = [quad for scene in some_scenes(80) for quad in scene.quads]
    assert len(quads) > 60
    for quad in quads:
        x0, y0, x1, y1 = bounds(quad)
        assert x1 - x0 >= SMALLEST_PLATE_PX
        allowed = 0.09 * max(x1 - x0, y1 - y0)
        assert min(x0, y0) >= -allowed and max(x1, y1) <= SIZE_PX + allowed
        sides = np.roll(quad, -1, axis=0) - quad
        after = np.roll(sides, -1, axis=0)
        assert (sides[:, 0] * after[:, 1] - sides[:, 1] * after[:, 0] > 0).all(), "corners run clockwise"


def test_some_plates_are_small_oblique_or_square() -> None:
    quads = np.array([quad for scene in some_scenes(150) for quad in scene.quads])
    across = np.linalg.norm(quads[:, 1] - quads[:, 0], axis=1)
    down = np.linalg.norm(quads[:, 3] - quads[:, 0], axis=1)
    roll = np.abs(np.rad2deg(np.arctan2(*(quads[:, 1] - quads[:, 0]).T[::-1])))
    assert (across < 25).mean() > 0.1
    assert (across / down < 2).mean() > 0.1
    assert (roll > 12).mean() > 0.05


def test_clutter_changes_nothing_on_a_taken_box_and_is_itself_taken() -> None:
    rng = np.random.default_rng(3)
    source = ClutterSource(rng=rng)
    pieces = 0
    for _ in range(120):
        luma = np.full((640, 640), 117, dtype=np.uint8)
        taken: list[Box] = [bounds(QUAD)]
        laid = streets.strew(luma, source, QUAD, taken, rng) + streets.beside(luma, source, QUAD, taken, rng)
        pieces += len(laid)
        assert (luma[300:345, 220:420] == 117).all()
        assert len(taken) == 1 + len(laid)
        for place, box in enumerate(taken):
            assert not overlaps(box, taken[:place], margin_px=0)
    assert pieces > 150


def test_clutter_in_scenes_never_lies_on_a_plate_to_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    strew, calls = streets.strew, []

    def watched(luma: placing.Luma, *rest: object) -> list[streets.Laid]:
        boxes = list(rest[2])  # type: ignore[call-overload]
        laid = strew(luma, *rest)  # type: ignore[arg-type]
        calls.append((boxes, [bounds(piece.quad) for piece in laid]))
        return laid

    monkeypatch.setattr(scenes, "strew", watched)
    monkeypatch.setattr(streets, "strew", watched)
    some_scenes(60)
    assert len(calls) > 20
    assert not any(overlaps(box, boxes) for boxes, laid in calls for box in laid)


def test_every_kind_of_clutter_is_drawn() -> None:
    rng = np.random.default_rng(4)
    for draw, _ in clutter.KINDS:
        for _ in range(25):
            patch = draw(rng)
            assert patch.luma.dtype == patch.alpha.dtype == np.uint8
            assert patch.luma.shape == patch.alpha.shape and min(patch.luma.shape) > 4
            assert patch.alpha.max() > 100


def test_a_laid_picture_fills_its_quad_exactly() -> None:
    rng = np.random.default_rng(5)
    white = np.full((80, 360), 255, dtype=np.uint8)
    for width in (30, 90, 300):
        quad = tilted((200.0, 210.0), width, width / 4.5, rng)
        luma = np.zeros((400, 400), dtype=np.uint8)
        lay(luma, white, white, quad, rng)
        moments = cv2.moments(luma)
        middle = np.array([moments["m10"], moments["m01"]]) / moments["m00"] + 0.5
        shape = cv2.moments(quad)
        assert np.abs(middle - np.array([shape["m10"], shape["m01"]]) / shape["m00"]).max() < 0.2
        assert moments["m00"] / 255 == pytest.approx(shape["m00"], rel=0.06)


def test_two_line_plates_have_about_their_share() -> None:
    rng = np.random.default_rng(6)
    rows = [streets.drawn_plate(rng).rows for _ in range(300)]
    assert 0.12 < np.mean(np.array(rows) == 2) < 0.28


def test_streets_carry_several_plates_or_none_now_and_then() -> None:
    rng = np.random.default_rng(7)
    source = TreatedSource(rng=rng, streets=[street(0)], clutter=ClutterSource(rng=rng))
    counts = [len(source.next().quads) for _ in range(200)]
    assert {0, 1, 2} == set(counts)


@pytest.mark.parametrize(
    ("width", "left", "kept", "ignored"),
    [(12.9, 50, 0, 1), (13.0, 50, 1, 0), (100, -5, 1, 0), (100, -10, 0, 1), (100, -101, 0, 0)],
)
def test_a_plate_too_small_or_cut_off_is_not_judged(width: float, left: float, kept: int, ignored: int) -> None:
    quad = np.array([[left, 60], [left + width, 60], [left + width, 80], [left, 80]], dtype=np.float32)
    judged = Judged()
    judged.plate(quad, (0, 0, SIZE_PX, SIZE_PX))
    assert (len(judged.quads), len(judged.ignored)) == (kept, ignored)


def test_a_plate_lost_in_the_dark_is_not_judged() -> None:
    judged = Judged(quads=[QUAD - np.float32(150)])
    judged.leave_out_the_unseen(np.full((SIZE_PX, SIZE_PX), 3, dtype=np.uint8))
    assert (len(judged.quads), len(judged.ignored)) == (0, 1)


def test_a_pose_keeps_the_middle_and_narrows_what_is_turned_away() -> None:
    corners = np.array([[0, 0], [-1, 0], [1, 0]], dtype=np.float32)
    middle, left, right = _posed(corners, Pose(yaw_deg=60, pitch_deg=0, roll_deg=0, distance=20))
    assert middle == pytest.approx([0, 0])
    assert right[0] - left[0] == pytest.approx(1.0, abs=0.02)


def _posed(points: placing.Quad, pose: Pose) -> Sequence[placing.Quad]:
    return list(seen_through(pose.matrix(), points))
