"""Things on a street that look like plates and are none: badges, lettering, signs, stickers, grilles, lamps, codes.

Decides what they look like, flat and in grey; where they lie is decided in `scenes`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from models.synth import fonts
from models.synth.placing import Luma

POOL = 240
REDRAW_SHARE = 0.08
LETTER_PX = 32
WIDEST_PX = 360
SYLLABLES = (
    "ba", "ca", "da", "fa", "ga", "la", "ma", "na", "ra", "sa", "ta", "va", "be", "de", "le", "me", "ne", "re", "se",
    "te", "ki", "li", "mi", "ni", "ri", "si", "ti", "vi", "bo", "co", "do", "lo", "mo", "no", "ro", "so", "to", "vo",
    "du", "lu", "ru", "x", "us", "or", "an", "er", "on", "el", "um", "ax", "io",
)  # fmt: skip
WORDS = (
    "STOP", "TAXI", "POLICE", "AMBULANCE", "PARKING", "SORTIE", "GARAGE", "PHARMACIE", "CAFE", "HOTEL", "BANQUE",
    "TRANSPORT", "LIVRAISON", "AUTO ECOLE", "LOCATION", "CENTRE VILLE", "RABAT", "FES", "AGADIR", "Casablanca",
    "TURBO", "DIESEL", "HYBRID", "4x4", "SPORT", "TDI", "GTI", "1.5 dCi", "16V", "2.0", "EXIT", "SALE", "À VENDRE",
    "BEBE A BORD", "I LOVE", "BOUCHERIE", "SCHOOL BUS", "TOURISME", "Express", "Service", "24H/24", "-50 %", "WiFi",
)  # fmt: skip
ARABIC_WORDS = (
    "قف", "صيدلية", "مقهى", "مدرسة", "طاكسي", "شرطة", "مخبزة", "فندق", "نقل البضائع", "للبيع", "للكراء", "الرباط",
    "الدار البيضاء", "مراكش", "طنجة", "ممنوع الوقوف", "خروج", "إسعاف", "نقل مدرسي", "البنك الشعبي", "تعليم السياقة",
)  # fmt: skip
NUMBERS = (
    "##", "###", "####", "#####", "######", "N° ##", "##-##", "A# ## km", "# ### km", "E##", "R.N. #", "2#/7",
    "+### ### ###",
)  # fmt: skip
Canvas = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Patch:
    """A flat thing: luma and alpha (height, width); `plate_like` where a small picture of it could be a plate's."""

    luma: Luma
    alpha: Luma
    plate_like: bool = False


def _pick(choices: tuple[str, ...], rng: Generator) -> str:
    return choices[int(rng.integers(len(choices)))]


def _digits(rng: Generator, pattern: str) -> str:
    return "".join(str(rng.integers(10)) if c == "#" else c for c in pattern)


def invented(rng: Generator) -> str:
    """A word of no language, in capitals, small letters or mixed."""
    word = "".join(_pick(SYLLABLES, rng) for _ in range(int(rng.integers(2, 5))))
    return (word.upper, word.title, word.lower)[int(rng.integers(3))]()


def advertised(rng: Generator) -> str:
    """A telephone number, a web address, a price or a word, as they stand on vans and shops."""
    kind = rng.random()
    if kind < 0.35:
        groups = _pick(("## ## ## ##", "##.##.##.##", "## ######", "########", "##-##-##-##"), rng)
        return _digits(rng, _pick(("05", "06", "0522 ", "07", "+212 6", "Tél : 05 ", "GSM 06"), rng) + groups)
    if kind < 0.5:
        return "www." + invented(rng).lower() + _pick((".ma", ".com", ".net"), rng)
    return _pick(WORDS, rng) if rng.random() < 0.6 else invented(rng)


def _mask(rng: Generator, text: str | None = None) -> Luma:
    """One line of lettering; Arabic now and then where no text is asked for."""
    if text is None and rng.random() < 0.25:
        faces, text = fonts.faces("arabic"), _pick(ARABIC_WORDS, rng)
    else:
        faces, text = fonts.faces("word"), text or advertised(rng)
    mask = fonts.words(faces[int(rng.integers(len(faces)))], text, LETTER_PX)
    width = min(WIDEST_PX, int(mask.shape[1] * rng.uniform(0.75, 1.35)))
    return fonts.resized(mask, width_px=width, height_px=mask.shape[0])


