"""The recorder's hold on its camera: open it, read it, and after a fault open it again, later and later.

Decided here: how long to wait after a fault, and that a camera which ended is not opened again.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge.camera.port import Camera, Given, StreamInfo
from vedette.errors import VedetteError

FIRST_WAIT_US = 1_000_000
LONGEST_WAIT_US = 30_000_000


class Source:
    """One camera that may break and come back."""

    def __init__(self, camera: Camera) -> None:
        """Open the camera now: one that is not there at the start is an error of the configuration."""
        self._camera = camera
        self.info: StreamInfo | None = camera.open()
        self.ended = False
        self.faults = 0
        self._wait_us = FIRST_WAIT_US
        self._again_us = 0

    def read(self, timeout_s: float, now_us: int) -> Sequence[Given]:
        """What the camera has; raises VedetteError once when it breaks, after which `info` is None."""
        if self.info is None:
            return ()
        try:
            found = self._camera.read(timeout_s)
        except VedetteError:
            self.info = None
            self.faults += 1
            self.ended = self._camera.ended
            self._again_us = now_us + self._wait_us
            self._camera.close()
            raise
        if found:
            self._wait_us = FIRST_WAIT_US
        self.ended = self._camera.ended
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
        return True

    def rest(self) -> None:
        """Let go of the camera for a while; `mend` opens it again at once when it is next asked to."""
        self._camera.close()
        self.info, self._again_us, self._wait_us = None, 0, FIRST_WAIT_US

    def close(self) -> None:
        """Let go of the camera."""
        self._camera.close()
