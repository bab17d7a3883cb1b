"""An hour of claps and flashes with a sound card whose crystal is not the camera's: how far they are apart at its end.

A stand-in hands the microphone what its child would; from there on all is real: its times, where the samples belong,
the encoder, the MP4. The clock moves with the pictures, so the hour takes as long as its coding.
"""

import io
import struct
from collections.abc import Iterator

import av
import numpy as np
import pytest

from edge.camera.encode import X264Encoder
from edge.camera.gdp import HEADER_BYTES
from edge.camera.microphone import Microphone
from edge.camera.port import EncodedUnit, StreamInfo
from edge.camera.sound import RATE
from edge.recorder.fragments import Fragmenter
from vedette.clock import FakeClock
from vedette.config import SoundSection

HOUR_US, FRAME_US, EVERY_US, CLAP_US = 3_600_000_000, 200_000, 60_000_000, 50_000
BLOCK, BLOCK_US = RATE // 10, 100_000
BOUND_US = 40_000
SIZE = (64, 48)


class Card:
    """In place of the microphone's child: a sound card that claps with each flash, `ppm` parts per million too slow.

    Its sample `k` is taken at `k / RATE * (1 + ppm / 1e6)`; the driver's time of each buffer is the machine's.
    """

    is_running = True
    ends = (0,)

    def __init__(self, clock: FakeClock, ppm: int) -> None:
        self._clock, self._began_us, self._ppm, self._count = clock, clock.mono_us(), ppm, 0

    def wait(self, timeout_s: float) -> list[int]:
        return [0]

    def read(self, end: int) -> list[bytes]:
        return [header.ljust(HEADER_BYTES, b"\0") + payload for header, payload in self._blocks()]

    def stop(self) -> None:
        pass

    def _blocks(self) -> Iterator[tuple[bytes, bytes]]:
        while self._taken_us(self._count + BLOCK) <= self._clock.mono_us() - self._began_us:
            first_us = self._taken_us(self._count)
            payload = self._heard(first_us)
            yield struct.pack(">2sxxHIQ", b"\x01\x00", 1, len(payload), int(first_us * 1000)), payload
            self._count += BLOCK

    def _taken_us(self, sample: int) -> float:
        return sample * 1e6 / RATE * (1 + self._ppm / 1e6)

    def _heard(self, first_us: float) -> bytes:
        """Silence but for the first 50 ms of each minute but the first."""
        if first_us < EVERY_US - FRAME_US or CLAP_US < first_us % EVERY_US < EVERY_US - 2 * BLOCK_US:
            return bytes(2 * BLOCK)
        at_us = first_us + np.arange(BLOCK) * 1e6 / RATE
        return (np.sin(at_us * 0.006) * 20_000 * (at_us % EVERY_US < CLAP_US)).astype("<i2").tobytes()


def codes() -> tuple[bytes, bytes]:
    """A dark and a white coded picture, each of which opens alone."""
    shape = (SIZE[1] * 3 // 2, SIZE[0])
    found = [X264Encoder(*SIZE, 5).encode(np.full(shape, luma, np.uint8), 0)[0].data for luma in (20, 235)]
    return found[0], found[1]


def recorded(codec: str, ppm: int) -> bytes:
    """The MP4 of the hour."""
    clock = FakeClock()
    ear = Microphone(SoundSection(adapter="alsa", source="hw:1,0", codec=codec), clock)
    ear._child, ear._began_us, began_us = Card(clock, ppm), clock.mono_us(), clock.mono_us()  # type: ignore[assignment]
    info, (dark, white), maker = (
        StreamInfo(width=SIZE[0], height=SIZE[1], rate_num=5, rate_den=1, sound=ear.info),
        codes(),
        None,
    )
    parts: list[bytes] = []
    for at_us in range(0, HOUR_US + 2 * FRAME_US, FRAME_US):
        is_flash = at_us >= EVERY_US and at_us % EVERY_US == 0
        data = white if is_flash else dark
        picture = EncodedUnit(data=data, pts_us=at_us, is_key=True, utc_us=at_us, mono_us=began_us + at_us)
        if maker is None:
            maker = Fragmenter(info, picture)
            parts.append(maker.beginning())
        parts.append(maker.picture(picture, "a line"))
        clock.advance(FRAME_US)
        parts += [maker.sound(unit) for unit in ear.listen(began_us)]
    assert maker is not None
    assert ear.fault == ""
    return b"".join([*parts, maker.ending()])


def onsets(data: bytes) -> tuple[list[int], list[int]]:
    """When flashes and when claps begin, in microseconds of media time."""
    seen, heard = [], []
    with av.open(io.BytesIO(data)) as mp4:
        for picture in mp4.decode(video=0):
            if picture.to_ndarray()[: SIZE[1]].mean() > 128:
                seen.append(round(picture.pts * float(picture.time_base) * 1e6))
    with av.open(io.BytesIO(data)) as mp4:
        for piece in mp4.decode(audio=0):
            loud = np.flatnonzero(np.abs(piece.to_ndarray()[0]) > 0.2)
            at_us = round(float(piece.pts * piece.time_base) * 1e6 + int(loud[0]) * 1e6 / RATE) if loud.size else None
            if at_us is not None and (not heard or at_us - heard[-1] > 1_000_000):
                heard.append(at_us)
    return seen, heard


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("codec", "ppm"), [("aac", 100), ("opus", -100)])
def test_claps_fall_on_their_flashes_to_the_end_of_an_hour_when_the_card_drifts(codec: str, ppm: int):
    """SG-6, SG-18: a count of samples alone would be 360 ms off by then."""
    seen, heard = onsets(recorded(codec, ppm))
    assert seen == [n * EVERY_US for n in range(1, 61)]
    assert len(heard) == 60
    apart = [clap - flash for clap, flash in zip(heard, seen, strict=True)]
    assert max(map(abs, apart)) <= BOUND_US, apart
