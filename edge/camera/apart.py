"""A camera in a process of its own: what may hang or crash there never holds the recorder up.

Decided here: which adapters run apart and how they are watched. libcamera's Python module keeps Python's lock while a
driver works, so a thread would not do: when the driver hangs, so does every thread. The process (`apart_child`) runs
the adapter as it is; it ends with the recorder. One that does not start in time, or hangs, is ended and started again,
and never is there more than one. Of pictures only the newest waits there, coded ones wait in the adapter's own queue.
It is told of the camera in one line, then of the stamp in others.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np

from edge.camera.burnin import stamp_text
from edge.camera.child import Child
from edge.camera.drawnstamp import StampFacts
from edge.camera.pieces import FAULT, FRAME, OPENED, UNIT, Piece, PieceReader
from edge.camera.port import CameraFault, EncodedUnit, Given, SmallFrame, StreamInfo
from vedette.clock import Clock
from vedette.config import CameraSection
from vedette.errors import Integrity, Refused

COMMAND = (sys.executable, "-m", "edge.camera.apart_child")
# Python and picamera2 from a slow card, then the camera.
START_S, STOP_S, LOOK_S = 20.0, 2.0, 0.1
MAX_WORDS = 300


class ApartCamera:
    """The camera that `adapter` (`module:function`) makes, in another process."""

    ended = False

    def __init__(self, config: CameraSection, clock: Clock, *, adapter: str, check: Callable[[], None]) -> None:
        """`check` raises NotFound where it is known before that the adapter cannot work here."""
        self._config, self._clock, self._adapter, self._check = config, clock, adapter, check
        self._child = Child(clock)
        self.is_stamped = stamp_text(config.options) is not None
        self._facts: StampFacts | None = None
        self._readers: dict[int, PieceReader] = {}
        self._first: list[Given] = []
        self._info: StreamInfo | None = None
        self._until_us = 0
        self._index = 0

    def open(self) -> StreamInfo:
        """Start the process and wait for its first picture; NotFound or Refused when none comes."""
        self.begin()
        while (found := self._opened(LOOK_S)) is None:
            if not self._child.is_running and not self._child.has_left(STOP_S):
                raise Refused(f"process {self._child.leaving_pid} does not end and may hold the camera")
        return found

    def begin(self) -> None:
        """Begin to start the process. Raises NotFound where the adapter cannot work here."""
        self._check()
        self.close()

    def opened(self) -> StreamInfo | None:
        """What comes, once the first picture has; raises Refused with the adapter's words when none does."""
        return self._opened(0)

    def has_left(self, wait_s: float = 0.0) -> bool:
        """Whether the process that `close` ended is gone."""
        return self._child.has_left(wait_s)

    def read(self, timeout_s: float) -> Sequence[Given]:
        """What has arrived. Raises CameraFault when the process ended, with the adapter's words."""
        found, self._first = self._first, []
        return found or self._take(timeout_s)

    def stamp(self, facts: StampFacts) -> None:
        """What to draw from now on, in the process that runs or the next one."""
        self._facts = facts
        self._child.tell(facts.to_line())

    def close(self) -> None:
        """Ask the process to end; nobody waits for it (`has_left`)."""
        self._child.stop()
        self._readers, self._first, self._info = {}, [], None

    def _opened(self, timeout_s: float) -> StreamInfo | None:
        try:
            if not self._child.is_running:
                if not self._start():
                    return None
                self._until_us = self._clock.mono_us() + int(START_S * 1e6)
            self._first += self._take(timeout_s)
            if self._info is None and self._clock.mono_us() > self._until_us:
                raise CameraFault(f"no picture in {START_S:g} s")
        except CameraFault as error:
            self.close()
            raise Refused(f"the camera does not start: {error}") from None
        return self._info

    def _start(self) -> bool:
        told = {"adapter": self._adapter, "camera": asdict(self._config), "parent": os.getpid()}
        started = self._child.start(2, lambda pipes: [*COMMAND, *map(str, pipes)], json.dumps(told).encode() + b"\n")
        if started:
            if self._facts is not None:
                self._child.tell(self._facts.to_line())
            self._readers = {end: PieceReader() for end in self._child.ends}
            self._index = 0
        return started

    def _take(self, timeout_s: float) -> list[Given]:
        if not self._readers:
            raise CameraFault("the camera is not open")
        found = [self._given(piece) for end in self._child.wait(timeout_s) for piece in self._pieces(end)]
        return [one for one in found if one is not None]

    def _pieces(self, end: int) -> list[Piece]:
        """What one pipe has now."""
        try:
            return [piece for data in self._child.read(end) for piece in self._readers[end].feed(data)]
        except EOFError:
            lines = self._child.last_words().strip().splitlines() or [f"exit status {self._child.exit_status}"]
            raise CameraFault(f"the camera's process ended: {lines[-1][:MAX_WORDS]}") from None
        except Integrity as error:
            raise CameraFault(str(error)) from None

    def _given(self, piece: Piece) -> Given | None:
        if piece.kind == FAULT:
            raise CameraFault(piece.data.decode("utf-8", "replace")[:MAX_WORDS])
        if piece.kind == OPENED:
            self._info = StreamInfo(**json.loads(piece.data))
            return None
        times = {"utc_us": piece.utc_us, "mono_us": piece.mono_us}
        if piece.kind == UNIT:
            dts_us = None if piece.decode_us == piece.media_us else piece.decode_us
            return EncodedUnit(data=piece.data, pts_us=piece.media_us, dts_us=dts_us, is_key=piece.is_key, **times)
        assert piece.kind == FRAME
        picture = np.frombuffer(piece.data, np.uint8).reshape(piece.height * 3 // 2, piece.width)
        self._index += 1
        return SmallFrame(i420=picture, index=self._index - 1, media_us=piece.media_us, **times)
