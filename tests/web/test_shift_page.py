"""The page of a device's shift: what was recorded on a day, and what was not and why, in both languages."""

from __future__ import annotations

import html
import json
import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from browser_tab import Tab
from fastapi.testclient import TestClient

from sync.central.fleet import centre_trust
from sync.central.web import days
from vedette.clock import uuid7
from vedette.custody import Journal
from vedette.custody_seal import seal_closed
from vedette.identity import Identity

SECOND_US = 1_000_000
SIZES = {"desktop": (1440, 900), "tablet": (820, 1180), "phone": (390, 844)}


class Recorder:
    """car-1's recorder, whose journal reaches the centre when it sends."""

    def __init__(self, centre: Any) -> None:
        self.centre = centre
        self.folder = centre.device_folder / "journal" / "recorder"
        self.journal = Journal.open(
            self.folder, service="recorder", device="car-1", key=centre.key(), clock=centre.clock
        )

    def wait(self, seconds: float) -> None:
        self.centre.clock.advance(round(seconds * SECOND_US))

    def record(self, seconds: int) -> None:
        clock, item, recording = self.centre.clock, uuid7(self.centre.clock), uuid7(self.centre.clock)
        self.journal.append("recording.started", detail={"activation": "button", "recording": recording})
        begun = {"started_us": clock.utc_us(), "mono_us": clock.mono_us()}
        self.journal.append("segment.opened", item=item, detail={"recording": recording, **begun})
        self.wait(seconds)
        self.journal.append("segment.closed", item=item, detail={"media_us": seconds * SECOND_US})
        self.journal.append("recording.stopped", detail={"reason": "stopped", "recording": recording})

    def send(self) -> None:
        self.journal.roll()
        recipients = centre_trust(self.centre.folder).lead_recipients()
        for item in seal_closed(self.journal, self.centre.device_folder / "spool", recipients, identity=Identity()):
            self.centre.take(item.manifest, item.path.read_bytes())


@pytest.fixture
def recorder(centre: Any) -> Iterator[Recorder]:
    """At the end of a shift: ten minutes of standby, two of recording, three unexplained, asleep, stopped."""
    made = Recorder(centre)
    made.wait(600)
    made.record(120)
    made.wait(30)
    made.journal.append("sleep.began", detail={"by": "button"})
    made.wait(60)
    made.journal.append("sleep.ended", detail={"by": "button"})
    made.journal.append("service.stopped")
    made.send()
    yield made
    made.journal.close()


def today(centre: Any) -> str:
    return datetime.fromtimestamp(centre.clock.utc_us() // SECOND_US).date().isoformat()


def rows(page: str) -> list[str]:
    """The table of what was not recorded: each row's cells as one text, without its times of day."""
    found = re.findall(r'<tr(?: class="(?:lost|wanted)")?><td>[^<]*</td><td class="until">[^<]*</td>(.*?)</tr>', page)
    return [" ".join(html.unescape(re.sub(r"<[^>]+>", " ", one)).split()) for one in found]


@pytest.mark.parametrize(
    ("language", "accounted", "standby", "asleep", "restarted", "none"),
    [
        (
            "fr",
            "Chaque seconde est expliquée.",
            "veille selon la règle",
            "en sommeil",
            "service relancé",
            "Aucune ligne du journal",
        ),
        (
            "en",
            "Every second is accounted for.",
            "standby by policy",
            "asleep",
            "service restarted",
            "No line of the recorder",
        ),
    ],
)
def test_page_says_what_was_not_recorded_and_why(
    investigator: TestClient,
    recorder: Recorder,
    language: str,
    accounted: str,
    standby: str,
    asleep: str,
    restarted: str,
    none: str,
) -> None:
    """TI-40, TI-41, TI-44."""
    investigator.get(f"/language/{language}")
    assert '<a class="button" href="/devices/car-1/shift">' in investigator.get("/devices").text
    page = investigator.get("/devices/car-1/shift").text
    assert f'<p class="accounted">{accounted}</p>' in page
    found = rows(page)
    assert [one for one in found if standby in one and one.startswith("10 min")], found
    assert [one for one in found if asleep in one and one.startswith("1 min 00")], found
    wanted = re.findall(r'<tr class="wanted">.*?<b>(.*?)</b>', page)
    assert {standby, asleep} <= set(wanted) and restarted not in wanted and f"<b>{restarted}</b>" in page
    (goal,) = re.findall(r'<img src="(/devices/[^"]+)"', page)
    picture = investigator.get(html.unescape(goal))
    assert picture.headers["content-type"] == "image/svg+xml"
    drawn = ET.fromstring(picture.text)
    assert drawn.get("lang") == language
    assert set(re.findall(r"\d([.,])\d+ %", "".join(drawn.itertext()))) == {{"fr": ",", "en": "."}[language]}
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)
    looked = recorder.centre.store.accesses(subject="car-1")[0]
    assert (looked.user, looked.action, looked.reason) == ("amina", "shift.show", today(recorder.centre))
    later = investigator.get("/devices/car-1/shift?day=2031-01-01").text
    assert none in later and "shift.svg" not in later


