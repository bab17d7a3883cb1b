"""A disk that is full or broken: recording stops, says so, names the gap, and goes on when it can."""

import errno
import itertools
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.commands import init_device
from edge.recorder.segments import PartFile
from vedette import spool
from vedette.age_stream import SEALED_CHUNK_BYTES
from vedette.config import CameraSection
from vedette.custody import verify_chain
from vedette.keys import SigningKey
from vedette.sealed import header_length


class Disk:
    """Free space, and what a write says, as the test wants it."""

    def __init__(self) -> None:
        self.free = 1 << 40
        self.error: int | None = None
        self.room = 1 << 40

    def free_bytes(self, folder: Path) -> int:
        return self.free

    def open_file(self, path: Path) -> PartFile:
        disk = self

        class Refusing(PartFile):
            def write(self, data: bytes, /) -> int:
                disk.room -= len(data)
                if disk.error is not None or disk.room < 0:
                    raise OSError(disk.error or errno.ENOSPC, "no")
                return super().write(data)

        return Refusing(path)

    def terms(self) -> dict[str, object]:
        return {"open_file": self.open_file, "free_bytes": self.free_bytes}


def covered(device) -> bool:
    """True when items and gaps follow one another without a hole or an overlap."""
    spans = [(item.manifest.started_us, item.manifest.ended_us) for item in device.items()]
    spans = sorted(spans + [(entry.detail["from_us"], entry.detail["to_us"]) for entry in device.entries("gap")])
    return all(abs(after[0] - before[1]) <= 100_000 for before, after in itertools.pairwise(spans))


def test_recording_is_closed_whole_and_goes_on_later_when_free_space_falls_below_the_limit(device, bench):
    disk = Disk()
    one = bench(segment_s=60, min_free_mib=100, pre_event_s=1, terms=disk.terms())
    one.steps(40)
    disk.free = (100 << 20) - 1
    one.steps(40)
    assert one.status()["state"] == "disk_full"
    (first,) = device.items()
    assert first.manifest.complete
    disk.free = 1 << 40
    one.steps(60)
    assert one.status()["state"] == "recording"
    one.close()
    (gap,) = device.entries("gap")
    assert gap.detail["why"] == "disk_full"
    assert gap.detail["from_us"] == first.manifest.ended_us
    assert covered(device)
    assert [entry.detail["reason"] for entry in device.entries("recording.stopped")] == ["disk_full", "service_stopped"]


@pytest.mark.parametrize(("free_mib", "state"), [(99, "disk_full"), (100, "recording"), (101, "recording")])
def test_recording_begins_only_when_the_free_space_reaches_the_limit(bench, free_mib: int, state: str):
    disk = Disk()
    disk.free = free_mib << 20
    one = bench(min_free_mib=100, terms=disk.terms())
    one.steps(5)
    assert one.status()["state"] == state


@pytest.mark.parametrize(
    ("error", "why"), [(errno.ENOSPC, "disk_full"), (errno.EDQUOT, "disk_full"), (errno.EIO, "disk_fault")]
)
def test_segment_is_recovered_and_recording_goes_on_when_a_write_fails(device, bench, error: int, why: str):
    disk = Disk()
    one = bench(segment_s=60, pre_event_s=1, terms=disk.terms())
    one.steps(50)
    disk.error = error
    one.steps(20)
    assert one.status()["state"] == why
    disk.error = None
    one.steps(80)
    assert one.status()["state"] == "recording"
    one.close()
    first, second = device.items()
    assert (first.manifest.complete, second.manifest.complete) == (False, True)
    (gap,) = device.entries("gap")
    assert (gap.detail["from_us"], gap.detail["to_us"]) == (first.manifest.ended_us, second.manifest.started_us)
    assert gap.detail["to_mono_us"] - gap.detail["from_mono_us"] == gap.detail["to_us"] - gap.detail["from_us"]
    assert gap.detail["why"] == why
    assert device.quarantined() == []


def test_no_chunk_is_half_on_the_disk_when_it_filled_up_in_the_middle(device, bench):
    disk = Disk()
    disk.room = 300_000
    one = bench(segment_s=60, terms=disk.terms())
    one.steps(60)
    assert one.status()["state"] == "disk_full"
    disk.room = 1 << 40
    one.steps(40)
    first = device.items()[0]
    with first.path.open("rb") as file:
        assert (first.manifest.sealed_size - header_length(file)) % SEALED_CHUNK_BYTES == 0
    assert first.manifest.sealed_size == first.path.stat().st_size <= 300_000


def test_trouble_lasts_and_nothing_crashes_when_every_write_fails(device, bench):
    disk = Disk()
    disk.error = errno.ENOSPC
    one = bench(terms=disk.terms())
    one.steps(200)
    assert one.status()["state"] == "disk_full"
    one.close()
    assert device.items() == []


