"""Plate text: one written form for what people type, what a list holds and what the reader believes.

Decided here (docs/spec/watchlist.md, WL-1 to WL-9 and WL-60 to WL-65): a Moroccan plate is `serial|series|prefecture`
(`12345|أ|6`), or `serial|series` where it has no prefecture (`609008|WW`, `12345|ش`), a diplomat's has its sign behind
the first number however it was written (`12|CD|34`), a Tunisian one has its word
between or after its digits (`123تونس4567`, `12345نت`); every other plate is capital Latin letters and digits without
separators. Two plates are the same when their texts are equal: no look-alike is folded (O is not 0) and the order of
the groups is never guessed. Not decided here: which texts a country issues, nor how a plate looks.
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
    "ق": "Q", "ي": "Y", "ك": "K", "ر": "R", "ع": "E", "ل": "L", "ن": "N", "ح": "X", "س": "C",
}  # fmt: skip
LETTER_OF = {latin: arabic for arabic, latin in ASCII_OF.items()}
DIPLOMATS = ("CMD", "CD", "CC", "OI")
LATIN_SERIES = ("WW", "W18", *DIPLOMATS)
TUNISIA, SUSPENDED = "تونس", "نت"
MAX_INPUT = 64
MAX_LATIN = 12
MAX_SECOND_DIGITS = 3

_REGION = re.compile(r"^[A-Z]{2}$")
# W18 is the letter و and the prefecture 18, unless it stands whole behind the bar of the serial.
_PART = re.compile(r"(?<=\d\|)W18(?=[| ]|$)|\d+|[^\d| ]+")
_DIGITS_ALONE = re.compile(r"\d{2,7}|\d{1,4}[ |]\d{1,2}([ |]\d)?")
_DIPLOMATIC_ORDERS = ("A9", "A99", "9A", "9A9", "99A")
_BARS = frozenset("|¦│┃ǀ∣⎮❘/\\")
_GAPS = frozenset(" \t-–—‐‑‒−·•.*:_'’")
_ARABIC_FORMS = {
    form: letter
    for letter, forms in {"أ": "اآإٱ", "ه": "ةھہەۀۂۃ", "ي": "ىیئ", "و": "ؤ", "ك": "ک"}.items()
    for form in forms
}
_ARABIC = frozenset(ASCII_OF) | frozenset("تغ")
_STATE = {"ألمغرب": "م", "MAROC": "م"}
_TUNISIAN_WORDS = {
    word: written
    for written, words in {TUNISIA: ("TU", "TN", "TUN", "TUNIS", "TUNISIE"), SUSPENDED: ("RS",)}.items()
    for word in (written, *words)
}
_TUNISIAN_FORM = re.compile(rf"[1-9]\d{{0,2}}{TUNISIA}[1-9]\d{{0,3}}|[1-9]\d{{0,5}}{SUSPENDED}")
_TUNISIAN_ASCII = {TUNISIA: "TU", SUSPENDED: "RS"}
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
    With an empty `region` (a reader that does not know) a bar or an Arabic letter makes it a Moroccan text, and the
    letter of تونس and نت, which no Moroccan plate has, a Tunisian one.
    """
    clean = _clean(text)
    region = check_region(region) if region else ""
    written = _WRITERS.get(region or _country(clean), _latin)(clean)
    return Plate(text=written, text_ascii=to_ascii(written), region=region)


def to_ascii(text: str) -> str:
    """A written form without bars, Arabic letters by their Latin names: `12345|أ|6` becomes `12345A6`.

    For people and files that cannot take Arabic; several plates may share one, so nothing may compare it.
    """
    for word, latin in _TUNISIAN_ASCII.items():
        text = text.replace(word, latin)
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
    """`text` in capital letters, plain digits, `|` and single blanks, none beside a `|`; marks and tatweel dropped."""
    if len(text) > MAX_INPUT:
        raise PlateError(f"a plate of {len(text)} characters; {MAX_INPUT} is the most that is looked at")
    plain = "".join(_clean_one(c) for c in unicodedata.normalize("NFKC", text).upper())
    return BAR.join(" ".join(part.split()) for part in plain.split(BAR))


def _clean_one(c: str) -> str:
    if c in _BARS:
        return BAR
    if c in _GAPS:
        return " "
    digit = unicodedata.decimal(c, None)
    if digit is not None:
        return str(digit)
    c = _ARABIC_FORMS.get(c, _LATIN_FORMS.get(c, c))
    if c in _ARABIC or "A" <= c <= "Z":
        return c
    if c == "ـ" or unicodedata.category(c) in ("Mn", "Cf"):
        return ""
    base = unicodedata.normalize("NFD", c)[0]
    if "A" <= base <= "Z":
        return base
    raise PlateError(f"character {c!r} is on no plate this version knows")


