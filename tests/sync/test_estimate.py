"""How long until nothing waits, as a person at the device is told."""

from __future__ import annotations

import pytest

from sync.estimate import FADE_US, LONGEST_S, Progress, account_text, duration_text

SECOND_US = 1_000_000


def at_rate(bytes_a_second: int, seconds: int, progress: Progress | None = None, *, first_s: int = 0) -> Progress:
    progress = progress or Progress()
    done = 0
    for second in range(seconds + 1):
        progress.told(done, (first_s + second) * SECOND_US, busy=True)
        done += bytes_a_second
    return progress


def test_estimate_is_what_waits_over_what_was_acknowledged_a_second() -> None:
    """WI-64."""
    progress = at_rate(500_000, 10)
    assert progress.bytes_per_s == 500_000
    assert progress.empty_in_s(1_800_000_000) == 3600
    assert progress.empty_in_s(1) == 1
    assert progress.empty_in_s(0) == 0


def test_estimate_is_not_given_before_anything_is_known() -> None:
    """WI-64."""
    progress = Progress()
    assert progress.empty_in_s(1) is None
    progress.told(0, 1, busy=True)
    progress.told(10_000_000, SECOND_US, busy=True)
    assert progress.empty_in_s(1) is None


def test_estimate_does_not_count_time_in_which_nothing_was_under_way() -> None:
    """WI-64: a night without a network makes the morning's estimate no longer."""
    progress = at_rate(500_000, 10)
    for hour in range(1, 9):
        progress.told(5_000_000, hour * 3600 * SECOND_US, busy=False)
    assert progress.bytes_per_s == 500_000


def test_estimate_follows_when_the_network_becomes_slower() -> None:
    """WI-64."""
    progress = at_rate(10_000_000, 100)
    at_rate(100_000, 8 * FADE_US // SECOND_US, progress, first_s=200)
    assert progress.bytes_per_s < 500_000


def test_estimate_has_a_longest() -> None:
    """WI-64."""
    assert at_rate(1, 10).empty_in_s(1 << 60) == LONGEST_S


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3540, "59 min"),
        (3600, "1 h 0 min"),
        (8000, "2 h 14 min"),
        (86_400 + 7200, "1 days 2 h"),
    ],
)
def test_duration_is_said_as_a_person_says_it(seconds: int, text: str) -> None:
    """WI-64."""
    assert duration_text(seconds) == text.replace("1 days", "1 day")


@pytest.mark.parametrize(
    ("figures", "connected", "text"),
    [
        ({"items_pending": 0}, True, "nothing waits"),
        ({"items_pending": 1}, False, "1 item, 9,000.0 MB wait; not connected"),
        (
            {"empty_in_s": 7_500, "bytes_per_s": 1_200_000},
            True,
            "30 items, 9,000.0 MB wait; through in about 2 h 5 min at 9.6 Mbit/s",
        ),
        ({}, True, "30 items, 9,000.0 MB wait"),
        (
            {"empty_in_s": 0, "bulk_waits": "metered"},
            True,
            "30 items, 9,000.0 MB wait; nothing else waits; unmarked video waits: metered",
        ),
    ],
)
def test_account_says_in_one_line_what_waits_and_for_how_long(
    figures: dict[str, int | str], connected: bool, text: str
) -> None:
    """WI-64."""
    usual: dict[str, int | str] = {"items_pending": 30, "bytes_pending": 9_000_000_000, "bytes_per_s": 0}
    assert account_text({**usual, "bulk_waits": "", **figures}, connected=connected) == text
