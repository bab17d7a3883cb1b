"""What the plate detector is trained on: street pictures of 320 x 320 with every plate's four corners.

Streets come from Moroccan photographs, treated as `streets` decides.  Here they are zoomed, turned from the camera,
darkened now and then, often put together from several, and passed through a camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from models.synth import degrade, night
from models.synth.clutter import ClutterSource
from models.synth.placing import Luma, Matrix, Quad, any_pose, bounds, by_pixel_centres, moved, overlaps, seen_through
from models.synth.streets import Street, Treated, TreatedSource, strew

__all__ = ["SIZE_PX", "Scene", "SceneSource", "Street", "bounds"]

SIZE_PX = 320
SMALLEST_PLATE_PX = 13.0
LARGEST_PLATE_PX = 280.0
DOUBTFUL_PX = 30.0
CLUTTERED_SHARE = 0.15
NIGHT_SHARE = 0.05
FAINTEST = 4.0
LAMPS_SHARE = 0.05
Region = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One training picture (320, 320), the corners of its plates (n, 4, 2), and boxes not to be judged (m, 4)."""

    luma: Luma
    quads: NDArray[np.float32]
    ignored: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """One street as the camera sees it, its plates, and what can be told from plates only where it is large."""

    luma: Luma
    quads: list[Quad]
    doubtful: list[Quad]


@dataclass(slots=True)
class Judged:
    """The plates to be found and the boxes not to be judged, of one scene in the making."""

    quads: list[Quad] = field(default_factory=list)
    ignored: list[NDArray[np.float32]] = field(default_factory=list)

    def plate(self, quad: Quad, region: Region) -> None:
        """A plate that is cut off or too small is neither right nor wrong: its surroundings are ignored."""
        x0, y0, x1, y1 = bounds(quad)
        shown = _clipped(quad, region)
        if shown is None:
            return
        inside = float((shown[2] - shown[0]) * (shown[3] - shown[1])) / max(1e-6, (x1 - x0) * (y1 - y0))
        if inside > 0.92 and x1 - x0 >= SMALLEST_PLATE_PX:
            self.quads.append(quad)
        else:
            self.ignored.append(shown)

    def leave_out_the_unseen(self, luma: Luma) -> None:
        """A plate lost in darkness or glare is ignored: nobody could find it."""
        seen = [_contrast(luma, quad) >= FAINTEST for quad in self.quads]
        self.ignored += [
            np.array(bounds(quad), dtype=np.float32) for quad, shows in zip(self.quads, seen, strict=True) if not shows
        ]
        self.quads = [quad for quad, shows in zip(self.quads, seen, strict=True) if shows]

    def clutter(self, quad: Quad, region: Region) -> None:
        """A board or an empty plate so small that its letters cannot show what it is, is ignored as well."""
        shown = _clipped(quad, region)
        if shown is not None and float(np.ptp(quad[:, 0])) < DOUBTFUL_PX:
            self.ignored.append(shown)


