"""One axis for the lines of a journal: order by their numbers, lengths by the monotonic clock, dates by the best clock.

Decided here: where the machine was restarted between two lines, where its wall clock was put forward or back, which of
its settings dates a boot, and that no clock ever changes the order of two lines. Within one boot of the machine a
moment is its monotonic time plus one offset, that of the wall clock's best setting in this boot; so a wrong clock moves
a whole boot and never a part of it. Implements TI-7 to TI-11 of docs/spec/timeline.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vedette.custody_entry import Entry

STEP_US = 200_000
RANKS = {"gnss": 3, "ntp": 3, "simulated": 3, "rtc": 1}
SURE = 3
SLACK_US = 2_000_000


@dataclass(slots=True)
class Setting:
    """The wall clock between two steps: `offset_us` is wall minus monotonic; `rank` its best source's."""

    offset_us: int
    from_mono_us: int
    to_mono_us: int
    rank: int
    source: str


@dataclass(slots=True)
class Boot:
    """One boot of the machine: its lines are `first` to `last`, `offset_us` dates all of them."""

    first: int
    last: int
    settings: list[Setting] = field(default_factory=list)
    offset_us: int = 0
    moved_us: int = 0

    @property
    def best(self) -> Setting:
        """The setting that dates this boot: the best source, then the one that held longest, then the latest."""
        return max(self.settings, key=lambda one: (one.rank, one.to_mono_us - one.from_mono_us, one.from_mono_us))


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """The wall clock was put forward (or back, negative) by `by_us` between two lines; `at_us` is shown time."""

    at_us: int
    by_us: int
    source: str


class Axis:
    """Shown times (UTC in microseconds) of the lines of one journal, which are in order and not empty."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        machines = machines_of(entries)
        self._boot_of: list[int] = []
        self.boots: list[Boot] = []
        for index, entry in enumerate(entries):
            before = entries[index - 1] if index else None
            if before is None or is_reboot(before, entry, machines):
                self.boots.append(Boot(first=index, last=index))
            boot = self.boots[-1]
            boot.last = index
            _learn(boot, entry)
            self._boot_of.append(len(self.boots) - 1)
        for boot in self.boots:
            boot.offset_us = boot.best.offset_us
        self._keep_order()

    def at(self, index: int) -> int:
        """The shown time of line `index`."""
        return self._entries[index].mono_us + self.boots[self._boot_of[index]].offset_us

    def boot(self, index: int) -> int:
        """Which boot of the machine line `index` is of."""
        return self._boot_of[index]

    def of_mono(self, index: int, mono_us: int) -> int:
        """The shown time of a monotonic time that line `index` names of its own boot."""
        return mono_us + self.boots[self._boot_of[index]].offset_us

    def moment(self, index: int, utc_us: int) -> int:
        """The shown time of a wall-clock time that line `index` names and that was read at the line or before it.

        It is looked for in the clock's settings, the line's own first, then those before it: what would lie ahead of
        the line was read before the clock was put back.
        """
        entry = self._entries[index]
        mono_us = utc_us - (entry.utc_us - entry.mono_us)
        boots = self.boots[: self._boot_of[index] + 1]
        known = [(one, boot) for boot in boots for one in boot.settings]
        while known[-1][1] is boots[-1] and known[-1][0].from_mono_us > entry.mono_us:
            known.pop()
        own, boot = known.pop()
        if own.from_mono_us - SLACK_US <= mono_us <= entry.mono_us + STEP_US:
            return mono_us + boot.offset_us
        for setting, earlier in reversed(known):
            found_us = utc_us - setting.offset_us
            if setting.from_mono_us - SLACK_US <= found_us <= setting.to_mono_us + SLACK_US:
                return found_us + earlier.offset_us
        return mono_us + boot.offset_us

    @property
    def steps(self) -> list[Step]:
        """Every time the wall clock was put forward or back within a boot."""
        found = []
        for boot in self.boots:
            for before, after in itertools.pairwise(boot.settings):
                by_us = after.offset_us - before.offset_us
                found.append(Step(at_us=after.from_mono_us + boot.offset_us, by_us=by_us, source=after.source))
        return found

    def _keep_order(self) -> None:
        """Where the dates of two boots contradict their order, the boot with the worse clock gives way."""
        for index in range(1, len(self.boots)):
            before, after = self.boots[index - 1], self.boots[index]
            overlap_us = self._end(before) - self._start(after)
            if overlap_us <= 0:
                continue
            if before.best.rank < after.best.rank:
                self._move_back(index - 1, self._start(after))
            else:
                _move(after, overlap_us)

    def _move_back(self, index: int, limit_us: int) -> None:
        while index >= 0 and (overlap_us := self._end(self.boots[index]) - limit_us) > 0:
            _move(self.boots[index], -overlap_us)
            limit_us = self._start(self.boots[index])
            index -= 1

    def _start(self, boot: Boot) -> int:
        return self._entries[boot.first].mono_us + boot.offset_us

    def _end(self, boot: Boot) -> int:
        return self._entries[boot.last].mono_us + boot.offset_us


def machines_of(entries: Sequence[Entry]) -> dict[str, str]:
    """By run of the service (the lines' `boot`): which boot of the machine it was in, as `service.started` says."""
    named = ((one.boot, one.detail.get("machine")) for one in entries if one.event == "service.started")
    return {run: machine for run, machine in named if isinstance(machine, str)}


def is_reboot(before: Entry, after: Entry, machines: Mapping[str, str]) -> bool:
    """True when the machine was started anew between two lines.

    The journal says which boot of the machine a run was in (`machines`); where it does not, the machine was started
    anew when its monotonic clock went back, or when its boot lies after the line before.
    """
    if before.boot == after.boot:
        return False
    names = machines.get(before.boot), machines.get(after.boot)
    if None not in names:
        return names[0] != names[1]
    return after.mono_us < before.mono_us or after.utc_us - after.mono_us >= before.utc_us


def _learn(boot: Boot, entry: Entry) -> None:
    offset_us, rank = entry.utc_us - entry.mono_us, RANKS.get(entry.time_source, 0)
    last = boot.settings[-1] if boot.settings else None
    if last is None or abs(offset_us - last.offset_us) > STEP_US:
        at_us = entry.mono_us
        boot.settings.append(
            Setting(offset_us=offset_us, from_mono_us=at_us, to_mono_us=at_us, rank=rank, source=entry.time_source)
        )
        return
    last.to_mono_us = entry.mono_us
    if rank > last.rank:
        last.rank, last.source = rank, entry.time_source


def _move(boot: Boot, by_us: int) -> None:
    boot.offset_us += by_us
    boot.moved_us += by_us
