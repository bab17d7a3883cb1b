"""How long the room on the disk lasts, and what of it the officer and the centre are told.

Decided here: the warning, which is early and goes by the time left; and the two rungs of the ladder (`edge.room`) that
stop something, which go by the free space and by what is to be recorded now. What the disk refuses though it seems to
have room is full. What gives way first, files with a receipt and what nobody activated, counts as room. Implements ST-4
to ST-6 of docs/spec/storage.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge.recorder.keeping import DISK_FULL, Keeping
from edge.recorder.terms import Terms
from edge.room import LONGEST_FORECAST_S, Forecast, Ladder, Rung
from vedette import daemon
from vedette.config import DeviceConfig
from vedette.storage import Storage, parse_storage


@dataclass(frozen=True, kw_only=True, slots=True)
class Disk:
    """The disk as the recorder sees it now, all in bytes, and how much it has recorded in microseconds of media time.

    `usable_bytes` is what the recording may still take, were nothing to give way. It is refused where something is to
    be recorded and the disk is too full for it.
    """

    free_bytes: int
    yielding_bytes: int
    usable_bytes: int
    written_bytes: int
    recorded_us: int
    is_continuous: bool
    is_marked: bool
    is_refused: bool


def disk_of(keeping: Keeping, kept: Mapping[str, int], *, is_continuous: bool, yielding_bytes: int) -> Disk:
    """The disk as it is now; `kept` are the recorder's counters, continuous is what is recorded without being asked."""
    return Disk(
        free_bytes=keeping.free_bytes(),
        yielding_bytes=yielding_bytes,
        usable_bytes=keeping.usable_bytes(),
        written_bytes=kept["sealed_bytes"],
        recorded_us=kept["recorded_ms"] * 1000,
        is_continuous=is_continuous,
        is_marked=keeping.is_marked,
        is_refused=keeping.trouble == DISK_FULL,
    )


class StorageWatch:
    """The present step, since when (UTC microseconds; None at `ENOUGH`), and the seconds of recording left."""

    def __init__(self, ladder: Ladder, *, warn_s: int, bytes_per_s: int, since: tuple[Storage, int] | None = None):
        """`bytes_per_s` counts until the pace is known; `since` is what a run before this one said."""
        self._ladder, self._warn_s, self._bytes_per_s = ladder, warn_s, max(1, bytes_per_s)
        self._forecast, self._rung, self._before = Forecast(), Rung.PLENTY, since
        self.step, self.since_us = Storage.ENOUGH, 0
        self.left_s = LONGEST_FORECAST_S

    def look(self, disk: Disk, *, utc_us: int) -> None:
        """Decide anew; once a second."""
        self._forecast.note(disk.recorded_us, disk.written_bytes)
        self._rung = self._ladder.rung(disk.free_bytes, self._rung)
        self.left_s = self._left_s(disk.usable_bytes + disk.yielding_bytes)
        step = self._step(disk)
        if step is not self.step:
            self.step, self.since_us = step, utc_us
            if self._before is not None and self._before[0] is step:
                self.since_us = min(utc_us, self._before[1])
        self._before = None

    def told(self) -> dict[str, int | None]:
        """What the status says of it."""
        since_us = self.since_us if self.step else None
        return {"room_left_s": self.left_s, "storage": self.step.value, "storage_since_us": since_us}

    def _step(self, disk: Disk) -> Storage:
        is_stopped = self._rung >= Rung.UNMARKED_STOPS
        if self._rung is Rung.MARKED_STOPS or (disk.is_refused and (disk.is_marked or not is_stopped)):
            return Storage.FULL
        if is_stopped and disk.is_continuous:
            return Storage.CONTINUOUS_STOPPED
        return Storage.LOW if self._is_low(disk) else Storage.ENOUGH

    def _is_low(self, disk: Disk) -> bool:
        """By what is recorded when nothing is marked, so that a mark, which may take more, does not end the warning."""
        bound = self._ladder.unmarked_bytes if disk.is_continuous else self._ladder.marked_bytes
        over_s = self._warn_s + self._warn_s // 4 if self.step else self._warn_s
        return self._left_s(disk.free_bytes - bound + disk.yielding_bytes) < over_s

    def _left_s(self, usable_bytes: int) -> int:
        left_s = self._forecast.left_s(usable_bytes)
        return min(LONGEST_FORECAST_S, max(0, usable_bytes) // self._bytes_per_s) if left_s is None else left_s


def storage_watch_of(config: DeviceConfig, terms: Terms) -> StorageWatch:
    """The watch that the configuration asks for; where the recorder was started again it goes on from its last status.

    A step that stands since before the machine was started counts from then: the status lies in memory.
    """
    least = terms.min_free_bytes
    marked = least if terms.marked_min_free_bytes is None else min(least, terms.marked_min_free_bytes)
    told = daemon.read_status(config.run, "recorder")
    since_us = told.get("storage_since_us")
    return StorageWatch(
        Ladder(low_bytes=0, unmarked_bytes=least, marked_bytes=marked),
        warn_s=config.recorder.room_warning_s,
        bytes_per_s=config.camera.bitrate_kbps * 125,
        since=(parse_storage(told.get("storage")), since_us) if isinstance(since_us, int) else None,
    )
