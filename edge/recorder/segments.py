"""One segment: a fragmented MP4 into an age file, into the spool, as it happens.

Decided here: the MP4 exists in memory only and is sealed before the first byte reaches the disk; both the sealed and
the plain bytes are hashed as they pass, and each fragment is marked (`vedette.fragment_marks`); only what has left in
whole chunks counts as durable, and where a quiet scene fills a chunk too slowly it is filled up (SG-17).
What the MP4 looks like is decided in `fragments`; the sealed form is docs/spec/sealed-file.md, the place in the spool
docs/spec/spool.md.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge.camera.port import EncodedUnit, SoundUnit, StreamInfo
from edge.recorder.fragments import Fragmenter
from vedette import files
from vedette.age_stream import CHUNK_BYTES, SEALED_CHUNK_BYTES
from vedette.fragment_marks import FragmentMarks
from vedette.sealed import Recipient, SealedWriter

LAG_US = 200_000


class EvidenceFile(Protocol):
    """The file under a segment: it grows, can be made durable, and knows the hash of what it holds."""

    size_bytes: int

    def write(self, data: bytes, /) -> int: ...

    def sync(self) -> None: ...

    def sha256(self) -> str: ...

    def close(self) -> None: ...


class PartFile:
    """A new `.part` file on the disk; a write that fails leaves it cut at the last whole write."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        files.fsync_dir(path.parent)
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    def write(self, data: bytes, /) -> int:
        """Append all of `data`; raises OSError, with none of it in the file, when the disk does not take it."""
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self.size_bytes)
            raise
        self._hash.update(data)
        self.size_bytes += len(data)
        return len(data)

    def sync(self) -> None:
        """Make everything written so far survive a power cut."""
        os.fsync(self._descriptor)

    def sha256(self) -> str:
        """The SHA-256 of everything written so far, in hex."""
        return self._hash.copy().hexdigest()

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


OpenFile = Callable[[Path], EvidenceFile]


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """What of a segment is durable: sealed bytes and their SHA-256 (hex), and the media time and pictures in them.

    `fragments` are the marks of those that have become so, `fragments_key` names their key (CJ-34).
    """

    offset: int
    sha256: str
    media_us: int
    frames: int
    fragments: str = ""
    fragments_key: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """A whole segment: sizes in bytes, hashes in hex, duration in microseconds, marks as in `Progress`."""

    sealed_sha256: str
    sealed_size: int
    plain_sha256: str
    plain_size: int
    media_us: int
    frames: int
    fragments: str
    fragments_key: str


class SegmentWriter:
    """Writes one segment that begins with the key unit `first`."""

    def __init__(
        self,
        path: Path,
        *,
        recipients: Sequence[Recipient],
        info: StreamInfo,
        first: EncodedUnit,
        open_file: OpenFile = PartFile,
    ) -> None:
        """Create the file at `path` and write the sealed header and the MP4's beginning.

        Raises StreamFault when `first` begins no stream, OSError when the disk does not take the file.
        """
        self._mp4 = Fragmenter(info, first)
        self._file = open_file(path)
        try:
            self._plain = _Plain(self._file, recipients)
            self._plain.write(self._mp4.beginning())
        except BaseException:
            self._file.close()
            raise
        self._edges: deque[tuple[int, int, int]] = deque()
        self._in_chunks = (0, 0)

    @property
    def size_bytes(self) -> int:
        """Sealed bytes written so far."""
        return self._file.size_bytes

    @property
    def media_us(self) -> int:
        """The media time of the pictures taken so far."""
        return self._mp4.media_us

    @property
    def frames(self) -> int:
        """The pictures taken so far."""
        return self._mp4.frames

    @property
    def sound_us(self) -> int:
        """The length of the sound taken so far."""
        return self._mp4.sound_us

    def write(self, unit: EncodedUnit, line: str = "") -> None:
        """Add the next unit in decoding order, with the `line` of text over it.

        Raises OSError when the disk does not take it, StreamFault when it is no picture.
        """
        self._put(self._mp4.picture(unit, line))

    def write_sound(self, unit: SoundUnit) -> None:
        """Add a piece of sound where its time puts it; raises OSError when the disk does not take it."""
        self._put(self._mp4.sound(unit))

    def sync(self) -> Progress:
        """Make what is written durable and say how far the recording is safe now.

        Raises OSError when the disk does not take it.
        """
        if self._mp4.whole_us - self._sealed()[0] > LAG_US:
            self._plain.write(self._mp4.room())
        self._file.sync()
        media_us, frames = self._sealed()
        marks = self._plain.marks
        return Progress(
            offset=self._file.size_bytes,
            sha256=self._file.sha256(),
            media_us=media_us,
            frames=frames,
            fragments=marks.take(self._plain.sealed_plain_bytes),
            fragments_key=marks.key_id,
        )

    def finish(self) -> Finished:
        """End the MP4 and the sealed file and make them durable."""
        self._plain.write(self._mp4.ending())
        self._plain.marks.end(self.media_us, is_last=True)
        self._plain.finish()
        self._file.sync()
        self._file.close()
        return Finished(
            sealed_sha256=self._file.sha256(),
            sealed_size=self._file.size_bytes,
            plain_sha256=self._plain.sha256(),
            plain_size=self._plain.size_bytes,
            media_us=self.media_us,
            frames=self.frames,
            fragments=self._plain.marks.take(),
            fragments_key=self._plain.marks.key_id,
        )

    def abandon(self) -> None:
        """Let go of the file as it is; recovery makes an incomplete item of it."""
        self._file.close()

    def _sealed(self) -> tuple[int, int]:
        """The media time and the pictures of the fragments that have left in whole chunks."""
        plain = self._plain.sealed_plain_bytes
        while self._edges and self._edges[0][0] <= plain:
            _, media_us, frames = self._edges.popleft()
            self._in_chunks = (media_us, frames)
        return self._in_chunks

    def _put(self, fragment: bytes) -> None:
        if fragment:
            self._plain.write(fragment)
            self._plain.marks.end(self._mp4.whole_us)
            self._edges.append((self._plain.size_bytes, self._mp4.whole_us, self._mp4.whole_frames))


class _Plain:
    """Takes the MP4's bytes: hashes and marks them and hands them to the sealer."""

    def __init__(self, file: EvidenceFile, recipients: Sequence[Recipient]) -> None:
        self._sealed = SealedWriter(file, recipients)
        self._header_bytes = self._sealed.sealed_bytes
        self._hash = hashlib.sha256()
        self.marks = FragmentMarks(self._sealed.fragments_key)
        self.size_bytes = 0

    def write(self, data: bytes) -> None:
        """Take the next bytes; raises OSError when the disk does not."""
        self._sealed.write(data)
        self._hash.update(data)
        self.marks.write(data)
        self.size_bytes += len(data)

    @property
    def sealed_plain_bytes(self) -> int:
        """How many of the plain bytes are in chunks that have left."""
        return (self._sealed.sealed_bytes - self._header_bytes) // SEALED_CHUNK_BYTES * CHUNK_BYTES

    def finish(self) -> None:
        """Write the last chunk."""
        self._sealed.close()

    def sha256(self) -> str:
        """The SHA-256 of all plain bytes, in hex."""
        return self._hash.hexdigest()
