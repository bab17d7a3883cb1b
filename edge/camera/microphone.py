"""A microphone beside a camera of any kind: a child of its own, so that its end costs no picture.

Decided here: one child with the microphone's part of a pipeline (`pipelines`) and one pipe in GDP, encoded here
(`sound`). Nobody waits for it: it is begun and looked at again and again, and one that does not start, ends or falls
silent is begun anew after a quarter of a second, then later and later to every five. The child (`pipeline_child`)
counts time from when it was started, so that the device's own times are known whenever its buffers come; `soundclock`
makes of them where the sound belongs. The first quarter of a second waits for that.
Implements SG-15, SG-16 and SG-18 of docs/spec/segment.md.
"""

from __future__ import annotations

import numpy as np

from edge.camera.child import Child
from edge.camera.gdp import GdpBuffer, GdpReader
from edge.camera.pipeline_child import command
from edge.camera.pipelines import STAMPED_AT_END, microphone
from edge.camera.port import SoundUnit
from edge.camera.sound import HOLE_US, RATE, SoundEncoder
from edge.camera.soundclock import Heard, SoundClock
from vedette.clock import Clock
from vedette.config import SoundSection
from vedette.errors import Integrity, Refused

# A slow card, and a device that answers late; a device that gave sound already is held to less.
START_US, SILENCE_US, SILENT_READS = 5_000_000, 1_500_000, 3
FIRST_WAIT_US, LONGEST_WAIT_US, STEADY_US = 250_000, 5_000_000, 10_000_000
MAX_WORDS = 300
_SAMPLE_BYTES = 2


class Microphone:
    """One microphone; `info` is what it gives, `fault` why it gives nothing now, empty while it does or may yet."""

    def __init__(self, sound: SoundSection, clock: Clock) -> None:
        """Raises Usage for the name of a device that cannot be."""
        self._sound, self._clock, self._words = sound, clock, microphone(sound)
        self._child = Child(clock)
        self._encoder = SoundEncoder(sound)
        self._zero_us: int | None = None
        self._reader, self._times = GdpReader(), SoundClock(RATE)
        self._began_us, self._silent_reads = 0, 0
        self._heard_us: int | None = None
        self.info = self._encoder.info
        self.rest()

    def listen(self, zero_us: int | None) -> list[SoundUnit]:
        """What was heard, on the media time whose zero is at `zero_us` (monotonic); without one it is let go.

        Begins the microphone where it does not run, and never waits for it.
        """
        now_us = self._clock.mono_us()
        try:
            if not self._child.is_running:
                self._begin(now_us)
                return []
            heard = self._times.take([one for one in self._take(now_us) if one.payload])
        except (OSError, Integrity, Refused) as error:
            self._lose(str(error), now_us)
            return []
        if heard:
            self.fault = ""
        return [] if zero_us is None else [unit for one in heard for unit in self._encode(one, zero_us)]

    def rest(self) -> None:
        """Let go of the device; `listen` begins it again at once."""
        self._child.stop()
        self._wait_us, self._again_us, self.fault = FIRST_WAIT_US, 0, ""

    def has_left(self, wait_s: float = 0.0) -> bool:
        """Whether a child that was let go of is gone; with `wait_s` (seconds) it is waited for, then made to go."""
        return self._child.has_left(wait_s)

    def _begin(self, now_us: int) -> None:
        if now_us < self._again_us:
            return
        if self._child.start(1, lambda pipes: command(now_us, self._words.format(sounds=pipes[0]).split())):
            self._reader, self._times, self._encoder = GdpReader(), SoundClock(RATE), SoundEncoder(self._sound)
            self._began_us, self._heard_us, self._silent_reads = now_us, None, 0

    def _take(self, now_us: int) -> list[Heard]:
        """What the pipe has now. Raises Refused where that is nothing any more, or has been for too long."""
        found = [self._heard(buffer, now_us) for end in self._child.wait(0) for buffer in self._buffers(end)]
        if found:
            self._heard_us, self._silent_reads = now_us, 0
            if now_us - self._began_us >= STEADY_US:
                self._wait_us = FIRST_WAIT_US
            return found
        # Who was held up itself has no right to complain: several looks must have come back without anything.
        self._silent_reads += 1
        since_us, most_us = (self._began_us, START_US) if self._heard_us is None else (self._heard_us, SILENCE_US)
        if self._silent_reads >= SILENT_READS and now_us - since_us >= most_us:
            raise Refused(f"no sound for {(now_us - since_us) / 1e6:.1f} s")
        return []

    def _buffers(self, end: int) -> list[GdpBuffer]:
        """The buffers the pipe has now."""
        try:
            return [buffer for data in self._child.read(end) for buffer in self._reader.feed(data)]
        except EOFError:
            raise Refused(self._last_words()) from None

    def _heard(self, buffer: GdpBuffer, now_us: int) -> Heard:
        """A buffer with the device's time for its first sample, or the latest that can be."""
        samples = len(buffer.payload) // (_SAMPLE_BYTES * self.info.channels)
        lasts_us = samples * 1_000_000 // RATE
        latest_us = now_us - lasts_us
        if buffer.pts_us is None:
            return Heard(buffer.payload, samples, latest_us)
        stamped_us = self._began_us + buffer.pts_us
        first_us = stamped_us - lasts_us if self._sound.adapter in STAMPED_AT_END else stamped_us
        return Heard(buffer.payload, samples, min(first_us, latest_us))

    def _encode(self, one: Heard, zero_us: int) -> list[SoundUnit]:
        if self._zero_us is None or abs(zero_us - self._zero_us) >= HOLE_US:
            self._encoder = SoundEncoder(self._sound)  # The camera was opened anew: so is media time.
        self._zero_us = zero_us
        pcm = np.frombuffer(one.payload, "<i2").reshape(-1, self.info.channels)
        utc_us = self._clock.utc_us() - (self._clock.mono_us() - one.mono_us)
        return self._encoder.encode(pcm, one.mono_us - zero_us, utc_us=utc_us, mono_us=one.mono_us)

    def _lose(self, why: str, now_us: int) -> None:
        self._child.stop()
        self.fault = why[:MAX_WORDS]
        self._again_us = now_us + self._wait_us
        self._wait_us = min(self._wait_us * 2, LONGEST_WAIT_US)

    def _last_words(self) -> str:
        lines = [line.strip() for line in self._child.last_words().splitlines()]
        return next((line for line in lines if "ERROR" in line), "the microphone ended")
