"""Where recording broke off, by the journal: whatever its wall clock was set to, and as older versions wrote it."""

from pathlib import Path

import pytest

from edge.camera.condition import Moment
from edge.recorder.history import STATE, History, read_history
from vedette.clock import FakeClock, uuid7
from vedette.custody import Journal
from vedette.custody_tail import journal_files
from vedette.keys import SigningKey

SECOND = 1_000_000
HOUR = 3_600 * SECOND


class Past:
    """A recorder's journal that a test writes."""

    def __init__(self, folder: Path, clock: FakeClock) -> None:
        self.folder, self.clock, self.key = folder, clock, SigningKey.generate()
        self.clock.boot = "a" * 16
        self.start()

    def start(self) -> None:
        self.journal = Journal.open(self.folder, service="recorder", device="car-1", key=self.key, clock=self.clock)

    def restart(self, clock: FakeClock | None = None, *, machine: str = "a" * 16) -> None:
        self.journal.close()
        self.clock = clock or self.clock
        self.clock.boot = machine
        self.start()

    def film(self, seconds: int, *, names_mono: bool = True) -> None:
        """A segment that begins now, as far as its one checkpoint vouches for it."""
        item, more = uuid7(self.clock), {"mono_us": self.clock.mono_us()} if names_mono else {}
        facts = {
            "recording": "r", "sequence": 0, "activation": "button", "started_us": self.clock.utc_us(), "codec": "h264",
            "width": 16, "height": 16, "marked": False, **more,
        }  # fmt: skip
        self.journal.append("segment.opened", item, facts)
        self.clock.advance(seconds * SECOND)
        mark = {"offset": 1, "sha256": "", "media_us": seconds * SECOND, "frames": 1, "marked": False}
        self.journal.append("segment.checkpoint", item, mark)

    def read(self) -> History:
        return read_history(self.folder)


@pytest.fixture
def past(tmp_path: Path, clock: FakeClock) -> Past:
    return Past(tmp_path / "journal", clock)


def now(past: Past) -> Moment:
    return Moment(past.clock.utc_us(), past.clock.mono_us())


@pytest.mark.parametrize("jump_us", [0, HOUR, -HOUR, -1_000 * HOUR])
@pytest.mark.parametrize("names_mono", [True, False])
def test_last_picture_is_the_latest_by_the_monotonic_clock(past: Past, jump_us: int, names_mono: bool) -> None:
    """TI-28: and not the one with the highest UTC time; older lines name UTC alone."""
    past.film(10, names_mono=names_mono)
    past.clock.jump(jump_us)
    past.clock.advance(SECOND)
    past.film(5, names_mono=names_mono)
    ended = now(past)
    past.restart()
    past.clock.jump(-jump_us)
    past.clock.advance(SECOND)
    assert past.read().broke_off == ended


def test_last_picture_of_another_boot_of_the_machine_lies_before_this_one(past: Past) -> None:
    """TI-28."""
    past.film(10)
    ended = now(past)
    past.restart(FakeClock(utc_us=ended.utc_us + 60 * SECOND, mono_us=20 * SECOND), machine="b" * 16)
    broke_off = past.read().broke_off
    assert broke_off == Moment(ended.utc_us, -40 * SECOND)
    assert past.read().to_detail()["broke_off_mono_us"] is None
    past.film(3)
    assert past.read().broke_off == now(past)


@pytest.mark.parametrize("jump_us", [HOUR, -HOUR])
def test_state_says_enough_when_all_older_files_are_gone(past: Past, jump_us: int) -> None:
    """CJ-18, TI-28: the recorder's own words at the head of a file."""
    past.film(10)
    ended = now(past)
    state = past.read().to_detail()
    past.journal.roll()
    past.clock.jump(jump_us)
    past.journal.append(STATE, detail=state)
    for path in journal_files(past.folder)[:-1]:
        path.unlink()
    past.restart()
    assert past.read().broke_off == ended


def test_state_of_an_older_version_is_read_by_its_own_clock(past: Past) -> None:
    past.film(10)
    ended = now(past)
    state = dict(past.read().to_detail())
    del state["broke_off_mono_us"], state["machine"]
    past.journal.roll()
    past.journal.append(STATE, detail=state)
    for path in journal_files(past.folder)[:-1]:
        path.unlink()
    assert past.read().broke_off == ended


def test_state_that_names_an_earlier_boot_stays_before_this_one(past: Past) -> None:
    """TI-28: though the wall clock of that boot was ahead."""
    past.film(10)
    ended = now(past)
    past.restart(FakeClock(utc_us=ended.utc_us - HOUR, mono_us=20 * SECOND), machine="b" * 16)
    state = past.read().to_detail()
    past.journal.roll()
    past.journal.append(STATE, detail=state)
    for path in journal_files(past.folder)[:-1]:
        path.unlink()
    assert past.read().broke_off == Moment(ended.utc_us, -1)


def test_gap_ends_where_recording_went_on_by_the_monotonic_clock(past: Past) -> None:
    past.film(10)
    past.clock.jump(-HOUR)
    past.clock.advance(5 * SECOND)
    until = now(past)
    past.journal.append(
        "gap",
        detail={
            "from_us": until.utc_us - 5 * SECOND, "to_us": until.utc_us, "from_mono_us": until.mono_us - 5 * SECOND,
            "to_mono_us": until.mono_us, "why": "camera_stalled",
        },
    )  # fmt: skip
    assert past.read().broke_off == until


def test_recovering_an_older_segment_moves_nothing(past: Past) -> None:
    past.film(10)
    (first,) = past.read().segments
    past.film(5)
    ended = now(past)
    past.restart()
    past.clock.advance(HOUR)
    ending = {
        "sealed_sha256": "", "sealed_size": 1, "plain_sha256": None, "plain_size": 1, "media_us": 10 * SECOND,
        "frames": 1, "marked": False, "complete": False,
    }  # fmt: skip
    past.journal.append("segment.recovered", first, ending)
    assert past.read().broke_off == ended
