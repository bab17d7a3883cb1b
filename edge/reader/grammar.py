"""Which texts are plates: the written form of what the reader emits, and how likely a text is before looking.

Decides that `12345أ6` is the Moroccan plate `12345|أ|6`, which shapes of letters and digits known countries issue,
which look-alike characters may be exchanged to reach such a shape, and that a `?` is a character that is covered: such
a text can be searched for, and matches nothing.  Written forms are those of docs/spec/watchlist.md.  Probabilities from
the picture are in `ctc`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from edge.reader import diplomats
from edge.reader.alphabet import ARABIC, ARABIC_MORE, BAR, DIGITS, HIDDEN, LATIN, MOROCCO, SUSPENDED, TUNIS, WORDS

MAX_LOOK_ALIKES = 3
MAX_VARIANTS = 24
KNOWN, AMERICAN_ONLY, ISSUED, UNKNOWN, TOO_SHORT = 0.0, -1.0, -2.0, -5.0, -8.0
# Most countries leave out the letters that look like digits.
SELDOM = {"I": -1.5, "Q": -1.5}

# What a covered character costs beforehand; more than two are no text.
COVERED, MAX_COVERED = -0.7, 2
RARE = -1.0
LAST_PREFECTURE = 89

_MOROCCAN = re.compile(rf"([1-9?][\d?]{{0,4}})([{ARABIC}?])([1-9?][\d?]?)")
_MOROCCAN_SHORT = re.compile(r"([1-9]\d{1,5})([شجم]|قس|سق|قمم|ممق)")
# Letters that stand from the right, as they are written, are seen from the left.
_WRITTEN = {"سق": "قس", "ممق": "قمم"}
_MOROCCAN_STATE = re.compile(rf"([1-9]\d{{1,5}}){MOROCCO}")
_MOROCCAN_TEMPORARY = re.compile(r"([1-9?][\d?]{2,6})(WW|W18)")
_MOROCCAN_DIGITS = re.compile(r"[1-9]\d{4,7}")
_TUNISIAN = re.compile(rf"([1-9?][\d?]{{0,2}}){TUNIS}([1-9?][\d?]{{0,3}})")
_TUNISIAN_SUSPENDED = re.compile(rf"([1-9?][\d?]{{0,5}}){SUSPENDED}")
# The letter that newer Moroccan plates show in Latin, between the bars.
_LETTER_OF = {"A": "أ", "B": "ب", "D": "د", "H": "ه", "W": "و", "T": "ط"}
_SCRIPT = frozenset(ARABIC + ARABIC_MORE + TUNIS + SUSPENDED + MOROCCO)
# Shapes: A is a letter, 9 a digit.  Only shapes that a country issues in numbers.
_SHAPES = {
    "GB": "AA99AAA A999AAA A99AAA",
    "FR": "AA999AA",
    "IT": "AA999AA",
    "ES": "9999AAA",
    "DE": "AAA99 AAA999 AAA9999 AAAA99 AAAA999 AA999 AA9999 AAAA9 AAAAA9 AAAAA99",
    "NL": "AA999A 99AAA9 9AAA99 A999AA 99AAAA AAAA99 9999AA AA9999 99AA99 AA99AA",
    "BE": "9AAA999 AAA999 999AAA",
    "PT": "99AA99 9999AA AA9999 AA99AA",
    "AT": "A9999A A99999A AA999AA AA9999A A9999AA AA99999",
    "CH": "AA999 AA9999 AA99999 AA999999",
    "PL": "AA99999 AAA9999 AA9999A AAAA999 AAA99999 AA999AA AAA999AA",
    "CZ": "9A99999 9AA9999 9AA99999",
    "SK": "AA999AA",
    "HU": "AAA999 AAAA999",
    "HR": "AA999AA AA9999AA AA9999A",
    "SI": "AA99999 AA99AAA",
    "RO": "AA99AAA A99AAA A999AAA",
    "BG": "AA9999AA A9999AA",
    "GR": "AAA9999",
    "SE": "AAA999 AAA99A",
    "NO": "AA99999",
    "FI": "AAA999",
    "DK": "AA99999",
    "LT": "AAA999",
    "LV": "AA9999",
    "EE": "999AAA",
    "IE": "99A99999 999A99999 99A9999 999A9999",
    "UA": "AA9999AA",
    "RS": "AA999AA AA9999AA",
    "BR": "AAA9999 AAA9A99",
}
_AMERICAN = (
    "AAA9999 9AAA999 AAA999 999AAA AA9A9A A99A99 AA9999 9999999 999999 AA99999 A999999 999A99 9AA999 99999A A99999 "
    "AAA99A AA9AA9 99AAA9 9999AA AA999A 999AA9 AAAA99 AA99AA 9A99999 AAA9A9 9999A9 A9A9A9"
)
# The shapes most cars of the world carry: Brazil, Texas, New York; France, Italy; Britain; Spain; California.
WIDESPREAD = frozenset({"AAA9999", "AAA9A99", "AA999AA", "AA99AAA", "9999AAA", "9AAA999", "AAA999"})
_LOOK_ALIKE_LETTERS = {
    "0": "OQD", "1": "IL", "2": "Z", "3": "B", "4": "A", "5": "S", "6": "G", "7": "TZ", "8": "B", "9": "P",
}  # fmt: skip
_LOOK_ALIKE_DIGITS = {
    "O": "0", "Q": "0", "D": "0", "U": "0", "I": "1", "L": "1", "J": "1", "T": "1", "Z": "27", "B": "8",
    "A": "4", "S": "5", "G": "6", "P": "9", "E": "6",
}  # fmt: skip
_SPANISH_VOWELS = set("AEIOU")
# Where the first two letters are a county, a text that begins otherwise is of another country.
_ROMANIAN = (
    "AB AR AG BC BH BN BT BV BR BZ CS CL CJ CT CV DB DJ GL GR GJ HR HD IL IS IF MM MH MS NT OT PH SM SJ SB SV TR TM "
    "TL VS VL VN"
)
_SLOVENIAN = "CE GO KK KP KR LJ MB MS NM PO SG"
COUNTIES = {"RO": frozenset(_ROMANIAN.split()), "SI": frozenset(_SLOVENIAN.split())}


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One text in its written form, its country or an empty string, and its logarithm of likelihood beforehand."""

    text: str
    region: str
    prior: float


