"""The photographs: where they are, which are for training, which for validation, and where their plates lie.

Decides the split: by plate text where one is known, so that no text is read in training and in validation; else by the
file's name, so that the detector may have learned from another picture of a held-out car.  `us_*`, `br_*` and `es_*`
are for validation only, because of their licences.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

VALIDATION_PERCENT = 15
TRAINABLE = ("ma_scenes", "ma_crops")
ASCII_OF = {"أ": "A", "ب": "B", "د": "D", "ه": "H", "و": "W", "ش": "S"}
ARABIC_OF = {ascii_letter: letter for letter, ascii_letter in ASCII_OF.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Character:
    """One labelled character: what it is and its box in pixels (x1, y1, x2, y2)."""

    symbol: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Photo:
    """One picture of the manifest.  `box` is its plate's, in pixels; `loose` where the box is wider than the plate."""

    path: Path
    folder: str
    name: str
    country: str
    kind: str
    text: str | None
    box: tuple[float, float, float, float] | None
    loose: bool
    lines: int
    characters: tuple[Character, ...]

    @property
    def held_out(self) -> bool:
        """True where the picture is for validation and may not be trained on."""
        return self.folder not in TRAINABLE or is_validation(self.text or self.name)


def is_validation(key: str) -> bool:
    """The split: a stable hash of the plate text (or of the file name where the text is unknown)."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % 100 < VALIDATION_PERCENT


def default_data() -> Path:
    """$VEDETTE_DATA, else `shared/data` beside the repository."""
    named = os.environ.get("VEDETTE_DATA")
    return Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "data"


def add_data_option(parser: argparse.ArgumentParser) -> None:
    """The option --data, the same in every command of this package."""
    parser.add_argument(
        "--data", type=Path, default=default_data(), help="folder that holds plates/ (default: %(default)s)"
    )


def photos(data: Path) -> list[Photo]:
    """Every picture of the manifest, in its order."""
    with (data / "plates" / "manifest.jsonl").open(encoding="utf-8") as lines:
        return [_photo(json.loads(line), data / "plates") for line in lines]


def _photo(row: dict[str, Any], folder: Path) -> Photo:
    plate = row["plates"][0]
    return Photo(
        path=folder / row["file"],
        folder=row["file"].split("/")[0],
        name=row["file"],
        country=row["country"],
        kind=row["kind"],
        text=plate["text"],
        box=tuple(plate["box"]) if plate["box"] else None,
        loose="rotated" in (row.get("note") or ""),
        lines=plate.get("lines", 1),
        characters=tuple(Character(symbol=c[0], box=(c[1], c[2], c[3], c[4])) for c in plate.get("chars") or ()),
    )


@lru_cache(maxsize=4096)
def luma_of(path: Path) -> NDArray[np.uint8]:
    """The picture in grey (height, width)."""
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise ValueError(f"{path} is not a readable picture")
    return np.asarray(picture, dtype=np.uint8)


def corners_of(photo: Photo) -> NDArray[np.float32] | None:
    """The plate's corners (4, 2) in pixels as far as its box tells them: exact only where the plate is level."""
    if photo.box is None:
        return None
    x0, y0, x1, y1 = photo.box
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float32)
