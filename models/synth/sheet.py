"""A contact sheet for the eye: what the models are shown while they learn, beside real photographs.

`python -m models.synth.sheet --out sheet.png [--seed N] [--data DIR]`.  A labelled row for every series and grammar as
it is drawn, for every condition alone and for every thing that is no plate; then crops as the reader is given them;
where the photographs are at hand, rows of their plates; last the drawn scenes with their corners.  Under a plate stands
what the reader should emit.  The same seed and photographs give the same pixels.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from models.synth import clutter, conditions, crops, fonts, plate, series
from models.synth.crops import CROP_HEIGHT_PX, CROP_WIDTH_PX, CropSource, cut, normalised
from models.synth.scenes import Scene, SceneSource, Street
from models.train import data
from models.train.data import Photo

CAPTION_PX = 16
TITLE_PX = 30
LABEL_PX = 270
GAP_PX = 4
HIGHEST_PX = 80
TRIES_PER_CROP = 60
HOLDER_PX = 12
SCENES_A_ROW = 4
BEHIND = 128
MARK_LIGHT, MARK_DARK = 255, 0
SERIES, CONDITIONS, NO_PLATES = "Series and grammars, as drawn", "Conditions, each alone", "What is no plate"
MIXED, PHOTOGRAPHS, SCENES = "As the reader is given them", "Photographs", "Scenes, as the detector is given them"
Luma = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How many pictures stand in a row, how many rows of mixed crops there are, and how many scenes follow."""

    columns: int = 9
    mixed: int = 4
    scenes: int = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One picture and the words under it."""

    luma: Luma
    caption: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What a row shows, under which title, and its pictures; it is broken where they are more than fit beside."""

    title: str
    label: str
    cells: Sequence[Cell]


def sheet(seed: int, photos: Sequence[Photo], size: Size) -> Luma:
    """The whole sheet in grey (height, width); without photographs the scenes stand on invented streets."""
    bands, title = [], ""
    for row in rows(seed, photos, size):
        if row.title != title:
            bands.append(_titled(row.title))
        title = row.title
        columns = SCENES_A_ROW if title == SCENES else size.columns
        for start in range(0, len(row.cells), columns):
            bands.append(_band(row.label if start == 0 else "", row.cells[start : start + columns]))
    width = max(band.shape[1] for band in bands)
    return np.vstack([np.pad(band, ((0, 0), (0, width - band.shape[1])), constant_values=255) for band in bands])


def rows(seed: int, photos: Sequence[Photo], size: Size) -> Iterator[Row]:
    """Every row; each has a generator of its own, so that a new one changes no other."""
    for one in series.every_series():
        cells = series_cells(one, _seeded(seed, one.name), max(size.columns, one.kinds))
        yield Row(title=SERIES, label=one.name, cells=cells)
    for name, condition in conditions.every_condition().items():
        rng = _seeded(seed, name)
        yield Row(title=CONDITIONS, label=name, cells=_cells([condition(rng) for _ in range(size.columns)]))
    for draw, _ in clutter.KINDS:
        rng = _seeded(seed, draw.__name__)
        things = _cells([_shown(draw(rng)) for _ in range(size.columns)])
        yield Row(title=NO_PLATES, label=draw.__name__, cells=things)
    yield Row(title=MIXED, label="mixed", cells=mixed_cells(_seeded(seed, MIXED), size.mixed * size.columns))
    for country, cells in real_rows(photos, _seeded(seed, PHOTOGRAPHS), size):
        yield Row(title=PHOTOGRAPHS, label=country, cells=cells)
    yield Row(title=SCENES, label="scenes", cells=scene_cells(photos, _seeded(seed, SCENES), size.scenes))


def _seeded(seed: int, name: str) -> Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def series_cells(one: series.Series, rng: Generator, count: int) -> list[Cell]:
    """So many plates of a series in their holders."""
    lines, narrowest, widest = one.lines
    plates: list[Luma] = []
    captions: list[str] = []
    for label in one.texts(rng):
        drawn = plate.draw(label, rng, rows=lines)
        height, width = drawn.luma.shape
        if drawn.rows != lines or not narrowest <= width / height < widest:
            continue
        picture, quad = crops.mounted(drawn.luma, rng, None)
        room = round(float(quad[0, 0])) - HOLDER_PX
        plates.append(picture[room : picture.shape[0] - room, room : picture.shape[1] - room])
        captions.append(label.symbols)
        if len(plates) == count:
            break
    return _cells(plates, captions)


