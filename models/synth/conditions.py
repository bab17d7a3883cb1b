"""Every condition under which plates are trained, by name and alone, so that each can be looked at by itself.

Decides what they are called and how each is told apart from the mixture in which training has them; how they look is
decided in `degrade`, `plate`, `crops` and `placing`.  A condition takes a generator and gives a plate in grey.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from models.synth import codec, crops, degrade, formats, placing, plate
from models.synth.crops import CROP_HEIGHT_PX, CROP_WIDTH_PX
from models.synth.degrade import Effect
from models.synth.lettering import Canvas
from models.synth.placing import Pose, seen_through

Luma = NDArray[np.uint8]
Condition = Callable[[Generator], Luma]

HARSH = 0.9
OBLIQUE_DEG, TILTED_DEG = 45.0, 15.0
SMALLEST_PX, SMALL_PX = 50, 60
ROOM = 0.06
FINER = 3
EFFECTS: dict[str, Effect] = {
    "lens blur": degrade.blur, "out of focus": degrade.defocus, "motion blur": degrade.motion,
    "rolling shutter": degrade.shutter, "light": degrade.light, "overexposed": degrade.overexposed,
    "night": degrade.night, "night headlights": degrade.headlights, "infrared": degrade.infrared, "rain": degrade.rain,
    "fog": degrade.fog, "faint": degrade.faint, "dirt": degrade.dirt, "mud": degrade.mud, "noise": degrade.noise,
    "sharpened": degrade.sharpen, "digital zoom": degrade.resample, "interlaced": degrade.interlace,
    "JPEG": codec.compress, "H.264": codec.video,
}  # fmt: skip


def every_condition() -> dict[str, Condition]:
    """All of them, by name, in the order in which light meets them."""
    made: dict[str, Condition] = {
        "clean": clean, "screws": screws, "frames": framed, "covered characters": covered, "perspective": turned,
        "very oblique": partial(turned, least_deg=OBLIQUE_DEG), "very small": small, "shadows": shadowed,
        "glare": glaring,
    }  # fmt: skip
    return made | {name: partial(_under, effect=effect) for name, effect in EFFECTS.items()}


def drawn_plate(rng: Generator) -> plate.DrawnPlate:
    """A plate of one line, half of them Moroccan."""
    return plate.draw(formats.any_label(rng, moroccan_share=0.5), rng)


def clean(rng: Generator) -> Luma:
    """A plate as it is drawn."""
    return _crop(*crops.mounted(drawn_plate(rng).luma, rng, None))


def screws(rng: Generator) -> Luma:
    """A plate with screws put on."""
    drawn = drawn_plate(rng)
    canvas = Canvas(luma=drawn.luma.astype(np.float32), paper=200.0, ink=60.0)
    while np.array_equal(canvas.luma, drawn.luma):
        plate.screws(canvas, drawn.label.region, rng)
    return _crop(*crops.mounted(np.clip(canvas.luma, 0, 255).astype(np.uint8), rng, None))


def framed(rng: Generator) -> Luma:
    """A plate in a holder."""
    drawn = drawn_plate(rng)
    while True:
        picture, quad = crops.mounted(drawn.luma, rng, None)
        x, y = (int(v) for v in quad[0])
        if abs(int(picture[y - 1, x + 1]) - int(picture[0, 0])) > 25:
            return _crop(picture, quad, room=2.5 * ROOM)


def covered(rng: Generator) -> Luma:
    """A plate of which one or two characters are hidden."""
    drawn = drawn_plate(rng)
    covers, _ = crops.hidden(drawn.lines[0], rng)
    return _crop(*crops.mounted(crops.covered(drawn.luma, covers, rng), rng, None))


def turned(rng: Generator, *, least_deg: float = TILTED_DEG) -> Luma:
    """A plate that is turned away by `least_deg` or more, as its street is."""
    picture, quad = crops.mounted(drawn_plate(rng).luma, rng, None)
    unit = float(quad[1, 0] - quad[0, 0])
    pose: Pose | None = None
    while pose is None or abs(pose.yaw_deg) < least_deg:
        pose = placing.any_pose(rng, unit=unit)
    centre = quad.mean(axis=0)
    matrix = pose.matrix() @ placing.moved(-float(centre[0]), -float(centre[1]))
    x0, y0, x1, y1 = placing.bounds(seen_through(matrix, quad))
    room = ROOM * (y1 - y0)
    size = (round(x1 - x0 + 2 * room), round(y1 - y0 + 2 * room))
    into = placing.moved(room - x0, room - y0) @ matrix
    around = cv2.warpPerspective(picture, into, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(around, dtype=np.uint8)


def small(rng: Generator) -> Luma:
    """A plate of so few pixels as the reader is trained with, enlarged so that they show."""
    crop = clean(rng)
    width = int(rng.integers(SMALLEST_PX, SMALL_PX + 1))
    tiny = cv2.resize(crop, (width, round(width * CROP_HEIGHT_PX / CROP_WIDTH_PX)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(tiny, crop.shape[::-1], interpolation=cv2.INTER_NEAREST), dtype=np.uint8)


def shadowed(rng: Generator) -> Luma:
    """A plate half in a shadow."""
    crop = clean(rng)
    return np.asarray(crop * degrade.shadow(crop.shape, rng), dtype=np.uint8)


def glaring(rng: Generator) -> Luma:
    """A plate with a bright reflection."""
    crop = clean(rng)
    return np.asarray(np.clip(crop + 255 * degrade.reflection(crop.shape, rng), 0, 255), dtype=np.uint8)


def _under(rng: Generator, effect: Effect) -> Luma:
    return effect(clean(rng), rng, HARSH)


def _crop(picture: Luma, quad: NDArray[np.float32], room: float = ROOM) -> Luma:
    """The plate and a little around it, as large as the reader takes it."""
    across, down = quad[1] - quad[0], quad[3] - quad[0]
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=np.float32)
    roomy = (quad + signs[:, :1] * across * room / 3 + signs[:, 1:] * down * room).astype(np.float32)
    fine = crops.cut(picture, roomy, (FINER * CROP_WIDTH_PX, FINER * CROP_HEIGHT_PX))
    return np.asarray(cv2.resize(fine, (CROP_WIDTH_PX, CROP_HEIGHT_PX), interpolation=cv2.INTER_AREA), dtype=np.uint8)
