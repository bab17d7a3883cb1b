"""Just enough of H.264's byte stream (ITU-T H.264 Annex B) to know where a recording may start.

Decided here: a key unit is one that holds an IDR slice; it must carry SPS and PPS in front, because each segment has
to open alone.
"""

import re

SLICE_IDR, SPS, PPS, DELIMITER = 5, 7, 8, 9

_START = re.compile(rb"\x00\x00\x01")


def nal_units(data: bytes) -> list[bytes]:
    """The NAL units of one access unit, without start codes; empty when there is no start code."""
    starts = [match.end() for match in _START.finditer(data)]
    ends = [start - 3 for start in starts[1:]] + [len(data)]
    return [data[start:end].rstrip(b"\x00") for start, end in zip(starts, ends, strict=False)]


def nal_type(nal: bytes) -> int:
    """The type number of a NAL unit; 0 for an empty one."""
    return nal[0] & 0x1F if nal else 0


def parameter_sets(data: bytes) -> tuple[bytes, ...]:
    """The SPS and PPS in an access unit: streams that differ in them are not one stream."""
    return tuple(sorted({nal for nal in nal_units(data) if nal_type(nal) in (SPS, PPS)}))


class ParameterSets:
    """Remembers a stream's SPS and PPS and puts them in front of a key unit that came without."""

    def __init__(self) -> None:
        self._sets: dict[int, bytes] = {}

    def complete(self, data: bytes) -> tuple[bytes, bool]:
        """The access unit, with parameter sets where it is a key unit, and whether it is one that can be opened."""
        nals = nal_units(data)
        kinds = [nal_type(nal) for nal in nals]
        self._sets.update({kind: nal for kind, nal in zip(kinds, nals, strict=True) if kind in (SPS, PPS)})
        if SLICE_IDR not in kinds:
            return data, False
        missing = [self._sets.get(kind) for kind in (SPS, PPS) if kind not in kinds]
        if None in missing:
            return data, False
        return b"".join(b"\x00\x00\x00\x01" + nal for nal in missing if nal) + data, True
