"""What the kernel knows of its wall clock: adjtimex(2), read only, through the C library.

Decided here: the kernel calls its clock synchronised when a time service (chrony, ntpd, systemd-timesyncd) has kept it
so, and bounds its error by `maxerror`, which grows by 500 ppm until the service corrects it. systemd-timesyncd counts
from zero at each correction and accepts servers up to 5 s away (its RootDistanceMaxSec), so with it 5 s are added.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path

STA_UNSYNC = 0x0040
TIME_ERROR = 5
TIMESYNCD_US = 5_000_000
TIMESYNCD = Path("/run/systemd/timesync/synchronized")


@dataclass(frozen=True, kw_only=True, slots=True)
class KernelTime:
    """Whether a time service keeps the wall clock right, and how far off it may be then."""

    is_synchronised: bool
    max_error_us: int


class _Timex(ctypes.Structure):
    """`struct timex` of a 64-bit Linux."""

    _fields_ = (
        ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long), ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long), ("status", ctypes.c_int), ("constant", ctypes.c_long),
        ("precision", ctypes.c_long), ("tolerance", ctypes.c_long), ("time", ctypes.c_long * 2),
        ("tick", ctypes.c_long), ("ppsfreq", ctypes.c_long), ("jitter", ctypes.c_long), ("shift", ctypes.c_int),
        ("stabil", ctypes.c_long), ("jitcnt", ctypes.c_long), ("calcnt", ctypes.c_long), ("errcnt", ctypes.c_long),
        ("stbcnt", ctypes.c_long), ("tai", ctypes.c_int), ("rest", ctypes.c_int * 11),
    )  # fmt: skip


def kernel_time() -> KernelTime | None:
    """The kernel's own word on its clock; None where it may not be asked (ProtectClock= of systemd forbids it)."""
    try:
        library = ctypes.CDLL(None, use_errno=True)
        timex = _Timex(modes=0)
        state = library.adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return None
    if state < 0:
        return None
    return judge(state=state, status=timex.status, max_error_us=timex.maxerror, is_timesyncd=TIMESYNCD.exists())


def judge(*, state: int, status: int, max_error_us: int, is_timesyncd: bool) -> KernelTime:
    """The kernel's answer in our words; see the module for what a bound is worth."""
    is_synchronised = state != TIME_ERROR and not status & STA_UNSYNC
    return KernelTime(
        is_synchronised=is_synchronised, max_error_us=max(max_error_us, 0) + (TIMESYNCD_US if is_timesyncd else 0)
    )
