"""The labelled pictures of a folder: its manifest.jsonl, one JSON object for each picture.

    {"file": "set/name.jpg", "country": "MA", "kind": "scene" or "crop", "note": null, "plates": [
        {"text": "12345|أ|6" or null, "box": [x0, y0, x1, y1] or null, "corners": [[x, y] × 4] or null, "lines": 1}]}

Decides which pictures were held out from training (as `models.train.data` splits them), and where a box is loose: a
picture whose `note` says it was rotated has boxes wider than its plates.  The set of a picture is its folder.

Where pictures show plates that nobody labelled, those that a person has seen since stand in `FURTHER`, one JSON object
for each: {"file": "set/name.jpg", "box": [x0, y0, x1, y1]}.  They tell a stray on such a plate from one on no plate.
Labels that a person saw to be wrong, on the picture itself, stand in `CORRECTIONS` by what differs, not as whole texts:
{"file": "set/name.jpg", "at": 0, "labelled": "5", "seen": "B"}.  Both figures are given, as labelled and corrected.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from models.evaluate.jsonlines import BadLine, Line, lines_of
from models.train import data

MANIFEST = "manifest.jsonl"
FURTHER = Path(__file__).with_name("further.jsonl")
CORRECTIONS = Path(__file__).with_name("corrections.jsonl")
KINDS = ("scene", "crop")

Box = tuple[float, float, float, float]
Corners = tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plate:
    """One labelled plate; `box` in pixels of the file, `tight` where the box is known to fit the plate.

    `corrected` is what a person saw on it where the label says something else.
    """

    text: str | None
    box: Box | None
    corners: Corners | None
    tight: bool
    corrected: str | None = None

    @property
    def quad(self) -> Corners | None:
        """Its corners, or those of its box where the box is tight."""
        if self.corners is not None or self.box is None or not self.tight:
            return self.corners
        x0, y0, x1, y1 = self.box
        return (x0, y0), (x1, y0), (x1, y1), (x0, y1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Correction:
    """What stands on a plate from character `at` on, where its label says something else."""

    at: int
    labelled: str
    seen: str

    def of(self, text: str | None) -> str | None:
        """The corrected text of a label; None where the label does not say what was corrected."""
        end = self.at + len(self.labelled)
        return (
            text[: self.at] + self.seen + text[end:]
            if text is not None and text[self.at : end] == self.labelled
            else None
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One picture and its labels; `name` is its path inside the folder of the manifest, `further` the boxes of plates
    without a label.
    """

    path: Path
    name: str
    set: str
    country: str
    kind: str
    plates: tuple[Plate, ...]
    further: tuple[Box, ...] = ()

    @property
    def held_out(self) -> bool:
        """True where the picture may not be trained on."""
        key = self.plates[0].text if self.plates else None
        return self.set not in data.TRAINABLE or data.is_validation(key or self.name)


def pictures_of(folder: Path) -> list[Picture]:
    """Every picture of the folder's manifest in its order; raises `BadLine` naming the file, line and field."""
    path, further, corrections = folder / MANIFEST, _further(FURTHER), _corrections(CORRECTIONS)
    found: dict[str, Picture] = {}
    for line in lines_of(path):
        picture = _corrected(_picture(line, folder, further), corrections)
        if picture.name in found:
            raise line.wrong("file", f"{picture.name} stands in an earlier line already")
        found[picture.name] = picture
    if not found:
        raise BadLine(f"{path}: no pictures")
    return list(found.values())


def _further(path: Path) -> dict[str, list[Box]]:
    boxes: dict[str, list[Box]] = defaultdict(list)
    for line in lines_of(path):
        boxes[line.text("file")].append(line.box("box"))
    return boxes


def _corrections(path: Path) -> dict[str, Correction]:
    return {
        line.text("file"): Correction(
            at=int(line.number("at", least=0)), labelled=line.text("labelled"), seen=line.text("seen")
        )
        for line in lines_of(path)
    }


def _corrected(picture: Picture, corrections: Mapping[str, Correction]) -> Picture:
    correction = corrections.get(picture.name)
    if correction is None:
        return picture
    return replace(picture, plates=tuple(replace(p, corrected=correction.of(p.text)) for p in picture.plates))


def _picture(line: Line, folder: Path, further: Mapping[str, Sequence[Box]]) -> Picture:
    name, kind = line.text("file"), line.text("kind")
    inside = PurePosixPath(name)
    if inside.is_absolute() or ".." in inside.parts or not inside.parts:
        raise line.wrong("file", f"{name!r} is not a path inside the folder")
    if kind not in KINDS:
        raise line.wrong("kind", f"expected {' or '.join(KINDS)}, found {kind!r}")
    loose = line.has("note") and "rotated" in line.text("note")
    plates = [_plate(entry, line, loose=loose) for entry in line.objects("plates")]
    if kind == "crop" and len(plates) != 1:
        raise line.wrong("plates", f"a crop shows one plate, this line has {len(plates)}")
    return Picture(
        path=folder / name,
        name=str(inside),
        set=inside.parts[0] if len(inside.parts) > 1 else folder.resolve().name,
        country=line.text("country"),
        kind=kind,
        plates=tuple(plates),
        further=tuple(further.get(str(inside), ())),
    )


def _plate(entry: Line | None, line: Line, *, loose: bool) -> Plate:
    if entry is None:
        raise line.wrong("plates", "an entry is null")
    text = entry.text("text") if entry.has("text") else None
    if text == "":
        raise entry.wrong("text", "empty; write null where the text is not known")
    corners = entry.corners("corners") if entry.has("corners") else None
    box = entry.box("box") if entry.has("box") else _around(corners)
    return Plate(text=text, box=box, corners=corners, tight=corners is not None or (box is not None and not loose))


def _around(corners: Corners | None) -> Box | None:
    if corners is None:
        return None
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    return min(xs), min(ys), max(xs), max(ys)


def set_names(pictures: list[Picture]) -> list[str]:
    """The sets in the order of the table: those of Morocco first, then as they stand in the manifest."""
    countries: dict[str, str] = {}
    for picture in pictures:
        countries.setdefault(picture.set, picture.country)
    return sorted(countries, key=lambda name: countries[name] != "MA")
