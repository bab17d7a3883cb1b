"""Nobody takes evidence in for a day while two hundred devices fill up: the broker's memory, then how they empty.

The day is a held one (`simulator.absence` says what is compressed). The broker runs on its own and is restarted in the
morning, killed in the afternoon; the centre is away; one process of devices is killed at ten and begins again from its
disks. Then the centre starts, and everything that lies in any spool is accounted for at the centre: its bytes, one row,
one leaf, a receipt. A device that nobody heard asks again after half a minute, a minute where it speaks MQTT 3.1.1: one
more step of the held day stands for that wait.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.depot import DEVICES_IN_A_PROCESS, Site, end, hear, memory_bytes, site, start
from bench.harness import Fact
from simulator.absence import DAY_US, SECOND_US
from simulator.chaos_account import Account, account_for
from simulator.freight import Loader
from sync.central.broker import Broker
from sync.sender import MAX_UNDER_WAY

DEVICES, STEP_S = 200, 60
STRETCHES = 48
RESTART_AT, DEVICES_DIE_AT, KILL_AT = 12, 20, 30
DOWN_S = 0.5
DRAIN_WITHIN_S = 600.0
OLD_MQTT_EVERY = 10
LAST_WORDS = 2000
EMBEDDED = "embedded = true"
MIB = 1 << 20
BESIDE = MAX_UNDER_WAY - 1


@dataclass(kw_only=True)
class Outcome:
    """What the day came to: bytes of the broker's memory in turn, and what was found in the end."""

    memory: list[int] = field(default_factory=list)
    most: int = 0
    drained: int = 0
    messages: int = 0
    sessions: int = 0
    orders: list[list[int]] = field(default_factory=list)
    day_s: float = 0.0
    drain_s: float = 0.0
    account: Account = field(default_factory=Account)

    @property
    def in_order(self) -> int:
        """Devices whose receipts came in order of priority without exception."""
        return sum(order == sorted(order) for order in self.orders)

    @property
    def overtaken(self) -> int:
        """By how many less urgent items, at most, any item was overtaken on its device."""
        return max(sum(one > own for one in order[:at]) for order in self.orders for at, own in enumerate(order))


def absence() -> list[Fact]:
    """A day of absence, then everything."""
    came = run(DEVICES, step_s=STEP_S)
    found = came.account
    hours = ", ".join(f"{came.memory[at * 2 - 1] / MIB:.1f} at {at} h" for at in (1, 8, 16, 24))
    said = f"{came.messages:,} messages, {came.sessions:,} sessions, in {came.day_s:.0f} s"
    return [
        Fact(
            name=f"the broker's memory while nobody takes in for a day, {DEVICES} devices ({said})",
            figure=f"{hours}; {came.most / MIB:.1f} MiB at most, {came.drained / MIB:.1f} when drained",
            bound="150 MiB",
        ),
        Fact(
            name=f"then {found.checked:,} items are taken in within {came.drain_s:.0f} s",
            figure=f"{came.in_order} devices wholly in order of priority, elsewhere an item was overtaken by"
            f" {came.overtaken}; lost {len(found.lost)}, twice {len(found.twice)}",
            bound=f"overtaken by {BESIDE}, which are under way with it; 0, 0",
        ),
    ]


def run(devices: int, *, step_s: int, each: int = DEVICES_IN_A_PROCESS) -> Outcome:
    """Live through the day with so many devices, `each` of them in one process, a step each for `step_s`."""
    came = Outcome()
    with site() as where:
        paths = where.enrol(devices)
        broker = _broker_alone(where)
        for path in paths[::OLD_MQTT_EVERY]:
            path.write_text(f'{path.read_text()}mqtt = "3.1.1"\n')
        street = _Street(paths, where.stage.logs / "residents.log", step_s * SECOND_US, each)
        try:
            began = time.monotonic()
            for stretch in range(STRETCHES):
                _live(street, broker, stretch, came)
            came.day_s = time.monotonic() - began
            began = time.monotonic()
            where.start_centre_again()
            street.say("live", DAY_US + street.step_us)
            street.hear()
            street.say("drain", DRAIN_WITHIN_S)
            came.orders = [order for answer in street.hear() for order in answer["orders"]]
            came.drain_s = time.monotonic() - began
            came.drained = memory_bytes(broker.pid or 0)
            came.messages, came.sessions = street.published, street.sessions
        finally:
            street.close()
            where.stage.centre.stop()
            broker.stop()
        came.most = max(came.most, came.drained)
        items = [one for path in paths for one in Loader(path).spooled()]
        came.account = account_for(where.stage.central, items)
    return came


