"""Holds a redacted copy against its parent, picture by picture and packet by packet.

Decided here: what "not changed beyond encoding anew" means in numbers, and what "covered" means. A picture's open part
has a PSNR of at least `OPEN_PSNR_MDB`, and each of its cells of 8x8 pixels one of at least `CELL_PSNR_MDB`, in
brightness and in colour: the first keeps the whole, the second finds a change in one place that the mean would hide. A
covered cell is the fill, no pixel off by more than `FILL_ERROR` levels and the cell with a PSNR of at least
`FILL_PSNR_MDB`: what encoding leaves there is far below the contrast of a character. Implements RD-30 to RD-34 of
docs/spec/redaction.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import BinaryIO

import cv2
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from edge.redact.cover import Cells, Plane, cells_at, spread
from edge.redact.pictures import Picture, decoded, open_video
from edge.redact.plan import Plan
from vedette.errors import Integrity
from vedette.redaction import CELL_PX, FILL

OPEN_PSNR_MDB = 34_000
CELL_PSNR_MDB = 20_000
FILL_ERROR = 32
FILL_PSNR_MDB = 28_000
_PERFECT_MDB = 99_000
_NAMES = ("brightness", "colour (blue)", "colour (red)")


@dataclass(kw_only=True, slots=True)
class Compared:
    """What the comparison found: times of all pictures, how many are covered somewhere, the worst figures met (PSNR in
    thousandths of a decibel, deviation from the fill in levels).
    """

    times_us: list[int] = field(default_factory=list)
    covered: int = 0
    open_psnr_mdb: int = _PERFECT_MDB
    cell_psnr_mdb: int = _PERFECT_MDB
    fill_psnr_mdb: int = _PERFECT_MDB
    fill_error: int = 0


def compare(parent: BinaryIO, derived: BinaryIO, plan: Plan) -> Compared:
    """Compare every picture; Integrity names the first that differs, its time, the place and by how much."""
    found = Compared()
    with open_video(parent, "the parent") as a, open_video(derived, "the copy") as b:
        _check_tracks(b)
        for before, after in _pairs(a, b):
            _check_form(before, after)
            height, width = before.luma.shape
            cells = cells_at(plan.regions, before.at_us, width=width, height=height)
            found.times_us.append(before.at_us)
            found.covered += bool(cells.any())
            _check_open(before, after, cells, found)
            _check_covered(after, cells, found)
    return found


def _pairs(a: InputContainer, b: InputContainer) -> Iterator[tuple[Picture, Picture]]:
    for before, after in zip_longest(decoded(a, "the parent"), decoded(b, "the copy")):
        if before is None or after is None:
            one = before if before is not None else after
            short = "copy" if after is None else "parent"
            raise Integrity(f"{_named(one)}: the {short} has none")
        yield before, after


def _check_tracks(copy: InputContainer) -> None:
    """A second video, a picture or an attachment could show what the first one covers."""
    kinds = [one.type for one in copy.streams]
    if kinds.count("video") != 1 or set(kinds) - {"video", "audio", "subtitle"}:
        raise Integrity(f"the copy has other tracks than one video, sound and text: {', '.join(kinds)}")


def _check_form(before: Picture, after: Picture) -> None:
    if before.luma.shape != after.luma.shape:
        raise Integrity(f"the copy's pictures have another size: {after.luma.shape[1]}x{after.luma.shape[0]}")
    if before.at_us != after.at_us:
        raise Integrity(f"{_named(after)} is shown at {before.at_us / 1e6:.6f} s in the parent")


def _check_open(before: Picture, after: Picture, cells: Cells, found: Compared) -> None:
    """The part of the picture that is not covered."""
    if cells.all():
        return
    for name, old, new, side in zip(_NAMES, before.planes, after.planes, _sides(), strict=True):
        errors = cell_errors(old, new, side, cells.shape)
        errors[cells] = 0
        whole, (row, column) = psnr_mdb(float(errors.sum()) / int((~cells).sum())), _worst(errors)
        worst = psnr_mdb(float(errors[row, column]))
        found.open_psnr_mdb, found.cell_psnr_mdb = min(found.open_psnr_mdb, whole), min(found.cell_psnr_mdb, worst)
        if whole < OPEN_PSNR_MDB or worst < CELL_PSNR_MDB:
            raise Integrity(
                f"{_named(after)} was changed where the plan changes nothing, most about pixel {column * CELL_PX}, "
                f"{row * CELL_PX}: {name} {worst / 1000:.1f} dB there and {whole / 1000:.1f} dB in all"
            )


def _check_covered(after: Picture, cells: Cells, found: Compared) -> None:
    """The part of the picture that nobody may see."""
    if not cells.any():
        return
    for name, plane, value, side in zip(_NAMES, after.planes, FILL, _sides(), strict=True):
        filled = np.full_like(plane, value)
        off = int(cv2.absdiff(plane, filled)[spread(cells, side, plane.shape)].max())
        errors = cell_errors(plane, filled, side, cells.shape)
        errors[~cells] = 0
        row, column = _worst(errors)
        worst = psnr_mdb(float(errors[row, column]))
        found.fill_error, found.fill_psnr_mdb = max(found.fill_error, off), min(found.fill_psnr_mdb, worst)
        if off > FILL_ERROR or worst < FILL_PSNR_MDB:
            raise Integrity(
                f"{_named(after)} is to be covered and is not, most about pixel {column * CELL_PX}, {row * CELL_PX}: "
                f"{name} is off the fill by up to {off} levels, {worst / 1000:.1f} dB there"
            )


def cell_errors(old: Plane, new: Plane, side: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The mean squared difference of each cell (rows, columns); cells at the edge count the pixels that they have."""
    squared = np.square(cv2.absdiff(old, new).astype(np.float32))
    down, across = shape[0] * side - squared.shape[0], shape[1] * side - squared.shape[1]
    if down or across:
        squared = np.asarray(cv2.copyMakeBorder(squared, 0, down, 0, across, cv2.BORDER_REFLECT))
    return np.asarray(cv2.resize(squared, (shape[1], shape[0]), interpolation=cv2.INTER_AREA), dtype=np.float32)


def psnr_mdb(error: float) -> int:
    """A mean squared difference as peak signal to noise ratio, in thousandths of a decibel."""
    return _PERFECT_MDB if error <= 0 else min(_PERFECT_MDB, round(10_000 * math.log10(255 * 255 / error)))


def _worst(errors: NDArray[np.float32]) -> tuple[int, int]:
    row, column = divmod(int(errors.argmax()), errors.shape[1])
    return row, column


def _sides() -> tuple[int, int, int]:
    return CELL_PX, CELL_PX // 2, CELL_PX // 2


def _named(picture: Picture) -> str:
    return f"picture {picture.number} at {picture.at_us / 1e6:.6f} s"
