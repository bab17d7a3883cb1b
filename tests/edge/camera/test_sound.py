"""Sound from a clip and from a microphone: what is copied, what is encoded, and that it stays with its pictures."""

import itertools
import math
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from edge.camera import open_camera, open_microphone
from edge.camera.pipelines import BOARDS, MICROPHONES, microphone, pipeline
from edge.camera.port import Camera, CameraSilent, EncodedUnit, Given, SoundUnit
from edge.camera.sound import ANEW_US, DRIFT_US, HOLE_US, RATE, SoundEncoder
from edge.recorder.source import Source
from vedette.clock import FakeClock, SystemClock
from vedette.config import CameraSection, SoundSection
from vedette.errors import Usage

needs_gstreamer = pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="GStreamer is not installed")

BEEP_S = 0.5
TRACKS = {
    "aac.mp4": ["-c:a", "aac", "-ar", "44100"],
    "opus.mkv": ["-c:a", "libopus", "-ar", "48000"],
    "mp3.mkv": ["-c:a", "libmp3lame", "-ar", "32000"],
    "pcm.mkv": ["-c:a", "pcm_s16le", "-ar", "22050", "-ac", "2"],
    "adts.ts": ["-c:a", "aac", "-ar", "48000", "-bf", "0"],
}


@pytest.fixture(scope="module")
def beeping(tmp_path_factory: pytest.TempPathFactory):
    """A clip of three seconds with a beep from each full second on, in any of `TRACKS`, or without sound."""
    folder = tmp_path_factory.mktemp("beeping")

    def make(name: str) -> Path:
        path = folder / name
        video = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=3"]
        tone = ["-f", "lavfi", "-i", f"aevalsrc=exprs='0.8*sin(6283*t)*lt(mod(t,1),{BEEP_S})':s=48000:d=3"]
        coding = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p"]
        if not path.exists():
            with_tone = [*tone, *TRACKS[name]] if name in TRACKS else []
            subprocess.run(["ffmpeg", "-v", "error", *video, *with_tone, *coding, str(path)], check=True)
        return path

    return make


def clip(path: Path, sound: SoundSection | None = None, **more: object) -> Camera:
    section = CameraSection(**{"source": str(path), "pace": "fast", **more})
    return open_camera(section, FakeClock(), sound or SoundSection())


def everything(one: Camera, most: int = 2_000) -> list[Given]:
    found: list[Given] = []
    while not one.ended and len(found) < most:
        found += one.read(0)
    return found


def sounds(given: list[Given]) -> list[SoundUnit]:
    return [one for one in given if isinstance(one, SoundUnit)]


def beeps(info, units: list[SoundUnit]) -> list[float]:
    """When beeps begin, in seconds of media time, by decoding each piece on its own time."""
    decoder = av.CodecContext.create(info.codec, "r")
    decoder.extradata, decoder.sample_rate = info.config, info.rate
    found, was_loud = [], 0.0
    for unit in units:
        packet = av.Packet(unit.data)
        packet.pts, packet.time_base = (
            round(unit.pts_us * info.rate / 1e6),
            Fraction(1, info.rate),
        )
        for frame in decoder.decode(packet):
            samples = np.abs(frame.to_ndarray()[0])
            for n in np.flatnonzero(samples > 0.2):
                at = frame.pts / info.rate + n / info.rate
                if not found or at - was_loud > 0.2:
                    found.append(at)
                was_loud = at
    return found


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("aac.mp4", "aac", 44_100),
        ("opus.mkv", "opus", 48_000),
        ("mp3.mkv", "aac", 48_000),
        ("pcm.mkv", "aac", 48_000),
        ("adts.ts", "aac", 48_000),
    ],
)
def test_clip_brings_its_sound_in_time_with_its_pictures(beeping, name: str, codec: str, rate: int):
    one = clip(beeping(name))
    info = one.open().sound
    assert (info.codec, info.rate) == (codec, rate)
    found = sounds(everything(one))
    # The first beep begins with the clip, where a coder is still settling.
    assert [round(at) for at in beeps(info, found)] == [0, 1, 2]
    assert max(abs(at - round(at)) for at in beeps(info, found)[1:]) < 0.02
    assert all(b.pts_us - a.end_us in range(-50, 51) for a, b in itertools.pairwise(found))


