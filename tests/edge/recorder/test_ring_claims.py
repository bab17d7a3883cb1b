"""Recovering on request what nobody activated: claims, what becomes of them, and what crashes and cuts leave of it."""

import itertools
import random
from dataclasses import replace
from pathlib import Path

import pytest

from edge import ring
from edge.ring import parse_claim
from simulator.disk import Disk
from vedette.clock import FakeClock, uuid7
from vedette.custody import verify_chain
from vedette.custody_entry import parse_line
from vedette.custody_verify import check_segment
from vedette.keys import SigningKey
from vedette.records import PRIORITY_MARKED
from vedette.sealed import recover

FRAME_US = 100_000
SECOND = 1_000_000
STANDBY = {"mode": "standby", "retroactive_h": 1, "segment_s": 3, "pre_event_s": 2}


def test_a_claimed_stretch_becomes_items_that_custody_proves(device, bench, identity) -> None:
    """RI-12 to RI-15: by whom, why and which; the same bytes; marked, so that it goes up first; nothing else moves."""
    one = bench(**STANDBY)
    one.steps(120)
    first, second, third = device.kept()[:3]
    before = ring.sealed_path(ring.folder_of(device.folder / "spool"), second.item).read_bytes()
    claim = one.recover(second.facts.started_us + 100_000, second.ended_us - 100_000)
    one.steps(12)
    one.close()
    (item,) = device.items()
    assert item.item_id == second.item
    assert item.path.read_bytes() == before
    assert (item.manifest.priority, item.manifest.activation) == (PRIORITY_MARKED, "retroactive")
    assert {first.item, third.item} <= {kept.item for kept in device.kept()}
    entries = verify_chain(device.lines(), SigningKey.load(device.folder / "keys" / "sign.pem").public)
    with item.path.open("rb") as file:
        check = check_segment(entries, item.item_id, file)
    assert (check.fault, check.is_closed) == (None, True)
    (said,) = device.entries("ring.claimed")
    assert said.detail == {
        "id": claim,
        "by": "command",
        "reason": "incident",
        "from_us": second.facts.started_us + 100_000,
        "to_us": second.ended_us - 100_000,
        "resumed": False,
    }
    (opened,) = device.entries("segment.opened")
    assert opened.detail["claim"] == claim
    line = next(entry for entry in entries if entry.seq == opened.detail["kept_seq"])
    assert (line.event, line.detail["segment"], line.sha256) == ("ring.closed", second.item, opened.detail["kept_line"])
    (settled,) = device.entries("ring.settled")
    assert settled.detail == {"id": claim, "segments": 1, "media_us": second.ending.media_us}


def test_the_open_segment_is_ended_for_a_claim_that_reaches_into_it(device, bench) -> None:
    """RI-14: up to the moment of asking."""
    one = bench(**{**STANDBY, "segment_s": 60})
    one.steps(55)
    one.recover(one.clock.utc_us() - 2 * SECOND, one.clock.utc_us() + 3600 * SECOND)
    one.steps(20)
    assert one.status()["retaining"] is True
    (item,) = device.items()
    assert 5_000_000 <= item.manifest.media.duration_us <= 6_000_000


@pytest.mark.parametrize(
    "change",
    [
        {"id": "x"}, {"reason": "because"}, {"reason": ""}, {"from_us": 10**16, "to_us": 2 * 10**16}, {"to_us": 0},
        {"activation": ""}, {"more": 1}, {"from_us": "1"}, {"activation": "remote"}, {"reason": "at_the_centre"},
    ],
)  # fmt: skip
def test_a_claim_that_says_not_who_why_and_which_is_none(change: dict[str, object]) -> None:
    """RI-12."""
    clock = FakeClock()
    body = {
        "command": "recover", "activation": "command", "id": uuid7(clock), "reason": "incident",
        "from_us": clock.utc_us() - 10, "to_us": clock.utc_us(),
    }  # fmt: skip
    assert parse_claim(body, now_us=clock.utc_us()) is not None
    assert parse_claim({**body, **change}, now_us=clock.utc_us()) is None


def test_a_claim_is_refused_in_custody_where_policy_keeps_nothing(device, bench) -> None:
    """RI-13."""
    one = bench(mode="standby")
    one.steps(10)
    claim = one.recover(one.clock.utc_us() - SECOND, one.clock.utc_us())
    one.steps(5)
    (refused,) = device.entries("ring.refused")
    assert refused.detail == {"id": claim, "by": "command", "why": "policy"}


def test_claims_beyond_the_most_are_refused_in_custody(device, bench, monkeypatch) -> None:
    """RI-13: sixteen wait, the next is refused."""
    one = bench(**STANDBY)
    one.steps(30)
    for _ in range(ring.MAX_CLAIMS + 1):
        one.recover(one.clock.utc_us() - SECOND, one.clock.utc_us())
    one.steps(60)
    assert [entry.detail["why"] for entry in device.entries("ring.refused")] == ["too_many"]
    assert len(device.entries("ring.settled")) == ring.MAX_CLAIMS


