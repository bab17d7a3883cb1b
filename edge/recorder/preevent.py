"""The pre-event buffer: encoded pictures in memory that become the beginning of a recording, or are forgotten.

Decided here: it is bounded by time and by bytes, always begins at a key unit (whatever is kept can be opened), and
lets go of whole groups of pictures from its old end. With a length of zero it keeps nothing at all. Sound is kept only
where policy says so (ADR 20); it shares the bounds. A camera that breaks and comes back begins a new stretch and costs
nothing of the one before: the hole between them counts as time, and nothing is older than its time because of it.
The bound in bytes follows from the configuration and the machine's memory; where it, and not age, decides what is let
go, that is to be told. Implements AC-43 of docs/spec/activation.md.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field, replace

from edge.camera.port import EncodedUnit, Recorded, SoundInfo, StreamInfo
from edge.recorder.facts import Detail
from vedette.config import DeviceConfig
from vedette.custody import Journal

SECOND_US = 1_000_000
# What a camera that chooses its own rate, and long groups of pictures, may take where the configured time is short.
LEAST_BYTES = 96 << 20
# Encoders miss their target, and a group that is partly too old is kept whole.
MARGIN_PERCENT = 125
# The rest of the memory is the reader's, the other services' and the disk cache's.
MEMORY_SHARE = 4
# Bytes that cut nothing for so long, and for the whole length, are the end of a period in which they did.
QUIET_US = 60 * SECOND_US
# A disk that takes nothing for long costs the oldest of what is to be told.
MAX_UNTOLD = 16
BYTES, GROUP = "bytes", "group"
SHORT, CUT = "pre_event.short", "pre_event.cut"
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

    @property
    def held_us(self) -> int:
        """From its first unit to the end of its last; 0 without one."""
        return self.groups[-1][-1].mono_us + self.info.frame_us - self.groups[0][0].mono_us if self.groups else 0


def buffer_of(config: DeviceConfig, memory_bytes: int | None = None) -> PreEventBuffer:
    """The buffer that the configuration asks for: its seconds at the configured rates and a quarter more, 96 MiB at
    least, and a quarter of the machine's memory at most (`memory_bytes`; None: asked of the kernel).

    Where that is too little for the seconds, `pre_event.short` is the first that is to be told.
    """
    wanted_s, keeps_sound = config.recorder.pre_event_s, config.sound.pre_event
    kbps = config.camera.bitrate_kbps + (config.sound.bitrate_kbps if keeps_sound else 0)
    second_bytes = kbps * 125 * MARGIN_PERCENT // 100
    needed_bytes = wanted_s * second_bytes
    share_bytes = (_memory_bytes() if memory_bytes is None else memory_bytes) // MEMORY_SHARE
    most_bytes = min(share_bytes, max(LEAST_BYTES, needed_bytes))
    made = PreEventBuffer(length_us=wanted_s * SECOND_US, most_bytes=most_bytes, keeps_sound=keeps_sound)
    if most_bytes < needed_bytes:
        made.does_not_fit = True
        said: Detail = {
            "wanted_s": wanted_s,
            "fits_s": most_bytes // second_bytes,
            "needs_mib": -(-needed_bytes >> 20),
            "most_mib": most_bytes >> 20,
        }
        made.untold.append((SHORT, said))
    return made


def _memory_bytes() -> int:
    """The memory of the machine (the kernel's MemTotal), which is the same at each start, unlike what is free then."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class PreEventBuffer:
    """Units of one camera in the order they came, `length_us` of the device's time and `most_bytes` at most.

    `untold` are the entries that custody is to have, oldest first, `MAX_UNTOLD` at most.
    """

    def __init__(self, *, length_us: int, most_bytes: int = LEAST_BYTES, keeps_sound: bool = False) -> None:
        self.length_us = length_us
        self._keeps_sound = keeps_sound
        self._streams: deque[_Stream] = deque([_Stream(NO_STREAM)])
        self._cut_us: dict[str, int] = {}
        self._newest_us = 0
        self.most_bytes = most_bytes
        self.does_not_fit = False
        self.untold: deque[tuple[str, Detail]] = deque(maxlen=MAX_UNTOLD)
        self.size_bytes = 0

    @property
    def held_us(self) -> int:
        """How much time is buffered now, without the holes in which the camera was away."""
        return sum(stream.held_us for stream in self._streams)

    @property
    def is_short(self) -> bool:
        """Whether bytes, not age, cut it of late, or the memory is too small for its length."""
        return self.does_not_fit or any(self._is_in_period(why) for why in self._cut_us)

    def begin(self, info: StreamInfo) -> None:
        """The camera was opened: what comes from now on is a stretch of its own."""
        if not self._streams[-1].groups:
            self._streams.pop()
        self._streams.append(_Stream(info))

    def deliver(self, sound: SoundInfo) -> None:
        """The camera brings this sound from here on; what is kept of this opening has a track for it."""
        self._streams[-1].info = replace(self._streams[-1].info, sound=sound)

    def add(self, unit: Recorded) -> None:
        """Keep `unit`, and let go of what is too old or too much."""
        is_picture = isinstance(unit, EncodedUnit)
        if self.length_us == 0 or not (is_picture or self._keeps_sound):
            return
        groups = self._streams[-1].groups
        if isinstance(unit, EncodedUnit) and unit.is_key:
            groups.append([])
        if not groups:
            return
        groups[-1].append(unit)
        self.size_bytes += len(unit.data)
        self._newest_us = unit.mono_us
        self._shrink(unit.mono_us - self.length_us)

    def age(self, now_us: int) -> None:
        """Let go of what is too old at `now_us` (monotonic): for while no unit comes that would say what time it is."""
        while (stream := self._oldest()) is not None and stream.first_ends_us <= now_us - self.length_us:
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

    def tell(self, journal: Journal) -> None:
        """Write what is untold; raises as the journal does, and what it did not take stays untold."""
        while self.untold:
            event, detail = self.untold[0]
            journal.append(event, detail=detail)
            self.untold.popleft()

    def _shrink(self, oldest_us: int) -> None:
        why, kbps = "", self._kbps()
        while (stream := self._oldest()) is not None and not self._is_last(stream):
            if stream.first_ends_us > oldest_us:
                if self.size_bytes <= self.most_bytes:
                    break
                why = BYTES
            self._let_go(stream)
        if self.size_bytes > self.most_bytes:
            why = GROUP
            self.clear()
        if why:
            self._cut(why, kbps)

    def _kbps(self) -> int:
        """The rate of what is too much, 0 while nothing is."""
        return self.size_bytes * 8000 // max(1, self.held_us) if self.size_bytes > self.most_bytes else 0

    def _is_in_period(self, why: str) -> bool:
        return self._newest_us - self._cut_us[why] < max(QUIET_US, self.length_us)

    def _cut(self, why: str, kbps: int) -> None:
        """Bytes decided what was let go: to be told once in a period."""
        if why not in self._cut_us or not self._is_in_period(why):
            said: Detail = {
                "why": why,
                "length_us": self.length_us,
                "held_us": self.held_us,
                "most_mib": self.most_bytes >> 20,
                "kbps": kbps,
            }
            self.untold.append((CUT, said))
        self._cut_us[why] = self._newest_us

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
