"""A hundred devices that upload at once: the broker's memory, and how long a hit takes meanwhile.

Once over the bare loopback, where only this machine is the limit, and once with a link of its own for each device, as a
modem has it: 4 Mbit/s and 300 ms there and back, bulk and hits together on it. All devices upload from the first to the
last second, which begins with all of them asking at once. The hits are those of eight of them, each a process of its
own: a car has its own processor, and with 25 devices in one process a hit would wait for 24 others' Python. The other
devices' processors are not the centre's either: they get what the centre, its broker and those cars leave (nice 19), or
ninety-two cars' Python would be measured as if it ran in the command room.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from bench.depot import devices, permille, shaped, site
from bench.harness import Fact
from simulator.relay import Shape

DEVICES, SECONDS = 100, 40.0
WITH_HITS, HIT_EVERY_S = 8, 1.0
MODEM = Shape(rate_bps=4_000_000, delay_s=0.150)
BROKER_BYTES = 64_000_000
MB, MIB = 1_000_000, 1 << 20


def crowd() -> list[Fact]:
    """Two runs of some forty seconds."""
    return [*_run("unshaped", None, bound_ms=250), *_run("4 Mbit/s, 300 ms each", MODEM, bound_ms=1000)]


def _run(name: str, shape: Shape | None, *, bound_ms: int) -> list[Fact]:
    with site() as where:
        paths = where.enrol(DEVICES)
        link = nullcontext() if shape is None else shaped(where, paths, shape)
        others, hunters = paths[WITH_HITS:], paths[:WITH_HITS]
        with link, devices(where, others, last=True) as fleet, devices(where, hunters, each=1) as cars:
            fleet.say("ready", SECONDS, 0)
            cars.tell("ready", SECONDS, HIT_EVERY_S)
            fleet.hear()
            fleet.say("crowd", SECONDS)
            answers = cars.tell("crowd", SECONDS) + fleet.hear()
            memory = where.broker_bytes()
    return _facts(name, answers, memory, bound_ms)


def _facts(name: str, answers: Sequence[dict[str, Any]], memory: int, bound_ms: int) -> list[Fact]:
    hits = [float(one) for answer in answers for one in answer["hits"]]
    rate = sum(answer["bytes"] / answer["seconds"] for answer in answers) / MIB
    spread = ", ".join(f"{part / 10:g} % in {permille(hits, part) * 1000:.0f} ms" for part in (500, 950, 990))
    return [
        Fact(
            name=f"{len(hits)} hits to their receipts while {DEVICES} devices upload, {name}",
            figure=spread,
            bound=f"99 % in {bound_ms} ms",
        ),
        Fact(
            name=f"the broker's memory meanwhile, at {rate:.1f} MiB/s",
            figure=f"{memory / MB:.0f} MB",
            bound=f"{BROKER_BYTES // MB} MB",
        ),
    ]
