"""What nobody activated: kept where policy says so, sealed, never sent, given up oldest first."""

import pytest

from edge import ring
from edge.keeper import KeeperService, open_keeper
from edge.ring import Bounds, Claim, Kept, Now, evictable
from vedette import commands, spool
from vedette.clock import FakeClock, uuid7
from vedette.custody_entry import Entry, parse_line
from vedette.sealed import SealedReader
from vedette.timeline import State
from vedette.timeline_layers import read_timeline

FRAME_US = 100_000
SECOND = 1_000_000
STANDBY = {"mode": "standby", "retroactive_h": 1, "segment_s": 3, "pre_event_s": 2}


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
    kept = device.kept()
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
    assert {kept.facts.sound for kept in device.kept()} == {None}


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
    first, second, _third = device.kept()
    one.clock.advance(3589 * SECOND - (one.clock.utc_us() - first.ended_us))
    look(one, service)
    assert len(device.kept()) == 3
    one.clock.advance(-1 * SECOND)
    look(one, service)
    assert device.kept()[0].item == second.item
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
    assert device.kept() == []
    assert {entry.detail["why"] for entry in evictions(device)} == {"policy"}
    assert len(evictions(device)) == 3


def now_of(clock: FakeClock) -> Now:
    return Now(utc_us=clock.utc_us(), mono_us=clock.mono_us(), machine=clock.machine())


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
    return Kept(facts=facts, ending=ending, seq=number + 1, line_sha256="0" * 64)


@pytest.mark.parametrize(
    ("most", "other", "short", "gone"),
    [(300, 0, 0, 0), (299, 0, 0, 1), (300, 1, 0, 1), (100, 0, 0, 2), (300, 0, 1, 1), (300, 0, 101, 2), (0, 0, 0, 3)],
)
def test_as_many_of_the_oldest_go_as_room_asks_for(clock, most: int, other: int, short: int, gone: int) -> None:
    """RI-7: at the bound and one beyond it."""
    kept = [kept_of(number, clock=clock) for number in range(3)]
    bounds = Bounds(keep_us=10**12, most_bytes=most, other_bytes=other, short_bytes=short)
    found = evictable(list(reversed(kept)), [], bounds, now=now_of(clock))
    assert [one for one, _why in found] == kept[:gone]


def test_what_is_claimed_is_not_given_up_for_any_reason(clock) -> None:
    """RI-10."""
    kept = [kept_of(number, clock=clock) for number in range(3)]
    claim = Claim(
        id=uuid7(clock), by="command", reason="incident", from_us=kept[1].facts.started_us, to_us=kept[1].ended_us
    )
    found = evictable(kept, [claim], Bounds(keep_us=0, most_bytes=0, short_bytes=10**9), now=now_of(clock))
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
    items = {kept.item for kept in device.kept()}
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
    assert device.kept() == []
    assert [(item.item_id, item.path.read_bytes()) for item in device.items()] == before


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


def test_the_timeline_shows_what_was_kept_as_a_state_of_its_own(device, bench, keeper, post) -> None:
    """TI-26: kept and not sent, deleted since, recovered; none of it is recorded unless it was recovered."""
    one = bench(**STANDBY)
    one.steps(100)
    first, second, *_ = device.kept()
    one.recover(second.facts.started_us + 1, second.ended_us - 1)
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
