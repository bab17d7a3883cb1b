"""The accelerometer at work: a hundred readings a second, their peak left in the run folder as `motion.json`.

Decided here: how often is read and written, and what is said of the sensor (`State`): one that is not there is looked
for again every five seconds, one that cannot serve says why and leaves no file. It has a thread of its own (`Watch`),
because a driver may take its time over a reading or hang, and the disk's fsync may hold up the service around it for
longer than a crash lasts (ADR 33). Which numbers make a peak is `shock`'s, what the files mean `iio`'s to say.
Implements AC-37 to AC-41 of docs/spec/activation.md.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from edge.board.iio import AUTO, DEVICES, Settings, find_accelerometer, name_of, read_acceleration, read_settings
from edge.board.motion import Motion, write_motion
from edge.board.shock import Reading, Shock
from vedette.clock import Clock
from vedette.errors import Integrity

PERIOD_US = 10_000
LEAST_PAUSE_US = 2_000
WRITE_US = 100_000
SETTINGS_US = 1_000_000
LOOK_US = 5_000_000
LOST_US = 1_000_000
SILENT_US = 10_000_000
LEAST_RATE_HZ = 25.0
# One axis may carry all of gravity beside the crash.
GRAVITY_MG = 1000
JOIN_S = 2.0


class State(Enum):
    """What can be said of the sensor; only `OK` and `CLIPS` leave measurements."""

    NONE = "none"  # `auto`, and this machine has none
    ABSENT = "absent"  # the one that was named is not there
    OK = "ok"
    CLIPS = "clips"  # its range is too small for the crash it is to see
    SLOW = "slow"  # fewer than 25 readings a second
    WEIGHTLESS = "weightless"  # no gravity: stuck, or its scale is wrong
    GARBAGE = "garbage"  # what it says is no acceleration
    GONE = "gone"  # it was found and gives nothing, or nothing any more
    SILENT = "silent"  # the driver does not come back from a reading


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """The sensor by `at_us` (monotonic), the last time that its driver gave an answer."""

    state: State
    at_us: int
    name: str | None = None
    range_mg: int | None = None


class Accelerometer:
    """Reads the sensor that is `wanted` (as for `find_accelerometer`) for crashes of `crash_mg`; one thread only."""

    def __init__(self, wanted: str, run_dir: Path, clock: Clock, *, crash_mg: int, devices: Path = DEVICES) -> None:
        self._wanted, self._run_dir, self._clock, self._devices = wanted, run_dir, clock, devices
        self._needed_mg = crash_mg + GRAVITY_MG
        self._folder: Path | None = None
        self._name: str | None = None
        self._settings: Settings | None = None
        self._shock = Shock()
        now_us = clock.mono_us()
        self._due_us = self._good_us = self._write_us = now_us
        self._settings_us = 0
        # Replaced as a whole, never changed: another thread may look at it.
        self.heard = Heard(state=State.NONE, at_us=now_us)

    def step(self, now_us: int) -> float:
        """Take one reading, or look for the sensor; seconds until the next step."""
        if self._folder is None and not self._find(now_us):
            return LOOK_US / 1e6
        try:
            self._read(now_us)
        except Integrity:
            self._fail(State.GARBAGE)
        except OSError:
            self._fail(State.GONE)
        if self._folder is None:
            return LOOK_US / 1e6
        at_us = self._clock.mono_us()
        self._due_us += PERIOD_US
        if self._due_us < at_us + LEAST_PAUSE_US:
            self._due_us = at_us + LEAST_PAUSE_US
        return (self._due_us - at_us) / 1e6

    def close(self) -> None:
        """Nothing is open."""

    def _find(self, now_us: int) -> bool:
        self._folder = find_accelerometer(self._wanted, self._devices)
        if self._folder is None:
            missing = self.heard.state is State.NONE and self._wanted != AUTO
            self.heard = replace(self.heard, at_us=now_us, state=State.ABSENT if missing else self.heard.state)
            return False
        self._name, self._settings, self._shock = name_of(self._folder), None, Shock()
        self._due_us = self._good_us = self._write_us = now_us
        return True

    def _read(self, now_us: int) -> None:
        """One reading; what is wrong with the sensor is raised."""
        folder = self._folder
        if folder is None:
            return
        if self._settings is None or now_us - self._settings_us >= SETTINGS_US:
            self._settings_us, found = now_us, read_settings(folder)
            if found != self._settings:
                self._settings, self._shock = found, Shock()
        ms2 = read_acceleration(folder, self._settings)
        at_us = self._good_us = self._clock.mono_us()
        self._shock.take(Reading(at_us, ms2))
        if at_us - self._write_us >= WRITE_US:
            self._write_us = at_us
            self._tell(self._settings, at_us)

    def _tell(self, settings: Settings, at_us: int) -> None:
        """Leave the peak, and say how the sensor does; until gravity is known what was said before stands."""
        state = self._judge(settings, at_us)
        self.heard = Heard(state=state, at_us=at_us, name=self._name, range_mg=settings.range_mg)
        peak_mg = self._shock.peak_mg(at_us)
        if state in (State.OK, State.CLIPS) and peak_mg is not None:
            write_motion(self._run_dir, Motion(measured_us=self._clock.utc_us(), peak_mg=peak_mg, speed_cm_s=None))

    def _judge(self, settings: Settings, at_us: int) -> State:
        if settings.rate_hz is not None and settings.rate_hz < LEAST_RATE_HZ:
            return State.SLOW
        if not self._shock.settled:
            return self.heard.state
        if self._shock.is_weightless(at_us):
            return State.WEIGHTLESS
        if self._shock.is_slow(at_us):
            return State.SLOW
        is_narrow = settings.range_mg is not None and settings.range_mg < self._needed_mg
        return State.CLIPS if is_narrow else State.OK

    def _fail(self, why: State) -> None:
        """A reading failed; one may, a second of them is a sensor that is lost and looked for anew."""
        at_us = self._clock.mono_us()
        if at_us - self._good_us < LOST_US:
            return
        self.heard, self._folder = replace(self.heard, at_us=at_us, state=why), None


class Watch:
    """An accelerometer on a thread of its own, which touches nothing else; `heard` may be read from any thread."""

    def __init__(self, accelerometer: Accelerometer, clock: Clock) -> None:
        self._accelerometer, self._clock = accelerometer, clock
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="accelerometer", daemon=True)
        self._thread.start()

    @property
    def heard(self) -> Heard:
        """The sensor as last heard; RuntimeError when the thread died, which is a fault of the program."""
        if not self._thread.is_alive() and not self._over.is_set():
            raise RuntimeError("the accelerometer's thread has ended")
        return self._accelerometer.heard

    def close(self) -> None:
        """End the thread; one that hangs in the driver is left to the end of the process."""
        self._over.set()
        self._thread.join(JOIN_S)

    def _run(self) -> None:
        pause_s = 0.0
        while not self._over.wait(pause_s):
            pause_s = self._accelerometer.step(self._clock.mono_us())
