"""A microphone beside a camera of any kind: a child of its own, so that its end costs no picture.

Decided here: one `gst-launch-1.0` child with the microphone's part of a pipeline (`pipelines`) and one pipe in GDP,
encoded here (`sound`). Nobody waits for it: it is begun and looked at again and again, and one that does not start,
ends or falls silent is begun anew after a quarter of a second, then later and later to every five. Its clock runs as
the monotonic one does, from another zero; the least delayed buffer so far tells where, so sound may be late by the
shortest delay, about one buffer of 10 ms. The first quarter of a second waits for that to be known.
Implements SG-15 and SG-16 of docs/spec/segment.md.
"""

from __future__ import annotations

import shutil

import numpy as np

from edge.camera.child import Child
from edge.camera.gdp import GdpBuffer, GdpReader
from edge.camera.pipelines import LAUNCH, microphone
from edge.camera.port import SoundUnit
from edge.camera.sound import HOLE_US, SoundEncoder
from vedette.clock import Clock
from vedette.config import SoundSection
from vedette.errors import Integrity, Refused

# A slow card, and a device that answers late; a device that gave sound already is held to less.
START_US, SILENCE_US, SILENT_READS = 5_000_000, 1_500_000, 3
FIRST_WAIT_US, LONGEST_WAIT_US, STEADY_US = 250_000, 5_000_000, 10_000_000
SETTLE_US = 250_000
MAX_WORDS = 300


class Microphone:
    """One microphone; `info` is what it gives, `fault` why it gives nothing now, empty while it does or may yet."""

    def __init__(self, sound: SoundSection, clock: Clock) -> None:
        """Raises Usage for the name of a device that cannot be."""
        self._sound, self._clock, self._words = sound, clock, microphone(sound)
        self._child = Child(clock)
        self._encoder = SoundEncoder(sound)
        self._zero_us: int | None = None
        self._reader, self._arrivals = GdpReader(), Arrivals()
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
            heard = self._arrivals.take(self._take(now_us), now_us)
        except (OSError, Integrity, Refused) as error:
            self._lose(str(error), now_us)
            return []
        if heard:
            self.fault = ""
        return [] if zero_us is None else [unit for one in heard for unit in self._encode(*one, zero_us)]

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
        if shutil.which(LAUNCH) is None:
            raise Refused(f"{LAUNCH} is not installed")
        if self._child.start(1, lambda pipes: [LAUNCH, "-q", *self._words.format(sounds=pipes[0]).split()]):
            self._reader, self._arrivals, self._encoder = GdpReader(), Arrivals(), SoundEncoder(self._sound)
            self._began_us, self._heard_us, self._silent_reads = now_us, None, 0

    def _take(self, now_us: int) -> list[GdpBuffer]:
        """What the pipe has now. Raises Refused where that is nothing any more, or has been for too long."""
        found = [buffer for end in self._child.wait(0) for buffer in self._buffers(end)]
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

    def _encode(self, buffer: GdpBuffer, mono_us: int, zero_us: int) -> list[SoundUnit]:
        if self._zero_us is None or abs(zero_us - self._zero_us) >= HOLE_US:
            self._encoder = SoundEncoder(self._sound)  # The camera was opened anew: so is media time.
        self._zero_us = zero_us
        pcm = np.frombuffer(buffer.payload, "<i2").reshape(-1, self.info.channels)
        utc_us = self._clock.utc_us() - (self._clock.mono_us() - mono_us)
        return self._encoder.encode(pcm, mono_us - zero_us, utc_us=utc_us, mono_us=mono_us)

    def _lose(self, why: str, now_us: int) -> None:
        self._child.stop()
        self.fault = why[:MAX_WORDS]
        self._again_us = now_us + self._wait_us
        self._wait_us = min(self._wait_us * 2, LONGEST_WAIT_US)

    def _last_words(self) -> str:
        lines = [line.strip() for line in self._child.last_words().splitlines()]
        return next((line for line in lines if "ERROR" in line), "the microphone ended")


class Arrivals:
    """Puts the buffers of one pipeline on the monotonic clock, by the one that was least delayed."""

    def __init__(self) -> None:
        self._base_us: int | None = None
        self._until_us: int | None = None
        self._held: list[tuple[GdpBuffer, int]] = []

    def take(self, buffers: list[GdpBuffer], now_us: int) -> list[tuple[GdpBuffer, int]]:
        """Buffers that came by `now_us`, each with the monotonic time of its first sample; none until it is known.

        A buffer that carries no time is left out.
        """
        timed = [(buffer, buffer.pts_us) for buffer in buffers if buffer.pts_us is not None]
        if not timed:
            return []
        # All of them first: of those that have waited, the newest has waited least.
        bases_us = [now_us - pts_us for _, pts_us in timed]
        self._base_us = base_us = min(bases_us if self._base_us is None else [self._base_us, *bases_us])
        self._held += timed
        self._until_us = now_us + SETTLE_US if self._until_us is None else self._until_us
        if now_us < self._until_us:
            return []
        held, self._held = self._held, []
        return [(buffer, base_us + pts_us) for buffer, pts_us in held]
