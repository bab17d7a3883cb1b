"""One segment: H.264 into fragmented MP4, into an age file, into the spool, as it happens.

Decided here: a fragment every 200 ms, so that little is lost when the power goes; the MP4 exists in memory only and
is sealed before the first byte reaches the disk; both the sealed and the plain bytes are hashed as they pass. The
sealed form is docs/spec/sealed-file.md, the place in the spool docs/spec/spool.md.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
from av.container import InputContainer, OutputContainer
from av.video.stream import VideoStream

from edge.camera.annexb import PPS, SLICE_IDR, SPS, nal_type, nal_units
from edge.camera.port import EncodedUnit, StreamInfo
from vedette import files
from vedette.age_stream import CHUNK_BYTES, SEALED_CHUNK_BYTES
from vedette.errors import Refused
from vedette.sealed import Recipient, SealedWriter

FRAGMENT_US = 200_000
_TICKS_PER_S = 90_000
_PROBE_BYTES = 2048
_MP4 = {
    "movflags": "frag_keyframe+empty_moov+default_base_moof",
    "frag_duration": str(FRAGMENT_US),
    "flush_packets": "1",
}


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


class StreamFault(Refused):
    """What the camera gave cannot be put into an MP4."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """What of a segment is durable: sealed bytes and their SHA-256 (hex), and the media time and pictures in them."""

    offset: int
    sha256: str
    media_us: int
    frames: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """A whole segment: sizes in bytes, hashes in hex, duration in microseconds."""

    sealed_sha256: str
    sealed_size: int
    plain_sha256: str
    plain_size: int
    media_us: int
    frames: int


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
        """Create the file at `path` and write the sealed header.

        Raises StreamFault when `first` begins no stream, OSError when the disk does not take the file.
        """
        self._info = info
        self._first = first
        with _probe(first) as probed:
            self._file = open_file(path)
            try:
                self._plain = _Plain(self._file, recipients)
                self._container, self._stream = _open_mp4(self._plain, probed.streams.video[0])
            except BaseException:
                self._file.close()
                raise
        self._last_ticks = -1
        self._edges: deque[tuple[int, int, int]] = deque()
        self._durable = (0, 0)
        self.media_us = 0
        self.frames = 0

    @property
    def size_bytes(self) -> int:
        """Sealed bytes written so far."""
        return self._file.size_bytes

    def write(self, unit: EncodedUnit) -> None:
        """Add the next unit in decoding order.

        Raises OSError when the disk does not take it, StreamFault when it is no picture of this stream.
        """
        before = self._plain.size_bytes
        with self._mp4(f"the picture at {unit.pts_us} us"):
            self._container.mux(self._packet(unit))
        if self._plain.size_bytes > before:
            self._edges.append((self._plain.size_bytes, self.media_us, self.frames))
        self.media_us = max(self.media_us, unit.pts_us - self._first.pts_us + self._info.frame_us)
        self.frames += 1

    def sync(self) -> Progress:
        """Make what is written durable and say how far the recording is safe now."""
        self._file.sync()
        plain = self._plain.sealed_plain_bytes
        while self._edges and self._edges[0][0] <= plain:
            _, media_us, frames = self._edges.popleft()
            self._durable = (media_us, frames)
        media_us, frames = self._durable
        return Progress(offset=self._file.size_bytes, sha256=self._file.sha256(), media_us=media_us, frames=frames)

    def finish(self) -> Finished:
        """End the MP4 and the sealed file and make them durable."""
        with self._mp4("the end"):
            self._container.close()
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
        )

    def abandon(self) -> None:
        """Let go of the file as it is; recovery makes an incomplete item of it."""
        self._plain.stop()
        with suppress(OSError, av.FFmpegError):
            self._container.close()
        self._file.close()

    @contextmanager
    def _mp4(self, what: str) -> Iterator[None]:
        """Around a call of the MP4 writer: the disk's error comes first, for FFmpeg makes it one of its own."""
        try:
            yield
        except av.FFmpegError as error:
            self._plain.raise_fault()
            raise StreamFault(f"{what} does not go into an MP4: {error}") from None
        self._plain.raise_fault()

    def _packet(self, unit: EncodedUnit) -> av.Packet[Any]:
        packet: av.Packet[Any] = av.Packet(unit.data)
        packet.stream = self._stream
        packet.time_base = Fraction(1, _TICKS_PER_S)
        # MP4 wants decoding times that rise strictly; a camera that repeats one must not end the recording.
        decode = max(_ticks(unit.decode_us - self._first.decode_us), self._last_ticks + 1)
        packet.dts = self._last_ticks = decode
        packet.pts = max(decode, _ticks(unit.pts_us - self._first.decode_us))
        packet.duration = _ticks(self._info.frame_us)
        packet.is_keyframe = unit.is_key
        return packet


class _Plain:
    """What the MP4 writer writes to: hashes the plain bytes and hands them to the sealer."""

    def __init__(self, file: EvidenceFile, recipients: Sequence[Recipient]) -> None:
        self._sealed = SealedWriter(file, recipients)
        self._header_bytes = self._sealed.sealed_bytes
        self._hash = hashlib.sha256()
        self._fault: BaseException | None = None
        self._stopped = False
        self.size_bytes = 0

    def write(self, data: bytes) -> int:
        """Take plain bytes from the MP4 writer; an error is kept for `raise_fault`."""
        if self._stopped or self._fault is not None:
            return len(data)
        try:
            self._sealed.write(data)
        except BaseException as error:
            self._fault = error
        self._hash.update(data)
        self.size_bytes += len(data)
        return len(data)

    @property
    def sealed_plain_bytes(self) -> int:
        """How many of the plain bytes are in chunks that have left."""
        return (self._sealed.sealed_bytes - self._header_bytes) // SEALED_CHUNK_BYTES * CHUNK_BYTES

    def raise_fault(self) -> None:
        """Raise what went wrong inside a call of the MP4 writer."""
        if self._fault is not None:
            raise self._fault

    def finish(self) -> None:
        """Write the last chunk."""
        self._sealed.close()

    def stop(self) -> None:
        """Take and drop whatever still comes."""
        self._stopped = True

    def sha256(self) -> str:
        """The SHA-256 of all plain bytes, in hex."""
        return self._hash.hexdigest()


def _probe(first: EncodedUnit) -> InputContainer:
    """The stream that `first` begins, as FFmpeg sees it; raises StreamFault when that is nothing."""
    kinds = {nal_type(nal): nal for nal in reversed(nal_units(first.data))}
    head = b"".join(b"\x00\x00\x00\x01" + kinds.get(kind, b"")[:_PROBE_BYTES] for kind in (SPS, PPS, SLICE_IDR))
    with suppress(av.FFmpegError):
        probed = av.open(io.BytesIO(head), "r", format="h264")
        if probed.streams.video[0].codec_context.width:
            return probed
        probed.close()
    raise StreamFault(f"the picture at {first.pts_us} us begins no H.264 stream")


def _open_mp4(plain: _Plain, probed: VideoStream) -> tuple[OutputContainer, VideoStream]:
    container = av.open(plain, "w", format="mp4", options=_MP4)
    # `add_mux_stream` would need no probing, but before PyAV 18 it leaves the decoder's parameters out of the MP4.
    stream = container.add_stream_from_template(probed)
    stream.time_base = Fraction(1, _TICKS_PER_S)
    return container, stream


def _ticks(duration_us: int) -> int:
    return duration_us * _TICKS_PER_S // 1_000_000
