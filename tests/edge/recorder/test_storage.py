"""What the recorder tells of a disk that fills up: time left, an early warning, and what has stopped."""

import errno
import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from edge.recorder.segments import PartFile
from edge.recorder.storage import FOUND_AGAIN_LOOKS, NAME, Disk, StorageMark, StorageWatch
from edge.room import LONGEST_FORECAST_S, Ladder
from vedette.daemon import write_status
from vedette.storage import Storage, parse_storage

MIB, SECOND = 1 << 20, 1_000_000
LADDER = Ladder(low_bytes=0, unmarked_bytes=512 * MIB, marked_bytes=64 * MIB)
RATE = 1 * MIB
PLENTY = Disk(
    free_bytes=100_000 * MIB, yielding_bytes=0, usable_bytes=100_000 * MIB, written_bytes=0, recorded_us=0,
    is_continuous=True, is_marked=False, is_refused=False,
)  # fmt: skip
STEPS = (Storage.ENOUGH, Storage.LOW, Storage.CONTINUOUS_STOPPED, Storage.FULL)


def watch(warn_s: int = 3600, mark: StorageMark | None = None) -> StorageWatch:
    return StorageWatch(LADDER, warn_s=warn_s, bytes_per_s=RATE, mark=mark)


def disk(free_mib: int, **more: int | bool) -> Disk:
    bound = 64 if more.get("is_marked") else 512
    usable = max(0, free_mib - bound) * MIB
    return replace(PLENTY, **{"free_bytes": free_mib * MIB, "usable_bytes": usable, **more})


def steps(one: StorageWatch, *disks: Disk) -> list[Storage]:
    found = []
    for number, seen in enumerate(disks):
        one.look(seen, utc_us=(number + 1) * SECOND)
        found.append(one.step)
    return found


def test_steps_come_one_after_the_other_as_the_disk_fills_up() -> None:
    """ST-5: at one MiB a second."""
    free = [disk(mib) for mib in (4112, 4111, 512, 511, 64, 63, 0)]
    assert steps(watch(), *free) == [STEPS[0], *[STEPS[1]] * 2, *[STEPS[2]] * 2, *[STEPS[3]] * 2]


def test_warning_is_over_only_when_a_quarter_more_is_left_than_when_it_began() -> None:
    """ST-6."""
    free = [disk(mib) for mib in (4112, 4111, 4200, 5011, 5012, 4112, 4111)]
    assert steps(watch(), *free) == [STEPS[0], *[STEPS[1]] * 3, *[STEPS[0]] * 2, STEPS[1]]


def test_no_disk_makes_the_warning_come_and_go_when_it_wavers_about_the_bound() -> None:
    """ST-6: what is left differs by a fifth from look to look."""
    free = [disk(512 + 3600 + 700 * (number % 2) - 10 * number) for number in range(60)]
    found = steps(watch(), *free)
    assert sum(before is not after for before, after in itertools.pairwise([Storage.ENOUGH, *found])) == 1


def test_no_warning_is_given_when_policy_wants_none() -> None:
    """ST-6."""
    assert steps(watch(warn_s=0), disk(513), disk(512), disk(511)) == [STEPS[0], STEPS[0], STEPS[2]]


def test_a_mark_that_may_take_more_room_does_not_end_the_warning() -> None:
    """ST-6."""
    assert steps(watch(), disk(4100), disk(4100 + 448, is_marked=True), disk(4100)) == [Storage.LOW] * 3


def test_what_gives_way_first_counts_as_room() -> None:
    """ST-4: files with a receipt and what nobody activated; only bytes that are free let recording go on."""
    one = watch()
    assert steps(one, disk(600, yielding_bytes=8000 * MIB), disk(511, yielding_bytes=8000 * MIB)) == [
        Storage.ENOUGH, Storage.CONTINUOUS_STOPPED,
    ]  # fmt: skip
    one.look(disk(600, yielding_bytes=100 * MIB), utc_us=0)
    assert one.left_s == 188


def test_pace_is_that_of_recording_and_stays_as_it_was_while_nothing_is_recorded() -> None:
    """ST-4: a device that records a minute in ten has a tenth of a day's bytes and not ten times the time."""
    one, written, recorded_us = watch(), 0, 0
    for _ in range(10):
        for second in range(600):
            if second < 60:
                written, recorded_us = written + 2 * MIB, recorded_us + SECOND
            one.look(disk(7712, written_bytes=written, recorded_us=recorded_us), utc_us=0)
    assert one.left_s == 3600


