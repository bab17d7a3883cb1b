"""The centre's pages in Firefox and WebKit, from the real server process: signing in, hits, evidence, and out again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from remote_browser import ELEMENT, Browser, opened, wait_for

PASSWORD = "correct horse battery"


@pytest.fixture
def address(centre: Any) -> Iterator[str]:
    command = [sys.executable, "-m", "sync.central.web", "--config", str(centre.folder / "central.toml")]
    process = subprocess.Popen(command, stderr=(centre.folder / "web.log").open("wb"))
    file = centre.folder / "run" / "web.json"
    wait_for(file.is_file, (centre.folder / "web.log").read_text)
    yield json.loads(file.read_text())["url"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0


@pytest.fixture(scope="module", params=["firefox", "webkit"])
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    with opened(request.param) as (found, _folder):
        yield found


def go(browser: Browser, url: str) -> None:
    browser.run("Navigate", "url", {"url": url})


def script(browser: Browser, text: str) -> Any:
    return browser.run("ExecuteScript", "execute/sync", {"script": text, "args": []})


def element(browser: Browser, where: str) -> str:
    return str(browser.run("FindElement", "element", {"using": "css selector", "value": where})[ELEMENT])


def write(browser: Browser, where: str, text: str) -> None:
    found = element(browser, where)
    browser.run("ElementSendKeys", f"element/{found}/value", {"id": found, "text": text, "value": list(text)})


def click(browser: Browser, where: str) -> None:
    found = element(browser, where)
    browser.run("ElementClick", f"element/{found}/click", {"id": found})


def test_person_signs_in_reads_the_pages_and_opens_a_recording_in_every_browser(
    browser: Browser, address: str, centre: Any
) -> None:
    """No screenshot is asked for: WebKitGTK's driver hangs at that where nothing is drawn anew, on any page."""
    go(browser, address)
    write(browser, "input[name=name]", "amina")
    write(browser, "input[name=password]", PASSWORD)
    click(browser, "main button")
    wait_for(lambda: script(browser, "return document.querySelector('nav') !== null"), lambda: "not signed in")
    assert script(browser, "return document.querySelectorAll('.cards .plate').length") == len(centre.hits)
    for place in ("evidence", "devices", "log", ""):
        go(browser, address + place)
        assert script(browser, "return document.querySelector('nav') !== null"), place
    go(browser, f"{address}evidence/{centre.segments[0]}")
    write(browser, "#unlock input[name=reason]", "Enquête 2026/117")
    write(browser, "#unlock input[name=identity]", str(centre.evidence_key))
    click(browser, "#unlock button")
    wait_for(
        lambda: script(browser, "const one = document.getElementById('player'); return one && one.readyState >= 2"),
        lambda: f"no picture: {script(browser, 'return document.body.innerText')}",
    )
    assert script(browser, "return document.getElementById('player').videoWidth") == 320
    assert script(browser, "return document.getElementById('player-problem').hidden") is True
