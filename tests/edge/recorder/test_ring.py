"""What nobody activated: kept where policy says so, sealed, never sent, given up oldest first, recovered on request."""

import itertools
import random
from dataclasses import replace
from pathlib import Path

import pytest

from edge import ring
from edge.keeper import KeeperService, open_keeper
from edge.ring import Bounds, Claim, Kept, evictable, load_kept, parse_claim
from simulator.disk import Disk
from vedette import commands, spool
from vedette.clock import FakeClock, uuid7
from vedette.custody import verify_chain
from vedette.custody_entry import Entry, parse_line
from vedette.custody_verify import check_segment
from vedette.keys import SigningKey
from vedette.records import PRIORITY_MARKED
from vedette.sealed import SealedReader, recover
from vedette.timeline import State
from vedette.timeline_layers import read_timeline

FRAME_US = 100_000
SECOND = 1_000_000
STANDBY = {"mode": "standby", "retroactive_h": 1, "segment_s": 3, "pre_event_s": 2}


def kept_in(device) -> list[Kept]:
    folder = ring.folder_of(device.folder / "spool")
    public = SigningKey.load(device.folder / "keys" / "sign.pem").public
    return [load_kept(folder / f"{item}{ring.KEPT}", public) for item in ring.named(folder, ring.KEPT)]


def ask(one, from_us: int, to_us: int, *, by: str = "command", reason: str = "incident") -> str:
    """Ask the recorder to recover a stretch; the claim's id."""
    claim = uuid7(one.clock)
    body = {"command": "recover", "activation": by, "id": claim, "reason": reason, "from_us": from_us, "to_us": to_us}
    commands.post(one.device.run, "recorder", body, clock=one.clock)
    return claim


@pytest.fixture
def keeper(device):
    """Make the device's keeper, on the clock of a bench."""
    made: list[KeeperService] = []

    def make(one, **more: object) -> KeeperService:
        config = device.config(**{**STANDBY, **more})
        made.append(open_keeper(config, one.clock))
        return made[-1]

    yield make
    for one in made:
        one.close()


def evictions(device) -> list[Entry]:
    return [entry for entry in map(parse_line, device.lines("keeper")) if entry.event == "ring.evicted"]


def look(one, service: KeeperService) -> None:
    one.clock.advance(6 * SECOND)
    service.step(one.clock.mono_us())


def test_nothing_is_kept_in_standby_when_policy_does_not_say_so(device, bench) -> None:
    """RI-1: it is off by default."""
    one = bench(mode="standby")
    one.steps(60)
    one.close()
    assert not ring.folder_of(device.folder / "spool").exists()
    assert not [line for line in map(parse_line, device.lines()) if line.event.startswith("ring.")]


def test_what_nobody_activated_is_sealed_in_the_ring_and_is_no_item_when_policy_says_so(
    device, bench, identity
) -> None:
    """RI-1 to RI-4: sealed whole segments with a signed record, no manifest, nothing in the spool, an interval."""
    one = bench(**STANDBY)
    one.steps(70)
    assert one.status()["retaining"] is True
    assert one.status()["state"] == "standby"
    one.close()
    kept = kept_in(device)
    assert [item.manifest.kind for item in spool.scan(device.folder / "spool")[0] if item.kind == "segment"] == []
    assert len(kept) == 3
    assert sum(one.ending.media_us for one in kept) == 70 * FRAME_US
    for found in kept:
        with ring.sealed_path(ring.folder_of(device.folder / "spool"), found.item).open("rb") as file:
            assert b"ftyp" in SealedReader(file, [identity]).readall()[:16]
    (started,) = device.entries("ring.started")
    assert (started.detail["hours"], started.detail["most_mib"]) == (1, 8192)
    assert [entry.detail["reason"] for entry in device.entries("ring.stopped")] == ["service_stopped"]
    assert device.entries("recording.started") == []


def test_no_byte_in_the_clear_is_in_the_ring_while_it_is_written(device, bench) -> None:
    """RI-2."""
    one = bench(**STANDBY)
    one.steps(45)
    folder = ring.folder_of(device.folder / "spool")
    assert sorted({path.name[36:] for path in folder.iterdir()}) == [".kept", ".segment.age", ".segment.age.part"]
    for path in folder.glob("*.age*"):
        assert path.read_bytes().startswith(b"age-encryption.org/v1\n")
        assert b"moof" not in path.read_bytes()


