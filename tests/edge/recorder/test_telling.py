"""What the recorder tells a camera that draws: when, with which number, and what is then in the sealed recording."""

import datetime
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import av
import numpy as np
import pytest

from edge.board.position import MAX_AGE_US, Fix
from edge.camera.burnin import BurntStamp
from edge.camera.clip import ClipCamera
from edge.camera.condition import Moment
from edge.camera.drawnstamp import StampFacts
from edge.camera.port import EncodedUnit, Given
from edge.recorder.telling import SECOND_US, Telling
from vedette.clock import FakeClock
from vedette.config import CameraSection
from vedette.hitfile import Position

ZONE = datetime.timezone(datetime.timedelta(hours=1))
WHERE = "33.57310 N 7.58981 W ±5 m 3D 9 sat"
NOON = Moment(1_795_608_402_900_000, 7_000_000)


def fix(at_us: int) -> Fix:
    here = Position(lat_e7=335_731_049, lon_e7=-75_898_051, accuracy_cm=450, fixed_us=at_us)
    return Fix(position=here, mode="3d", satellites=9)


@dataclass
class Drawing:
    """A camera that only remembers what it was told."""

    is_stamped: bool = True
    told: list[StampFacts] = field(default_factory=list)

    def stamp(self, facts: StampFacts) -> None:
        self.told.append(facts)


@dataclass
class Running:
    recording_id: str


def telling(camera: object, find: Callable[[int], Fix | None] = fix) -> Telling:
    return Telling(camera, device="car-1", zone=ZONE, find_fix=find)  # type: ignore[arg-type]


def later(by_us: int) -> Moment:
    return Moment(NOON.utc_us + by_us, NOON.mono_us + by_us)


def test_camera_is_told_once_a_second_and_at_once_when_the_recording_changes() -> None:
    """SG-23."""
    camera = Drawing()
    one = telling(camera)
    for by_us, number in ((0, ""), (40_000, ""), (80_000, "a"), (120_000, "a"), (160_000, "b"), (200_000, "")):
        one.look(later(by_us), Running(number) if number else None)  # type: ignore[arg-type]
    assert [facts.recording for facts in camera.told] == ["", "a", "b", ""]
    one.look(later(200_000 + SECOND_US - 1), None)
    assert len(camera.told) == 4
    one.look(later(200_000 + SECOND_US), None)
    assert len(camera.told) == 5


def test_camera_is_told_device_zone_clock_and_position() -> None:
    """SG-22."""
    camera = Drawing()
    telling(camera).look(NOON, None)
    (facts,) = camera.told
    assert facts == StampFacts(
        device="car-1", ahead_us=NOON.utc_us - NOON.mono_us, zone_s=3600,
        place=WHERE, fixed_us=NOON.utc_us,
    )  # fmt: skip
    assert json.loads(facts.to_line())["place"] == facts.place


@pytest.mark.parametrize(("trusted", "is_distrusted"), [(False, True), (True, False), (None, False)])
def test_camera_is_told_that_the_receivers_time_is_not_trusted(trusted: bool | None, is_distrusted: bool) -> None:
    """SG-25."""
    camera = Drawing()
    telling(camera, lambda at_us: replace(fix(at_us), satellite_time_trusted=trusted)).look(NOON, None)
    (facts,) = camera.told
    assert (facts.place, facts.is_distrusted) == (WHERE, is_distrusted)


@pytest.mark.parametrize("camera", [Drawing(is_stamped=False), object()])
def test_camera_that_draws_nothing_is_told_nothing_and_no_position_is_looked_for(camera: object) -> None:
    """SG-21."""

    def find(_at_us: int) -> Fix | None:
        raise AssertionError

    telling(camera, find).look(NOON, None)
    assert getattr(camera, "told", []) == []


class Clip(ClipCamera):
    """A real clip, coded again, with the clock of the test moved on by each picture."""

    def read(self, timeout_s: float) -> list[Given]:
        found = list(super().read(timeout_s))
        self._clock.advance(sum(isinstance(one, EncodedUnit) for one in found) * 40_000)
        return found


@pytest.fixture(scope="session")
def mpeg4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty seconds of grey in a codec that is coded again."""
    path = tmp_path_factory.mktemp("grey") / "grey.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=25, width=640, height=480, pix_fmt="yuv420p")
        for _ in range(500):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((720, 640), 128, np.uint8), format="yuv420p")))
        out.mux(stream.encode())
    return path


def seen(plain: bytes) -> list[np.ndarray]:
    with av.open(io.BytesIO(plain)) as file:
        return [frame.to_ndarray(format="gray") for frame in file.decode(video=0)]


def letters(luma: np.ndarray, facts: StampFacts, utc_us: int) -> float:
    """The share of the stamp's bright letters that are bright."""
    stamp, drawn = BurntStamp(""), np.zeros_like(luma)
    stamp.facts = facts
    stamp.draw(drawn, utc_us)
    return float((luma[drawn > 220] > 150).mean())


@pytest.mark.parametrize(("age_us", "place"), [(0, True), (30_000_000, True), (MAX_AGE_US + 40_000_000, False)])
def test_sealed_recording_has_the_stamp_in_its_pictures_with_its_number_once_it_has_one(
    device, bench, post, clock: FakeClock, mpeg4: Path, age_us: int, place: bool
) -> None:
    """SG-21, SG-22, SG-23: the pictures from before the activation have none, those of the recording have it."""
    camera = Clip(CameraSection(source=str(mpeg4), pace="fast", options={"stamp": "true"}), clock)
    fixed_us = clock.utc_us() - age_us

    def find(at_us: int) -> Fix | None:
        return fix(fixed_us) if at_us - fixed_us <= MAX_AGE_US else None

    one = bench(camera=camera, mode="standby", pre_event_s=5, segment_s=60, terms={"position": find})
    one.steps(8)
    post(one, "start")
    clock.advance(200_000)
    one.steps(8)
    number = one.status()["recording"]
    one.close()
    (item,) = device.items()
    pictures = seen(device.opened(item))
    standby = StampFacts(
        device="car-1",
        ahead_us=0,
        zone_s=0,
        fixed_us=fixed_us,
        place=WHERE if place else "",
    )
    recording = replace(standby, recording=number)
    first_us, last_us = item.manifest.started_us, item.manifest.started_us + 40_000 * (len(pictures) - 1)
    assert letters(pictures[0], standby, first_us) > 0.9
    assert letters(pictures[0], recording, first_us) < 0.9
    assert letters(pictures[-1], recording, last_us) > 0.9
    wrong = replace(recording, place="33.57310 N 7.58982 W" if place else WHERE, fixed_us=last_us)
    assert letters(pictures[-1], wrong, last_us) < 0.9
