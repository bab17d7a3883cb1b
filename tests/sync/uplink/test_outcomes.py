"""What is written when an upload ends, and when what got no answer is tried again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sync.holdings import Holdings
from sync.outbox import FIRST_RETRY_US, MOST_RETRY_US, Outbox
from sync.outcomes import QUIET_US, Outcomes
from sync.sending import Done, Stopped
from sync.uplink_report import UplinkReport
from vedette import spool
from vedette.clock import SystemClock
from vedette.keys import SigningKey
from vedette.records import keyring, peek_manifest
from vedette.trust import load_trust
from vedette.waiting_journal import WaitingJournal
from vedette.wire import RefuseCode

CLOCK = SystemClock()
NOW_US = 1_000_000_000


@pytest.fixture
def outcomes(world: Any) -> Iterator[Outcomes]:
    """As the uplink has it, with two items in the outbox."""
    config, key = world.config, SigningKey.generate()
    world.items = [world.put("segment", 4, 100), world.put("segment", 4, 200)]
    outbox = Outbox(config.data / "outbox.db", config.spool)
    outbox.refresh(NOW_US)
    made = Outcomes(
        outbox=outbox,
        holdings=Holdings(outbox, config.receipts, keyring(load_trust(config.trust).centre)),
        report=UplinkReport(clock=CLOCK, run_dir=config.run, spool_root=config.spool, recipients=()),
        journal=WaitingJournal(config.journals / "uplink", service="uplink", device="car-1", key=key, clock=CLOCK),
    )
    yield made
    made.journal.close()
    outbox.close()


def receipt_for(world: Any, item: str) -> Done:
    record = spool.manifest_path(world.config.spool, "segment", item).read_bytes()
    return Done(item=item, receipt=world.centre.sign(peek_manifest(record), record))


def no_answer(item: str) -> Stopped:
    return Stopped(item=item, code=None, text="no answer")


def test_item_without_an_answer_is_tried_again_when_another_has_its_receipt(world: Any, outcomes: Outcomes) -> None:
    """WI-28: the centre was away, and is back."""
    first, second = world.items
    outcomes.take(no_answer(first), NOW_US)
    assert outcomes.outbox.items[first].next_try_us > NOW_US
    outcomes.take(receipt_for(world, second), NOW_US + 1)
    assert outcomes.outbox.items[first].next_try_us == 0
    assert outcomes.outbox.items[first].tries == 0


def test_item_whose_tries_end_just_as_the_centre_is_back_waits_as_after_a_first_failure(
    world: Any, outcomes: Outcomes
) -> None:
    """WI-28: a day without the centre had made its pause ten minutes."""
    first, second = world.items
    for _ in range(20):
        outcomes.take(no_answer(first), NOW_US)
    assert outcomes.outbox.items[first].next_try_us == NOW_US + MOST_RETRY_US
    outcomes.take(receipt_for(world, second), NOW_US + 1)
    outcomes.take(no_answer(first), NOW_US + 2)
    assert outcomes.outbox.items[first].next_try_us == NOW_US + 2 + FIRST_RETRY_US


@pytest.mark.parametrize(("passed_us", "waits"), [(QUIET_US, True), (QUIET_US + 1, False)])
def test_item_waits_its_time_when_others_were_answered_while_it_was_not(
    passed_us: int, waits: bool, world: Any, outcomes: Outcomes
) -> None:
    """WI-28: the trouble is its own, and takes nobody's place again and again."""
    first, second = world.items
    third = world.put("segment", 4, 300)
    outcomes.outbox.refresh(NOW_US)
    outcomes.take(receipt_for(world, second), NOW_US)
    outcomes.take(no_answer(first), NOW_US + passed_us)
    outcomes.take(receipt_for(world, third), NOW_US + passed_us + 1)
    assert (outcomes.outbox.items[first].next_try_us > 0) is waits


def test_refused_item_waits_its_time_whatever_the_centre_takes(world: Any, outcomes: Outcomes) -> None:
    """WI-28."""
    first, second = world.items
    outcomes.take(Stopped(item=first, code=RefuseCode.BUSY, text="later"), NOW_US)
    outcomes.take(receipt_for(world, second), NOW_US + 1)
    assert outcomes.outbox.items[first].next_try_us > NOW_US