def _country(clean: str) -> str:
    if "ت" in clean:
        return "TN"
    return "MA" if any(c == BAR or c in _ARABIC for c in clean) else ""


def _latin(clean: str) -> str:
    written = _joined(clean)
    arabic = next((c for c in written if c in _ARABIC), None)
    if arabic:
        raise PlateError(f"Arabic letter {arabic!r} on a plate of a region other than MA and TN")
    if not 2 <= len(written) <= MAX_LATIN:
        raise PlateError(f"{len(written)} letters and digits; a plate has 2 to {MAX_LATIN}")
    return written


def _moroccan(clean: str) -> str:
    if _DIGITS_ALONE.fullmatch(clean):
        return _joined(clean)
    order, digits, letters = _groups(clean)
    if letters in DIPLOMATS and order in _DIPLOMATIC_ORDERS:
        return _diplomatic(letters, digits)
    if order not in ("9A", "9A9"):
        raise PlateError(
            "a Moroccan plate is serial|letter|prefecture such as 12345|أ|6, or serial|series such as 609008|WW"
        )
    series = _series(letters)
    if len(digits) > 1 and len(digits[1]) > 2:
        raise PlateError(
            f"the last group {digits[1]!r} is no prefecture (1 to 99); write serial|letter|prefecture such as 12345|أ|6"
        )
    if len(digits[0]) > 7 or "" in digits:
        raise PlateError("a serial has 1 to 7 digits and a prefecture is 1 to 99, neither is zero")
    return BAR.join([digits[0], series, *digits[1:]])


def _diplomatic(sign: str, digits: list[str]) -> str:
    """The sign behind the first number, wherever it was written; a plate shows it before, between or beside them."""
    if "" in digits or len(digits[0]) > 7 or any(len(one) > MAX_SECOND_DIGITS for one in digits[1:]):
        raise PlateError(
            f"a plate of series {sign} has a number of 1 to 7 digits and a second one of 1 to {MAX_SECOND_DIGITS}, "
            f"neither is zero, such as 12|{sign}|34"
        )
    return BAR.join([digits[0], sign, *digits[1:]])


def _tunisian(clean: str) -> str:
    """The two series that carry a word; a Tunisian plate of digits or other Latin letters is written as any other."""
    order, digits, letters = _groups(clean)
    word = _TUNISIAN_WORDS.get(letters, "")
    if not word and not any(c in _ARABIC for c in letters):
        return _latin(clean)
    written = "".join([*digits[:1], word, *digits[1:]])
    if order not in ("9A", "9A9") or not _TUNISIAN_FORM.fullmatch(written):
        raise PlateError(
            "a Tunisian plate is 1 to 3 digits, تونس (or TU) and 1 to 4 digits such as 123تونس4567, or 1 to 6 digits "
            "and نت (or RS) such as 12345نت"
        )
    return written


_WRITERS = {"MA": _moroccan, "TN": _tunisian}


def _joined(clean: str) -> str:
    return clean.replace(BAR, "").replace(" ", "")


def _groups(clean: str) -> tuple[str, list[str], str]:
    """The order of the groups (9 digits, A letters), the digits without leading zeros, and all letters together."""
    parts = _PART.findall(clean)
    order = "".join("9" if part.isdigit() else "A" for part in parts)
    digits = [part.lstrip("0") for part in parts if part.isdigit()]
    return re.sub("A+", "A", order), digits, "".join(part for part in parts if not part.isdigit())


def _series(letters: str) -> str:
    """The series that Latin or Arabic letters write, or both side by side where they say the same (`A أ`)."""
    scripts = [_spelled("".join(run)) for _, run in groupby(letters, str.isascii)]
    if len(scripts) == 2 and scripts[0] == scripts[1]:
        del scripts[1]
    series = "".join(scripts)
    if series in LATIN_SERIES:
        return series
    unknown = next((c for c in series if c not in ASCII_OF), None)
    if unknown or len(series) > 3:
        raise PlateError(
            f"series {letters!r} is on no Moroccan plate this version knows; letters: {' '.join(ASCII_OF)}"
        )
    return series


def _spelled(letters: str) -> str:
    if letters in LATIN_SERIES:
        return letters
    return _STATE.get(letters) or "".join(LETTER_OF.get(c, c) for c in letters)
