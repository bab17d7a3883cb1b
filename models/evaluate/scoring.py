"""The rules by which a picture is judged; the same for our models and for any other program.

Found: a box that overlaps the labelled one with IoU of MIN_IOU or more; judged where the label is tight, and once more
with loose labels, which a tight box may miss.
Read: of the reads that lie on a plate (IoU of NEAR_IOU or more, or no box on either side; in a crop every read) the one
that counts is the surest, shown ones first.  Stood by: what a device as it is shipped would count as a look, which asks
for more confidence than showing.  Exact: its text is the known one (`texts.same`).  Stray: a shown read away
from every labelled plate of a scene; pictures may show plates that nobody labelled, so a stray can be right.  Those
that a person has seen are known (`manifest.FURTHER`), and what lies on none of them either is on no plate.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from edge.reader.commands import CONSENSUS
from edge.reader.detect import overlap
from models.evaluate.manifest import Picture, Plate
from models.evaluate.seen import Box, Read, Seen
from models.evaluate.texts import MASK, fields_of, same, same_length

MIN_IOU = 0.5
NEAR_IOU = 0.1
FIELDS = ("serial", "letter", "prefecture")


@dataclass(frozen=True, kw_only=True, slots=True)
class PlateVerdict:
    """How one labelled plate fared; None where its label does not tell.

    `best_iou` is that of the nearest box, `found_loosely` as `found` but by loose labels too, `strictly` as `exact` but
    with each `?` as exactly one character, `corrected` as `exact` but by what a person saw where the label is wrong.
    """

    plate: Plate
    best_iou: float
    found: bool | None
    found_loosely: bool | None
    read: Read | None
    exact: bool | None
    corrected: bool | None
    strictly: bool | None
    on_box: bool | None
    fields: dict[str, bool]

    @property
    def shown(self) -> bool:
        """Whether its read is shown, right or wrong."""
        return self.read is not None and self.read.shown

    @property
    def stood_by(self) -> bool:
        """Whether its read, right or wrong, passes every gate of a device that is configured by default."""
        read = self.read
        if read is None or not read.shown or read.reason is not None:
            return False
        return read.confidence_permille >= CONSENSUS.confidence_permille


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """How one picture fared; `strays` is None where a plate without a box leaves open what is away from it."""

    picture: Picture
    seen: Seen
    plates: tuple[PlateVerdict, ...]
    strays: tuple[Read, ...] | None

    @property
    def on_no_plate(self) -> tuple[Read, ...] | None:
        """The strays but those on a plate that a person saw and nobody labelled."""
        if self.strays is None:
            return None
        boxes = self.picture.further
        return tuple(one for one in self.strays if not any(_iou(one.box_px, box) >= NEAR_IOU for box in boxes))


def judge(picture: Picture, seen: Seen) -> Verdict:
    """Compares what was seen in one picture with its labels."""
    plates = tuple(_plate(picture, seen, index) for index in range(len(picture.plates)))
    return Verdict(picture=picture, seen=seen, plates=plates, strays=_strays(picture, seen.reads))


def _plate(picture: Picture, seen: Seen, index: int) -> PlateVerdict:
    plate = picture.plates[index]
    is_scene = picture.kind == "scene"
    read = surest([one for one in seen.reads if one.text and (not is_scene or lies_on(one, plate))])
    best_iou = max((iou(one, plate) for one in seen.reads), default=0.0)
    known = plate.text
    on_box = None
    if is_scene and known is not None and seen.on_box is not None and plate.quad is not None:
        placed = seen.on_box[index] if index < len(seen.on_box) else None
        on_box = same(placed.text if placed else None, known)
    return PlateVerdict(
        plate=plate,
        best_iou=best_iou,
        found=best_iou >= MIN_IOU if is_scene and plate.tight else None,
        found_loosely=best_iou >= MIN_IOU if is_scene and plate.box is not None else None,
        read=read,
        exact=None if known is None else same(read.text if read else None, known),
        corrected=None if known is None else same(read.text if read else None, plate.corrected or known),
        strictly=None if known is None else same_length(read.text if read else None, known),
        on_box=on_box,
        fields=_fields(picture, known, read),
    )


def iou(read: Read, plate: Plate) -> float:
    """Intersection over union of the two boxes, 0 where one is not known."""
    return _iou(read.box_px, plate.box)


def _iou(one: Box | None, other: Box | None) -> float:
    return overlap(one, other) if one is not None and other is not None else 0.0


def lies_on(read: Read, plate: Plate) -> bool:
    """True where the read can be of that plate."""
    return read.box_px is None or plate.box is None or iou(read, plate) >= NEAR_IOU


def surest(reads: Sequence[Read]) -> Read | None:
    """The read that counts where several lie on one plate."""
    return max(reads, key=lambda one: (one.shown, one.confidence_permille), default=None)


def _strays(picture: Picture, reads: Sequence[Read]) -> tuple[Read, ...] | None:
    if picture.kind != "scene" or any(plate.box is None for plate in picture.plates):
        return None
    shown = [one for one in reads if one.shown and one.text and one.box_px is not None]
    return tuple(one for one in shown if not any(lies_on(one, plate) for plate in picture.plates))


def _fields(picture: Picture, known: str | None, read: Read | None) -> dict[str, bool]:
    """Which fields of a Moroccan plate were read right; fields that the plate does not have are left out."""
    there = fields_of(known) if known is not None and picture.country == "MA" else None
    if there is None:
        return {}
    mine = fields_of(read.text) if read is not None else None
    return {name: same(getattr(mine, name, None), getattr(there, name)) for name in FIELDS if getattr(there, name)}


@dataclass(kw_only=True, slots=True)
class Tally:
    """The outcomes of one set for one program, in the order of its pictures."""

    set: str
    program: str
    pictures: int = 0
    found: list[bool] = field(default_factory=list)
    found_loosely: list[bool] = field(default_factory=list)
    exact: list[bool] = field(default_factory=list)
    corrected: list[bool] = field(default_factory=list)
    corrections: int = 0
    on_box_or_crop: list[bool] = field(default_factory=list)
    strictly: list[bool] = field(default_factory=list)
    fields: dict[str, list[bool]] = field(default_factory=lambda: {name: [] for name in FIELDS})
    shown: list[bool] = field(default_factory=list)
    shown_right: list[bool] = field(default_factory=list)
    stood_by: list[bool] = field(default_factory=list)
    stood_by_right: list[bool] = field(default_factory=list)
    judged_for_strays: int = 0
    strays: int = 0
    on_no_plate: int = 0
    ms: list[float] = field(default_factory=list)
    memory_mb: float | None = None


def tally(name: str, program: str, verdicts: Iterable[Verdict]) -> Tally:
    """Counts the verdicts of one set."""
    counts = Tally(set=name, program=program)
    for verdict in verdicts:
        counts.pictures += 1
        if verdict.strays is not None:
            counts.judged_for_strays += 1
            counts.strays += len(verdict.strays)
            counts.on_no_plate += len(verdict.on_no_plate or ())
        if verdict.seen.ms is not None:
            counts.ms.append(verdict.seen.ms)
        if verdict.seen.memory_mb is not None:
            counts.memory_mb = max(counts.memory_mb or 0.0, verdict.seen.memory_mb)
        for plate in verdict.plates:
            _count(counts, plate, whole_picture=verdict.picture.kind == "scene")
    return counts


def _count(counts: Tally, verdict: PlateVerdict, *, whole_picture: bool) -> None:
    if verdict.found is not None:
        counts.found.append(verdict.found)
    if verdict.found_loosely is not None:
        counts.found_loosely.append(verdict.found_loosely)
    if verdict.exact is None or verdict.strictly is None or verdict.plate.text is None:
        return
    (counts.exact if whole_picture else counts.on_box_or_crop).append(verdict.exact)
    if whole_picture and verdict.corrected is not None:
        counts.corrected.append(verdict.corrected)
        counts.corrections += verdict.plate.corrected is not None
    if verdict.on_box is not None:
        counts.on_box_or_crop.append(verdict.on_box)
    if MASK in verdict.plate.text:
        counts.strictly.append(verdict.strictly)
    for name, right in verdict.fields.items():
        counts.fields[name].append(right)
    counts.shown.append(verdict.shown)
    if verdict.shown:
        counts.shown_right.append(verdict.exact)
    counts.stood_by.append(verdict.stood_by)
    if verdict.stood_by:
        counts.stood_by_right.append(verdict.exact)
