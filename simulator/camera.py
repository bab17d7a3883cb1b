"""The drawn street as a camera: adapter `street`, a full implementation of the camera port.

Decided here: the drive goes on by the wall clock, so a recorder that was killed comes back to where the car is by then
(option `start_utc_us`); a machine too slow for the pace loses pictures as a real camera would, it never falls behind.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from edge.camera.encode import X264Encoder
from edge.camera.port import EncodedUnit, SmallFrame, StreamInfo
from simulator.options import StreetOptions, parse_options
from simulator.render import Renderer
from simulator.world import plan
from vedette.clock import Clock
from vedette.config import CameraSection

MAX_LAG_US = 300_000


def open_street(config: CameraSection, clock: Clock) -> StreetCamera:
    """The camera for `config`, not opened yet; `Usage` for options it does not know."""
    return StreetCamera(config, clock, parse_options(config.options, "camera"))


class StreetCamera:
    """One drive, drawn and encoded while it is read; driven by one thread."""

    def __init__(self, config: CameraSection, clock: Clock, options: StreetOptions) -> None:
        self._config = config
        self._clock = clock
        self._options = options
        self._renderer: Renderer | None = None
        self._first = self._next = 0
        self._utc_us = self._mono_us = 0
        self.ended = False

    def open(self) -> StreamInfo:
        """Plan the drive and find the place in it; `Refused` for a size that cannot be drawn, `NotFound` for fonts."""
        config = self._config
        drive = plan(self._options.seed, self._options.seconds)
        self._renderer = Renderer(drive, width=config.width, height=config.height)
        self._encoder = X264Encoder(
            config.width, config.height, config.rate, bitrate=config.bitrate_kbps * 1000, preset=config.preset
        )
        self._utc_us, self._mono_us = self._clock.utc_us(), self._clock.mono_us()
        start_us = self._options.start_utc_us
        driven_us = 0 if start_us is None else max(0, self._utc_us - start_us)
        self._first = self._next = -(-driven_us * config.rate // 1_000_000)
        self.ended = self._is_over()
        return StreamInfo(width=config.width, height=config.height, rate_num=config.rate, rate_den=1)

    def read(self, timeout_s: float) -> Sequence[EncodedUnit | SmallFrame]:
        """The next picture as unit and frame once it is due; empty when it is not within the timeout or all is over."""
        if self._renderer is None or self.ended or not self._wait(timeout_s):
            return ()
        media_us = self._media_us(self._next)
        utc_us, mono_us = self._utc_us + media_us, self._mono_us + media_us
        i420 = self._renderer.i420(self._next * 1_000_000 // self._config.rate)
        units = self._encoder.encode(i420, media_us, utc_us=utc_us, mono_us=mono_us)
        frame = SmallFrame(i420=i420, index=self._next - self._first, utc_us=utc_us, mono_us=mono_us, media_us=media_us)
        self._next += 1
        self.ended = self._is_over()
        return (*units, frame)

    def close(self) -> None:
        """Give the memory of the drawing back."""
        self._renderer = None

    def _wait(self, timeout_s: float) -> bool:
        """Whether the next picture is due, after waiting for it; skips those that are long past."""
        if self._config.pace == "fast":
            return True
        early_us = self._media_us(self._next) - self._elapsed_us()
        if early_us > 0:
            time.sleep(min(max(0.0, timeout_s), early_us / 1e6))
        elapsed_us = self._elapsed_us()
        if elapsed_us - self._media_us(self._next) > MAX_LAG_US:
            self._next = self._first + elapsed_us * self._config.rate // 1_000_000
            self.ended = self._is_over()
        return not self.ended and elapsed_us >= self._media_us(self._next)

    def _elapsed_us(self) -> int:
        return self._clock.mono_us() - self._mono_us

    def _media_us(self, index: int) -> int:
        return (index - self._first) * 1_000_000 // self._config.rate

    def _is_over(self) -> bool:
        return self._next >= self._options.seconds * self._config.rate
