"""A contact sheet for the eye: what the models are shown while they learn, beside real photographs.

`python -m models.synth.sheet --out sheet.png [--seed N] [--data DIR]`.  Rows of drawn crops, one for each region;
where the photographs are at hand, rows of their plates; last the drawn scenes with their corners.  The same seed and
photographs give the same pixels.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from edge.reader.grammar import reading_of
from models.synth import fonts
from models.synth.crops import CROP_HEIGHT_PX, CROP_WIDTH_PX, CropSource, cut, normalised
from models.synth.scenes import Scene, SceneSource, Street
from models.train import data
from models.train.data import Photo

CAPTION_PX = 16
LABEL_PX = 120
GAP_PX = 4
TRIES_PER_CROP = 60
SCENES_A_ROW = 3
OTHER = "other"
MARK_LIGHT, MARK_DARK = 255, 0
Luma = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How many crops stand in a row, how many rows of regions there may be, and how many scenes follow."""

    columns: int = 7
    regions: int = 30
    scenes: int = 9


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One picture and the words under it."""

    luma: Luma
    caption: str


def sheet(seed: int, photos: Sequence[Photo], size: Size) -> Luma:
    """The whole sheet in grey (height, width); without photographs the scenes stand on invented streets."""
    rng = np.random.default_rng(seed)
    rows = [(f"drawn {region}", cells) for region, cells in drawn_rows(rng, size)]
    rows += [(f"real {country}", cells) for country, cells in real_rows(photos, rng, size)]
    bands = [_band(label, cells, size.columns) for label, cells in rows]
    scenes = scene_cells(photos, rng, size.scenes)
    for start in range(0, len(scenes), SCENES_A_ROW):
        bands.append(_band("drawn scenes", scenes[start : start + SCENES_A_ROW], SCENES_A_ROW))
    width = max(band.shape[1] for band in bands)
    return np.vstack([np.pad(band, ((0, 0), (0, width - band.shape[1])), constant_values=255) for band in bands])


def drawn_rows(rng: Generator, size: Size) -> list[tuple[str, list[Cell]]]:
    """Drawn crops sorted by the region that their symbols may belong to, the fullest rows first."""
    source = CropSource(rng=rng, real=(), backgrounds=())
    found: dict[str, list[Cell]] = {}
    for _ in range(TRIES_PER_CROP * size.columns):
        crop = source.next()
        row = found.setdefault(region_of(crop.symbols), [])
        if len(row) < size.columns and all(cell.caption != crop.symbols for cell in row):
            row.append(Cell(luma=crop.luma, caption=crop.symbols))
    fullest = sorted(found, key=lambda region: (-len(found[region]), region))[: size.regions]
    return [(region, found[region]) for region in fullest]


def region_of(symbols: str) -> str:
    """The region whose grammar the symbols follow, as the device would guess it."""
    reading = reading_of(symbols)
    return reading.region if reading is not None and reading.region else OTHER


def real_rows(photos: Sequence[Photo], rng: Generator, size: Size) -> list[tuple[str, list[Cell]]]:
    """Plates of photographs as the reader sees them, one row for each country."""
    boxed = [photo for photo in photos if photo.box is not None]
    rows = []
    for country in sorted({photo.country for photo in boxed}):
        there = [photo for photo in boxed if photo.country == country]
        told = [photo for photo in there if photo.text] or there
        rows.append((country, [_real(photo) for photo in _some(told, rng, size.columns)]))
    return rows


def _some(photos: Sequence[Photo], rng: Generator, count: int) -> list[Photo]:
    chosen = rng.permutation(len(photos))[:count]
    return [photos[int(index)] for index in chosen]


def _real(photo: Photo) -> Cell:
    quad = data.corners_of(photo)
    assert quad is not None
    across, down = quad[1] - quad[0], quad[3] - quad[0]
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=np.float32)
    roomy = (quad + signs[:, :1] * across * 0.025 + signs[:, 1:] * down * 0.07).astype(np.float32)
    crop = normalised(cut(data.luma_of(photo.path), roomy, (CROP_WIDTH_PX, CROP_HEIGHT_PX)))
    return Cell(luma=crop, caption=photo.text or "")


def scene_cells(photos: Sequence[Photo], rng: Generator, count: int) -> list[Cell]:
    """Drawn scenes with their corners and with the boxes that are not judged."""
    source = SceneSource(rng=rng, streets=streets(photos, rng))
    scenes = [source.next() for _ in range(count)]
    return [
        Cell(luma=overlaid(scene), caption=f"plates: {len(scene.quads)}, ignored: {len(scene.ignored)}")
        for scene in scenes
    ]


def streets(photos: Sequence[Photo], rng: Generator, count: int = 40) -> list[Street]:
    """Some streets that may be trained on; invented ones where there is no photograph."""
    usable = [p for p in photos if p.kind == "scene" and not p.held_out and p.box is not None]
    made = []
    for photo in _some(usable, rng, count):
        quad = data.corners_of(photo)
        assert quad is not None
        made.append(Street(luma=data.luma_of(photo.path), quad=quad, exact=not photo.loose))
    return made or [_invented(rng) for _ in range(8)]


def _invented(rng: Generator) -> Street:
    """Soft grey patches (640, 640) with a blank plate among them."""
    coarse = rng.integers(30, 200, (9, 9), dtype=np.uint8)
    luma = np.asarray(cv2.resize(coarse, (640, 640), interpolation=cv2.INTER_CUBIC), dtype=np.uint8).copy()
    x, y = (int(v) for v in rng.integers(100, 300, 2))
    luma[y : y + 46, x : x + 200] = 225
    quad = np.array([[x, y], [x + 200, y], [x + 200, y + 46], [x, y + 46]], dtype=np.float32)
    return Street(luma=luma, quad=quad, exact=True)


def overlaid(scene: Scene) -> Luma:
    """The scene with every plate's outline, a ring at its first corner, and the ignored boxes crossed out."""
    luma = scene.luma.copy()
    for quad in scene.quads:
        outline = np.rint(quad * 8).astype(np.int32)
        for grey, thick in ((MARK_DARK, 3), (MARK_LIGHT, 1)):
            cv2.polylines(luma, [outline], True, grey, thick, cv2.LINE_AA, 3)
            cv2.circle(luma, (int(outline[0, 0]), int(outline[0, 1])), 32, grey, thick, cv2.LINE_AA, 3)
    for box in scene.ignored:
        x0, y0, x1, y1 = (int(v) for v in box)
        cv2.rectangle(luma, (x0, y0), (x1, y1), MARK_LIGHT, 1)
        cv2.line(luma, (x0, y0), (x1, y1), MARK_LIGHT, 1)
    return luma