def test_gap_ends_with_the_stop_when_the_disk_is_full_until_after_it(device, bench, post):
    disk = Disk()
    one = bench(mode="standby", segment_s=60, min_free_mib=100, terms=disk.terms())
    post(one, "start")
    one.steps(40)
    disk.free = 0
    one.steps(40)
    post(one, "stop")
    one.steps(5)
    stopped_us = one.clock.utc_us()
    one.steps(40)
    disk.free = 1 << 40
    one.steps(40)
    assert one.status()["state"] == "standby"
    (gap,) = device.entries("gap")
    assert gap.detail["why"] == "disk_full"
    assert gap.detail["from_us"] == device.items()[0].manifest.ended_us
    assert abs(gap.detail["to_us"] - stopped_us) <= 1_000_000


def test_nothing_is_lost_when_the_disk_was_full_for_less_than_the_pre_event_time(device, bench):
    disk = Disk()
    disk.free = 0
    one = bench(segment_s=60, min_free_mib=100, pre_event_s=60, terms=disk.terms())
    one.steps(40)
    disk.free = 1 << 40
    one.steps(40)
    one.close()
    assert [item.manifest.media.frames for item in device.items()] == [80]
    assert device.entries("gap") == []


def test_recorder_is_stopped_cleanly_when_it_is_in_trouble(device, bench):
    disk = Disk()
    one = bench(segment_s=60, terms=disk.terms())
    one.steps(50)
    disk.error = errno.ENOSPC
    one.steps(5)
    one.close()
    two = bench(segment_s=60)
    two.steps(20)
    two.close()
    assert [item.manifest.complete for item in device.items()] == [False, True]
    assert covered(device)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 6 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "vedette-test", str(folder)], check=False)
    if done.returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def small_device(small_disk: Path, device):
    """The device with its data on a disk of 6 MiB."""
    folder = small_disk / "car-1"
    init_device(folder, "car-1", camera=CameraSection(), run_dir=device.run)
    (folder / "trust.json").write_bytes((device.folder / "trust.json").read_bytes())
    object.__setattr__(device, "folder", folder)
    return device


def fill(disk: Path) -> Path:
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass
    return ballast


def test_recorder_goes_on_when_a_real_disk_was_full_and_has_space_again(small_disk: Path, small_device, bench):
    one = bench(segment_s=4)
    one.steps(60)
    ballast = fill(small_disk)
    one.steps(60)
    assert one.status()["state"] == "disk_full"
    ballast.unlink()
    one.steps(60)
    assert one.status()["state"] == "recording"
    one.close()
    public = SigningKey.load(small_device.folder / "keys" / "sign.pem").public
    assert verify_chain(small_device.lines(), public)[-1].event == "service.stopped"
    assert covered(small_device)
    assert spool.scan(small_device.folder / "spool")[1] == []


def test_recorder_fills_a_real_disk_and_stays_alive_when_nobody_makes_space(small_device, bench):
    one = bench(segment_s=4)
    one.steps(400)
    assert one.status()["state"] == "disk_full"
    assert (small_device.folder / "keys" / "sign.pem").stat().st_size > 0
    one.close()
    assert len(small_device.items()) >= 2


def test_recorder_starts_on_a_real_disk_without_one_free_byte_and_waits(small_disk: Path, small_device, bench):
    ballast = fill(small_disk)
    one = bench(segment_s=4, pre_event_s=1)
    one.steps(40)
    assert one.status()["state"] == "disk_full"
    ballast.unlink()
    one.steps(60)
    assert one.status()["state"] == "recording"
    one.close()
    assert [entry.detail["why"] for entry in small_device.entries("gap")] == ["disk_full"]


def test_unmarked_recording_stops_first_and_marked_recording_last(device, bench, post):
    """ST-2."""
    disk = Disk()
    terms = {**disk.terms(), "marked_min_free_bytes": 10 << 20}
    one = bench(segment_s=60, min_free_mib=100, pre_event_s=0, terms=terms)
    one.steps(40)
    disk.free = 50 << 20
    one.steps(20)
    assert one.status()["state"] == "disk_full"
    post(one, "start")
    one.steps(40)
    assert one.status()["state"] == "recording"
    disk.free = 9 << 20
    one.steps(20)
    assert one.status()["state"] == "disk_full"
    disk.free = 50 << 20
    one.steps(60)
    assert one.status()["state"] == "recording"
    post(one, "stop")
    one.steps(20)
    assert one.status()["state"] == "disk_full"
    disk.free = 1 << 40
    one.steps(60)
    one.close()
    assert covered(device)
    assert [item.manifest.priority for item in device.items()] == [4, 3, 3, 4]
    assert {entry.detail["why"] for entry in device.entries("gap")} == {"disk_full"}


def test_status_says_how_long_the_room_lasts(device, bench):
    """ST-4: at the configured rate (4000 kbit/s here) until the pace is known."""
    disk = Disk()
    disk.free = 300 << 20
    one = bench(segment_s=60, min_free_mib=100, terms=disk.terms())
    one.steps(10)
    assert one.status()["room_left_s"] == (200 << 20) // 500_000
    one.steps(400)
    written, lasts = one.status()["sealed_bytes"], one.status()["room_left_s"]
    assert lasts == pytest.approx((200 << 20) / (written / 41), rel=0.1)