def test_keeping_stops_for_a_recording_and_for_sleep_and_goes_on_after(device, bench, post) -> None:
    """RI-4, RI-5: a recording has the pre-event buffer as without a ring; asleep nothing is kept."""
    one = bench(**STANDBY)
    one.steps(50)
    post(one, "start")
    one.steps(30)
    assert one.status()["retaining"] is False
    post(one, "stop")
    one.steps(30)
    commands.post(
        device.run,
        "recorder",
        {"command": "mode", "mode": "sleep", "on": True, "activation": "button"},
        clock=one.clock,
    )
    one.clock.advance(SECOND)
    one.steps(2)
    before = one.camera.index
    one.clock.advance(SECOND)
    one.steps(10)
    assert one.camera.index == before
    one.close()
    assert [entry.detail["reason"] for entry in device.entries("ring.stopped")] == ["activation", "asleep"]
    recorded = device.items()
    assert 4_500_000 <= sum(item.manifest.media.duration_us for item in recorded) <= 6_500_000
    assert {item.manifest.activation for item in recorded} == {"button"}


def test_sound_is_in_the_ring_only_where_the_pre_event_buffer_keeps_it(device, bench, hearing) -> None:
    """RI-3."""
    one = bench(camera=hearing(), **STANDBY)
    one.steps(40)
    one.close()
    assert {kept.facts.sound for kept in kept_in(device)} == {None}


def test_keeping_stops_where_there_is_little_room_and_goes_on_with_some_to_spare(device, bench) -> None:
    """RI-6: before anything that was asked for gives way."""
    free = {"bytes": 4 << 30}
    one = bench(terms={"free_bytes": lambda _path: free["bytes"]}, **STANDBY)
    one.steps(30)
    free["bytes"] = 2040 << 20
    one.steps(20)
    assert one.status()["retaining"] is False
    free["bytes"] = 2050 << 20
    one.steps(20)
    assert one.status()["retaining"] is False
    free["bytes"] = 4 << 30
    one.steps(20)
    assert one.status()["retaining"] is True
    assert [entry.detail["reason"] for entry in device.entries("ring.stopped")] == ["room"]


def test_the_oldest_goes_with_a_line_each_when_its_hours_are_over(device, bench, keeper) -> None:
    """RI-7, RI-9: by age; custody has its times, its hash and the policy's hours."""
    one = bench(**STANDBY)
    one.steps(100)
    service = keeper(one)
    first, second, _third = kept_in(device)
    one.clock.advance(3589 * SECOND - (one.clock.utc_us() - first.ended_us))
    look(one, service)
    assert len(kept_in(device)) == 3
    one.clock.advance(-1 * SECOND)
    look(one, service)
    assert kept_in(device)[0].item == second.item
    (entry,) = evictions(device)
    assert entry.item == first.item
    assert entry.detail == {
        "why": "age",
        "hours": 1,
        "started_us": first.facts.started_us,
        "media_us": first.ending.media_us,
        "sealed_size": first.ending.sealed_size,
        "sealed_sha256": first.ending.sealed_sha256,
    }
    assert not ring.sealed_path(ring.folder_of(device.folder / "spool"), first.item).exists()


def test_everything_goes_when_the_policy_is_switched_off(device, bench, keeper) -> None:
    """RI-8."""
    one = bench(**STANDBY)
    one.steps(70)
    one.close()
    look(one, keeper(one, retroactive_h=0))
    assert kept_in(device) == []
    assert {entry.detail["why"] for entry in evictions(device)} == {"policy"}
    assert len(evictions(device)) == 3


def kept_of(number: int, *, size: int = 100, clock: FakeClock) -> Kept:
    clock.advance(10 * SECOND)
    facts = ring.SegmentFacts(
        item=uuid7(clock), recording="r", sequence=number, activation="retroactive", started_us=clock.utc_us(),
        codec="h264", width=16, height=16, marked=False,
    )  # fmt: skip
    ending = ring.Ending(
        sealed_sha256="0" * 64, sealed_size=size, plain_sha256=None, plain_size=size, media_us=10 * SECOND, frames=1,
        marked=False, complete=True,
    )  # fmt: skip
    return Kept(facts=facts, ending=ending, seq=1, line_sha256="0" * 64)


