"""Whoever wears the camera is told that the storage fills up: once for each step, and when a recording begins."""

import html
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.board import alerts
from edge.board.alerts import CONTINUOUS_STOPPED, REMINDER, ROOM_LOW, STARTED, STOPPED, STORAGE_FULL, hit_pattern
from edge.board.port import AlertPattern
from edge.panel import page
from edge.panel.page import FOLDER, NAME, Shown
from edge.panel.storagesign import APART_US, PATTERNS, StorageSign
from vedette.storage import Storage

SECOND = 1_000_000
WORDS = (page.HOUR_LEFT, page.MARKED_GOES_ON, page.MARKED_CAN, page.NOTHING_CAN)
SIZES = [(1440, 900), (820, 1180), (800, 480), (480, 800)]


def due(sign: StorageSign, now_us: int = 100 * SECOND) -> AlertPattern | None:
    return sign.due(now_us=now_us, signalled_us=None)


def test_each_worse_step_is_told_once() -> None:
    """ST-9."""
    sign, given = StorageSign(), []
    for step in (0, 1, 1, 1, 2, 2, 3, 3, 2, 2, 1, 3, 0, 1):
        sign.note(Storage(step), begins=False)
        given.append(due(sign))
    assert [(n, one) for n, one in enumerate(given) if one] == [
        (1, ROOM_LOW), (4, CONTINUOUS_STOPPED), (6, STORAGE_FULL), (11, STORAGE_FULL), (13, ROOM_LOW),
    ]  # fmt: skip


def test_what_stands_is_told_again_when_a_recording_begins() -> None:
    """ST-9."""
    sign = StorageSign()
    for step in Storage:
        sign.note(step, begins=True)
        assert due(sign) == PATTERNS.get(step)
        sign.note(step, begins=True)
        assert due(sign) == PATTERNS.get(step)
        sign.note(step, begins=False)
        assert due(sign) is None


@pytest.mark.parametrize(("ago_us", "sign"), [(0, None), (APART_US - 1, None), (APART_US, ROOM_LOW)])
def test_sign_waits_when_another_signal_was_given_just_now(ago_us: int, sign: AlertPattern | None) -> None:
    """ST-9: and is given after it."""
    one = StorageSign()
    one.note(Storage.LOW, begins=False)
    assert one.due(now_us=100 * SECOND, signalled_us=100 * SECOND - ago_us) is sign
    assert one.due(now_us=200 * SECOND, signalled_us=0) is (None if sign else ROOM_LOW)


def test_a_step_that_is_over_before_it_could_be_told_is_not_told() -> None:
    """ST-9."""
    sign = StorageSign()
    sign.note(Storage.FULL, begins=False)
    sign.note(Storage.ENOUGH, begins=False)
    assert due(sign) is None


def test_pattern_of_the_storage_is_mistaken_for_no_other() -> None:
    """ST-8: more than four pulses, and each step its own number; all are felt and over before another may follow."""
    others = [one for one in vars(alerts).values() if isinstance(one, AlertPattern) and one not in PATTERNS.values()]
    hits = [hit_pattern(priority, same_region=True) for priority in ("high", "normal", "low")]
    assert len(others) >= 7
    assert max(one.pulses for one in (*others, *hits)) <= 4
    assert sorted(PATTERNS) == [Storage.LOW, Storage.CONTINUOUS_STOPPED, Storage.FULL]
    pulses = [PATTERNS[step].pulses for step in sorted(PATTERNS)]
    assert pulses[0] > 4
    assert pulses == sorted(set(pulses))
    assert all(one.vibrates and one.pulses * (one.on_ms + one.off_ms) * 1000 <= APART_US for one in PATTERNS.values())


def test_officer_is_told_down_the_ladder_and_again_at_a_start(desk: Any) -> None:
    """ST-9, AC-12: not again and again, and no sign is cut into another."""
    desk.runs(10, "recording", storage=0)
    desk.runs(60, "recording", storage=1)
    desk.runs(60, "disk_full", storage=2)
    desk.runs(60, "recording", storage=2, active=True)
    desk.runs(60, "disk_full", storage=2)
    desk.runs(60, "disk_full", storage=3)
    given = desk.given()
    assert [one for one in given if one is not REMINDER] == [
        STARTED, ROOM_LOW, STOPPED, CONTINUOUS_STOPPED, STARTED, CONTINUOUS_STOPPED, STOPPED, STORAGE_FULL,
    ]  # fmt: skip
    times = [at_us for at_us, _one in desk.lights.signals]
    assert all(later - earlier >= APART_US for earlier, later in itertools.pairwise(times))


def test_officer_who_asks_for_what_cannot_be_recorded_is_told_so(desk: Any) -> None:
    """ST-9: nothing begins, so nothing else answers the press."""
    desk.runs(30, "disk_full", storage=3)
    desk.runs(30, "disk_full", storage=3, active=True)
    desk.runs(30, "disk_full", storage=3)
    assert desk.given() == [STORAGE_FULL, STORAGE_FULL]


