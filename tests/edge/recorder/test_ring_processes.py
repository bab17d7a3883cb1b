"""The ring by real processes on a clip: the recorder killed at random, recovery asked for by the command, a keeper."""

import itertools
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from waiting import until

from edge import ring
from edge.ring import load_kept
from vedette.clock import SystemClock, iso
from vedette.custody import verify_chain
from vedette.custody_entry import Entry, parse_line
from vedette.custody_verify import check_segment
from vedette.daemon import read_status
from vedette.keys import SigningKey
from vedette.sealed import recover
from vedette.timeline import State
from vedette.timeline_layers import read_timeline

KILLS = 6


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "street.mp4"
    source = ["-f", "lavfi", "-i", "testsrc2=size=640x480:rate=25:duration=4"]
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p"]
    subprocess.run(["ffmpeg", "-v", "error", *source, *coding, str(path)], check=True)
    return path


def start(device, service: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "vedette.cli", "device", "run", service, "--config"]
    return subprocess.Popen([*command, str(device.folder / "device.toml")])


def entries(device, event: str, service: str = "recorder") -> list[Entry]:
    return [one for one in map(parse_line, device.lines(service)) if one.event == event]


def use_clip(device, clip: Path) -> Path:
    """Let the device play the clip for ever, keep what nobody activates, and give up nothing for want of room."""
    path = device.folder / "device.toml"
    started_us = SystemClock().utc_us()
    camera = f'[camera]\nsource = "{clip}"\nloop = true\n[camera.options]\nstart_utc_us = "{started_us}"\n'
    text = path.read_text()
    recorder = text.split("[recorder]")[1]
    path.write_text(text.split("[camera]")[0] + camera + "[recorder]" + recorder + "[keeper]\nlow_free_mib = 0\n")
    return path


@pytest.mark.timeout(300)
def test_each_second_of_the_ring_is_kept_once_and_recovered_when_the_real_recorder_is_killed(
    device, clip: Path, identity
) -> None:
    """RI-17, RI-18, RI-12, RI-14: killed at any moment, mid ring and mid claim; then recovered by the command."""
    device.config(mode="standby", segment_s=2, retroactive_h=1)
    path = use_clip(device, clip)
    chance = random.Random(11)
    for number in range(KILLS):
        before = len(device.entries("service.started"))
        process = start(device, "recorder")
        until(lambda before=before: len(device.entries("service.started")) > before, "the recorder again")
        count = len(entries(device, "ring.checkpoint"))
        if number % 2:
            until(lambda count=count: len(entries(device, "ring.checkpoint")) > count + 4, "five checkpoints more")
        time.sleep(chance.uniform(0.0, 1.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
    process = start(device, "recorder")
    count = len(entries(device, "ring.closed"))
    until(lambda: len(entries(device, "ring.closed")) > count, "another whole segment")
    public = SigningKey.load(device.folder / "keys" / "sign.pem").public
    folder = ring.folder_of(device.folder / "spool")
    kept = [load_kept(folder / f"{item}{ring.KEPT}", public) for item in ring.named(folder, ring.KEPT)]
    assert sum(not one.ending.complete for one in kept) >= 2
    for one, two in itertools.pairwise(sorted(kept, key=lambda one: one.facts.started_us)):
        assert one.ended_us <= two.facts.started_us + 40_000
    assert device.items() == []
    recover_all = ["device", "recover", "--from", iso(kept[0].facts.started_us), "--to", iso(kept[-1].ended_us)]
    command = [sys.executable, "-m", "vedette.cli", *recover_all, "--reason", "complaint", "--config", str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    until(lambda: entries(device, "ring.claimed"), "the claim")
    process.send_signal(signal.SIGKILL)
    process.wait()
    process = start(device, "recorder")
    until(lambda: entries(device, "ring.settled"), "the claim to be settled")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    lines = verify_chain(device.lines(), public)
    items = {item.item_id: item for item in device.items()}
    # One that was killed before its first second was durable has no moment that could be recovered.
    assert {one.item for one in kept if one.ending.media_us} <= set(items)
    assert [one.detail["resumed"] for one in lines if one.event == "ring.claimed"][:2] == [False, True]
    assert entries(device, "ring.claimed")[0].detail["id"] in said
    for item in items.values():
        with item.path.open("rb") as file:
            assert check_segment(lines, item.item_id, file).fault is None
        with item.path.open("rb") as file:
            assert sum(map(len, recover(file, [identity]))) == item.manifest.plain_size
    timeline = read_timeline(lines)
    assert timeline.unexplained_us == 0
    shown = [one.state for one in timeline.stretches]
    assert State.RECORDED in shown
    assert State.RETAINED in shown


@pytest.mark.timeout(120)
def test_the_real_keeper_gives_the_ring_up_when_policy_is_switched_off(device, clip: Path) -> None:
    """RI-8, RI-9, RI-11: the recorder beside it goes on."""
    device.config(mode="standby", segment_s=2, retroactive_h=1)
    path = use_clip(device, clip)
    recorder = start(device, "recorder")
    until(lambda: len(entries(device, "ring.closed")) >= 2, "two whole segments")
    recorder.send_signal(signal.SIGTERM)
    assert recorder.wait(30) == 0
    path.write_text(path.read_text().replace("retroactive_h = 1", "retroactive_h = 0"))
    closed = {one.detail["segment"] for one in entries(device, "ring.closed")}
    keeper, recorder = start(device, "keeper"), start(device, "recorder")
    until(lambda: {one.item for one in entries(device, "ring.evicted", "keeper")} == closed, "the ring to be given up")
    until(lambda: not list(ring.folder_of(device.folder / "spool").glob("*.age")), "its files to be gone")
    until(lambda: read_status(device.run, "recorder").get("pid") == recorder.pid, "the recorder's status")
    for process in (keeper, recorder):
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert len(entries(device, "ring.started")) == 1
    assert {one.detail["why"] for one in entries(device, "ring.evicted", "keeper")} == {"policy"}


def test_recovery_is_refused_by_the_command_where_policy_keeps_nothing(device) -> None:
    """RI-13."""
    path = device.folder / "device.toml"
    device.config(mode="standby")
    command = [sys.executable, "-m", "vedette.cli", "device", "recover", "--config", str(path), "--reason", "order"]
    times = ["--from", "2026-11-23T08:00", "--to", "2026-11-23T09:00"]
    found = subprocess.run([*command, *times], capture_output=True, text=True)
    assert found.returncode == 1
    assert "retroactive_h is 0" in found.stderr
    device.config(mode="standby", retroactive_h=1)
    found = subprocess.run([*command, "--from", times[3], "--to", times[1]], capture_output=True, text=True)
    assert (found.returncode, "not after" in found.stderr) == (2, True)
