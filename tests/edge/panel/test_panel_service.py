"""The panel as a whole: presses, contacts, motion and alerts, on a wired board of gpiozero's own simulated pins."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory, MockPin

from edge.board import open_alerts, open_board
from edge.board.alerts import BLIND, REMINDER, STARTED, STOPPED, hit_pattern
from edge.board.heat import read_heat
from edge.board.port import AlertPattern
from edge.board.position import Fix, write_fix
from edge.board.relay import MAX_AGE_US, RelayBoard, parse_signal
from edge.panel.service import PanelService, View, open_panel
from vedette import canonical, commands, daemon
from vedette.clock import FakeClock
from vedette.config import BoardSection, DeviceConfig, DeviceSection, PanelSection
from vedette.hitfile import Position

PINS = {
    "light": "17", "vibration": "27", "sound": "22",
    "button": "5", "mute": "6", "stealth": "13", "sleep": "19", "lights": "20", "door": "21",
}  # fmt: skip
HIT = hit_pattern("high", same_region=True)


@pytest.fixture
def pins() -> Iterator[MockFactory]:
    """gpiozero's own pins without hardware; the adapter runs unchanged on them."""
    before, Device.pin_factory = Device.pin_factory, MockFactory()
    yield Device.pin_factory
    Device.pin_factory.reset()
    Device.pin_factory = before


