"""The history that is learned line by line says what the journal on the disk does, and a roll reads nothing old."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.recorder import filing
from edge.recorder.history import STATE, GrowingHistory, read_history
from vedette import files
from vedette.clock import FakeClock, uuid7
from vedette.custody import Journal
from vedette.custody_tail import journal_files
from vedette.keys import SigningKey

SECOND = 1_000_000
KEY = SigningKey.generate()
ENDING = {
    "sealed_sha256": "", "sealed_size": 1, "plain_sha256": None, "plain_size": 1, "media_us": 3 * SECOND, "frames": 1,
    "marked": True, "complete": True,
}  # fmt: skip


class Run:
    """A recorder's journal by single lines, and the history that grows with it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, FakeClock()
        self.clock.boot = "a" * 16
        self.item = ""
        self._open()

    def _open(self) -> None:
        self.journal = Journal.open(self.folder, service="recorder", device="car-1", key=KEY, clock=self.clock)
        self.growing = GrowingHistory(self.folder)
        self.journal.follow(self.growing.learn)

    def restart(self) -> None:
        self.journal.close()
        self._open()

    def reboot(self) -> None:
        self.journal.close()
        self.clock = FakeClock(utc_us=self.clock.utc_us() + SECOND, mono_us=SECOND)
        self.clock.boot = f"{int(self.clock.utc_us()):016x}"
        self._open()

    def begin(self) -> None:
        self.journal.append("recording.started", detail={"activation": "button", "held": True, "recording": "r"})

    def stop(self) -> None:
        self.journal.append("recording.stopped", detail={"reason": "stopped", "recording": "r"})

    def break_off(self) -> None:
        self.journal.append("recording.stopped", detail={"reason": "disk_full", "recording": "r"})

    def ask(self, command: str) -> None:
        self.journal.append("activation.received", detail={"command": command, "activation": "lights", "id": ""})

    def film(self, activation: str = "button") -> None:
        self.item = uuid7(self.clock)
        facts = {
            "recording": "r", "sequence": 0, "activation": activation, "started_us": self.clock.utc_us(),
            "mono_us": self.clock.mono_us(), "codec": "h264", "width": 16, "height": 16, "marked": False,
        }  # fmt: skip
        self.journal.append("segment.opened", self.item, facts)

    def mark(self) -> None:
        if self.item:
            detail = {"offset": 1, "sha256": "", "media_us": 2 * SECOND, "frames": 1, "marked": True}
            self.journal.append("segment.checkpoint", self.item, detail)

    def spoilt(self) -> None:
        """A mark that is none: the journal's readers pass over it."""
        self.journal.append("segment.checkpoint", self.item or None, {"offset": "x"})

    def close(self) -> None:
        if self.item:
            self.journal.append("segment.closed", self.item, ENDING)
            self.item = ""

    def gap(self) -> None:
        utc_us, mono_us = self.clock.utc_us(), self.clock.mono_us()
        self.journal.append("gap", detail={"from_us": utc_us - 1, "to_us": utc_us, "to_mono_us": mono_us, "why": "x"})

    def roll(self) -> None:
        """As between two segments, in `Filing.tidy`."""
        self.close()
        state = self.growing.found().to_detail()
        self.growing.forget_ended()
        self.journal.roll()
        self.journal.append(STATE, detail=state)


STEPS: dict[str, Callable[[Run], None]] = {
    "begin": Run.begin, "stop": Run.stop, "break_off": Run.break_off, "film": Run.film, "mark": Run.mark,
    "close": Run.close, "gap": Run.gap, "roll": Run.roll, "restart": Run.restart, "reboot": Run.reboot,
    "spoilt": Run.spoilt, "start": lambda run: run.ask("start"), "ask to stop": lambda run: run.ask("stop"),
    "ask for a mark": lambda run: run.ask("mark"), "recover": lambda run: run.film("retroactive"),
    "back": lambda run: run.clock.jump(-3_600 * SECOND), "ahead": lambda run: run.clock.jump(3_600 * SECOND),
}  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=40))
def test_history_that_grows_says_what_the_disk_does(steps: list[str]) -> None:
    """CJ-38: after each line, also where segments that ended were forgotten."""
    with TemporaryDirectory() as folder:
        run = Run(Path(folder) / "recorder")
        for step in steps:
            STEPS[step](run)
            assert run.growing.found().to_detail() == read_history(run.folder).to_detail()
            run.clock.advance(SECOND)
        run.journal.close()


def test_segments_that_have_ended_are_let_go_of_at_a_roll(tmp_path: Path) -> None:
    """CJ-38: what is kept in mind does not grow with the journal."""
    run = Run(tmp_path / "recorder")
    for _ in range(3):
        run.film()
        run.mark()
        run.close()
    assert len(run.growing.found().segments) == 3
    run.roll()
    run.film()
    assert list(run.growing.found().segments) == [run.item]
    run.journal.close()


def test_roll_reads_one_file_however_many_wait_for_a_network(device, bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """CJ-38: the one that is sealed; what the next run must know is known."""
    monkeypatch.setattr(filing, "ROLL_ENTRIES", 1)
    one = bench(segment_s=2)
    folder = device.folder / "journal" / "recorder"
    while len(journal_files(folder)) < 20:
        one.steps(1)
    read: list[str] = []
    really = files.read

    def noted(path: Path, *, max_bytes: int) -> bytes:
        read.extend([path.name] if path.parent == folder else [])
        return really(path, max_bytes=max_bytes)

    monkeypatch.setattr(files, "read", noted)
    before = journal_files(folder)[-1]
    while len(journal_files(folder)) < 23:
        one.steps(1)
    closed = [path.name for path in journal_files(folder) if before <= path][:-1]
    assert [name for name in read if name.endswith(".jsonl")] == closed
    assert [name for name in read if name.endswith(".item")] == []
    assert {entry.detail["activation"] for entry in device.entries(STATE)[-3:]} == {"continuous"}
