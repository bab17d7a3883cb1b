"""Plate text: one written form for what people type, what a list holds and what the reader believes.

Decided here (docs/spec/watchlist.md, WL-1 to WL-8): a Moroccan plate is `serial|series|prefecture` (`12345|أ|6`), or
`serial|series` where it has no prefecture (`609008|WW`, `12345|ش`); every other plate is capital Latin letters and
digits without separators. Two plates are the same when their texts are equal: no look-alike is folded (O is not 0)
and the order of the groups is never guessed. Not decided here: which texts a country issues, nor how a plate looks.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from itertools import groupby

from vedette.errors import Refused

BAR = "|"
ASCII_OF = {
    "أ": "A", "ب": "B", "د": "D", "ه": "H", "و": "W", "ش": "S", "ط": "T", "ج": "J", "م": "M",
    "ق": "Q", "ي": "Y", "ك": "K", "ر": "R", "ع": "E", "ل": "L", "ن": "N", "ح": "X",
}  # fmt: skip
LETTER_OF = {latin: arabic for arabic, latin in ASCII_OF.items()}
LATIN_SERIES = ("WW", "CMD", "CD", "CC", "OI")
MAX_INPUT = 64
MAX_LATIN = 12

_REGION = re.compile(r"^[A-Z]{2}$")
_BARS = frozenset("|¦│┃ǀ∣⎮❘/\\")
_GAPS = frozenset(" \t-–—‐‑‒−·•.*:_'’")
_ARABIC_FORMS = {
    form: letter
    for letter, forms in {"أ": "اآإٱ", "ه": "ةھہەۀۂۃ", "ي": "ىیئ", "و": "ؤ", "ك": "ک"}.items()
    for form in forms
}
_LATIN_FORMS = dict(zip("АВЕКМНОРСТУХІΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEKMHOPCTYXIABEZHIKMNOPTYX", strict=True))


class PlateError(Refused):
    """A text that is no plate; the message says which character or group and what is expected."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plate:
    """A plate in its one written form; `region` is ISO 3166-1 alpha-2, or empty where it is not known."""

    text: str
    text_ascii: str
    region: str

    @property
    def key(self) -> str:
        """What an exact match compares: the text alone, since a region is a guess where the reader makes it."""
        return self.text


def normalise(text: str, region: str) -> Plate:
    """The plate that `text` writes for `region`; `PlateError` where it writes none.

    Takes Arabic-Indic and full-width digits, any alef or heh, lower case, tatweel, bars of several kinds and gaps.
    With an empty `region` (a reader that does not know) a bar or an Arabic letter makes it a Moroccan text.
    """
    clean = _clean(text)
    region = check_region(region) if region else ""
    moroccan = region == "MA" or (not region and any(c == BAR or c in ASCII_OF for c in clean))
    written = _moroccan(clean) if moroccan else _latin(clean)
    return Plate(text=written, text_ascii=to_ascii(written), region=region)


def to_ascii(text: str) -> str:
    """A written form without bars, Arabic letters by their Latin names: `12345|أ|6` becomes `12345A6`."""
    return "".join(ASCII_OF.get(c, c) for c in text if c != BAR)


def check_region(text: str) -> str:
    """`text` as an upper-case country code of two letters, else `PlateError`."""
    region = text.strip().upper()
    if region == "UK":
        raise PlateError("region 'UK' is not an ISO 3166 code; write GB")
    if not _REGION.match(region):
        raise PlateError(f"region {text[:20]!r} is not a country code of two letters such as MA")
    return region


def _clean(text: str) -> str:
    """`text` in capital letters, plain digits, `|` and blanks only; marks, joiners and tatweel dropped."""
    if len(text) > MAX_INPUT:
        raise PlateError(f"a plate of {len(text)} characters; {MAX_INPUT} is the most that is looked at")
    return "".join(_clean_one(c) for c in unicodedata.normalize("NFKC", text).upper()).strip()


def _clean_one(c: str) -> str:
    if c in _BARS:
        return BAR
    if c in _GAPS:
        return " "
    digit = unicodedata.decimal(c, None)
    if digit is not None:
        return str(digit)
    c = _ARABIC_FORMS.get(c, _LATIN_FORMS.get(c, c))
    if c in ASCII_OF or "A" <= c <= "Z":
        return c
    if c == "ـ" or unicodedata.category(c) in ("Mn", "Cf"):
        return ""
    base = unicodedata.normalize("NFD", c)[0]
    if "A" <= base <= "Z":
        return base
    raise PlateError(f"character {c!r} is on no plate this version knows")


def _latin(clean: str) -> str:
    written = clean.replace(BAR, "").replace(" ", "")
    arabic = next((c for c in written if c in ASCII_OF), None)
    if arabic:
        raise PlateError(f"Arabic letter {arabic!r} on a plate of a region other than MA")
    if not 2 <= len(written) <= MAX_LATIN:
        raise PlateError(f"{len(written)} letters and digits; a plate has 2 to {MAX_LATIN}")
    return written


def _moroccan(clean: str) -> str:
    digits, series = _groups(clean)
    if len(digits) > 1 and len(digits[1]) > 2:
        raise PlateError(
            f"the last group {digits[1]!r} is no prefecture (1 to 99); write serial|letter|prefecture such as 12345|أ|6"
        )
    if len(digits[0]) > 7 or "" in digits:
        raise PlateError("a serial has 1 to 7 digits and a prefecture is 1 to 99, neither is zero")
    return BAR.join([digits[0], series, *digits[1:]])


def _groups(clean: str) -> tuple[list[str], str]:
    """The digit groups without leading zeros (one or two) and the series between or after them."""
    parts = ["".join(run) for word in clean.replace(BAR, " ").split() for _, run in groupby(word, str.isdigit)]
    kinds = "".join("9" if kind else "A" for kind, _ in groupby(parts, str.isdigit))
    digits = [part for part in parts if part.isdigit()]
    if kinds not in ("9A", "9A9") or len(digits) != len(kinds) - 1:
        raise PlateError(
            "a Moroccan plate is serial|letter|prefecture such as 12345|أ|6, or serial|series such as 609008|WW"
        )
    return [digit.lstrip("0") for digit in digits], _series("".join(part for part in parts if not part.isdigit()))


def _series(letters: str) -> str:
    if letters in LATIN_SERIES:
        return letters
    series = "".join(LETTER_OF.get(c, c) for c in letters)
    unknown = next((c for c in series if c not in ASCII_OF), None)
    if unknown or len(series) > 3:
        raise PlateError(
            f"series {letters!r} is on no Moroccan plate this version knows; letters: {' '.join(ASCII_OF)}"
        )
    return series