class Bench:
    """A panel on a run folder, and the words of a recorder that is not there."""

    def __init__(self, run: Path, pins: MockFactory, **panel: int) -> None:
        self.run, self.pins, self.clock = run, pins, FakeClock()
        self.config = DeviceConfig(
            device=DeviceSection(id="car-1", data=run, run=run),
            board=BoardSection(adapter="pi", options=PINS),
            panel=PanelSection(**panel),
        )
        self.service = open_panel(self.config, self.clock)
        self.signals: list[AlertPattern] = []
        self.service._board.signal = self.signals.append  # type: ignore[method-assign]

    def says(self, state: str = "standby", **more: bool | str) -> None:
        self.said = {"state": state, **more}
        daemon.write_status(self.run, "recorder", {"utc_us": self.clock.utc_us(), **self.said})

    def steps(self, count: int = 1, *, each_us: int = 50_000) -> None:
        for _ in range(count):
            self.clock.advance(each_us)
            if hasattr(self, "said"):
                self.says(**self.said)
            self.service.step(self.clock.mono_us())

    def pin(self, number: int) -> MockPin:
        return self.pins.pin(f"GPIO{number}")

    def press(self, number: int, hold_us: int = 200_000) -> None:
        self.pin(number).drive_low()
        self.steps(max(1, hold_us // 50_000))
        self.pin(number).drive_high()
        self.steps()

    def asked(self) -> list[tuple[object, ...]]:
        bodies = commands.take(self.run, "recorder")
        return [tuple(body[name] for name in ("command", "activation", "mode", "held_ms") if name in body)
                for body in bodies]  # fmt: skip


@pytest.fixture
def bench(tmp_path: Path, pins: MockFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr("edge.board.pi.BOUNCE_S", None)  # gpiozero takes it from the machine's clock
    one = Bench(tmp_path, pins)
    yield one
    one.service.close()


def test_press_of_the_wired_button_starts_and_a_hold_stops(bench: Bench) -> None:
    """AC-7, AC-8, AC-9."""
    bench.says()
    bench.press(5)
    assert bench.asked() == [("start", "button")]
    bench.says("recording", active=True, held=True)
    bench.press(5, 1_000_000)
    (ignored,) = bench.asked()
    assert ignored[:2] == ("stop_ignored", "button")
    assert 900_000 <= ignored[2] * 1000 <= 1_000_000
    bench.press(5, 3_200_000)
    assert bench.asked() == [("stop", "button")]


def test_second_press_does_not_start_again_before_the_recorder_has_said_so(bench: Bench) -> None:
    bench.says()
    bench.press(5)
    bench.press(5)
    assert [one[0] for one in bench.asked()] == ["start", "stop_ignored"]


@pytest.mark.parametrize(("pin", "mode"), [(6, "mute"), (13, "stealth"), (19, "sleep")])
def test_mode_buttons_ask_for_a_change(bench: Bench, pin: int, mode: str) -> None:
    """AC-10."""
    bench.press(pin)
    assert bench.asked() == [("mode", "button", mode)]


@pytest.mark.parametrize(("pin", "why"), [(20, "lights"), (21, "door")])
def test_vehicle_contacts_start_when_they_close_and_do_not_stop_when_they_open(
    bench: Bench, pin: int, why: str
) -> None:
    """AC-7."""
    bench.press(pin)
    assert bench.asked() == [("start", why)]


def test_officer_is_told_when_recording_begins_goes_on_and_ends(bench: Bench) -> None:
    """AC-12."""
    bench.says()
    bench.steps(2)
    bench.says("recording")
    bench.steps(3)
    assert bench.signals == [STARTED]
    bench.steps(24, each_us=5_000_000)
    bench.steps(24, each_us=5_000_000)
    bench.says("standby")
    bench.steps(3)
    assert bench.signals == [STARTED, REMINDER, REMINDER, STOPPED]
    assert (
        daemon.read_status(bench.run, "panel")["reminder_s"] == 120
    )  # what custody says of it is taken from here (AC-48)


@pytest.mark.parametrize("fault", ["unplugged", "frozen", "blocked"])
def test_officer_feels_once_that_the_camera_sees_nothing(bench: Bench, fault: str) -> None:
    """CF-11: once for each time it begins, whichever of them it turns into."""
    bench.says("recording", camera="ok")
    bench.steps(3)
    bench.says("recording", camera=fault)
    bench.steps(9)
    bench.says("recording", camera="blocked")
    bench.steps(9)
    assert bench.signals == [STARTED, BLIND]
    bench.says("recording", camera="ok")
    bench.steps(3)
    bench.says("recording", camera=fault)
    bench.steps(3)
    assert bench.signals == [STARTED, BLIND, BLIND]


@pytest.mark.parametrize(
    "said",
    [
        {"camera": "underexposed"},
        {"camera": "overexposed"},
        {"camera": "silent"},
        {"camera": "frozen", "asleep": True},
    ],
)
def test_officer_feels_nothing_of_what_he_cannot_mend(bench: Bench, said: dict[str, bool | str]) -> None:
    """CF-11: a dark street, a low sun, a camera that starts slowly or was put to sleep."""
    bench.says("standby", camera="ok")
    bench.steps(3)
    bench.says("standby", **said)
    bench.steps(9)
    assert bench.signals == []


def test_camera_that_sees_nothing_is_not_felt_in_stealth(bench: Bench) -> None:
    """CF-11, AC-12."""
    bench.says("standby", camera="ok", stealth=True)
    bench.steps(3)
    bench.says("standby", camera="blocked", stealth=True)
    bench.steps(9)
    assert bench.signals == []


def test_panel_leaves_for_the_recorder_how_hot_the_board_is(tmp_path: Path, pins: MockFactory) -> None:
    """HE-1: every five seconds; where no zone says anything no file is left."""
    run, zone = tmp_path / "run", tmp_path / "zones" / "thermal_zone0"
    run.mkdir()
    zone.mkdir(parents=True)
    bench = Bench(run, pins)
    bench.service.close()
    bench.service = PanelService(bench.config, bench.clock, open_board(bench.config, bench.clock), zones=zone.parent)
    bench.steps(3)
    assert read_heat(run, now_us=bench.clock.utc_us()) is None
    (zone / "type").write_text("cpu-thermal")
    (zone / "temp").write_text("61234\n")
    bench.steps(6, each_us=1_000_000)
    assert read_heat(run, now_us=bench.clock.utc_us()) == 61_234
    bench.service.close()


def test_nothing_lights_up_in_stealth_and_it_does_again_after_it(bench: Bench) -> None:
    """AC-12."""
    relay = RelayBoard(bench.run, bench.clock, position=lambda: None)
    bench.says("recording", stealth=True)
    bench.steps(3)
    relay.signal(HIT)
    bench.steps(60, each_us=5_000_000)
    bench.says("recording", stealth=False)
    bench.steps(3)
    relay.signal(HIT)
    bench.steps(22)
    assert [one.name for one in bench.signals if one is not REMINDER] == [HIT.name]
    assert daemon.read_status(bench.run, "panel")["state"] == "on"


def test_stealth_holds_when_the_recorder_falls_silent(bench: Bench) -> None:
    """AC-12."""
    bench.says("recording", stealth=True)
    bench.steps(3)
    del bench.said
    bench.steps(10, each_us=2_000_000)
    assert bench.service._view == View(stealth=True)


def test_alert_of_the_reader_comes_out_of_the_pins(tmp_path: Path, pins: MockFactory) -> None:
    config = Bench(tmp_path, pins).config
    Device.pin_factory.reset()
    clock = FakeClock()
    with_pins = PanelService(config, clock, open_board(config, clock))
    alerts = open_alerts(config, clock)
    assert isinstance(alerts, RelayBoard)
    alerts.signal(HIT)
    with_pins.step(clock.mono_us())
    board = with_pins._board
    assert [board._light.is_active, board._vibration.is_active, board._sound.is_active] == [True, True, True]
    with_pins.close()
    alerts.close()


@pytest.mark.parametrize(("age_us", "is_shown"), [(0, True), (MAX_AGE_US, True), (MAX_AGE_US + 1, False)])
def test_alert_is_dropped_when_it_is_old(tmp_path: Path, age_us: int, is_shown: bool) -> None:
    clock = FakeClock()
    RelayBoard(tmp_path, clock, position=lambda: None).signal(HIT)
    (body,) = commands.take(tmp_path, "panel")
    assert parse_signal(body, now_us=clock.utc_us() + age_us) == (HIT if is_shown else None)


@pytest.mark.parametrize(
    "changed", [{"pulses": 0}, {"pulses": 11}, {"on_ms": 2001}, {"sounds": 1}, {"plate": "AB"}, {"command": "start"}]
)
def test_alert_is_none_when_a_field_is_wrong(tmp_path: Path, changed: dict[str, object]) -> None:
    clock = FakeClock()
    RelayBoard(tmp_path, clock, position=lambda: None).signal(HIT)
    (body,) = commands.take(tmp_path, "panel")
    assert parse_signal({**body, **changed}, now_us=clock.utc_us()) is None


def test_crash_and_speed_start_a_recording(bench: Bench) -> None:
    """AC-16, AC-17."""
    for at_s, peak_mg, speed in ((0, 100, 2000), (1, 3000, 1900)):
        motion = {"measured_us": bench.clock.utc_us() + at_s, "peak_mg": peak_mg, "speed_cm_s": speed}
        (bench.run / "motion.json").write_bytes(canonical.dumps(motion))
        bench.steps(3)
    assert bench.asked() == [("start", "crash")]


def test_two_fixes_are_a_speed_where_no_sensor_gives_one(tmp_path: Path, pins: MockFactory) -> None:
    """AC-17, AC-19."""
    one = Bench(tmp_path, pins, speed_kmh=100, speed_s=2)
    for second in range(6):
        fix = {"lat_e7": 340_000_000 + second * 3600, "lon_e7": -68_000_000, "accuracy_cm": 100,
               "fixed_us": one.clock.utc_us()}  # fmt: skip
        (tmp_path / "position.json").write_bytes(canonical.dumps(fix))
        one.steps(10, each_us=100_000)
    assert one.asked() == [("start", "speed")]
    one.service.close()


def test_speed_of_the_receiver_counts_before_the_way_between_two_fixes(tmp_path: Path, pins: MockFactory) -> None:
    """AC-19."""
    one = Bench(tmp_path, pins, speed_kmh=100, speed_s=1)
    for _ in range(4):
        fix = Fix(position=Position(lat_e7=0, lon_e7=0, accuracy_cm=None, fixed_us=one.clock.utc_us()), speed_cm_s=2800)
        write_fix(tmp_path, fix)
        one.steps(10, each_us=100_000)
    assert one.asked() == [("start", "speed")]
    one.service.close()


def leave_fix(one: Bench, speed_cm_s: int) -> None:
    position = Position(lat_e7=0, lon_e7=0, accuracy_cm=None, fixed_us=one.clock.utc_us())
    write_fix(one.run, Fix(position=position, speed_cm_s=speed_cm_s))


def leave_peak(one: Bench, peak_mg: int, speed_cm_s: int | None = None) -> None:
    motion = {"measured_us": one.clock.utc_us(), "peak_mg": peak_mg, "speed_cm_s": speed_cm_s}
    (one.run / "motion.json").write_bytes(canonical.dumps(motion))


@pytest.mark.parametrize("apart_ms", [1000, 1001, 1100])
def test_crash_is_seen_by_a_receiver_of_one_fix_a_second_which_is_never_quite_a_second(
    bench: Bench, apart_ms: int
) -> None:
    """AC-16, AC-19: 60 km/h, then nothing; no accelerometer."""
    for speed in (1667, 1667, 0, 0):
        leave_fix(bench, speed)
        bench.steps(10, each_us=apart_ms * 100)
    assert bench.asked() == [("start", "crash")]


def test_hard_braking_is_no_crash_by_a_receiver_of_one_fix_a_second(bench: Bench) -> None:
    """AC-16, AC-19: 0.8 g from 100 km/h."""
    for speed in (2778, 2778, 1993, 1209, 424, 0, 0):
        leave_fix(bench, speed)
        bench.steps(10, each_us=100_000)
    assert bench.asked() == []


def test_speed_and_crash_by_the_receiver_count_beside_an_accelerometer_that_knows_no_speed(
    tmp_path: Path, pins: MockFactory
) -> None:
    """AC-16, AC-17, AC-19: ten measurements without a speed lie between two fixes, and do not interrupt."""
    one = Bench(tmp_path, pins, speed_kmh=50, speed_s=3)
    for second in range(7):
        for tenth in range(10):
            leave_peak(one, 90)
            if tenth == 3:
                leave_fix(one, 1667 if second < 6 else 0)
            one.steps(2)
    assert one.asked() == [("start", "speed"), ("start", "crash")]
    one.service.close()


def test_speed_that_nobody_knows_in_between_did_not_last(tmp_path: Path, pins: MockFactory) -> None:
    """AC-17: a tunnel."""
    one = Bench(tmp_path, pins, speed_kmh=50, speed_s=3)
    for _ in range(2):
        leave_fix(one, 1667)
        one.steps(20, each_us=500_000)
    assert one.asked() == []
    one.service.close()


def test_crash_is_felt_after_the_wall_clock_was_set_back(bench: Bench) -> None:
    """AC-18: what came before by a clock that ran ahead is no reason to be deaf until it is that late again."""
    leave_peak(bench, 100)
    bench.steps(3)
    bench.clock.jump(-3_600_000_000)
    leave_peak(bench, 9000)
    bench.steps(3)
    assert bench.asked() == [("start", "crash")]
