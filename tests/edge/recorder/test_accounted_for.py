"""What a real recorder did, killed and started again, is accounted for to the second by its own journal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vedette import cli
from vedette.daemon import read_status
from vedette.keys import SigningKey
from vedette.sealed import HybridIdentity
from vedette.trust import Trust

SECOND = 1_000_000


@pytest.fixture
def device(tmp_path: Path, run_dir: Path) -> Path:
    """A standby recorder before a clip that begins anew at its end."""
    folder, clip = tmp_path / "car-1", tmp_path / "clip.mp4"
    source = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=4"]
    made = ["ffmpeg", "-v", "error", *source, "-c:v", "libx264", "-g", "25", "-pix_fmt", "yuv420p", str(clip)]
    subprocess.run(made, check=True, timeout=60)
    init = ["device", "init", str(folder), "--id", "car-1", "--run", str(run_dir), "--mode", "standby"]
    assert cli.main([*init, "--source", str(clip)]) == 0
    recipient, key = HybridIdentity.generate().recipient.text, SigningKey.generate().public
    trust = Trust(
        centre=key, list_signer=key, log_origin="t/log", evidence=(recipient,), oversight=(recipient,), triage=recipient
    )
    (folder / "trust.json").write_bytes(trust.to_bytes())
    path = folder / "device.toml"
    text = path.read_text().replace("[recorder]", "loop = true\n[recorder]\npre_event_s = 1\nmin_free_mib = 0")
    path.write_text(text)
    return path


class Recorder:
    """The process, and what a test asks of it."""

    def __init__(self, device: Path, run_dir: Path) -> None:
        self.device, self.run_dir = device, run_dir
        self.process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "vedette.cli", "device", "run", "recorder", "--config", str(self.device)]
        return subprocess.Popen(command)

    def until(self, what: str, wanted: Any) -> None:
        """Wait for the process itself, and not for a status that an earlier one left."""
        end = time.monotonic() + 120
        while time.monotonic() < end:
            status = read_status(self.run_dir, "recorder")
            if status.get("pid") == self.process.pid and wanted(status):
                return
            time.sleep(0.1)
        raise AssertionError(f"the recorder did not come to {what}: {status}")

    def again(self) -> None:
        self.process.wait(30)
        self.process = self._started()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)


@pytest.fixture
def recorder(device: Path, run_dir: Path) -> Iterator[Recorder]:
    found = Recorder(device, run_dir)
    yield found
    found.end()


def test_every_second_of_a_killed_and_stopped_recorder_is_accounted_for(
    recorder: Recorder, device: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """TI-3, TI-12, TI-13, TI-15, TI-17: standby, recording, kill -9, recording again, standby, an orderly stop, off."""
    recorder.until("standby", lambda one: one["state"] == "standby" and one["frames"])
    assert cli.main(["device", "start", "--config", str(device)]) == 0
    recorder.until("4 s", lambda one: int(str(one["recorded_ms"])) >= 4000)
    os.kill(recorder.process.pid, signal.SIGKILL)
    recorder.again()
    recorder.until("3 s more", lambda one: int(str(one["recorded_ms"])) >= 3000)
    assert cli.main(["device", "stop", "--config", str(device)]) == 0
    recorder.until("standby", lambda one: one["state"] == "standby")
    recorder.process.send_signal(signal.SIGTERM)
    recorder.again()
    recorder.until("standby", lambda one: one["state"] == "standby" and one["frames"])
    recorder.process.send_signal(signal.SIGTERM)
    assert recorder.process.wait(30) == 0
    capsys.readouterr()
    code = cli.main(["custody", "timeline", str(device.parent), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert (code, said["unexplained_us"]) == (0, 0), said["stretches"]
    assert sum(said["totals_us"].values()) == said["to_us"] - said["from_us"]
    order = [one["state"] for one in said["stretches"] if one["state"] != "starting"]
    # The first standby may lie wholly in the second that the pre-event buffer recorded.
    assert order[-6:] == ["recorded", "restarted", "recorded", "standby", "off", "standby"], said["stretches"]
    assert said["totals_us"]["recorded"] >= 6 * SECOND
    assert [one["kind"] for one in said["notes"] if one["kind"] == "proven_to"] == ["proven_to"]
