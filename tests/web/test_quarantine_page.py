"""The pages that show quarantine: every row and every count, in pages, in both languages (case-store.md, CS-19)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from sync.central import quarantine
from sync.central.store import Store
from sync.central.web.pages import quarantine as page
from vedette.wire import RefuseCode

SignIn = Callable[[TestClient, str], None]


def complain(store: Store, text: str, device: str = "car-1", evidence: bytes | None = b"sent") -> None:
    quarantine.quarantine(store, device, None, RefuseCode.INVALID, text, evidence)


def numbers(text: str) -> list[int]:
    """The numbers of the complaints on a page."""
    return [int(one) for one in re.findall(r'<tr><td class="number">(\d+)</td>', text)]


def walk(client: TestClient, words: str, first: str = "/log/quarantine") -> list[str]:
    """The pages from the first along the link that says `words`."""
    pages, goal = [], first
    while True:
        pages.append(client.get(goal).text)
        link = re.search(rf'<a href="([^"]+)">{words}</a>', pages[-1])
        if link is None:
            return pages
        goal = link[1].replace("&amp;", "&")


def test_every_complaint_is_reached_from_the_log_page(
    visitor: TestClient, sign_in: SignIn, centre: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CS-19. A viewer sees them too."""
    monkeypatch.setattr(page, "PAGE_COMPLAINTS", 10)
    store = centre.store
    for number in range(25):
        complain(store, f"complaint {number}")
    ids = [row.id for row in store.quarantine()]
    sign_in(visitor, "youssef")

    log = visitor.get("/log").text
    assert numbers(log) == ids[:10] and 'href="/log/quarantine"' in log
    pages = walk(visitor, "Plus anciens")

    assert [numbers(one) for one in pages] == [ids[:10], ids[10:20], ids[20:]]
    assert all("Les plus récents" in one for one in pages[1:]) and "Les plus récents" not in pages[0]


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("fr", ["21 gardés", "7 répétitions", "5 comptés sans être gardés", "au-delà de la part de l’appareil"]),
        ("en", ["21 kept", "7 repeats", "5 counted, not kept", "beyond the device’s share"]),
    ],
)
def test_counts_of_a_flood_are_shown_in_the_chosen_language(
    investigator: TestClient, centre: Any, monkeypatch: pytest.MonkeyPatch, language: str, words: list[str]
) -> None:
    """CS-19."""
    monkeypatch.setattr(quarantine, "MAX_PER_DEVICE", 20)
    store = centre.store
    for number in range(25):
        complain(store, f"complaint {number}")
    for _ in range(7):
        complain(store, "complaint 3")
    complain(store, "complaint", "car-2", evidence=b"x" * 70_000)
    quarantine.write_counts(store)
    investigator.get(f"/language/{language}")

    shown = investigator.get("/log/quarantine").text

    assert [one for one in words if one not in shown] == []
    assert [one for one in words[:3] if one not in investigator.get("/log").text] == []
    assert re.findall(r'</td><td class="number">(\d+)</td><td><time', shown) == ["5", "7"]
    assert ("sur 70" in shown) == (language == "fr") and ("of 70.0\u00a0kB" in shown) == (language == "en")
    of_one = investigator.get("/log/quarantine?device=car-2").text
    assert len(numbers(of_one)) == 1 and "complaint 3" not in of_one and 'id="counted"' not in of_one


def test_every_count_is_reached_when_many_devices_flood(
    investigator: TestClient, centre: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CS-19. The worst first; turning these pages leaves the complaints where they are."""
    monkeypatch.setattr(page, "PAGE_COUNTS", 2)
    monkeypatch.setattr(page, "PAGE_COMPLAINTS", 3)
    store = centre.store
    for number in range(5):
        for _ in range(number + 2):
            complain(store, "complaint", f"car-{number}")
    quarantine.write_counts(store)
    third = store.quarantine()[2].id

    pages = walk(investigator, "Comptes suivants", f"/log/quarantine?after={third}")

    found = [re.findall(r'device=(car-\d)">car-\d</a></td><td><code>invalid</code></td><td>', one) for one in pages]
    assert found == [["car-4", "car-3"], ["car-2", "car-1"], ["car-0"]]
    assert [len(numbers(one)) for one in pages] == [2, 2, 2]
    assert all("Premiers comptes" in one for one in pages[1:])


def test_what_a_device_wrote_is_text_when_it_is_markup(investigator: TestClient, centre: Any) -> None:
    """CS-19."""
    sql = "INSERT INTO quarantine (received_us, device, item, code, text) VALUES (1, ?, ?, 'invalid', ?)"
    trick = '"><script>alert(1)</script>&device=x#'
    centre.store.db.execute(sql, [trick, trick, trick])

    shown = investigator.get("/log/quarantine").text

    assert "<script>alert" not in shown and "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    link = re.search(r'href="/log/quarantine\?device=([^"]+)"', shown)
    assert link is not None and "&" not in link[1] and "#" not in link[1]
    assert investigator.get("/log/quarantine", params={"device": trick}).status_code == 200


@pytest.mark.parametrize(
    "query", ["after=0", "after=x", f"after={1 << 63}", "skip=-1", f"skip={1 << 63}", f"device={'x' * 60}"]
)
def test_page_is_refused_when_its_query_is_out_of_bounds(investigator: TestClient, query: str) -> None:
    """CS-19."""
    assert investigator.get(f"/log/quarantine?{query}").status_code == 422


@pytest.mark.parametrize("query", ["after=1", f"after={(1 << 63) - 1}", f"skip={(1 << 63) - 1}", f"device={'x' * 59}"])
def test_page_is_empty_when_its_query_finds_nothing(investigator: TestClient, query: str) -> None:
    """CS-19."""
    answer = investigator.get(f"/log/quarantine?{query}")
    assert (answer.status_code, numbers(answer.text)) == (200, [])


def test_page_needs_a_session(visitor: TestClient) -> None:
    """CS-19."""
    assert visitor.get("/log/quarantine").status_code == 303
