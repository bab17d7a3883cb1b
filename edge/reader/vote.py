"""From several looks at one plate to one read: a text counts only when enough looks agree on it exactly.

Decided here (docs/spec/hit.md, HT-20 to HT-24, HT-38): a look below the confidence floor does not vote; a vote weighs
its confidence times the plate's width; consensus is the heaviest text, once `min_looks` looks say exactly that, no
other text weighs as much, and none that was read fits all looks better character by character. No two texts are ever
merged. When several looks in a row agree on another text, a different plate has taken the place of the old one in the
track and the vote begins anew with it. Not decided here: which looks belong to one plate (track), how two texts are
compared (characters).
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.camera.port import SmallFrame
from edge.reader.characters import CharacterVote, by_character, ranked
from edge.reader.look import Look
from edge.reader.ocr import Alternative, PlateText

MAX_TEXTS = 16
MAX_ALTERNATIVES = 5
FULL_WIDTH_PX = 160
TAKE_OVER_LOOKS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """From how many agreeing looks, and from which confidence of a look."""

    min_looks: int
    confidence_permille: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Consensus:
    """One read: a text with its evidence, and the best look at it with the picture it was in (in memory only).

    An alternative's confidence is its share of the votes' weight, or what the best look gave it where nobody voted it;
    `characters` says of each character of the text how much of that weight agrees on it.
    """

    text: str
    text_ascii: str
    region: str
    confidence_permille: int
    looks: int
    alternatives: tuple[Alternative, ...]
    characters: tuple[CharacterVote, ...]
    first_seen_us: int
    first_seen_mono_us: int
    last_seen_us: int
    best: Look
    frame: SmallFrame


@dataclass(kw_only=True, slots=True)
class _Tally:
    plate: PlateText
    first_seen_us: int
    first_seen_mono_us: int
    last_seen_us: int = 0
    looks: int = 0
    in_a_row: int = 0
    weight: int = 0
    confidence: int = 0


class Ballot:
    """The votes of one track; holds one picture, that of the best look at the text that leads.

    `plates` is how many plates the track has had, one after another (1, and one more at each new beginning).
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._tallies: dict[str, _Tally] = {}
        self._leader = ""
        self._best: tuple[int, Look, SmallFrame] | None = None
        self.plates = 1

    @property
    def voted(self) -> bool:
        """Whether any look voted."""
        return self._best is not None

    @property
    def leader(self) -> str:
        """The text with the most weight so far, which may be no consensus; empty before the first vote."""
        return self._leader

    @property
    def looks(self) -> int:
        """How many looks said exactly that text."""
        return self._tallies[self._leader].looks if self._best is not None else 0

    def add(self, look: Look, frame: SmallFrame) -> bool:
        """Count one look; False when it does not vote (no text, or below the confidence floor)."""
        plate = look.plate
        if plate is None or plate.confidence_permille < self._rules.confidence_permille:
            return False
        weight = _weight(look, plate)
        first = _Tally(plate=plate, first_seen_us=frame.utc_us, first_seen_mono_us=frame.mono_us)
        tally = self._tallies.setdefault(plate.text, first)
        for other in self._tallies.values():
            other.in_a_row = other.in_a_row + 1 if other is tally else 0
        tally.looks += 1
        tally.last_seen_us = frame.utc_us
        tally.weight += weight
        tally.confidence += weight * plate.confidence_permille
        if plate.confidence_permille > tally.plate.confidence_permille:
            tally.plate = plate
        if plate.text != self._leader and tally.in_a_row >= max(TAKE_OVER_LOOKS, self._rules.min_looks):
            self._tallies = {plate.text: tally}
            self.plates += 1
        self._lead(plate.text, weight, look, frame)
        self._forget_lightest()
        return True

    def consensus(self) -> Consensus | None:
        """The read of this track as far as it has been seen, or None while the looks do not agree enough."""
        if self._best is None:
            return None
        leader = self._tallies[self._leader]
        weights = {text: tally.weight for text, tally in self._tallies.items()}
        rivals = [weight for text, weight in weights.items() if text != self._leader]
        if leader.looks < self._rules.min_looks or leader.weight <= max(rivals, default=0):
            return None
        if rivals and ranked(weights)[0] != self._leader:
            return None
        total = leader.weight + sum(rivals)
        return Consensus(
            text=leader.plate.text,
            text_ascii=leader.plate.text_ascii,
            region=leader.plate.region,
            confidence_permille=min(1000, leader.confidence // total),
            looks=leader.looks,
            alternatives=self._alternatives(total),
            characters=by_character(self._leader, weights),
            first_seen_us=leader.first_seen_us,
            first_seen_mono_us=leader.first_seen_mono_us,
            last_seen_us=leader.last_seen_us,
            best=self._best[1],
            frame=self._best[2],
        )

    def _lead(self, text: str, weight: int, look: Look, frame: SmallFrame) -> None:
        """Only a vote for a text can put it ahead, so the picture at hand is always one of the leader's."""
        if text == self._leader:
            if self._best is None or weight > self._best[0]:
                self._best = (weight, look, frame)
        elif self._leader not in self._tallies or self._tallies[text].weight > self._tallies[self._leader].weight:
            self._leader, self._best = text, (weight, look, frame)

    def _forget_lightest(self) -> None:
        if len(self._tallies) > MAX_TEXTS:
            others = (text for text in self._tallies if text != self._leader)
            del self._tallies[min(others, key=lambda text: self._tallies[text].weight)]

    def _alternatives(self, total: int) -> tuple[Alternative, ...]:
        """Texts that other looks voted for, then those that the best look itself considered, heaviest first."""
        found = {
            text: Alternative(text=text, region=tally.plate.region, confidence_permille=tally.weight * 1000 // total)
            for text, tally in sorted(self._tallies.items(), key=lambda pair: -pair[1].weight)
        }
        for considered in self._tallies[self._leader].plate.alternatives:
            found.setdefault(considered.text, considered)
        del found[self._leader]
        return tuple(found.values())[:MAX_ALTERNATIVES]


def _weight(look: Look, plate: PlateText) -> int:
    x0, _, x1, _ = look.detection.box_px
    return 1 + plate.confidence_permille * min(max(1, x1 - x0), FULL_WIDTH_PX)
