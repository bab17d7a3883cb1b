"""Children of a stage: one that dies at each start is given up, and nothing outlives a demo that is told to end."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simulator import processes
from simulator.processes import MOST_EARLY_DEATHS, Process
from vedette.config import load_device
from vedette.errors import Refused

WAIT_S = 40.0


def test_process_is_given_up_with_its_last_words_when_it_dies_at_each_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "RESTART_AFTER_S", 0.0)
    process = Process("keeper", ["device", "run", "keeper", "--config", "nothing.toml"], tmp_path / "keeper.log")
    process.start()
    end = time.monotonic() + WAIT_S
    with pytest.raises(Refused, match=r"keeper does not stay up(.|\n)*nothing\.toml is not there"):
        while time.monotonic() < end:
            process.tend()
            time.sleep(0.02)
    assert process.restarts == MOST_EARLY_DEATHS


def test_nothing_of_a_demo_stays_in_memory_when_it_is_told_to_end(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vedette.cli", "sim", "demo", "--headless", "--seconds", "30"]
    with (tmp_path / "log").open("wb") as log:
        demo = subprocess.Popen([*command, "--folder", str(tmp_path / "demo")], stdout=log, stderr=log)
    end = time.monotonic() + WAIT_S
    while not (tmp_path / "demo" / "central" / "run" / "ports.json").exists() and time.monotonic() < end:
        time.sleep(0.05)
    memory = load_device(tmp_path / "demo" / "vehicle" / "device.toml").run
    assert memory.is_dir()
    demo.send_signal(signal.SIGTERM)
    assert demo.wait(WAIT_S) == 130
    assert b"Traceback" not in (tmp_path / "log").read_bytes()
    assert not memory.exists()
    assert not (tmp_path / "demo" / "central" / "run" / "ports.json").exists()
