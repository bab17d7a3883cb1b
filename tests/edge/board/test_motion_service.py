"""The accelerometer in the service `position`: its thread, its custody; a crash by real processes and a real gpsd."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from waiting import until

from edge.board import accelerometer, gnss
from edge.board.accelerometer import SILENT_US, Accelerometer, Heard, State, Watch
from edge.board.motion import read_motion
from edge.board.null import NullBoard
from edge.board.position_service import PositionService, open_watch
from edge.commands import init_device
from edge.panel.service import PanelService
from simulator.accelerometer import NAME, SimAccelerometer
from vedette import commands
from vedette.clock import FakeClock, SystemClock
from vedette.config import (
    CameraSection,
    DeviceConfig,
    DeviceSection,
    MotionSection,
    PanelSection,
    PositionSection,
    load_device,
)
from vedette.custody_entry import Entry, parse_line
from vedette.custody_tail import journal_files
from vedette.daemon import read_status
from vedette.keys import SigningKey
from vedette.sealed import HybridIdentity
from vedette.trust import Trust

KEY = SigningKey.generate()
SECOND = 1_000_000


@pytest.fixture
def device(tmp_path: Path) -> DeviceConfig:
    run = tmp_path / "run"
    run.mkdir()
    return DeviceConfig(device=DeviceSection(id="car-1", data=tmp_path, run=run))


def said(folder: Path, event: str, service: str = "position") -> list[Entry]:
    paths = journal_files(folder / "journal" / service) if (folder / "journal" / service).is_dir() else []
    lines = [line for path in paths for line in path.read_bytes().rpartition(b"\n")[0].splitlines()]
    return [one for one in map(parse_line, lines) if one.event == event]


class Rehearsed:
    """Stands where the accelerometer's thread does and says what it is told to."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.state, self.closed = clock, State.NONE, False
        self.at_us = clock.mono_us()

    @property
    def heard(self) -> Heard:
        return Heard(state=self.state, at_us=self.at_us, name="mpu6050", range_mg=16_000)

    def close(self) -> None:
        self.closed = True


def test_custody_and_status_say_each_change_of_the_sensor_once(device: DeviceConfig) -> None:
    """AC-41: none at the start is none; a driver that hangs is seen from outside."""
    clock = FakeClock()
    sensor = Rehearsed(clock)
    found = PositionService(device, clock, key=KEY, ask_kernel=lambda: None, watch=sensor)  # type: ignore[arg-type]
    for state in (State.NONE, State.OK, State.OK, State.GONE, State.OK):
        sensor.state, sensor.at_us = state, clock.mono_us()
        found.step(clock.mono_us())
        assert read_status(device.run, "position")["motion"] == state.value
        clock.advance(SECOND)
    clock.advance(SILENT_US)
    found.step(clock.mono_us())
    lines = said(device.data, "motion.sensor")
    changes = [(one.detail["before"], one.detail["state"]) for one in lines]
    assert changes == [("none", "ok"), ("ok", "gone"), ("gone", "ok"), ("ok", "silent")]
    assert {(one.detail["sensor"], one.detail["range_mg"]) for one in lines} == {("mpu6050", 16_000)}
    assert read_status(device.run, "position")["motion_sensor"] == "mpu6050"
    found.close()
    assert sensor.closed


@pytest.mark.parametrize(("sensor", "crash_mg"), [("none", 2500), ("auto", 0)])
def test_no_sensor_is_read_where_nobody_wants_it(device: DeviceConfig, sensor: str, crash_mg: int) -> None:
    """AC-41."""
    config = replace(device, motion=MotionSection(sensor=sensor), panel=PanelSection(crash_mg=crash_mg))
    clock = FakeClock()
    assert open_watch(config, clock) is None
    found = PositionService(config, clock, key=KEY, ask_kernel=lambda: None, watch=None)
    found.step(clock.mono_us())
    assert read_status(device.run, "position")["motion"] == "off"
    found.close()
    assert said(device.data, "motion.sensor") == []


