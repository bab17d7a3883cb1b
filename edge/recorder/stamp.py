"""The line that a segment carries over its pictures: date, time, zone, device, recording, position, time source.

Decided here: its words and their order. It names the second in which a picture was taken, in the configured zone with
its distance from UTC; what is not known is said to be unknown. It goes into the sealed video only, never into a
journal, a manifest or a log. Nothing here reads a clock or asks for a position.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from edge.board.position import Fix
from edge.camera.drawnstamp import APART, NOT_TRUSTED, UNKNOWN, age_text, time_text
from edge.recorder.surroundings import Moment
from vedette.clock import TimeQuality


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """What stays the same over a segment: the device, the recording's id and the segment's number in it, the zone."""

    device: str
    recording: str
    sequence: int
    zone: datetime.tzinfo


def stamp(place: Place, moment: Moment, *, at_us: int) -> str:
    """The two lines for a picture taken at `at_us` (UTC microseconds) in `moment`."""
    where = UNKNOWN if moment.fix is None else position_text(moment.fix, at_us=at_us)
    sound = f"  {moment.sound}" if moment.sound else ""
    return (
        f"{time_text(at_us, place.zone)}  {place.device}  {where}\n"
        f"{quality_text(moment.quality)}  recording {place.recording}/{place.sequence}{sound}"
    )


def quality_text(quality: TimeQuality) -> str:
    """`time from ntp ±20 ms`, or `error unknown` where no bound is known."""
    error = "error unknown" if quality.error_us is None else f"±{-(-quality.error_us // 1000)} ms"
    return f"time from {quality.source}, {error}"


def position_text(fix: Fix, *, at_us: int) -> str:
    """`33.57310 N 7.58980 W ±5 m 3D 9 sat`, how far the fix is from `at_us` where that is over two seconds, and that
    the receiver's time is not trusted where it was judged so (SG-25).
    """
    doubt = APART + NOT_TRUSTED if fix.satellite_time_trusted is False else ""
    return place_text(fix) + age_text(at_us - fix.position.fixed_us) + doubt


def place_text(fix: Fix) -> str:
    """The position without its age."""
    position = fix.position
    mode = "" if fix.mode is None else f" {fix.mode.upper()}"
    satellites = "" if fix.satellites is None else f" {fix.satellites} sat"
    accuracy = "" if position.accuracy_cm is None else f" ±{-(-position.accuracy_cm // 100)} m"
    return f"{_degrees(position.lat_e7, 'NS')} {_degrees(position.lon_e7, 'EW')}{accuracy}{mode}{satellites}"


def _degrees(value_e7: int, letters: str) -> str:
    """Five decimals, about a metre, rounded without floats."""
    rounded = (abs(value_e7) + 50) // 100
    return f"{rounded // 100_000}.{rounded % 100_000:05d} {letters[value_e7 < 0]}"
