"""No second is in two items: what an activation took from the pre-event buffer is not brought again by a claim."""

import contextlib
import itertools
import os
import random
from types import SimpleNamespace

import pytest

from edge import ring
from edge.recorder import claims
from edge.recorder.history import Segment
from edge.recorder.overlap import Span, share
from edge.recorder.segments import Progress
from edge.ring import Shared, load_shared
from vedette import files, spool
from vedette.clock import uuid7
from vedette.custody import verify_chain
from vedette.custody_verify import check_segment
from vedette.keys import SigningKey
from vedette.sealed import recover
from vedette.timeline import State
from vedette.timeline_layers import read_timeline

SECOND = 1_000_000
# From one durable checkpoint to the next, or to the end of a segment.
MOST_TWICE_US = 1_500_000
STANDBY = {"mode": "standby", "retroactive_h": 1, "segment_s": 5, "pre_event_s": 7}


def settle(one, claims: int) -> None:
    while len(one.device.entries("ring.settled")) < claims:
        one.steps(1)


def items_of(device) -> list[spool.Item]:
    return sorted(device.items(), key=lambda item: item.manifest.started_us)


def twice_us(items: list[spool.Item]) -> list[int]:
    """How long each item goes on after the next one began."""
    return [max(0, a.manifest.ended_us - b.manifest.started_us) for a, b in itertools.pairwise(items)]


def missing_us(items: list[spool.Item]) -> list[int]:
    return [max(0, b.manifest.started_us - a.manifest.ended_us) for a, b in itertools.pairwise(items)]


def assert_all_verify(device, identity) -> None:
    entries = verify_chain(device.lines(), SigningKey.load(device.folder / "keys" / "sign.pem").public)
    for item in device.items():
        with item.path.open("rb") as file:
            assert check_segment(entries, item.item_id, file).fault is None
        with item.path.open("rb") as file:
            assert sum(map(len, recover(file, [identity]))) == item.manifest.plain_size
    timeline = read_timeline(entries)
    assert timeline.unexplained_us == 0, [
        (one.state.value, one.why, one.from_us / 1e6 % 1000, one.to_us / 1e6 % 1000) for one in timeline.stretches
    ]


@pytest.mark.parametrize("asked", ["while it is recorded", "later", "after a crash"])
def test_claim_across_an_activation_brings_nothing_that_is_recorded(device, bench, post, identity, asked: str) -> None:
    """RI-20: whole segments stay, of the one that is recorded in part what the recording lacks is brought."""
    one = bench(**STANDBY)
    began_us = one.clock.utc_us()
    one.steps(193)
    post(one, "start")
    one.steps(30)
    if asked == "while it is recorded":
        one.recover(began_us, one.clock.utc_us() + SECOND)
        one.steps(40)
    post(one, "stop")
    one.steps(20)
    if asked == "after a crash":
        for path in ring.folder_of(device.folder / "spool").glob(f"*{ring.SHARED}"):
            path.unlink()
        one.service._keeping.ring.abandon()
        one.service._keeping._opened.journal.close()
        one.is_closed = True
        one.clock.advance(SECOND)
        one = bench(**STANDBY)
    if asked != "while it is recorded":
        one.recover(began_us, one.clock.utc_us() + SECOND)
    settle(one, 1)
    one.close()
    items = items_of(device)
    activations = [item.manifest.activation for item in items]
    assert activations.count("button") >= 2
    assert activations[0] == "retroactive"
    assert max(twice_us(items)) < SECOND
    recorded_from = next(item.manifest.started_us for item in items if item.manifest.activation == "button")
    before = [item for item in items if item.manifest.started_us < recorded_from]
    # What is before the recording is all there, to the last picture.
    assert missing_us([*before, next(item for item in items if item.manifest.started_us == recorded_from)]) == [
        0
    ] * len(before)
    assert [item.manifest.complete for item in before][-1] is False
    (settled,) = device.entries("ring.settled")
    assert settled.detail["recorded"] >= 1
    assert settled.detail["segments"] == activations.count("retroactive")
    assert_all_verify(device, identity)