def _by_shape() -> dict[str, frozenset[str]]:
    table: dict[str, set[str]] = {}
    for region, shapes in _SHAPES.items():
        for shape in shapes.split():
            table.setdefault(shape, set()).add(region)
    return {shape: frozenset(regions) for shape, regions in table.items()}


REGIONS_OF = _by_shape()
AMERICAN = frozenset(_AMERICAN.split())
ALL_SHAPES = tuple(sorted(AMERICAN | set(REGIONS_OF)))


def reading_of(symbols: str) -> Reading | None:
    """The written form of what the reader emitted, bars or not; None where it can be no plate at all."""
    covered = symbols.count(HIDDEN)
    if covered > MAX_COVERED:
        return None
    reading = _reading(symbols)
    if reading is None or covered == 0:
        return reading
    return Reading(text=reading.text, region=reading.region, prior=reading.prior + covered * COVERED)


def _reading(symbols: str) -> Reading | None:
    bare = symbols.replace(BAR, "")
    if any(c in _SCRIPT for c in bare):
        return _tunisian(bare) or _moroccan(bare)
    if symbols.count(BAR) == 2:
        serial, letter, prefecture = symbols.split(BAR)
        if letter in _LETTER_OF or letter == HIDDEN:
            return _moroccan(serial + _LETTER_OF.get(letter, letter) + prefecture)
    temporary = _MOROCCAN_TEMPORARY.fullmatch(bare)
    if temporary:
        return Reading(text=BAR.join(temporary.groups()), region="MA", prior=KNOWN)
    if BAR in symbols:
        old = _MOROCCAN_DIGITS.fullmatch(bare)
        return Reading(text=bare, region="MA", prior=UNKNOWN) if old else None
    if not 2 <= len(bare) <= 9:
        return None
    return Reading(text=bare, region=_region(bare), prior=_latin_prior(bare))


