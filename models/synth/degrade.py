"""What a camera, the weather and a codec do to a plate, in the order in which light meets them.

Decides how often and how strongly: at most one kind of weather or lamp, then the lens, the sensor, what the device's
software does, and the codec.  Every effect takes a grey picture (height, width) uint8, a generator and `harsh` (0 a
good day, 1 a bad one), and returns a picture of the same size.  None moves a plate's corner by more than
SHUTTER_PX, so that labels stay true.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from models.synth.codec import FULL_CONTRAST, compress, video

Luma = NDArray[np.uint8]
Field = NDArray[np.float32]
Effect = Callable[[Luma, Generator, float], Luma]

SHUTTER_PX = 1.5
LONGEST_SMEAR = 0.06  # of the width
PLATE_WIDTH_PX, PLATE_HEIGHT_PX = 160, 48  # what is sized after the plate is sized after no more than this
NARROWEST_PX, LOWEST_PX = 72, 18  # below this, a plate has no pixels to lose
RAMP = np.arange(256, dtype=np.float32) / 255.0


def camera(luma: Luma, rng: Generator, *, harsh: float = 1.0) -> Luma:
    """A random mixture of everything; `harsh` 0 leaves the picture nearly alone, 1 is a bad day."""
    picture = luma
    for effect, chance in ((dirt, 0.12), (mud, 0.06)):
        if rng.random() < chance * harsh:
            picture = effect(picture, rng, harsh)
    weathered = rng.random() < 0.42 * harsh
    if rng.random() < 0.7:
        picture = light(picture, rng, min(harsh, 0.1) if weathered else harsh)
    if weathered:
        picture = _one_of(WEATHER, rng)(picture, rng, harsh)
    # Noise follows what contrast is left, or a faint plate would drown in it.
    visible = float(np.clip(cv2.meanStdDev(picture)[1][0, 0] / FULL_CONTRAST, 0.25, 1.0))
    if rng.random() < 0.8:
        picture = (_one_of(OPTICS, rng) if rng.random() < 0.5 * harsh else blur)(picture, rng, harsh)
    if rng.random() < 0.06 * harsh:
        picture = shutter(picture, rng, harsh)
    if rng.random() < 0.7:
        picture = noise(picture, rng, harsh * visible)
    if rng.random() < 0.3 * harsh:
        picture = _one_of(PROCESSING, rng)(picture, rng, harsh)
    if rng.random() < 0.7:
        picture = (video if rng.random() < 0.55 else compress)(picture, rng, harsh * visible)
    return picture


def _one_of(choice: tuple[tuple[Effect, float], ...], rng: Generator) -> Effect:
    at = rng.random() * sum(weight for _, weight in choice)
    for effect, weight in choice:
        at -= weight
        if at < 0:
            return effect
    return choice[-1][0]


def _grey(picture: Field) -> Luma:
    return np.asarray(np.clip(picture + np.float32(0.5), 0, 255), dtype=np.uint8)


def _mapped(luma: Luma, curve: Field) -> Luma:
    """The picture through a curve (256,) of fractions of full white."""
    return np.asarray(cv2.LUT(luma, _grey(curve * np.float32(255))), dtype=np.uint8)


def _lifted(luma: Luma, curve: Field) -> Field:
    """The picture through a curve (256,), unrounded."""
    return np.asarray(cv2.LUT(luma, curve.astype(np.float32)), dtype=np.float32)


def _clouds(height: int, width: int, rng: Generator, cell_px: int) -> Field:
    """Soft random patches of about `cell_px`, in 0..1 or a little beyond."""
    coarse = rng.random((max(2, height // cell_px), max(2, width // cell_px)), dtype=np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def _axes(height: int, width: int) -> tuple[Field, Field]:
    y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None, :]
    return y, x


# Light


def light(luma: Luma, rng: Generator, harsh: float) -> Luma:
    """Exposure, gamma, a shadow edge and a bright reflection."""
    much = min(1.0, 4 * harsh)
    curve = RAMP ** (1 + much * rng.uniform(-0.4, 0.5))
    curve = curve * (1 + much * rng.uniform(-0.55, 0.2)) + much * rng.uniform(-0.04, 0.2)
    shaded, shining = rng.random() < 0.3 * much, rng.random() < 0.12 * much
    if not shaded and not shining:
        return _mapped(luma, curve)
    picture = _lifted(luma, curve)
    if shaded:
        picture *= shadow(luma.shape, rng)
    if shining:
        picture += reflection(luma.shape, rng)
    return _grey(picture * np.float32(255))


def shadow(shape: tuple[int, ...], rng: Generator) -> Field:
    """The share of the light that is left (height, width) where a shadow's edge crosses the picture."""
    height, width = shape
    y, x = _axes(height, width)
    slope, offset = rng.uniform(-1.5, 1.5), rng.uniform(0.1, 0.9)
    across = x / np.float32(width) + np.float32(slope) * (y / np.float32(height) - np.float32(0.5))
    edge = np.clip((across - np.float32(offset)) * np.float32(rng.uniform(2, 15)) + np.float32(0.5), 0, 1)
    return np.asarray(1 - edge * np.float32(rng.uniform(0.2, 0.65)), dtype=np.float32)


