"""The pages in a real Chromium against the real server process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_tab import Tab

from sync.central.presence import Presence
from sync.central.quarantine import MAX_EVIDENCE_BYTES, quarantine, write_counts
from vedette.clock import uuid7
from vedette.wire import RefuseCode, Status

DESKTOP = {"width": 1440, "height": 900}
TABLET = {"width": 820, "height": 1180}
PASSWORD = "correct horse battery"
START_S = 20


@pytest.fixture
def address(centre: Any) -> Iterator[str]:
    """The address of the real server over this test's centre; checks that it ends cleanly on SIGTERM."""
    command = [sys.executable, "-m", "sync.central.web", "--config", str(centre.folder / "central.toml")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    file = centre.folder / "run" / "web.json"
    deadline = time.monotonic() + START_S
    while not file.is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    yield json.loads(file.read_text())["url"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0


class Watched(Tab):
    """A tab of somebody at the server's pages."""

    def __init__(self, browser: Any, viewport: dict[str, int], scheme: str = "light") -> None:
        super().__init__(browser, viewport=viewport, color_scheme=scheme)

    def sign_in(self, address: str, name: str = "amina") -> None:
        self.page.goto(address)
        self.page.fill("input[name=name]", name)
        self.page.fill("input[name=password]", PASSWORD)
        self.page.click("main button")
        self.page.wait_for_selector("nav")

    def until(self, expression: str, timeout_s: float = 15) -> None:
        """Wait until an expression is true; the content policy forbids playwright's own way, which is eval."""
        deadline = time.monotonic() + timeout_s
        while not self.page.evaluate(expression):
            assert time.monotonic() < deadline, f"still false: {expression}"
            self.page.wait_for_timeout(50)

    def unlock(self, address: str, item: str, identity: Path) -> None:
        self.page.goto(f"{address}evidence/{item}")
        self.page.fill("#unlock input[name=reason]", "Enquête 2026/117")
        self.page.set_input_files("#unlock input[name=identity]", str(identity))
        self.page.click("#unlock button")
        self.page.wait_for_selector("#player")


@pytest.fixture
def tab(chromium: Any, address: str) -> Iterator[Watched]:
    """A desktop tab; at the end it must have met no error and asked nothing outside the server."""
    watched = Watched(chromium, DESKTOP)
    yield watched
    watched.context.close()
    assert watched.errors == []
    assert [url for url in watched.asked if not url.startswith((address, "blob:", "data:"))] == []


def test_live_list_shows_a_new_hit_when_the_page_is_not_loaded_again(tab: Watched, address: str, centre: Any) -> None:
    tab.sign_in(address)
    tab.page.evaluate("window.untouched = true")
    centre.add_hit("777|د|26", "777D26", "Personne recherchée")
    card = tab.page.wait_for_selector(f'[data-key="{centre.hits[-1]}"]', timeout=10_000)
    fields = card.query_selector_all(".plate .field")
    places = [field.bounding_box()["x"] for field in fields]
    assert [field.inner_text() for field in fields] == ["777", "د", "26"]
    assert places == sorted(places)
    assert tab.page.evaluate("window.untouched") is True


def test_live_list_keeps_a_half_written_note_when_another_hit_arrives(tab: Watched, address: str, centre: Any) -> None:
    tab.sign_in(address)
    first = tab.page.locator(f'[data-key="{centre.hits[-1]}"]')
    first.locator("summary").click()
    first.locator("textarea").fill("vu sur place")
    centre.add_hit("777|د|26", "777D26")
    tab.page.wait_for_selector(f'[data-key="{centre.hits[-1]}"]', timeout=10_000)
    assert first.locator("textarea").input_value() == "vu sur place"


def test_hit_is_confirmed_when_the_box_is_ticked_and_stays_open_before(tab: Watched, address: str, centre: Any) -> None:
    tab.sign_in(address)
    tab.page.goto(f"{address}hits/{centre.hits[0]}")
    tab.page.click("button[value=confirmed]")
    assert centre.store.hit(centre.hits[0]).state == "open"
    tab.page.check("input[name=compared]")
    tab.page.fill("textarea", "même véhicule, même plaque")
    tab.page.click("button[value=confirmed]")
    tab.page.wait_for_selector(".state-confirmed")
    decided = centre.store.decisions(centre.hits[0])[-1]
    assert (decided.user, decided.state, decided.note) == ("amina", "confirmed", "même véhicule, même plaque")


def test_pictures_of_a_hit_are_drawn_when_the_page_is_open(tab: Watched, address: str, centre: Any) -> None:
    tab.sign_in(address)
    tab.page.goto(f"{address}hits/{centre.hits[0]}", wait_until="networkidle")
    widths = tab.page.evaluate("[...document.querySelectorAll('figure img')].map((picture) => picture.naturalWidth)")
    assert widths == [240, 640]


def test_recording_plays_segment_after_segment_when_the_key_is_unlocked(
    tab: Watched, address: str, centre: Any
) -> None:
    tab.sign_in(address)
    tab.unlock(address, centre.segments[0], centre.evidence_key)
    tab.until("player.readyState >= 3")
    assert tab.page.evaluate("player.duration") == pytest.approx(3.0, abs=0.2)
    tab.page.evaluate("player.muted = true; player.currentTime = 1.5; player.play()")
    tab.until("player.currentTime > 2")
    tab.until(f"player.dataset.current === '{centre.segments[1]}'")
    tab.until("player.currentTime > 0.3")
    tab.page.click("#lock")
    tab.page.wait_for_selector("#unlock")
    assert [one.reason for one in centre.store.accesses(centre.segments[1]) if one.action == "play"] == [
        "Enquête 2026/117"
    ]


def test_cut_segment_plays_to_its_last_whole_chunk_when_power_was_lost(
    tab: Watched, address: str, centre: Any, films: list[bytes]
) -> None:
    item = centre.add_segment(films[0], 2, cut_bytes=200_000)
    tab.sign_in(address)
    tab.unlock(address, item, centre.evidence_key)
    tab.until("player.readyState >= 3")
    assert 1 < tab.page.evaluate("player.duration") < 3


def test_page_words_change_when_english_is_chosen(tab: Watched, address: str) -> None:
    tab.sign_in(address)
    assert tab.page.inner_text("h1") == "Correspondances"
    tab.page.click(".languages a[lang=en]")
    tab.page.wait_for_selector("html[lang=en]", state="attached")
    assert tab.page.inner_text("h1") == "Hits"


def tell_storage(centre: Any, step: int, left_s: int) -> None:
    """The car's recorder says how full its storage is."""
    told = {"storage": step, "room_left_s": left_s, "storage_since_us": centre.clock.utc_us()}
    counters = {f"recorder.{name}": value for name, value in told.items()}
    presence = Presence(centre.store)
    presence.status("car-1", Status(utc_us=centre.clock.utc_us(), counters=counters))
    presence.settle()


def test_devices_show_a_full_storage_when_the_page_is_not_loaded_again(tab: Watched, address: str, centre: Any) -> None:
    """ST-10: the badge comes and changes by itself, the count at the filter too, and the filter is a link."""
    tab.sign_in(address)
    tab.page.goto(f"{address}devices")
    assert tab.page.inner_text(".tabs b.hot, .tabs a:last-child b") == "0"
    tell_storage(centre, 1, 2_579)
    tab.page.wait_for_selector("#car-1 .badge >> text=stockage : encore 42 min")
    tell_storage(centre, 3, 0)
    tab.page.wait_for_selector("#car-1 .badge.full >> text=stockage plein depuis le")
    assert tab.page.is_visible("#car-1 >> text=Cet appareil ne peut plus rien enregistrer")
    assert tab.page.inner_text(".tabs b.hot") == "1"
    tab.page.click(".tabs a:last-child")
    tab.page.wait_for_selector(".tabs a:last-child[aria-current]")
    assert tab.page.locator("#car-1").count() == 1


def flood(store: Any, kept: int) -> None:
    """A device complains so often that some is only counted, in long words without a place to break them."""
    for number in range(kept):
        quarantine(store, "car-1", uuid7(store.clock), RefuseCode.INVALID, f"complaint {number} {'x' * 200}", b"sent")
    quarantine(store, f"a-{'b' * 55}-c", None, RefuseCode.MISMATCH, "not the bytes", bytes(MAX_EVIDENCE_BYTES + 1))
    quarantine(store, f"a-{'b' * 55}-c", None, RefuseCode.MISMATCH, "not the bytes", b"again")
    write_counts(store)


@pytest.mark.parametrize("viewport", [DESKTOP, TABLET])
def test_quarantine_is_read_to_its_end_by_its_links(
    chromium: Any, address: str, centre: Any, viewport: dict[str, int]
) -> None:
    """CS-19. From the log's page to the oldest complaint and back, and to one device's alone."""
    flood(centre.store, kept=60)
    tab = Watched(chromium, viewport)
    tab.sign_in(address, "youssef")
    tab.page.goto(f"{address}log")
    tab.page.click("a[href='/log/quarantine']")
    tab.page.wait_for_selector("#counted")
    assert tab.page.locator("#counted tbody tr").count() == 1
    assert tab.page.locator("main > .table tbody tr").count() == 50
    tab.page.click("text=Plus anciens")
    tab.page.wait_for_selector("text=Les plus récents")
    assert tab.page.locator("main > .table tbody tr").count() == 11
    assert "complaint 0 " in tab.page.locator("main > .table tbody tr").last.inner_text()
    tab.page.click("main > .table tbody tr:last-child a")
    tab.page.wait_for_selector(".filter a")
    assert tab.page.input_value("input[name=device]") == "car-1"
    assert tab.page.locator("#counted").count() == 0
    tab.context.close()
    assert tab.errors == []


@pytest.mark.parametrize("viewport", [DESKTOP, TABLET, {"width": 1180, "height": 820}, {"width": 360, "height": 780}])
@pytest.mark.parametrize("language", ["fr", "en"])
def test_no_page_scrolls_sideways_when_the_window_is_narrow(
    chromium: Any, address: str, centre: Any, viewport: dict[str, int], language: str
) -> None:
    tab = Watched(chromium, viewport)
    tab.page.goto(f"{address}language/{language}")
    wide = {"login": tab.page.evaluate("document.documentElement.scrollWidth")}
    flood(centre.store, kept=60)
    tell_storage(centre, 3, 0)
    tab.sign_in(address, "chief")
    for path in (
        "",
        "evidence",
        "devices",
        "log",
        "log/quarantine",
        f"hits/{centre.hits[0]}",
        f"evidence/{centre.segments[0]}",
    ):
        tab.page.goto(address + path)
        wide[path] = tab.page.evaluate("document.documentElement.scrollWidth")
    tab.context.close()
    assert {path: width for path, width in wide.items() if width > viewport["width"]} == {}
