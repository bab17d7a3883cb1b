"""The drawn street's board."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.board import open_board as open_configured
from edge.board.port import AlertPattern, Board
from simulator.accelerometer import CRASH_US, FOLDER, G_MS2, NAME, SCALE_MS2
from simulator.board import BUTTON, CRASH, INBOX, MAX_PATTERNS, SimBoard, open_board
from simulator.world import plan
from vedette import commands
from vedette.clock import FakeClock
from vedette.config import BoardSection, DeviceConfig, DeviceSection
from vedette.errors import Usage

START_US = 1_795_420_800_000_000
PATTERN = AlertPattern(name="match", caption="verify", pulses=3, on_ms=200, off_ms=200, vibrates=True, sounds=True)


@pytest.fixture(autouse=True)
def _folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The drawn accelerometer is files in the run folder."""
    monkeypatch.chdir(tmp_path)


def board(clock: FakeClock, **options: object) -> SimBoard:
    texts = {name: str(value) for name, value in options.items()}
    return open_board(texts, run_dir=Path("run"), clock=clock)


def test_sim_board_is_where_the_drive_is_when_asked() -> None:
    clock = FakeClock(utc_us=START_US)
    sim: Board = board(clock, seed=3, seconds=60, start_utc_us=START_US)

    clock.advance(20_400_000)
    position = sim.position()

    assert position is not None
    assert (position.lat_e7, position.lon_e7) == plan(3, 60).position_e7(20_000_000)
    assert position.fixed_us == START_US + 20_000_000
    assert position.accuracy_cm == 250


@pytest.mark.parametrize("shift_us", [-1_000_000, 61_000_000])
def test_sim_board_has_no_position_when_the_drive_is_not_on(shift_us: int) -> None:
    sim = board(FakeClock(utc_us=START_US + shift_us), seed=3, seconds=60, start_utc_us=START_US)

    assert sim.position() is None


def test_sim_board_gives_each_press_once_when_its_second_has_come() -> None:
    clock = FakeClock(utc_us=START_US, mono_us=1_000_000)
    sim = board(clock, seconds=60, press_s="2,5")

    before = sim.buttons()
    clock.advance(2_100_000)
    pressed = sim.buttons()
    clock.advance(4_000_000)
    rest, nothing = sim.buttons(), sim.buttons()

    assert (before, nothing) == ([], [])
    assert [(one.button, one.pressed, one.mono_us) for one in pressed] == [(BUTTON, True, 3_000_000)]
    assert [(one.pressed, one.mono_us) for one in rest] == [(False, 3_200_000), (True, 6_000_000), (False, 6_200_000)]


def test_sim_board_gives_what_a_developer_presses_and_lets_go_in_time(tmp_path: Path) -> None:
    clock = FakeClock(utc_us=START_US, mono_us=1_000_000)
    sim = open_board({"seconds": "60"}, run_dir=tmp_path, clock=clock)
    for name, hold_ms in (("record", 3500), ("stealth", 100), ("self-destruct", 100), ("record", -1), ("mute", True)):
        commands.post(tmp_path, INBOX, {"button": name, "hold_ms": hold_ms}, clock=clock)
        clock.advance(2000)

    pressed = sim.buttons()
    clock.advance(3_499_000)
    early = sim.buttons()
    clock.advance(1_000)
    late = sim.buttons()

    assert [(one.button, one.pressed) for one in pressed] == [("record", True), ("stealth", True)]
    assert [(one.button, one.pressed) for one in early] == [("stealth", False)]
    assert [(one.button, one.pressed) for one in late] == [("record", False)]
    assert late[0].mono_us - pressed[0].mono_us == 3_500_000


def test_sim_board_keeps_the_last_patterns_when_there_are_more_than_it_holds() -> None:
    sim = board(FakeClock(), seconds=60)

    for _ in range(MAX_PATTERNS + 1):
        sim.signal(PATTERN)
    sim.close()
    sim.close()

    assert list(sim.patterns) == [PATTERN] * MAX_PATTERNS


def test_sim_board_shakes_its_accelerometer_when_a_crash_is_due_or_asked_for(tmp_path: Path) -> None:
    clock = FakeClock(utc_us=START_US, mono_us=1_000_000)
    sim = open_board({"seconds": "60", "crash_s": "2"}, run_dir=tmp_path, clock=clock)

    def felt() -> list[float]:
        assert sim.buttons() == []
        raw = [int((tmp_path / FOLDER / f"in_accel_{axis}_raw").read_text()) for axis in "xyz"]
        return [round(one * SCALE_MS2 / G_MS2, 1) for one in raw]

    before = felt()
    clock.advance(2_000_000)
    due = felt()
    clock.advance(CRASH_US)
    after = felt()
    commands.post(tmp_path, INBOX, {"button": CRASH, "hold_ms": 200}, clock=clock)
    asked = felt()
    clock.advance(CRASH_US - 1)
    still = felt()

    assert (before, after) == ([0.0, 0.0, 1.0], [0.0, 0.0, 1.0])
    assert due == asked == still == [-8.0, 0.0, 1.0]
    assert (tmp_path / FOLDER / "name").read_text() == f"{NAME}\n"


def test_sim_board_gives_presses_where_the_accelerometer_cannot_be_laid_down() -> None:
    clock = FakeClock(utc_us=START_US)
    sim = board(clock, seconds=60, press_s="1", crash_s="1")
    clock.advance(1_100_000)

    assert [one.button for one in sim.buttons()] == [BUTTON]


@pytest.mark.parametrize(
    ("name", "value"), [("press_s", "two"), ("press_s", "-1"), ("crash_s", "now"), ("colour", "red")]
)
def test_sim_board_names_the_option_when_it_is_wrong(name: str, value: str) -> None:
    with pytest.raises(Usage, match=name):
        board(FakeClock(), **{name: value})


def test_sim_board_is_found_by_its_name_when_the_package_is_installed(tmp_path: Path) -> None:
    config = DeviceConfig(
        device=DeviceSection(id="car-1", data=tmp_path, run=tmp_path),
        board=BoardSection(adapter="sim", options={"seconds": "5"}),
    )

    assert isinstance(open_configured(config, FakeClock()), SimBoard)