@pytest.mark.parametrize("name", ["aac.mp4", "opus.mkv"])
def test_sound_is_copied_bit_for_bit_when_an_mp4_can_carry_it(beeping, name: str):
    one = clip(beeping(name))
    one.open()
    with av.open(str(beeping(name))) as container:
        packets = [bytes(packet) for packet in container.demux(audio=0) if packet.size and packet.pts >= 0]
    assert [unit.data for unit in sounds(everything(one))] == packets


@pytest.mark.parametrize("sound", [SoundSection(adapter="none"), None], ids=["none wanted", "no track"])
def test_clip_brings_no_sound_when_none_is_wanted_or_there(beeping, sound: SoundSection | None):
    one = clip(beeping("aac.mp4" if sound else "silent.mp4"), sound)
    assert one.open().sound is None
    assert sounds(everything(one)) == []


def test_sound_has_the_clocks_of_its_pictures_when_a_clip_goes_round(beeping):
    one = clip(beeping("aac.mp4"), loop=True)
    one.open()
    given = everything(one, 1_500)
    pictures = [unit for unit in given if isinstance(unit, EncodedUnit)]
    for units in (pictures, sounds(given)):
        assert {unit.utc_us - unit.pts_us for unit in units} == {pictures[0].utc_us}
        assert units[-1].pts_us > 6_000_000


@pytest.mark.parametrize("adapter", ["alsa", "pipewire", "test"])
def test_microphone_is_refused_where_the_camera_brings_its_own_sound(beeping, adapter: str):
    with pytest.raises(Usage, match="brings its own sound"):
        clip(beeping("aac.mp4"), SoundSection(adapter=adapter))


def tone(samples: int) -> np.ndarray:
    return (np.sin(np.arange(samples) * 0.13)[:, None] * 20_000).astype(np.int16)


