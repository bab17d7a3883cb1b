"""From coded pictures, sound and lines of text to the bytes of a fragmented MP4, a fragment each 200 ms.

Decided here: pictures alone decide when a fragment ends (after 200 ms, at a key picture, when the line changes), so
that no track can hold another back; each fragment repeats the line over its pictures, so that what survives a cut has
its date and time. Sound stands where its own media time puts it: what is missing is filled with coded silence, because
players close a hole and bring what comes after it too early.
Implements docs/spec/segment.md; nothing here touches a file.
"""

from __future__ import annotations

import io
from contextlib import suppress
from dataclasses import dataclass

import av
import av.subtitles.stream  # FFmpeg's wrapper imports it when it first opens a stream, which would hold up a recording

from edge.camera.annexb import PPS, SLICE_IDR, SPS, nal_type, nal_units
from edge.camera.port import EncodedUnit, SoundUnit, StreamInfo
from edge.camera.soundwatch import LATEST_US
from edge.recorder import mp4
from edge.recorder.mp4 import VIDEO_TICKS_PER_S, KeyPlace, Sample
from vedette.age_stream import CHUNK_BYTES
from vedette.errors import Refused

FRAGMENT_US = 200_000
SOUND_ALONE_US = 1_000_000
SNAP_AHEAD_US, SNAP_BACK_US = 5_000, 20_000
_PROBE_BYTES = 2048


class StreamFault(Refused):
    """What the camera gave cannot be put into an MP4."""


@dataclass(frozen=True, slots=True)
class _Picture:
    """A picture that waits for its fragment: its sample but for the duration, and the media time at its end."""

    nals: list[bytes]
    at: int
    shift: int
    is_key: bool
    end_us: int


@dataclass(frozen=True, slots=True)
class _Sound:
    """A piece of sound that waits, in samples."""

    data: bytes
    at: int
    length: int


