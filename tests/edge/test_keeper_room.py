"""The keeper and the room on its disk: each rung is in custody, also one that the disk took no line of."""

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.commands import init_device
from edge.keeper import MAX_UNSAID, YIELDING_US, KeeperService
from edge.room import read_yielding
from vedette import config, spool
from vedette.clock import FakeClock, uuid7
from vedette.config import CameraSection
from vedette.custody import verify_chain
from vedette.custody_entry import Entry, parse_line
from vedette.keys import SigningKey
from vedette.records import MANIFEST, Manifest, sign_record
from vedette.sealed import HybridIdentity
from vedette.trust import Trust, load_trust

CENTRE = SigningKey.generate()
RECIPIENT = HybridIdentity.generate().recipient.text
SECOND = 1_000_000


class Bench:
    """A keeper whose folder lies on a real file system of 6 MiB; what is free of it is said by the test."""

    def __init__(self, folder: Path, run: Path) -> None:
        self.folder, self.clock, self.free = folder, FakeClock(), 4000 << 20
        init_device(folder, "car-1", camera=CameraSection(), run_dir=run)
        trust = Trust(centre=CENTRE.public, list_signer=CENTRE.public, log_origin="test/log", evidence=(RECIPIENT,),
                      oversight=(RECIPIENT,), triage=RECIPIENT)  # fmt: skip
        (folder / "trust.json").write_bytes(trust.to_bytes())
        path = folder / "device.toml"
        path.write_text(path.read_text() + "[keeper]\nkeep_receipted_s = 3600\n")
        self.device = config.load_device(path)
        self.key = SigningKey.load(folder / "keys" / "sign.pem")
        self.start()

    def start(self) -> None:
        self.keeper = KeeperService(
            self.device, self.clock, trust=load_trust(self.device.trust), key=self.key, free=lambda _: self.free
        )

    def steps(self, free_mib: int) -> None:
        self.free = free_mib << 20
        self.clock.advance(SECOND)
        self.keeper.step(self.clock.mono_us())

    def said(self) -> list[Entry]:
        paths = sorted((self.folder / "journal" / "keeper").glob("*.jsonl"))
        lines = [line for path in paths for line in path.read_bytes().splitlines()]
        verify_chain(lines, self.key.public)
        return [entry for entry in map(parse_line, lines) if entry.event == "room.changed"]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "vedette-test", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    with tempfile.TemporaryDirectory(prefix="vedette-test-", dir="/dev/shm") as run:
        one = Bench(disk / "car-1", Path(run))
        yield one
        one.keeper.close()
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def start_full(bench: Bench) -> Path:
    """Start the keeper anew on a disk without one free byte; what to delete for space."""
    bench.keeper.close()
    ballast = bench.folder.parent / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass
    bench.start()
    return ballast


def test_each_rung_is_in_custody_as_it_is_entered(bench: Bench) -> None:
    """ST-1, ST-3."""
    for free_mib in (4000, 2047, 511, 511, 63, 63, 100, 4000):
        bench.steps(free_mib)
    assert [(one.detail["rung"], one.detail["free_mib"]) for one in bench.said()] == [
        ("receipted_goes", 2047), ("unmarked_stops", 511), ("marked_stops", 63), ("unmarked_stops", 100),
        ("plenty", 4000),
    ]  # fmt: skip


def test_rungs_that_a_full_disk_took_no_line_of_are_said_as_soon_as_it_takes_one(bench: Bench) -> None:
    """ST-3: with the time at which each was entered, in order."""
    ballast = start_full(bench)
    times = []
    for free_mib in (511, 63, 100):
        bench.steps(free_mib)
        times.append(bench.clock.utc_us())
    bench.steps(100)
    assert bench.said() == []
    ballast.unlink()
    bench.steps(100)
    bench.steps(4000)
    assert [(one.detail["rung"], one.detail["free_mib"], one.detail.get("since_us")) for one in bench.said()] == [
        ("unmarked_stops", 511, times[0]), ("marked_stops", 63, times[1]), ("unmarked_stops", 100, times[2]),
        ("plenty", 4000, None),
    ]  # fmt: skip


@pytest.mark.parametrize(("count", "left"), [(MAX_UNSAID, MAX_UNSAID), (MAX_UNSAID + 1, MAX_UNSAID)])
def test_rungs_that_wait_to_be_said_are_bounded_and_the_newest_stay(bench: Bench, count: int, left: int) -> None:
    """ST-3."""
    ballast = start_full(bench)
    for number in range(count):
        bench.steps(63 if number % 2 == 0 else 100)
    ballast.unlink()
    bench.steps(63 if count % 2 else 100)
    assert len(bench.said()) == left
    assert bench.said()[-1].detail["free_mib"] == (63 if count % 2 else 100)


def test_room_that_files_with_a_receipt_still_take_is_told_to_the_recorder(
    bench: Bench, manifest_of: Callable[..., Manifest]
) -> None:
    """ST-4: they give way before anything stops; what has no receipt never does."""
    root, content = bench.folder / "spool", bytes(300_000)
    for number in range(2):
        item = uuid7(bench.clock)
        spool.part_path(root, "segment", item).write_bytes(content)
        manifest = manifest_of(content, item=item, kind="segment", priority=4)
        spool.commit(root, "segment", item, sign_record(MANIFEST, manifest.to_body(), bench.key))
        if number == 0:
            (bench.folder / "receipts" / f"{item}.receipt").write_bytes(b"not looked at before it is due")
    bench.clock.advance(YIELDING_US)
    bench.steps(4000)
    run, now_us = bench.device.run, bench.clock.utc_us()
    assert read_yielding(run, now_us=now_us) == 300_000
    assert read_yielding(run, now_us=now_us + 30 * SECOND) == 300_000
    assert read_yielding(run, now_us=now_us + 30 * SECOND + 1) == 0
