"""The pre-event buffer: encoded pictures in memory that become the beginning of a recording, or are forgotten.

Decided here: it is bounded by time and by bytes, always begins at a key unit (whatever is kept can be opened), and
lets go of whole groups of pictures from its old end. With a length of zero it keeps nothing at all. Sound is kept only
where policy says so (ADR 20); it shares the bounds. A camera that breaks and comes back begins a new stretch and costs
nothing of the one before: the hole between them counts as time, and nothing is older than its time because of it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from edge.camera.port import EncodedUnit, Recorded, StreamInfo

MAX_BYTES = 96 << 20
NO_STREAM = StreamInfo(width=0, height=0, rate_num=1, rate_den=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """What was kept between two openings of the camera, oldest first, beginning with a key unit; may be nothing."""

    info: StreamInfo
    units: list[Recorded]


@dataclass(slots=True)
class _Stream:
    """A stretch while it is kept: groups of units, each of which begins with a key unit."""

    info: StreamInfo
    groups: deque[list[Recorded]] = field(default_factory=deque)

    @property
    def first_ends_us(self) -> int:
        """Where the first group ends (monotonic): where the next begins, or its last unit would."""
        if len(self.groups) > 1:
            return self.groups[1][0].mono_us
        return max(unit.mono_us for unit in self.groups[0]) + self.info.frame_us


class PreEventBuffer:
    """Units of one camera in the order they came, `length_us` of the device's time and `max_bytes` at most."""

    def __init__(self, *, length_us: int, max_bytes: int = MAX_BYTES, keeps_sound: bool = False) -> None:
        self._length_us = length_us
        self._max_bytes = max_bytes
        self._keeps_sound = keeps_sound
        self._streams: deque[_Stream] = deque([_Stream(NO_STREAM)])
        self.size_bytes = 0

    def begin(self, info: StreamInfo) -> None:
        """The camera was opened: what comes from now on is a stretch of its own."""
        if not self._streams[-1].groups:
            self._streams.pop()
        self._streams.append(_Stream(info))

    def add(self, unit: Recorded) -> None:
        """Keep `unit`, and let go of what is too old or too much."""
        is_picture = isinstance(unit, EncodedUnit)
        if self._length_us == 0 or not (is_picture or self._keeps_sound):
            return
        groups = self._streams[-1].groups
        if isinstance(unit, EncodedUnit) and unit.is_key:
            groups.append([])
        if not groups:
            return
        groups[-1].append(unit)
        self.size_bytes += len(unit.data)
        self._shrink(unit.mono_us - self._length_us)

    def age(self, now_us: int) -> None:
        """Let go of what is too old at `now_us` (monotonic): for while no unit comes that would say what time it is."""
        while (stream := self._oldest()) is not None and stream.first_ends_us <= now_us - self._length_us:
            self._let_go(stream)

    def take(self) -> list[Stretch]:
        """All stretches, oldest first; the last is the camera's present one. The buffer is empty afterwards."""
        found = [
            Stretch(info=stream.info, units=[unit for group in stream.groups for unit in group])
            for stream in self._streams
        ]
        self.clear()
        return found

    def clear(self) -> None:
        """Forget everything but what the camera delivers."""
        self._streams = deque([_Stream(self._streams[-1].info)])
        self.size_bytes = 0

    def _shrink(self, oldest_us: int) -> None:
        while (stream := self._oldest()) is not None and not self._is_last(stream):
            if stream.first_ends_us > oldest_us and self.size_bytes <= self._max_bytes:
                break
            self._let_go(stream)
        if self.size_bytes > self._max_bytes:
            self.clear()

    def _oldest(self) -> _Stream | None:
        """The stretch with the oldest group, None when nothing is kept."""
        return self._streams[0] if self._streams[0].groups else None

    def _is_last(self, stream: _Stream) -> bool:
        """Whether the first group of `stream` is the one that is being filled."""
        return stream is self._streams[-1] and len(stream.groups) == 1

    def _let_go(self, stream: _Stream) -> None:
        self.size_bytes -= sum(len(unit.data) for unit in stream.groups.popleft())
        if not stream.groups and len(self._streams) > 1:
            self._streams.popleft()