class _Street:
    """The processes of devices."""

    def __init__(self, paths: Sequence[Path], log: Path, step_us: int, each: int) -> None:
        self._groups = [paths[at : at + each] for at in range(0, len(paths), each)]
        self._log, self.step_us = log, step_us
        self._begins_us = time.time_ns() // 1000 - DAY_US
        self._last: list[dict[str, Any]] = [{} for _ in self._groups]
        self._before: list[dict[str, Any]] = []
        self._children = [self._begin(group, 0) for group in self._groups]

    @property
    def published(self) -> int:
        """Messages that all gave to the broker, as far as is known."""
        return sum(one.get("published", 0) for one in (*self._last, *self._before))

    @property
    def sessions(self) -> int:
        """Sessions that they had."""
        return sum(one.get("sessions", 0) for one in (*self._last, *self._before))

    def say(self, word: str, number: float) -> None:
        """Say the same to all and do not wait."""
        for child in self._children:
            assert child.stdin is not None
            child.stdin.write(f"{word} {number}\n")
            child.stdin.flush()

    def hear(self) -> list[dict[str, Any]]:
        """Their answers once the last has answered."""
        try:
            self._last = [hear(child) for child in self._children]
        except RuntimeError as error:
            raise RuntimeError(f"{error}: {self._log.read_text()[-LAST_WORDS:]}") from None
        return self._last

    def kill_first(self, at_us: int, until_us: int) -> None:
        """Kill a process in the middle of what it does, and let its devices live through the same time again."""
        self._children[0].kill()
        self._children[0].wait()
        self._before.append(self._last[0])
        self._children[0] = child = self._begin(self._groups[0], at_us)
        assert child.stdin is not None
        child.stdin.write(f"live {until_us}\n")
        child.stdin.flush()

    def close(self) -> None:
        """End the processes."""
        for child in self._children:
            end(child)

    def _begin(self, group: Sequence[Path], at_us: int) -> subprocess.Popen[str]:
        words = [str(number) for number in (self._begins_us, self.step_us, at_us)]
        return start("bench.residents", [*words, *(str(path) for path in group)], self._log)


def _live(street: _Street, broker: Broker, stretch: int, came: Outcome) -> None:
    """One stretch of the day, with what happens in it."""
    at_us, until_us = (DAY_US * number // STRETCHES for number in (stretch, stretch + 1))
    street.say("live", until_us)
    if stretch == DEVICES_DIE_AT:
        time.sleep(DOWN_S)
        street.kill_first(at_us, until_us)
    elif stretch in (RESTART_AT, KILL_AT):
        time.sleep(DOWN_S)
        came.most = max(came.most, memory_bytes(broker.pid or 0))
        if stretch == RESTART_AT:
            broker.stop()
        else:
            os.kill(broker.pid or 0, signal.SIGKILL)
        time.sleep(DOWN_S)
        broker.start(0)
    street.hear()
    came.memory.append(_resident_bytes(broker.pid or 0))


def _resident_bytes(pid: int) -> int:
    """A process's resident memory now."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def _broker_alone(where: Site) -> Broker:
    """Stop the centre and start its broker outside of it, on the port that devices know."""
    host, port = where.broker
    where.stage.centre.stop()
    path = where.stage.central / "central.toml"
    text = path.read_text()
    path.write_text(text.replace(EMBEDDED, "embedded = false").replace("port = 0", f"port = {port}", 1))
    broker = Broker(where.stage.central, host, port, name="alone")
    broker.start(0)
    return broker
