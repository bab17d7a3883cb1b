"""The reads that a calibration is measured with: held-out photographs at several sizes, and held-out drawn plates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.evaluate import ours
from models.evaluate.calibration import Sample
from models.evaluate.conditions import measure
from models.evaluate.drawing import DrawnPicture
from models.evaluate.manifest import Picture
from models.evaluate.scoring import judge
from models.evaluate.seen import Corners, Read
from models.evaluate.texts import MASK, bare, same

PHOTOGRAPH, DRAWN = "photographs", "drawn plates"
MODELS = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnRead:
    """One drawn plate and what was read on it; where nothing was read, the sample is wrong with no confidence."""

    picture: DrawnPicture
    read: Read | None
    sample: Sample


def of_photographs(looker: ours.Looks, pictures: Iterable[Picture], sizes: Sequence[float]) -> Iterator[Sample]:
    """Every read of a labelled plate whose whole text is known, from each picture at each of the sizes."""
    for picture in pictures:
        if not any(plate.text is not None and MASK not in plate.text for plate in picture.plates):
            continue
        luma, pixel = ours.luma_of(picture)
        for size in sizes:
            small = ours.smaller(luma, size)
            scale = pixel * luma.shape[1] / small.shape[1]
            for verdict in judge(picture, ours.see_luma(looker, picture, small, scale)).plates:
                known, read = verdict.plate.text, verdict.read
                if known is None or MASK in known or read is None or read.corners_px is None:
                    continue
                corners: Corners = tuple((x / scale, y / scale) for x, y in read.corners_px)
                yield Sample(
                    plate=bare(known),
                    source=PHOTOGRAPH,
                    raw_permille=read.confidence_permille,
                    right=bool(verdict.exact),
                    size=size,
                    conditions=measure(small, corners, picture.country),
                )


def of_drawn(looker: ours.Looks, pictures: Iterable[DrawnPicture]) -> Iterator[DrawnRead]:
    """Every drawn plate as a crop through the whole chain."""
    for picture in pictures:
        (look,) = looker.look_at_crop(picture.luma)
        read = ours.read_of(look) if look.plate is not None else None
        yield DrawnRead(
            picture=picture,
            read=read,
            sample=Sample(
                plate=bare(picture.text),
                source=DRAWN,
                raw_permille=read.confidence_permille if read is not None else 0,
                right=read is not None and same(read.text, picture.text),
                size=1.0,
                conditions=measure(picture.luma, picture.corners, picture.region),
            ),
        )
