"""The officer's buttons on a developer's keys."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.board.accelerometer import Accelerometer, State
from edge.commands import init_device
from edge.panel.service import open_panel
from simulator.accelerometer import FOLDER, NAME
from simulator.panel_command import HELP, KEYS, drive
from vedette import cli, commands, config, daemon
from vedette.clock import FakeClock
from vedette.config import CameraSection


@pytest.fixture
def device(tmp_path: Path) -> Path:
    run = tmp_path / "run"
    run.mkdir()
    init_device(tmp_path / "car-1", "car-1", camera=CameraSection(), run_dir=run)
    path = tmp_path / "car-1" / "device.toml"
    path.write_text(path.read_text() + '\n[board]\nadapter = "sim"\noptions = { seconds = "60" }\n')
    return path


def keys(*typed: str | None) -> Iterator[str | None]:
    yield from typed
    yield "q"


def test_keys_become_what_an_officer_asks_of_the_recorder(device: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded, clock = config.load_device(device), FakeClock()
    panel = open_panel(loaded, clock)

    def press(*typed: str) -> list[tuple[object, object]]:
        turn = keys(*typed)
        drive(lambda _timeout_s: next(turn), loaded, clock)
        for _ in range(90):
            clock.advance(50_000)
            panel.step(clock.mono_us())
        bodies = commands.take(loaded.run, "recorder")
        return [(body["command"], body.get("mode", body["activation"])) for body in bodies]

    assert press("r") == [("start", "button")]
    daemon.write_status(loaded.run, "recorder", {"utc_us": clock.utc_us() + 4_000_000, "state": "recording",
                                                 "active": True, "held": True, "activation": "button"})  # fmt: skip
    assert press("R") == [("stop", "button")]
    assert press("m", "x") == [("mode", "mute")]
    assert press("s") == [("mode", "stealth")]
    assert press("z") == [("mode", "sleep")]
    assert press("l") == [("start", "lights")]
    assert press("d") == [("start", "door")]
    shown = capsys.readouterr().out
    assert HELP in shown
    assert "recording (button)" in shown
    panel.close()


def test_crash_key_is_felt_by_the_accelerometer_and_starts_a_recording(device: Path) -> None:
    """AC-16, AC-37: the drawn street's board shakes the files, `position` reads them, the panel asks the recorder."""
    loaded, clock = config.load_device(device), FakeClock()
    panel = open_panel(loaded, clock)
    chip = Accelerometer(str(loaded.run / FOLDER), loaded.run, clock, crash_mg=loaded.panel.crash_mg)

    def runs(seconds: int) -> list[object]:
        due_us = 0
        for tick in range(seconds * 100):
            clock.advance(10_000)
            if tick % 5 == 0:
                panel.step(clock.mono_us())
            if clock.mono_us() >= due_us:
                due_us = clock.mono_us() + round(chip.step(clock.mono_us()) * 1e6)
        return [body["activation"] for body in commands.take(loaded.run, "recorder")]

    assert runs(2) == []
    turn = keys("c")
    drive(lambda _timeout_s: next(turn), loaded, clock)
    assert runs(2) == ["crash"]
    assert (chip.heard.state, chip.heard.name) == (State.OK, NAME)
    panel.close()


def test_help_names_every_key() -> None:
    assert all(f"{key} " in HELP for key in KEYS)


def test_press_leaves_one_press_and_names_what_is_wrong(device: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sim", "press", "door", "--hold-ms", "300", "--config", str(device)]) == 0
    assert commands.take(config.load_device(device).run, "board") == [{"button": "door", "hold_ms": 300}]
    assert cli.main(["sim", "press", "door", "--hold-ms", "60001", "--config", str(device)]) == 2
    assert cli.main(["sim", "panel", "--config", str(device)]) == 1
    config.load_device(device).run.rename(device.parent / "gone")
    assert cli.main(["sim", "press", "door", "--config", str(device)]) == 3
    assert "needs a terminal" in capsys.readouterr().err
