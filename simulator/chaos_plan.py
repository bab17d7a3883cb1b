"""What the chaos trial does and sends, by its seed alone: whom it kills after which pause, and what waits.

Decided here: how often each process is chosen, how often several at once, when a link is cut or silent, and the sizes
of what is sent. Kills and freight are drawn apart, and each car's freight apart, so that how fast this machine sends
changes neither. Where in a process a kill falls, and whether its victim lives then, is the machine's own chance.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from vedette.records import PRIORITY_BULK, PRIORITY_HIT, PRIORITY_MARKED

Trouble = Literal["cut", "mute", ""]

CENTRE, BROKER, DOOR, DATABASE = "centre", "broker", "depot", "database"
UPLINK, KEEPER = "uplink", "keeper"
SHARES = {UPLINK: 9.0, KEEPER: 2.0, BROKER: 6.0, CENTRE: 4.0, DOOR: 5.0, DATABASE: 5.0}
WORKER_SHARE = 5.0
AT_ONCE = {1: 80, 2: 15, 3: 5}
TROUBLES: dict[Trouble, int] = {"cut": 15, "mute": 5, "": 80}
MEAN_PAUSE_S = 0.7
MOST_PAUSE_S = 4.0
BREATHS = 0.2
MOST_SEGMENT_BYTES = 3 << 20
HIT_SHARE = 0.3
BULK_SHARE, BULK_SHARE_PARKED = 0.5, 0.9


@dataclass(frozen=True, kw_only=True, slots=True)
class Strike:
    """One blow: the pause before it, the trouble of one link (by its number), and who is killed at once.

    `breath`: after the pause it waits until something has come through that link, however slow this machine is.
    """

    pause_s: float
    breath: bool
    link: int
    trouble: Trouble
    victims: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Freight:
    """One item to send: a segment of `size` bytes of content, or a hit, by its priority."""

    size: int
    priority: int


def of_car(car: str, service: str) -> str:
    """What the plan calls a service of a car."""
    return f"{car}/{service}"


def cast(cars: Sequence[str], workers: Sequence[str], *, database: bool) -> dict[str, float]:
    """Whom the trial kills, and how often in proportion; the cars' services share what one of them had alone."""
    found = {of_car(car, service): SHARES[service] / len(cars) for car in cars for service in (UPLINK, KEEPER)}
    found |= {name: SHARES[name] for name in (BROKER, CENTRE, DOOR)} | dict.fromkeys(workers, WORKER_SHARE)
    return found | ({DATABASE: SHARES[DATABASE]} if database else {})


def strikes(seed: int, shares: Mapping[str, float], links: int) -> Iterator[Strike]:
    """The blows of `seed` without end, at the processes and as many links as there are."""
    chance = random.Random(f"{seed} strikes")
    while True:
        pause_s, breath = min(chance.expovariate(1 / MEAN_PAUSE_S), MOST_PAUSE_S), chance.random() < BREATHS
        (trouble,) = chance.choices(list(TROUBLES), list(TROUBLES.values()))
        (count,) = chance.choices(list(AT_ONCE), list(AT_ONCE.values()))
        victims = chance.choices(list(shares), list(shares.values()), k=count)
        yield Strike(
            pause_s=pause_s,
            breath=breath,
            link=chance.randrange(links),
            trouble=trouble,
            victims=tuple(sorted(set(victims))),
        )


def freight(seed: int, car: str, *, parked: bool) -> Iterator[Freight]:
    """What `car` sends, without end: hits, marked recordings and bulk, from a hundred bytes to the largest.

    What waits on a parked car is most of it bulk.
    """
    chance = random.Random(f"{seed} freight of {car}")
    bulk_share = BULK_SHARE_PARKED if parked else BULK_SHARE
    while True:
        is_hit, size = chance.random() < HIT_SHARE, int(MOST_SEGMENT_BYTES ** chance.uniform(0.3, 1.0))
        priority = PRIORITY_BULK if chance.random() < bulk_share else PRIORITY_MARKED
        yield Freight(size=0, priority=PRIORITY_HIT) if is_hit else Freight(size=size, priority=priority)
