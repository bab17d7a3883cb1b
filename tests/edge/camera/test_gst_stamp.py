"""The stamp in the pictures of a real GStreamer pipeline, told while it runs, and read off the pictures again."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.camera.drawnstamp import StampFacts, drawn_lines
from edge.camera.gst import GstCamera, open_gst
from edge.camera.pipelines import pipeline, stamp_columns
from edge.camera.port import EncodedUnit, SmallFrame, Stamped
from vedette.clock import SystemClock
from vedette.config import CameraSection

WIDTH, HEIGHT = 640, 480
SECTION = CameraSection(
    adapter="gst", source="test", width=WIDTH, height=HEIGHT, rate=10, bitrate_kbps=8000, options={"stamp": "unit-7"}
)
# The test picture's bars stand still in its upper part.
BARS = slice(0, 240)
NUMBER = "019ac123-4567-7000-8000-0123456789ab"
OTHER_NUMBER = NUMBER[:-1] + "c"
Luma = NDArray[np.uint8]


def there(element: str) -> bool:
    inspect = shutil.which("gst-inspect-1.0")
    return inspect is not None and subprocess.run([inspect, element], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(
    not there("textoverlay") or not there("x264enc"),
    reason="textoverlay or x264enc is not installed (apt install gstreamer1.0-x gstreamer1.0-plugins-ugly)",
)


@pytest.fixture
def camera() -> Iterator[GstCamera]:
    one = open_gst(SECTION, SystemClock())
    assert isinstance(one, Stamped)
    assert one.is_stamped
    yield one
    one.close()
    one.has_left(2)


def facts(**more: str | int) -> StampFacts:
    clock = SystemClock()
    now_us = clock.utc_us()
    base = StampFacts(
        device="car-1", ahead_us=now_us - clock.mono_us(), zone_s=3600, place="33.57310 N 7.58981 W ±5 m",
        fixed_us=(now_us // 1_000_000 - 30) * 1_000_000,
    )  # fmt: skip
    return replace(base, **more)


class Watched:
    """Decodes what a camera gives as it comes."""

    def __init__(self, one: GstCamera) -> None:
        self._one, self._decoder = one, av.CodecContext.create("h264", "r")
        self.pictures = self._pictures()

    def _pictures(self) -> Iterator[tuple[int, Luma]]:
        """When each was taken (UTC microseconds), and its luma; without an end."""
        while True:
            for unit in self._one.read(0.1):
                if isinstance(unit, EncodedUnit):
                    for picture in self._decoder.decode(av.Packet(unit.data)):
                        yield unit.utc_us, picture.to_ndarray()[:HEIGHT]

    def until_said(self, told: StampFacts, other: StampFacts) -> tuple[int, Luma]:
        """The first picture that says `told` and not `other`; pytest's timeout ends it if none ever does.

        Not at the edge of a second, where a microsecond decides which one is named.
        """
        for utc_us, luma in self.pictures:
            is_within = 200_000 < utc_us % 1_000_000 < 800_000
            if is_within and says(luma, drawn(told, utc_us), drawn(other, utc_us)):
                return utc_us, luma
        raise AssertionError


def drawn(said: StampFacts, utc_us: int) -> Luma:
    """The test picture with what should stand in it, by GStreamer's own `gst-launch-1.0` and no child of ours."""
    lines = drawn_lines(said, "unit-7", utc_us=utc_us, fits=lambda line: len(line) <= stamp_columns(SECTION))
    found = re.search(r"textoverlay [^!]*", pipeline(SECTION))
    assert found is not None
    raw = f"video/x-raw,format=I420,width={WIDTH},height={HEIGHT}"
    overlay = [*found[0].split(), 'text="' + "\n".join(lines) + '"']
    words = ["videotestsrc", "num-buffers=1", "pattern=smpte", "!", raw, "!", *overlay, "!", "fdsink"]
    done = subprocess.run(["gst-launch-1.0", "-q", *words], capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.uint8)[: WIDTH * HEIGHT].reshape(HEIGHT, WIDTH)


def says(luma: Luma, one: Luma, other: Luma) -> bool:
    """Whether `luma` is `one` and not `other` where these two differ, after all that H.264 took from it."""
    where = np.abs(one[BARS].astype(int) - other[BARS]) > 40
    near, far = (np.abs(luma[BARS].astype(int) - it[BARS])[where].mean() for it in (one, other))
    assert where.sum() > 10
    return bool(near < 0.5 * far)


def apart(one: Luma, other: Luma) -> float:
    return float(np.abs(one[BARS].astype(int) - other[BARS])[:60].mean())


def test_pipeline_draws_what_it_was_told_and_then_what_it_is_told_while_it_runs(camera: GstCamera) -> None:
    """SG-21, SG-22, SG-23: standby, a recording, another; with each picture's own second and the age of the fix."""
    standby, first, second = facts(), facts(recording=NUMBER), facts(recording=OTHER_NUMBER)
    camera.stamp(standby)
    camera.open()
    watched = Watched(camera)
    watched.until_said(standby, first)
    camera.stamp(first)
    watched.until_said(first, second)
    camera.stamp(second)
    utc_us, luma = watched.until_said(second, first)
    for wrong in (replace(second, place="33.57310 N 7.58982 W ±5 m"), replace(second, fixed_us=utc_us - 59_000_000),
                  replace(second, zone_s=0)):  # fmt: skip
        assert says(luma, drawn(second, utc_us), drawn(wrong, utc_us))
    assert says(luma, drawn(second, utc_us), drawn(second, utc_us + 1_000_000))


def test_next_pipeline_is_told_again_and_the_readers_picture_stays_clean(camera: GstCamera) -> None:
    """SG-21, SG-23."""
    told = facts(recording=NUMBER)
    camera.stamp(told)
    for _ in range(2):
        camera.open()
        _, luma = Watched(camera).until_said(told, replace(told, recording=OTHER_NUMBER))
        seen: list[SmallFrame] = []
        while not seen:
            seen = [one for one in camera.read(0.1) if isinstance(one, SmallFrame)]
        assert apart(seen[-1].luma, luma) > 15
        row = seen[-1].luma[0].astype(int)
        assert np.abs(seen[-1].luma[BARS].astype(int) - row).max() < 20
        camera.close()
        camera.has_left(2)


def test_no_picture_is_lost_for_words_that_cannot_be_drawn(camera: GstCamera) -> None:
    """SG-24: a zone that is none."""
    camera.stamp(facts(zone_s=10**9))
    camera.open()
    for number, (_, luma) in enumerate(Watched(camera).pictures):
        assert np.abs(luma[BARS].astype(int) - luma[200].astype(int)).mean() < 3
        if number == 5:
            break


def test_pictures_come_when_nothing_was_told(camera: GstCamera) -> None:
    """SG-21: without a stamp, and none is lost for it."""
    camera.open()
    for number, (_, luma) in enumerate(Watched(camera).pictures):
        assert np.abs(luma[BARS].astype(int) - luma[200].astype(int)).mean() < 3
        if number == 5:
            break
