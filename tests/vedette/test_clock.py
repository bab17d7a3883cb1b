"""Clocks and UUIDv7."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vedette.clock import FakeClock, SystemClock, TimeQuality, check_uuid7, iso, kernel_quality, uuid7
from vedette.errors import Integrity
from vedette.kernel_time import KernelTime, judge, kernel_time
from vedette.timenote import MAX_AGE_US, TIME_NAME, TimeNote, read_time, write_time


def test_uuid7_carries_the_milliseconds_and_the_version_when_made() -> None:
    """RE-4."""
    clock = FakeClock(utc_us=1_795_425_430_123_456)
    made = uuid7(clock)
    assert check_uuid7(made) == made
    assert int(made.replace("-", "")[:12], 16) == 1_795_425_430_123
    assert made != uuid7(clock)


def test_uuid7_sorts_by_time_when_the_clock_moves() -> None:
    """RE-4."""
    clock = FakeClock()
    made = []
    for _ in range(50):
        made.append(uuid7(clock))
        clock.advance(1000)
    assert made == sorted(made)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "../../etc/passwd",
        "0192f000-0000-7000-8000-000000000000\n",
        "0192F000-0000-7000-8000-000000000000",
        "0192f000-0000-4000-8000-000000000000",
        None,
        7,
    ],
)
def test_uuid7_is_refused_when_it_is_not_the_canonical_form(text: object) -> None:
    """SP-1."""
    with pytest.raises(Integrity):
        check_uuid7(text)


def test_iso_shows_microseconds_and_zone() -> None:
    """RE-4."""
    assert iso(1_795_425_430_000_001) == "2026-11-23T09:17:10.000001Z"


def test_fake_clock_jump_moves_only_the_wall_clock() -> None:
    clock = FakeClock(utc_us=10, mono_us=5)
    clock.jump(-3)
    assert (clock.utc_us(), clock.mono_us()) == (7, 5)


def test_system_clock_names_the_boot_of_the_machine() -> None:
    """TI-10: what the kernel says, the same for every process until the machine is started anew."""
    named = SystemClock().machine()
    assert named is not None
    assert re.fullmatch("[0-9a-f]{16}", named)
    assert SystemClock().machine() == named


def test_system_clock_names_its_source() -> None:
    """PO-7."""
    quality = SystemClock().quality()
    assert quality.source in {"ntp", "rtc", "none"}
    assert quality.error_us is None or quality.source == "ntp"


@pytest.mark.parametrize(
    ("state", "status", "synchronised"), [(0, 0, True), (0, 0x40, False), (5, 0, False), (1, 0x2001, True)]
)
def test_kernel_is_synchronised_only_when_it_says_so_in_both_ways(state: int, status: int, synchronised: bool) -> None:
    """PO-7."""
    found = judge(state=state, status=status, max_error_us=1500, is_timesyncd=False)
    assert found == KernelTime(is_synchronised=synchronised, max_error_us=1500)
    quality = kernel_quality(found)
    assert (quality.source == "ntp") is synchronised
    assert quality.error_us == (1500 if synchronised else None)


def test_bound_holds_the_distance_of_the_server_when_timesyncd_sets_the_clock() -> None:
    """PO-7."""
    assert judge(state=0, status=0, max_error_us=20_000, is_timesyncd=True).max_error_us == 5_020_000


def test_kernel_answers_this_process() -> None:
    """PO-7: the structure has the kernel's own layout; 16 s is where it gives a clock up."""
    found = kernel_time()
    assert found is not None
    assert 0 <= found.max_error_us <= 16_000_000 + 5_000_000


NOTE = TimeNote(source="gnss", error_us=1_200_000, mono_us=0, machine=None)


def test_system_clock_takes_the_position_service_s_word_when_it_is_fresh(tmp_path: Path) -> None:
    """PO-8."""
    clock = SystemClock(tmp_path)
    write_time(tmp_path, replace(NOTE, mono_us=clock.mono_us(), machine=clock.machine()))
    assert clock.quality() == TimeQuality(source="gnss", error_us=1_200_000)


@pytest.mark.parametrize(
    ("changed", "is_read"),
    [
        ({}, True),
        ({"mono_us": -MAX_AGE_US}, True),
        ({"mono_us": -MAX_AGE_US - 1}, False),
        ({"mono_us": 1}, False),
        ({"machine": "0" * 16}, False),
        ({"source": "oracle"}, False),
        ({"error_us": True}, False),
        ({"error_us": None}, True),
    ],
)
def test_a_time_note_counts_only_while_it_is_fresh_and_of_this_boot(
    tmp_path: Path, changed: dict[str, Any], is_read: bool
) -> None:
    """PO-9."""
    write_time(tmp_path, replace(NOTE, **changed))
    assert (read_time(tmp_path, mono_us=0, machine=None) is not None) is is_read


@pytest.mark.parametrize("note", [b"", b"{}", b"[]", b'{"source":"gnss"}', b"x" * 600])
def test_a_damaged_time_note_is_none(tmp_path: Path, note: bytes) -> None:
    """PO-9."""
    (tmp_path / TIME_NAME).write_bytes(note)
    assert read_time(tmp_path, mono_us=0, machine=None) is None
    assert SystemClock(tmp_path).quality().source in {"ntp", "rtc", "none"}
