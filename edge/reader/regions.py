"""The countries whose plates carry such a text, as far as their formats are known here.

Decided here: a text that fits the formats of several countries may be of any of them, and one is named only where no
other fits.  That says what fits, not where a car is from: personal plates fit what they like, and the formats of many
countries are not known here; so digits alone name none.  The formats are `grammar`'s.
"""

from __future__ import annotations

from edge.reader import diplomats, grammar
from edge.reader.alphabet import HIDDEN

AMERICA = "US"
TOLD_BY_SCRIPT = ("MA", "TN")


def regions_of(text: str, region: str) -> tuple[str, ...]:
    """The ISO codes of the countries whose formats the text fits, sorted; `region` is the reader's own, which counts
    where script or bars tell it.  A covered character (`?`) fits any letter and any digit.
    """
    if region in TOLD_BY_SCRIPT:
        return (region,)
    shape = grammar.shape_of(text)
    known = [one for one in grammar.ALL_SHAPES if _fits(shape, one)]
    found = {one for shape in known for one in grammar.REGIONS_OF.get(shape, ())}
    found = {one for one in found if _may_begin_so(text[:2], one)}
    american = {AMERICA} if any(one in grammar.AMERICAN for one in known) else set()
    return tuple(sorted(found | american | diplomats.countries(text)))


def only_region(text: str, region: str) -> str:
    """The one country whose format the text fits; empty where there are several or none, or digits alone."""
    found = regions_of(text, region)
    says_nothing = region not in TOLD_BY_SCRIPT and text.replace(HIDDEN, "").isdigit()
    return found[0] if len(found) == 1 and not says_nothing else ""


def _fits(shape: str, known: str) -> bool:
    return len(shape) == len(known) and all(a in (b, HIDDEN) for a, b in zip(shape, known, strict=True))


def _may_begin_so(start: str, region: str) -> bool:
    """Whether the first two letters are a county of that country, or it has none."""
    counties = grammar.COUNTIES.get(region)
    return counties is None or HIDDEN in start or start in counties
