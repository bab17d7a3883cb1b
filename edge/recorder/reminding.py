"""Whether the officer is reminded of a recording, as intervals in custody.

Decided here: while a recording goes on there is one interval after the other, each with the period of the reminder or
with why there is none: stealth, policy, or a panel that does not run. Who reminds is the panel; what is said here is
what its status says of it, so a panel that died reminds nobody. No line is written for a single reminder.
Implements AC-48 of docs/spec/activation.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge.camera.condition import Moment
from edge.recorder.facts import Detail
from vedette.daemon import read_status

PANEL_FRESH_US = 5_000_000
# As a device starts, the panel's first status comes a little later than the recording.
PATIENCE_US = 5_000_000
MAX_PERIOD_S = 3600
STEALTH, POLICY, PANEL, REMINDED, STOPPED = "stealth", "policy", "panel", "reminded", "stopped"

Said = tuple[str, Detail]


@dataclass(frozen=True, slots=True)
class Reminder:
    """How often the officer is reminded, or why not."""

    period_s: int | None
    why: str | None

    def to_detail(self) -> Detail:
        """The detail of `reminder.began`."""
        return {"period_s": self.period_s, "why": self.why}


def period_of(status: Mapping[str, object], *, utc_us: int) -> int | None:
    """Every how many seconds the panel reminds, 0 for never; None where it does not say, or not any more."""
    told_us, period_s = status.get("utc_us"), status.get("reminder_s")
    if not isinstance(told_us, int) or abs(utc_us - told_us) > PANEL_FRESH_US:
        return None
    return period_s if isinstance(period_s, int) and 0 <= period_s <= MAX_PERIOD_S else None


class Reminding:
    """The interval that is open, if one is; driven by the recorder's thread."""

    def __init__(self, run_dir: Path) -> None:
        """`run_dir` is where the panel leaves its status."""
        self._run_dir = run_dir
        self._open: Reminder | None = None
        self._silent_us: int | None = None
        self._is_over = False

    def look(self, now: Moment, *, recording: bool, stealth: bool, can_say: bool) -> list[Said]:
        """What custody is to have of it now; nothing while the disk takes nothing (`can_say`), and that later."""
        self._is_over = self._is_over or not recording
        if not can_say:
            return []
        said = self.end(STOPPED) if self._is_over else []
        self._is_over = False
        if not recording:
            self._silent_us = None
            return said
        found = self._found(now, stealth=stealth)
        if found is None or found == self._open:
            return said
        said += self.end(found.why or REMINDED)
        self._open = found
        return [*said, ("reminder.began", found.to_detail())]

    def end(self, by: str) -> list[Said]:
        """The end of the interval that is open."""
        before, self._open = self._open, None
        return [] if before is None else [("reminder.ended", {"by": by})]

    def _found(self, now: Moment, *, stealth: bool) -> Reminder | None:
        """How it is now; None while the panel may only be slow to say."""
        if stealth:
            return Reminder(None, STEALTH)
        period_s = period_of(read_status(self._run_dir, "panel"), utc_us=now.utc_us)
        if period_s is None:
            self._silent_us = now.mono_us if self._silent_us is None else self._silent_us
            is_sure = self._open is not None or now.mono_us - self._silent_us >= PATIENCE_US
            return Reminder(None, PANEL) if is_sure else None
        self._silent_us = None
        return Reminder(period_s, None) if period_s else Reminder(None, POLICY)
