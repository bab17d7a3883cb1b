"""Seeded schedules of sender and receiver: none breaks a law, all end, and the checker would notice if one did."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from simulator import schedules
from simulator.schedules import Broken, Schedule, broken_of
from sync import overdraft
from sync import receiver as centre_side
from sync.credit import Credit
from sync.patience import UNIT_US
from sync.receiver import Receiver
from sync.sender import Sender
from vedette.cli import main
from vedette.wire import Grant, Part

BLOCKS = 8
SEEN = (
    "init heard by both",
    "died beside another",
    "came back",
    "stored by another than granted first",
    "whole at both",
    "ranges left out of an ack",
)
COUNT = int(os.environ.get("VEDETTE_SCHEDULES", "12000"))


@pytest.mark.parametrize("block", range(BLOCKS))
def test_every_schedule_is_safe_and_ends(block: int) -> None:
    """WI-20. WI-21. WI-22. WI-23. WI-24. WI-25. WI-26. WI-27. WI-73. WI-74: more with VEDETTE_SCHEDULES."""
    each = COUNT // BLOCKS
    assert broken_of(range(block * each, (block + 1) * each)) == []


def test_a_schedule_is_the_same_when_its_seed_is() -> None:
    """WI-21."""
    assert [Schedule(seed).run() for seed in range(50)] == [Schedule(seed).run() for seed in range(50)]


def acks_before_the_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    def on_part(receiver: Any, device: str, part: Part, upload: Any) -> list[centre_side.Action]:
        if part.index < upload.durable.total:
            upload.durable.add(part.index)
            upload.ack_due = True
        return []

    monkeypatch.setattr(Receiver, "_on_part", on_part)


def grants_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def allot(credit: Any, device: str, item: str, *, its_turn: bool = False) -> int:
        line = credit._devices[device].lines[item]
        credit._expose(credit._devices[device], line, 99)
        return 99

    monkeypatch.setattr(Credit, "allot", allot)


def believes_every_receipt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "check_receipt", lambda receipts, item, receipt: None)


def never_asks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sender, "next_tick_us", lambda self: None)


def forgets_the_fin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Receiver, "_on_fin", lambda self, device, fin, upload: [])


def allows_one_budget_beyond(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overdraft, "ALLOWED_BUDGETS", 1)


def believes_what_another_worker_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    on_grant = Sender._on_grant

    def keeping(sender: Any, grant: Grant, upload: Any, now_us: int) -> None:
        before = upload.acked
        on_grant(sender, grant, upload, now_us)
        if before.total == upload.acked.total:
            upload.acked.update(before)

    monkeypatch.setattr(Sender, "_on_grant", keeping)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_two_workers_find_what_one_does_not(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """WI-22. CS-14: the parts that a worker has are not those of the one that takes over."""
    believes_what_another_worker_acknowledged(monkeypatch)
    monkeypatch.setattr(schedules, "TWO_WORKERS", share)
    monkeypatch.setattr(schedules, "MAX_EVENTS", 1_500)

    broken = broken_of(range(600))

    assert bool(broken) == bool(share)


def test_every_kind_of_world_comes_up() -> None:
    """WI-9. WI-21. CS-14: what would else be proved of worlds that nobody drew."""
    seen: Counter[str] = Counter()
    for seed in range(2_000):
        schedule = Schedule(seed)
        schedule.run()
        seen.update(schedule.seen)

    assert all(seen[name] >= 10 for name in SEEN), seen
    assert set(seen) == set(SEEN)


@pytest.mark.parametrize(
    "fault",
    [
        acks_before_the_sync,
        grants_without_end,
        believes_every_receipt,
        never_asks_again,
        forgets_the_fin,
        allows_one_budget_beyond,
    ],
)
def test_schedules_find_a_fault_when_the_engine_has_one(
    fault: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """WI-21. WI-23. WI-25. WI-26. WI-73: a checker that finds nothing wrong in a wrong engine would prove nothing."""
    fault(monkeypatch)
    monkeypatch.setattr(schedules, "MAX_EVENTS", 1_500)
    with pytest.raises((Broken, KeyError)):
        for seed in range(300):
            Schedule(seed).run()


def test_schedules_find_a_device_that_asks_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """WI-74: with a bound that is nearer; the true one is a hundred times what some device comes to here."""
    monkeypatch.setattr(schedules, "NEAR_US", 2 * UNIT_US)
    with pytest.raises(Broken, match="asks so much"):
        for seed in range(300):
            Schedule(seed).run()


def test_schedules_command_counts_and_says_how_many(capsys: pytest.CaptureFixture[str]) -> None:
    """WI-21."""
    assert main(["sim", "schedules", "--count", "300", "--processes", "2"]) == 0
    assert "300 schedules" in capsys.readouterr().out
    assert main(["sim", "schedules", "--count", "0"]) == 2
