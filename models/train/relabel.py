"""A second round of labels: an earlier pair of models looks at the training scenes again.

It gives what the photographs lack: the four corners where the labelled box is loose or the plate tilted, and the text
where nobody wrote it down.  A text counts only where the models are nearly certain, and never where it belongs to the
validation split.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.reader.detect import Detection, overlap
from edge.reader.look import Look, Looker
from models.train import data
from models.train.data import Photo
from models.train.loop import BUILD

MIN_DETECTION_PERMILLE = 450
MIN_TEXT_PERMILLE = 960
MIN_IOU = 0.45
MIN_INSIDE = 0.8


def belongs(detection: Detection, photo: Photo) -> bool:
    """True where the detection is the labelled plate: the same box, or inside it where the box is loose."""
    assert photo.box is not None
    if overlap(detection.box_px, photo.box) >= MIN_IOU:
        return True
    x0, y0, x1, y1 = detection.box_px
    a, b, c, d = photo.box
    inside = max(0.0, min(x1, c) - max(x0, a)) * max(0.0, min(y1, d) - max(y0, b))
    return photo.loose and inside >= MIN_INSIDE * (x1 - x0) * (y1 - y0) and (x1 - x0) >= 0.6 * (c - a)


def label_of(photo: Photo, looks: list[Look]) -> dict[str, object] | None:
    """Corners and text of one training photograph, or None where the models did not find its plate."""
    mine = [look for look in looks if belongs(look.detection, photo)]
    if not mine or mine[0].detection.confidence_permille < MIN_DETECTION_PERMILLE:
        return None
    look = mine[0]
    text = photo.text
    plate = look.plate
    if text is None and plate is not None and plate.region == "MA" and plate.confidence_permille >= MIN_TEXT_PERMILLE:
        text = plate.text
    if text is not None and data.is_validation(text):
        return None
    corners = np.array(look.detection.corners_px)
    return {"corners": (corners if photo.loose else into_box(corners, photo)).round(2).tolist(), "text": text}


def into_box(corners: NDArray[np.float64], photo: Photo) -> NDArray[np.float64]:
    """The corners (4, 2) stretched so that they touch the labelled box, which is tight where it is not loose."""
    assert photo.box is not None
    box = np.array(photo.box).reshape(2, 2)
    low, high = corners.min(axis=0), corners.max(axis=0)
    return np.asarray((corners - low) / (high - low) * (box[1] - box[0]) + box[0], dtype=np.float64)


def run(data_root: Path, models: Path | None, out: Path) -> None:
    """Writes the labels of every training scene as one JSON object, file name to label."""
    looker = Looker.load(threads=1, folder=models)
    training = [p for p in data.photos(data_root) if p.folder == "ma_scenes" and not p.held_out]
    labels = {p.name: label for p in training if (label := label_of(p, looker.look(data.luma_of(p.path))))}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(labels, ensure_ascii=False, indent=0), encoding="utf-8")
    read = sum(label["text"] is not None for label in labels.values())
    print(f"{len(labels)} of {len(training)} scenes with corners, {read} with a text; written to {out}")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m models.train.relabel", description=__doc__)
    data.add_data_option(parser)
    parser.add_argument(
        "--models", type=Path, default=None, help="folder of the earlier pair (default: the shipped one)"
    )
    parser.add_argument("--out", type=Path, default=BUILD / "labels.json")
    args = parser.parse_args()
    run(args.data, args.models, args.out)


if __name__ == "__main__":
    main()
