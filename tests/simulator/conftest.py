"""Stages for whole-system tests: real Mosquitto, real processes, real sealed files, on free loopback ports."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from simulator import demo
from simulator.report import Figures
from simulator.stage import Stage
from sync.central.broker import find_mosquitto


@pytest.fixture(scope="session", autouse=True)
def mosquitto() -> None:
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed (apt install mosquitto)", allow_module_level=True)


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Figures]]:
    """One drive through the drawn street, finished, with the centre still running."""
    options = demo.Options(
        folder=tmp_path_factory.mktemp("demo") / "demo", seconds=30, seed=1, video=None, plates=(), watchlist=None
    )
    stage = Stage(options.folder, demo.scene(options))
    try:
        yield stage, demo.drive_through(stage, options, lambda _progress: None)
    finally:
        stage.close()


@pytest.fixture
def staged(tmp_path: Path) -> Iterator[Callable[[demo.Options], Stage]]:
    """Makes stages that are closed when the test ends."""
    stages: list[Stage] = []

    def make(options: demo.Options) -> Stage:
        stage = Stage(tmp_path / "stage", demo.scene(options))
        stages.append(stage)
        return stage

    yield make
    for stage in stages:
        stage.close()
