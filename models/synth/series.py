"""Every series and grammar that is drawn, by name, so that each can be looked at by itself.

Decides what they are called and how a text is told to belong to one; texts come from `formats`, as training draws them.
What the Moroccan signs mean is in docs/spec/watchlist.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from numpy.random import Generator

from edge.reader.alphabet import ARABIC, MOROCCO, SUSPENDED, TUNIS
from models.synth import formats
from models.synth.formats import PlateLabel

MOST_TRIES = 20_000
_ORDINARY = rf"\d+\|[{ARABIC}]\|\d+"
# One line or two, and for two the widths against the height.
ONE, TWO_WIDE, TWO_SQUARE = (1, 0.0, 99.0), (2, 1.4, 99.0), (2, 0.0, 1.4)


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """A series: its name, the texts it has in turn, and how many lines and how wide its plates are."""

    name: str
    texts: Callable[[Generator], Iterator[PlateLabel]]
    kinds: int = 1
    lines: tuple[int, float, float] = ONE


def _special(*signs: str) -> str:
    return rf"\d+[ |]?(?:{'|'.join(signs)})(?: ?\d+)?"


# Names and what the drawn text of one looks like; the first that fits is meant.
MOROCCAN: tuple[tuple[str, str], ...] = (
    ("MA ordinary", _ORDINARY),
    ("MA Latin letter", r"\d+\|[A-Z]\|\d+"),
    ("MA WW first registration", _special("WW")),
    ("MA W18 dealer's transit", _special("W18")),
    ("MA م the state", _special("م")),
    ("MA المغرب the state", _special(MOROCCO)),
    ("MA ج local government", _special("ج")),
    ("MA ش police", _special("ش")),
    ("MA قس auxiliary forces", _special("قس", "سق")),
    ("MA قمم army", _special("قمم", "ممق")),
    ("MA CD diplomats", _special("CD")),
    ("MA CC consuls", _special("CC")),
    ("MA OI international bodies", _special("OI")),
)
TUNISIAN: tuple[tuple[str, str], ...] = (
    ("TN ordinary", rf"\d+ ?{TUNIS} ?\d+"),
    ("TN suspended regime", rf"\d+ ?{SUSPENDED}"),
)


def name_of(label: PlateLabel) -> str | None:
    """The series of a Moroccan or Tunisian text; None where it has none."""
    return next((name for name, form in (*MOROCCAN, *TUNISIAN) if re.fullmatch(form, label.drawn)), None)


def every_series() -> list[Series]:
    """All of them: Morocco's, Tunisia's, and one for each country whose patterns are drawn."""
    made = [Series(name=name, texts=_of_form(formats.moroccan, name)) for name, _ in MOROCCAN[1:]]
    ordinary = _of_letters()
    made[:0] = [
        Series(name="MA ordinary", texts=ordinary, kinds=len(ARABIC)),
        Series(name="MA two lines", texts=ordinary, lines=TWO_WIDE),
        Series(name="MA motorcycle: two lines, nearly square", texts=ordinary, lines=TWO_SQUARE),
    ]
    made += [Series(name=name, texts=_of_form(formats.tunisian, name)) for name, _ in TUNISIAN]
    grammars = {**formats.EUROPE, **formats.AMERICA, "US": formats.US, "": formats.OTHER}
    for region, patterns in grammars.items():
        different = tuple(dict.fromkeys(patterns))
        texts = _of_patterns(region, different)
        made.append(Series(name=region or "no country", texts=texts, kinds=len(different)))
    made.append(Series(name="two lines, other countries", texts=_abroad, lines=TWO_WIDE))
    return made


def _of_form(draw: Callable[[Generator], PlateLabel], name: str) -> Callable[[Generator], Iterator[PlateLabel]]:
    def texts(rng: Generator) -> Iterator[PlateLabel]:
        for _ in range(MOST_TRIES):
            label = draw(rng)
            if name_of(label) == name:
                yield label

    return texts


def _of_letters() -> Callable[[Generator], Iterator[PlateLabel]]:
    """Ordinary Moroccan texts, each letter in its turn."""

    def texts(rng: Generator) -> Iterator[PlateLabel]:
        turn = 0
        for label in _of_form(formats.moroccan, "MA ordinary")(rng):
            if ARABIC[turn % len(ARABIC)] in label.drawn:
                turn += 1
                yield label

    return texts


def _of_patterns(region: str, patterns: tuple[str, ...]) -> Callable[[Generator], Iterator[PlateLabel]]:
    """A country's patterns, each in its turn."""

    def texts(rng: Generator) -> Iterator[PlateLabel]:
        for turn in range(MOST_TRIES):
            drawn = formats.fill(patterns[turn % len(patterns)], rng, shy=region != "BR")
            yield PlateLabel(region=region, drawn=drawn, symbols=formats.readable(drawn))

    return texts


def _abroad(rng: Generator) -> Iterator[PlateLabel]:
    for _ in range(MOST_TRIES):
        yield formats.any_label(rng, moroccan_share=0.0)
