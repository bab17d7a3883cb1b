"""A disk without one free byte, a real one: under the centre's folder, under the device's, and under what people write.

The recorder's part is tests/edge/recorder/test_disk_full.py; here are the commands, the uplink, the keeper and the
centre, as processes.
"""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sync.central import broker
from vedette import spool
from vedette.daemon import read_status
from vedette.sealed import load_identities, seal

DISK_MIB = 80  # the centre wants 64 MiB free before it takes anything in
WAIT_S = 40.0


def until(fact: Callable[[], object]) -> bool:
    end = time.monotonic() + WAIT_S
    while not fact() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(fact())


def vedette(*words: object, cwd: Path, typed: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vedette.cli", *map(str, words)]
    return subprocess.run(command, cwd=cwd, input=typed, capture_output=True, text=True, timeout=60, check=False)


def fill(disk: Path) -> Path:
    """Take the last byte of `disk`; the file to delete when it is to have space again."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
    return ballast


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "vedette-test", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a service as a process; all are ended with the test."""
    running: list[subprocess.Popen[bytes]] = []

    def run(*words: object) -> subprocess.Popen[bytes]:
        with (tmp_path / f"{len(running)}.log").open("wb") as log:
            command = [sys.executable, "-m", "vedette.cli", *map(str, words)]
            running.append(subprocess.Popen(command, stdout=log, stderr=log))
        return running[-1]

    yield run
    for process in running:
        process.send_signal(signal.SIGTERM)
    for process in running:
        process.wait(WAIT_S)


def centre_and_device(central: Path, device: Path, run_dir: Path) -> None:
    """A centre and an enrolled device with one item to send: the custody journal of a keeper that ran."""
    for words in (
        ("central", "init", central, "--keys", run_dir / "keys"),
        ("device", "init", device, "--id", "car-1", "--run", run_dir),
        ("central", "enrol", central, "car-1", "--device", device),
    ):
        done = vedette(*words, cwd=run_dir)
        assert done.returncode == 0, done.stderr
    config = device / "device.toml"
    keeper = subprocess.Popen([sys.executable, "-m", "vedette.cli", "device", "run", "keeper", "--config", str(config)])
    assert until(lambda: read_status(run_dir, "keeper"))
    keeper.terminate()
    assert keeper.wait(WAIT_S) == 0
    assert len(spool.scan(device / "spool")[0]) == 1


def receipts(device: Path) -> list[str]:
    return [path.name for path in (device / "receipts").glob("*.receipt")]


COMMANDS = [
    "central init new --keys new-keys",
    "central user add central chief",
    "central enrol central car-1 --device car-1",
    "central status central --json",
    "central run --config central/central.toml",
    "watchlist import central ../list.csv",
    "evidence list central",
    "evidence open ../sealed.age --identity ../keys/evidence.identity -o opened",
    "key generate new.identity",
    "device init new --id car-2",
]


def test_command_says_so_and_leaves_nothing_when_the_disk_is_full(disk: Path) -> None:
    """One disk for all of them; the centre's folder is as good as before once there is space again."""
    for words in ("central init central --keys ../keys", "device init car-1 --id car-1"):
        assert vedette(*words.split(), cwd=disk).returncode == 0
    head = "plate,region,reason,priority,source,valid_from,valid_to"
    (disk.parent / "list.csv").write_text(f"{head}\nLS15EBC,GB,stolen,high,test,2026-01-01,2026-12-31\n")
    identity = load_identities(disk.parent / "keys" / "evidence.identity")[0]
    (disk.parent / "sealed.age").write_bytes(seal(bytes(300_000), [identity.recipient]))
    ballast = fill(disk)
    before = names(disk)
    for words in COMMANDS:
        done = vedette(*words.split(), cwd=disk, typed="correct horse\n")
        assert (done.returncode, done.stdout) == (1, ""), words
        assert done.stderr.startswith("vedette: "), (words, done.stderr)
        assert "disk" in done.stderr or "No space left" in done.stderr, (words, done.stderr)
    files = {name for name in names(disk) - before if (disk / name).is_file()}
    assert files <= {"central/store.db-wal", "central/store.db-shm", "central/run/lock"}
    ballast.unlink()
    assert vedette("watchlist", "import", "central", "../list.csv", cwd=disk).returncode == 0
    assert json.loads(vedette("central", "status", "central", "--json", cwd=disk).stdout)["items"] == 0


@pytest.mark.skipif(broker.find_mosquitto() is None, reason="mosquitto is not installed")
def test_centre_lives_and_signs_for_nothing_when_its_disk_is_full_and_goes_on_when_it_has_space(
    disk: Path, tmp_path: Path, run_dir: Path, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    central, device = disk / "central", tmp_path / "car-1"
    centre_and_device(central, device, run_dir)
    centre = start("central", "run", "--config", central / "central.toml")
    assert until((central / "run" / "ports.json").exists)
    ballast = fill(disk)
    start("uplink", "run", "--config", device / "device.toml")
    assert until(lambda: "busy" in str(read_status(run_dir, "uplink").get("last_error")))
    assert centre.poll() is None
    assert receipts(device) == []
    assert len(spool.scan(device / "spool")[0]) == 1
    ballast.unlink()
    assert until(lambda: receipts(device))
    assert centre.poll() is None


def test_reader_starts_and_waits_with_its_journal_when_the_disk_is_full(
    disk: Path, tmp_path: Path, run_dir: Path, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """HT-35. What it does with a hit meanwhile is in tests/edge/reader/test_service.py."""
    device = disk / "car-1"
    centre_and_device(tmp_path / "central", device, run_dir)
    ballast = fill(disk)
    reader = start("device", "run", "reader", "--config", device / "device.toml")
    assert until(lambda: read_status(run_dir, "reader").get("custody") == "no room")
    assert list((device / "journal" / "reader").glob("*.jsonl")) == []
    ballast.unlink()
    assert until(lambda: read_status(run_dir, "reader").get("custody") == "ok")
    assert reader.poll() is None
    reader.terminate()
    assert reader.wait(WAIT_S) == 0


@pytest.mark.skipif(broker.find_mosquitto() is None, reason="mosquitto is not installed")
def test_device_sends_and_frees_its_disk_when_it_started_full(
    disk: Path, tmp_path: Path, run_dir: Path, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """WI-33. Keeper and uplink start without one free byte; some space for receipts is all they need to go on."""
    central, device = tmp_path / "central", disk / "car-1"
    centre_and_device(central, device, run_dir)
    (item,) = spool.scan(device / "spool")[0]
    ballast = fill(disk)
    start("central", "run", "--config", central / "central.toml")
    services = [
        start("uplink", "run", "--config", device / "device.toml"),
        start("device", "run", "keeper", "--config", device / "device.toml"),
    ]
    assert until(lambda: "could not be kept" in str(read_status(run_dir, "uplink").get("last_error")))
    assert item.path.exists()
    assert receipts(device) == []
    ballast.unlink()
    assert until(lambda: not item.path.exists())
    assert [service.poll() for service in services] == [None, None]