def test_custody_says_what_of_the_ring_is_recorded_too(device, bench, post) -> None:
    """RI-20: before the file beside the segment does, and only of what is filed."""
    one = bench(**STANDBY)
    one.steps(193)
    post(one, "start")
    one.steps(30)
    post(one, "stop")
    one.steps(5)
    one.close()
    said = {entry.detail["segment"]: entry.detail for entry in device.entries("ring.recorded")}
    folder = ring.folder_of(device.folder / "spool")
    shared = {item: load_shared(folder, item) for item in ring.named(folder, ring.SHARED)}
    assert set(said) == set(shared)
    assert len(shared) >= 2
    first_us = items_of(device)[0].manifest.started_us
    for item, one_shared in shared.items():
        assert one_shared is not None
        assert said[item] == {
            "segment": item, "from_us": one_shared.from_us, "offset": one_shared.cut and one_shared.cut.offset,
        }  # fmt: skip
        assert one_shared.from_us >= first_us
    assert [one_shared.cut is not None for one_shared in shared.values()].count(True) == 1


def test_claim_that_lies_in_the_recorded_part_brings_nothing(device, bench, post) -> None:
    """RI-20."""
    one = bench(**STANDBY)
    one.steps(193)
    post(one, "start")
    one.steps(30)
    post(one, "stop")
    one.steps(5)
    recorded = items_of(device)
    one.recover(recorded[0].manifest.started_us, recorded[-1].manifest.ended_us)
    settle(one, 1)
    assert items_of(device) == recorded
    (settled,) = device.entries("ring.settled")
    assert (settled.detail["segments"], settled.detail["media_us"]) == (0, 0)


@pytest.mark.parametrize("stage", range(6))
def test_cutting_a_claimed_segment_is_finished_by_the_next_run(
    device, bench, post, identity, monkeypatch, stage: int
) -> None:
    """RI-18, RI-20: killed before or after any step of it, the item is there once and verifies."""
    one = bench(**STANDBY)
    began_us = one.clock.utc_us()
    one.steps(193)
    post(one, "start")
    one.steps(30)
    post(one, "stop")
    one.steps(5)
    (partial,) = [
        kept for kept in device.kept()
        if (found := load_shared(ring.folder_of(device.folder / "spool"), kept.item)) and found.cut
    ]  # fmt: skip

    class Killed(BaseException):
        pass

    left = [stage]

    def dies_before(function):
        def called(*args, **more):
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return function(*args, **more)

        return called

    one.recover(partial.facts.started_us, partial.facts.started_us + SECOND)
    with monkeypatch.context() as patch:
        patch.setattr(claims, "_cut", dies_before(claims._cut))
        patch.setattr(claims, "os", SimpleNamespace(**{**vars(os), "link": dies_before(os.link)}))
        patch.setattr(claims, "files", SimpleNamespace(**{**vars(files), "remove": dies_before(files.remove)}))
        with contextlib.suppress(Killed):
            one.steps(30)
    one.service._keeping.ring.abandon()
    one.service._keeping._opened.journal.close()
    one.is_closed = True
    one.clock.advance(SECOND)
    two = bench(**STANDBY)
    two.steps(20)
    assert not list(ring.folder_of(device.folder / "spool").glob("*.claim"))
    two.close()
    (item,) = [item for item in device.items() if item.item_id == partial.item]
    assert item.manifest.complete is False
    assert partial.item not in {kept.item for kept in device.kept()}
    assert not (ring.folder_of(device.folder / "spool") / f"{partial.item}{ring.SHARED}").exists()
    assert max(twice_us(items_of(device))) < SECOND
    assert began_us < item.manifest.started_us + 60 * SECOND
    assert device.quarantined() == []
    assert_all_verify(device, identity)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(8))
