"""The one place that reads a clock, and the identifiers that carry a time (UUIDv7, RFC 9562).

Evidence times are integers in microseconds since the Unix epoch, each with its quality. Durations come from
the monotonic clock. What is not decided here: which time source a device trusts (that is a later issue).
"""

from __future__ import annotations

import datetime
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vedette.errors import Integrity

UUID7 = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SYNCHRONISED = Path("/run/systemd/timesync/synchronized")


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeQuality:
    """Where the wall clock got its time (`ntp`, `rtc`, `simulated`) and how far off it may be, where that is known."""

    source: str
    error_us: int | None


class Clock(Protocol):
    """Wall clock, monotonic clock and the wall clock's quality."""

    def utc_us(self) -> int:
        """Microseconds since 1970-01-01 UTC; may jump."""

    def mono_us(self) -> int:
        """Microseconds of a clock that never jumps nor goes back within one boot of the machine."""

    def quality(self) -> TimeQuality:
        """The quality of `utc_us` now."""

    def machine(self) -> str | None:
        """Which boot of the machine this is, as 16 hex digits; None where that is not known."""


class SystemClock:
    """The machine's own clocks."""

    def utc_us(self) -> int:
        return time.time_ns() // 1000

    def mono_us(self) -> int:
        return time.monotonic_ns() // 1000

    def quality(self) -> TimeQuality:
        return TimeQuality(source="ntp" if _SYNCHRONISED.exists() else "rtc", error_us=None)

    def machine(self) -> str | None:
        try:
            return _BOOT_ID.read_text().replace("-", "")[:16]
        except OSError:
            return None


class FakeClock:
    """A clock for tests and the simulator that moves only when it is told to."""

    boot: str | None = None

    def __init__(self, utc_us: int = 1_795_420_800_000_000, mono_us: int = 1_000_000) -> None:
        self._utc_us = utc_us
        self._mono_us = mono_us

    def utc_us(self) -> int:
        return self._utc_us

    def mono_us(self) -> int:
        return self._mono_us

    def quality(self) -> TimeQuality:
        return TimeQuality(source="simulated", error_us=0)

    def machine(self) -> str | None:
        return self.boot

    def advance(self, duration_us: int) -> None:
        """Move both clocks forward by `duration_us`."""
        self._utc_us += duration_us
        self._mono_us += duration_us

    def jump(self, duration_us: int) -> None:
        """Move only the wall clock, as a time server's correction does."""
        self._utc_us += duration_us


def uuid7(clock: Clock) -> str:
    """A new UUIDv7 (RFC 9562): 48 bits of milliseconds, then 74 random bits; lower-case, 36 characters."""
    milliseconds = clock.utc_us() // 1000
    value = (milliseconds & ((1 << 48) - 1)) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def check_uuid7(text: object, what: str = "id") -> str:
    """`text` when it is a canonical UUIDv7, else `Integrity`; the only form that may become part of a path."""
    if not isinstance(text, str) or not UUID7.fullmatch(text):
        raise Integrity(f"{what} {str(text)[:60]!r} is not a UUIDv7 in lower case")
    return text


def iso(utc_us: int) -> str:
    """`2026-11-23T09:17:10.000000Z` for a time in microseconds since the epoch."""
    seconds, micros = divmod(utc_us, 1_000_000)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).replace(microsecond=micros)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"
