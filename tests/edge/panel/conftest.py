"""A panel beside a recorder whose words the test writes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.board.port import AlertPattern
from edge.panel.page import FOLDER, NAME
from edge.panel.service import PanelService
from vedette import daemon
from vedette.clock import FakeClock
from vedette.config import DeviceConfig, DeviceSection, RecorderSection
from vedette.hitfile import Position

SECOND = 1_000_000


class Lights:
    """A board that remembers what it was asked to signal, and when."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.signals = clock, list[tuple[int, AlertPattern]]()

    def position(self) -> Position | None:
        return None

    def signal(self, pattern: AlertPattern) -> None:
        self.signals.append((self.clock.mono_us(), pattern))

    def buttons(self) -> tuple[()]:
        return ()

    def close(self) -> None:
        pass


class Desk:
    """A panel beside a recorder whose words are written here."""

    def __init__(self, run: Path, **recorder: int) -> None:
        self.run, self.clock = run, FakeClock()
        self.lights = Lights(self.clock)
        policy = RecorderSection(**{"retroactive_h": 24, **recorder})
        config = DeviceConfig(device=DeviceSection(id="car-1", data=run, run=run), recorder=policy)
        self.panel = PanelService(config, self.clock, self.lights)

    def runs(self, seconds: int, state: str, **more: bool | int | str) -> str:
        """The page after so many seconds of this state."""
        for _ in range(seconds):
            daemon.write_status(self.run, "recorder", {"utc_us": self.clock.utc_us(), "state": state, **more})
            self.panel.step(self.clock.mono_us())
            self.clock.advance(SECOND)
        return (self.run / FOLDER / NAME).read_text(encoding="utf-8")

    def given(self) -> list[AlertPattern]:
        return [one for _at, one in self.lights.signals]


@pytest.fixture
def make_desk(tmp_path: Path) -> Callable[..., Desk]:
    return lambda **recorder: Desk(tmp_path, **recorder)


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    return make_desk()
