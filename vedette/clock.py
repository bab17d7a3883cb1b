"""The one place that reads a clock, and the identifiers that carry a time (UUIDv7, RFC 9562).

Evidence times are integers in microseconds since the Unix epoch, each with its quality. Durations come from
the monotonic clock. The quality is what the position service measured (`vedette.timenote`), else what the kernel says
(`vedette.kernel_time`). What is not decided here: whether time from satellites is believed (edge/board/gnss_time.py).
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
from vedette.kernel_time import TIMESYNCD, KernelTime, kernel_time
from vedette.timenote import read_time

UUID7 = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_RTC = Path("/sys/class/rtc/rtc0")
_ASK_US = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeQuality:
    """Where the wall clock got its time (`gnss`, `ntp`, `rtc`, `none`, `simulated`) and how far off it may be at most,
    None where that is not known.
    """

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
    """The machine's own clocks; with the run folder of a device also what its position service says of them."""

    def __init__(self, run_dir: Path | None = None) -> None:
        self._run_dir = run_dir
        self._quality = TimeQuality(source="none", error_us=None)
        self._asked_us: int | None = None

    def utc_us(self) -> int:
        return time.time_ns() // 1000

    def mono_us(self) -> int:
        return time.monotonic_ns() // 1000

    def quality(self) -> TimeQuality:
        now_us = self.mono_us()
        if self._asked_us is None or now_us - self._asked_us >= _ASK_US:
            self._asked_us = now_us
            self._quality = self._ask(now_us)
        return self._quality

    def _ask(self, now_us: int) -> TimeQuality:
        noted = read_time(self._run_dir, mono_us=now_us, machine=self.machine()) if self._run_dir else None
        return TimeQuality(source=noted.source, error_us=noted.error_us) if noted else kernel_quality(kernel_time())

    def machine(self) -> str | None:
        try:
            return _BOOT_ID.read_text().replace("-", "")[:16]
        except OSError:
            return None


def kernel_quality(kernel: KernelTime | None) -> TimeQuality:
    """The quality by the kernel's word alone; where it may not be asked, by systemd-timesyncd's, without a bound."""
    if kernel is not None and kernel.is_synchronised:
        return TimeQuality(source="ntp", error_us=kernel.max_error_us)
    if kernel is None and TIMESYNCD.exists():
        return TimeQuality(source="ntp", error_us=None)
    return TimeQuality(source="rtc" if _RTC.exists() else "none", error_us=None)


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
