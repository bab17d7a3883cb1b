"""A recorder's journal of a shift, written by the real journal, on a machine whose clocks a test moves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vedette.clock import FakeClock, TimeQuality, uuid7
from vedette.custody import Journal
from vedette.custody_entry import DetailValue, Entry
from vedette.custody_tail import journal_files
from vedette.custody_verify import split_lines, verify_chain
from vedette.keys import SigningKey
from vedette.timeline import Timeline
from vedette.timeline_layers import read_timeline

SECOND = 1_000_000
EIGHT = 1_795_420_800_000_000  # 2026-11-23T08:00:00Z


class ShiftClock(FakeClock):
    """A clock whose source a test names."""

    source = "ntp"

    def quality(self) -> TimeQuality:
        return TimeQuality(source=self.source, error_us=0)


class Shift:
    """Writes what the recorder writes (edge/recorder): the same events with the same details, once a second."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = SigningKey.generate()
        self.clock = ShiftClock(utc_us=EIGHT, mono_us=30 * SECOND)
        self.recording: str | None = None
        self._item = ""
        self._started_us = self._media_us = 0
        self._journal: Journal | None = None

    def say(self, event: str, item: str | None = None, **detail: DetailValue) -> Entry:
        assert self._journal is not None
        return self._journal.append(event, item, detail)

    def start(self) -> None:
        """The service starts."""
        self._journal = Journal.open(self.folder, service="recorder", device="car-1", key=self.key, clock=self.clock)

    def stop(self) -> None:
        """The service stops in order."""
        self.say("service.stopped")
        self.kill()

    def kill(self) -> None:
        """The service is gone without a word."""
        assert self._journal is not None
        self._journal.close()

    def reboot(self, off_s: float, *, utc_error_s: float = 0) -> None:
        """The machine was off for so long; its clock is wrong by so much afterwards."""
        source = self.clock.source
        off_us = round((off_s + utc_error_s) * SECOND)
        self.clock = ShiftClock(utc_us=self.clock.utc_us() + off_us, mono_us=20 * SECOND)
        self.clock.source = source

    def wait(self, seconds: float) -> None:
        self.clock.advance(round(seconds * SECOND))

    def read(self) -> Timeline:
        """The timeline of what was written, without a gap or an overlap."""
        timeline = read_timeline(self.entries())
        assert timeline.stretches[0].from_us == timeline.from_us
        assert timeline.stretches[-1].to_us == timeline.to_us
        pairs = zip(timeline.stretches, timeline.stretches[1:], strict=False)
        assert all(before.to_us == after.from_us for before, after in pairs)
        return timeline

    @staticmethod
    def states(timeline: Timeline) -> list[tuple[str, float]]:
        """(state, seconds), to a tenth."""
        return [(one.state.value, round(one.length_us / SECOND, 1)) for one in timeline.stretches]

    def begin(self, activation: str = "button") -> str:
        """A recording begins, with the picture of this moment."""
        self.recording = uuid7(self.clock)
        self.say("recording.started", activation=activation, held=True, recording=self.recording)
        self.open_segment()
        return self.recording

    def open_segment(self, *, before_s: float = 0, marked: bool = False, **more: int) -> None:
        """A segment whose first picture is of `before_s` ago."""
        self._item, self._media_us = uuid7(self.clock), round(before_s * SECOND)
        self._started_us = self.clock.utc_us() - self._media_us
        self.say(
            "segment.opened", self._item,
            **{"recording": self.recording, "sequence": 0, "activation": "button", "started_us": self._started_us,
               "codec": "h264", "width": 16, "height": 16, "marked": marked, **more},
        )  # fmt: skip

    def film(self, seconds: int, *, marked: bool = False) -> None:
        """So many seconds of video, with a checkpoint for each; of a longer stretch with twenty or so."""
        step_s = max(1, seconds // 20)
        for _ in range(seconds // step_s):
            self.wait(step_s)
            self._media_us += step_s * SECOND
            self.say("segment.checkpoint", self._item, offset=1, sha256="", media_us=self._media_us, marked=marked)

    def mark(self, seconds: int) -> None:
        """A checkpoint that proves so many seconds of the segment, fewer than were taken."""
        self.say("segment.checkpoint", self._item, offset=1, sha256="", media_us=seconds * SECOND, marked=False)

    def end_segment(self, *, marked: bool = False) -> None:
        self.say("segment.closed", self._item, media_us=self._media_us, marked=marked)

    def end(self, reason: str = "stopped") -> None:
        """The recording ends."""
        self.end_segment()
        self.wait(0.05)
        self.say("recording.stopped", reason=reason, recording=self.recording)

    def recover(self) -> None:
        """The next run files the segment that was cut."""
        self.say("segment.recovered", self._item, media_us=self._media_us, marked=False)

    def gap(self, from_us: int, why: str) -> None:
        self.say("gap", from_us=from_us, to_us=self.clock.utc_us(), why=why)

    @property
    def picture_us(self) -> int:
        """The wall clock's time of the last picture."""
        return self._started_us + self._media_us

    def entries(self) -> list[Entry]:
        lines = [line for path in journal_files(self.folder) for line in split_lines(path.read_bytes())]
        return verify_chain(lines, self.key.public)


@pytest.fixture
def shift(tmp_path: Path) -> Shift:
    """A shift that begins at eight."""
    return Shift(tmp_path / "recorder")


@pytest.fixture
def hard_day() -> Callable[[Shift], None]:
    """Writes a day with a kill, a power cut, a full disk, a camera fault, sleep, mute, stealth and a wrong clock."""

    def write(shift: Shift) -> None:
        shift.start()
        shift.wait(600)
        shift.begin()
        shift.film(400)
        shift.say("mute.began", by="button")
        shift.film(200)
        shift.say("mute.ended", by="button")
        shift.film(900)
        shift.kill()
        last_us = shift.picture_us
        shift.wait(1.2)
        shift.start()
        shift.recover()
        shift.say("recording.started", activation="button", held=True, recording=shift.recording)
        shift.wait(0.8)
        shift.gap(last_us, "killed")
        shift.open_segment(marked=True)
        shift.film(1200, marked=True)
        shift.end_segment(marked=True)
        shift.say("camera.fault", kind="unplugged", since_us=shift.clock.utc_us(), why="no picture")
        shift.say("recording.stopped", reason="camera_fault", recording=shift.recording)
        last_us = shift.clock.utc_us()
        shift.wait(75)
        shift.say("camera.recovered", kind="unplugged", since_us=last_us, lasted_us=75 * SECOND)
        shift.begin()
        shift.gap(last_us, "camera_fault")
        shift.film(1500)
        shift.kill()
        last_us = shift.picture_us
        shift.reboot(240)
        shift.start()
        shift.recover()
        shift.begin()
        shift.gap(last_us, "killed")
        shift.film(300)
        shift.clock.jump(-7 * SECOND)
        shift.say("stealth.began", by="button")
        shift.film(600)
        shift.say("stealth.ended", by="button")
        shift.end("disk_full")
        last_us = shift.picture_us
        shift.wait(420)
        shift.begin()
        shift.gap(last_us, "disk_full")
        shift.film(900)
        shift.end()
        shift.wait(1200)
        shift.say("sleep.began", by="button")
        shift.wait(1500)
        shift.say("sleep.ended", by="button")
        shift.wait(300)
        shift.stop()
        shift.wait(900)
        shift.start()
        shift.begin()
        shift.gap(shift.clock.utc_us() - 900 * SECOND, "service_stopped")
        shift.film(1800)
        shift.end()
        shift.stop()

    return write
