"""What `vedette read` says of a plate: as JSON for programs, as a row of a table for people.

Decides which verdicts there are for whoever uses the output (`read`, `unsure`, `too_small`, each with its reason), and
how a Moroccan plate falls into serial, letter and prefecture. Which verdict a plate gets: `gate` and `reads`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge.reader import diplomats
from edge.reader.characters import CharacterVote
from edge.reader.detect import Detection
from edge.reader.gate import Judged, Reason, Verdict
from edge.reader.ocr import Alternative, Character, PlateText
from edge.reader.reads import Counters, Fate, Gone
from edge.reader.regions import only_region, regions_of
from vedette.plates import BAR

HEADS = ("picture", "plate", "country", "sure", "verdict")
WIDTHS = (36, 12, 7, 5, 10)
CONSENSUS = "consensus"
# A diplomat's sign between two numbers, and no ordinary plate of a country known here.
DIPLOMATS_ONLY = ("MA", "TN")
_VERDICTS = {Verdict.READ: "read", Verdict.UNSURE: "unsure", Verdict.TOO_SMALL: "too_small", Verdict.NO_TEXT: "unsure"}
_FATES = {
    Fate.READ: ("read", None),
    Fate.TOO_SMALL: ("too_small", Reason.HEIGHT.value),
    Fate.UNSURE: ("unsure", Reason.CONFIDENCE.value),
    Fate.NO_TEXT: ("unsure", Reason.TEXT.value),
    Fate.NO_CONSENSUS: ("unsure", CONSENSUS),
}

Json = dict[str, object]


class _Text(Protocol):
    """What a look and a consensus have in common."""

    @property
    def text(self) -> str: ...
    @property
    def text_ascii(self) -> str: ...
    @property
    def region(self) -> str: ...
    @property
    def confidence_permille(self) -> int: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """One plate of one picture; `reduction` as in `pictures.Picture`, `track` and `looks` where it is of a video."""

    detection: Detection
    plate: PlateText | None
    judged: Judged
    reduction: int = 1
    track: int | None = None
    looks: int = 0

    @property
    def is_read(self) -> bool:
        """Whether the text is worth believing."""
        return self.judged.verdict is Verdict.READ

    @property
    def is_worth_showing(self) -> bool:
        """Whether a person should see it unasked: also a text that says itself which characters are covered."""
        return self.is_read or self.judged.reason is Reason.COVERED

    def to_json(self) -> Json:
        """The plate as `vedette read` prints it."""
        corners = self.detection.corners_px
        found = {
            **_text(self.plate),
            "box_px": [side * self.reduction for side in self.detection.box_px],
            "corners_px": [[round(x * self.reduction, 1), round(y * self.reduction, 1)] for x, y in corners],
            "verdict": _VERDICTS[self.judged.verdict],
            "reason": self.judged.reason.value if self.judged.reason is not None else None,
            "fields": fields_of(self.plate.text) if self.plate is not None else None,
            "alternatives": _alternatives(self.plate.alternatives if self.plate is not None else ()),
            "characters": [_place(one) for one in self.plate.characters] if self.plate is not None else [],
        }
        return found if self.track is None else {**found, "track": self.track, "looks": self.looks}

    def to_row(self, name: str) -> str:
        """The plate as a line of the table."""
        return row(name, self.plate, _VERDICTS[self.judged.verdict])


def gone_json(path: Path, gone: Gone) -> Json:
    """One plate over a whole video, from `Reads`; times in milliseconds since the video began."""
    consensus, passage = gone.consensus, gone.passage
    first_us, last_us = passage.first_seen_us, passage.last_seen_us
    verdict, reason = _FATES[gone.fate]
    if consensus is not None:
        first_us, last_us = min(first_us, consensus.first_seen_us), max(last_us, consensus.last_seen_us)
    looks = consensus.looks if consensus is not None else 0
    return {
        "file": str(path),
        "track": passage.track,
        **_text(consensus),
        "looks": looks,
        "first_ms": first_us // 1000,
        "last_ms": last_us // 1000,
        "pictures": passage.pictures,
        "verdict": verdict,
        "reason": reason,
        "fields": fields_of(consensus.text) if consensus is not None else None,
        "alternatives": _alternatives(consensus.alternatives if consensus is not None else ()),
        "characters": [_character(one) for one in consensus.characters] if consensus is not None else [],
        "rejected": {
            "too_small": passage.too_small,
            "unsure": passage.unsure,
            "no_text": passage.unread,
            "other_text": passage.votes - looks,
        },
    }


def counted_json(path: Path, counters: Counters, ms: float) -> Json:
    """What a whole video brought, in numbers, the plates that were not read by why."""
    return {
        "file": str(path),
        "frames": counters.frames,
        "plates_read": counters.plates_read,
        "rejected": {
            "too_small": counters.rejected_too_small,
            "unsure": counters.rejected_unsure,
            "no_text": counters.rejected_no_text,
            "no_consensus": counters.rejected_no_consensus,
        },
        "ms": round(ms, 1),
    }


def gone_row(name: str, gone: Gone) -> str:
    """One plate over a whole video as a line of the table."""
    verdict, _ = _FATES[gone.fate]
    looks = f", {gone.consensus.looks} looks agree" if gone.consensus is not None else ""
    return row(name, gone.consensus, verdict + looks)


def row(name: str, plate: _Text | None, verdict: str) -> str:
    """One line of the table; a name that is too long keeps its end, where it differs from others.

    A share is rounded down and never 100 %: no read is certain.
    """
    short = name if len(name) <= WIDTHS[0] else "…" + name[1 - WIDTHS[0] :]
    sure = f"{min(plate.confidence_permille // 10, 99)} %" if plate is not None else ""
    text, country = (plate.text, only_region(plate.text, plate.region)) if plate is not None else ("", "")
    cells = (short, text, country, sure, verdict)
    return _aligned(cells)


def heading() -> str:
    """The table's first line."""
    return _aligned(HEADS)


def fields_of(text: str) -> Json | None:
    """Serial, letter and prefecture of a Moroccan plate (`12345|أ|6`); None for any other text.

    Of a diplomat's plate the last is the second number; it has fields where no country counts ordinary plates so.
    """
    parts = (diplomats.parted(text) if regions_of(text, "") == DIPLOMATS_ONLY else text).split(BAR)
    if not 2 <= len(parts) <= 3:
        return None
    return {"serial": parts[0], "letter": parts[1], "prefecture": parts[2] if len(parts) == 3 else None}


def _text(plate: _Text | None) -> Json:
    return {
        "text": plate.text if plate is not None else "",
        "text_ascii": plate.text_ascii if plate is not None else "",
        "region": only_region(plate.text, plate.region) if plate is not None else "",
        "regions": list(regions_of(plate.text, plate.region)) if plate is not None else [],
        "confidence_permille": plate.confidence_permille if plate is not None else 0,
    }


def _alternatives(alternatives: Sequence[Alternative]) -> list[Json]:
    return [{"text": one.text, "confidence_permille": one.confidence_permille} for one in alternatives]


def _place(one: Character) -> Json:
    others = [{"text": symbol, "permille": permille} for symbol, permille in one.alternatives]
    return {"text": one.symbol, "permille": one.confidence_permille, "others": others}


def _character(vote: CharacterVote) -> Json:
    others = [{"text": character, "permille": permille} for character, permille in vote.others]
    return {"text": vote.character, "agree_permille": vote.agree_permille, "others": others}


def _aligned(cells: Sequence[str]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)).rstrip()
