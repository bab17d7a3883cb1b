"""How good the wall clock is, as the position service leaves it in the run folder: `time.json`, canonical JSON.

Decided here: the file's form (docs/spec/position.md PO-7 to PO-9), and that it counts for a minute, within the boot of
the machine in which it was written. Other services may not ask the kernel themselves (ProtectClock= of systemd).
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vedette import canonical
from vedette.errors import Integrity

TIME_NAME = "time.json"
MAX_TIME_BYTES = 512
MAX_AGE_US = 60 * 1_000_000
SOURCES = ("gnss", "ntp", "rtc", "none")


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeNote:
    """`source` is one of `SOURCES`; `error_us` bounds the wall clock's error, None where nothing does."""

    source: str
    error_us: int | None
    mono_us: int
    machine: str | None


def write_time(run_dir: Path, note: TimeNote) -> None:
    """Leave the note; it is seen whole or not at all. A folder that does not take it keeps the older one."""
    body = {"source": note.source, "error_us": note.error_us, "mono_us": note.mono_us, "machine": note.machine}
    beside = run_dir / f".{TIME_NAME}.tmp"
    with suppress(OSError):
        beside.write_bytes(canonical.dumps(body))
        os.replace(beside, run_dir / TIME_NAME)


def read_time(run_dir: Path, *, mono_us: int, machine: str | None) -> TimeNote | None:
    """The note in `run_dir`, or None when there is none, it is not whole, too old or of another boot."""
    try:
        with (run_dir / TIME_NAME).open("rb") as file:
            found = _parse(canonical.loads(file.read(MAX_TIME_BYTES + 1), max_bytes=MAX_TIME_BYTES))
    except (OSError, Integrity):
        return None
    is_fresh = found is not None and found.machine == machine and 0 <= mono_us - found.mono_us <= MAX_AGE_US
    return found if is_fresh else None


def _parse(body: object) -> TimeNote | None:
    if not isinstance(body, dict) or set(body) != {"source", "error_us", "mono_us", "machine"}:
        return None
    source, error_us, mono_us, machine = body["source"], body["error_us"], body["mono_us"], body["machine"]
    is_good = source in SOURCES and isinstance(mono_us, int) and isinstance(machine, str | None)
    if not is_good or not isinstance(error_us, int | None) or isinstance(error_us, bool):
        return None
    return TimeNote(source=source, error_us=error_us, mono_us=mono_us, machine=machine)
