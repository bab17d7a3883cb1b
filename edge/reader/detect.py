"""Where the plates are: one look of the detector model over a picture gives the four corners of every plate.

Decides how a picture is fitted into the model's input, which cells of the heat map count, and which of two detections
of the same plate is kept.  Whether the text can be read is decided in `ocr`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.reader.infer import Model, ModelUnusable

HEAT_STRIDE_PX = 8
CORNER_SCALE_PX = 4.0
MAX_ENLARGEMENT = 2.0
MAX_DETECTIONS = 32
MIN_CONFIDENCE_PERMILLE = 300
MAX_OVERLAP = 0.3
PADDING_GREY = 114
# Rows and columns of the inputs that a picture may get: the file's own, one for 16:9, which leaves a quarter of that to
# grey rows, one for upright pictures, all of them as much work, and a small one for parts of pictures.
SHAPES = ((384, 512), (320, 576), (512, 384), (192, 320))
# Share of width and height that each of four overlapping quarters takes.
QUARTER = 0.6
# A plate so near the edge at which a quarter was cut, in its own widths, may go on beyond it.
CUT_ROOM = 0.1

Corners = tuple[tuple[float, float], ...]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Detection:
    """One plate in one picture; corners are top left, top right, bottom right, bottom left as the plate is read."""

    corners_px: Corners
    confidence_permille: int

    @property
    def box_px(self) -> tuple[int, int, int, int]:
        """The upright box around the corners: x0, y0, x1, y1 in whole pixels."""
        xs, ys = [x for x, _ in self.corners_px], [y for _, y in self.corners_px]
        return round(min(xs)), round(min(ys)), round(max(xs)), round(max(ys))

    def moved(self, right: int, down: int) -> Detection:
        """The same plate where the picture is a part of a larger one that begins so far to the left and above."""
        return _scaled(self, 1.0, right, down)


class Detector:
    """Finds plates in grey pictures of any size."""

    def __init__(self, model: Model) -> None:
        """Takes the loaded detector model; raises ModelUnusable where its outputs are not a heat map and corners.

        For pictures of another shape it is loaded once more, when the first such picture comes.
        """
        self._models = {(model.height_px, model.width_px): model}
        self._model = model
        shape = (1, model.height_px, model.width_px, 1)
        outputs = model.run(np.full(shape, PADDING_GREY, dtype=np.uint8))
        by_depth = {out.shape[-1]: index for index, out in enumerate(outputs)}
        if set(by_depth) != {1, 8}:
            raise ModelUnusable(f"a detector has a heat map and 8 corner maps, this model has {sorted(by_depth)}")
        self._heat, self._corners = by_depth[1], by_depth[8]

    def detect(self, luma: NDArray[np.uint8]) -> list[Detection]:
        """The plates in a grey picture (height, width), the surest first, corners in its pixels."""
        height_px, width_px = shape_for(*luma.shape)
        fitted, scale = fit(luma, width_px=width_px, height_px=height_px)
        outputs = self._sized(height_px, width_px).run_real(fitted[None, :, :, None])
        found = decode(outputs[self._heat][0, :, :, 0], outputs[self._corners][0])
        inside = (luma.shape[1] * scale, luma.shape[0] * scale)
        return [_scaled(one, 1 / scale) for one in found if _centre_within(one, inside)]

    def _sized(self, height_px: int, width_px: int) -> Model:
        """The model for such an input."""
        model = self._models.get((height_px, width_px))
        if model is None:
            model = self._models[height_px, width_px] = self._model.sized(height_px=height_px, width_px=width_px)
        return model

    def detect_framed(self, luma: NDArray[np.uint8], share: float) -> list[Detection]:
        """As `detect`, with a dark frame of `share` of the width around: for plates that reach the picture's edges.

        The detector expects something around a plate.
        """
        height, width = luma.shape
        wide, tall = (1 + 2 * share) * width, height + 2 * share * width
        height_px, width_px = shape_for(tall, wide)
        scale = min(1.0, width_px / wide, height_px / tall)
        small = luma
        if scale < 1.0:
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            small = resized(luma, size)
        frame = round(share * small.shape[1])
        grey = int(small.mean()) // 2
        framed = cv2.copyMakeBorder(small, frame, frame, frame, frame, cv2.BORDER_CONSTANT, value=grey)
        found = self.detect(np.asarray(framed, dtype=np.uint8))
        return [_scaled(one.moved(-frame, -frame), 1 / scale) for one in found]

    def detect_closer(self, luma: NDArray[np.uint8]) -> list[Detection]:
        """As `detect`, but in four overlapping quarters: for plates too small in a picture that had to be shrunk.

        Empty where the picture is not larger than the model's input, since nothing is gained there.
        """
        return _surest_apart(one for _, found in self._in_quarters(luma) for one in found)

    def detect_whole_closer(self, luma: NDArray[np.uint8]) -> list[Detection]:
        """As `detect_closer` without what a quarter's edge may cut: a small plate lies whole in another quarter."""
        return _surest_apart(one for inner, found in self._in_quarters(luma) for one in found if _is_whole(one, inner))

    def _in_quarters(self, luma: NDArray[np.uint8]) -> Iterator[tuple[Box, list[Detection]]]:
        """The plates of each quarter in the picture's pixels, after its edges; the picture's own are infinitely far."""
        height, width = luma.shape
        height_px, width_px = shape_for(height, width)
        if width <= width_px and height <= height_px:
            return
        wide, tall = max(1, int(width * QUARTER)), max(1, int(height * QUARTER))
        for left, top in ((0, 0), (width - wide, 0), (0, height - tall), (width - wide, height - tall)):
            part = np.ascontiguousarray(luma[top : top + tall, left : left + wide])
            edges = (left or -np.inf, top or -np.inf, np.inf if left else wide, np.inf if top else tall)
            yield edges, [one.moved(left, top) for one in self.detect(part)]


