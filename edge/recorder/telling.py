"""Tells the camera what it is to draw over its pictures, where it draws at all (`edge.camera.drawnstamp`).

Decided here: once a second, and at once when a recording begins or ends. What nobody activated (docs/spec/ring.md) and
the pre-event buffer have no number: nobody knows yet whether they become a recording, and which.
"""

from __future__ import annotations

import datetime

from edge.camera.condition import Moment
from edge.camera.drawnstamp import StampFacts
from edge.camera.port import Camera, Stamped
from edge.recorder.recording import Recording
from edge.recorder.stamp import place_text
from edge.recorder.surroundings import FindFix

SECOND_US = 1_000_000


class Telling:
    """What one camera was told last; driven by the recorder's thread."""

    def __init__(self, camera: Camera, *, device: str, zone: datetime.tzinfo, find_fix: FindFix) -> None:
        self._camera = camera if isinstance(camera, Stamped) else None
        self._device, self._zone, self._find_fix = device, zone, find_fix
        self._told: tuple[int, str] | None = None

    def look(self, now: Moment, recording: Recording | None) -> None:
        """Tell it, where a second has passed since or another recording is running."""
        camera, number = self._camera, recording.recording_id if recording else ""
        if camera is None or not camera.is_stamped:
            return
        if self._told is not None and now.mono_us - self._told[0] < SECOND_US and self._told[1] == number:
            return
        self._told = now.mono_us, number
        camera.stamp(self._facts(now, number))

    def _facts(self, now: Moment, recording: str) -> StampFacts:
        away = datetime.datetime.fromtimestamp(now.utc_us // SECOND_US, self._zone).utcoffset()
        fix = self._find_fix(now.utc_us)
        return StampFacts(
            device=self._device,
            ahead_us=now.utc_us - now.mono_us,
            zone_s=int(away.total_seconds()) if away else 0,
            recording=recording,
            place=place_text(fix) if fix else "",
            fixed_us=fix.position.fixed_us if fix else 0,
            is_distrusted=fix is not None and fix.satellite_time_trusted is False,
        )