def test_forecast_goes_no_further_than_anybody_plans() -> None:
    """ST-4."""
    one = watch()
    one.look(disk(1 << 30), utc_us=0)
    assert one.left_s == LONGEST_FORECAST_S


@pytest.mark.parametrize(
    ("seen", "step"),
    [
        (disk(70, is_continuous=False, is_marked=True), Storage.LOW),
        (disk(70, is_continuous=False, is_marked=True, is_refused=True), Storage.FULL),
        (disk(300, is_refused=True), Storage.CONTINUOUS_STOPPED),
        (disk(300, is_refused=True, is_marked=True), Storage.FULL),
        (disk(300, is_marked=True), Storage.CONTINUOUS_STOPPED),
        (disk(90_000, is_refused=True), Storage.FULL),
        (disk(63), Storage.FULL),
    ],
)
def test_step_says_what_can_still_be_recorded(seen: Disk, step: Storage) -> None:
    """ST-5: where nothing is recorded unasked no continuous recording has stopped; what the disk refuses is full."""
    assert steps(watch(), seen) == [step]


@pytest.mark.parametrize(
    ("before", "since_us"),
    [((Storage.LOW, 5), 5), ((Storage.FULL, 5), SECOND), ((Storage.LOW, 9 * SECOND), SECOND), (None, SECOND)],
)
def test_step_counts_from_its_first_moment_also_when_the_recorder_was_started_again(
    tmp_path: Path, before: tuple[Storage, int] | None, since_us: int
) -> None:
    """ST-5."""
    if before is not None:
        StorageMark(tmp_path).keep(*before)
    one = watch(mark=StorageMark(tmp_path))
    one.look(disk(4000), utc_us=SECOND)
    one.look(disk(3000), utc_us=2 * SECOND)
    assert one.told() == {"room_left_s": 2488, "storage": 1, "storage_since_us": since_us}
    one.look(disk(100_000), utc_us=3 * SECOND)
    one.look(disk(4000), utc_us=4 * SECOND)
    assert one.since_us == 4 * SECOND


def test_step_is_found_again_though_the_pace_was_not_known_at_once(tmp_path: Path) -> None:
    """ST-5: after a start what gives way, and how much is written, is known only by and by; then it is another step."""
    for looks, since_us in ((FOUND_AGAIN_LOOKS - 1, 5), (FOUND_AGAIN_LOOKS, (FOUND_AGAIN_LOOKS + 1) * SECOND)):
        StorageMark(tmp_path).keep(Storage.ENOUGH, 0)
        StorageMark(tmp_path).keep(Storage.LOW, 5)
        one = watch(mark=StorageMark(tmp_path))
        steps(one, *[disk(100_000)] * looks)
        one.look(disk(4000), utc_us=(looks + 1) * SECOND)
        assert one.told()["storage_since_us"] == since_us


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"step":9,"since_us":5}', b'{"since_us":-5,"step":1}', b'{"step":1}', b"9" * 300]
)
def test_mark_that_makes_no_sense_is_none(tmp_path: Path, content: bytes) -> None:
    """ST-5."""
    (tmp_path / NAME).write_bytes(content)
    assert StorageMark(tmp_path).kept is None
    one = watch(mark=StorageMark(tmp_path))
    one.look(disk(4000), utc_us=7 * SECOND)
    assert StorageMark(tmp_path).kept == (Storage.LOW, 7 * SECOND)


def test_mark_is_written_only_when_the_step_becomes_another_one(tmp_path: Path) -> None:
    """ST-5, SG-20."""
    one, written = watch(mark=StorageMark(tmp_path)), []
    for second, mib in enumerate((100_000, 4000, 3900, 3800, 511, 510, 100_000, 100_000)):
        one.look(disk(mib), utc_us=second * SECOND)
        file = tmp_path / NAME
        written.append(file.stat().st_ino if file.exists() else None)
    changes = [number for number, (a, b) in enumerate(itertools.pairwise([None, *written])) if a != b]
    assert changes == [1, 4, 6]
    assert sorted(tmp_path.iterdir()) == []


def test_mark_waits_for_a_disk_that_does_not_take_it(tmp_path: Path) -> None:
    """ST-5."""
    folder = tmp_path / "away"
    one = watch(mark=StorageMark(folder))
    one.look(disk(4000), utc_us=SECOND)
    folder.mkdir()
    one.look(disk(4000), utc_us=2 * SECOND)
    assert StorageMark(folder).kept == (Storage.LOW, SECOND)


