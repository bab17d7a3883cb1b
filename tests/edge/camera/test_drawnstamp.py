"""What is drawn over a picture: its words, how they fall into lines, and how a camera's process is told."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from subprocess import run
from sys import executable

import pytest

from edge.board import position
from edge.camera import drawnstamp
from edge.camera.child import Child
from edge.camera.drawnstamp import MAX_AGE_US, StampFacts, ToldPipe, drawn_lines
from vedette.clock import FakeClock

NOON_US = 1_795_608_402_900_000  # 2026-11-25 12:06:42.9 UTC
S = 1_000_000
FACTS = StampFacts(
    device="car-1", ahead_us=5, zone_s=3600, recording="0192…", place="33.57310 N 7.58981 W ±5 m", fixed_us=NOON_US
)
TIME = "2026-11-25 13:06:42 UTC+01:00"
Pipe = tuple[ToldPipe, Callable[[bytes], object]]


def words(facts: StampFacts, text: str = "", utc_us: int = NOON_US, columns: int = 1000) -> list[str]:
    return drawn_lines(facts, text, utc_us=utc_us, fits=lambda line: len(line) <= columns)


def test_stamp_has_time_zone_device_position_recording_and_text() -> None:
    """SG-22."""
    assert words(FACTS, "unit-7") == [f"{TIME}  car-1  33.57310 N 7.58981 W +-5 m  recording 0192…  unit-7"]


def test_stamp_has_no_number_where_none_runs() -> None:
    """SG-23."""
    assert words(replace(FACTS, recording="")) == [f"{TIME}  car-1  33.57310 N 7.58981 W +-5 m"]


@pytest.mark.parametrize(
    ("apart_us", "said"),
    [(0, "W +-5 m"), (2 * S, "W +-5 m"), (2 * S + 1, "W +-5 m (2 s old)"), (-3 * S, "W +-5 m (3 s later)"),
     (MAX_AGE_US, "W +-5 m (60 s old)"), (MAX_AGE_US + 1, "position unknown"), (-MAX_AGE_US - 1, "position unknown")],
)  # fmt: skip
def test_position_grows_old_with_the_pictures_though_nobody_tells(apart_us: int, said: str) -> None:
    """SG-22: by the rule of the line and by that of the file it comes from."""
    (line,) = words(replace(FACTS, recording=""), utc_us=NOON_US + apart_us)
    assert line.endswith(said)
    assert position.MAX_AGE_US == MAX_AGE_US


@pytest.mark.parametrize(
    ("apart_us", "said"),
    [(0, "W +-5 m  GNSS time not trusted"), (3 * S, "W +-5 m (3 s old)  GNSS time not trusted"),
     (MAX_AGE_US + 1, "position unknown")],
)  # fmt: skip
def test_position_by_a_time_that_is_not_trusted_says_so(apart_us: int, said: str) -> None:
    """SG-25: in letters that every font has, and not of a position that is not shown."""
    (line,) = words(replace(FACTS, recording="", is_distrusted=True), utc_us=NOON_US + apart_us)
    assert line.endswith(f" {said}")
    assert line.isascii()


def test_position_is_unknown_where_none_was_told() -> None:
    """SG-22."""
    assert words(replace(FACTS, place="", recording="")) == [f"{TIME}  car-1  position unknown"]


@pytest.mark.parametrize(("columns", "lines"), [(81, 1), (80, 2), (64, 2), (36, 3), (32, 4), (1, 4)])
def test_lines_are_as_few_as_fit_and_no_word_is_left_out(columns: int, lines: int) -> None:
    """SG-24."""
    found = words(FACTS, columns=columns)
    assert len(found) == lines
    assert "  ".join(found) == words(FACTS)[0]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    read, write = os.pipe()
    yield ToldPipe(read), lambda data: os.write(write, data)
    os.close(read)
    os.close(write)


def test_newest_facts_are_found_however_they_come(pipe: Pipe) -> None:
    told, write = pipe
    newer = replace(FACTS, recording="0193…")
    write(b'{"a": 1}\n' + FACTS.to_line()[:9])
    assert told.first() == {"a": 1}
    assert told.newest() is None
    write(FACTS.to_line()[9:])
    assert told.newest() == FACTS
    assert told.newest() is None
    write(FACTS.to_line() + newer.to_line() + b"{")
    assert told.newest() == newer


def test_process_that_is_told_nothing_at_first_is_not_waited_for_for_ever() -> None:
    read, write = os.pipe()
    os.close(write)
    with pytest.raises(EOFError):
        ToldPipe(read).first()
    os.close(read)


def test_line_is_left_out_when_a_process_reads_nothing_and_nobody_waits() -> None:
    """SG-24: pytest's timeout ends it if it waits."""
    one, line = Child(FakeClock()), FACTS.to_line()
    one.tell(line)
    assert one.start(1, lambda _pipes: ["sleep", "60"], b"{}\n")
    assert len(line) < 4096
    for _ in range(65536 // len(line) + 10):
        one.tell(line)
    one.stop()
    assert one.has_left(2)


def test_words_need_nothing_but_pythons_own_library() -> None:
    """The child of GStreamer runs without any other."""
    folder = Path(drawnstamp.__file__).parent
    code = f"import sys; sys.path.append({str(folder)!r}); import drawnstamp; print(drawnstamp.UNKNOWN)"
    done = run([executable, "-I", "-S", "-c", code], capture_output=True, check=True)
    assert done.stdout == b"position unknown\n"
