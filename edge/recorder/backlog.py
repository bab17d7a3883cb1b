"""What waits to be written: as a recording begins all that the pre-event buffer held, and what comes meanwhile.

Decided here: it is written in the order in which it came, in slices: so much at a time that a step of the recorder
stays short, however long the buffer and however slow the disk. Implements AC-45 of docs/spec/activation.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

from edge.camera.port import EncodedUnit, Recorded, SoundInfo, SoundUnit, StreamInfo
from edge.recorder.preevent import Stretch
from vedette.clock import Clock

SLICE_BYTES, SLICE_US = 2 << 20, 50_000

Waiting = Recorded | StreamInfo | SoundInfo


class Backlog:
    """Units, oldest first; a `StreamInfo` among them is an opening of the camera, a `SoundInfo` what it brings too."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: deque[Waiting] = deque()
        self.is_marked: Callable[[int], bool] = lambda _at_us: False

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def fill(self, stretches: Sequence[Stretch], is_marked: Callable[[int], bool]) -> None:
        """Begin with what was buffered; `is_marked` says of a time (monotonic) whether it lies in a marked stretch."""
        self.is_marked = is_marked
        for stretch in stretches:
            self._waiting.append(stretch.info)
            self._waiting.extend(stretch.units)

    def add(self, one: Recorded | SoundInfo) -> None:
        """Have what comes now wait behind the rest."""
        self._waiting.append(one)

    def slice(self) -> Iterator[Waiting]:
        """What is to be written in one go, each thing taken as it is given; at least one where any waits."""
        size_bytes, until_us = 0, self._clock.mono_us() + SLICE_US
        while self._waiting and size_bytes < SLICE_BYTES:
            one = self._waiting.popleft()
            yield one
            size_bytes += len(one.data) if isinstance(one, (EncodedUnit, SoundUnit)) else 0
            if self._clock.mono_us() >= until_us:
                return