def _surest_apart(found: Iterable[Detection]) -> list[Detection]:
    return distinct(sorted(found, key=lambda one: -one.confidence_permille))


def _is_whole(detection: Detection, edges: Box) -> bool:
    x0, y0, x1, y1 = detection.box_px
    room = CUT_ROOM * (x1 - x0)
    return x0 - room > edges[0] and y0 - room > edges[1] and x1 + room < edges[2] and y1 + room < edges[3]


def distinct(found: Sequence[Detection]) -> list[Detection]:
    """Of detections that overlap, the first only; no more than MAX_DETECTIONS."""
    kept: list[Detection] = []
    for one in found:
        if all(overlap(one.box_px, other.box_px) < MAX_OVERLAP for other in kept):
            kept.append(one)
    return kept[:MAX_DETECTIONS]


def shape_for(height: float, width: float) -> tuple[int, int]:
    """Rows and columns of the input in which such a picture is largest, of several the one with the least work."""
    return max(SHAPES, key=lambda shape: (_scale_in(shape, height, width), -shape[0] * shape[1]))


def _scale_in(shape: tuple[int, int], height: float, width: float) -> float:
    return min(shape[1] / width, shape[0] / height, MAX_ENLARGEMENT)


def fit(luma: NDArray[np.uint8], *, width_px: int, height_px: int) -> tuple[NDArray[np.uint8], float]:
    """The picture scaled into the upper left of (height_px, width_px), the rest grey; and the scale."""
    height, width = luma.shape
    scale = _scale_in((height_px, width_px), height, width)
    size = (min(width_px, max(1, round(width * scale))), min(height_px, max(1, round(height * scale))))
    fitted = np.full((height_px, width_px), PADDING_GREY, dtype=np.uint8)
    fitted[: size[1], : size[0]] = resized(luma, size)
    return fitted, scale


def resized(luma: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The picture at another size (width, height), averaged where it shrinks.

    It is halved as long as it can be: a mean of four pixels is many times as quick as one over a broken number of them.
    """
    while all(side % 2 == 0 and side >= 2 * wanted for side, wanted in zip(luma.shape[::-1], size, strict=True)):
        luma = _shrunk(luma, (luma.shape[1] // 2, luma.shape[0] // 2))
    if luma.shape[1] > size[0] or luma.shape[0] > size[1]:
        return _shrunk(luma, size)
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def _shrunk(luma: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def decode(heat: NDArray[np.float32], corners: NDArray[np.float32]) -> list[Detection]:
    """Detections of a heat map of logits (rows, columns) and corner offsets (rows, columns, 8), in input pixels."""
    sure = (1.0 / (1.0 + np.exp(-heat))).astype(np.float32)
    peak = (sure == cv2.dilate(sure, np.ones((3, 3), dtype=np.uint8))) & (sure * 1000 >= MIN_CONFIDENCE_PERMILLE)
    rows, columns = np.nonzero(peak)
    order = np.argsort(-sure[rows, columns], kind="stable")[: 2 * MAX_DETECTIONS]
    found = (_detection(sure, corners, int(rows[index]), int(columns[index])) for index in order)
    return distinct([one for one in found if is_convex(one.corners_px)])


def _detection(sure: NDArray[np.float32], corners: NDArray[np.float32], row: int, column: int) -> Detection:
    """The plate around one peak; each corner is the mean of what the cells around the peak say, by their certainty."""
    total, weight = np.zeros((4, 2)), 0.0
    for r in range(max(0, row - 1), min(sure.shape[0], row + 2)):
        for c in range(max(0, column - 1), min(sure.shape[1], column + 2)):
            if sure[r, c] < 0.5 * sure[row, column]:
                continue
            offsets = np.sinh(corners[r, c].reshape(4, 2)) * CORNER_SCALE_PX
            total += sure[r, c] * (offsets + (np.array([c, r]) + 0.5) * HEAT_STRIDE_PX)
            weight += float(sure[r, c])
    return Detection(
        corners_px=tuple((float(x), float(y)) for x, y in total / weight),
        confidence_permille=int(sure[row, column] * 1000),
    )


def is_convex(corners: Corners) -> bool:
    """True where the four corners turn the same way throughout, as a plate's do."""
    points = np.array(corners)
    edges = np.roll(points, -1, axis=0) - points
    following = np.roll(edges, -1, axis=0)
    return bool(np.all(edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0] > 0))


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes x0, y0, x1, y1."""
    both = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    return both / area if area > 0 else 0.0


def shared(a: Box, b: Box) -> float:
    """The share of the smaller of two boxes that lies in the other."""
    both = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    least = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return both / least if least > 0 else 0.0


def _centre_within(detection: Detection, size: tuple[float, float]) -> bool:
    x = sum(x for x, _ in detection.corners_px) / 4
    y = sum(y for _, y in detection.corners_px) / 4
    return 0 <= x < size[0] and 0 <= y < size[1]


def _scaled(detection: Detection, factor: float, left: int = 0, top: int = 0) -> Detection:
    return Detection(
        corners_px=tuple((x * factor + left, y * factor + top) for x, y in detection.corners_px),
        confidence_permille=detection.confidence_permille,
    )
