"""How many bytes may be on their way to one ingest worker: as many as it works off without a standing queue.

A pure rule. Decided here: when the budget shrinks and grows. What waits for a worker, at the broker or in whatever
buffer, waits in one line, a hit behind whatever bulk came before it. How long is told by what the worker sends to the
broker itself, whose answers wait in that line too: the delay over the least one seen is the queue's (as in LEDBAT, RFC
6817), however much is under way on slow networks, and wherever it lies. A broker whose answers go past the line is
found out by the second rule: a worker that never reads all there was has a standing queue (as in CoDel, RFC 8289: not
how long a queue is, but whether it ever empties). Less granted makes no line shorter that was never granted: while most
of what comes is such, nobody is granted less for it. And however short the line is, a worker that stops for a moment
lets all that is on its way stand at the broker, which holds each part twice until that is read: what it was sent, and
the packet made of it. So the budget grows to a part of what is configured; the rest is for what has come and waits for
the disk. Implements WI-68, WI-73 and WI-76 of docs/spec/wire.md.
"""

from __future__ import annotations

from dataclasses import dataclass

TARGET_US = 60_000  # the longest that what comes should have waited
STANDS_US = 100_000  # how long the line may not be read to its end
REST_US = 100_000  # between two changes, so that the one is seen before the other
HOLD_US = 400_000  # from less to more
LEAST_BYTES, FIRST_BYTES = 2 << 20, 4 << 20
COMING = 3  # what has not come yet is at most the configured over this
SHRINK, GROW = 4, 8  # a quarter at once, an eighth at once
LOOKS = 8  # about so many that brought parts say what comes just now


@dataclass(frozen=True, kw_only=True, slots=True)
class Flow:
    """Bytes of parts since the look before: `stray` were never granted, `taken` were."""

    stray_bytes: int = 0
    taken_bytes: int = 0


NOTHING = Flow()


class Budget:
    """One worker's budget at one of its `brokers`, which begin with equal shares; `most_bytes` is what is configured.

    Times are monotonic microseconds.
    """

    def __init__(self, most_bytes: int, brokers: int = 1) -> None:
        self._most = most_bytes // COMING
        self._least = min(LEAST_BYTES // brokers, self._most)
        self.bytes = min(FIRST_BYTES // brokers, self._most)
        self._stray_bytes = self._taken_bytes = 0
        self._empty_us: int | None = None
        self._waited_us = 0
        self._rests_until_us = self._holds_until_us = 0

    def looked(
        self, now_us: int, *, emptied: bool, waited_us: int | None, used_bytes: int, flow: Flow = NOTHING
    ) -> int:
        """The budget after a look at the line: whether that has read all there was, how long what it read had waited
        (None where that is not known), what is granted now, and what came since the look before.
        """
        if emptied or self._empty_us is None:
            self._empty_us = now_us
        self._waited_us = self._waited_us if waited_us is None else waited_us
        if flow.stray_bytes or flow.taken_bytes:
            self._stray_bytes += flow.stray_bytes - self._stray_bytes // LOOKS
            self._taken_bytes += flow.taken_bytes - self._taken_bytes // LOOKS
        if now_us >= self._rests_until_us:
            is_full = now_us - self._empty_us >= STANDS_US
            may_grow = emptied and used_bytes > self.bytes // 2 and now_us >= self._holds_until_us
            before, self.bytes = self.bytes, self._fitting(waited_us or 0, is_full, may_grow)
            if self.bytes != before:
                self._rests_until_us = now_us + REST_US
            if self.bytes < before:
                self._holds_until_us = now_us + HOLD_US
        return self.bytes

    def _fitting(self, waited_us: int, is_full: bool, may_grow: bool) -> int:
        if (waited_us >= TARGET_US or is_full) and self._stray_bytes > self._taken_bytes:
            return self.bytes
        if waited_us >= 2 * TARGET_US:
            return max(self._least, self.bytes // 2)
        if waited_us >= TARGET_US or is_full:
            return max(self._least, self.bytes - self.bytes // SHRINK)
        if may_grow and self._waited_us < TARGET_US // 2:
            return min(self._most, self.bytes + self.bytes // GROW)
        return self.bytes
