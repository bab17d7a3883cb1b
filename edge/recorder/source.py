"""The recorder's hold on its camera: open it, read it, and after a fault open it again, later and later.

Decided here: a camera that gives no coded picture for a second and a half is as good as unplugged; how long to wait
after a fault; and that a camera which ended is not opened again.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from edge.camera.port import Camera, CameraFault, EncodedUnit, Given, StreamInfo
from vedette.errors import VedetteError

FIRST_WAIT_US = 250_000
LONGEST_WAIT_US = 5_000_000
SILENCE_US = 1_500_000
FIRST_PICTURE_US = 5_000_000
SILENT_READS = 3
SILENT_FRAMES = 4


class Source:
    """One camera that may break and come back."""

    def __init__(self, camera: Camera) -> None:
        """Open the camera now: one that is not there at the start is an error of the configuration."""
        self._camera = camera
        self.info: StreamInfo | None = camera.open()
        self.ended = False
        self._wait_us = FIRST_WAIT_US
        self._again_us = 0
        self._begin_listening()

    def read(self, timeout_s: float, now_us: int) -> Sequence[Given]:
        """What the camera has; raises VedetteError once when it breaks, after which `info` is None."""
        if self.info is None:
            return ()
        try:
            found = self._camera.read(timeout_s)
            self.ended = self._camera.ended
            self._listen(self.info, found, now_us)
        except VedetteError:
            self.info = None
            self.ended = self._camera.ended
            self._again_us = now_us + self._wait_us
            self._let_go()
            raise
        return found

    def mend(self, now_us: int) -> bool:
        """Open a broken camera again when its time has come; True when it works again."""
        if self.info is not None or self.ended or now_us < self._again_us:
            return False
        self._wait_us = min(self._wait_us * 2, LONGEST_WAIT_US)
        self._again_us = now_us + self._wait_us
        try:
            self.info = self._camera.open()
        except VedetteError:
            return False
        self._begin_listening()
        return True

    def rest(self) -> None:
        """Let go of the camera for a while; `mend` opens it again at once when it is next asked to."""
        self._let_go()
        self.info, self._again_us, self._wait_us = None, 0, FIRST_WAIT_US

    def close(self) -> None:
        """Let go of the camera."""
        self._camera.close()

    def _begin_listening(self) -> None:
        self._heard_us: int | None = None
        self._silent_reads = 0
        self._pictures = False

    def _listen(self, info: StreamInfo, found: Sequence[Given], now_us: int) -> None:
        """Raise CameraFault when no coded picture has come for too long.

        Several reads must have come back without one: a recorder that was held up itself has no right to complain.
        """
        if any(isinstance(one, EncodedUnit) for one in found):
            self._heard_us, self._silent_reads, self._pictures = now_us, 0, True
            self._wait_us = FIRST_WAIT_US
            return
        self._silent_reads += 1
        self._heard_us = now_us if self._heard_us is None else self._heard_us
        most_us = max(SILENCE_US if self._pictures else FIRST_PICTURE_US, SILENT_FRAMES * info.frame_us)
        if not self.ended and self._silent_reads >= SILENT_READS and now_us - self._heard_us >= most_us:
            raise CameraFault(f"no picture for {(now_us - self._heard_us) / 1e6:.1f} s")

    def _let_go(self) -> None:
        # A device that is gone may refuse to be closed, each in its own way; what counts is that it is opened again.
        with suppress(OSError, RuntimeError, VedetteError):
            self._camera.close()