def test_a_second_that_nothing_explains_is_shown_as_such(investigator: TestClient, centre: Any) -> None:
    """TI-40."""
    made = Recorder(centre)
    item, recording = uuid7(centre.clock), uuid7(centre.clock)
    made.journal.append("recording.started", detail={"activation": "button", "recording": recording})
    for _ in range(2):
        begun = {"started_us": centre.clock.utc_us(), "mono_us": centre.clock.mono_us(), "recording": recording}
        made.journal.append("segment.opened", item=item, detail=begun)
        made.wait(10)
        made.journal.append("segment.closed", item=item, detail={"media_us": 10 * SECOND_US})
        made.wait(7)
        item = uuid7(centre.clock)
    made.send()
    made.journal.close()
    page = investigator.get("/devices/car-1/shift").text
    assert '<p class="problem">NON EXPLIQUÉ : 7,0\u00a0s.</p>' in page
    assert [one for one in rows(page) if one.startswith("7,0 s INEXPLIQUÉ")]
    assert page.count('<tr class="lost">') == 1


def test_a_day_is_as_long_as_what_is_known_of_it(investigator: TestClient, recorder: Recorder) -> None:
    """TI-41: before the journal's first line and behind its last there is nothing to account for."""
    store, made = recorder.centre.store, days.Days(recorder.centre.store)
    day = datetime.fromisoformat(today(recorder.centre)).date()
    found = made.of("car-1", day)
    lines = [json.loads(one) for one in store.custody_lines("car-1", "recorder")]
    assert found is not None
    assert (found.timeline.from_us, found.timeline.to_us) == (lines[0]["utc_us"], lines[-1]["utc_us"])
    recorder.journal.close()
    recorder.wait(2 * 86_400)
    again = Recorder(recorder.centre)
    again.record(5)
    again.send()
    again.journal.close()
    between = made.of("car-1", day + timedelta(days=1))
    assert between is not None
    assert between.timeline.to_us - between.timeline.from_us == 86_400 * SECOND_US
    assert [one.state.value for one in between.timeline.stretches] == ["off"]