@pytest.mark.parametrize(
    ("most", "other", "short", "gone"),
    [(300, 0, 0, 0), (299, 0, 0, 1), (300, 1, 0, 1), (100, 0, 0, 2), (300, 0, 1, 1), (300, 0, 101, 2), (0, 0, 0, 3)],
)
def test_as_many_of_the_oldest_go_as_room_asks_for(clock, most: int, other: int, short: int, gone: int) -> None:
    """RI-7: at the bound and one beyond it."""
    kept = [kept_of(number, clock=clock) for number in range(3)]
    bounds = Bounds(keep_us=10**12, most_bytes=most, other_bytes=other, short_bytes=short)
    found = evictable(list(reversed(kept)), [], bounds, now_us=clock.utc_us())
    assert [one for one, _why in found] == kept[:gone]


def test_what_is_claimed_is_not_given_up_for_any_reason(clock) -> None:
    """RI-10."""
    kept = [kept_of(number, clock=clock) for number in range(3)]
    claim = Claim(
        id=uuid7(clock), by="command", reason="incident", from_us=kept[1].facts.started_us, to_us=kept[1].ended_us
    )
    found = evictable(kept, [claim], Bounds(keep_us=0, most_bytes=0, short_bytes=10**9), now_us=clock.utc_us())
    assert [one for one, _why in found] == [kept[0], kept[2]]


