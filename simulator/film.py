"""What a player has of a recording's content, whole or cut: pictures, sound and text, each with its time.

Decided here: a picture counts where all of its bytes are there and it decodes without a fault; one that a cut tore does
not, though a player may show a part of it and hide the rest. Only FFmpeg is asked, nothing of the recorder that made
the content.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import av
from av.packet import Packet
from av.video.frame import VideoFrame


@dataclass(frozen=True, slots=True)
class Piece:
    """A sample of a track: when it begins and ends (media time in microseconds), and its bytes as they lie there."""

    at_us: int
    end_us: int
    data: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Film:
    """The whole samples of each track in the file's order, how many of the pictures decode, and what ended it."""

    pictures: tuple[Piece, ...] = ()
    sound: tuple[Piece, ...] = ()
    lines: tuple[Piece, ...] = ()
    decoded: int = 0
    fault: str = ""

    @property
    def end_us(self) -> int:
        """The media time at which the last whole picture ends."""
        return max((one.end_us for one in self.pictures), default=0)


def play(content: bytes) -> Film:
    """All that a player has of `content`; `fault` says where it is no film at all, or where one of its pictures or a
    piece of its sound does not decode. That it ends early is no fault, and nothing at all is a film without a picture.
    """
    if not content:
        return Film()
    pieces: dict[str, list[Piece]] = defaultdict(list)
    decoded, fault = 0, ""
    try:
        with av.open(io.BytesIO(content), "r") as container:
            video = container.streams.video[0].codec_context
            video.thread_count, video.options = 1, {"err_detect": "explode"}
            for packet in container.demux():
                if packet.size and not packet.is_corrupt:
                    pieces[packet.stream.type].append(_piece(packet))
                    decoded += _whole(video.decode(packet)) if packet.stream.type == "video" else 0
                    if packet.stream.type == "audio":
                        packet.decode()
            decoded += _whole(video.decode(None))
    except (av.FFmpegError, IndexError) as error:
        fault = str(error)
    return Film(
        pictures=tuple(pieces["video"]),
        sound=tuple(pieces["audio"]),
        lines=tuple(pieces["subtitle"]),
        decoded=decoded,
        fault=fault,
    )


def _whole(frames: Sequence[VideoFrame]) -> int:
    return sum(not frame.is_corrupt for frame in frames)


def _piece(packet: Packet[Any]) -> Piece:
    base = packet.time_base
    at, end = (
        round((packet.pts or 0) * base * 1_000_000),
        round(((packet.pts or 0) + (packet.duration or 0)) * base * 1_000_000),
    )
    return Piece(at, end, bytes(packet))
