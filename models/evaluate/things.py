"""What the device takes for a plate and is none: drawn things laid exactly where the plate of a held-out scene was.

`python -m models.evaluate.things [--count N] [--out FILE]`. For each kind of thing it counts the pictures in which
`vedette read` shows a text, those with one that a device would stand by, and those where the reader itself said that it
is no plate. Last the same scenes with the plate painted out and nothing in its place.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.random import Generator

from edge.reader.commands import CONSENSUS
from edge.reader.gate import Reason
from edge.reader.look import Looker
from models.evaluate import ours
from models.evaluate.table import markdown
from models.evaluate.telling import held_out_scenes, parser_of, tell
from models.synth import clutter
from models.synth.placing import Luma, Quad, erased
from models.synth.streets import replaced
from models.train import data
from models.train.data import Photo

SEED = 77
COUNT = 60
NAMES = {
    clutter.price: "price", clutter.stamp: "date, time or speed of a camera", clutter.disc: "round sign or disc",
    clutter.number: "number on a bus, a house or a road sign", clutter.lettering: "lettering on bodywork",
    clutter.board: "board or sticker with words", clutter.badge: "badge", clutter.grille: "grille",
    clutter.lamp: "lamp", clutter.code: "bar code", clutter.panel: "empty plate or holder",
}  # fmt: skip
NOTHING = "nothing in its place"
HEADS = ("in the plate's place", "pictures", "shown", "stood by", "kept back as no plate")


@dataclass(slots=True)
class Count:
    """Pictures of one kind."""

    pictures: int = 0
    shown: int = 0
    stood_by: int = 0
    no_plate: int = 0

    def add(self, looker: ours.Looks, luma: Luma) -> None:
        """Looks at one picture."""
        reads = [ours.read_of(look) for look in looker.look(luma)]
        shown = [read for read in reads if read.shown]
        self.pictures += 1
        self.shown += bool(shown)
        stands = [read for read in shown if read.reason is None]
        self.stood_by += any(read.confidence_permille >= CONSENSUS.confidence_permille for read in stands)
        self.no_plate += not shown and any(read.reason == Reason.NO_PLATE.value for read in reads)

    def row(self, name: str) -> list[str]:
        """A line of the table."""
        return [name, *(str(n) for n in (self.pictures, self.shown, self.stood_by, self.no_plate))]


@dataclass(slots=True)
class _Only(clutter.ClutterSource):
    """Things of one kind."""

    draw: Callable[[Generator], clutter.Patch] = field(kw_only=True)

    def next(self) -> clutter.Patch:
        """One thing."""
        return self.draw(self.rng)


def _quad(photo: Photo) -> Quad:
    quad = data.corners_of(photo)
    assert quad is not None
    return quad


def counted(
    looker: ours.Looks, scenes: Sequence[Photo], draw: Callable[[Generator], clutter.Patch] | None, count: int
) -> Count:
    """`count` scenes with such a thing in their plate's place, or with nothing there."""
    rng, found = np.random.default_rng(SEED), Count()
    for place in range(count):
        photo = scenes[2 * place % len(scenes)]
        luma = erased(data.luma_of(photo.path), _quad(photo), rng)
        if draw is not None:
            replaced(luma, _Only(rng=rng, draw=draw), _quad(photo), rng)
        found.add(looker, luma)
    return found


def run(root: Path, count: int, folder: Path | None) -> str:
    """The table in Markdown; NotFound where there are no photographs."""
    scenes = [one for one in held_out_scenes(root) if one.folder == "ma_scenes"]
    looker = Looker.load(threads=1, folder=folder)
    rows = [counted(looker, scenes, draw, count).row(name) for draw, name in NAMES.items()]
    return markdown(HEADS, [*rows, counted(looker, scenes, None, count).row(NOTHING)])


def main() -> int:
    """Reads the command line; returns the exit code."""
    parser = parser_of("things", __doc__)
    parser.add_argument("--count", type=int, default=COUNT, help="pictures of each kind (default: %(default)s)")
    args = parser.parse_args()
    return tell("things", args.out, lambda: run(args.data, args.count, args.models))


if __name__ == "__main__":
    sys.exit(main())