def test_no_second_is_in_two_items_whatever_is_asked_for(device, bench, post, identity, seed: int) -> None:
    """RI-20: starts, stops, hits, faults and claims drawn at random, then all of it claimed."""
    chance = random.Random(seed)
    one = bench(**{**STANDBY, "segment_s": chance.choice([2, 5, 9]), "pre_event_s": chance.choice([0, 3, 7, 20])})
    began_us, asked = one.clock.utc_us(), 0
    for _ in range(14):
        one.steps(chance.randrange(5, 60))
        what = chance.choice(["start", "stop", "mark", "claim", "fault"])
        if what == "claim":
            to_us = one.clock.utc_us()
            asked += 1
            one.recover(chance.randrange(began_us, to_us - SECOND // 2), to_us)
        elif what == "fault":
            one.camera.breaks_at = one.camera.index
            one.steps(1)
            one.clock.advance(chance.randrange(250_000, 3_000_000))
        else:
            post(one, what)
    post(one, "stop")
    one.steps(10)
    one.recover(began_us, one.clock.utc_us())
    settle(one, asked + 1)
    one.close()
    items = items_of(device)
    assert max(twice_us(items), default=0) < MOST_TWICE_US
    assert [kept for kept in device.kept() if not load_shared(ring.folder_of(device.folder / "spool"), kept.item)] in (
        [],
        device.kept()[-1:],
    )
    assert_all_verify(device, identity)
    entries = verify_chain(device.lines(), SigningKey.load(device.folder / "keys" / "sign.pem").public)
    assert State.RECORDED in {stretch.state for stretch in read_timeline(entries).stretches}


def segment(started: int, ended: int, checkpoints: list[int]) -> Segment:
    facts = ring.SegmentFacts(
        item="0192b6b0-0000-7000-8000-000000000000", recording="r", sequence=0, activation="retroactive",
        started_us=started * SECOND, codec="h264", width=16, height=16, marked=False, mono_us=started * SECOND,
    )  # fmt: skip
    marks = [
        Progress(offset=at, sha256="0" * 64, media_us=(at - started) * SECOND, frames=at)
        for at in (*checkpoints, ended)
    ]
    return Segment(facts=facts, mono_us=started * SECOND, progress=marks)


@pytest.mark.parametrize(
    ("spans", "from_s", "cut_s"),
    [
        ([], None, None),
        ([(0, 9)], None, None),
        ([(20, 30)], None, None),
        ([(10, 20)], 10, None),
        ([(5, 30)], 10, None),
        ([(15, 30)], 15, 15),
        ([(14, 30)], 14, 15),
        ([(14, 18)], None, None),
        ([(14, 17), (17, 25)], 14, 15),
        ([(8, 12), (12, 16), (16, 40)], 10, None),
        ([(11, 13), (15, 25)], 15, 15),
    ],
)
def test_what_is_shared_is_what_lies_without_a_hole_before_the_end(
    spans: list[tuple[int, int]], from_s: int | None, cut_s: int | None
) -> None:
    """RI-20: a ring's segment from 10 to 20 with checkpoints at 12 and 15."""
    found = share(segment(10, 20, [12, 15]), [Span(0, a * SECOND, b * SECOND) for a, b in spans])
    assert (found and found.from_us) == (from_s and from_s * SECOND)
    assert (found and found.cut and found.cut.offset) == cut_s


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"cut":null}', b'{"cut":{},"from_us":1,"item":"x"}'])
def test_file_that_says_nothing_of_a_segment_changes_nothing(tmp_path, clock, body: bytes) -> None:
    item = uuid7(clock)
    (tmp_path / f"{item}{ring.SHARED}").write_bytes(body)
    assert load_shared(tmp_path, item) is None
    (tmp_path / f"{item}{ring.SHARED}").write_bytes(Shared(item=item, from_us=1).to_bytes())
    assert load_shared(tmp_path, item) == Shared(item=item, from_us=1)