def mixed_cells(rng: Generator, count: int) -> list[Cell]:
    """So many crops of different plates, with everything that happens to them at once."""
    source = CropSource(rng=rng)
    found: dict[str, Cell] = {}
    for _ in range(TRIES_PER_CROP * count):
        crop = source.next()
        found.setdefault(crop.symbols, Cell(luma=crop.luma, caption=crop.symbols))
        if len(found) == count:
            break
    return list(found.values())


def _cells(pictures: Sequence[Luma], captions: Sequence[str] = ()) -> list[Cell]:
    """The pictures of one row, all as high as the highest of them needs, within limits."""
    needed = max(round(CROP_WIDTH_PX * one.shape[0] / one.shape[1]) for one in pictures)
    most = min(HIGHEST_PX, max(CROP_HEIGHT_PX, needed))
    named = captions or [""] * len(pictures)
    return [Cell(luma=_fitted(one, most), caption=words) for one, words in zip(pictures, named, strict=True)]


def _fitted(luma: Luma, most_px: int) -> Luma:
    """The picture as large as a column is wide and `most_px` allow, in the middle of its column."""
    height, width = luma.shape
    scale = min(CROP_WIDTH_PX / width, most_px / height)
    size = (min(CROP_WIDTH_PX, round(width * scale)), max(1, round(height * scale)))
    shown = cv2.resize(luma, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    side, top = CROP_WIDTH_PX - size[0], most_px - size[1]
    sides = ((top // 2, top - top // 2), (side // 2, side - side // 2))
    return np.asarray(np.pad(shown, sides, constant_values=255), dtype=np.uint8)


def _shown(patch: clutter.Patch) -> Luma:
    """A thing on an even grey."""
    opacity = patch.alpha.astype(np.float32) / np.float32(255)
    return np.asarray(BEHIND + (patch.luma - np.float32(BEHIND)) * opacity, dtype=np.uint8)


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


def _titled(title: str) -> Luma:
    band = Image.new("L", (LABEL_PX + CROP_WIDTH_PX, TITLE_PX), 255)
    ImageDraw.Draw(band).text((GAP_PX, TITLE_PX // 4), title, fill=0, font=_face(TITLE_PX // 2))
    return np.asarray(band, dtype=np.uint8)


def _band(label: str, cells: Sequence[Cell]) -> Luma:
    """One row: its label, then the cells, each with its caption below."""
    height, width = cells[0].luma.shape
    below = CAPTION_PX if any(cell.caption for cell in cells) else 0
    band = Image.new("L", (LABEL_PX + len(cells) * (width + GAP_PX), height + below + GAP_PX), 255)
    pen = ImageDraw.Draw(band)
    pen.text((GAP_PX, height // 2 - CAPTION_PX // 2), label, fill=0, font=_label_face())
    for column, cell in enumerate(cells):
        left = LABEL_PX + column * (width + GAP_PX)
        band.paste(Image.fromarray(cell.luma), (left, 0))
        pen.text((left, height), cell.caption, fill=0, font=_face())
    return np.asarray(band, dtype=np.uint8)


@lru_cache(maxsize=3)
def _face(
    size_px: int = CAPTION_PX * 3 // 4, layout: ImageFont.Layout = ImageFont.Layout.BASIC
) -> ImageFont.FreeTypeFont:
    """A face with Latin and Arabic letters; Debian's DejaVu has both.

    The basic layout sets symbols in the order in which the plate has them; the other one, for words, turns and joins
    Arabic text.
    """
    faces = fonts.faces("arabic")
    both = [path for path in faces if path.name.startswith("DejaVuSans")]
    return ImageFont.truetype(str((both or list(faces))[-1]), size_px, layout_engine=layout)


def _label_face() -> ImageFont.FreeTypeFont:
    return _face(layout=ImageFont.Layout.RAQM)


def label_width_px(label: str) -> float:
    """How wide a row's label is."""
    return float(_label_face().getlength(label))


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
