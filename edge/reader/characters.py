"""The vote character by character: how far the looks at one plate agree at each place of a text that one of them read.

Decided here (docs/spec/hit.md, HT-38 and HT-39): each text that was read stands with the weight of its looks; the
characters of two texts belong together where the fewest of them have to be changed, added or left out to make one text
the other. The vote ranks whole texts and says how sure each character is. It never puts a text together: what comes out
is always a text that went in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MAX_COMPARED = 6
MAX_OTHERS = 3
NOTHING = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class CharacterVote:
    """One place of a text: the share of the looks' weight that agrees, and what the others had there.

    An empty string among `others` stands for looks that had no character at this place.
    """

    character: str
    agree_permille: int
    others: tuple[tuple[str, int], ...] = ()


def by_character(text: str, weights: Mapping[str, int]) -> tuple[CharacterVote, ...]:
    """The places of `text`, one of the texts in `weights`, each with the share of all weight that agrees there."""
    total = sum(weights.values())
    places: list[dict[str, int]] = [{} for _ in text]
    for other, weight in weights.items():
        for place, character in zip(places, aligned(text, other), strict=True):
            place[character] = place.get(character, 0) + weight
    return tuple(_vote(character, place, total) for character, place in zip(text, places, strict=True))


def ranked(weights: Mapping[str, int]) -> list[str]:
    """The heaviest texts, those first whose characters have the most weight behind them; a tie goes to the heavier."""
    compared = sorted(weights, key=lambda text: (-weights[text], text))[:MAX_COMPARED]
    support = {one: sum(weights[other] * likeness(one, other) for other in compared) for one in compared}
    return sorted(compared, key=lambda text: (-support[text], -weights[text], text))


def likeness(one: str, other: str) -> float:
    """The share of the longer text's places that are the same in both."""
    if one == other:
        return 1.0
    same = sum(a == b for a, b in zip(one, aligned(one, other), strict=True))
    return same / max(len(one), len(other))


def aligned(text: str, other: str) -> list[str]:
    """For each place of `text` the character of `other` that stands there, or an empty string."""
    if len(text) == len(other):
        return list(other)
    costs = _costs(text, other)
    found = [NOTHING] * len(text)
    row, column = len(text), len(other)
    while row and column:
        if costs[row][column] == costs[row - 1][column - 1] + (text[row - 1] != other[column - 1]):
            row, column = row - 1, column - 1
            found[row] = other[column]
        elif costs[row][column] == costs[row - 1][column] + 1:
            row -= 1
        else:
            column -= 1
    return found


def _costs(text: str, other: str) -> list[list[int]]:
    """How many characters differ at least between each beginning of `text` and each of `other`."""
    costs = [list(range(len(other) + 1))]
    for row, character in enumerate(text, start=1):
        above, line = costs[-1], [row]
        for column, rival in enumerate(other, start=1):
            line.append(min(above[column - 1] + (character != rival), above[column] + 1, line[-1] + 1))
        costs.append(line)
    return costs


def _vote(character: str, place: Mapping[str, int], total: int) -> CharacterVote:
    others = sorted((one for one in place if one != character), key=lambda one: (-place[one], one))[:MAX_OTHERS]
    return CharacterVote(
        character=character,
        agree_permille=1000 * place[character] // max(1, total),
        others=tuple((one, 1000 * place[one] // max(1, total)) for one in others),
    )