def test_a_claim_waits_while_the_keeper_decides(device, bench) -> None:
    """RI-10: nobody waits, and neither takes what is the other's."""
    one = bench(**STANDBY)
    one.steps(40)
    with ring.locked(ring.folder_of(device.folder / "spool")) as is_ours:
        assert is_ours
        one.recover(one.clock.utc_us() - 3 * SECOND, one.clock.utc_us())
        one.steps(10)
        assert device.entries("ring.claimed") == []
        assert one.status()["claims"] == 1
    one.steps(10)
    assert len(device.entries("ring.claimed")) == 1
    assert len(device.items()) >= 1


def test_a_segment_that_was_changed_in_the_ring_is_not_recovered(device, bench) -> None:
    """RI-16: nor is one that is gone; custody names both."""
    one = bench(**STANDBY)
    one.steps(70)
    first, second, *_ = device.kept()
    folder = ring.folder_of(device.folder / "spool")
    with ring.sealed_path(folder, first.item).open("ab") as file:
        file.write(b"more")
    ring.sealed_path(folder, second.item).unlink()
    one.recover(first.facts.started_us, second.ended_us - 100_000)
    one.steps(12)
    assert device.items() == []
    assert [entry.detail["segment"] for entry in device.entries("ring.unexplained")] == [first.item, second.item]


def died(one) -> None:
    """The recorder is gone without a word."""
    one.service._keeping.ring.abandon()
    one.service._keeping._opened.journal.close()
    one.is_closed = True


def test_a_segment_cut_by_a_crash_is_kept_to_its_last_whole_chunk(device, bench, identity) -> None:
    """RI-17: as for a recording, and it can be recovered like any other."""
    one = bench(**{**STANDBY, "segment_s": 60})
    one.steps(55)
    died(one)
    one.clock.advance(2 * SECOND)
    two = bench(**{**STANDBY, "segment_s": 60})
    (kept,) = device.kept()
    assert kept.ending.complete is False
    assert 3_500_000 <= kept.ending.media_us <= 5_500_000
    two.recover(kept.facts.started_us, kept.ended_us)
    two.steps(12)
    two.close()
    (item,) = device.items()
    with item.path.open("rb") as file:
        assert check_segment([parse_line(line) for line in device.lines()], item.item_id, file).fault is None
    with item.path.open("rb") as file:
        assert sum(map(len, recover(file, [identity]))) == item.manifest.plain_size


def run_a_ring(one, disk: Disk) -> None:
    """Four segments in the ring, a claim on two of them, and a stop: every file operation of it."""
    with disk.watched():
        one.steps(110)
        kept = one.device.kept()
        one.recover(kept[0].facts.started_us, kept[1].ended_us)
        one.steps(14)
        one.close()


PARTS, TRIALS = 4, 80


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_power_cut_costs_the_ring_a_second_at_most_and_no_claim(
    device, bench, tmp_path: Path, monkeypatch, part: int
) -> None:
    """RI-15, RI-17, RI-18: whatever of the operations not fsynced is missing, each segment is whole and there once."""
    chance = random.Random(part)
    one = bench(**STANDBY)
    started_us = one.clock.utc_us()
    ring.folder_of(device.folder / "spool").mkdir(exist_ok=True)
    disk = Disk(one.device.folder, one.clock.utc_us)
    run_a_ring(one, disk)
    claimed, settled = list(device.entries("ring.claimed")), 0
    for trial in range(TRIALS // PARTS):
        count = chance.randrange(len(disk.operations) + 1)
        cut_us = disk.operations[count - 1][0] if count else started_us
        folder = tmp_path / f"trial-{trial}"
        disk.lay_out(disk.left_after(count, chance), folder)
        left = replace(device, folder=folder)
        two = bench(at=left, clock=FakeClock(cut_us + 2 * SECOND), **STANDBY)
        found = {kept.item: (kept.facts.started_us, kept.ended_us) for kept in left.kept()}
        found |= {item.item_id: (item.manifest.started_us, item.manifest.ended_us) for item in left.items()}
        ended_us = max([end for _start, end in found.values()], default=started_us)
        assert cut_us - ended_us <= SECOND + FRAME_US, f"trial {trial}: cut after operation {count}"
        for before, after in itertools.pairwise(sorted(found.values())):
            assert abs(after[0] - before[1]) <= FRAME_US
        two.steps(30)
        two.close()
        entries = verify_chain(left.lines(), SigningKey.load(left.folder / "keys" / "sign.pem").public)
        for item in left.items():
            with item.path.open("rb") as file:
                assert check_segment(entries, item.item_id, file).fault is None
        if any(entry.event == "ring.claimed" for entry in entries):
            assert len(left.items()) == 2
            assert [entry.detail["id"] for entry in entries if entry.event == "ring.settled"][:1] == [
                claimed[0].detail["id"]
            ]
        settled += bool(left.items())
        in_ring = {path.name[:36] for path in ring.folder_of(folder / "spool").glob("*.segment.age")}
        assert in_ring & {item.item_id for item in left.items()} == set()
    assert settled >= 1
