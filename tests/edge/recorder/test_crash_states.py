"""Two hundred disks as a power cut may leave them: no video is lost that was safe, and what is left verifies."""

import itertools
import os
import random
from dataclasses import replace
from pathlib import Path

import pytest

from simulator.disk import Disk
from vedette.clock import FakeClock
from vedette.custody import verify_chain
from vedette.custody_verify import check_segment
from vedette.keys import SigningKey
from vedette.sealed import SealedReader, recover

FRAME_US = 100_000
TRIALS = 200
PARTS = 8
LOST_US = 1_000_000


def recorded(one, clock) -> Disk:
    """Seven seconds of recording in segments of three, then a stop: every file operation of it."""
    disk = Disk(one.device.folder, clock.utc_us)
    with disk.watched():
        one.steps(70)
        one.close()
    return disk


def covered(device) -> list[tuple[int, int]]:
    return sorted((item.manifest.started_us, item.manifest.ended_us) for item in device.items())


def check_custody(device) -> None:
    """Every item agrees with custody, custody is one chain, and every moment is in an item or a gap and in one only."""
    entries = verify_chain(device.lines(), SigningKey.load(device.folder / "keys" / "sign.pem").public)
    for item in device.items():
        with item.path.open("rb") as file:
            assert check_segment(entries, item.item_id, file).fault is None
    spans = covered(device)
    spans += [(entry.detail["from_us"], entry.detail["to_us"]) for entry in entries if entry.event == "gap"]
    for before, after in itertools.pairwise(sorted(spans)):
        assert abs(after[0] - before[1]) <= FRAME_US


def check_opens(device, identity) -> None:
    """Every item opens to its last byte; a cut one to its last whole chunk."""
    for item in device.items():
        with item.path.open("rb") as file:
            if item.manifest.complete:
                assert len(SealedReader(file, [identity]).readall()) == item.manifest.plain_size
            else:
                assert recover(file, [identity]) is not None


@pytest.mark.timeout(600)
@pytest.mark.parametrize("scene", ["street", "night"])
@pytest.mark.parametrize("part", range(PARTS))
def test_a_power_cut_loses_a_second_at_most_and_what_is_left_verifies(
    device, bench, identity, clock, scripted, coded, night, tmp_path: Path, part: int, scene: str
) -> None:
    """SP-8 to SP-10, SG-17, CJ-11, CJ-13: all that was fsynced is there; of the rest anything may be there or not."""
    chance = random.Random(part)
    one = bench(segment_s=3, camera=scripted(codes=night if scene == "night" else coded))
    started_us = one.clock.utc_us()
    disk = recorded(one, one.clock)
    for trial in range(TRIALS // PARTS):
        count = chance.randrange(len(disk.operations) + 1)
        cut_us = disk.operations[count - 1][0] if count else started_us
        folder = tmp_path / f"trial-{trial}"
        disk.lay_out(disk.left_after(count, chance), folder)
        left = replace(device, folder=folder)
        two = bench(segment_s=3, at=left, clock=FakeClock(cut_us + 2_000_000))
        before_us = max([ended for _, ended in covered(left)], default=started_us)
        assert cut_us - before_us <= LOST_US, f"trial {trial}: cut after operation {count}"
        two.steps(12)
        two.close()
        check_custody(left)
        check_opens(left, identity)


def test_what_comes_at_once_after_a_stall_is_durable_with_the_step_that_took_it(device, bench, scripted) -> None:
    """SG-17: by the clock no half second is over yet."""
    one = bench(segment_s=10, camera=scripted(at_once=40))
    one.steps(1)
    assert device.entries("segment.checkpoint")[-1].detail["media_us"] >= 3_000_000


def test_the_disk_knows_what_was_durable(tmp_path: Path) -> None:
    """Without a folder's fsync the name may be missing, without the file's its bytes may; with both nothing is."""
    disk = Disk(tmp_path, lambda: 0)
    with disk.watched():
        descriptor = os.open(tmp_path / "a", os.O_CREAT | os.O_WRONLY)
        os.write(descriptor, b"0123456789")
        os.fsync(descriptor)
        os.write(descriptor, b"abcdef")
        named = len(disk.operations)
        folder = os.open(tmp_path, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        os.close(descriptor)
    seen = [disk.left_after(named, random.Random(seed)) for seed in range(60)]
    assert {frozenset(one) for one in seen} == {frozenset(), frozenset({"a"})}
    last = [disk.left_after(len(disk.operations), random.Random(seed))["a"] for seed in range(200)]
    assert all(one.startswith(b"0123456789") for one in last)
    assert {b"0123456789", b"0123456789abcdef", b"0123456789abc"} <= set(last)
    assert any(one.endswith(b"\0") for one in last)
