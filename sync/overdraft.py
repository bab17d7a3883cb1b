"""What each device has sent against what it was granted: who goes on beyond that is put off for a while.

A pure account for one worker. Decided here: how much more than was granted may come of an honest device, so that none
is ever accused. Parts come twice where a network doubles them or an ack was lost, so each granted byte pays for two.
Parts also come that another worker's life granted, or that were under way when the device asked anew; their bytes are
within one budget or two (1.8 at most in eight thousand schedules), and four are allowed. `simulator.schedules` breaks
where an honest device comes to the end of it, whatever is lost, doubled, delayed or restarted there. Implements WI-73
of docs/spec/wire.md.
"""

from __future__ import annotations

from collections import Counter

ALLOWED_BUDGETS = 4
PAID_TWICE = 2
HELD_US = 60_000_000


class Overdraft:
    """The accounts of one worker; times are monotonic microseconds. One number is kept for each device that sent."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget = budget_bytes
        self._most = ALLOWED_BUDGETS * budget_bytes
        self._left: dict[str, int] = {}
        self._held: dict[str, int] = {}  # when the last part of a device that is put off came
        self._far: Counter[str] = Counter()
        self.beyond = 0

    def granted(self, device: str, size: int) -> None:
        """`size` bytes more than before may be on their way."""
        left = self._left.get(device)
        if left is not None:  # else it has all there is
            self._left[device] = min(self._most, left + PAID_TWICE * size)

    def came(self, device: str, size: int, now_us: int) -> int:
        """Bytes that may still come of `device` beyond those granted, after a part of `size`; below 0: too many."""
        left = self._left.get(device, self._most) - size
        if left < 0 and device in self._held and not self.is_held(device, now_us):
            left = self._most - size
        self._left[device] = left
        return left

    def is_stray(self, left: int) -> bool:
        """Whether one with so much `left` has sent more than a budget that nobody granted."""
        return left < self._most - self._budget

    def is_held(self, device: str, now_us: int) -> bool:
        """Whether `device` is put off; a minute after its last part it begins anew."""
        last_us = self._held.get(device)
        if last_us is None:
            return False
        if now_us - last_us > HELD_US:
            del self._held[device], self._left[device]
            return False
        return True

    def went_beyond(self, device: str, left: int, now_us: int) -> bool:
        """Note a part that came with so much `left`, below 0; whether the device was not put off before."""
        is_new = device not in self._held
        self._held[device] = now_us
        self.beyond += 1
        if left < -self._budget:
            self._far[device] += 1
        return is_new

    def take_far(self) -> Counter[str]:
        """Parts by device that came a budget and more after it was put off, since this was last asked."""
        far, self._far = self._far, Counter()
        return far