def test_thread_reads_the_sensor_that_is_named_and_ends_when_it_is_told_to(device: DeviceConfig) -> None:
    """AC-37, AC-41."""
    chip = SimAccelerometer(device.run / "chip")
    clock = SystemClock()
    watch = open_watch(replace(device, motion=MotionSection(sensor=str(chip.folder))), clock)
    assert watch is not None
    until(lambda: read_motion(device.run, now_us=clock.utc_us()), "what the thread reads")
    assert (watch.heard.state, watch.heard.name) == (State.OK, NAME)
    watch.close()
    assert "accelerometer" not in {one.name for one in threading.enumerate()}


def test_driver_that_hangs_holds_up_neither_the_service_nor_its_end(
    device: DeviceConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AC-41: opening a pipe that nobody writes to hangs as a driver on a stuck bus does."""
    monkeypatch.setattr(accelerometer, "JOIN_S", 0.1)
    chip, clock = SimAccelerometer(device.run / "chip"), FakeClock()
    (chip.folder / "in_accel_x_raw").unlink()
    os.mkfifo(chip.folder / "in_accel_x_raw")
    watch = Watch(Accelerometer(str(chip.folder), device.run, clock, crash_mg=2500), clock)
    found = PositionService(device, clock, key=KEY, ask_kernel=lambda: None, watch=watch)
    clock.advance(SILENT_US + SECOND)
    found.step(clock.mono_us())
    assert [one.detail["state"] for one in said(device.data, "motion.sensor")] == ["silent"]
    found.close()
    assert len(said(device.data, "service.stopped")) == 1
    os.close(os.open(chip.folder / "in_accel_x_raw", os.O_WRONLY))
    watch._thread.join(10)
    assert not watch._thread.is_alive()


def test_thread_that_dies_of_a_fault_of_the_program_takes_the_service_with_it(
    device: DeviceConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AC-41: systemd starts it anew, custody has the gap; a thread that is dead in silence would feel no crash."""
    monkeypatch.setattr(threading, "excepthook", lambda _args: None)
    monkeypatch.setattr(Accelerometer, "step", lambda _self, _now_us: 1 / 0)
    clock = FakeClock()
    watch = Watch(Accelerometer("auto", device.run, clock, crash_mg=2500, devices=device.run), clock)
    watch._thread.join(10)
    found = PositionService(device, clock, key=KEY, ask_kernel=lambda: None, watch=watch)
    with pytest.raises(RuntimeError, match="thread has ended"):
        found.step(clock.mono_us())
    found.close()


class Paced:
    """One report of gpsd at a step, a little over a second after the other, as somebody looks who looks five times a
    second: gpsfake speaks faster than a receiver does.
    """

    def __init__(self, client: Any, clock: FakeClock) -> None:
        self.client, self.clock, self.is_connected, self.faults = client, clock, True, 0
        self.waiting: list[gnss.Report] = []
        self.seconds: list[int] = []

    def poll(self) -> list[gnss.Report]:
        self.waiting += [one for one in self.client.poll() if one.satellite_us is not None]
        if not self.waiting:
            return []
        report = self.waiting.pop(0)
        is_same = report.satellite_us in self.seconds
        self.clock.advance(1000 if is_same else SECOND + 50_000)
        self.seconds += [] if is_same else [int(report.satellite_us or 0)]
        return [replace(report, mono_us=self.clock.mono_us(), utc_us=self.clock.utc_us())]

    def close(self) -> None:
        self.client.close()


@pytest.mark.parametrize(
    ("knots", "asked"),
    [((32.4,) * 4 + (0.0,) * 4, ["crash"]), ((54.0, 54.0, 38.7, 23.5, 8.2, 0.0, 0.0), [])],
    ids=["60 km/h to a stand", "0.8 g of braking"],
)
def test_crash_is_seen_by_the_speed_of_a_real_gpsd(
    gpsd: Callable[[str], str],
    nmea: Callable[..., str],
    device: DeviceConfig,
    monkeypatch: pytest.MonkeyPatch,
    knots: tuple[float, ...],
    asked: list[str],
) -> None:
    """AC-16, AC-19: without an accelerometer; from the receiver by gpsd and `position` to the panel's commands."""
    monkeypatch.setattr(gnss, "RETRY_US", 0)
    # gpsd takes some seconds to know the receiver, and the last one when the next begins.
    driven = (*[knots[0]] * 20, *knots, *[knots[-1]] * 3)
    sentences = "".join(nmea(second, second + 1, knots=speed) for second, speed in enumerate(driven))
    clock = FakeClock()
    found = PositionService(
        replace(device, position=PositionSection(gpsd=gpsd(sentences))), clock, key=KEY, ask_kernel=lambda: None
    )
    found._client = paced = Paced(found._client, clock)  # type: ignore[assignment]
    panel = PanelService(device, clock, NullBoard(device.run, clock), zones=device.run / "none")
    end = time.monotonic() + 60
    while not paced.seconds or paced.seconds[-1] % (60 * SECOND) < (20 + len(knots) - 1) * SECOND:
        assert time.monotonic() < end, paced.seconds
        found.step(clock.mono_us())
        panel.step(clock.mono_us())
        time.sleep(0.001 if paced.waiting else 0.02)
    panel.step(clock.mono_us() + SECOND)
    found.close()
    panel.close()
    assert [body["activation"] for body in commands.take(device.run, "recorder")] == asked


def start(path: Path, service: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "vedette.cli", "device", "run", service, "--config", str(path)]
    return subprocess.Popen(command)


@pytest.fixture
def car(tmp_path: Path) -> Iterator[tuple[Path, SimAccelerometer]]:
    """A device in standby on a clip and its accelerometer's files; recorder, panel and position run as processes."""
    clip, run = tmp_path / "street.mp4", Path(tempfile.mkdtemp(dir="/dev/shm"))
    source = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=4"]
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p"]
    subprocess.run(["ffmpeg", "-v", "error", *source, *coding, str(clip)], check=True)
    chip = SimAccelerometer(tmp_path / "iio:device0")
    folder = tmp_path / "car-1"
    init_device(folder, "car-1", camera=CameraSection(source=str(clip)), run_dir=run, mode="standby")
    path = folder / "device.toml"
    people = [HybridIdentity.generate().recipient.text for _ in range(3)]
    trust = Trust(
        centre=KEY.public,
        list_signer=KEY.public,
        log_origin="test/log",
        evidence=(people[0],),
        oversight=(people[1],),
        triage=people[2],
    )
    (folder / "trust.json").write_bytes(trust.to_bytes())
    text = path.read_text().replace("[recorder]", "loop = true\n[recorder]\nmin_free_mib = 0")
    path.write_text(f'{text}[motion]\nsensor = "{chip.folder}"\n')
    processes = [start(path, service) for service in ("recorder", "panel", "position")]
    yield folder, chip
    for process in processes:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    shutil.rmtree(run)


@pytest.mark.timeout(200)
def test_crash_in_the_chip_s_files_starts_a_real_recording(car: tuple[Path, SimAccelerometer]) -> None:
    """AC-1, AC-5, AC-16, AC-37, AC-41: three real processes that meet in files alone; then the chip is torn off."""
    folder, chip = car
    run = load_device(folder / "device.toml").run
    until(lambda: read_status(run, "position").get("motion") == "ok", "the sensor")
    until(lambda: read_status(run, "panel").get("state") == "on", "the panel")
    until(lambda: read_status(run, "recorder").get("state") == "standby", "the recorder in standby")
    chip.show(-15.0, 0.0, 1.0)
    until(lambda: read_status(run, "recorder").get("active") is True, "the recording")
    chip.show(0.0, 0.0, 1.0)
    status = read_status(run, "recorder")
    assert (status["state"], status["activation"]) == ("recording", "crash")
    (received,) = said(folder, "activation.received", "recorder")
    assert (received.detail["command"], received.detail["activation"]) == ("start", "crash")
    (chip.folder / "in_accel_x_raw").unlink()
    until(lambda: read_status(run, "position").get("motion") == "gone", "the sensor to be gone")
    until(lambda: [one.detail["state"] for one in said(folder, "motion.sensor")] == ["ok", "gone"], "its custody")