@pytest.mark.parametrize("name", ["replace", "unlink", "fsync"])
@pytest.mark.parametrize("last", range(4))
def test_eviction_is_finished_with_its_line_when_the_keeper_dies_in_it(
    device, bench, keeper, monkeypatch, name: str, last: int
) -> None:
    """RI-9, RI-11: no segment goes without a line, at whatever operation the keeper is killed."""
    one = bench(**STANDBY)
    one.steps(70)
    one.close()
    items = {kept.item for kept in kept_in(device)}
    service = keeper(one, retroactive_h=0)
    original, left = getattr(ring.os, name), [last]

    class Killed(BaseException):
        pass

    def operation(*args: object, **more: object) -> object:
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        return original(*args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(ring.os, name, operation)
        try:
            look(one, service)
        except Killed:
            service._journal.close()
            service._journal = None
    again = keeper(one, retroactive_h=0)
    look(one, again)
    assert [path for path in ring.folder_of(device.folder / "spool").iterdir() if path.suffix != ".tmp"] == []
    assert {entry.item for entry in evictions(device)} == items


def test_keeper_touches_nothing_that_is_an_item_when_it_gives_up_the_ring(device, bench, keeper, post) -> None:
    """RI-11: law 6 stands for whatever was asked for."""
    one = bench(**STANDBY)
    one.steps(40)
    post(one, "start")
    one.steps(40)
    one.close()
    before = [(item.item_id, item.path.read_bytes()) for item in device.items()]
    look(one, keeper(one, retroactive_h=0))
    assert kept_in(device) == []
    assert [(item.item_id, item.path.read_bytes()) for item in device.items()] == before


def test_a_claimed_stretch_becomes_items_that_custody_proves(device, bench, identity) -> None:
    """RI-12 to RI-15: by whom, why and which; the same bytes; marked, so that it goes up first; nothing else moves."""
    one = bench(**STANDBY)
    one.steps(120)
    first, second, third = kept_in(device)[:3]
    before = ring.sealed_path(ring.folder_of(device.folder / "spool"), second.item).read_bytes()
    claim = ask(one, second.facts.started_us + 100_000, second.ended_us - 100_000)
    one.steps(12)
    one.close()
    (item,) = device.items()
    assert item.item_id == second.item
    assert item.path.read_bytes() == before
    assert (item.manifest.priority, item.manifest.activation) == (PRIORITY_MARKED, "retroactive")
    assert {first.item, third.item} <= {kept.item for kept in kept_in(device)}
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
    ask(one, one.clock.utc_us() - 2 * SECOND, one.clock.utc_us() + 3600 * SECOND)
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
    claim = ask(one, one.clock.utc_us() - SECOND, one.clock.utc_us())
    one.steps(5)
    (refused,) = device.entries("ring.refused")
    assert refused.detail == {"id": claim, "by": "command", "why": "policy"}


def test_claims_beyond_the_most_are_refused_in_custody(device, bench, monkeypatch) -> None:
    """RI-13: sixteen wait, the next is refused."""
    one = bench(**STANDBY)
    one.steps(30)
    for _ in range(ring.MAX_CLAIMS + 1):
        ask(one, one.clock.utc_us() - SECOND, one.clock.utc_us())
    one.steps(60)
    assert [entry.detail["why"] for entry in device.entries("ring.refused")] == ["too_many"]
    assert len(device.entries("ring.settled")) == ring.MAX_CLAIMS


def test_a_claim_waits_while_the_keeper_decides(device, bench) -> None:
    """RI-10: nobody waits, and neither takes what is the other's."""
    one = bench(**STANDBY)
    one.steps(40)
    with ring.locked(ring.folder_of(device.folder / "spool")) as is_ours:
        assert is_ours
        ask(one, one.clock.utc_us() - 3 * SECOND, one.clock.utc_us())
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
    first, second, *_ = kept_in(device)
    folder = ring.folder_of(device.folder / "spool")
    with ring.sealed_path(folder, first.item).open("ab") as file:
        file.write(b"more")
    ring.sealed_path(folder, second.item).unlink()
    ask(one, first.facts.started_us, second.ended_us - 100_000)
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
    (kept,) = kept_in(device)
    assert kept.ending.complete is False
    assert 3_500_000 <= kept.ending.media_us <= 5_500_000
    ask(two, kept.facts.started_us, kept.ended_us)
    two.steps(12)
    two.close()
    (item,) = device.items()
    with item.path.open("rb") as file:
        assert check_segment([parse_line(line) for line in device.lines()], item.item_id, file).fault is None
    with item.path.open("rb") as file:
        assert sum(map(len, recover(file, [identity]))) == item.manifest.plain_size


def test_a_file_that_custody_does_not_know_is_named_and_goes_in_its_time(device, bench, keeper) -> None:
    """RI-17: and not before; it is bound by the policy's hours like the rest."""
    one = bench(**STANDBY)
    one.steps(40)
    one.close()
    stray = uuid7(one.clock)
    folder = ring.folder_of(device.folder / "spool")
    (folder / f"{stray}.segment.age.part").write_bytes(b"age-encryption.org/v1\n")
    two = bench(**STANDBY)
    assert [entry.detail["segment"] for entry in device.entries("ring.unexplained")] == [stray]
    service = keeper(one)
    look(two, service)
    assert (folder / f"{stray}.unexplained").exists()
    one.clock.advance(3600 * SECOND)
    look(two, service)
    assert not (folder / f"{stray}.unexplained").exists()
    assert [entry.item for entry in evictions(device) if entry.detail.get("unexplained")] == [stray]


def run_a_ring(one, disk: Disk) -> None:
    """Four segments in the ring, a claim on two of them, and a stop: every file operation of it."""
    with disk.watched():
        one.steps(110)
        kept = kept_in(one.device)
        ask(one, kept[0].facts.started_us, kept[1].ended_us)
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
        found = {kept.item: (kept.facts.started_us, kept.ended_us) for kept in kept_in(left)}
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


def test_the_timeline_shows_what_was_kept_as_a_state_of_its_own(device, bench, keeper, post) -> None:
    """TI-26: kept and not sent, deleted since, recovered; none of it is recorded unless it was recovered."""
    one = bench(**STANDBY)
    one.steps(100)
    first, second, *_ = kept_in(device)
    ask(one, second.facts.started_us + 1, second.ended_us - 1)
    one.steps(20)
    post(one, "start")
    one.steps(30)
    one.close()
    service = keeper(one, retroactive_mib=64)
    one.clock.advance(3600 * SECOND - (one.clock.utc_us() - first.ended_us) - 6 * SECOND)
    look(one, service)
    keeper_lines = [parse_line(line) for line in device.lines("keeper")]
    timeline = read_timeline([parse_line(line) for line in device.lines()], (), keeper_lines)
    found = [(one.state, one.why) for one in timeline.stretches if one.length_us >= SECOND]
    assert found[:4] == [
        (State.RETAINED, "ring_evicted"),
        (State.RECORDED, ""),
        (State.RETAINED, "ring_kept"),
        (State.RECORDED, ""),
    ]
    (stretch, *_rest) = [one for one in timeline.stretches if one.state is State.RECORDED]
    assert (stretch.from_us, stretch.to_us, stretch.marked) == (second.facts.started_us, second.ended_us, True)
    assert [note.kind for note in timeline.notes if note.kind.startswith("ring")] == ["ring_claimed"]
    assert timeline.unexplained_us == 0
