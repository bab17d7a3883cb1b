"""When two plate texts are the same, and which fields a Moroccan plate has.

Bars, gaps and dashes do not count, and an Arabic letter and its Latin name (أ and A) are the same: other programs write
plates in their own way.  A `?` in a known text is a character that was painted over.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from vedette.plates import ASCII_OF

MASK = "?"
TATWEEL = "ـ"
_ARABIC_RUN = re.compile("([\u0600-\u06ff]+)")
_OTHER_FORMS = str.maketrans("اإآٱةھہىیؤ", "أأأأهههييو")
_MOROCCAN = re.compile(r"([0-9?]+)([A-Z]+)([0-9?]*)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Fields:
    """The fields of a Moroccan plate in bare form; `prefecture` is empty where the plate has none."""

    serial: str
    letter: str
    prefecture: str


def bare(text: str) -> str:
    """Capital letters and digits only: `12345|أ|6`, `12345 A-6` and `١٢٣٤٥ أ ٦` all become `12345A6`."""
    plain = unicodedata.normalize("NFKC", text).upper().translate(_OTHER_FORMS)
    return "".join(_bare_one(c) for c in plain)


def _bare_one(c: str) -> str:
    digit = unicodedata.decimal(c, None)
    if digit is not None:
        return str(digit)
    if c in ASCII_OF:
        return ASCII_OF[c]
    if c == MASK:
        return c
    return unicodedata.normalize("NFD", c)[0] if c.isalpha() and c != TATWEEL else ""


def pieces(text: str) -> list[str]:
    """The text in parts that stand on a plate from left to right; letters of one Arabic word stay together."""
    return [part for part in _ARABIC_RUN.split(text) if part]


def is_arabic(piece: str) -> bool:
    """Whether a part of a plate's text is to be written from right to left."""
    return _ARABIC_RUN.fullmatch(piece) is not None


def same(read: str | None, known: str) -> bool:
    """True where the text read is the known one; a `?` matches any one character or none."""
    return _matches(read, known, ".?")


def same_length(read: str | None, known: str) -> bool:
    """As `same`, but a `?` stands for exactly one character."""
    return _matches(read, known, ".")


def _matches(read: str | None, known: str, masked: str) -> bool:
    pattern = re.escape(bare(known)).replace(re.escape(MASK), masked)
    return read is not None and re.fullmatch(pattern, bare(read)) is not None


def fields_of(text: str) -> Fields | None:
    """The fields of a text that is built as a Moroccan plate: digits, letters, perhaps digits; else None."""
    match = _MOROCCAN.fullmatch(bare(text))
    return Fields(serial=match[1], letter=match[2], prefecture=match[3]) if match else None
