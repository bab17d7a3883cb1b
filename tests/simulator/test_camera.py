"""The street camera."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import av
import numpy as np
import pytest

from edge.camera import open_camera
from edge.camera.port import EncodedUnit, SmallFrame
from simulator.camera import StreetCamera, open_street
from vedette.clock import FakeClock
from vedette.config import CameraSection
from vedette.errors import Refused, Usage

START_US = 1_795_420_800_000_000
SMALL = {"width": 320, "height": 180, "rate": 10, "bitrate_kbps": 500}


def street(clock: FakeClock, pace: str = "fast", **options: object) -> StreetCamera:
    texts = {name: str(value) for name, value in options.items()}
    return open_street(CameraSection(adapter="street", pace=pace, options=texts, **SMALL), clock)  # type: ignore[arg-type]


def pictures(camera: StreetCamera) -> Iterator[tuple[EncodedUnit, SmallFrame]]:
    while not camera.ended:
        unit, frame = camera.read(1.0)
        assert isinstance(unit, EncodedUnit)
        assert isinstance(frame, SmallFrame)
        yield unit, frame


def test_street_camera_ends_after_its_seconds_when_as_fast_as_possible() -> None:
    camera = street(FakeClock(), seed=1, seconds=3)

    info = camera.open()
    found = list(pictures(camera))

    assert (info.width, info.height, info.rate_num, info.rate_den, info.codec) == (320, 180, 10, 1, "h264")
    assert len(found) == 30
    assert [unit.pts_us for unit, _ in found] == [100_000 * index for index in range(30)]
    assert [frame.index for _, frame in found] == list(range(30))
    assert camera.read(1.0) == ()


def test_street_camera_gives_the_same_times_to_unit_and_frame_when_read() -> None:
    clock = FakeClock(utc_us=START_US, mono_us=5_000_000)
    camera = street(clock, seed=1, seconds=1)
    camera.open()

    for unit, frame in pictures(camera):
        assert unit.pts_us == frame.media_us
        assert unit.utc_us == frame.utc_us == START_US + frame.media_us
        assert unit.mono_us == frame.mono_us == 5_000_000 + frame.media_us
        assert frame.i420.shape == (270, 320)


def test_street_camera_encodes_what_it_shows_when_decoded() -> None:
    camera = street(FakeClock(), seed=1, seconds=2)
    camera.open()
    decoder = av.CodecContext.create("h264", "r")
    found = list(pictures(camera))

    decoded = [frame for unit, _ in found for frame in decoder.decode(av.Packet(unit.data))]
    decoded += decoder.decode(None)

    differences = [
        np.abs(one.to_ndarray().astype(int) - frame.i420.astype(int)).mean()
        for one, (_, frame) in zip(decoded, found, strict=True)
    ]
    assert found[0][0].is_key
    assert max(differences) < 6


def test_street_camera_gives_a_picture_only_when_it_is_due() -> None:
    clock = FakeClock()
    camera = street(clock, "real", seed=1, seconds=10)
    camera.open()

    first, too_early = camera.read(0), camera.read(0)
    clock.advance(100_000)
    second = camera.read(0)

    assert media(first) == [0]
    assert too_early == ()
    assert media(second) == [100_000]


def test_street_camera_skips_pictures_when_it_falls_behind() -> None:
    clock = FakeClock()
    camera = street(clock, "real", seed=1, seconds=10)
    camera.open()
    camera.read(0)

    clock.advance(2_050_000)
    late, next_one = camera.read(0), camera.read(0)
    clock.advance(60_000)
    after = camera.read(0)

    assert media(late) == [2_000_000]
    assert next_one == ()
    assert media(after) == [2_100_000]


def test_street_camera_ends_when_it_falls_behind_beyond_the_drive() -> None:
    clock = FakeClock()
    camera = street(clock, "real", seed=1, seconds=2)
    camera.open()

    clock.advance(60_000_000)

    assert camera.read(0) == ()
    assert camera.ended


def test_street_camera_goes_on_where_the_car_is_when_the_recorder_was_restarted() -> None:
    clock = FakeClock(utc_us=START_US)
    whole = street(clock, seed=1, seconds=6, start_utc_us=START_US)
    whole.open()
    frames = [frame for _, frame in pictures(whole)]

    clock.advance(4_000_000)
    again = street(clock, seed=1, seconds=6, start_utc_us=START_US)
    again.open()
    found = list(pictures(again))

    assert len(found) == 20
    assert found[0][0].is_key
    assert found[0][1].media_us == 0
    assert found[0][1].utc_us == frames[40].utc_us
    assert np.array_equal(found[0][1].i420, frames[40].i420)


def test_street_camera_has_ended_when_opened_after_the_drive() -> None:
    camera = street(FakeClock(utc_us=START_US + 6_000_000), seed=1, seconds=6, start_utc_us=START_US)

    camera.open()

    assert camera.ended
    assert camera.read(0) == ()


def test_street_camera_gives_nothing_when_it_is_closed() -> None:
    camera = street(FakeClock(), seed=1, seconds=6)
    camera.close()
    camera.open()
    camera.close()

    assert camera.read(0) == ()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sedd": "1"}, "'sedd' is not known; known: seed, seconds, start_utc_us"),
        ({"seed": "-1"}, "seed is '-1'"),
        ({"seconds": "0"}, "seconds is '0'; a whole number from 1 to 3600"),
        ({"seconds": "3601"}, "seconds is '3601'"),
        ({"start_utc_us": "now"}, "start_utc_us is 'now'"),
    ],
)
def test_street_camera_names_the_option_when_it_is_wrong(options: Mapping[str, str], says: str) -> None:
    with pytest.raises(Usage, match=says):
        open_street(CameraSection(adapter="street", options=options), FakeClock())


def test_street_camera_refuses_when_the_size_cannot_be_drawn() -> None:
    camera = open_street(CameraSection(adapter="street", width=64, height=64), FakeClock())

    with pytest.raises(Refused, match="64x64"):
        camera.open()


def test_street_camera_is_found_by_its_name_when_the_package_is_installed() -> None:
    config = CameraSection(adapter="street", options={"seconds": "1"})

    assert isinstance(open_camera(config, FakeClock()), StreetCamera)


def media(found: Sequence[EncodedUnit | SmallFrame]) -> list[int]:
    return [one.media_us for one in found if isinstance(one, SmallFrame)]
