"""The board port: adapters, alert patterns, position, pins."""

import sys
import threading
import types
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge.board import open_board
from edge.board.alerts import LIST_EXPIRED, hit_pattern
from edge.board.null import NullBoard
from edge.board.pins import Pins, parse_pins
from edge.board.port import ButtonEvent
from edge.board.position import MAX_AGE_US, parse_position, read_position
from vedette import canonical
from vedette.clock import FakeClock
from vedette.config import BoardSection, DeviceConfig, DeviceSection
from vedette.errors import Integrity, NotFound, Refused, Usage
from vedette.hitfile import Position
from vedette.watchlist import PRIORITIES

PINS = {"light": "17", "vibration": "27", "sound": "22", "button": "5"}
FIX = {"lat_e7": 340_000_000, "lon_e7": -68_000_000, "accuracy_cm": 250, "fixed_us": 1_795_420_800_000_000}


def config(run: Path, adapter: str, **options: str) -> DeviceConfig:
    return DeviceConfig(
        device=DeviceSection(id="car-1", data=run, run=run), board=BoardSection(adapter=adapter, options=options)
    )


@pytest.mark.parametrize("priority", PRIORITIES)
@pytest.mark.parametrize("same_region", [True, False])
def test_alert_asks_to_look_and_verify_and_claims_nothing(priority: str, same_region: bool) -> None:
    """HT-26."""
    pattern = hit_pattern(priority, same_region=same_region)
    assert "look and verify" in pattern.caption
    assert not any(word in pattern.caption.lower() for word in ("stolen", "wanted", "confirmed"))
    assert ("country differs" in pattern.caption) is not same_region
    assert pattern.pulses * (pattern.on_ms + pattern.off_ms) <= 5_000


def test_alert_is_stronger_when_the_entry_is_more_urgent() -> None:
    """HT-26."""
    high, normal, low = (hit_pattern(priority, same_region=True) for priority in PRIORITIES)
    assert high.pulses > normal.pulses > low.pulses
    assert (high.sounds, normal.sounds, low.sounds) == (True, False, False)
    assert (high.vibrates, normal.vibrates, low.vibrates) == (True, True, False)
    assert not LIST_EXPIRED.sounds


@pytest.mark.parametrize(("age_us", "found"), [(0, True), (MAX_AGE_US, True), (MAX_AGE_US + 1, False)])
def test_position_is_known_only_while_its_fix_is_recent(tmp_path: Path, age_us: int, found: bool) -> None:
    """HT-7."""
    (tmp_path / "position.json").write_bytes(canonical.dumps(FIX))
    position = read_position(tmp_path, now_us=FIX["fixed_us"] + age_us)
    assert (position == Position(**FIX)) is found
    assert (position is None) is not found


@pytest.mark.parametrize(
    "changed",
    [{"lat_e7": 900_000_001}, {"lon_e7": -1_800_000_001}, {"accuracy_cm": -1}, {"fixed_us": "now"}, {"speed": 1}],
)
def test_position_is_none_when_the_file_is_not_what_it_must_be(tmp_path: Path, changed: dict[str, object]) -> None:
    """HT-7."""
    data = canonical.dumps({**FIX, **changed})
    with pytest.raises(Integrity):
        parse_position(data)
    (tmp_path / "position.json").write_bytes(data)
    assert read_position(tmp_path, now_us=FIX["fixed_us"]) is None
    assert read_position(tmp_path / "none", now_us=FIX["fixed_us"]) is None


def test_null_board_knows_the_position_and_keeps_the_last_pattern(tmp_path: Path) -> None:
    """HT-7."""
    (tmp_path / "position.json").write_bytes(canonical.dumps(FIX))
    board = open_board(config(tmp_path, "null"), FakeClock())
    assert isinstance(board, NullBoard)
    assert board.position() == Position(**FIX)
    board.signal(LIST_EXPIRED)
    assert (board.last_pattern, list(board.buttons())) == (LIST_EXPIRED, [])
    board.close()
    board.close()


def test_board_is_refused_when_the_adapter_or_its_options_are_unknown(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="'abacus' is not there; built in: null, pi, jetson"):
        open_board(config(tmp_path, "abacus"), FakeClock())
    with pytest.raises(Usage, match="'null' has none"):
        open_board(config(tmp_path, "null", light="17"), FakeClock())


@pytest.mark.parametrize(("adapter", "package"), [("pi", "gpiozero"), ("jetson", "Jetson")])
def test_board_names_the_package_when_it_is_missing(
    tmp_path: Path, adapter: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(NotFound, match=f"{package}.*extra device-{adapter}"):
        open_board(config(tmp_path, adapter, **PINS), FakeClock())


def test_pins_are_parsed_when_some_are_left_out() -> None:
    assert parse_pins({}) == Pins()
    assert parse_pins({"light": "0", "button": "27"}) == Pins(light=0, button=27)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lamp": "17"}, "unknown pin 'lamp'"),
        ({"light": "28"}, "not a BCM pin from 0 to 27"),
        ({"light": "-1"}, "not a BCM pin"),
        ({"light": "GPIO17"}, "not a BCM pin"),
        ({"light": "17", "sound": "17"}, "used for two things"),
    ],
)
def test_pins_are_refused_when_they_cannot_be(options: dict[str, str], message: str) -> None:
    with pytest.raises(Usage, match=message):
        parse_pins(options)


