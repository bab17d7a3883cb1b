"""Invented plate texts of many countries.

Decides which texts are drawn and how often; how a plate looks is decided in `plate`.  A pattern is written with
`L` letter, `C` consonant, `D` digit, `N` digit 1-9, `X` letter or digit, `Z` letter without I, O and Q,
a blank for a gap and `*` for an emblem in the gap; any other character stands for itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from numpy.random import Generator

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CONSONANTS = "BCDFGHJKLMNPRSTVWXYZ"
PLAIN_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
DIGITS = "0123456789"
CLASSES = {"L": LETTERS, "C": CONSONANTS, "D": DIGITS, "N": DIGITS[1:], "X": LETTERS + DIGITS, "Z": PLAIN_LETTERS}

EUROPE: dict[str, tuple[str, ...]] = {
    "GB": ("ZZDD ZZZ", "ZZDD ZZZ", "ZZDDZZZ", "ZDDD ZZZ", "ZND ZZZ"),
    "FR": ("ZZ-DDD-ZZ", "ZZ DDD ZZ", "DDDD ZZ DD"),
    "IT": ("ZZ DDDZZ", "ZZ DDD ZZ"),
    "ES": ("DDDD CCC", "DDDD CCC", "L DDDD LL", "LL DDDD L"),
    "DE": ("L*LL NDD", "LL*LL NDD", "LLL*L NDD", "LL*L NDDD", "L*LL NDDD", "LLL*LL ND", "LL*L ND", "L*LL ND"),
    "NL": ("CC-DDD-C", "DD-CC-CC", "DD-CCC-D", "C-DDD-CC", "DD-DD-CC", "CC-CC-DD", "D-CCC-DD"),
    "BE": ("N-LLL-DDD", "LLL-DDD", "DDD-LLL"),
    "PT": ("DD-LL-DD", "DD-DD-LL", "LL-DD-LL", "LL-DD-DD"),
    "AT": ("L*NDDDDL", "LL*NDDLL", "LL*NDDL", "L*NDDDLL"),
    "CH": ("LL*NDDDDD", "LL*NDDDD", "LL NDDDDD"),
    "PL": ("LL DDDDD", "LLL DDDD", "LL DDDDL", "LLL LDDD", "LLL DDDLL", "LL DDDLL"),
    "CZ": ("DLD DDDD", "DLD*DDDD", "DLL DDDD"),
    "SK": ("LL*DDDLL", "LL DDDLL"),
    "HU": ("LLL-DDD", "LL LL-DDD"),
    "HR": ("LL*DDDD-LL", "LL*DDD-LL", "LL*DDDD-L"),
    "SI": ("LL*LD-DDD", "LL*DD-LLD"),
    "RO": ("LL DD LLL", "L DDD LLL"),
    "BG": ("LL DDDD LL", "L DDDD LL"),
    "GR": ("LLL-DDDD", "LLL DDDD"),
    "SE": ("ZZZ DDD", "ZZZ DDZ"),
    "NO": ("ZZ DDDDD",),
    "FI": ("LLL-DDD",),
    "DK": ("LL DD DDD",),
    "LT": ("LLL*DDD", "LLL DDD"),
    "LV": ("LL-DDDD",),
    "EE": ("DDD LLL",),
    "IE": ("DD-L-DDDDD", "DDD-L-DDDDD", "DD-LL-DDDD"),
    "RS": ("LL*DDD-LL", "LL*DDDD-LL"),
    "UA": ("LL DDDD LL",),
}
AMERICA: dict[str, tuple[str, ...]] = {
    "BR": ("LLL-DDDD", "LLL-DDDD", "LLL*DDDD", "LLL-DDDD", "LLLDLDD", "LLL DLDD"),
    "AR": ("LLL DDD", "LL DDD LL"),
    "MX": ("LLL-DD-DD", "LLL-DDD-L", "LDD-LLL"),
}
US = (
    "LLL*DDDD", "LLL DDDD", "LLL-DDDD", "LLLDDDD", "DLLLDDD", "DLLLDDD", "LLL*DDD", "LLL DDD", "LLL-DDD", "DDD LLL",
    "DDD*LLL", "DDD-LLL", "LLD*LDL", "LLD LDL", "LD*DLDL", "LLD*DDD", "LDD*LDD", "DDDDDDD", "DDD DDD", "LLDDDDD",
    "LDDDDDD", "LDD DDDD", "DDDL LL", "DLL DDD", "LL DDDD", "LL*DDDDD", "LLLL DD", "DDL*DDD", "XXXXXX", "XXXXXXX",
    "XXX XXX", "XXX*XXXX", "LLLLLL", "LLLLL", "LLL DLD", "DDDD LL", "DD LLLL", "LLDDLL", "LLDLDL", "DDDLLD",
)  # fmt: skip
OTHER = ("XXXXXXX", "XXXXXX", "XXXXX", "XXXXXXXX", "LLL DDDD", "DDDDDD", "LL DDDDD", "DDDD", "LLL", "DDDDD LL")
# Somewhat as they are on the street, with the rare ones not rare: from 15 % to 7 %.
MOROCCAN_LETTERS = "أأأأببببهههووووددددطططججششمم"
# Of plates of a special series; several letters of one are set from the left like the number, or from the right as
# they are written: which of the two the street has is not documented.
SPECIAL_SHARE, FROM_THE_RIGHT_SHARE = 0.16, 0.4
# The prefectures of the largest cities come on top of an even choice: each three times as often as another.
CITIES, CITY_SHARE = (1, 6, 40, 72), 0.09

LATIN_OF = {"أ": "A", "ب": "B", "د": "D", "ه": "H", "و": "W", "ط": "T"}
OF_LATIN = {latin: letter for letter, latin in LATIN_OF.items()}
TUNISIAN_SHARE = 0.07


@dataclass(frozen=True, kw_only=True, slots=True)
class PlateLabel:
    """What is drawn (`drawn`, with gaps and dashes) and what the reader should emit (`symbols`: no gaps, bars kept)."""

    region: str
    drawn: str
    symbols: str


def readable(drawn: str) -> str:
    """The text as it is read: gaps, dashes and emblems left out."""
    return "".join(c for c in drawn if c not in " -*")


def fill(pattern: str, rng: Generator, *, shy: bool = True) -> str:
    """One random text of a pattern; where `shy`, I, O and Q are as rare as most countries have them."""
    return "".join(_drawn_from(CLASSES[c], rng, shy=shy) if c in CLASSES else c for c in pattern)


def _drawn_from(characters: str, rng: Generator, *, shy: bool) -> str:
    character = characters[int(rng.integers(len(characters)))]
    if shy and character in "IOQ" and rng.random() < 0.6:
        return characters[int(rng.integers(len(characters)))]
    return character


def _number(rng: Generator, digits: int) -> str:
    return str(int(rng.integers(10 ** (digits - 1), 10**digits)))


def moroccan(rng: Generator) -> PlateLabel:
    """A Moroccan plate: serial|letter|prefecture, or one of the special series."""
    if rng.random() < SPECIAL_SHARE:
        drawn = _moroccan_special(rng)
        return PlateLabel(region="MA", drawn=drawn, symbols=readable(drawn))
    serial = _number(rng, int(rng.choice([1, 2, 3, 4, 5, 5, 5, 5, 5])))
    letter = MOROCCAN_LETTERS[int(rng.integers(len(MOROCCAN_LETTERS)))]
    prefecture = str(int(rng.choice(CITIES))) if rng.random() < CITY_SHARE else str(int(rng.integers(1, 90)))
    if letter in LATIN_OF and rng.random() < 0.04:
        letter = LATIN_OF[letter]
    text = f"{serial}|{letter}|{prefecture}"
    return PlateLabel(region="MA", drawn=text, symbols=text)


def _moroccan_special(rng: Generator) -> str:
    """Temporary WW and W18, police, state, local government, auxiliary forces, army, corps of diplomats."""
    serial = _number(rng, int(rng.integers(3, 7)))
    gap = " " if rng.random() < 0.7 else ""
    signs = ("WW", "WW", "WW", "W18", "ش", "ش", "م", "غ", "غ", "ج", "قس", "قس", *["قمم"] * 4, "CD", "CC", "OI")
    sign = signs[int(rng.integers(len(signs)))]
    if sign in ("CD", "CC", "OI"):
        return f"{int(rng.integers(1, 200))}{gap}{sign}{gap}{int(rng.integers(1, 99))}"
    if len(sign) > 1 and sign[0] == "ق" and rng.random() < FROM_THE_RIGHT_SHARE:
        sign = sign[::-1]
    bar = "|" if rng.random() < 0.15 and sign not in ("WW", "W18") else gap
    return f"{serial}{bar}{sign}"


def tunisian(rng: Generator) -> PlateLabel:
    """A Tunisian plate: two numbers with the country's name between them, or a number of the suspended regime."""
    gap = " " if rng.random() < 0.8 else ""
    if rng.random() < 0.1:
        drawn = f"{_number(rng, int(rng.integers(3, 7)))}{gap}ن"
    else:
        serial, number = int(rng.integers(1, 260)), _number(rng, int(rng.choice([1, 2, 3, 4, 4, 4, 4, 4])))
        drawn = f"{serial}{gap}ت{gap}{number}"
    return PlateLabel(region="TN", drawn=drawn, symbols=readable(drawn))


