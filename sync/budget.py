"""How many bytes may be on their way to one ingest worker: as many as it works off without a standing queue.

A pure rule. Decided here: when the budget shrinks and grows. What waits at the broker for a worker waits in one line, a
hit behind whatever bulk came before it, so the budget is the longest that a hit waits. A worker that has read all there
was within the last `TARGET_US` has no standing queue, however much is under way on slow networks; one that never comes
to the end of it has, and grants less until it does (the idea of CoDel, RFC 8289: not how long a queue is, but whether
it ever empties). Implements WI-68 of docs/spec/wire.md.
"""

from __future__ import annotations

TARGET_US = 100_000
LEAST_BYTES, FIRST_BYTES = 2 << 20, 4 << 20
SHRINK, GROW = 4, 8  # a quarter at once, an eighth at once


class Budget:
    """One worker's budget; times are monotonic microseconds."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._least = min(LEAST_BYTES, most_bytes)
        self.bytes = min(FIRST_BYTES, most_bytes)
        self._empty_us: int | None = None
        self._changed_us = 0

    def looked(self, now_us: int, *, emptied: bool, used_bytes: int) -> int:
        """The budget after a look at the line: whether that has read all there was, and what is granted now."""
        if emptied or self._empty_us is None:
            self._empty_us = now_us
        if now_us - self._changed_us >= TARGET_US:
            if emptied and used_bytes > self.bytes // 2:
                self.bytes, self._changed_us = min(self._most, self.bytes + self.bytes // GROW), now_us
            elif now_us - self._empty_us >= TARGET_US:
                self.bytes, self._changed_us = max(self._least, self.bytes - self.bytes // SHRINK), now_us
        return self.bytes