class FakeZero(types.ModuleType):
    """What `gpiozero` offers here, as its documentation has it."""

    class GPIOZeroError(Exception):
        pass

    class DigitalOutputDevice:
        def __init__(self, pin: int) -> None:
            self.calls: list[tuple[object, ...]] = []
            FakeZero.made[pin] = self

        def blink(self, on_time: float, off_time: float, n: int, background: bool) -> None:
            self.calls.append((on_time, off_time, n, background))

        def off(self) -> None:
            self.calls.append(("off",))

        def close(self) -> None:
            self.calls.append(("close",))

    class Button(DigitalOutputDevice):
        def __init__(self, pin: int, bounce_time: float) -> None:
            super().__init__(pin)
            self.when_pressed = self.when_released = lambda: None

    made: dict = {}  # noqa: RUF012


@pytest.fixture
def zero(monkeypatch: pytest.MonkeyPatch) -> type[FakeZero]:
    FakeZero.made = {}
    monkeypatch.setitem(sys.modules, "gpiozero", FakeZero("gpiozero"))
    return FakeZero


def test_pi_board_pulses_its_pins_and_gives_button_events(tmp_path: Path, zero: type[FakeZero]) -> None:
    clock = FakeClock()
    board = open_board(config(tmp_path, "pi", **PINS), clock)
    board.signal(hit_pattern("normal", same_region=True))
    assert zero.made[17].calls == zero.made[27].calls == [(0.4, 0.3, 2, True)]
    assert zero.made[22].calls == [("off",)]
    zero.made[5].when_pressed()
    clock.advance(70)
    zero.made[5].when_released()
    pressed, released = board.buttons()
    assert (pressed.pressed, released.pressed, released.mono_us - pressed.mono_us) == (True, False, 70)
    assert list(board.buttons()) == []
    board.close()
    assert [zero.made[pin].calls[-1] for pin in (17, 27, 22, 5)] == [("close",)] * 4


def test_pi_board_lets_go_of_its_pins_when_one_cannot_be_had(
    tmp_path: Path, zero: type[FakeZero], monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_args: object, **_keys: object) -> None:
        raise zero.GPIOZeroError("pin GPIO5 is in use")

    monkeypatch.setattr(zero, "Button", busy)
    with pytest.raises(Refused, match="GPIO5 is in use"):
        open_board(config(tmp_path, "pi", **PINS), FakeClock())
    assert zero.made[17].calls == [("close",)]


class FakeJetson:
    """What `Jetson.GPIO` offers here; notes what was put out and says when a pattern is over."""

    BCM, OUT, IN, HIGH, LOW, BOTH = "BCM", "out", "in", 1, 0, "both"

    def __init__(self) -> None:
        self.put: list[tuple[int, int]] = []
        self.level = 1
        self.edge = None
        self.wanted, self.done = 0, threading.Event()
        self.cleaned = 0

    def setmode(self, mode: str) -> None:
        assert mode == self.BCM

    def setup(self, pin: int, way: str, initial: int = 0) -> None:
        assert pin in (17, 27, 22, 5)

    def add_event_detect(self, pin: int, edge: str, callback, bouncetime: int) -> None:
        self.edge = callback

    def input(self, pin: int) -> int:
        return self.level

    def output(self, pin: int, level: int) -> None:
        self.put.append((pin, level))
        self.wanted -= 1
        self.done.set() if self.wanted == 0 else None

    def cleanup(self) -> None:
        self.cleaned += 1


@pytest.fixture
def jetson(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeJetson]:
    gpio = FakeJetson()
    package = types.ModuleType("Jetson")
    package.GPIO = gpio
    monkeypatch.setitem(sys.modules, "Jetson", package)
    yield gpio


def test_jetson_board_plays_a_pattern_and_gives_button_events(tmp_path: Path, jetson: FakeJetson) -> None:
    board = open_board(config(tmp_path, "jetson", **PINS), FakeClock())
    jetson.wanted = 12
    board.signal(replace(hit_pattern("normal", same_region=True), on_ms=1, off_ms=1))
    assert jetson.done.wait(5)
    assert jetson.put == [(17, 1), (27, 1), (22, 0), (17, 0), (27, 0), (22, 0)] * 2
    jetson.level = 0
    jetson.edge(5)
    assert board.buttons() == [ButtonEvent(button="record", pressed=True, mono_us=FakeClock().mono_us())]
    board.close()
    board.close()
    assert jetson.cleaned == 1


def test_jetson_board_leaves_a_pattern_for_a_newer_one_and_for_close(tmp_path: Path, jetson: FakeJetson) -> None:
    board = open_board(config(tmp_path, "jetson", light="17"), FakeClock())
    jetson.wanted = 3
    board.signal(replace(LIST_EXPIRED, on_ms=60_000))
    board.signal(replace(LIST_EXPIRED, on_ms=60_000))
    board.close()
    assert jetson.put[-1:] in ([(17, 0)], [])
    assert jetson.cleaned == 1


def test_jetson_board_is_refused_when_the_machine_is_no_jetson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Elsewhere(types.ModuleType):
        @property
        def GPIO(self) -> None:  # noqa: N802
            raise RuntimeError("could not determine Jetson model")

    monkeypatch.setitem(sys.modules, "Jetson", Elsewhere("Jetson"))
    with pytest.raises(Refused, match="could not determine Jetson model"):
        open_board(config(tmp_path, "jetson", **PINS), FakeClock())


def test_jetson_board_is_refused_when_its_pins_cannot_be_had(
    tmp_path: Path, jetson: FakeJetson, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_args: object, **_keys: object) -> None:
        raise RuntimeError("channel 17 is in use")

    monkeypatch.setattr(jetson, "setup", busy)
    with pytest.raises(Refused, match="channel 17 is in use"):
        open_board(config(tmp_path, "jetson", **PINS), FakeClock())
    assert jetson.cleaned == 1