def _moroccan(bare: str) -> Reading | None:
    match = _MOROCCAN.fullmatch(bare)
    if match is not None:
        rare = RARE if match.group(2) in "طجم" else 0.0
        foreign = RARE if match.group(3).isdigit() and int(match.group(3)) > LAST_PREFECTURE else 0.0
        return Reading(text=BAR.join(match.groups()), region="MA", prior=KNOWN + rare + foreign)
    match = _MOROCCAN_SHORT.fullmatch(bare)
    if match is not None:
        number, sign = match.groups()
        return Reading(text=f"{number}{BAR}{_WRITTEN.get(sign, sign)}", region="MA", prior=KNOWN + RARE)
    match = _MOROCCAN_STATE.fullmatch(bare)
    return Reading(text=f"{match.group(1)}{BAR}م", region="MA", prior=KNOWN + RARE) if match else None


def _tunisian(bare: str) -> Reading | None:
    match = _TUNISIAN.fullmatch(bare)
    if match is not None:
        return Reading(text=WORDS[TUNIS].join(match.groups()), region="TN", prior=KNOWN)
    match = _TUNISIAN_SUSPENDED.fullmatch(bare)
    return Reading(text=match.group(1) + WORDS[SUSPENDED], region="TN", prior=KNOWN + RARE) if match else None


def shape_of(text: str) -> str:
    """Letters as A and digits as 9; a covered character stays as it is."""
    return "".join("9" if c in DIGITS else c if c == HIDDEN else "A" for c in text)


def _region(text: str) -> str:
    shape = shape_of(text)
    regions = {region for region in REGIONS_OF.get(shape, frozenset()) if text[:2] in COUNTIES.get(region, {text[:2]})}
    regions |= diplomats.countries(text)
    if len(regions) == 1 and shape not in AMERICAN:
        return next(iter(regions))
    return ""


def _latin_prior(text: str) -> float:
    """A diplomat's plate counts as issued, and the I of its sign is not seldom; never less than its shape alone."""
    prior = _shape_prior(text) + sum(SELDOM.get(character, 0.0) for character in text)
    return max(prior, ISSUED) if diplomats.countries(text) else prior


def _shape_prior(text: str) -> float:
    if len(text) < 4:
        return TOO_SHORT
    shape = shape_of(text)
    if HIDDEN in shape:
        return max((_known_prior(known) for known in ALL_SHAPES if _fits(shape, known)), default=UNKNOWN)
    if shape == "9999AAA" and _SPANISH_VOWELS & set(text[4:]):
        return UNKNOWN
    return _known_prior(shape)


def _known_prior(shape: str) -> float:
    if shape in WIDESPREAD:
        return KNOWN
    if shape in AMERICAN:
        return AMERICAN_ONLY
    return ISSUED if shape in REGIONS_OF else UNKNOWN


def _fits(shape: str, known: str) -> bool:
    return len(shape) == len(known) and all(a in (b, HIDDEN) for a, b in zip(shape, known, strict=True))


def variants(text: str) -> Iterator[str]:
    """Texts of a known shape that differ from a Latin text only by look-alike letters and digits."""
    made = 0
    shape = shape_of(text)
    for known in ALL_SHAPES:
        if len(known) != len(text):
            continue
        places = [i for i, (a, b) in enumerate(zip(shape, known, strict=True)) if a not in (b, HIDDEN)]
        if not 1 <= len(places) <= MAX_LOOK_ALIKES:
            continue
        for choice in product(*(_exchanges(text[i]) for i in places)):
            if made == MAX_VARIANTS:
                return
            made += 1
            changed = list(text)
            for place, character in zip(places, choice, strict=True):
                changed[place] = character
            yield "".join(changed)


def _exchanges(character: str) -> str:
    return _LOOK_ALIKE_LETTERS.get(character, "") if character in DIGITS else _LOOK_ALIKE_DIGITS.get(character, "")


LATIN_SYMBOLS = frozenset(DIGITS + LATIN)
ARABIC_SYMBOLS = frozenset(DIGITS + BAR + "W") | _SCRIPT
ALL_SYMBOLS = LATIN_SYMBOLS | ARABIC_SYMBOLS | {HIDDEN}
