"""A day of many devices whose centre is away, in minutes: time stands still for them while anything is on its way.

Decided here: the uplink is the real one with its real queue on the disk and its real connections over TLS to a real
broker; only its clock is held. A device takes one step for each `step_us` of the day; then all wait until the broker
has answered whatever they began, and only then is it later. So no timer runs out because this machine is slow. What is
compressed: between two steps nothing happens, so what is due more often than `step_us` (a status, a question that
nobody heard) is said once a step, and the pings that keep a connection alive go by the machine's own clock. What
is not: how often items are made, connections are cut and made again, sessions, wills, births, questions, the order.
Once the day is over the clock is let go, and everything is as on a street.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from simulator.freight import Loader
from sync.link import Buffer, Connected, Event
from sync.paho_link import LinkConfig, PahoLink
from sync.uplink import Uplink
from sync.uplink_commands import make_uplink
from vedette import spool
from vedette.clock import Clock, TimeQuality
from vedette.errors import Refused
from vedette.records import PRIORITY_BULK, PRIORITY_MARKED

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
SETTLE_WITHIN_S = 120.0
ROUND_S = 0.08
BEGINS_MONO_US = 3_600 * SECOND_US


class HeldClock:
    """A clock that stands where it was put until it is let go; then it is the machine's, corrected as by a server."""

    def __init__(self, utc_us: int, mono_us: int) -> None:
        self._utc_us = utc_us
        self._mono_us = mono_us
        self._let_go_us: int | None = None

    def utc_us(self) -> int:
        """Where the wall clock was put."""
        return self._utc_us if self._let_go_us is None else time.time_ns() // 1000

    def mono_us(self) -> int:
        """Where the monotonic clock was put, and what has passed since it was let go."""
        passed_us = 0 if self._let_go_us is None else time.monotonic_ns() // 1000 - self._let_go_us
        return self._mono_us + passed_us

    def quality(self) -> TimeQuality:
        """Simulated."""
        return TimeQuality(source="simulated", error_us=0)

    def machine(self) -> str | None:
        """No boot of any machine."""
        return None

    def advance(self, duration_us: int) -> None:
        """Move both clocks forward."""
        self._utc_us += duration_us
        self._mono_us += duration_us

    def let_go(self) -> None:
        """Let it run from now on."""
        self._let_go_us = time.monotonic_ns() // 1000