def _band(label: str, cells: Sequence[Cell], columns: int) -> Luma:
    """One row: its label, then the cells, each with its caption below."""
    height, width = cells[0].luma.shape if cells else (CROP_HEIGHT_PX, CROP_WIDTH_PX)
    band = Image.new("L", (LABEL_PX + columns * (width + GAP_PX), height + CAPTION_PX + GAP_PX), 255)
    pen = ImageDraw.Draw(band)
    pen.text((GAP_PX, height // 2 - CAPTION_PX // 2), label, fill=0, font=_face())
    for column, cell in enumerate(cells):
        left = LABEL_PX + column * (width + GAP_PX)
        band.paste(Image.fromarray(cell.luma), (left, 0))
        pen.text((left, height), cell.caption, fill=0, font=_face())
    return np.asarray(band, dtype=np.uint8)


@lru_cache(maxsize=1)
def _face() -> ImageFont.FreeTypeFont:
    """A face with Latin and Arabic letters; Debian's DejaVu has both.

    The basic layout sets symbols in the order in which the plate has them; the other one turns Arabic text around.
    """
    faces = fonts.faces("arabic")
    both = [path for path in faces if path.name.startswith("DejaVuSans")]
    return ImageFont.truetype(str((both or list(faces))[-1]), CAPTION_PX * 3 // 4, layout_engine=ImageFont.Layout.BASIC)


def main() -> None:
    """Writes the sheet."""
    parser = argparse.ArgumentParser(prog="python -m models.synth.sheet", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the PNG to write")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same sheet (default: %(default)s)")
    data.add_data_option(parser)
    options = parser.parse_args()
    has_photos = (options.data / "plates" / "manifest.jsonl").exists()
    made = sheet(options.seed, data.photos(options.data) if has_photos else [], Size())
    Image.fromarray(made).save(options.out)
    print(f"{options.out}: {made.shape[1]} x {made.shape[0]}" + ("" if has_photos else ", no photographs found"))


if __name__ == "__main__":
    main()