class Fragmenter:
    """One MP4, begun by the key unit `first`.

    `whole_us` and `whole_frames` are the media time and the pictures in the fragments given out so far.
    """

    def __init__(self, info: StreamInfo, first: EncodedUnit) -> None:
        """Raises StreamFault when `first` begins no H.264 stream."""
        self._info, self._first = info, first
        width, height = picture_size(first)
        sets = _by_type(first.data)
        self._video = mp4.video_track(1, width=width, height=height, sps=sets[SPS], pps=sets[PPS])
        self._sound = mp4.sound_track(2, info.sound) if info.sound else None
        self._text = mp4.text_track(3, width=width, height=height)
        self._pictures: list[_Picture] = []
        self._sounds: list[_Sound] = []
        self._places: list[KeyPlace] = []
        self._line = ""
        self._last_ticks = -1
        self._sound_end: int | None = None
        self._number = self._offset = 0
        self.media_us = self.whole_us = 0
        self.frames = self.whole_frames = 0
        self.sound_us = 0

    def beginning(self) -> bytes:
        """What stands before the first fragment."""
        tracks = [self._video, *([self._sound] if self._sound else []), self._text]
        return self._given(mp4.beginning(tracks, utc_us=self._first.utc_us))

    def picture(self, unit: EncodedUnit, line: str) -> bytes:
        """Take the next unit in decoding order with the `line` over it; the fragment that it ended, or nothing.

        Raises StreamFault when it is no picture.
        """
        nals = nal_units(unit.data)
        if not nals:
            raise StreamFault(f"the picture at {unit.pts_us} us does not go into an MP4: it has no NAL unit")
        # Decoding times must rise strictly; a camera that repeats one must not end the recording.
        at = max(self._ticks(unit.decode_us), self._last_ticks + 1)
        done = self._flush(at) if self._is_full(at, unit, line) else b""
        self.media_us = max(self.media_us, unit.pts_us - self._first.pts_us + self._info.frame_us)
        self.frames += 1
        self._line, self._last_ticks = line, at
        shift = max(0, self._ticks(unit.pts_us) - at)
        self._pictures.append(_Picture(nals, at, shift, unit.is_key, self.media_us))
        return done

    def sound(self, unit: SoundUnit) -> bytes:
        """Take a piece of sound; what is of another codec, before the first picture or heard already is left out."""
        if self._sound is None or self._info.sound is None or unit.codec != self._info.sound.codec:
            return b""
        at = self._sound_place(unit)
        if at is None:
            return b""
        length = max(1, round(unit.duration_us * self._sound.ticks_per_s / 1_000_000))
        self._sounds.append(_Sound(unit.data, at, length))
        self._sound_end = at + length
        self.sound_us += unit.duration_us
        waits = self._sound_end - self._sounds[0].at
        return self._give() if waits * 1_000_000 >= SOUND_ALONE_US * self._sound.ticks_per_s else b""

    def room(self) -> bytes:
        """What goes behind the fragments given out so far to bring them into whole sealed chunks."""
        return self._given(mp4.room_to(CHUNK_BYTES, at=self._offset))

    def ending(self) -> bytes:
        """The last fragment and what stands behind it."""
        end = self._last_ticks + self._nominal
        self._fill_behind(end, wait_us=0)
        last = self._flush(end) if self._pictures else self._give()
        return last + self._given(mp4.ending(self._video, self._places))

    def _is_full(self, at: int, unit: EncodedUnit, line: str) -> bool:
        if not self._pictures:
            return False
        is_long = (at - self._pictures[0].at) * 1_000_000 >= FRAGMENT_US * VIDEO_TICKS_PER_S
        return is_long or unit.is_key or line != self._line

    def _flush(self, end: int) -> bytes:
        """The fragment of all that waits; its last picture is shown until `end`."""
        self._fill_behind(end, wait_us=LATEST_US)
        waiting, self._pictures = self._pictures, []
        ends = [one.at for one in waiting[1:]] + [end]
        pictures = [_sample(one, until) for one, until in zip(waiting, ends, strict=True)]
        self.whole_us, self.whole_frames = waiting[-1].end_us, self.whole_frames + len(waiting)
        return self._give(pictures)

    def _give(self, pictures: list[Sample] | None = None) -> bytes:
        """A fragment of these pictures, the line over them and the sound that waits; nothing when there is neither."""
        runs = [(self._video, pictures)] if pictures else []
        if pictures and self._line:
            begins, ends = pictures[0].at, pictures[-1].at + pictures[-1].duration
            delay = self._ticks(self._first.pts_us)
            line = Sample(data=mp4.text_sample(self._line), at=begins + delay, duration=ends - begins)
            runs.append((self._text, [line]))
        if self._sound and self._sounds:
            runs.append((self._sound, self._sound_samples()))
        if not runs:
            return b""
        self._number += 1
        made = mp4.fragment(self._number, runs)
        room = mp4.room_before(made, at=self._offset, edge=CHUNK_BYTES)
        if pictures and pictures[0].is_key:
            self._places.append(KeyPlace(at=pictures[0].at + pictures[0].shift, offset=self._offset + len(room)))
        return self._given(room + made)

    def _sound_samples(self) -> list[Sample]:
        waiting, self._sounds = self._sounds, []
        ends = [one.at for one in waiting[1:]] + [waiting[-1].at + waiting[-1].length]
        return [Sample(data=one.data, at=one.at, duration=end - one.at) for one, end in zip(waiting, ends, strict=True)]

    def _sound_place(self, unit: SoundUnit) -> int | None:
        """Where `unit` goes, in samples; None when it has no place.

        Its own time, but for the small steps of rounding and of a microphone whose clock is not ours: those join it to
        the piece before, until they have added up to more.
        """
        assert self._info.sound is not None
        rate, piece = self._info.sound.rate, self._info.sound.piece
        at = round((unit.pts_us - self._first.decode_us) * rate / 1_000_000)
        if at < 0 or (self._sound_end or 0) - at > SNAP_BACK_US * rate // 1_000_000:
            return None
        if self._info.sound.silence:
            if self._sound_end is None:
                self._sound_end = at % piece
            self._fill(at)
            return self._sound_end
        if self._sound_end is not None and at - self._sound_end <= SNAP_AHEAD_US * rate // 1_000_000:
            return self._sound_end
        return at

    def _fill(self, until: int) -> None:
        """Silence from the end of the sound as close to `until` (in samples) as whole pieces go."""
        sound = self._info.sound
        if sound is None or not sound.silence:
            return
        end = self._sound_end or 0
        while until - end > sound.piece // 2:
            self._sounds.append(_Sound(sound.silence, end, sound.piece))
            end += sound.piece
            self._sound_end = end

    def _fill_behind(self, end: int, *, wait_us: int) -> None:
        """Fill what is further behind the pictures' `end` (in ticks) than sound may be late."""
        if self._sound is not None:
            behind = end - wait_us * VIDEO_TICKS_PER_S // 1_000_000
            self._fill(behind * self._sound.ticks_per_s // VIDEO_TICKS_PER_S)

    def _ticks(self, at_us: int) -> int:
        return (at_us - self._first.decode_us) * VIDEO_TICKS_PER_S // 1_000_000

    @property
    def _nominal(self) -> int:
        return max(1, self._info.frame_us * VIDEO_TICKS_PER_S // 1_000_000)

    def _given(self, data: bytes) -> bytes:
        self._offset += len(data)
        return data


def _sample(picture: _Picture, until: int) -> Sample:
    data, duration = mp4.picture_sample(picture.nals), until - picture.at
    return Sample(data=data, at=picture.at, duration=duration, shift=picture.shift, is_key=picture.is_key)


def _by_type(data: bytes) -> dict[int, bytes]:
    return {nal_type(nal): nal for nal in reversed(nal_units(data))}


def picture_size(first: EncodedUnit) -> tuple[int, int]:
    """Width and height of the stream that `first` begins, as FFmpeg sees it; StreamFault when that is nothing."""
    kinds = _by_type(first.data)
    head = b"".join(b"\x00\x00\x00\x01" + kinds.get(kind, b"")[:_PROBE_BYTES] for kind in (SPS, PPS, SLICE_IDR))
    with suppress(av.FFmpegError), av.open(io.BytesIO(head), "r", format="h264") as probed:
        context = probed.streams.video[0].codec_context
        if context.width and SPS in kinds and PPS in kinds:
            return context.width, context.height
    raise StreamFault(f"the picture at {first.pts_us} us begins no H.264 stream")
