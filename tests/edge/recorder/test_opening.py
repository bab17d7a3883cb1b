"""A camera that is starting, stopping or broken, under a real recorder: nobody waits for it. GStreamer is real."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from waiting import until

from edge.camera import open_camera
from edge.camera.gst import GstCamera
from edge.camera.port import StreamInfo
from vedette import cli
from vedette.clock import FakeClock, SystemClock
from vedette.config import CameraSection
from vedette.custody_entry import Entry, parse_line
from vedette.daemon import read_status
from vedette.errors import Refused
from vedette.timeline import State
from vedette.timeline_layers import read_timeline

pytestmark = pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="GStreamer is not installed")


@pytest.fixture
def clock() -> SystemClock:
    """GStreamer lives in real time; what is awaited below ends by itself, however slow the machine is."""
    return SystemClock()


@pytest.fixture
def silent_server() -> Iterator[str]:
    """The address of a network camera that takes every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"rtsp:rtsp://127.0.0.1:{server.getsockname()[1]}/street"


def gst(source: str = "test") -> GstCamera:
    one = open_camera(CameraSection(adapter="gst", source=source, width=320, height=240, rate=25), SystemClock())
    assert isinstance(one, GstCamera)
    return one


def is_there(pid: int | None) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def step_until(one, happened: Callable[[], object]) -> None:
    while not happened():
        one.steps(1)
        time.sleep(0.01)


def given_up(device) -> list[Entry]:
    """The faults of cameras nobody waits for any more; a machine that is very slow may call one silent before."""
    return [one for one in device.entries("camera.fault") if one.detail["kind"] == "unplugged"]


def test_commands_are_obeyed_while_a_camera_that_never_answers_is_opened(device, bench, post, silent_server) -> None:
    """CF-6: within one and the same attempt to open it, however often that must be tried on a slow machine."""
    camera = gst(silent_server)
    one = bench(camera=camera, mode="standby")
    assert one.status()["state"] in ("starting", "camera_fault")
    obeyed_in: list[bool] = []
    while not any(obeyed_in):
        step_until(one, lambda: camera._child.pid)
        pid, count = camera._child.pid, len(device.entries("activation.received"))
        post(one, "start")
        step_until(one, lambda count=count: len(device.entries("activation.received")) > count)
        obeyed_in.append(camera._child.pid == pid)
    step_until(one, lambda: device.entries("camera.fault"))
    assert device.entries("camera.fault")[0].detail["kind"] == "silent"
    assert one.status()["state"] == "camera_fault"
    post(one, "stop")
    step_until(one, lambda: device.entries("gap"))
    assert device.entries("gap")[-1].detail["why"] in ("starting", "camera_fault")
    assert not one.service._keeping.gaps.is_counting


def test_camera_that_hangs_is_made_to_go_before_it_is_opened_again(device, bench, post) -> None:
    """CF-6, CF-7: a stopped process hears no signal but SIGKILL; there is never a second one beside it."""
    camera = gst()
    one = bench(camera=camera, segment_s=600)
    one.service._read_timeout_s = 0.05
    step_until(one, lambda: one.status()["recorded_ms"] >= 1_000)
    hanging = camera._child.pid
    os.kill(hanging, signal.SIGSTOP)
    step_until(one, lambda: one.status()["state"] == "camera_fault")
    # Asked to end, and it does not hear: the recorder goes on making steps meanwhile.
    assert is_there(hanging)
    count = len(device.entries("activation.received"))
    post(one, "start")
    step_until(one, lambda: len(device.entries("activation.received")) > count)
    step_until(one, lambda: one.status()["state"] == "recording")
    assert not is_there(hanging)
    step_until(one, lambda: one.status()["recorded_ms"] >= 2_500)
    one.close()
    assert len(given_up(device)) == 1
    assert [entry.detail["why"] for entry in device.entries("gap")] == ["camera_fault"]
    assert [item.manifest.complete for item in device.items()] == [True, True]


def test_camera_that_is_not_there_at_the_start_is_a_fault_and_no_reason_to_end(device, bench, post) -> None:
    """CF-1, CF-6: in the words of GStreamer; and what is asked for meanwhile is a gap."""
    camera = gst("v4l2:/dev/video77")
    one = bench(camera=camera, mode="standby")
    step_until(one, lambda: given_up(device))
    (fault,) = given_up(device)
    assert "/dev/video77" in fault.detail["why"]
    post(one, "start")
    step_until(one, lambda: device.entries("recording.stopped"))
    assert [entry.detail["activation"] for entry in device.entries("recording.started")] == ["button"]
    (stopped,) = device.entries("recording.stopped")
    assert stopped.detail["reason"] == "camera_fault"
    post(one, "stop")
    step_until(one, lambda: device.entries("gap"))
    (gap,) = device.entries("gap")
    assert gap.detail["why"] == "camera_fault"
    one.close()
    assert len(given_up(device)) == 1
    timeline = read_timeline([parse_line(line) for line in device.lines()])
    assert timeline.unexplained_us == 0
    assert State.RECORDED not in {stretch.state for stretch in timeline.stretches}


