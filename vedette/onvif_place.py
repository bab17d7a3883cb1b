"""Where a recording says that it was made: the first position in its own text track.

Decided here: only the recording is asked (docs/spec/segment.md: its text track has date, time and position), never a
record beside it, so that an exported copy holds nothing that the recording does not. No text track, no position yet or
another form of line: no place, which is no fault.
"""

from __future__ import annotations

import itertools
import re
from typing import BinaryIO

from vedette.onvif_boxes import Place
from vedette.text_track import text_samples

MAX_SAMPLES = 64
_POSITION = re.compile(r"\b(\d{1,2})\.(\d{5}) ([NS]) (\d{1,3})\.(\d{5}) ([EW])\b")


def place_of(file: BinaryIO) -> Place | None:
    """The first position in the text track of the recording in `file` (seekable), looked for in its first 64 samples,
    or None.

    Raises Integrity where the file's boxes contradict each other, Refused where they are too large or too many.
    """
    for sample in itertools.islice(text_samples(file) or (), MAX_SAMPLES):
        found = _POSITION.search(sample.content.decode("utf-8", "replace"))
        if found:
            return _place(found)
    return None


def _place(found: re.Match[str]) -> Place:
    lat, lon = (int(found[at]) * 10_000_000 + int(found[at + 1]) * 100 for at in (1, 4))
    return Place(lat_e7=-lat if found[3] == "S" else lat, lon_e7=-lon if found[6] == "W" else lon)
