"""Which outcomes a person should look at, and why each happened: the cases of the gallery."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge.reader.commands import GATES
from edge.reader.gate import Reason
from models.evaluate.scoring import MIN_IOU, PlateVerdict, Verdict
from models.evaluate.seen import Read

KINDS = {
    "misread": "Read wrong",
    "hidden": "Read right and not shown",
    "unread": "Found and not read",
    "missed": "Not found",
    "loose": "Read right, box beside the plate",
    "stray": "Shown away from every labelled plate",
}

GATE_WORDS = {
    Reason.HEIGHT.value: f"its lines are lower than {GATES.height_px:g} pixels",
    Reason.WIDTH.value: f"it is narrower than {GATES.width_px:g} pixels",
    Reason.DETECTOR.value: "the detector was not sure that it is a plate",
    Reason.SHAPE.value: "no plate has the shape that was found",
    Reason.NO_PLATE.value: "the reader took it for something else than a plate",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One outcome to look at; `plate` is None for a stray, `read` is None where nothing was read."""

    kind: str
    verdict: Verdict
    plate: PlateVerdict | None
    read: Read | None
    why: str


def cases_of(verdicts: Sequence[Verdict]) -> list[Case]:
    """Every error of these pictures, by kind and then in their order."""
    found = [case for verdict in verdicts for case in _cases(verdict)]
    order = list(KINDS)
    return sorted(found, key=lambda case: order.index(case.kind))


def _cases(verdict: Verdict) -> Iterator[Case]:
    for plate in verdict.plates:
        kind = kind_of(plate)
        if kind is not None:
            yield Case(kind=kind, verdict=verdict, plate=plate, read=plate.read, why=_why(plate, kind))
    for read in verdict.strays or ():
        text = f"{_gate(read)} No label is near."
        yield Case(kind="stray", verdict=verdict, plate=None, read=read, why=text)


def kind_of(plate: PlateVerdict) -> str | None:
    """The kind of error, or None where nothing is wrong."""
    if plate.exact is False and plate.read is not None:
        return "misread"
    if plate.exact and not plate.shown:
        return "hidden"
    if plate.found is False:
        return "loose" if plate.exact else "missed"
    return "unread" if plate.exact is False else None


def percent(permille: int) -> str:
    """A confidence for people."""
    return f"{permille / 10:.1f} %"


def _why(plate: PlateVerdict, kind: str) -> str:
    nearest = "no box is near"
    if plate.best_iou >= 0.01:
        nearest = f"the nearest box overlaps with IoU {plate.best_iou:.2f}, {MIN_IOU} counts as found"
    if kind == "missed":
        return f"Not found: {nearest}."
    if kind == "loose":
        return f"Counts as not found: {nearest}."
    if kind == "unread" or plate.read is None:
        return "Not shown: no text that a plate can carry fits what was found."
    return _gate(plate.read) + (f" Not found either: {nearest}." if plate.found is False else "")


def _gate(read: Read) -> str:
    """Which gate kept a read back, or that none did."""
    said, gate = percent(read.confidence_permille), percent(GATES.confidence_permille)
    if read.shown:
        return f"Shown: {said} passes the gate of {gate}, and no other gate kept it back."
    if read.reason is None or read.reason == Reason.CONFIDENCE.value:
        return f"Not shown: {said} is below the gate of {gate}."
    return f"Not shown: {GATE_WORDS.get(read.reason, read.reason)}."
