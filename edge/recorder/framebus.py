"""The frame bus: the newest pictures in shared memory, from the recorder to whoever looks at them.

Decided here: a memory-mapped file on tmpfs (plaintext pictures never touch a disk), a few slots, one writer, any
number of readers. The writer never waits: a slow reader misses pictures and counts them. A restarted writer makes a
new file in place of the old one and readers follow it.

Layout, all integers little-endian 64 bit: a header of 4096 bytes (magic, version, width, height, slots, newest
index + 1), then the slots, each 64 bytes (sequence, index, utc_us, mono_us, media_us) and the I420 picture, padded to
4096. A slot's sequence is odd while it is written; a reader that sees it odd or changed throws its copy away.
"""

import mmap
import os
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.camera.port import SmallFrame
from vedette.clock import Clock, SystemClock
from vedette.errors import Integrity, Refused

MAGIC = int.from_bytes(b"VDTBUS01", "little")
HEADER_BYTES = 4096
SLOT_HEADER_BYTES = 64
DEFAULT_SLOTS = 4
MAX_SLOTS = 64
MAX_SIDE_PX = 4096
STALE_US = 2_000_000

_VERSION = 1
_MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs")


class FrameBusWriter:
    """The one writer; `publish` copies a picture into memory and returns."""

    def __init__(
        self, path: Path, *, width: int, height: int, slots: int = DEFAULT_SLOTS, allow_disk: bool = False
    ) -> None:
        """Make the bus at `path`, in place of any older one. Raises Refused where the folder is not in memory."""
        if not allow_disk:
            require_memory(path.parent)
        if not 2 <= slots <= MAX_SLOTS or not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX):
            raise ValueError(f"a frame bus of {slots} slots of {width}x{height} cannot be made")
        self._shape = (height * 3 // 2, width)
        size = HEADER_BYTES + slots * _slot_bytes(width, height)
        self._path = path
        self._count = 0
        beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        mapped = _map_new(beside, size)
        self._header = np.frombuffer(mapped, np.uint64, 6)
        self._header[:] = (MAGIC, _VERSION, width, height, slots, 0)
        self._slots = [_Slot(mapped, n, width, height) for n in range(slots)]
        os.replace(beside, path)

    def publish(self, frame: SmallFrame) -> None:
        """Make `frame` the newest picture. Indices must rise; raises ValueError for another size."""
        if frame.i420.shape != self._shape:
            raise ValueError(f"a picture of shape {frame.i420.shape} came to a frame bus for {self._shape}")
        slot = self._slots[self._count % len(self._slots)]
        slot.head[0] += np.uint64(1)
        _fence()
        slot.head[1:5] = (frame.index, frame.utc_us, frame.mono_us, frame.media_us)
        slot.picture[:] = frame.i420
        _fence()
        slot.head[0] += np.uint64(1)
        _fence()
        self._count += 1
        self._header[5] = self._count

    def close(self) -> None:
        """Take the bus away; readers keep their mapping and see it as stale."""
        self._path.unlink(missing_ok=True)


class FrameBus:
    """The recorder's end of the bus at `path`, made with the first picture and anew for pictures of another size.

    What goes wrong with it never disturbs the recording. `pictures` counts what came, read or not.
    """

    def __init__(self, path: Path, *, is_read: bool) -> None:
        """Where nobody `is_read` for, no picture is copied. Raises Refused where the folder is not in memory."""
        require_memory(path.parent)
        self._path, self._is_read = path, is_read
        self._writer: FrameBusWriter | None = None
        self._size = (0, 0)
        self.pictures = 0

    def publish(self, frame: SmallFrame) -> None:
        """Put a picture where plates are read."""
        self.pictures += 1
        if not self._is_read:
            return
        with suppress(OSError):
            if self._writer is None or self._size != (frame.width, frame.height):
                self._writer = FrameBusWriter(self._path, width=frame.width, height=frame.height)
                self._size = (frame.width, frame.height)
            self._writer.publish(frame)

    def close(self) -> None:
        """Take the bus away."""
        if self._writer is not None:
            self._writer.close()


class FrameBusReader:
    """One reader; `latest` gives a copy of the newest picture and never holds the writer up."""

    def __init__(self, path: Path, *, clock: Clock | None = None) -> None:
        self._path = path
        self._clock = clock or SystemClock()
        self._inode: tuple[int, int] | None = None
        self._header: NDArray[np.uint64] | None = None
        self._slots: list[_Slot] = []
        self._last_index = -1
        self._fresh_us = self._clock.mono_us()
        self.width = 0
        self.height = 0
        self.skipped = 0

    def latest(self, after_index: int) -> SmallFrame | None:
        """The newest picture if its index is above `after_index`, else None; a new writer starts a new count.

        Pictures that passed unseen are added to `skipped`.
        """
        restarted = self._follow()
        frame = self._copy()
        if frame is None or (frame.index <= after_index and not restarted):
            return None
        if self._last_index >= 0:
            self.skipped += max(0, frame.index - self._last_index - 1)
        self._last_index = frame.index
        self._fresh_us = self._clock.mono_us()
        return frame

    def stale(self) -> bool:
        """True when no new picture was seen for two seconds."""
        return self._clock.mono_us() - self._fresh_us > STALE_US

    def _follow(self) -> bool:
        """Attach to the writer's present file; True when it is another one than before."""
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return False
        if (stat.st_dev, stat.st_ino) == self._inode:
            return False
        return self._attach()

    def _attach(self) -> bool:
        with self._path.open("rb") as file:
            stat = os.fstat(file.fileno())
            if stat.st_size < HEADER_BYTES:
                raise Integrity(f"{self._path} is not a frame bus: it has {stat.st_size} bytes")
            mapped = mmap.mmap(file.fileno(), stat.st_size, prot=mmap.PROT_READ)
        header = np.frombuffer(mapped, np.uint64, 6)
        magic, version, width, height, slots = (int(value) for value in header[:5])
        wanted = HEADER_BYTES + slots * _slot_bytes(width, height)
        if magic != MAGIC or version != _VERSION or stat.st_size != wanted:
            raise Integrity(f"{self._path} is not a frame bus of version {_VERSION}")
        self._inode, self._header = (stat.st_dev, stat.st_ino), header
        self._slots = [_Slot(mapped, n, width, height) for n in range(slots)]
        self.width, self.height, self._last_index = width, height, -1
        return True

    def _copy(self) -> SmallFrame | None:
        if self._header is None or not (count := int(self._header[5])):
            return None
        _fence()
        slot = self._slots[(count - 1) % len(self._slots)]
        before = int(slot.head[0])
        _fence()
        index, utc_us, mono_us, media_us = (int(value) for value in slot.head[1:5])
        picture = slot.picture.copy()
        _fence()
        if before % 2 or int(slot.head[0]) != before:
            return None
        return SmallFrame(i420=picture, index=index, utc_us=utc_us, mono_us=mono_us, media_us=media_us)


class _Slot:
    """The two views of one slot: its header and its picture."""

    def __init__(self, mapped: mmap.mmap, number: int, width: int, height: int) -> None:
        start = HEADER_BYTES + number * _slot_bytes(width, height)
        self.head = np.frombuffer(mapped, np.uint64, 5, start)
        pixels = np.frombuffer(mapped, np.uint8, width * height * 3 // 2, start + SLOT_HEADER_BYTES)
        self.picture = pixels.reshape(height * 3 // 2, width)


def require_memory(folder: Path) -> None:
    """Raises Refused when `folder` is not on tmpfs or ramfs, where plaintext pictures may lie."""
    folder.mkdir(parents=True, exist_ok=True)
    device = folder.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        mount, _, kind = line.partition(" - ")
        if mount.split()[2] == wanted and kind.split()[0] in _MEMORY_FILE_SYSTEMS:
            return
    raise Refused(f"{folder} is not in memory; set [device] run to a folder on tmpfs, such as /run/vedette")


def _map_new(path: Path, size: int) -> mmap.mmap:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640)
    try:
        # Without its pages taken beforehand, a full tmpfs would kill the recorder with SIGBUS at some later picture.
        os.posix_fallocate(descriptor, 0, size)
        return mmap.mmap(descriptor, size)
    finally:
        os.close(descriptor)


def _slot_bytes(width: int, height: int) -> int:
    return -(-(SLOT_HEADER_BYTES + width * height * 3 // 2) // 4096) * 4096


_lock = threading.Lock()


def _fence() -> None:
    # Arm lets stores pass each other, and Python has no barrier of its own; a lock taken and given back twice is one.
    for _ in range(2):
        with _lock:
            pass
