"""Whether a picture is frozen: the hard one of the camera faults, as what is still may just be a parked car's street.

Decided here: two signs, each enough. A live sensor has noise: of thousands of points read singly (never averaged) many
differ from picture to picture, at night most of all. But where pictures were coded before they came here (a network
camera, a clip), the coder skips what hardly moves.

- *Equal across a key picture*: a key picture codes the scene, noise and all, afresh. Measured with libx264 at 0.3 to
  4 Mbit/s and noise of 0.3 levels and more: live scenes changed at 0 % of the points within a group and at 40 % or more
  across a key picture; the limit is 1 %.
- *Nothing coded*: every look is the one before, bit for bit, but for those right behind a key picture, which codes a
  stuck picture anew too, and by another rate than the one before. A coder gives that when it skips every macroblock of
  every picture; of a live scene with a sensor's noise it codes some. Measured with libx264 at 640x360: no live scene
  was called frozen at a quantiser of 24 with noise of 1 level, nor at 28 with 1.5.

Not told apart: a scene without any noise (drawn, or on a screen), and a dark and even one of which a poor coder codes
nothing at all, both of which count as frozen; and a stuck picture on which a coder without a least quantiser goes on
and on coding, which does not until it has done.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray
from zlib_ng import zlib_ng

from edge.camera.condition import Moment

STILL_US = 1_000_000
# Of the points: 150 of about 15,000.
MOST_CHANGED_PERCENT = 1
# How long the pictures behind a key picture may go on coding it.
SETTLE_US = 400_000
LEAST_EQUAL_LOOKS = 3
MOST_WAITING = 512


class Stillness:
    """Told of every coded key picture, and of the decoded ones that are looked at, in the order of their times."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew: the pictures before are of another stream."""
        self._keys_us: deque[int] = deque(maxlen=MOST_WAITING)
        self._key_us: int | None = None
        self._across, self._skipped = _AcrossKeys(), _NothingCoded()
        self._is_skipped = False
        # When the picture began to move, where it does again and that was not clear at once.
        self.moved: Moment | None = None

    def see_nothing(self) -> None:
        """There is nothing in the picture, which says nothing on whether it moves."""
        self._skipped, self._is_skipped, self.moved = _NothingCoded(), False, None

    def key(self, mono_us: int) -> None:
        """A key picture was taken then; decoded it may come later, by what a decoder lags."""
        self._keys_us.append(mono_us)

    def look(self, luma: NDArray[np.uint8], points: NDArray[np.uint8], now: Moment) -> Moment | None:
        """Since when the picture is frozen, None when it is not; `points` are a sample of `luma`."""
        while self._keys_us and self._keys_us[0] <= now.mono_us:
            self._key_us = self._keys_us.popleft()
        across, skipped = self._across.look(points, now, self._key_us), self._skipped.look(luma, now, self._key_us)
        was_skipped, self._is_skipped = self._is_skipped, skipped is not None
        self.moved = self._skipped.moved if was_skipped and not self._is_skipped else None
        return min((one for one in (across, skipped) if one is not None), key=lambda one: one.mono_us, default=None)


class _AcrossKeys:
    """Whether the picture has been the same since before the last key picture."""

    def __init__(self) -> None:
        self._first: NDArray[np.uint8] | None = None
        self._since = Moment(0, 0)

    def look(self, points: NDArray[np.uint8], now: Moment, key_us: int | None) -> Moment | None:
        first = self._first
        if (
            first is None
            or first.shape != points.shape
            or np.count_nonzero(points != first) * 100 > points.size * MOST_CHANGED_PERCENT
        ):
            self._first, self._since = points, now
            return None
        lasted = now.mono_us - self._since.mono_us >= STILL_US
        return self._since if lasted and key_us is not None and self._since.mono_us < key_us else None


class _NothingCoded:
    """Whether nothing was coded for a while, but for key pictures and what is coded on them."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._last_us = 0
        self._since = self.moved = Moment(0, 0)
        self._equal_looks = 0
        self._was_equal = True

    def look(self, luma: NDArray[np.uint8], now: Moment, key_us: int | None) -> Moment | None:
        seen = zlib_ng.crc32(np.ascontiguousarray(luma).data)
        is_equal, self._last = seen == self._last, seen
        before_us, self._last_us = self._last_us, now.mono_us
        settles = key_us is not None and (key_us > before_us or now.mono_us - key_us <= SETTLE_US)
        if is_equal:
            self._equal_looks += 1
        elif self._was_equal:
            self.moved = now
        # Where nothing was equal yet there is nothing that a key picture could have interrupted.
        if not is_equal and not (settles and self._equal_looks):
            self._since, self._equal_looks = now, 0
        self._was_equal = is_equal
        lasted = now.mono_us - self._since.mono_us >= STILL_US
        return self._since if lasted and self._equal_looks >= LEAST_EQUAL_LOOKS else None
