"""A microphone of its own, beside a camera whose pictures do not come through GStreamer.

Decided here: one `gst-launch-1.0` child with the microphone's part of the pipeline (`pipelines`) and one pipe in GDP,
encoded here (`sound`). A microphone that gives nothing within three seconds is none, so that nobody is told of sound
that there is not; one that ends later gives no more, with GStreamer's words in `fault`. The pipeline's clock runs as
the monotonic one does, from another zero; the least delayed buffer so far tells where, so sound may be late by the
shortest delay, about one buffer of 10 ms.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
from contextlib import suppress

import numpy as np

from edge.camera.gdp import GdpBuffer, GdpReader
from edge.camera.pipelines import microphone
from edge.camera.port import SoundInfo, SoundUnit
from edge.camera.sound import SoundEncoder
from vedette.clock import Clock
from vedette.config import SoundSection
from vedette.errors import Integrity

LAUNCH = "gst-launch-1.0"
START_S, STOP_S, WORDS_S = 3.0, 2.0, 0.2
READ_BYTES = 1 << 16
MAX_READS = 64
MAX_ERROR_BYTES = 4096


class Microphone:
    """One microphone; `fault` says why it gives nothing any more, empty while it works."""

    def __init__(self, sound: SoundSection, clock: Clock) -> None:
        """Raises Usage for the name of a device that cannot be."""
        self._sound, self._clock, self._words = sound, clock, microphone(sound)
        self._child: subprocess.Popen[bytes] | None = None
        self._encoder: SoundEncoder | None = None
        self._reader = GdpReader()
        self._first: list[GdpBuffer] = []
        self._pipe = -1
        self._base_us: int | None = None
        self.fault = ""

    def open(self) -> SoundInfo | None:
        """Start it and wait for its first sound, at most three seconds; None without, and then `fault` says why."""
        self.close()
        self.fault = ""
        if shutil.which(LAUNCH) is None:
            self.fault = f"{LAUNCH} is not installed"
            return None
        self._encoder, self._reader, self._base_us = SoundEncoder(self._sound), GdpReader(), None
        self._pipe, write = os.pipe()
        os.set_blocking(self._pipe, False)
        try:
            self._child = subprocess.Popen(
                [LAUNCH, "-q", *self._words.format(sounds=write).split()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(write,),
            )
        finally:
            os.close(write)
        self._wait()
        return None if self.fault else self._encoder.info

    def read(self, media_zero_us: int) -> list[SoundUnit]:
        """What was heard, never waiting; `media_zero_us` is the monotonic time of media time zero (microseconds)."""
        buffers, self._first = [*self._first, *self._buffers()], []
        now_us = self._clock.mono_us()
        # All of them first: of those that have waited, the newest has waited least.
        for buffer in buffers:
            base_us = now_us - (buffer.pts_us or 0)
            self._base_us = min(base_us, base_us if self._base_us is None else self._base_us)
        return [unit for buffer in buffers for unit in self._heard(buffer, media_zero_us)]

    def close(self) -> None:
        """Stop the child and wait for it; may be called twice."""
        if self._pipe >= 0:
            os.close(self._pipe)
        self._pipe, self._first = -1, []
        child, self._child = self._child, None
        if child is None:
            return
        child.send_signal(signal.SIGINT)
        try:
            child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stderr is not None:
            child.stderr.close()

    def _wait(self) -> None:
        until_us = self._clock.mono_us() + int(START_S * 1e6)
        while not self._first and not self.fault:
            if self._clock.mono_us() > until_us:
                self._lose(f"no sound in {START_S:g} s")
                return
            select.select([self._pipe], [], [], 0.1)
            self._first = self._buffers()

    def _buffers(self) -> list[GdpBuffer]:
        """What the pipe has now, a bounded number of reads at a time."""
        found: list[GdpBuffer] = []
        for _ in range(MAX_READS if self._pipe >= 0 else 0):
            try:
                piece = os.read(self._pipe, READ_BYTES)
                found += self._reader.feed(piece)
            except BlockingIOError:
                break
            except Integrity as error:
                self._lose(str(error))
                break
            if not piece:
                self._lose(self._last_words())
                break
        return found

    def _heard(self, buffer: GdpBuffer, media_zero_us: int) -> list[SoundUnit]:
        assert self._encoder is not None
        assert self._base_us is not None
        mono_us = self._base_us + (buffer.pts_us or 0)
        pcm = np.frombuffer(buffer.payload, "<i2").reshape(-1, self._encoder.info.channels)
        utc_us = self._clock.utc_us() - (self._clock.mono_us() - mono_us)
        return self._encoder.encode(pcm, mono_us - media_zero_us, utc_us=utc_us, mono_us=mono_us)

    def _lose(self, why: str) -> None:
        self.fault = why
        if self._child is not None:
            self._child.kill()
        self.close()

    def _last_words(self) -> str:
        child = self._child
        if child is None or child.stderr is None:
            return "the microphone ended"
        with suppress(subprocess.TimeoutExpired):
            child.wait(WORDS_S)
        os.set_blocking(child.stderr.fileno(), False)
        said = (child.stderr.read(MAX_ERROR_BYTES) or b"").decode("utf-8", "replace")
        errors = [line.strip() for line in said.splitlines() if "ERROR" in line]
        return errors[0][:300] if errors else "the microphone ended"
