"""Whoever wears the camera is shown that video is kept though nobody activated it: light, vibration, page."""

import html
import itertools
from pathlib import Path
from typing import Any

import pytest

from edge.board.alerts import KEEPING, KEPT, REMINDER, STARTED, STOPPED
from edge.board.port import AlertPattern
from edge.camera.watch import Kind
from edge.panel import page
from edge.panel.page import FOLDER, NAME, Shown
from edge.panel.sign import APART_US, EVERY_US, RingSign

SECOND = 1_000_000


def test_sign_is_felt_when_keeping_begins_and_faint_every_half_minute_after() -> None:
    """RI-21."""
    sign = RingSign()
    due = [sign.due(True, now_us=now_us, signalled_us=None) for now_us in range(0, 2 * EVERY_US + 1, SECOND)]
    assert [(n, one) for n, one in enumerate(due) if one] == [(0, KEEPING), (30, KEPT), (60, KEPT)]
    assert KEEPING.vibrates
    assert not KEPT.vibrates
    assert not KEPT.sounds


def test_sign_begins_anew_when_keeping_was_interrupted() -> None:
    """RI-21."""
    sign = RingSign()
    assert sign.due(True, now_us=0, signalled_us=None) is KEEPING
    assert sign.due(False, now_us=SECOND, signalled_us=None) is None
    assert sign.due(True, now_us=2 * SECOND, signalled_us=None) is KEEPING


@pytest.mark.parametrize(("ago_us", "sign"), [(0, None), (APART_US - 1, None), (APART_US, KEEPING)])
def test_sign_waits_when_another_signal_was_given_just_now(ago_us: int, sign: AlertPattern | None) -> None:
    """RI-21."""
    assert RingSign().due(True, now_us=100 * SECOND, signalled_us=100 * SECOND - ago_us) is sign


def test_officer_is_shown_that_video_is_kept_between_two_recordings(desk: Any) -> None:
    """RI-21, RI-22, AC-12: no sign while something is recorded, and none that would hide another."""
    kept = desk.runs(40, "standby", retaining=True)
    recorded = desk.runs(130, "recording", retaining=False)
    again = desk.runs(10, "standby", retaining=True)
    assert desk.given() == [KEEPING, KEPT, STARTED, REMINDER, STOPPED, KEEPING]
    times = [at_us for at_us, _one in desk.lights.signals]
    assert all(later - earlier >= APART_US for earlier, later in itertools.pairwise(times))
    for words in ("au plus 24 h", "for 24 h at most", "أقصى مدة بالساعات: 24"):
        assert words in kept
        assert words in again
        assert words not in recorded
    assert "Recording" in recorded


def test_nothing_is_shown_in_stealth_and_all_of_it_after(desk: Any) -> None:
    """RI-21, RI-22, AC-12."""
    hidden = desk.runs(40, "standby", retaining=True, stealth=True)
    assert desk.given() == []
    assert "<p" not in hidden
    assert "background:#000" in hidden
    assert "24 h" in desk.runs(40, "standby", retaining=True)


def test_page_says_so_when_the_recorder_falls_silent(desk: Any) -> None:
    desk.runs(3, "standby", retaining=True)
    for _ in range(10):
        desk.panel.step(desk.clock.mono_us())
        desk.clock.advance(SECOND)
    said = (desk.run / FOLDER / NAME).read_text(encoding="utf-8").partition('id="stale"')[0]
    assert "The camera does not answer" in said
    assert "24 h" not in said


@pytest.mark.parametrize("state", [*page.STATES, "disk_full", "camera_fault"])
def test_page_has_its_words_in_three_languages_whatever_the_state(state: str) -> None:
    """RI-22."""
    text = page.page(Shown(state=state, muted=True, no_sound=True, kept_h=1), written_ms=0).partition('id="stale"')[0]
    for language in ("fr", "en", "ar"):
        assert text.count(f'<p lang="{language}"') == 4
    assert all(page.STATES.get(state, page.OTHER))


@pytest.mark.parametrize("fault", [kind.value for kind in Kind])
def test_page_says_what_is_wrong_with_the_camera_as_long_as_it_is(desk: Any, fault: str) -> None:
    """CF-11: whatever kind of fault there is."""
    words = page.FAULTS[fault]
    faulty = desk.runs(3, "recording", camera=fault)
    assert [one in html.unescape(faulty) for one in words] == [True] * 3
    assert not any(one in html.unescape(desk.runs(3, "recording", camera="ok")) for one in words)


def test_page_says_that_sound_is_missing_as_long_as_it_is(desk: Any) -> None:
    """SG-19."""
    missing = desk.runs(3, "recording", sound_missing=True)
    assert [one in html.unescape(missing) for one in page.NO_SOUND] == [True] * 3
    assert not any(one in html.unescape(desk.runs(3, "recording", sound_missing=False)) for one in page.NO_SOUND)


@pytest.mark.parametrize("size", [(1280, 720), (800, 480), (480, 800)])
def test_page_fits_a_vehicles_screen_and_loads_nothing(chromium: Any, tmp_path: Path, size: tuple[int, int]) -> None:
    """RI-22: from the file, all of it seen without scrolling."""
    shown = Shown(state="standby", muted=True, no_sound=True, kept_h=72, fault="blocked")
    tab = chromium.new_page(viewport={"width": size[0], "height": size[1]})
    errors: list[str] = []
    asked: list[str] = []
    tab.on("console", lambda one: errors.append(one.text))
    tab.on("request", lambda one: asked.append(one.url))
    now_ms = int(tab.evaluate("Date.now()"))
    page.write(tmp_path, shown, written_ms=now_ms + 60_000)
    tab.goto((tmp_path / FOLDER / NAME).as_uri())
    body = tab.evaluate("[document.documentElement.scrollHeight, document.documentElement.scrollWidth]")
    assert body[0] <= size[1]
    assert body[1] <= size[0]
    assert tab.is_visible("text=Video is kept though nobody activated it")
    assert not tab.is_visible("text=The camera does not answer")
    page.write(tmp_path, shown, written_ms=now_ms - page.FRESH_MS - 1)
    tab.goto((tmp_path / FOLDER / NAME).as_uri())
    assert tab.is_visible("text=The camera does not answer")
    assert not tab.is_visible("text=Video is kept though nobody activated it")
    assert errors == []
    assert {one.partition(":")[0] for one in asked} <= {"file"}
    tab.close()
