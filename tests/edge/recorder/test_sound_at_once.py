"""Sound beside pictures that come many at once, because the recorder was busy: as it starts, and in a stall."""

import io
import itertools

import av
import numpy as np
import pytest

from edge.camera.port import SoundUnit
from edge.camera.sound import RATE, SoundEncoder
from edge.recorder.duty import RESTARTED
from edge.recorder.mute import Mute
from vedette.clock import FakeClock
from vedette.config import SoundSection

PIECE_US, STEP_US = 21_334, 20_000
SILENCE = SoundEncoder(SoundSection()).info.silence


class Ear:
    """A microphone that hears from the moment on in which it was begun, and keeps what nobody has taken."""

    fault = ""

    def __init__(self, clock: FakeClock) -> None:
        self._clock, self._encoder = clock, SoundEncoder(SoundSection())
        self._next_us: int | None = None
        self.info = self._encoder.info

    def listen(self, zero_us: int | None):
        if self._next_us is None:
            self._next_us = self._clock.mono_us()
            return []
        found, ahead_us = [], self._clock.utc_us() - self._clock.mono_us()
        while self._next_us + STEP_US <= self._clock.mono_us():
            at_us, self._next_us = self._next_us, self._next_us + STEP_US
            tone = np.sin((at_us + np.arange(RATE * STEP_US // 1_000_000)) * 0.13)[:, None] * 20_000
            if zero_us is not None:
                times = {"utc_us": at_us + ahead_us, "mono_us": at_us}
                found += self._encoder.encode(tone.astype(np.int16), at_us - zero_us, **times)
        return found

    def rest(self) -> None:
        self._next_us = None

    def has_left(self, wait_s: float = 0.0) -> bool:
        return True


def heard(data: bytes) -> list[int]:
    """The media times of the pieces of sound, without those of silence that fill a hole."""
    with av.open(io.BytesIO(data)) as mp4:
        pieces = [one for one in mp4.demux(audio=0) if one.size and bytes(one) != SILENCE]
    return [round(float(one.pts * one.time_base) * 1e6) for one in pieces]


def holes(times: list[int]) -> list[tuple[int, int]]:
    return [(a, b) for a, b in itertools.pairwise(times) if b - a > 2 * PIECE_US]


@pytest.mark.parametrize("waiting", [1, 30, 60])
def test_sound_is_there_from_the_first_picture_on_however_long_the_recorder_took_to_start(
    device, bench, scripted, clock: FakeClock, waiting: int
):
    """SG-18. SG-33: pictures and sound of that time wait for it, and none of the sound is lost."""
    one = bench(camera=scripted(at_once=waiting), microphone=Ear(clock), segment_s=60)
    one.steps(1)
    one.camera.at_once = 1
    one.steps(20)
    one.close()
    (item,) = device.items()
    times = heard(device.opened(item))
    assert times[0] <= 2 * PIECE_US
    assert holes(times) == []
    assert times[-1] >= (waiting + 20) * 100_000 - 100_000
    assert (device.entries("sound.lost"), item.manifest.media.frames) == ([], waiting + 20)


def test_no_sound_is_lost_when_the_recorder_is_held_up(device, bench, scripted, clock: FakeClock):
    """SG-18: pictures that come first would make the sound beside them too late."""
    one = bench(camera=scripted(), microphone=Ear(clock), segment_s=60)
    one.steps(20)
    one.camera.at_once = 25
    one.steps(1)
    one.camera.at_once = 1
    one.steps(20)
    one.close()
    (item,) = device.items()
    assert holes(heard(device.opened(item))) == []
    assert device.entries("sound.lost") == []


def test_no_sound_of_a_network_camera_is_lost_when_the_recorder_is_held_up(device, bench, hearing):
    """SG-18: its pictures come by one pipe and its sound by another."""
    camera = hearing()
    one_by_one = camera._next

    def by_kind(timeout_s: float):
        found = [given for _ in range(camera.at_once) for given in one_by_one()]
        return sorted(found, key=lambda given: hasattr(given, "codec"))

    camera.read = by_kind
    one = bench(camera=camera, segment_s=60)
    one.steps(20)
    camera.at_once = 25
    one.steps(1)
    camera.at_once = 1
    one.steps(20)
    one.close()
    (item,) = device.items()
    assert holes(heard(device.opened(item))) == []


@pytest.mark.parametrize("by", [RESTARTED, "button"])
def test_nothing_that_was_heard_before_a_muted_start_is_recorded(by: str):
    """SG-13, SG-33: the microphone hears before the recorder knows that it is muted, and muting may end at once."""
    mute = Mute()
    mute.switch(True, by, now_us=5_000_000)
    mute.switch(False, "button", now_us=6_000_000)
    pieces = [
        SoundUnit(codec="aac", data=b"", duration_us=PIECE_US, pts_us=at_us, utc_us=at_us, mono_us=at_us)
        for at_us in (3_000_000, 5_500_000, 6_000_000)
    ]
    assert [mute.covers(one) for one in pieces] == [by == RESTARTED, True, False]