class HeldLink(PahoLink):
    """The real link, which never waits for the machine's time to pass, and counts sessions and what it is to send."""

    published = 0
    sessions = 0

    def poll(self, timeout_s: float) -> list[Event]:
        """As in `Link`, at once."""
        events = super().poll(0.0)
        self.sessions += sum(isinstance(event, Connected) for event in events)
        return events

    def publish(self, topic: str, payload: bytes, *, behind: Buffer = b"", retain: bool = False) -> bool:
        """As in `Link`."""
        taken = super().publish(topic, payload, behind=behind, retain=retain)
        self.published += taken
        return taken


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What a device makes in the day, and how often its connections are cut."""

    hits: int = 10
    marked: int = 2
    bulk: int = 4
    size: int = 256 * 1024
    cuts: int = 4


class Resident:
    """One device through the day."""

    def __init__(self, path: Path, clock: HeldClock, load: Load) -> None:
        self.loader = Loader(path, clock)
        self.links: list[HeldLink] = []
        self._clock = clock
        self._plan = _plan(load, Random(path.parent.name))
        self._load = load
        self._uplink = self._start()

    @property
    def settled(self) -> bool:
        """Nothing that it began waits for the broker."""
        return all(link.settled for link in self.links)

    def step(self) -> None:
        """One step of its uplink."""
        self._uplink.step(self._clock.mono_us())

    def live(self, begins_us: int, ends_us: int) -> None:
        """Make what the plan has for that time of the day, and lose the connections that it says."""
        for at_us, what in self._plan:
            if begins_us <= at_us < ends_us:
                self._do(what)

    def through(self) -> bool:
        """Whether every item of its spool has a receipt on the disk."""
        items = spool.item_ids(self.loader.config.spool)
        return all((self.loader.config.receipts / f"{item}.receipt").is_file() for _kind, item, _path in items)

    def order(self) -> list[int]:
        """The priorities of its hits and recordings in the order in which their receipts came, once it is `through`.

        Custody is left out: it is sealed when there is something to tell, which may be in the middle of this.
        """
        made = [(item, path) for kind, item, path in spool.item_ids(self.loader.config.spool) if kind != "custody"]
        received = ((self._received_ns(item), spool.load(path).manifest.priority) for item, path in made)
        return [priority for _, priority in sorted(received)]

    def close(self) -> None:
        """Say goodbye."""
        self._uplink.close()

    def _do(self, what: str) -> None:
        if what == "hit":
            self.loader.put_hit()
        elif what == "cut":
            for link in self.links:
                link.cut("no network")
        else:
            self.loader.put(self._load.size, priority=PRIORITY_MARKED if what == "marked" else PRIORITY_BULK)

    def _received_ns(self, item: str) -> int:
        return (self.loader.config.receipts / f"{item}.receipt").stat().st_mtime_ns

    def _start(self) -> Uplink:
        def connect(config: LinkConfig, clock: Clock) -> PahoLink:
            self.links.append(HeldLink(config, clock))
            return self.links[-1]

        return make_uplink(self.loader.config, self._clock, connect)


class Street:
    """All devices of one process, on one clock."""

    def __init__(self, paths: Sequence[Path], *, begins_utc_us: int, load: Load, step_us: int, at_us: int = 0) -> None:
        """`at_us` of the day that began at `begins_utc_us` it is now; a device that was killed then begins there."""
        self._clock = HeldClock(begins_utc_us + at_us, BEGINS_MONO_US + at_us)
        self._at_us, self._step_us = at_us, step_us
        self.residents = [Resident(path, self._clock, load) for path in paths]
        self._settle()

    @property
    def published(self) -> int:
        """Messages that the broker was given so far."""
        return sum(link.published for one in self.residents for link in one.links)

    @property
    def sessions(self) -> int:
        """Sessions that began so far."""
        return sum(link.sessions for one in self.residents for link in one.links)

    def live_until(self, until_us: int) -> None:
        """Let the day go on until then."""
        while self._at_us < until_us:
            self._clock.advance(self._step_us)
            for one in self.residents:
                one.live(self._at_us, self._at_us + self._step_us)
                one.step()
            self._at_us += self._step_us
            self._settle()

    def drain(self, within_s: float) -> None:
        """Let the clock go, and step until everything has its receipt; `Refused` when that takes longer."""
        self._clock.let_go()
        waiting, until = list(self.residents), time.monotonic() + within_s
        while waiting:
            for _ in range(10):
                for one in self.residents:
                    one.step()
                time.sleep(ROUND_S)
            waiting = [one for one in waiting if not one.through()]
            if time.monotonic() > until:
                raise Refused(f"{len(waiting)} devices have items without a receipt after {within_s:.0f} s")

    def close(self) -> None:
        """End every uplink."""
        for one in self.residents:
            one.close()

    def _settle(self) -> None:
        """Wait until the broker has answered all there is; time stands still meanwhile."""
        until = time.monotonic() + SETTLE_WITHIN_S
        while busy := [one for one in self.residents if not one.settled]:
            for one in busy:
                one.step()
            if time.monotonic() > until:
                raise Refused(f"the broker has not answered {len(busy)} devices within {SETTLE_WITHIN_S:.0f} s")
            time.sleep(0.001)


def _plan(load: Load, chance: Random) -> list[tuple[int, str]]:
    """When what happens, by microseconds of the day; nothing in the first minutes and the last."""

    def times(count: int) -> Iterator[int]:
        return (chance.randrange(DAY_US // 100, DAY_US * 98 // 100) for _ in range(count))

    counts = {"hit": load.hits, "marked": load.marked, "bulk": load.bulk, "cut": load.cuts}
    return sorted((at_us, what) for what, count in counts.items() for at_us in times(count))
