"""The uplink sends: the urgent first, nothing twice, through kills and restarts, and what it does when it cannot."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import pytest

from sync.paho_link import PahoLink
from vedette import spool, topics
from vedette.clock import SystemClock
from vedette.config import load_device
from vedette.wire import RefuseCode

CLOCK = SystemClock()
PART = 16 * 1024


def test_uplink_sends_a_hit_before_the_bulk_that_is_under_way(world: Any) -> None:
    """WI-30. WI-31."""
    bulk = [world.put("segment", 4, 1500 * PART) for _ in range(3)]
    world.start()
    world.drive(lambda: len(world.centre.parts) > 20)
    hit = world.put("hit", 0, 3 * PART)
    world.drive(world.receipt(hit).exists)
    assert not any(item in world.centre.stored for item in bulk)
    world.drive(lambda: all(world.receipt(item).exists() for item in bulk))


def test_uplink_finishes_without_sending_twice_when_the_broker_is_killed(world: Any) -> None:
    """WI-21. WI-22."""
    items = [world.put("segment", 4, 60 * PART) for _ in range(2)]
    world.start()
    world.drive(lambda: len(world.centre.parts) > 30)
    world.broker.kill()
    world.drive_for(0.5)
    world.broker.start()
    world.drive(lambda: all(world.receipt(item).exists() for item in items))
    assert len(world.centre.parts) <= 120 + 2 * 20


def test_uplink_finishes_when_the_centre_restarts(world: Any) -> None:
    """WI-22: the new worker knows nothing but what is on its disk."""
    item = world.put("segment", 4, 80 * PART)
    world.start()
    world.drive(lambda: len(world.centre.parts) > 30)
    world.centre.restart()
    world.drive(world.receipt(item).exists)
    assert len(world.centre.parts) <= 80 + 20


def test_uplink_finishes_when_it_is_restarted(world: Any) -> None:
    """WI-22. WI-33."""
    item = world.put("segment", 4, 80 * PART)
    world.start()
    world.drive(lambda: len(world.centre.parts) > 30)
    world.stop()
    (world.config.data / "outbox.db").unlink()
    world.start()
    world.drive(world.receipt(item).exists)
    assert len(world.centre.parts) <= 80 + 20


def test_uplink_waits_for_a_centre_when_none_listens(world: Any) -> None:
    """WI-14. WI-29."""
    world.centre.link.close()
    item = world.put("hit", 0, 10)
    uplink = world.start()
    deadline = time.monotonic() + 10
    while "No matching subscribers" not in world.status().get("last_error", ""):
        assert time.monotonic() < deadline
        uplink.step(CLOCK.mono_us())
    subscriptions = topics.worker_subscriptions("central")
    world.centre.link = PahoLink(world.broker.config("central", subscriptions=subscriptions), CLOCK)
    world.drive(world.receipt(item).exists, within_s=10)


@pytest.mark.parametrize("code", [RefuseCode.INVALID, RefuseCode.CONFLICT, RefuseCode.REVOKED])
def test_uplink_keeps_and_shows_an_item_when_the_centre_refuses_it(world: Any, code: RefuseCode) -> None:
    """WI-28."""
    world.centre.refusing = code
    item = world.put("segment", 4, 100)
    world.start()
    world.drive(lambda: world.status().get("refused", 0) > 0)
    assert world.status()["items_pending"] == 1
    assert [entry["item"] for entry in world.journal() if entry["event"] == "item.refused"] == [item]
    world.stop()
    out = world.command("status", "--json")
    assert json.loads(out.stdout)["refused_items"] == [
        {"item": item, "kind": "segment", "code": code.value, "why": "not today"}
    ]


def test_uplink_sends_no_bulk_when_the_network_is_not_for_it(world: Any) -> None:
    """WI-32."""
    text = world.config_path.read_text()
    world.config_path.write_text(text + "allow_bulk = false\n")
    world.config = load_device(world.config_path)
    bulk, hit = world.put("segment", 4, 10), world.put("hit", 0, 10)
    world.start()
    world.drive(world.receipt(hit).exists)
    world.drive_for(0.5)
    assert bulk not in world.centre.stored


def test_uplink_names_an_item_and_sends_the_others_when_its_file_is_cut(world: Any) -> None:
    """WI-28."""
    bad, good = world.put("segment", 4, 5 * PART), world.put("segment", 4, 10)
    world.start()
    world.drive(world.receipt(good).exists)
    second = world.put("segment", 4, 5 * PART)
    world.drive(world.receipt(second).exists)
    assert bad in world.centre.stored
    third = world.put("segment", 4, 5 * PART)
    os.truncate(spool.final_path(world.config.spool, "segment", third), PART)
    world.drive(lambda: world.status()["items_bad"] == 1 or third in world.status()["last_error"])
    assert third not in world.centre.stored
