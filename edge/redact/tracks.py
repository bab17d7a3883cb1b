"""Holds sound and text of a redacted copy against the parent's, packet by packet.

Decided here: outside of mutes a packet of sound has the same bytes at the same time, inside it decodes to silence of at
most `SILENCE` of full scale; the text is the parent's, or without a place, or absent, as the plan says. Implements
RD-35 and RD-36 of docs/spec/redaction.md.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import zip_longest
from typing import Any, BinaryIO

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Stream

from edge.redact.copy import kept_streams
from edge.redact.pictures import open_video
from edge.redact.plan import Plan
from edge.redact.sound import Muter, loudest
from edge.redact.stamp import has_place, sample_text, without_place
from vedette.errors import Integrity
from vedette.redaction import Redaction

SILENCE = 0.0005


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """Packets of sound in the copy, how many are the parent's, how many are silence; whether the plan dropped all."""

    packets: int
    same: int
    muted: int
    dropped: bool


def compare_sound(parent: BinaryIO, derived: BinaryIO, plan: Plan, record: Redaction | None) -> Heard:
    """Compare every packet of every sound track; Integrity names the first that is wrong and its time."""
    with open_video(parent, "the parent") as a, open_video(derived, "the copy") as b:
        ours = [one for one in kept_streams(a, plan) if isinstance(one, AudioStream)]
        theirs = list(b.streams.audio)
        if len(ours) != len(theirs):
            raise Integrity(f"the copy has {len(theirs)} sound tracks, the plan leaves {len(ours)}")
        muters = [Muter(one, plan.mutes) if plan.mutes else None for one in ours]
        pairs = zip(ours, theirs, muters, strict=True)
        heard = [_one(_packets(parent, old), _packets(derived, new), muter) for old, new, muter in pairs]
        had_sound = bool(a.streams.audio)
    if plan.mutes:
        _check_silent(derived, plan)
    found = Heard(
        packets=sum(one[0] + one[1] for one in heard),
        same=sum(one[0] for one in heard),
        muted=sum(one[1] for one in heard),
        dropped=plan.sound == "drop",
    )
    state = "none" if not had_sound else "dropped" if found.dropped else "muted" if plan.mutes else "kept"
    if record is not None and (record.sound != state or sum(one.packets for one in record.mutes) != found.muted):
        raise Integrity("the record says something else of the sound than is so")
    spans = [(one.from_us, one.to_us) for one in plan.mutes]
    if record is not None and [(one.from_us, one.to_us) for one in record.mutes] != spans:
        raise Integrity("the record names other mutes than the plan")
    return found


def compare_stamp(parent: BinaryIO, derived: BinaryIO, plan: Plan, record: Redaction | None) -> str:
    """Compare the text tracks; Integrity says which line is not as the plan wants it."""
    with open_video(parent, "the parent") as a, open_video(derived, "the copy") as b:
        ours, theirs = list(a.streams.subtitles), list(b.streams.subtitles)
        wanted = [] if plan.stamp == "drop" else ours
        if len(wanted) != len(theirs):
            raise Integrity(f"the copy has {len(theirs)} text tracks, the plan leaves {len(wanted)}")
        for old, new in zip(wanted, theirs, strict=True):
            _same_text(_packets(parent, old), _packets(derived, new), plan.stamp)
    state = {"keep": "kept", "drop": "dropped"}.get(plan.stamp, plan.stamp) if ours else "none"
    if record is not None and record.stamp != state:
        raise Integrity(f"the record says that the stamp is {record.stamp}; it is {state}")
    return {"none": "the parent has none", "kept": "as in the parent", "dropped": "left out, as the plan says"}.get(
        state, "as in the parent but for the place, which is removed"
    )


def _same_text(before: Iterator[Packet[Any]], after: Iterator[Packet[Any]], stamp: str) -> None:
    for number, (old, new) in enumerate(zip_longest(before, after)):
        wanted = None if old is None else without_place(bytes(old)) if stamp == "without_position" else bytes(old)
        if old is None or new is None or bytes(new) != wanted or _at_us(old) != _at_us(new):
            raise Integrity(f"line {number} of the stamp is not the parent's")
        if stamp == "without_position" and has_place(sample_text(bytes(new))):
            raise Integrity(f"line {number} of the stamp still names a place")


def _one(before: Iterator[Packet[Any]], after: Iterator[Packet[Any]], muter: Muter | None) -> tuple[int, int]:
    """How many packets are the same and how many are silence; Integrity at the first that should be and is not."""
    same = muted = 0
    for number, (old, new) in enumerate(zip_longest(before, after)):
        if old is None or new is None:
            raise Integrity(f"packet {number} of the sound is only in the {'copy' if old is None else 'parent'}")
        if abs(_at_us(old) - _at_us(new)) > 1:
            raise Integrity(f"packet {number} of the sound is at {_at_us(new)} us, in the parent at {_at_us(old)} us")
        if muter is not None and muter.hides(old):
            muted += 1
        elif bytes(old) == bytes(new):
            same += 1
        else:
            raise Integrity(f"packet {number} of the sound at {_at_us(old)} us was changed, and no mute covers it")
    return same, muted


def _check_silent(derived: BinaryIO, plan: Plan) -> None:
    """Every sound track in one pass: behind the end of a first one nothing would come of a second."""
    with _damage_said("the copy's sound"), open_video(derived, "the copy") as container:
        for frame in container.decode(*container.streams.audio):
            assert isinstance(frame, AudioFrame)
            if frame.pts is None or frame.time_base is None:
                raise Integrity("the copy's sound has a piece without a time")
            begin = int(frame.pts * frame.time_base * 1_000_000)
            end = begin + frame.samples * 1_000_000 // frame.sample_rate
            for mute in plan.mutes:
                if begin <= mute.to_us and end >= mute.from_us and loudest(frame.to_ndarray()) > SILENCE:
                    raise Integrity(f"the sound at {begin} us is to be silent and is not")


def _packets(source: BinaryIO, stream: Stream) -> Iterator[Packet[Any]]:
    """One after another, for a track may be hours of sound."""
    source.seek(0)
    with _damage_said("a track"), av.open(source, "r") as container:
        yield from (one for one in container.demux(container.streams[stream.index]) if one.size)


@contextlib.contextmanager
def _damage_said(what: str) -> Iterator[None]:
    """What the library says of damaged packets, as Integrity."""
    try:
        yield
    except av.FFmpegError as error:
        raise Integrity(f"{what} is damaged: {error.strerror or type(error).__name__}") from None


def _at_us(packet: Packet[Any]) -> int:
    return round((packet.pts or 0) * (packet.time_base or Fraction(1)) * 1_000_000)