def test_nothing_is_shown_in_stealth_and_the_step_that_stands_after_it(desk: Any) -> None:
    """ST-9, AC-12."""
    hidden = desk.runs(10, "recording", storage=1, stealth=True)
    desk.runs(30, "disk_full", storage=2, stealth=True)
    assert desk.given() == []
    assert "<p" not in hidden
    desk.runs(30, "disk_full", storage=2)
    assert desk.given() == [CONTINUOUS_STOPPED]


def test_nothing_is_told_again_when_the_panel_alone_is_not_heard_from_the_recorder(desk: Any) -> None:
    """ST-9: silence says nothing of the storage; the same step after it is no news."""
    desk.runs(20, "standby", storage=1)
    for _ in range(20):
        desk.panel.step(desk.clock.mono_us())
        desk.clock.advance(SECOND)
    desk.runs(20, "standby", storage=1)
    assert desk.given() == [ROOM_LOW]


@pytest.mark.parametrize(
    ("state", "storage", "words"),
    [
        ("recording", 1, page.HOUR_LEFT),
        ("standby", 1, page.HOUR_LEFT),
        ("recording", 2, page.MARKED_GOES_ON),
        ("disk_full", 2, page.MARKED_CAN),
        ("asleep", 2, page.MARKED_CAN),
        ("disk_full", 3, page.NOTHING_CAN),
        ("standby", 3, page.NOTHING_CAN),
        ("disk_full", 0, page.NOTHING_CAN),
    ],
)
def test_page_has_words_of_its_own_for_each_step(desk: Any, state: str, storage: int, words: page.Words) -> None:
    """ST-7: in three languages, as long as the step lasts; a full disk is no camera that is to be looked at."""
    said = html.unescape(desk.runs(3, state, storage=storage)).partition('id="stale"')[0]
    assert [one in said for one in words] == [True] * 3
    assert [other for other in WORDS if other is not words and any(one in said for one in other)] == []
    assert page.OTHER[1] not in said
    after = html.unescape(desk.runs(3, "recording", storage=0))
    assert not any(one in after for one in words)


@pytest.mark.parametrize(("warn_s", "minutes"), [(1800, "30"), (3601, "61"), (60, "1")])
def test_page_says_the_bound_that_policy_sets(make_desk: Callable[..., Any], warn_s: int, minutes: str) -> None:
    """ST-7."""
    said = html.unescape(make_desk(room_warning_s=warn_s).runs(3, "recording", storage=1))
    assert [words.format(minutes) in said for words in page.LITTLE_LEFT] == [True] * 3


def test_disk_that_fails_is_no_camera_to_be_looked_at_and_is_to_be_reported(desk: Any) -> None:
    """ST-7."""
    said = html.unescape(desk.runs(3, "disk_fault", storage=0))
    assert [words in said for words in page.OTHER] == [False] * 3
    french, english, arabic = page.STATES["disk_fault"]
    assert [words in said for words in (french, english, arabic)] == [True] * 3
    assert "Prévenir le responsable" in french
    assert "Tell your supervisor and use another camera" in english
    assert "أبلغ المسؤول" in arabic
    assert html.unescape(desk.runs(3, "stream_fault", storage=0)).count(page.OTHER[1]) == 1


@pytest.mark.parametrize("size", SIZES)
def test_page_is_seen_whole_whatever_the_step(chromium: Any, tmp_path: Path, size: tuple[int, int]) -> None:
    """ST-7, RI-22: without scrolling, beside everything else that may be wrong, Arabic from right to left."""
    tab = chromium.new_page(viewport={"width": size[0], "height": size[1]})
    written_ms = int(tab.evaluate("Date.now()")) + 60_000
    wrong = {"muted": True, "no_sound": True, "fault": "blocked"}
    for shown, words in (
        (Shown(state="thermal", storage=Storage.LOW, kept_h=72, warn_s=1800, **wrong), page.LITTLE_LEFT[1]),
        (Shown(state="recording", storage=Storage.CONTINUOUS_STOPPED, **wrong), page.MARKED_GOES_ON[1]),
        (Shown(state="disk_full", storage=Storage.CONTINUOUS_STOPPED, **wrong), page.MARKED_CAN[1]),
        (Shown(state="disk_full", storage=Storage.FULL, **wrong), page.NOTHING_CAN[1]),
        (Shown(state="disk_fault", storage=Storage.LOW, **wrong), page.STATES["disk_fault"][1]),
    ):
        page.write(tmp_path, shown, written_ms=written_ms)
        tab.goto((tmp_path / FOLDER / NAME).as_uri())
        wide = tab.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
        assert (wide[0] <= size[0], wide[1] <= size[1], shown.state) == (True, True, shown.state)
        assert tab.is_visible(f"text={words.format(30)}")
        arabic = tab.locator("#fresh p[lang=ar]").evaluate_all("all => all.map(one => getComputedStyle(one).direction)")
        assert set(arabic) == {"rtl"}
    tab.close()
