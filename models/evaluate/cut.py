"""What a device makes of plates that the picture's edge cuts: held-out scenes cut through their plate, on each side.

`python -m models.evaluate.cut [--out FILE]`. A tenth to a half of the plate is outside. What is left of it reads as
another plate's text, so a device has to leave it alone (HT-36); here it is counted how often it does, and how often it
would stand by a text. Cut above or below, characters can often still be read rightly: what was misread is told apart
where the text is known.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator

from edge.reader.commands import CONSENSUS
from edge.reader.detect import Detection
from edge.reader.gate import Gates, Reason, judge, judge_detection
from edge.reader.look import Look, Looker
from models.evaluate.table import markdown
from models.evaluate.telling import held_out_scenes, parser_of, tell
from models.synth.placing import Luma
from models.train import data

SEED = 3
LEAST_OUTSIDE, MOST_OUTSIDE = 0.1, 0.5
LEAST_SIDE_PX, MOST_SIDE_PX = 64, 1920
# Farther than half of its size from the cut it is another plate.
OTHER_PLATE = 0.5
SIDES = ("left", "right", "top", "bottom")
HEADS = ("cut by the edge", "pictures", "plates found there", "kept back as cut", "stood by", "of those misread")
GATES = Gates(confidence_permille=CONSENSUS.confidence_permille)


@dataclass(slots=True)
class Count:
    """Pictures that were cut on one side."""

    pictures: int = 0
    found: int = 0
    edge: int = 0
    stood_by: int = 0
    misread: int = 0

    def row(self, side: str) -> list[str]:
        """A line of the table."""
        return [side, *(str(n) for n in (self.pictures, self.found, self.edge, self.stood_by, self.misread))]


def cut(luma: Luma, box: Sequence[float], side: str, rng: Generator) -> Luma:
    """The picture without what lies beyond a line through the box (x1, y1, x2, y2), as its `side` edge would cut it."""
    (x0, y0, x1, y1), outside = box, rng.uniform(LEAST_OUTSIDE, MOST_OUTSIDE)
    across, down = outside * (x1 - x0), outside * (y1 - y0)
    kept = {
        "left": luma[:, int(x0 + across) :],
        "right": luma[:, : int(x1 - across)],
        "top": luma[int(y0 + down) :],
        "bottom": luma[: int(y1 - down)],
    }[side]
    return np.ascontiguousarray(kept)


def is_at(detection: Detection, side: str, picture: tuple[int, int]) -> bool:
    """Whether a detection is what is left of the plate: near that edge of a picture of this width and height."""
    axis, is_far = SIDES.index(side) // 2, side in ("right", "bottom")
    places = [corner[axis] for corner in detection.corners_px]
    room = picture[axis] - max(places) if is_far else min(places)
    return room <= OTHER_PLATE * (max(places) - min(places))


def count_in(looker: Looker, luma: Luma, side: str, text: str | None, count: Count) -> None:
    """Looks at one cut picture as the device does at one of its camera."""
    height, width = luma.shape
    count.pictures += 1
    for detection in looker.detector.detect(luma):
        if not is_at(detection, side, (width, height)):
            continue
        count.found += 1
        judged = judge_detection(detection, GATES, (width, height))
        if judged is not None:
            count.edge += judged.reason is Reason.EDGE
            continue
        plate = looker.reader.read(luma, detection.corners_px)
        if plate is None or judge(Look(detection=detection, plate=plate), GATES).reason is not None:
            continue
        count.stood_by += 1
        count.misread += text is not None and plate.text != text


def run(root: Path, folder: Path | None) -> str:
    """The table in Markdown; errors as in `held_out_scenes`."""
    looker, rng = Looker.load(threads=1, folder=folder), np.random.default_rng(SEED)
    counts = {side: Count() for side in SIDES}
    for photo in held_out_scenes(root):
        luma = data.luma_of(photo.path)
        if photo.box is None or max(luma.shape) > MOST_SIDE_PX:
            continue
        for side in SIDES:
            left = cut(luma, photo.box, side, rng)
            if min(left.shape) >= LEAST_SIDE_PX:
                count_in(looker, left, side, photo.text, counts[side])
    return markdown(HEADS, [counts[side].row(side) for side in SIDES])


def main() -> int:
    """Reads the command line; returns the exit code."""
    args = parser_of("cut", __doc__).parse_args()
    return tell("cut", args.out, lambda: run(args.data, args.models))


if __name__ == "__main__":
    sys.exit(main())
