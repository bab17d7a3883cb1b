"""How long the room on the disk lasts, and what of it the officer and the centre are told.

Decided here: the warning, which is early and goes by the time left; and the two rungs of the ladder (`edge.room`) that
stop something, which go by the free space and by what is to be recorded now. What the disk refuses though it seems to
have room is full. What gives way first, files with a receipt and what nobody activated, counts as room. Since when a
step stands is kept beside the recorder's journal, one small file that is written when the step changes, as the status
is in memory and goes with the machine. Implements ST-4 to ST-6 of docs/spec/storage.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge.recorder.headroom import DISK_FULL
from edge.recorder.keeping import Keeping
from edge.recorder.terms import Terms
from edge.room import LONGEST_FORECAST_S, Forecast, Ladder, Rung
from vedette import canonical, files
from vedette.config import DeviceConfig
from vedette.errors import VedetteError
from vedette.storage import Storage, parse_storage

NAME, MAX_BYTES = "storage.json", 256
# After a start the pace and what gives way become known by and by: a step may be found anew so many looks later.
FOUND_AGAIN_LOOKS = 90
Since = tuple[Storage, int]


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
        free_bytes=keeping.headroom.free_bytes(),
        yielding_bytes=yielding_bytes,
        usable_bytes=keeping.headroom.usable_bytes(),
        written_bytes=kept["sealed_bytes"],
        recorded_us=kept["recorded_ms"] * 1000,
        is_continuous=is_continuous,
        is_marked=keeping.headroom.is_marked,
        is_refused=keeping.trouble == DISK_FULL,
    )


class StorageMark:
    """The step that stands and since when, on the disk; one that does not take it is asked again at the next look."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the recorder's own."""
        self._path = folder / NAME
        self._kept = self._read()

    @property
    def kept(self) -> Since | None:
        """What was kept last: none at `ENOUGH`, and where it makes no sense."""
        return self._kept

    def keep(self, step: Storage, since_us: int) -> None:
        """Keep it where the step is another one than the kept one."""
        if step is (self._kept[0] if self._kept else Storage.ENOUGH):
            return
        with suppress(OSError, VedetteError):
            if step is Storage.ENOUGH:
                files.remove(self._path)
                self._kept = None
            else:
                files.replace(self._path, canonical.dumps({"step": step.value, "since_us": since_us}))
                self._kept = step, since_us

    def _read(self) -> Since | None:
        try:
            found = canonical.loads(files.read(self._path, max_bytes=MAX_BYTES), max_bytes=MAX_BYTES)
        except (OSError, VedetteError):
            return None
        step, since_us = (found.get("step"), found.get("since_us")) if isinstance(found, dict) else (None, None)
        if not isinstance(since_us, int) or isinstance(since_us, bool) or since_us < 0:
            return None
        return (parse_storage(step), since_us) if parse_storage(step) else None


class StorageWatch:
    """The present step, since when (UTC microseconds; None at `ENOUGH`), and the seconds of recording left."""

    def __init__(self, ladder: Ladder, *, warn_s: int, bytes_per_s: int, mark: StorageMark | None = None):
        """`bytes_per_s` counts until the pace is known; `mark` has what a run before this one said."""
        self._ladder, self._warn_s, self._bytes_per_s = ladder, warn_s, max(1, bytes_per_s)
        self._forecast, self._rung = Forecast(), Rung.PLENTY
        self._mark, self._before, self._looks = mark, mark.kept if mark else None, 0
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
                self.since_us, self._before = min(utc_us, self._before[1]), None
        self._looks += 1
        if self._looks >= FOUND_AGAIN_LOOKS:
            self._before = None
        if self._mark is not None and self._before is None:
            self._mark.keep(self.step, self.since_us)

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
    """The watch that the configuration asks for; a step that stood when recorder or machine ended goes on from then."""
    least = terms.min_free_bytes
    marked = least if terms.marked_min_free_bytes is None else min(least, terms.marked_min_free_bytes)
    return StorageWatch(
        Ladder(low_bytes=0, unmarked_bytes=least, marked_bytes=marked),
        warn_s=config.recorder.room_warning_s,
        bytes_per_s=config.camera.bitrate_kbps * 125,
        mark=StorageMark(config.journals / "recorder"),
    )
