"""The window and the part size, on links that are simulated byte by byte: what they carry and what queues on them."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

import pytest

from sync.flight import FIRST_PART_BYTES, LEAST_PART_BYTES, LEAST_PARTS, TARGET_US, Flight, Mark

SECOND_US = 1_000_000
PART = 256 * 1024
ITEM_BYTES = 30 * 1024 * 1024
CREDIT_BYTES = 32 * PART
WARM_US = 15 * SECOND_US


@dataclass
class Link:
    """One queue in front of one line, which loses nothing however long the queue is, and a centre that syncs."""

    bits_a_second: Callable[[int], int]
    delay_us: int
    sync_us: int = 5_000
    jitter_us: int = 0
    flight: Flight = field(default_factory=lambda: Flight(most_part=PART))
    waits: list[tuple[int, int]] = field(default_factory=list)
    came: list[tuple[int, int]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def run(self, seconds: int) -> None:
        """Send without end over it; every wait in the queue and every arrival is written down."""
        rng, order = random.Random(1), count()
        events: list[tuple[int, int, str, list[Mark]]] = []
        now_us = free_us = in_flight = in_item = 0
        arrived: list[Mark] = []
        while now_us < seconds * SECOND_US:
            while in_flight < max(self.flight.window, LEAST_PARTS * LEAST_PART_BYTES) and in_flight < CREDIT_BYTES:
                if in_item <= 0:
                    in_item, part = ITEM_BYTES, self.flight.part_size
                    self.sizes.append(part)
                in_item -= part
                in_flight += part
                mark = self.flight.sent(part, now_us, in_flight=in_flight)
                begins_us = max(free_us, now_us)
                self.waits.append((now_us, begins_us - now_us))
                free_us = begins_us + part * 8 * SECOND_US // self.bits_a_second(begins_us)
                at_us = free_us + self.delay_us // 2 + rng.randrange(self.jitter_us + 1)
                heapq.heappush(events, (at_us, next(order), "arrives", [mark]))
            self.flight.limited()
            now_us, _, what, marks = heapq.heappop(events)
            if what == "arrives":
                self.came.append((now_us, marks[0].size))
                if not arrived:
                    heapq.heappush(events, (now_us + self.sync_us, next(order), "synced", []))
                arrived += marks
            elif what == "synced":
                heapq.heappush(events, (now_us + self.delay_us // 2, next(order), "acked", arrived))
                arrived = []
            else:
                in_flight -= sum(mark.size for mark in marks)
                self.flight.acked(marks, now_us)

    def used(self, seconds: int) -> float:
        """What came, of what could have come, after the start."""
        tick_us = 10_000
        ticks = range(WARM_US, seconds * SECOND_US, tick_us)
        could = sum(self.bits_a_second(at_us) * tick_us / (8 * SECOND_US) for at_us in ticks)
        return sum(size for at_us, size in self.came if at_us >= WARM_US) / could

    def wait_us(self, permille: int, after_us: int = WARM_US) -> int:
        """The wait in the queue that so many of a thousand parts had at most."""
        waits = sorted(wait for at_us, wait in self.waits if at_us >= after_us)
        return waits[min(len(waits) - 1, len(waits) * permille // 1000)]


def steady(megabits: float) -> Callable[[int], int]:
    return lambda _at_us: int(megabits * 1_000_000)


def bloated_lte(at_us: int) -> int:
    """A cell that gives 25, 6, 18, 3 and 12 Mbit/s, five seconds each, and buffers all that is sent into it."""
    return (25, 6, 18, 3, 12)[at_us // (5 * SECOND_US) % 5] * 1_000_000


LINKS = {
    "4 Mbit/s 300 ms": lambda: Link(steady(4), 300_000),
    "20 Mbit/s 40 ms": lambda: Link(steady(20), 40_000),
    "20 Mbit/s 40 ms, jitter": lambda: Link(steady(20), 40_000, jitter_us=20_000),
    "20 Mbit/s 40 ms, slow centre": lambda: Link(steady(20), 40_000, sync_us=50_000),
    "1 Gbit/s LAN": lambda: Link(steady(1000), 500),
    "50 Mbit/s satellite": lambda: Link(steady(50), 600_000),
}


@pytest.mark.parametrize("name", LINKS)
def test_flight_fills_the_link_and_bounds_the_queue(name: str) -> None:
    """WI-50. WI-51: nine tenths of the link, and a queue of a few targets in place of the whole buffer."""
    link = LINKS[name]()
    link.run(60)
    assert link.used(60) >= 0.9
    assert link.wait_us(500) <= 3 * TARGET_US
    assert link.wait_us(950) <= 5 * TARGET_US


def test_flight_follows_a_bloated_cell_up_and_down() -> None:
    """WI-51: half of all parts wait hardly at all, and a fall to a fourth is worked off within its own five seconds."""
    link = Link(bloated_lte, 60_000, jitter_us=15_000)
    link.run(100)
    assert link.used(100) >= 0.9
    assert link.wait_us(500) <= 3 * TARGET_US
    last_second = [wait for at_us, wait in link.waits if at_us > WARM_US and at_us % (5 * SECOND_US) > 4 * SECOND_US]
    assert sorted(last_second)[len(last_second) * 9 // 10] <= 5 * TARGET_US


@pytest.mark.parametrize("name", ["4 Mbit/s 300 ms", "20 Mbit/s 40 ms", "1 Gbit/s LAN"])
def test_flight_never_fills_the_buffer_at_the_start(name: str) -> None:
    """WI-51: it doubles only while nothing waits."""
    link = LINKS[name]()
    link.run(15)
    assert max(wait for _, wait in link.waits) <= 10 * TARGET_US


def test_flight_chooses_parts_of_about_an_eighth_of_the_window() -> None:
    """WI-52: small on a slow link, the largest on a LAN, and in between before anything is known."""
    slow, fast = LINKS["4 Mbit/s 300 ms"](), LINKS["1 Gbit/s LAN"]()
    slow.run(90)
    fast.run(5)
    assert slow.sizes[0] == fast.sizes[0] == FIRST_PART_BYTES
    assert slow.sizes[-1] == LEAST_PART_BYTES
    assert fast.sizes[-1] == PART


def test_flight_learns_a_longer_way_when_the_network_changes() -> None:
    """WI-53: the least delay is measured anew; else a detour would count as a queue for ever."""
    link = Link(steady(20), 40_000)
    link.run(30)
    link.delay_us = 240_000
    other = Link(steady(20), 240_000, flight=link.flight)
    other.run(90)
    late = [size for at_us, size in other.came if at_us > 60 * SECOND_US]
    assert sum(late) >= 0.9 * 20e6 / 8 * 30


def test_flight_is_halved_by_silence_and_never_below_two_parts() -> None:
    """WI-27. WI-51."""
    flight = Flight()
    before = flight.window
    flight.silence()
    assert flight.window == before // 2
    for _ in range(20):
        flight.silence()
    assert flight.window == LEAST_PARTS * LEAST_PART_BYTES


def test_flight_does_not_take_a_senders_own_pause_for_a_slow_link() -> None:
    """WI-51: a hit now and then says nothing about what the network could carry."""
    link = Link(steady(20), 40_000)
    link.run(30)
    window, now_us = link.flight.window, 100 * SECOND_US
    for _ in range(20):
        mark = link.flight.sent(20_000, now_us, in_flight=20_000)
        link.flight.acked([mark], now_us + 50_000)
        now_us += 5 * SECOND_US
    assert link.flight.window >= window // 4
    assert link.flight.rate > 1_000_000
