"""What the seeded schedules of `simulator.schedules` happen in: how items are cut, and the workers there are.

Decided here: the sizes. Parts are of a few bytes, so that a schedule is short; where they are of one byte, an item has
many gaps and an ack may name two of its ranges only, as one of the wire names 64 of thousands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from sync import receiver as centre_side
from sync.receiver import Receiver
from sync.sender import Offer

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """How items are cut here: sizes in bytes, `budget` and `window` in parts, `told` ranges that an ack may name."""

    part: int
    sizes: tuple[int, ...]
    budget: int
    window: int
    told: int


USUAL = Cut(part=4, sizes=(1, 4, 5, 12), budget=6, window=4, told=64)
TINY = Cut(part=1, sizes=(9, 30), budget=24, window=16, told=2)


@dataclass(kw_only=True, slots=True, eq=False)
class Worker:
    """One ingest worker; what it has written is gone when it dies, what is on its disk stays."""

    name: str
    receiver: Receiver
    disk: dict[str, dict[int, bytes]]
    written: dict[str, dict[int, bytes]] = field(default_factory=dict)
    syncing: dict[str, tuple[centre_side.Sync, dict[int, bytes]]] = field(default_factory=dict)
    flush_due: bool = False


def offer_of(item: str, payload: bytes, priority: int) -> Offer:
    """A segment of that content; its hash and manifest are stand-ins that say the same bytes."""
    return Offer(
        item=item, kind="segment", size=len(payload), sha256=payload.hex(), priority=priority, manifest=b"m" + payload
    )


def pick(rng: Random, choices: Sequence[T]) -> T:
    """`rng.choice`, in a third of its time."""
    return choices[int(rng.random() * len(choices))]
