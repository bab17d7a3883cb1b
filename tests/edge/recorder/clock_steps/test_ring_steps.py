"""The ring is kept and given up by the monotonic clock, and so is told what a recording holds of it."""

import pytest

from edge import ring
from edge.keeper import open_keeper
from edge.ring import Bounds, Now, evictable
from vedette.clock import FakeClock

SECOND = 1_000_000
RATE = 10
STANDBY = {"mode": "standby", "retroactive_h": 1, "segment_s": 5, "pre_event_s": 7}


def spans(device, prefix: str) -> dict[str, tuple[int, int]]:
    """(from, to) by the monotonic clock of each closed segment."""
    names = {"ring": lambda entry: entry.detail["segment"], "segment": lambda entry: entry.item}
    name = names[prefix]
    began = {name(entry): entry.detail["mono_us"] for entry in device.entries(f"{prefix}.opened")}
    return {
        name(entry): (began[name(entry)], began[name(entry)] + entry.detail["media_us"])
        for entry in device.entries(f"{prefix}.closed")
    }


@pytest.mark.parametrize("set_at", [150, 192])
def test_what_a_recording_holds_of_the_ring_is_known_when_the_clock_is_set_before_it(
    device, bench, camera, set_clock, post, accounted, set_at: int
) -> None:
    """RI-20: the step lies before or in the time that the pre-event buffer brings."""
    one = bench(camera=camera, **STANDBY)
    one.steps(set_at)
    set_clock()
    one.steps(193 - set_at)
    post(one, "start")
    one.steps(30)
    post(one, "stop")
    one.steps(5)
    one.close()
    recorded_from = min(began for began, _ended in spans(device, "segment").values())
    shared = {item for item, (_began, ended) in spans(device, "ring").items() if recorded_from < ended}
    shared = {item for item in shared if spans(device, "ring")[item][0] < 19 * SECOND}
    said = {entry.detail["segment"]: entry.detail for entry in device.entries("ring.recorded")}
    assert set(said) == shared
    assert len(shared) >= 2
    facts = {kept.item: kept.facts for kept in device.kept()}
    for item, (began, _ended) in spans(device, "ring").items():
        if item in shared:
            into_us = max(0, recorded_from - began)
            assert said[item]["from_us"] == facts[item].started_us + into_us
    accounted(device)


@pytest.mark.parametrize("step", [(FakeClock().utc_us(), -by_s * SECOND) for by_s in (5, 12, 19)])
def test_recording_under_the_same_wall_clock_times_holds_nothing_of_the_ring(
    device, bench, camera, step: tuple[int, int], set_clock, post
) -> None:
    """RI-20: what was kept under those times before the clock was put back is still brought by a claim."""
    began_us = step[0]
    one = bench(camera=camera, **{**STANDBY, "pre_event_s": 0})
    one.steps(200)
    set_clock()
    post(one, "start")
    one.steps(220)
    post(one, "stop")
    one.steps(5)
    assert [entry.detail["segment"] for entry in device.entries("ring.recorded")] == []
    kept = [found.item for found in device.kept() if found.facts.started_us < began_us + 20 * SECOND]
    one.recover(began_us, began_us + 20 * SECOND)
    while not device.entries("ring.settled"):
        one.steps(1)
    assert set(kept[:3]) <= {item.item_id for item in device.items()}
    folder = ring.folder_of(device.folder / "spool")
    assert not [item for item in kept[:3] if ring.sealed_path(folder, item).exists()]


def test_claim_waits_for_the_first_seconds_of_a_recording_and_for_no_clock(
    device, bench, camera, set_clock, post
) -> None:
    """RI-20: settled while the recording goes on."""
    one = bench(camera=camera, **STANDBY)
    one.steps(65)
    set_clock()
    one.steps(35)
    post(one, "start")
    one.steps(5)
    one.recover(0, one.clock.utc_us())
    one.steps(150)
    assert one.status()["state"] == "recording"
    assert len(device.entries("ring.settled")) == 1


@pytest.fixture
def keeper(device, clock):
    found = open_keeper(device.config(**STANDBY), clock)
    yield found
    found.close()


def test_ring_is_kept_for_its_hours_when_the_clock_is_set(device, bench, camera, set_clock, keeper) -> None:
    """RI-7: no longer and no shorter, by the monotonic clock."""
    one = bench(camera=camera, **STANDBY)
    one.steps(100)
    one.close()
    kept = [found.item for found in device.kept()]
    assert len(kept) == 2
    set_clock()
    keeper.step(one.clock.mono_us())
    assert [found.item for found in device.kept()] == kept
    one.clock.advance(3_600 * SECOND - 2 * SECOND)
    keeper.step(one.clock.mono_us())
    assert [found.item for found in device.kept()] == kept[1:]
    one.clock.advance(6 * SECOND)
    keeper.step(one.clock.mono_us())
    assert device.kept() == []


def test_the_oldest_of_the_ring_goes_first_whatever_the_clock_was_set_to(
    device, bench, camera, set_clock, keeper
) -> None:
    """RI-7: in the order of custody."""
    one = bench(camera=camera, **STANDBY)
    one.steps(105)
    set_clock()
    one.steps(105)
    one.close()
    closed = [str(entry.detail["segment"]) for entry in device.entries("ring.closed")]
    kept = {found.item: found for found in device.kept()}
    assert set(kept) == set(closed)
    most = sum(found.ending.sealed_size for found in kept.values()) - 1
    now = Now(utc_us=one.clock.utc_us(), mono_us=one.clock.mono_us(), machine=one.clock.machine())
    gone = evictable(list(kept.values()), [], Bounds(keep_us=3_600 * SECOND, most_bytes=most), now=now)
    assert [found.item for found, _why in gone] == closed[:1]