def test_sleep_lets_go_of_a_camera_that_is_still_starting(device, bench, silent_server) -> None:
    camera = gst(silent_server)
    one = bench(camera=camera, mode="standby")
    step_until(one, lambda: camera._child.pid)
    pid = camera._child.pid
    one.service._duty.modes = one.service._duty.modes.__class__(sleep=True)
    step_until(one, lambda: not is_there(pid))
    assert (one.status()["state"], camera._child.pid) == ("asleep", None)


class Stuck:
    """A camera behind a driver that never answers: it takes for ever to start and to stop."""

    ended = False

    def __init__(self) -> None:
        self.begun = self.looks = 0

    def begin(self) -> None:
        self.begun += 1

    def opened(self) -> StreamInfo | None:
        self.looks += 1
        return None

    def has_left(self, wait_s: float = 0.0) -> bool:
        return False

    def open(self) -> StreamInfo:
        raise AssertionError("nobody waits")

    def read(self, timeout_s: float) -> list[object]:
        raise AssertionError("it is not open")

    def close(self) -> None:
        pass


def test_open_that_never_returns_is_begun_once_and_said_once_within_two_seconds(device, bench, clock) -> None:
    """CF-1, CF-7, CF-12: looked at in each step; said while it goes on starting, and shown in the same step."""
    fake = FakeClock()
    one = bench(camera=Stuck(), clock=fake)
    steps = 0
    while not device.entries("camera.fault"):
        assert read_status(device.run, "recorder").get("camera", "ok") == "ok"
        fake.advance(100_000)
        one.steps(1)
        steps += 1
    assert read_status(device.run, "recorder")["camera"] == "silent"
    assert 1_000_000 < steps * 100_000 <= 2_000_000
    for _ in range(600):
        fake.advance(100_000)
        one.steps(1)
    (fault,) = device.entries("camera.fault")
    assert (fault.detail["kind"], fault.utc_us - fault.detail["since_us"]) == ("silent", steps * 100_000)
    assert (one.camera.begun, one.status()["state"]) == (1, "camera_fault")
    assert one.camera.looks >= 600
    one.close()


def test_camera_is_not_silent_when_the_recorder_itself_was_held_up(device, bench, clock) -> None:
    """CF-12: it looks several times before it complains."""
    fake = FakeClock()
    one = bench(camera=Stuck(), clock=fake)
    one.steps(1)
    fake.advance(60_000_000)
    one.steps(1)
    assert device.entries("camera.fault") == []
    one.steps(1)
    assert [entry.detail["kind"] for entry in device.entries("camera.fault")] == ["silent"]
    one.close()


class Reluctant(Stuck):
    """Silent for three seconds, then it says that it does not start; begun again it says so at once."""

    clock: FakeClock
    since_us = 0

    def begin(self) -> None:
        super().begin()
        self.since_us = self.since_us or self.clock.mono_us()

    def opened(self) -> StreamInfo | None:
        if self.clock.mono_us() - self.since_us >= 3_000_000:
            raise Refused("the camera does not start: no answer")
        return super().opened()


def test_camera_that_is_silent_and_then_does_not_start_is_said_to_be_given_up_once(device, bench, clock) -> None:
    """CF-2, CF-12: still starting and given up are two things, each with its own words."""
    fake = FakeClock()
    camera = Reluctant()
    camera.clock = fake
    one = bench(camera=camera, clock=fake)
    for _ in range(300):
        fake.advance(100_000)
        one.steps(1)
    said = [(entry.detail["kind"], entry.detail["why"]) for entry in device.entries("camera.fault")]
    assert [kind for kind, _ in said] == ["silent", "unplugged"]
    assert said[1][1] == "the camera does not start: no answer"
    assert camera.begun > 2
    one.close()


def entries(device, event: str) -> list[Entry]:
    return [one for one in map(parse_line, device.lines()) if one.event == event]


@pytest.mark.timeout(240)
def test_real_recorder_feeds_its_watchdog_and_ends_in_order_while_its_camera_hangs(
    device, run_dir: Path, silent_server
) -> None:
    """CF-6: a real process and systemd's own protocol; SIGTERM is obeyed, custody is whole."""
    device.config(mode="standby")
    path = device.folder / "device.toml"
    recorder = path.read_text().split("[recorder]")[1]
    camera = f'[camera]\nadapter = "gst"\nsource = "{silent_server}"\nwidth = 320\nheight = 240\n'
    path.write_text(path.read_text().split("[camera]")[0] + camera + "[recorder]" + recorder)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(str(run_dir / "notify"))
        command = [sys.executable, "-m", "vedette.cli", "device", "run", "recorder", "--config", str(path)]
        process = subprocess.Popen(command, env={**os.environ, "NOTIFY_SOCKET": str(run_dir / "notify")})
        try:
            until(lambda: read_status(run_dir, "recorder").get("pid") == process.pid, "the recorder", 120)
            assert cli.main(["device", "start", "--config", str(path)]) == 0
            fed = 0
            while not (entries(device, "activation.received") and entries(device, "camera.fault")) or fed < 20:
                fed += notices.recv(64) == b"WATCHDOG=1"
            # Custody is written at once, the status once a second.
            until(lambda: read_status(run_dir, "recorder")["state"] == "camera_fault", "its status", 120)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    assert parse_line(device.lines()[-1]).event == "service.stopped"
    assert read_timeline([parse_line(line) for line in device.lines()]).unexplained_us == 0
