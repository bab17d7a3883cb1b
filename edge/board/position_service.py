"""The service `position`: where the device is, how good its clock is and how it is shaken, for every other service.

Decided here: it is the only one that speaks to gpsd, asks the kernel about its clock and reads the accelerometer; the
others read `position.json`, `time.json` and `motion.json` in the run folder. It may die at any moment: recording goes
on and says that it knows no place. Changes, never places, go into its custody journal (docs/spec/position.md PO-15 to
PO-18, docs/spec/activation.md AC-41).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from edge.board import iio
from edge.board.accelerometer import SILENT_US, Accelerometer, Heard, State, Watch
from edge.board.gnss import GpsdClient, Report
from edge.board.gnss_time import Belief, Knowledge, Sample, after_sample, error_of
from edge.board.position import fix_of, write_fix
from vedette import daemon, files
from vedette.clock import Clock, SystemClock, kernel_quality
from vedette.config import DeviceConfig
from vedette.custody import Journal, seal_closed
from vedette.custody_entry import DetailValue, parse_line
from vedette.custody_tail import MAX_FILE_BYTES, journal_files
from vedette.errors import VedetteError
from vedette.identity import identity_of
from vedette.kernel_time import KernelTime, kernel_time
from vedette.keys import SigningKey
from vedette.sealed import Recipient
from vedette.timenote import TimeNote, write_time
from vedette.trust import load_trust

POLL_S = 0.2
SECOND_US = 1_000_000
STEP_US = 200_000
LOST_US = 10 * SECOND_US
SEAL_US = 60 * SECOND_US
KNOWN = ("gnss", "ntp")


def open_position(config: DeviceConfig, clock: Clock | None = None) -> PositionService:
    """The position service of the device that `config` describes; Refused or NotFound when key or trust are missing."""
    key = SigningKey.load(config.keys / "sign.pem")
    recipients = load_trust(config.trust).lead_recipients() if config.trust.exists() else ()
    clock = clock or SystemClock()
    return PositionService(config, clock, key=key, recipients=recipients, watch=open_watch(config, clock))


def open_watch(config: DeviceConfig, clock: Clock) -> Watch | None:
    """The accelerometer on its thread; None where `[motion] sensor` is `none` or no peak counts as a crash."""
    wanted, crash_mg = config.motion.sensor, config.panel.crash_mg
    if wanted == iio.NONE or not crash_mg:
        return None
    return Watch(Accelerometer(wanted, config.run, clock, crash_mg=crash_mg), clock)


class PositionService:
    """The service `position`; a `vedette.daemon.Step`."""

    name = "position"

    def __init__(
        self,
        config: DeviceConfig,
        clock: Clock,
        *,
        key: SigningKey,
        recipients: Sequence[Recipient] = (),
        ask_kernel: Callable[[], KernelTime | None] = kernel_time,
        watch: Watch | Accelerometer | None = None,
    ) -> None:
        """Open the journal; neither gpsd nor an accelerometer need be there yet, nor ever."""
        self._run, self._spool, self._clock, self._ask_kernel = config.run, config.spool, clock, ask_kernel
        self._recipients, self._identity = recipients, identity_of(config)
        folder = config.journals / self.name
        self._past_us = _known_past(config)
        self._journal = Journal.open(folder, service=self.name, device=config.device.id, key=key, clock=clock)
        self._client = GpsdClient(config.position.gpsd, clock) if config.position.gpsd else None
        self._watch, self._heard = watch, Heard(state=State.NONE, at_us=clock.mono_us())
        self._tolerance_us = config.position.suspect_ms * 1000
        self._belief = Belief()
        self._last: Report | None = None
        self._has_fix = False
        self._fix_us = clock.mono_us()
        self._offset_us = clock.utc_us() - clock.mono_us()
        self._second_us = self._seal_us = 0
        self._source = "none"
        self._error_us: int | None = None

    def step(self, now_us: int) -> float:
        """Take what gpsd reported; once a second look at the clock."""
        for report in self._client.poll() if self._client else ():
            self._take(report)
        if now_us - self._second_us >= SECOND_US:
            self._second_us = now_us
            self._look_at_clock()
            self._look_at_fix(now_us)
            self._look_at_motion(now_us)
            self._report()
        if now_us - self._seal_us >= SEAL_US and self._recipients:
            self._seal_us = now_us
            self._seal()
        return POLL_S

    def close(self) -> None:
        """Say in the journal that the service stopped, and seal what it says."""
        if self._client:
            self._client.close()
        if self._watch:
            self._watch.close()
        self._say("service.stopped")
        self._journal.roll()
        if self._recipients:
            self._seal()
        self._journal.close()

    def _seal(self) -> None:
        with suppress(OSError, VedetteError):
            seal_closed(self._journal, self._spool, self._recipients, identity=self._identity)

    def _take(self, report: Report) -> None:
        self._last = report
        self._judge(report)
        fix = fix_of(report, satellite_time_trusted=self._belief.is_trusted)
        if fix is not None:
            self._fix_us = report.mono_us
            write_fix(self._run, fix)
            if not self._has_fix:
                self._has_fix = True
                self._say("gnss.found", mode=fix.mode, satellites=fix.satellites)

    def _judge(self, report: Report) -> None:
        if report.satellite_us is None or report.mode < 2:
            return
        sample = Sample(
            satellite_us=report.satellite_us,
            error_us=report.satellite_error_us or 0,
            mono_us=report.mono_us,
            utc_us=report.utc_us,
        )
        before, known = self._belief, Knowledge(clock_error_us=self._clock_error(), past_us=self._past_us)
        self._belief = after_sample(before, sample, known, tolerance_us=self._tolerance_us)
        if self._belief.suspect is not None and self._belief.suspect != before.suspect:
            self._say("time.suspect", source="gnss", why=self._belief.suspect, off_us=self._belief.off_us)
        elif self._belief.is_trusted and not before.is_trusted:
            self._say("time.trusted", source="gnss", off_us=sample.satellite_us - sample.utc_us)

    def _clock_error(self) -> int | None:
        """The wall clock's bound where a time service vouches for it."""
        quality = kernel_quality(self._ask_kernel())
        return quality.error_us if quality.source == "ntp" else None

    def _look_at_clock(self) -> None:
        mono_us, utc_us = self._clock.mono_us(), self._clock.utc_us()
        offset_us = utc_us - mono_us
        if abs(offset_us - self._offset_us) > STEP_US:
            self._say("time.stepped", by_us=offset_us - self._offset_us, source=self._source)
        self._offset_us = offset_us
        quality = kernel_quality(self._ask_kernel())
        source, error_us = quality.source, quality.error_us
        by_satellites_us = error_of(self._belief, mono_us=mono_us, utc_us=utc_us)
        if by_satellites_us is not None and (error_us is None or by_satellites_us < error_us):
            source, error_us = "gnss", by_satellites_us
        if source != self._source:
            self._say("time.source", source=source, before=self._source, error_us=error_us)
        self._source, self._error_us = source, error_us
        write_time(
            self._run, TimeNote(source=source, error_us=error_us, mono_us=mono_us, machine=self._clock.machine())
        )

    def _look_at_fix(self, now_us: int) -> None:
        if self._has_fix and now_us - self._fix_us > LOST_US:
            self._has_fix = False
            connected = self._client is not None and self._client.is_connected
            self._say("gnss.lost", since_us=self._clock.utc_us() - (now_us - self._fix_us), connected=connected)

    def _look_at_motion(self, now_us: int) -> None:
        if self._watch is None:
            return
        before, heard = self._heard.state, self._watch.heard
        if now_us - heard.at_us > SILENT_US:
            heard = replace(heard, state=State.SILENT)
        self._heard = heard
        if heard.state is not before:
            self._say(
                "motion.sensor",
                state=heard.state.value,
                before=before.value,
                sensor=heard.name,
                range_mg=heard.range_mg,
            )

    def _say(self, event: str, **detail: DetailValue) -> None:
        """Into the journal, where the disk takes it; a full disk is the recorder's to tell."""
        with suppress(VedetteError, OSError):
            self._journal.append(event, detail=detail)

    def _report(self) -> None:
        last = self._last
        counters: dict[str, int | str | bool | None] = {
            "pid": os.getpid(),
            "utc_us": self._clock.utc_us(),
            "state": self._state(),
            "mode": last.mode if last else None,
            "satellites": last.satellites if last else None,
            "hdop_centi": last.hdop_centi if last else None,
            "time_source": self._source,
            "time_error_us": self._error_us,
            "faults": self._client.faults if self._client else 0,
            "motion": self._heard.state.value if self._watch else "off",
            "motion_sensor": self._heard.name,
        }
        daemon.write_status(self._run, self.name, counters)

    def _state(self) -> str:
        if self._client is None:
            return "no_receiver"
        if not self._client.is_connected:
            return "no_gpsd"
        if self._belief.suspect is not None:
            return "time_suspect"
        return "fix" if self._has_fix else "no_fix"


def _known_past(config: DeviceConfig) -> int:
    """The latest time that this device's own journals have by a clock that was set from outside; 0 where none has."""
    found = 0
    for service in ("recorder", PositionService.name):
        folder = config.journals / service
        for path in journal_files(folder)[-2:] if folder.is_dir() else ():
            with suppress(VedetteError, OSError):
                for line in files.read(path, max_bytes=MAX_FILE_BYTES).split(b"\n"):
                    with suppress(VedetteError):
                        entry = parse_line(line)
                        if entry.time_source in KNOWN:
                            found = max(found, entry.utc_us)
    return found
