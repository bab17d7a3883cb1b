"""How many bytes may be on their way, and how large a part should be: a pure rule fed by acks, no clock, no socket.

Decided here: the window is what the link carries in its base delay plus `TARGET_US` of queue (Little's law), so that a
hit on the same link never waits long behind bulk, in whatever buffer. Not decided here: what the centre allows (credit)
and which part goes next (`sync.sender`). Implements WI-50 to WI-53 of docs/spec/wire.md.

Why not a fixed window: 16 parts of 256 KiB are eight seconds of queue at 4 Mbit/s and a twentieth of what a LAN wants.
Why not loss: TCP below hides it, and a bufferbloated link loses nothing for seconds. As LEDBAT (RFC 6817) does it, the
measure is the delay over the least one seen; as BBR does it, the rate is what was delivered between sending and ack.
The least delay is kept for each size of part, since a large one takes longer also where nothing waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vedette.wire import MAX_PART_BYTES

TARGET_US = 60_000
FIRST_WINDOW_BYTES = 128 * 1024
FIRST_PART_BYTES = 64 * 1024
LEAST_PART_BYTES = 16 * 1024
LEAST_PARTS = 2
MOST_WINDOW_BYTES = 64 * 1024 * 1024
PARTS_IN_A_WINDOW = 8
RATE_ROUNDS = 6
BASE_US = 20_000_000
ROUNDS_WITHOUT_GROWTH = 3
NEVER_US = 1 << 62


class Mark(NamedTuple):
    """What was known when a part of `size` bytes was sent; given back with its ack."""

    size: int
    sent_us: int
    delivered: int
    delivered_us: int


@dataclass(slots=True)
class _Base:
    """The least answer time for parts of one size, and when it was last seen."""

    us: int
    seen_us: int


class Flight:
    """One network's window, for all uploads of a device together. Times are monotonic microseconds."""

    def __init__(self, *, first_window: int = FIRST_WINDOW_BYTES, most_part: int = MAX_PART_BYTES) -> None:
        self._most_part = most_part
        self._window = first_window
        self._known = False
        self._starting = True
        self._stalled = 0
        self._drain = False
        self._full = False
        self._delivered = 0
        self._delivered_us = 0
        self._bases: dict[int, _Base] = {}
        self._rates: deque[int] = deque(maxlen=RATE_ROUNDS)
        self._round_ends = self._round_rate = self._round_worst_us = 0
        self._round_queue_us = self._round_answer_us = NEVER_US

    @property
    def window(self) -> int:
        """While fewer bytes than this are unacknowledged, another part may be sent."""
        return self._window // 4 if self._drain else self._window

    @property
    def rate(self) -> int:
        """Bytes a second that the network has lately taken; 0 before anything was measured."""
        return max(self._rates, default=0)

    @property
    def part_size(self) -> int:
        """The size for parts of an item that begins now: an eighth of the window, a power of two."""
        if not self._known:
            return min(FIRST_PART_BYTES, self._most_part)
        eighth = max(self._window // PARTS_IN_A_WINDOW, LEAST_PART_BYTES)
        return min(1 << (eighth.bit_length() - 1), self._most_part)

    def sent(self, size: int, now_us: int, *, in_flight: int) -> Mark:
        """A part of `size` bytes is on its way, `in_flight` bytes are with it; keep the mark for its ack."""
        if in_flight <= size:
            # After a pause: what was delivered before says nothing about the time in which nothing was sent.
            self._delivered_us = now_us
        return Mark(size, now_us, self._delivered, self._delivered_us)

    def limited(self) -> None:
        """More would have been sent had the window allowed it; without this word a low rate is the sender's own."""
        self._full = True

    def acked(self, marks: Sequence[Mark], now_us: int) -> None:
        """The parts of these marks, each sent once, were acknowledged together."""
        if not marks:
            return
        self._delivered += sum(mark.size for mark in marks)
        self._delivered_us = now_us
        oldest = min(marks, key=lambda mark: mark.delivered)
        newest = max(marks, key=lambda mark: mark.sent_us)
        taken_us = max(now_us - oldest.delivered_us, 1)
        self._round_rate = max(self._round_rate, (self._delivered - oldest.delivered) * 1_000_000 // taken_us)
        for mark in marks:
            self._measure(mark, now_us)
        if newest.delivered >= self._round_ends:
            self._end_round(newest, now_us)

    def silence(self) -> None:
        """Nothing came in time: the network is not what it was."""
        self._window = max(self._window // 2, LEAST_PARTS * LEAST_PART_BYTES)
        self._starting = False
        self._rates.clear()
        self._begin_round()

    def _measure(self, mark: Mark, now_us: int) -> None:
        answer_us = max(now_us - mark.sent_us, 1)
        base = self._bases.get(mark.size.bit_length())
        if base is None:
            self._bases[mark.size.bit_length()] = base = _Base(answer_us, now_us)
        if answer_us <= base.us:
            base.us, base.seen_us = answer_us, now_us
        self._round_queue_us = min(self._round_queue_us, answer_us - base.us)
        self._round_worst_us = max(self._round_worst_us, answer_us - base.us)
        self._round_answer_us = min(self._round_answer_us, answer_us)

    def _begin_round(self) -> None:
        self._round_ends = self._delivered
        self._round_rate = self._round_worst_us = 0
        self._round_queue_us = self._round_answer_us = NEVER_US
        self._full = False

    def _end_round(self, mark: Mark, now_us: int) -> None:
        """About one answer time has gone by since the last one: what was measured becomes the window."""
        base = self._bases[mark.size.bit_length()]
        if self._drain:
            # The queue of the last seconds is gone: what is left is the delay of the network as it is now.
            base.us, base.seen_us, self._drain = self._round_answer_us, now_us, False
        elif now_us - base.seen_us > BASE_US:
            self._drain = True
        elif self._full or self._round_rate > self.rate:
            self._adapt(base, mark.size)
        self._known = True
        self._begin_round()

    def _adapt(self, base: _Base, part: int) -> None:
        before = self.rate
        if self._round_queue_us > 2 * TARGET_US:
            self._rates.clear()  # the rate has fallen: what was measured before it fell is no measure
        self._rates.append(self._round_rate)
        if self._starting:
            self._stalled = self._stalled + 1 if self.rate < before + before // 4 else 0
            self._starting = self._stalled < ROUNDS_WITHOUT_GROWTH and self._round_worst_us <= TARGET_US
        fit = self.rate * (base.us + TARGET_US) // 1_000_000
        wanted = max(fit, 2 * self._window) if self._starting else fit
        self._window = min(max(wanted, LEAST_PARTS * min(part, self._most_part)), MOST_WINDOW_BYTES)
