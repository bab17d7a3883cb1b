"""Plates of the corps of diplomats: which texts they are, whose, and which entries of a watchlist such a text may be.

Decided here (docs/spec/watchlist.md, WL-66 and WL-67): a sign (CD, CC, CMD, OI) stands before the numbers, as Morocco
and Spain are described to have it, or between two, as Tunisia has it and Moroccan plates are drawn here. No bar and no
dash is read there, so the text stays the Latin one that the camera saw: `12CD34` is a plate of the Dutch count too,
and `CD1234` does not say where its two numbers part. How an entry is written is `vedette.plates`'.
"""

from __future__ import annotations

import re

from edge.reader.alphabet import HIDDEN
from vedette.plates import BAR, DIPLOMATS, MAX_SECOND_DIGITS

_SIGN = f"(?:{'|'.join(DIPLOMATS)})"
_NUMBER = f"[1-9{HIDDEN}][0-9{HIDDEN}]"
_BETWEEN = re.compile(rf"{_NUMBER}{{0,2}}{_SIGN}{_NUMBER}{{0,2}}")
_BEFORE = re.compile(rf"{_SIGN}{_NUMBER}{{2,5}}")
_PARTS = re.compile(rf"(\d*)({_SIGN})(\d*)")


def countries(text: str) -> frozenset[str]:
    """The ISO codes of the countries known here whose diplomats have such a text; none where it is no such text.

    A covered character (`?`) fits any digit.
    """
    if _BETWEEN.fullmatch(text):
        return frozenset({"MA", "TN"})
    return frozenset({"ES", "MA"}) if _BEFORE.fullmatch(text) else frozenset()


def entries_of(text: str) -> tuple[str, ...]:
    """The written forms of Moroccan entries that a camera may see as `text`; none where it is no such text.

    The digits follow each other alike in all of them; only where the two numbers part, the picture may not say.
    """
    match = _PARTS.fullmatch(text)
    if match is None:
        return ()
    first, sign, second = match.groups()
    digits = first + second
    if first and second:
        splits = [(first, second)]
    else:
        splits = [(digits[:place], digits[place:]) for place in range(1, len(digits))]
    forms = [(digits,), *(one for one in splits if len(one[1]) <= MAX_SECOND_DIGITS)]
    return tuple(written for numbers in forms if (written := _written(sign, numbers)))


def parted(text: str) -> str:
    """The written form of a Moroccan entry where the sign stands between two numbers; else empty."""
    match = _PARTS.fullmatch(text)
    return _written(match[2], (match[1], match[3])) if match else ""


def _written(sign: str, numbers: tuple[str, ...]) -> str:
    """Empty where a number is zero."""
    shown = [number.lstrip("0") for number in numbers]
    return BAR.join([shown[0], sign, *shown[1:]]) if all(shown) else ""