def test_step_goes_on_from_its_first_moment_when_the_machine_was_started_again(device, bench, clock) -> None:
    """ST-5: the run folder is memory and goes with the machine."""
    room = Room()
    room.free = 1000 * MIB
    one = bench(min_free_mib=512, terms=room.terms())
    one.steps(20)
    before = [one.status()[name] for name in ("storage", "storage_since_us")]
    one.close()
    (device.run / "status" / "recorder.json").unlink()
    clock.advance(3600 * SECOND)
    two = bench(min_free_mib=512, terms=room.terms())
    two.steps(20)
    assert [two.status()[name] for name in ("storage", "storage_since_us")] == before
    assert before[0] == 1


def test_a_status_that_says_no_known_step_is_enough() -> None:
    """ST-5: a newer device's, an older one's, or what is no number."""
    assert [parse_storage(one) for one in (0, 1, 2, 3)] == list(STEPS)
    assert {parse_storage(one) for one in (None, 4, -1, True, "full", 1.5)} == {Storage.ENOUGH}


class Room:
    """Free space, and whether a write is refused, as the test wants it."""

    def __init__(self) -> None:
        self.free, self.is_refusing = 100_000 * MIB, False

    def terms(self) -> dict[str, object]:
        room = self

        class Refusing(PartFile):
            def write(self, data: bytes, /) -> int:
                if room.is_refusing:
                    raise OSError(errno.ENOSPC, "no")
                return super().write(data)

        def free_bytes(_folder: Path) -> int:
            return room.free

        return {"open_file": Refusing, "free_bytes": free_bytes, "marked_min_free_bytes": 64 * MIB}


def test_recorder_tells_each_step_and_what_goes_on(device, bench, post) -> None:
    """ST-2, ST-5, ST-6: down the ladder and up again, on the real recorder at its configured rate."""
    room = Room()
    one = bench(segment_s=60, min_free_mib=512, pre_event_s=0, terms=room.terms())

    def after(mib: int, count: int = 40) -> tuple[object, ...]:
        room.free = mib * MIB
        one.steps(count)
        return tuple(one.status()[name] for name in ("storage", "state"))

    assert after(100_000, 20) == (0, "recording")
    assert after(1200, 10) == (1, "recording")
    began_us = one.status()["storage_since_us"]
    assert after(1000) == (1, "recording")
    assert one.status()["storage_since_us"] == began_us
    assert after(500) == (2, "disk_full")
    post(one, "start")
    assert after(500) == (2, "recording")
    assert after(63) == (3, "disk_full")
    assert after(71) == (3, "disk_full")
    assert after(500, 60) == (2, "recording")
    post(one, "stop")
    assert after(500) == (2, "disk_full")
    assert after(100_000, 60) == (0, "recording")
    assert one.status()["storage_since_us"] is None
    one.close()
    stops = [entry.detail["reason"] for entry in device.entries("recording.stopped")]
    assert stops == ["disk_full", "disk_full", "disk_full", "service_stopped"]
    assert {entry.detail["why"] for entry in device.entries("gap")} == {"disk_full"}


def test_disk_that_refuses_what_it_seems_to_have_room_for_is_full(device, bench) -> None:
    """ST-5: a quota."""
    room = Room()
    one = bench(segment_s=60, pre_event_s=1, terms=room.terms())
    one.steps(30)
    room.is_refusing = True
    one.steps(30)
    assert [one.status()[name] for name in ("storage", "state")] == [3, "disk_full"]
    room.is_refusing = False
    one.steps(60)
    assert [one.status()[name] for name in ("storage", "state")] == [0, "recording"]


def test_recorder_counts_what_the_keeper_says_will_give_way(device, bench, clock) -> None:
    """ST-4."""
    room = Room()
    room.free = 1024 * MIB
    one = bench(min_free_mib=512, terms=room.terms())
    one.steps(5)
    assert one.status()["storage"] == 1
    write_status(device.run, "keeper", {"utc_us": clock.utc_us(), "yielding_bytes": 8192 * MIB})
    assert one.status()["storage"] == 0
    assert one.status()["room_left_s"] == 8704 * MIB // 500_000
    clock.advance(31 * SECOND)
    assert one.status()["storage"] == 1
