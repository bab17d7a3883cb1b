"""Kill the recorder at any moment: what custody promised is in the spool, the rest is named as a gap, nothing twice."""

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from waiting import until

from vedette import spool
from vedette.clock import SystemClock
from vedette.custody import Journal, verify_chain
from vedette.custody_entry import parse_line
from vedette.custody_verify import check_segment
from vedette.keys import SigningKey

FRAME_US = 100_000


class PowerCut(BaseException):
    """The power went before this file operation."""


class Power:
    """Cuts the power at the `last`-th file operation, and knows what was durable by then."""

    def __init__(self, last: int, folder: Path) -> None:
        self.last = last
        self.operations = 0
        self.durable = {str(path): path.stat().st_size for path in folder.rglob("*") if path.is_file()}

    @contextmanager
    def on(self) -> Iterator[None]:
        originals = {name: getattr(os, name) for name in ("write", "fsync", "replace", "link", "unlink", "ftruncate")}
        for name, original in originals.items():
            setattr(os, name, self._watched(name, original))
        try:
            yield
        finally:
            for name, original in originals.items():
                setattr(os, name, original)

    def _watched(self, name: str, original: Callable[..., object]) -> Callable[..., object]:
        def operation(*args: object, **more: object) -> object:
            self.operations += 1
            if self.operations == self.last:
                raise PowerCut
            result = original(*args, **more)
            if name == "fsync":
                self.durable[str(Path(f"/proc/self/fd/{args[0]}").readlink())] = os.fstat(args[0]).st_size
            return result

        return operation

    def lose_what_was_not_durable(self, folder: Path, chance: random.Random) -> None:
        """Cut each file that was being written to any size from its durable one to its whole one."""
        for path in [*folder.rglob("*.part"), *folder.rglob("*.jsonl")]:
            size = path.stat().st_size
            os.truncate(path, chance.randint(min(size, self.durable.get(str(path), 0)), size))


def run_until_cut(one, power: Power) -> bool:
    """Record until the power goes; False when it never did."""
    try:
        with power.on():
            one.steps(70)
            one.close()
    except PowerCut:
        return True
    finally:
        journal = one.service._keeping._opened
        if journal is not None:
            journal.journal.close()
        one.is_closed = True
    return False


def check_everything(device) -> None:
    """Every item agrees with custody; custody is one chain; every moment is in an item or in a gap, and in one only."""
    public = SigningKey.load(device.folder / "keys" / "sign.pem").public
    entries = verify_chain(device.lines(), public)
    items = device.items()
    for item in items:
        with item.path.open("rb") as file:
            assert check_segment(entries, item.item_id, file).fault is None
    held = {item.item_id for item in items}
    promised = {entry.item for entry in entries if entry.event == "segment.checkpoint" and entry.detail["media_us"]}
    assert promised <= held
    spans = [(item.manifest.started_us, item.manifest.ended_us) for item in items]
    spans += [(entry.detail["from_us"], entry.detail["to_us"]) for entry in entries if entry.event == "gap"]
    spans.sort()
    for before, after in itertools.pairwise(spans):
        assert abs(after[0] - before[1]) <= FRAME_US
    assert list((device.folder / "spool" / "segment").glob("*.part")) == []
    whys = [entry.detail["why"] for entry in entries if entry.event == "segment.quarantined"]
    assert [why for why in whys if "not one whole chunk" not in why and "header" not in why] == []


def operations_of_a_whole_run(bench) -> int:
    one = bench(segment_s=3)
    power = Power(-1, one.device.folder)
    assert not run_until_cut(one, power)
    return power.operations


@pytest.mark.parametrize("start", range(6))
def test_recorder_keeps_its_promises_when_the_power_goes_at_any_file_operation(device, bench, tmp_path, start: int):
    """SP-2, RE-12: every sixth operation, so that the six cases together cut at each one."""
    chance = random.Random(start)
    total = operations_of_a_whole_run(bench)
    assert total > 60
    for last in range(1 + start, total, 6):
        one = bench(segment_s=3)
        power = Power(last, device.folder)
        assert run_until_cut(one, power)
        power.lose_what_was_not_durable(device.folder, chance)
        one.clock.advance(2_000_000)
    two = bench(segment_s=3)
    two.steps(20)
    two.close()
    check_everything(device)


@pytest.fixture
def journals(monkeypatch) -> list[Journal]:
    """Every journal that was opened, so that one of a recorder that never came to be can be let go."""
    opened: list[Journal] = []
    original = Journal.open

    def remember(*args: object, **more: object) -> Journal:
        opened.append(original(*args, **more))
        return opened[-1]

    monkeypatch.setattr(Journal, "open", remember)
    return opened


@pytest.mark.parametrize("start", range(3))
def test_recovery_is_finished_by_the_next_run_when_the_power_goes_in_it(device, bench, journals, start: int):
    chance = random.Random(start)
    cuts = 0
    for last in range(1 + start, 60, 3):
        one = bench(segment_s=60)
        assert run_until_cut(one, Power(60, device.folder))
        power = Power(last, device.folder)
        try:
            with power.on():
                bench(segment_s=60).is_closed = True
        except PowerCut:
            cuts += 1
        journals[-1].close()
        power.lose_what_was_not_durable(device.folder, chance)
        one.clock.advance(2_000_000)
    assert cuts >= 5
    two = bench(segment_s=60)
    two.steps(20)
    two.close()
    check_everything(device)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "street.mp4"
    source = ["-f", "lavfi", "-i", "testsrc2=size=640x480:rate=25:duration=4"]
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p"]
    subprocess.run(["ffmpeg", "-v", "error", *source, *coding, str(path)], check=True)
    return path


def start(device) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "vedette.cli", "device", "run", "recorder", "--config"]
    return subprocess.Popen([*command, str(device.folder / "device.toml")])


@pytest.mark.timeout(180)
def test_every_second_is_kept_or_named_when_the_real_recorder_is_killed_ten_times(device, clip: Path):
    device.config(segment_s=2)
    started_us = SystemClock().utc_us()
    camera = f'[camera]\nsource = "{clip}"\nloop = true\n[camera.options]\nstart_utc_us = "{started_us}"\n'
    path = device.folder / "device.toml"
    path.write_text(
        path.read_text().split("[camera]")[0] + camera + "[recorder]" + path.read_text().split("[recorder]")[1]
    )
    chance = random.Random(5)
    for _ in range(10):
        before = len(device.entries("service.started"))
        process = start(device)
        until(lambda before=before: len(device.entries("service.started")) > before, "the recorder again", 20)
        time.sleep(chance.uniform(0.0, 1.8))
        process.send_signal(signal.SIGKILL)
        process.wait()
    process = start(device)
    count = len(device.entries("segment.checkpoint"))
    until(lambda: len(device.entries("segment.checkpoint")) > count, "another checkpoint", 20)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    check_everything(device)
    assert sum(not item.manifest.complete for item in device.items()) >= 3
    assert spool.scan(device.folder / "spool")[1] == []
    assert parse_line(device.lines()[-1]).event == "service.stopped"
