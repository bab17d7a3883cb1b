"""The text track of a recording (date, time, device, place): kept, kept without the place, or left out.

Decided here: what in a line is a place. The words are those of `edge.recorder.stamp`; whatever else looks like two
coordinates goes too. Implements RD-14 of docs/spec/redaction.md.
"""

from __future__ import annotations

import re

REMOVED = "position removed"
_PLACE = re.compile(
    r"[-+]?\d{1,3}\.\d{3,}°?\s*[NS]?[\s,]+[-+]?\d{1,3}\.\d{3,}°?\s*[EW]?"
    r"(\s*±\d+ m)?(\s*[23]D)?(\s*\d+ sat)?(\s*\(\d+ s (old|later)\))?"
)


def has_place(text: str) -> bool:
    """True where a line of the stamp names a place."""
    return _PLACE.search(text) is not None


def without_place(sample: bytes) -> bytes:
    """A text sample (3GPP TS 26.245: length, UTF-8, boxes) whose text names no place; its boxes are left out then."""
    text = sample_text(sample)
    if not has_place(text):
        return sample
    cleared = _PLACE.sub(REMOVED, text).encode("utf-8")
    return len(cleared).to_bytes(2, "big") + cleared


def sample_text(sample: bytes) -> str:
    """The text of a sample; what is no UTF-8 in it is replaced."""
    size = int.from_bytes(sample[:2], "big")
    return sample[2 : 2 + size].decode("utf-8", "replace")