def _stacked(masks: list[Luma], gap: int) -> Luma:
    width = max(mask.shape[1] for mask in masks)
    rows = []
    for mask in masks:
        side = width - mask.shape[1]
        rows.append(np.pad(mask, ((gap, gap), (side // 2, side - side // 2))))
    return np.vstack(rows)


def _panel(mask: Luma, rng: Generator, *, room: tuple[int, int]) -> tuple[Canvas, float]:
    """A board with the lettering on it; returns it and its ink."""
    paper, ink = rng.uniform(150, 250), rng.uniform(5, 110)
    if rng.random() < 0.4:
        paper, ink = ink, paper
    wide, tall = mask.shape[1] + 2 * room[0], mask.shape[0] + 2 * room[1]
    board = np.full((tall, wide), paper, dtype=np.float32)
    inner = board[room[1] : room[1] + mask.shape[0], room[0] : room[0] + mask.shape[1]]
    inner += (ink - inner) * (mask / np.float32(255))
    if rng.random() < 0.5:
        inset = int(rng.integers(0, 5))
        cv2.rectangle(board, (inset, inset), (wide - 1 - inset, tall - 1 - inset), ink, int(rng.integers(1, 4)))
    return board, ink


def _solid(board: Canvas, *, plate_like: bool) -> Patch:
    luma = np.clip(board, 0, 255).astype(np.uint8)
    return Patch(luma=luma, alpha=np.full(luma.shape, 255, dtype=np.uint8), plate_like=plate_like)


def _rounded(height: int, width: int, rng: Generator) -> Luma:
    """The mask of a rectangle with round corners, or of an ellipse."""
    mask = np.zeros((height, width), dtype=np.uint8)
    radius = int(rng.uniform(0.1, 0.48) * min(height, width))
    cv2.rectangle(mask, (radius, 0), (width - 1 - radius, height - 1), 255, -1)
    cv2.rectangle(mask, (0, radius), (width - 1, height - 1 - radius), 255, -1)
    for x in (radius, width - 1 - radius):
        for y in (radius, height - 1 - radius):
            cv2.circle(mask, (x, y), radius, 255, -1)
    return mask


def badge(rng: Generator) -> Patch:
    """A maker's emblem, or a model's name in letters of chrome."""
    if rng.random() < 0.35:
        mask = _rounded(60, int(rng.uniform(50, 110)), rng)
        hole = cv2.erode(mask, np.ones((9, 9), dtype=np.uint8))
        shade = np.where(hole > 0, rng.uniform(10, 160), rng.uniform(120, 255)).astype(np.float32)
        sign = fonts.resized(_mask(rng, invented(rng)[:2]), width_px=mask.shape[1] // 2, height_px=30)
        inner = shade[15:45, mask.shape[1] // 4 : mask.shape[1] // 4 + sign.shape[1]]
        inner += (rng.uniform(100, 255) - inner) * (sign / np.float32(255))
        return Patch(luma=np.clip(shade, 0, 255).astype(np.uint8), alpha=mask)
    text = invented(rng) if rng.random() < 0.7 else _pick(WORDS, rng)
    mask = _mask(rng, (" " * int(rng.integers(0, 3))).join(text))
    ramp = np.linspace(rng.uniform(90, 255), rng.uniform(90, 255), mask.shape[0], dtype=np.float32)
    return Patch(luma=np.repeat(ramp[:, None], mask.shape[1], axis=1).astype(np.uint8), alpha=mask)


def lettering(rng: Generator) -> Patch:
    """Advertising straight on the bodywork, up to three lines."""
    mask = _stacked([_mask(rng) for _ in range(int(rng.choice([1, 1, 2, 3])))], int(rng.integers(1, 8)))
    ink = rng.uniform(0, 90) if rng.random() < 0.5 else rng.uniform(170, 255)
    return Patch(luma=np.full(mask.shape, int(ink), dtype=np.uint8), alpha=mask)


def board(rng: Generator) -> Patch:
    """A shop or road sign or a sticker: a board with words and now and then an arrow."""
    mask = _stacked([_mask(rng) for _ in range(int(rng.choice([1, 1, 1, 2, 2, 3])))], int(rng.integers(1, 10)))
    made, ink = _panel(mask, rng, room=(int(rng.integers(4, 50)), int(rng.integers(2, 24))))
    if rng.random() < 0.2:
        arrow = int(rng.uniform(20, 40))
        made = np.pad(made, ((0, 0), (0, arrow + 12)), mode="edge")
        y, x = made.shape[0] // 2, made.shape[1]
        cv2.arrowedLine(made, (x - 8 - arrow, y), (x - 8, y), ink, 5, tipLength=0.5)
    return _solid(made, plate_like=True)


def disc(rng: Generator) -> Patch:
    """A round sign or windscreen disc with a number."""
    size = 72
    made = np.full((size, size), rng.uniform(170, 250), dtype=np.float32)
    cv2.circle(made, (size // 2, size // 2), size // 2 - 4, rng.uniform(30, 120), int(rng.integers(2, 12)))
    number = _mask(rng, _digits(rng, _pick(("#0", "##", "1#0", "20##"), rng)))
    sign = fonts.resized(number, width_px=min(44, number.shape[1]), height_px=26)
    inner = made[23:49, (size - sign.shape[1]) // 2 :][:, : sign.shape[1]]
    inner += (rng.uniform(0, 60) - inner) * (sign / np.float32(255))
    alpha = np.zeros((size, size), dtype=np.uint8)
    cv2.circle(alpha, (size // 2, size // 2), size // 2 - 1, 255, -1)
    return Patch(luma=made.astype(np.uint8), alpha=alpha)


def grille(rng: Generator) -> Patch:
    """Bars at even distances, across, upright or both, on dark."""
    height, width = int(rng.uniform(50, 90)), int(rng.uniform(120, 320))
    made = np.full((height, width), rng.uniform(5, 60), dtype=np.float32)
    pitch, bar = rng.uniform(7, 24), rng.uniform(0.2, 0.6)
    shade = rng.uniform(60, 240)
    across, down = (np.arange(n) / pitch % 1 < bar for n in (width, height))
    if rng.random() < 0.65:
        made[:, across] = shade
    if rng.random() < 0.5 or made.max() < shade:
        made[down] = shade
    if rng.random() < 0.4:
        cv2.rectangle(made, (0, 0), (width - 1, height - 1), rng.uniform(120, 250), int(rng.integers(2, 7)))
    return Patch(luma=made.astype(np.uint8), alpha=_rounded(height, width, rng))


def lamp(rng: Generator) -> Patch:
    """A cluster of lights or a vent: a round-cornered thing with circles, slats or a glow in it."""
    height, width = int(rng.uniform(40, 80)), int(rng.uniform(60, 260))
    ramp = np.linspace(rng.uniform(40, 250), rng.uniform(40, 250), width, dtype=np.float32)
    made = np.repeat(ramp[None], height, axis=0)
    if rng.random() < 0.5:
        made *= 0.75 + 0.25 * np.sin(np.arange(height, dtype=np.float32) * rng.uniform(0.2, 1.2))[:, None]
    for _ in range(int(rng.integers(0, 5))):
        centre = (int(rng.integers(width)), int(rng.uniform(0.3, 0.7) * height))
        filled = -1 if rng.random() < 0.6 else 3
        cv2.circle(made, centre, int(rng.uniform(0.15, 0.45) * height), rng.uniform(20, 255), filled)
    return Patch(luma=np.clip(made, 0, 255).astype(np.uint8), alpha=_rounded(height, width, rng))


def code(rng: Generator) -> Patch:
    """A bar code or a square of dots, on white."""
    if rng.random() < 0.5:
        cells = (rng.random((21, 21)) < 0.5).astype(np.float32)
        made = np.kron(1 - cells, np.ones((4, 4), dtype=np.float32))
    else:
        made = np.repeat((rng.random((1, int(rng.uniform(60, 110)))) < 0.5).astype(np.float32), 2, axis=1)
        made = np.repeat(made, int(rng.uniform(36, 70)), axis=0)
    return _solid(np.pad(made, 8, constant_values=1) * np.float32(rng.uniform(150, 240)) + 12, plate_like=True)


def panel(rng: Generator) -> Patch:
    """An empty plate or plate holder: the right shape, a rim, a strip, screws, but no letters."""
    height, width = 64, int(64 * (rng.uniform(3.6, 5.0) if rng.random() < 0.6 else rng.uniform(1.1, 3.6)))
    paper = rng.uniform(150, 250) if rng.random() < 0.7 else rng.uniform(10, 80)
    down = np.linspace(0, rng.uniform(-50, 50), height, dtype=np.float32)
    made = np.full((height, width), paper, dtype=np.float32) + down[:, None]
    if rng.random() < 0.25:
        made[:, : int(0.09 * width)] = rng.uniform(30, 110)
    if rng.random() < 0.6:
        cv2.rectangle(made, (0, 0), (width - 1, height - 1), rng.uniform(5, 250), int(rng.integers(2, 9)))
    for x in (0.2, 0.8) if rng.random() < 0.4 else ():
        cv2.circle(made, (int(x * width), height // 2), int(rng.integers(2, 5)), rng.uniform(0, 200), -1)
    return _solid(made, plate_like=True)


def price(rng: Generator) -> Patch:
    """A price behind a windscreen."""
    text = _digits(rng, _pick(("1#9 000 DH", "#9 900", "2#5.000,00", "€ # ###", "$##,###"), rng))
    made, _ = _panel(_mask(rng, text), rng, room=(int(rng.integers(4, 20)), int(rng.integers(3, 16))))
    return _solid(made, plate_like=True)


def number(rng: Generator) -> Patch:
    """The number of a bus, a house or a road, a distance or a year, on bodywork or on a board."""
    mask = _mask(rng, _digits(rng, _pick(NUMBERS, rng)))
    if rng.random() < 0.5:
        ink = rng.uniform(0, 90) if rng.random() < 0.5 else rng.uniform(170, 255)
        mask = np.pad(mask, 3)
        return Patch(luma=np.full(mask.shape, int(ink), dtype=np.uint8), alpha=mask)
    made, _ = _panel(mask, rng, room=(int(rng.integers(4, 40)), int(rng.integers(3, 20))))
    return _solid(made, plate_like=True)


def stamp(rng: Generator) -> Patch:
    """Date, time or speed as a camera writes them into its picture."""
    pattern = _pick(("20##-0#-1# 1#:##:##", "1#/0#/20##", "##:##:##", "CAM 0#", "## km/h", "0#/1#/20## ##:##"), rng)
    mask = np.pad(_mask(rng, _digits(rng, pattern)), 3)
    if rng.random() < 0.5:
        return Patch(luma=np.full_like(mask, int(rng.uniform(200, 255))), alpha=mask)
    outlined = np.asarray(cv2.dilate(mask, np.ones((5, 5), dtype=np.uint8)), dtype=np.uint8)
    return Patch(luma=mask, alpha=outlined)


KINDS: tuple[tuple[Callable[[Generator], Patch], float], ...] = (
    (badge, 0.17), (lettering, 0.2), (board, 0.2), (disc, 0.05), (grille, 0.1), (lamp, 0.08), (code, 0.04),
    (panel, 0.07), (price, 0.04), (number, 0.05), (stamp, 0.05),
)  # fmt: skip
SHARES = np.cumsum([share for _, share in KINDS]) / sum(share for _, share in KINDS)


@dataclass(slots=True)
class ClutterSource:
    """An endless stream of patches; each is used several times, because drawing costs more than laying."""

    rng: Generator
    pool: list[Patch] = field(default_factory=list)

    def next(self) -> Patch:
        """One patch of any kind."""
        rng = self.rng
        if len(self.pool) < POOL:
            self.pool.append(self._drawn())
        elif rng.random() < REDRAW_SHARE:
            self.pool[int(rng.integers(POOL))] = self._drawn()
        return self.pool[int(rng.integers(len(self.pool)))]

    def _drawn(self) -> Patch:
        draw, _ = KINDS[min(int(np.searchsorted(SHARES, self.rng.random())), len(KINDS) - 1)]
        return draw(self.rng)