@pytest.mark.parametrize("codec", ["aac", "opus"])
@pytest.mark.parametrize("off_us", [0, DRIFT_US, DRIFT_US + 1, HOLE_US, 3_000_000, -DRIFT_US - 1])
def test_pieces_follow_the_raw_sound_when_it_jumps(codec: str, off_us: int):
    encoder = SoundEncoder(SoundSection(codec=codec))
    found: list[SoundUnit] = []
    for n in range(200):
        at_us = n * 10_000 + (off_us if n >= 100 else 0)
        found += encoder.encode(tone(RATE // 100), at_us, utc_us=at_us, mono_us=at_us)
    jump = sum(b.pts_us - a.end_us for a, b in itertools.pairwise(found))
    assert jump == pytest.approx(off_us if off_us > DRIFT_US else 0, abs=25_000 if off_us >= HOLE_US else 200)
    assert all(unit.utc_us == unit.mono_us == unit.pts_us for unit in found)


def test_what_was_heard_already_is_left_out_when_the_times_go_back():
    """By so much that all is told anew, it is another stream's time and counts anew."""
    for back_us, least in ((300_000, 1_000_000), (ANEW_US, 1_000_000 - ANEW_US)):
        encoder, found = SoundEncoder(SoundSection(codec="opus")), list[SoundUnit]()
        for n in range(200):
            at_us = n * 10_000 - (back_us if n >= 100 else 0)
            found += encoder.encode(tone(RATE // 100), at_us, utc_us=at_us, mono_us=at_us)
        after = [unit.pts_us for unit in found[50:]]
        assert min(after) == pytest.approx(least, abs=30_000)
        assert found[-1].end_us == pytest.approx(2_000_000 - back_us, abs=40_000)


def test_pieces_stay_in_step_over_a_long_time(coded_s: int = 200):
    encoder = SoundEncoder(SoundSection(codec="opus"))
    block = tone(RATE)
    found = [u for n in range(coded_s) for u in encoder.encode(block, n * 1_000_000, utc_us=0, mono_us=0)]
    assert len(encoder._anchors) == 1
    assert math.isclose(found[-1].end_us, coded_s * 1_000_000, abs_tol=40_000)


@pytest.mark.parametrize("adapter", MICROPHONES)
def test_microphones_part_of_the_pipeline_has_its_end_and_no_open_place(adapter: str):
    text = microphone(SoundSection(adapter=adapter, source="hw:1,0" if adapter == "alsa" else "", channels=2))
    text = text.format(sounds=11)
    assert "fd=11" in text
    assert "channels=2" in text
    assert "= " not in text.replace(" !", "")
    assert ("device=hw:1,0" in text) == (adapter == "alsa")


def test_strange_microphone_is_a_usage_error():
    with pytest.raises(Usage, match=r"\[sound\] source"):
        microphone(SoundSection(adapter="alsa", source="hw:1 ! filesink location=/tmp/x"))


@pytest.fixture
def beside():
    """A real camera with a microphone beside it, as a recorder holds them."""
    made: list[Source] = []

    def make(sound: SoundSection) -> Source:
        clock = SystemClock()
        camera = open_camera(CameraSection(adapter="gst", source="test", width=320, height=240), clock)
        made.append(Source(camera, open_microphone(sound, clock)))
        while made[-1].info is None:
            with suppress(CameraSilent):  # said once where the machine is slow; it goes on starting
                made[-1].mend(clock.mono_us())
            time.sleep(0.01)
        return made[-1]

    yield make
    for one in made:
        one.close()
        one.see_off()


def read_until(one: Source, enough: Callable[[list[Given]], bool]) -> list[Given]:
    """Read until enough has come; pytest's timeout ends it if it never does."""
    found: list[Given] = []
    while not enough(found):
        found += one.read(0.1, SystemClock().mono_us())
    return found


@needs_gstreamer
@pytest.mark.parametrize("codec", ["aac", "opus"])
def test_microphone_gives_its_beeps_on_the_cameras_media_time(beside, codec: str):
    """audiotestsrc ticks at each full second of its pipeline's time."""
    one = beside(SoundSection(adapter="test", codec=codec))
    info = one.info.sound
    given = read_until(one, lambda given: len(sounds(given)) >= 220)
    found = sounds(given)
    pictures = [unit for unit in given if isinstance(unit, EncodedUnit)]
    heard = [at for at in beeps(info, found) if at > found[0].pts_us / 1e6 + 0.5]
    assert len(heard) >= 2
    assert max(abs(a - b - 1.0) for b, a in itertools.pairwise(heard)) < 0.02
    zeros_us = [some[-1].mono_us - some[-1].pts_us for some in (found, pictures)]
    assert abs(zeros_us[0] - zeros_us[1]) < 40_000


@needs_gstreamer
def test_pictures_come_without_sound_when_the_microphone_is_missing(beside):
    """SG-15: the track is there all the same, for when it comes."""
    one = beside(SoundSection(adapter="alsa", source="hw:7,7"))
    given = read_until(one, lambda given: len(given) >= 50 and bool(one.sound_fault))
    assert one.info.sound is not None
    assert sounds(given) == []
    assert "ERROR" in one.sound_fault


@pytest.mark.parametrize("board", [name for name in BOARDS if name not in ("jetson", "rtsp")])
def test_stamp_is_drawn_behind_the_tee_when_the_board_encodes_from_memory(board: str):
    """SG-21."""
    section = CameraSection(adapter="gst", source=board, options={"stamp": "car-1"})
    text = pipeline(section)
    assert text.count("textoverlay") == 1
    assert text.index("tee") < text.index("textoverlay name=stamp") < text.index("x264enc") < text.index("{pictures}")


@pytest.mark.parametrize(
    ("board", "stamp"), [("jetson", "car-1"), ("test", "a b"), ("test", "x" * 33), ("test", "a!b")]
)
def test_stamp_that_cannot_be_drawn_is_a_usage_error(board: str, stamp: str):
    with pytest.raises(Usage, match="stamp"):
        pipeline(CameraSection(adapter="gst", source=board, options={"stamp": stamp}))
