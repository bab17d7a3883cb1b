"""The recorder's hold on its camera and microphone: open them, read them, and after a fault open them again.

Decided here: nobody waits for a camera that is starting, stopping or broken; one that gives no coded picture for a
second and a half is as good as unplugged, and one that has given none so long after it was begun is silent: that is
said, and it goes on starting until it or its adapter gives up; how long to wait after a fault, later and later; that a
camera which ended is not opened again; and that a microphone, whatever becomes of it, only ever adds sound. It is begun
with the camera, and what comes at once goes on in the order of its times, so that no start or stall costs sound that is
there. Implements CF-3, CF-6, CF-12 and CF-17 of docs/spec/camera-fault.md, SG-18 and SG-33 of docs/spec/segment.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from edge.camera.microphone import Microphone
from edge.camera.port import (
    Camera,
    CameraFault,
    CameraSilent,
    EncodedUnit,
    Given,
    SoundInfo,
    SoundUnit,
    StreamInfo,
    TakesTime,
)
from vedette.errors import VedetteError

FIRST_WAIT_US = 250_000
LONGEST_WAIT_US = 5_000_000
SILENCE_US = 1_500_000
FIRST_PICTURE_US = 5_000_000
SILENT_READS = 3
BETWEEN_READS_US = 500_000
SILENT_FRAMES = 4
FAREWELL_S = 2.0


class Source:
    """One camera that may break and come back.

    `info` is what it delivers, None while it gives no picture; then `is_broken` says whether that is a fault or only
    takes its time.
    """

    def __init__(self, camera: Camera, microphone: Microphone | None = None, *, rests: bool = False) -> None:
        """Begin to open the camera: what is known at once to be wrong with it is an error of the configuration.

        One that `rests` is let be until `mend` is asked for it.
        """
        self._camera, self._microphone = camera, microphone
        self.info: StreamInfo | None = None
        self.ended = self.is_broken = self._is_given_up = False
        self._wait_us = FIRST_WAIT_US
        self._again_us = 0
        self._asked_us: int | None = None
        self._looks = 0
        self._zero_us: int | None = None
        self._begins = True
        self._first: Sequence[Given] = ()
        self._silent: StreamInfo | None = None
        self._begin_listening()
        if rests:
            return
        self.info = self._opened()
        if microphone is not None:
            microphone.listen(None)

    def read(self, timeout_s: float, now_us: int) -> Sequence[Given]:
        """What the camera has; raises VedetteError once when it breaks, after which `info` is None.

        Raises CameraSilent once where it was opened and gives no first picture; `mend` goes on looking for that.
        """
        if self.info is None:
            return self._with_sound(())
        try:
            found, self._first = self._first or self._camera.read(timeout_s), ()
            self.ended = self._camera.ended
            for one in found:
                self.info = replace(self.info, sound=one) if isinstance(one, SoundInfo) else self.info
            self._listen(self.info, found, now_us)
        except CameraSilent:
            self._silent, self.info, self.is_broken = self.info, None, True
            raise
        except VedetteError:
            self._give_up(now_us)
            raise
        return _in_order(self._with_sound(found))

    @property
    def sound_fault(self) -> str:
        """Why the microphone gives nothing, empty where it does, may yet, or there is none."""
        return self._microphone.fault if self._microphone else ""

    def mend(self, now_us: int) -> bool:
        """Go on opening a camera that is not open; True when it is from now on.

        Raises VedetteError once when it does not start, CameraSilent once before where that takes long; it is tried
        again and again all the same.
        """
        if self.info is not None or self.ended or now_us < self._again_us:
            return False
        self._asked_us = now_us if self._asked_us is None else self._asked_us
        self._looks += 1
        try:
            found = self._opened() if self._silent is None else self._heard(self._silent, now_us)
        except VedetteError:
            self._wait_us = min(self._wait_us * 2, LONGEST_WAIT_US)
            is_known = self._is_given_up
            self._give_up(now_us)
            if not is_known:
                raise
            return False
        if found is not None:
            self.info, self._silent = found, None
            self._asked_us, self._looks = None, 0
            self.is_broken = self._is_given_up = False
            self._wait_us = min(self._wait_us * 2, LONGEST_WAIT_US)
            self._begin_listening()
            return True
        if not self.is_broken and self._looks >= SILENT_READS and now_us - self._asked_us >= SILENCE_US:
            self.is_broken = True
            raise CameraSilent(_silence(now_us - self._asked_us))
        return False

    def rest(self) -> None:
        """Let go of both for a while; `mend` and `read` begin them again at once when they are next asked to."""
        self.close()
        self.info = self._silent = self._asked_us = None
        self.is_broken = self._is_given_up = False
        self._begins, self._again_us, self._wait_us, self._looks = True, 0, FIRST_WAIT_US, 0

    def tend(self) -> None:
        """Look after what a camera that was let go of has left behind; waits for nothing."""
        if self.info is None and isinstance(self._camera, TakesTime):
            self._camera.has_left()
        if self._microphone is not None:
            self._microphone.has_left()

    def close(self) -> None:
        """Let go of camera and microphone."""
        self._let_go()
        if self._microphone is not None:
            self._microphone.rest()

    def see_off(self) -> None:
        """Wait until what was let go of is gone, two seconds at most each; then make it go."""
        for one in (self._camera, self._microphone):
            if isinstance(one, (TakesTime, Microphone)):
                one.has_left(FAREWELL_S)

    def _opened(self) -> StreamInfo | None:
        """Open the camera, or begin to and look whether it is open by now."""
        camera = self._camera
        if not isinstance(camera, TakesTime):
            info: StreamInfo | None = camera.open()
        else:
            if self._begins:
                camera.begin()
                self._begins = False
            info = camera.opened()
        return replace(info, sound=self._microphone.info) if info and self._microphone else info

    def _heard(self, info: StreamInfo, now_us: int) -> StreamInfo | None:
        """`info` once a camera that was opened and silent gives a picture; CameraFault where it has had its time."""
        found = self._camera.read(0)
        self.ended = self._camera.ended
        if any(isinstance(one, EncodedUnit) for one in found):
            self._first = found
            return info
        if not self.ended and self._heard_us is not None and now_us - self._heard_us >= FIRST_PICTURE_US:
            raise CameraFault(f"no picture in {FIRST_PICTURE_US / 1e6:g} s")
        return None

    def _give_up(self, now_us: int) -> None:
        """Let go of what does not work; when to begin again."""
        self.info = self._silent = None
        self.is_broken = self._is_given_up = True
        self._begins, self._again_us = True, now_us + self._wait_us
        self.ended = self._camera.ended
        self._let_go()

    def _with_sound(self, found: Sequence[Given]) -> Sequence[Given]:
        """What the camera gave, and what was heard beside it on its media time; without pictures that is let go, and
        so is what was heard before the first.
        """
        if self._microphone is None:
            return found
        pictures = [one for one in found if isinstance(one, EncodedUnit)]
        if pictures:
            first_us = 0 if self._zero_us is not None else min(one.mono_us for one in pictures)
            self._zero_us = pictures[-1].mono_us - pictures[-1].pts_us
            heard = self._microphone.listen(self._zero_us)
            return [*found, *(one for one in heard if one.mono_us + one.duration_us > first_us)]
        return [*found, *self._microphone.listen(self._zero_us if self.info else None)]

    def _begin_listening(self) -> None:
        self._zero_us = None
        self._heard_us: int | None = None
        self._looked_us = self._silent_us = 0
        self._pictures = False

    def _listen(self, info: StreamInfo, found: Sequence[Given], now_us: int) -> None:
        """Raise CameraFault when no coded picture has come for too long.

        A recorder that was held up itself has no right to complain: between two reads half a second counts at most.
        """
        looked_us, self._looked_us = self._looked_us, now_us
        if any(isinstance(one, EncodedUnit) for one in found):
            self._heard_us, self._silent_us, self._pictures = now_us, 0, True
            self._wait_us = FIRST_WAIT_US
            return
        if self._heard_us is None:
            self._heard_us = looked_us = now_us
        self._silent_us += min(now_us - looked_us, BETWEEN_READS_US)
        silent_us = now_us - self._heard_us
        if self.ended or self._silent_us < max(SILENCE_US, SILENT_FRAMES * info.frame_us):
            return
        if self._pictures:
            raise CameraFault(f"no picture for {silent_us / 1e6:.1f} s")
        raise CameraSilent(_silence(silent_us))

    def _let_go(self) -> None:
        # A device that is gone may refuse to be closed, each in its own way; what counts is that it is opened again.
        with suppress(OSError, RuntimeError, VedetteError):
            self._camera.close()


def _in_order(found: Sequence[Given]) -> Sequence[Given]:
    """Each piece of sound before the first picture that is later than it; pictures stay in their order.

    After a stall many of both come at once, and pictures alone would make the sound of a second too late for the file.
    """
    sounds = deque(sorted((one for one in found if isinstance(one, SoundUnit)), key=lambda one: one.mono_us))
    ordered: list[Given] = []
    for one in found:
        if isinstance(one, SoundUnit):
            continue
        while isinstance(one, EncodedUnit) and sounds and sounds[0].mono_us < one.mono_us:
            ordered.append(sounds.popleft())
        ordered.append(one)
    return [*ordered, *sounds]


def _silence(lasted_us: int) -> str:
    return f"no picture {lasted_us / 1e6:.1f} s after it was begun; it goes on starting"