@dataclass(slots=True)
class SceneSource:
    """An endless stream of scenes from one seeded generator."""

    rng: Generator
    streets: Sequence[Street]
    clutter: ClutterSource = field(init=False)
    treated: TreatedSource = field(init=False)

    def __post_init__(self) -> None:
        self.clutter = ClutterSource(rng=self.rng)
        self.treated = TreatedSource(rng=self.rng, streets=self.streets, clutter=self.clutter)

    def next(self) -> Scene:
        """One scene, of one street or of up to sixteen."""
        rng = self.rng
        grid = int(rng.choice([1, 2, 3, 4], p=[0.62, 0.2, 0.12, 0.06]))
        canvas = np.empty((SIZE_PX, SIZE_PX), dtype=np.uint8)
        judged = Judged()
        edges = np.linspace(0, SIZE_PX, grid + 1)
        if grid > 1:
            edges[1:-1] += rng.uniform(-0.2, 0.2, grid - 1) * SIZE_PX / grid
        marks = [int(v) for v in edges]
        for y0, y1 in pairwise(marks):
            for x0, x1 in pairwise(marks):
                view = self._view(x1 - x0, y1 - y0)
                canvas[y0:y1, x0:x1] = view.luma
                corner, region = np.array([x0, y0], dtype=np.float32), (x0, y0, x1, y1)
                for quad in view.quads:
                    judged.plate(quad + corner, region)
                for quad in view.doubtful:
                    judged.clutter(quad + corner, region)
        luma = degrade.camera(_coarsened(canvas, rng), rng, harsh=0.55)
        judged.leave_out_the_unseen(luma)
        scene = Scene(
            luma=luma,
            quads=np.array(judged.quads, dtype=np.float32).reshape(-1, 4, 2),
            ignored=np.array(judged.ignored, dtype=np.float32).reshape(-1, 4),
        )
        return _mirrored(scene) if rng.random() < 0.5 else scene

    def _view(self, width: int, height: int) -> View:
        """A region (height, width) filled with one street."""
        rng = self.rng
        street = self.treated.next()
        anchor = street.anchor
        if len(street.quads) > 1 and rng.random() < 0.3:
            anchor = street.quads[1]
        matrix, scale = _look(street.luma, anchor, (width, height), rng)
        luma = self._warped(street, matrix, scale, (width, height))
        quads = [seen_through(matrix, quad) for quad in street.quads]
        doubtful = [seen_through(matrix, quad) for quad in street.doubtful]
        if rng.random() < CLUTTERED_SHARE:
            doubtful += self._littered(luma, quads)
        here = seen_through(matrix, anchor)
        if rng.random() < NIGHT_SHARE:
            luma = night.darkened(luma, [*quads, *doubtful], rng)
        if rng.random() < LAMPS_SHARE:
            luma = night.lamps(luma, here, rng)
        return View(luma=luma, quads=quads, doubtful=doubtful)

    def _littered(self, luma: Luma, quads: list[Quad]) -> list[Quad]:
        """Clutter of any plate's size, anywhere in the view; returns where it can be doubtful."""
        height, width = luma.shape
        wide = float(np.exp(self.rng.uniform(np.log(16), np.log(max(20.0, 0.5 * width)))))
        box = np.array([[-wide, -9], [wide, -9], [wide, 9], [-wide, 9]], dtype=np.float32) / 2
        near = np.asarray(box + self.rng.uniform((0, 0), (width, height)), dtype=np.float32)
        laid = strew(luma, self.clutter, near, [bounds(quad) for quad in quads], self.rng)
        return [piece.quad for piece in laid if piece.patch.plate_like]

    def _warped(self, street: Treated, matrix: Matrix, scale: float, size: tuple[int, int]) -> Luma:
        width, height = size
        edges = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
        source = seen_through(np.asarray(np.linalg.inv(matrix), dtype=np.float64), edges)
        covered = bool((source > 1).all() and (source < np.array(street.luma.shape[::-1]) - 1).all())
        view = np.empty((height, width), dtype=np.uint8) if covered else self._ground(width, height)
        luma = street.luma
        if scale < 0.5:
            # The device shrinks by averaging too; without it small plates would flicker as no camera shows them.
            factor = 1 << int(np.log2(1 / scale))
            tiny = (max(1, luma.shape[1] // factor), max(1, luma.shape[0] // factor))
            matrix = matrix @ np.diag([luma.shape[1] / tiny[0], luma.shape[0] / tiny[1], 1.0])
            luma = np.asarray(cv2.resize(luma, tiny, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        cv2.warpPerspective(
            luma,
            by_pixel_centres(matrix),
            (width, height),
            dst=view,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_TRANSPARENT,
        )
        return view

    def _ground(self, width: int, height: int) -> Luma:
        """What shows where the street does not reach: mostly another street without its plate, else one grey."""
        rng = self.rng
        plain = np.full((height, width), int(rng.integers(256)), dtype=np.uint8)
        if rng.random() < 0.25:
            return plain
        street = self.streets[int(rng.integers(len(self.streets)))]
        taken = [bounds(street.quad)]
        size, edge = int(rng.integers(90, 400)), min(street.luma.shape)
        size = min(size, edge - 1)
        x, y = int(rng.integers(edge - size)), int(rng.integers(edge - size))
        if overlaps((x, y, x + size, y + size), taken):
            x = 0 if taken[0][0] > edge - taken[0][2] else edge - size
            y = 0 if taken[0][1] > edge - taken[0][3] else edge - size
            if overlaps((x, y, x + size, y + size), taken):
                return plain
        patch = street.luma[y : y + size, x : x + size]
        return np.asarray(cv2.resize(patch, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _look(luma: Luma, anchor: Quad, size: tuple[int, int], rng: Generator) -> tuple[Matrix, float]:
    """From where a street is looked at: the homography (3, 3) into the region, and its scale at the plate."""
    width, height = size
    centre = anchor.mean(axis=0)
    unit = float(np.linalg.norm(anchor[1] - anchor[0]))
    corners = np.array([[0, 0], [luma.shape[1], 0], [luma.shape[1], luma.shape[0]], [0, luma.shape[0]]])
    reach = float(np.linalg.norm(corners - centre, axis=1).max())
    pose = any_pose(rng, unit=unit, reach=reach)
    squeeze = np.diag([1.0, float(np.exp(rng.normal(0, 0.15))), 1.0])
    turned = squeeze @ pose.matrix() @ moved(-float(centre[0]), -float(centre[1]))
    flat = seen_through(turned, anchor)
    largest = min(LARGEST_PLATE_PX, 0.92 * width)
    wanted = float(np.exp(rng.uniform(np.log(min(SMALLEST_PLATE_PX + 1, largest - 1)), np.log(largest))))
    if width > 200 and rng.random() < 0.6:
        wanted = max(wanted, 0.07 * width)
    wide, tall = (float(v) for v in np.ptp(flat, axis=0))
    scale = min(wanted / max(1.0, wide), 0.95 * height / max(1.0, tall))
    share = np.minimum(scale * np.array([wide, tall]) / (2 * np.array([width, height])), 0.5)
    margin = share if rng.random() < 0.88 else np.zeros(2)
    target = np.array([width, height]) * rng.uniform(margin, 1 - margin)
    middle = scale * (flat.max(axis=0) + flat.min(axis=0)) / 2
    place = moved(float(target[0] - middle[0]), float(target[1] - middle[1]))
    return place @ np.diag([scale, scale, 1.0]) @ turned, scale


def _contrast(luma: Luma, quad: Quad) -> float:
    """How much the brightness varies (standard deviation) on the plate and just around it, noise averaged away."""
    x0, y0, x1, y1 = bounds(quad)
    part = luma[max(0, int(y0) - 2) : int(y1) + 3, max(0, int(x0) - 2) : int(x1) + 3]
    return float(cv2.blur(part, (3, 3)).std())


def _coarsened(luma: Luma, rng: Generator) -> Luma:
    """Now and then the picture as if it had been smaller and was enlarged to fit."""
    if rng.random() > 0.2:
        return luma
    size = int(SIZE_PX * rng.uniform(0.4, 0.85))
    small = cv2.resize(luma, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def _mirrored(scene: Scene) -> Scene:
    quads, ignored = scene.quads[:, [1, 0, 3, 2]].copy(), scene.ignored[:, [2, 1, 0, 3]].copy()
    quads[:, :, 0] = SIZE_PX - quads[:, :, 0]
    ignored[:, [0, 2]] = SIZE_PX - ignored[:, [0, 2]]
    return Scene(luma=np.ascontiguousarray(scene.luma[:, ::-1]), quads=quads, ignored=ignored)


def _clipped(quad: Quad, region: Region) -> NDArray[np.float32] | None:
    """The part of the quad's box that lies in the region; None where there is none."""
    x0, y0, x1, y1 = bounds(quad)
    left, top, right, bottom = max(x0, region[0]), max(y0, region[1]), min(x1, region[2]), min(y1, region[3])
    return np.array([left, top, right, bottom], dtype=np.float32) if left < right and top < bottom else None