def test_page_and_picture_are_of_one_account_until_more_comes(
    investigator: TestClient, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TI-42."""
    made: list[str] = []
    draw = days._drawn
    monkeypatch.setattr(days, "_drawn", lambda rows, *span: made.append(rows.device) or draw(rows, *span))
    day = today(recorder.centre)
    for goal in (f"shift?day={day}", f"shift.svg?day={day}", f"shift?day={day}"):
        assert investigator.get(f"/devices/car-1/{goal}").status_code == 200
    assert len(made) == 1
    recorder.journal.append("camera.fault", detail={"kind": "covered"})
    recorder.send()
    investigator.get(f"/devices/car-1/shift?day={day}")
    assert len(made) == 2
    for number in range(days.KEPT + 3):
        investigator.get(f"/devices/car-1/shift?day=2030-01-{number + 1:02d}")
    monkeypatch.setattr(days, "MAX_LINES", 3)
    refused = investigator.get("/devices/car-1/shift.svg", params={"day": day})
    assert (refused.status_code, "3 can be drawn at once" in refused.text) == (409, True)


@pytest.mark.parametrize("again", [True, False], ids=["of an account that is kept", "of one that is made"])
def test_a_row_that_was_changed_since_it_came_is_noticed(
    investigator: TestClient, recorder: Recorder, again: bool
) -> None:
    """TI-42, TI-43: also by the page of an account that is kept, though nothing new has come."""
    goal, db = f"/devices/car-1/shift?day={today(recorder.centre)}", recorder.centre.store.db
    codes = [investigator.get(goal).status_code for _ in range(int(again))]
    db.execute("DROP TRIGGER custody_lines_no_update")
    seq, line = next(row for row in db.execute("SELECT seq, line FROM custody_lines") if b"sleep.began" in row[1])
    db.execute("UPDATE custody_lines SET line = ? WHERE seq = ?", [line.replace(b"sleep.b", b"sheep.b"), seq])
    refused = investigator.get(goal)
    assert (codes, refused.status_code) == ([200] * len(codes), 409)
    assert f"custody chain, seq {seq + 1}" in refused.text
    db.execute("UPDATE custody_lines SET line = ? WHERE seq = ?", [line, seq])
    assert investigator.get(goal).status_code == 200


def test_what_is_found_wrong_without_a_new_line_is_said_at_once(investigator: TestClient, recorder: Recorder) -> None:
    """TI-37, TI-42."""
    goal = f"/devices/car-1/shift?day={today(recorder.centre)}"
    assert "lines are gone" not in investigator.get(goal).text
    recorder.centre.store.db.execute("UPDATE chains SET problem = 'lines are gone' WHERE service = 'recorder'")
    assert "lines are gone" in investigator.get(goal).text


@pytest.mark.parametrize(
    ("goal", "code"),
    [
        ("car-9/shift", 404),
        ("car-1/shift?day=yesterday", 400),
        ("car-1/shift?day=1999-12-31", 400),
        ("car-1/shift?day=2100-01-01", 400),
        ("car-1/shift?day=9999-12-31", 400),
        ("car-1/shift.svg?day=2031-01-01", 404),
        ("car-1/shift.svg", 422),
    ],
)
def test_what_there_is_not_is_not_found(investigator: TestClient, recorder: Recorder, goal: str, code: int) -> None:
    """TI-41."""
    assert investigator.get(f"/devices/{goal}").status_code == code


def test_nobody_sees_a_shift_without_signing_in(visitor: TestClient, recorder: Recorder) -> None:
    """TI-40."""
    assert visitor.get("/devices/car-1/shift").headers["location"].startswith("/login")
    assert visitor.get("/devices/car-1/shift.svg?day=2026-11-23").status_code in (303, 401)


@pytest.fixture
def address(centre: Any, recorder: Recorder) -> Iterator[str]:
    """The real server over this test's centre."""
    command = [sys.executable, "-m", "sync.central.web", "--config", str(centre.folder / "central.toml")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=os.environ)
    file: Path = centre.folder / "run" / "web.json"
    until = time.monotonic() + 20
    while not file.is_file() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    yield json.loads(file.read_text())["url"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0


@pytest.mark.parametrize("size", SIZES)
def test_a_browser_shows_picture_and_table_at_every_size(
    chromium: Any, address: str, recorder: Recorder, size: str
) -> None:
    """TI-40: the picture is drawn under the content policy, and only it and the table scroll sideways."""
    width, height = SIZES[size]
    tab = Tab(chromium, viewport={"width": width, "height": height}, color_scheme="light")
    tab.page.goto(address)
    tab.page.fill("input[name=name]", "amina")
    tab.page.fill("input[name=password]", "correct horse battery")
    tab.page.click("main button")
    tab.page.wait_for_selector("nav")
    tab.page.goto(f"{address}devices/car-1/shift?day={today(recorder.centre)}")
    tab.page.wait_for_load_state("networkidle")
    assert tab.page.evaluate("document.querySelector('.timeline img').naturalWidth") == 1200
    assert tab.page.evaluate("document.documentElement.scrollWidth") == width
    assert tab.page.is_visible("#missing td.why")
    tab.context.close()
    assert tab.errors == []
    assert [url for url in tab.asked if not url.startswith(address)] == []
