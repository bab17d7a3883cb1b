"""How long until nothing waits any more, from what was lately acknowledged: a pure rule for the person at the device.

Decided here: only time in which something was under way counts, so that a night without a network does not make the
morning's estimate a week; older times fade. Implements WI-64 of docs/spec/wire.md.
"""

from __future__ import annotations

from collections.abc import Mapping

FADE_US = 120_000_000
LEAST_US = 2_000_000
MOST_PAUSE_US = 2_000_000
LONGEST_S = 999 * 3600


class Progress:
    """Acknowledged bytes over the time in which there was something to send."""

    def __init__(self) -> None:
        self._bytes = 0
        self._busy_us = 0
        self._told_bytes = 0
        self._told_us: int | None = None

    def told(self, acknowledged_bytes: int, now_us: int, *, busy: bool) -> None:
        """So many bytes were acknowledged in all; `busy` when something was under way since the last call."""
        if self._told_us is not None and busy:
            self._busy_us += min(now_us - self._told_us, MOST_PAUSE_US)
            self._bytes += acknowledged_bytes - self._told_bytes
        self._told_bytes, self._told_us = acknowledged_bytes, now_us
        if self._busy_us > FADE_US:
            self._busy_us //= 2
            self._bytes //= 2

    @property
    def bytes_per_s(self) -> int:
        """Lately acknowledged bytes a second; 0 as long as too little is known."""
        return self._bytes * 1_000_000 // self._busy_us if self._busy_us >= LEAST_US else 0

    def empty_in_s(self, waiting_bytes: int) -> int | None:
        """Seconds until `waiting_bytes` are through at this rate; 0 when nothing waits, None when it cannot be said."""
        if waiting_bytes <= 0:
            return 0
        if self.bytes_per_s == 0:
            return None
        return min(LONGEST_S, -(-waiting_bytes // self.bytes_per_s))


def account_text(figures: Mapping[str, int | str], *, connected: bool) -> str:
    """The uplink's figures as one line for the person at the device: how much waits, for what, how long still."""
    items, left_s = int(figures["items_pending"]), figures.get("empty_in_s")
    if not items:
        return "nothing waits"
    said = [f"{items} item{'s' if items != 1 else ''}, {int(figures['bytes_pending']) / 1_000_000:,.1f} MB wait"]
    if not connected:
        said.append("not connected")
    elif left_s == 0:
        said.append("nothing else waits")
    elif left_s is not None:
        rate = int(figures["bytes_per_s"]) * 8 / 1_000_000
        said.append(f"through in about {duration_text(int(left_s))} at {rate:.1f} Mbit/s")
    if figures["bulk_waits"]:
        said.append(f"unmarked video waits: {figures['bulk_waits']}")
    return "; ".join(said)


def duration_text(seconds: int) -> str:
    """`seconds` as a person says it: 40 s, 12 min, 3 h 20 min, 2 days 4 h."""
    minutes = -(-seconds // 60)
    if seconds < 60:
        return f"{seconds} s"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    days = hours // 24
    return f"{days} day{'s' if days > 1 else ''} {hours % 24} h"
