"""Makes the redacted MP4: every picture covered where the plan says and encoded anew, everything else copied.

Decided here: the copy's form. Pictures keep their times to the tick; libx264 without B-frames, with a fixed number of
threads, so that the same plan on the same software gives the same bytes; sound packets are copied bit for bit but for
mutes; nothing of the parent's own metadata goes over, only the tracks that are named here. Implements RD-7 to RD-9.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, BinaryIO, cast

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from edge.redact.cover import cells_at, fill
from edge.redact.pictures import Counter, Picture, open_video, video_of
from edge.redact.plan import Mute, Plan
from edge.redact.sound import Muter
from edge.redact.stamp import without_place
from vedette.errors import Refused, VedetteError

CODEC = "libx264"
PRESET = "veryfast"
THREADS = 2
KEY_PICTURES = 30
MAX_TIMESCALE = (1 << 31) - 1


@dataclass(kw_only=True, slots=True)
class Copied:
    """What was done: the pictures' times in microseconds, and how many packets of sound each mute replaced."""

    times_us: list[int] = field(default_factory=list)
    muted: dict[Mute, int] = field(default_factory=dict)
    has_sound: bool = False
    has_stamp: bool = False


def copy(parent: BinaryIO, name: str, plan: Plan, sink: BinaryIO, *, crf: int) -> Copied:
    """Write the redacted copy of `parent` to `sink` (seekable) at a constant rate factor `crf`.

    Raises Integrity where the parent is damaged, Refused where it cannot be redacted or the plan is not for it.
    """
    with open_video(parent, name) as source:
        check_fits(source, name, plan)
        with av.open(sink, "w", format="mp4", options=_form(source, plan)) as target:
            work = _Work(source, target, name, plan, crf)
            work.run()
    return work.copied


def check_fits(source: InputContainer, name: str, plan: Plan) -> None:
    """Return when the video has the plan's measures and the sound that it mutes; Refused otherwise."""
    video = video_of(source)
    if (video.width, video.height) != (plan.width, plan.height):
        raise Refused(
            f"{name}: its pictures are {video.width}x{video.height}, the plan is for {plan.width}x{plan.height}"
        )
    if plan.mutes and not source.streams.audio:
        raise Refused(f"{name} has no sound that could be muted; take the mutes out of the plan")


class _Work:
    """One pass over the parent."""

    def __init__(self, source: InputContainer, target: OutputContainer, name: str, plan: Plan, crf: int) -> None:
        self._source, self._target, self._plan = source, target, plan
        self._video = video_of(source)
        self._counter = Counter(self._video, name)
        self._encoder = _encoder(target, self._video, crf)
        self.copied = Copied(has_sound=bool(source.streams.audio), has_stamp=bool(source.streams.subtitles))
        self._muters: dict[int, Muter] = {}
        self._others: dict[int, Stream] = {}
        for stream in kept_streams(source, plan):
            self._others[stream.index] = target.add_stream_from_template(stream)
            if plan.mutes and isinstance(stream, av.AudioStream):
                self._muters[stream.index] = Muter(stream, plan.mutes)

    def run(self) -> None:
        wanted = [self._video, *(self._source.streams[index] for index in self._others)]
        try:
            for packet in self._source.demux(*wanted):
                if packet.stream.index == self._video.index:
                    for frame in cast("Packet[VideoStream]", packet).decode():
                        self._show(self._counter.picture(frame), frame)
                elif packet.size:
                    self._pass_on(packet)
        except VedetteError:
            raise
        except (av.FFmpegError, OSError) as error:
            if isinstance(error, av.FFmpegError):
                raise self._counter.damaged(error) from None
            raise
        self._counter.check_end()
        self._target.mux(self._encoder.encode(None))

    def _show(self, picture: Picture, frame: VideoFrame) -> None:
        cells = cells_at(self._plan.regions, picture.at_us, width=frame.width, height=frame.height)
        fill(picture.planes, cells)
        flat = np.concatenate([plane.reshape(-1) for plane in picture.planes])
        covered = VideoFrame.from_ndarray(flat.reshape(frame.height * 3 // 2, frame.width), format=frame.format.name)
        covered.pts, covered.time_base, covered.duration = frame.pts, self._video.time_base, frame.duration
        covered.color_range, covered.colorspace = frame.color_range, frame.colorspace
        self.copied.times_us.append(picture.at_us)
        self._target.mux(self._encoder.encode(covered))

    def _pass_on(self, packet: Packet[Any]) -> None:
        """Copy a packet of sound or text, or put another in its place."""
        index = packet.stream.index
        muter = self._muters.get(index)
        mute = muter.hides(packet) if muter is not None else None
        if muter is not None and mute is not None:
            self.copied.muted[mute] = self.copied.muted.get(mute, 0) + 1
            packet = _instead(packet, muter.silent(packet))
        elif packet.stream.type == "subtitle" and self._plan.stamp == "without_position":
            packet = _instead(packet, without_place(bytes(packet)))
        packet.stream = self._others[index]
        self._target.mux(packet)


def kept_streams(source: InputContainer, plan: Plan) -> Iterator[Stream]:
    """The tracks beside the pictures that go over: sound and text, unless the plan drops them."""
    if plan.sound == "keep":
        yield from source.streams.audio
    if plan.stamp != "drop":
        yield from source.streams.subtitles


def _instead(packet: Packet[Any], content: bytes) -> Packet[Any]:
    new = Packet(content)
    new.pts, new.dts, new.duration, new.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    new.is_keyframe = True
    new.stream = packet.stream
    return new


def _form(source: InputContainer, plan: Plan) -> dict[str, str]:
    """The times of the video's track as they are, and a time of the whole in which every track's begin is exact.

    A segment's sound begins with its first whole piece, not with the picture; the muxer writes that as a stretch of the
    whole's time, in thousandths of a second unless it is told otherwise.
    """
    base = video_of(source).time_base or Fraction(1, 90_000)
    bases = [base, *(one.time_base for one in kept_streams(source, plan) if one.time_base)]
    whole = math.lcm(*(one.denominator for one in bases))
    form = {"movie_timescale": str(whole)} if whole <= MAX_TIMESCALE else {}
    return {**form, "video_track_timescale": str(base.denominator)} if base.numerator == 1 else form


def _encoder(target: OutputContainer, video: VideoStream, crf: int) -> VideoStream:
    stream = target.add_stream(CODEC, rate=video.average_rate or 25)
    assert isinstance(stream, VideoStream)
    context, seen = stream.codec_context, video.codec_context
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = video.width, video.height, video.pix_fmt
    context.time_base = stream.time_base = video.time_base or Fraction(1, 90_000)
    context.sample_aspect_ratio = video.sample_aspect_ratio or Fraction(1)
    context.max_b_frames, context.gop_size, context.thread_count = 0, KEY_PICTURES, THREADS
    context.color_range, context.colorspace = seen.color_range, seen.colorspace
    context.color_primaries, context.color_trc = seen.color_primaries, seen.color_trc
    context.options = {"crf": str(crf), "preset": PRESET}
    return stream