def reflection(shape: tuple[int, ...], rng: Generator) -> Field:
    """The light (height, width), in fractions of full white, that a bright reflection adds."""
    height, width = shape
    y, x = _axes(height, width)
    across = (x / width - rng.random()) / rng.uniform(0.08, 0.4)
    down = (y / height - rng.random()) / rng.uniform(0.2, 0.8)
    return np.asarray(np.exp(-across * across) * np.exp(-down * down) * rng.uniform(0.2, 0.8), dtype=np.float32)


def overexposed(luma: Luma, rng: Generator, harsh: float) -> Luma:
    """Too long an exposure: the paper clips to white and eats a little into the ink."""
    lit = _mapped(luma, RAMP * (1.2 + rng.uniform(0.1, 1.0) * harsh) + rng.uniform(0, 0.12) * harsh)
    return _bloomed(lit, rng.uniform(0.05, 0.25) * harsh, rng.uniform(0.8, 1.6))


def _bloomed(luma: Luma, share: float, sigma_px: float) -> Luma:
    """What clips to white spills over its edges."""
    clipped = cv2.threshold(luma, 225, 255, cv2.THRESH_BINARY)[1]
    return np.asarray(cv2.scaleAdd(cv2.GaussianBlur(clipped, (0, 0), sigma_px), share, luma), dtype=np.uint8)


def faint(luma: Luma, rng: Generator, harsh: float) -> Luma:
    """Low contrast: worn paint, backlight, a dirty window."""
    kept = 1 - harsh * rng.uniform(0.3, 0.75)
    return _mapped(luma, RAMP * kept + (1 - kept) * rng.uniform(0.1, 0.9))


def night(luma: Luma, rng: Generator, harsh: float) -> Luma:
    """Little light and much gain: dark, with noise that grows with the root of the light, as photons do."""
    dim = np.float32(1 - harsh * rng.uniform(0.2, 0.65))
    shot, read = rng.uniform(0.2, 1.0) * harsh, rng.uniform(1, 6) * harsh
    scale = _lifted(luma, np.sqrt(RAMP * 255 * shot + read * read))
    grain = rng.standard_normal(luma.shape, dtype=np.float32) * scale + luma
    if rng.random() < 0.4:  # the device smears its own noise away
        grain = np.asarray(cv2.GaussianBlur(grain, (0, 0), rng.uniform(0.5, 0.8)), dtype=np.float32)
    return _grey(grain * dim + np.float32(rng.uniform(0, 14)))


def headlights(luma: Luma, rng: Generator, harsh: float) -> Luma:
    """A dim evening, and one or two lamps with their halo beside the plate, or anywhere in a street."""
    height, width = luma.shape
    picture = luma.astype(np.float32) * np.float32(1 - harsh * rng.uniform(0.1, 0.6))
    y, x = _axes(height, width)
    unit = min(height, PLATE_HEIGHT_PX)
    is_street = height > 2 * PLATE_HEIGHT_PX
    for _ in range(int(rng.integers(1, 3))):
        beside = rng.uniform(-0.2, 0.02) if rng.random() < 0.5 else rng.uniform(0.98, 1.2)
        at_x = (rng.random() if is_street else beside) * width
        at_y = (rng.uniform(0.1, 0.9) if is_street else rng.uniform(-0.5, 0.8)) * height
        square = (x - np.float32(at_x)) ** 2 + (y - np.float32(at_y)) ** 2
        core = np.float32((unit * rng.uniform(0.1, 0.28)) ** 2)
        # A hard core, and a halo that falls with the square of the distance.
        picture += np.float32(rng.uniform(300, 500)) * core * core / (core * core + square * square)
        picture += np.float32(rng.uniform(60, 190) * harsh) * core * 6 / (core * 6 + square)
    return _grey(picture)


