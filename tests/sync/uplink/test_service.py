"""The uplink as a service: birth and will, its own custody, its commands, and what it will not be told."""

from __future__ import annotations

import errno
import signal
import subprocess
from typing import Any

import pytest

from sync.uplink_commands import make_uplink
from vedette import daemon, files, spool
from vedette.clock import SystemClock
from vedette.custody import Journal
from vedette.custody_heads import Head, open_heads
from vedette.errors import Refused

CLOCK = SystemClock()
PART = 16 * 1024
REJECTED = ("too_small", "unsure", "no_text", "no_consensus")


def test_uplink_tells_its_birth_and_figures_when_it_comes_and_goes(world: Any) -> None:
    """WI-15. WI-16."""
    told = {"segments": 7, "recording": True, "where": "secret", "pid": 4242}
    daemon.write_status(world.config.run, "recorder", told)
    world.start()
    world.drive(lambda: bool(world.centre.births and world.centre.statuses))
    counters = world.centre.statuses[-1].counters
    assert (counters["recorder.segments"], counters["recorder.recording"]) == (7, 1)
    assert "recorder.where" not in counters
    assert "recorder.pid" not in counters  # no figure: it would take the place of one
    world.stop()
    world.drive(lambda: not world.centre.births[-1].online)
    assert [birth.online for birth in world.centre.births] == [True, False]
    assert world.status()["connected"] is False


def test_uplink_tells_how_many_plates_were_read_and_why_others_were_not(world: Any) -> None:
    """HT-41. WI-16: numbers of every service at once, and nothing that is no number."""
    full = {f"figure_{number}": number for number in range(14)}
    daemon.write_status(world.config.run, "recorder", full)
    rejected = {f"rejected_{why}": number for number, why in enumerate(REJECTED, start=1)}
    daemon.write_status(world.config.run, "reader", {"plates_read": 12, **rejected, "last": "12345|أ|6", **full})
    daemon.write_status(world.config.run, "keeper", {"deleted": 3})
    world.start()
    world.drive(lambda: bool(world.centre.statuses))
    counters = world.centre.statuses[-1].counters
    assert {name: counters[f"reader.{name}"] for name in ("plates_read", *rejected)} == {"plates_read": 12, **rejected}
    assert counters["keeper.deleted"] == 3
    assert "12345" not in str(counters)


def test_uplink_ignores_and_counts_remote_commands_and_garbage(world: Any) -> None:
    """WI-4. WI-5."""
    world.start()
    world.drive(lambda: bool(world.centre.births))
    world.centre.link.publish("cmd/car-1/command", b"wipe")
    world.centre.link.publish("cmd/car-1/grant", b"\xff\x00")
    world.centre.link.publish("cmd/car-1/unheard-of", b"{}")
    world.drive(lambda: world.status().get("messages_refused") == 2)
    assert world.status()["commands_ignored"] == 1


def test_uplink_tells_how_far_the_journals_of_all_services_have_come(world: Any) -> None:
    """WI-72. CJ-26. CJ-28: in every session, beside figures that stay counters."""
    journal = Journal.open(
        world.config.journals / "recorder", service="recorder", device="car-1", key=world.key, clock=CLOCK
    )
    lines = [journal.append("camera.fault") for _ in range(2)]
    world.start()
    world.drive(lambda: bool(world.centre.heads and world.centre.statuses))
    told = open_heads(world.centre.heads[0], "car-1", world.key.public)
    assert Head.of(lines[0]) in told.heads
    assert not any("head" in name for name in world.centre.statuses[-1].counters)
    world.stop()
    world.start()
    world.drive(lambda: len(world.centre.heads) == 2)
    again = open_heads(world.centre.heads[1], "car-1", world.key.public)
    assert Head.of(lines[0]) in again.heads
    journal.close()


def test_uplink_seals_its_own_custody_into_the_spool(world: Any) -> None:
    """WI-17."""
    world.start()
    world.drive_for(0.3)
    world.stop()
    world.start()
    world.drive(lambda: any(item.kind == "custody" for item in spool.scan(world.config.spool)[0]))


def test_uplink_refuses_to_start_twice(world: Any) -> None:
    """WI-17: one writer of the journal."""
    world.start()
    with pytest.raises(Refused, match="another process"):
        make_uplink(world.config, CLOCK)


def test_uplink_sends_when_its_journal_takes_no_line(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """WI-33: sending is what empties a full disk; custody begins when there is space."""

    def full(_journal: Journal, _seq: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Journal, "_begin_file", full)
    item = world.put("hit", 0, 100)
    world.start()
    world.drive(world.receipt(item).exists)
    assert world.journal() == []
    monkeypatch.undo()
    world.stop()
    assert [entry["event"] for entry in world.journal()] == ["service.started", "service.stopped"]


def test_uplink_command_runs_and_ends_cleanly_when_it_is_told_to(world: Any) -> None:
    """WI-15."""
    item = world.put("hit", 0, 100)
    process = subprocess.Popen(world.command_line("run"))
    world.drive(world.receipt(item).exists)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    world.drive(lambda: not world.centre.births[-1].online)
    events = [entry["event"] for entry in world.journal()]
    assert events == ["service.started", "service.stopped"]


def test_uplink_leaves_its_will_and_loses_nothing_when_it_is_killed(world: Any) -> None:
    """WI-15. WI-22."""
    item = world.put("segment", 4, 400 * PART)
    process = subprocess.Popen(world.command_line("run"))
    world.drive(lambda: len(world.centre.parts) > 20)
    process.kill()
    process.wait(20)
    world.drive(lambda: not world.centre.births[-1].online)
    world.start()
    world.drive(world.receipt(item).exists)


def test_uplink_command_says_what_is_missing_when_the_device_is_not_enrolled(world: Any) -> None:
    """WI-10."""
    files.remove(world.config.trust)
    done = world.command("run")
    assert done.returncode == 3
    assert "trust.json" in done.stderr and len(done.stderr.splitlines()) == 1
