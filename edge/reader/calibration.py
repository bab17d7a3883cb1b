"""What a confidence is worth: a table that turns the reader's own confidence into how often such reads are right.

`calibration.toml` beside the models names the reader that it was measured with and holds a few knots; between them the
line is straight, beyond the last it is flat.  Without the file, or where it was measured with another reader, the
reader's own confidence stands.  No two confidences ever change places.  How the table is found is in
`models.evaluate.calibration`; which confidence is enough to show a read is decided where it is shown.
"""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.reader.registry import CALIBRATION
from vedette import files
from vedette.errors import Integrity

if TYPE_CHECKING:
    from edge.reader.ocr import Alternative, PlateText

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_CALIBRATION_BYTES = 8 * 1024
MAX_KNOTS = 32
CERTAIN_PERMILLE = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Knot:
    """One point of the table: of reads with this confidence so many in a thousand are right."""

    raw_permille: int
    right_permille: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """Two to MAX_KNOTS knots: the first at 0, raw values rising, right ones never falling, all from 0 to 1000."""

    knots: tuple[Knot, ...]

    def __post_init__(self) -> None:
        """Raises Integrity where the knots are no such table."""
        values = [value for knot in self.knots for value in (knot.raw_permille, knot.right_permille)]
        if not 2 <= len(self.knots) <= MAX_KNOTS or not all(0 <= value <= CERTAIN_PERMILLE for value in values):
            raise Integrity(f"a calibration has 2 to {MAX_KNOTS} knots of 0 to {CERTAIN_PERMILLE} permille")
        rises = all(
            one.raw_permille < other.raw_permille and one.right_permille <= other.right_permille
            for one, other in pairwise(self.knots)
        )
        if self.knots[0].raw_permille != 0 or not rises:
            raise Integrity("the knots of a calibration begin at 0, rise, and never fall in what is right")

    def right_permille(self, raw_permille: int) -> int:
        """How many in a thousand reads of this confidence are right."""
        for one, other in pairwise(self.knots):
            if raw_permille <= other.raw_permille:
                rise = (other.right_permille - one.right_permille) * (raw_permille - one.raw_permille)
                return one.right_permille + rise // (other.raw_permille - one.raw_permille)
        return self.knots[-1].right_permille

    def applied(self, plate: PlateText | None) -> PlateText | None:
        """The same text with its calibrated confidence; its alternatives share what is left as they did before."""
        if plate is None or self == IDENTITY:
            return plate
        raw = plate.confidence_permille
        right = self.right_permille(raw)
        return dataclasses.replace(
            plate,
            confidence_permille=right,
            alternatives=tuple(_shared(one, raw, right) for one in plate.alternatives),
        )


IDENTITY = Calibration(
    knots=(
        Knot(raw_permille=0, right_permille=0),
        Knot(raw_permille=CERTAIN_PERMILLE, right_permille=CERTAIN_PERMILLE),
    )
)


def _shared(other: Alternative, raw: int, right: int) -> Alternative:
    """An alternative with its share of what the best text leaves; never above the best text."""
    left = CERTAIN_PERMILLE - raw
    share = other.confidence_permille * (CERTAIN_PERMILLE - right) // left if left > 0 else 0
    return dataclasses.replace(other, confidence_permille=min(share, right))


def find_calibration(reader_sha256: str, *, folder: Path | None = None) -> Calibration:
    """The table of the package, or of `folder`, for the reader with this hash; IDENTITY where there is none.

    Raises Integrity where the file is there and cannot be used.
    """
    path = (folder if folder is not None else Path(str(resources.files("models")))) / CALIBRATION
    if not path.is_file():
        return IDENTITY
    try:
        document: dict[str, Any] = tomllib.loads(files.read(path, max_bytes=MAX_CALIBRATION_BYTES).decode("utf-8"))
    except (ValueError, RecursionError) as error:  # TOML's and UTF-8's own errors, too deep
        raise Integrity(f"calibration {path}: {error}") from error
    measured = _measured_with(document, path)
    knots = _knots(document, path)
    return knots if measured == reader_sha256 else IDENTITY


def _measured_with(document: dict[str, Any], path: Path) -> str:
    unknown = sorted(set(document) - {"reader_sha256", "reads", "raw_permille", "right_permille"})
    if unknown:
        raise Integrity(f"calibration {path}: {unknown[0]} is unknown")
    measured = document.get("reader_sha256")
    if not isinstance(measured, str):
        raise Integrity(f"calibration {path}: reader_sha256 is missing")
    return measured


def _knots(document: dict[str, Any], path: Path) -> Calibration:
    columns = [document.get(name) for name in ("raw_permille", "right_permille")]
    for name, column in zip(("raw_permille", "right_permille"), columns, strict=True):
        if not isinstance(column, list) or not all(type(value) is int for value in column):
            raise Integrity(f"calibration {path}: {name} is not a list of integers")
    raw, right = columns
    assert isinstance(raw, list) and isinstance(right, list)
    if len(raw) != len(right):
        raise Integrity(f"calibration {path}: raw_permille and right_permille are not of one length")
    try:
        return Calibration(knots=tuple(Knot(raw_permille=x, right_permille=y) for x, y in zip(raw, right, strict=True)))
    except Integrity as error:
        raise Integrity(f"calibration {path}: {error}") from None


def text_of(calibration: Calibration, *, reader_sha256: str, reads: int) -> str:
    """The file's content; `reads` is on how many it was measured."""
    raw = ", ".join(str(knot.raw_permille) for knot in calibration.knots)
    right = ", ".join(str(knot.right_permille) for knot in calibration.knots)
    return (
        "# What the reader's confidence is worth, measured by `python -m models.evaluate.calibrate`.\n"
        f'reader_sha256 = "{reader_sha256}"\nreads = {reads}\nraw_permille = [{raw}]\nright_permille = [{right}]\n'
    )