def _of(table: dict[str, tuple[str, ...]], rng: Generator) -> PlateLabel:
    region = list(table)[int(rng.integers(len(table)))]
    drawn = fill(table[region][int(rng.integers(len(table[region])))], rng, shy=region != "BR")
    return PlateLabel(region=region, drawn=drawn, symbols=readable(drawn))


def american(rng: Generator) -> PlateLabel:
    """A plate of one of the United States."""
    drawn = fill(US[int(rng.integers(len(US)))], rng)
    return PlateLabel(region="US", drawn=drawn, symbols=readable(drawn))


def european(rng: Generator) -> PlateLabel:
    """A European plate; British ones one time in five."""
    table = {"GB": EUROPE["GB"]} if rng.random() < 0.2 else EUROPE
    return _of(table, rng)


def any_label(rng: Generator, *, moroccan_share: float = 0.3) -> PlateLabel:
    """A plate of any country, and now and then a text of no country or one row of a two-line plate."""
    if rng.random() < moroccan_share:
        return moroccan(rng)
    if rng.random() < TUNISIAN_SHARE:
        return tunisian(rng)
    kind = rng.random()
    if kind < 0.40:
        label = european(rng)
    elif kind < 0.64:
        label = _of({"BR": AMERICA["BR"]} if rng.random() < 0.85 else AMERICA, rng)
    elif kind < 0.93:
        label = american(rng)
    else:
        drawn = fill(OTHER[int(rng.integers(len(OTHER)))], rng)
        label = PlateLabel(region="", drawn=drawn, symbols=readable(drawn))
    return _one_row(label, rng) if rng.random() < 0.05 else label


def _one_row(label: PlateLabel, rng: Generator) -> PlateLabel:
    rows = [row for row in label.drawn.replace("-", " ").replace("*", " ").split() if len(row) > 1]
    if len(rows) < 2:
        return label
    row = rows[int(rng.integers(len(rows)))]
    return PlateLabel(region=label.region, drawn=row, symbols=row)