def infrared(luma: Luma, rng: Generator, harsh: float) -> Luma:
    """Under an infrared lamp: reflecting paper blown to white, all else dark, a mild bloom and a falling-off beam."""
    height, width = luma.shape
    is_street = height > 2 * PLATE_HEIGHT_PX
    luma = _unlit_sky(luma, rng) if is_street else luma
    sample = np.sort(luma[:: 1 + height // 64, :: 1 + width // 64], axis=None)
    low, high = float(sample[len(sample) // 10]), float(sample[len(sample) * 9 // 10])
    middle = (low + (high - low) * rng.uniform(0.4, 0.6)) / 255
    steep = rng.uniform(4, 8) if is_street else rng.uniform(6, 14)
    curve = 1 / (1 + np.exp(-(RAMP - middle) * steep))
    curve = (curve - curve[0]) / max(0.2, curve[-1] - curve[0]) * rng.uniform(1.0, 1.35) + rng.uniform(0, 0.08)
    lit = _bloomed(_mapped(luma, curve), rng.uniform(0.05, 0.3), rng.uniform(0.8, 1.8))
    if rng.random() < 0.5:
        return lit
    y, x = _axes(height, width)
    away = ((x / width - rng.uniform(0.3, 0.7)) ** 2 + (y / height - rng.uniform(0.3, 0.7)) ** 2).astype(np.float32)
    return _grey(lit / (1 + away * np.float32(rng.uniform(0.3, 2.5) * harsh)))


def _unlit_sky(luma: Luma, rng: Generator) -> Luma:
    """A street whose wide bright parts, sky and walls, are out of the lamp's reach."""
    height, width = luma.shape
    wide = cv2.resize(luma, (max(1, width // 16), max(1, height // 16)), interpolation=cv2.INTER_AREA)
    wide = cv2.resize(cv2.blur(wide, (5, 5)), (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    glow = np.maximum(wide - wide.mean(), 0) * np.float32(rng.uniform(0.6, 1.2))
    return _grey(np.asarray(luma - glow, dtype=np.float32))


# Weather and dirt


def fog(luma: Luma, rng: Generator, harsh: float) -> Luma:
    """Haze that mixes the picture with the sky's light, thicker in patches and towards the top."""
    height, width = luma.shape
    thick = harsh * rng.uniform(0.25, 0.75)
    veil = _clouds(height, width, rng, 40) * np.float32(0.3) + np.float32(0.75)
    veil -= _axes(height, width)[0] * np.float32(rng.uniform(0, 0.3) / height)
    veil = np.clip(veil * np.float32(thick), 0, 0.8)
    return _grey(luma + veil * (np.float32(rng.uniform(110, 235)) - luma))


def rain(luma: Luma, rng: Generator, harsh: float) -> Luma:
    """Slanting streaks of one exposure, and now and then drops on the glass that blur what is behind them."""
    height, width = luma.shape
    streaks = np.zeros((height, width), dtype=np.uint8)
    lean, length = rng.normal(0, 0.25), min(height, 60) * rng.uniform(0.15, 0.5)
    count = int(min(120, 3 + harsh * rng.uniform(0.3, 1.0) * height * width / 500))
    starts = rng.uniform((-0.1 * width, -length), (1.1 * width, height), (count, 2))
    ends = starts + rng.uniform(0.6, 1.2, (count, 1)) * np.array([lean * length, length])
    lines = np.rint(np.stack([starts, ends], axis=1) * 8).astype(np.int32)
    cv2.polylines(streaks, list(lines), False, 255, 1, cv2.LINE_AA, 3)
    streaks = np.asarray(cv2.blur(streaks, (2, 3)), dtype=np.uint8)
    wet = cv2.scaleAdd(streaks, rng.uniform(0.08, 0.25 + 0.2 * harsh), luma)
    return _drops(np.asarray(wet, dtype=np.uint8), rng, harsh) if rng.random() < 0.4 else np.asarray(wet, np.uint8)


def _drops(luma: Luma, rng: Generator, harsh: float) -> Luma:
    height, width = luma.shape
    unit = min(height, PLATE_HEIGHT_PX)
    mask = np.zeros((height, width), dtype=np.uint8)
    for _ in range(int(rng.integers(1, 3 + int(7 * harsh)))):
        at = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(mask, at, max(1, int(unit * rng.uniform(0.05, 0.16))), int(rng.integers(120, 256)), -1, cv2.LINE_AA)
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), 0.02 * unit + 0.5), dtype=np.uint8)
    behind = cv2.GaussianBlur(luma, (0, 0), 0.035 * unit + 0.5).astype(np.float32) * np.float32(rng.uniform(0.85, 1.15))
    opacity = mask.astype(np.float32) / np.float32(255)
    return _grey(np.asarray(luma + (behind - luma) * opacity, dtype=np.float32))


def dirt(luma: Luma, rng: Generator, harsh: float) -> Luma:
    """Smears and specks of one grey, and now and then a thin thing in front of the plate."""
    height, width = luma.shape
    veil = _clouds(height, width, rng, 8)
    alpha = np.clip((veil - np.float32(rng.uniform(0.6, 0.9))) * 3, 0, np.float32(rng.uniform(0.2, 0.4 + 0.35 * harsh)))
    picture = _grey(luma + alpha * (np.float32(rng.uniform(40, 200)) - luma))
    if rng.random() < 0.3:
        ends = rng.uniform((0, 0), (width, height), size=(2, 2)).astype(int)
        grey = int(rng.uniform(0, 255))
        cv2.line(picture, tuple(map(int, ends[0])), tuple(map(int, ends[1])), grey, 1, cv2.LINE_AA)
    return picture


def mud(luma: Luma, rng: Generator, harsh: float) -> Luma:
    """Splashes thrown up from below: many specks, few blots, denser towards the bottom, each with a ragged edge."""
    height, width = luma.shape
    unit = min(height, PLATE_HEIGHT_PX)
    mask = np.zeros((height, width), dtype=np.uint8)
    count = int((4 + 22 * harsh * rng.random()) * max(1.0, height * width / 40_000))
    across, down = rng.random(count) * width, (1 - rng.random(count) ** 1.5) * height
    radii = unit * np.clip(rng.exponential(0.022, count), 0.012, 0.1)
    for x, y, radius in zip(across.tolist(), down.tolist(), radii.tolist(), strict=True):
        axes = (max(1, int(8 * radius * rng.uniform(0.6, 1))), max(1, int(8 * radius * rng.uniform(1, 1.9))))
        cv2.ellipse(mask, (int(8 * x), int(8 * y)), axes, rng.normal(0, 20), 0, 360, 255, -1, cv2.LINE_AA, 3)
    ragged = np.asarray(cv2.GaussianBlur(mask, (0, 0), 0.7), dtype=np.float32) / np.float32(255)
    ragged *= _clouds(height, width, rng, 3) * np.float32(0.5) + np.float32(0.6)
    opacity = np.clip(ragged, 0, np.float32(rng.uniform(0.7, 1)))
    return _grey(np.asarray(luma + opacity * (np.float32(rng.uniform(30, 130)) - luma), dtype=np.float32))


# Lens and shutter


def blur(luma: Luma, rng: Generator, harsh: float) -> Luma:
    """A soft lens."""
    return np.asarray(cv2.GaussianBlur(luma, (0, 0), rng.uniform(0.2, 0.3 + 1.1 * harsh)), dtype=np.uint8)


def defocus(luma: Luma, rng: Generator, harsh: float) -> Luma:
    """Out of focus: every point becomes a disc, which leaves harder rims than a soft lens."""
    radius = rng.uniform(0.5, 0.7 + 1.6 * harsh)
    reach = np.arange(-int(radius + 1), int(radius + 1) + 1, dtype=np.float32)
    kernel = np.clip(radius + 0.5 - np.hypot(reach[:, None], reach[None, :]), 0, 1)
    return _filtered(luma, kernel)


def motion(luma: Luma, rng: Generator, harsh: float) -> Luma:
    """A straight smear, mostly sideways, of up to LONGEST_SMEAR of a plate's width."""
    longest = max(3.0, LONGEST_SMEAR * min(luma.shape[1], PLATE_WIDTH_PX) * min(1.0, 0.3 + harsh))
    length = rng.uniform(2.0, longest)
    angle = np.deg2rad(rng.normal(0, 12) if rng.random() < 0.7 else rng.uniform(0, 180))
    length *= 1 - 0.5 * abs(np.sin(angle))  # a plate is low, and its strokes across are few
    reach = np.arange(-int(length / 2 + 1), int(length / 2 + 1) + 1, dtype=np.float32)
    x, y = reach[None, :], reach[:, None]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return _filtered(luma, np.clip(length / 2 + 0.5 - abs(along), 0, 1) * np.clip(1 - abs(across), 0, 1))


def _filtered(luma: Luma, kernel: NDArray[np.floating]) -> Luma:
    even = (kernel / kernel.sum()).astype(np.float32)
    return np.asarray(cv2.filter2D(luma, -1, even, borderType=cv2.BORDER_REPLICATE), dtype=np.uint8)


def shutter(luma: Luma, rng: Generator, harsh: float) -> Luma:
    """A rolling shutter on a moving camera: rows lean or wobble sideways by no more than SHUTTER_PX."""
    height, width = luma.shape
    rows = np.arange(height, dtype=np.float32) / height
    swing = np.sin(2 * np.pi * (rows * rng.uniform(0.5, 3.0) + rng.random())) * rng.random()
    offsets = swing + (rows - 0.5) * rng.normal(0, 1.5)
    offsets *= SHUTTER_PX * min(1.0, harsh) * rng.random() / max(1e-6, float(np.abs(offsets).max()))
    columns = np.arange(width, dtype=np.float32)[None, :] + offsets[:, None].astype(np.float32)
    lines = np.repeat(np.arange(height, dtype=np.float32)[:, None], width, axis=1)
    moved = cv2.remap(luma, columns, lines, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, dtype=np.uint8)


# Sensor and software


def noise(luma: Luma, rng: Generator, harsh: float) -> Luma:
    """Sensor noise, sometimes in coarser grains."""
    height, width = luma.shape
    sigma = np.float32(rng.uniform(1, 3 + 12 * harsh))
    if rng.random() < 0.3:
        grain = rng.standard_normal((height // 2 + 1, width // 2 + 1), dtype=np.float32)
        grain = np.asarray(cv2.resize(grain, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
    else:
        grain = rng.standard_normal((height, width), dtype=np.float32)
    return _grey(grain * sigma + luma)


def sharpen(luma: Luma, rng: Generator, harsh: float) -> Luma:
    """The sharpening of telephones: bright and dark rings along every edge."""
    soft = cv2.GaussianBlur(luma, (0, 0), rng.uniform(0.8, 1.8))
    much = rng.uniform(0.3, 0.5 + 0.8 * harsh)
    return np.asarray(cv2.addWeighted(luma, 1 + much, soft, -much, 0), dtype=np.uint8)


def resample(luma: Luma, rng: Generator, harsh: float) -> Luma:
    """Made smaller and enlarged again, as digital zoom and streams for the screen do."""
    height, width = luma.shape
    scale = 1 - rng.uniform(0.1, 0.15 + 0.4 * harsh)
    scale = max(scale, min(1.0, NARROWEST_PX / width), min(1.0, LOWEST_PX / height))
    down = cv2.INTER_NEAREST_EXACT if rng.random() < 0.3 else cv2.INTER_AREA
    up = (cv2.INTER_NEAREST_EXACT, cv2.INTER_LINEAR, cv2.INTER_CUBIC)[int(rng.integers(3))]
    small = cv2.resize(luma, (max(1, int(width * scale)), max(1, int(height * scale))), interpolation=down)
    return np.asarray(cv2.resize(small, (width, height), interpolation=up), dtype=np.uint8)


def interlace(luma: Luma, rng: Generator, harsh: float) -> Luma:
    """Every second row repeats its neighbour, or was taken a moment later; a low picture is left alone."""
    if luma.shape[0] < 1.5 * LOWEST_PX:
        return luma
    picture = luma.copy()
    if rng.random() < 0.5:
        picture[1::2] = luma[: luma.shape[0] // 2 * 2 : 2]
    else:
        picture[1::2, 1:] = luma[1::2, :-1]
    return picture


# Codecs


WEATHER: tuple[tuple[Effect, float], ...] = (
    (night, 0.2), (infrared, 0.2), (headlights, 0.13), (overexposed, 0.14), (rain, 0.12), (fog, 0.1), (faint, 0.11),
)  # fmt: skip
OPTICS: tuple[tuple[Effect, float], ...] = ((defocus, 0.5), (motion, 0.5))
PROCESSING: tuple[tuple[Effect, float], ...] = ((sharpen, 0.62), (resample, 0.3), (interlace, 0.08))
EFFECTS: tuple[Effect, ...] = (
    light, dirt, mud, blur, shutter, noise, compress, video, *(e for e, _ in WEATHER + OPTICS + PROCESSING)
)  # fmt: skip
