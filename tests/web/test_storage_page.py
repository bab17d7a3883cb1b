"""The list of devices says whose storage is low or full, the worst first, in both languages."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from fastapi.testclient import TestClient

from sync.central.fleet import revoke
from sync.central.presence import Presence
from vedette.wire import Status

SINCE_US = 1_795_420_800_000_000


def tell(centre: Any, device: str, **told: int | str) -> None:
    """A device sends a status, and is enrolled first where it is not."""
    sql = "INSERT OR IGNORE INTO devices (device, public_key, enrolled_us, enrolment, certificate_serial)"
    row = [device, f"key of {device}", 0, b"", f"serial of {device}"]
    centre.store.db.execute(f"{sql} VALUES (?, ?, ?, ?, ?)", row)
    counters = {f"recorder.{name}": value for name, value in told.items()}
    presence = Presence(centre.store)
    presence.status(device, Status(utc_us=centre.clock.utc_us(), counters=counters))
    presence.settle()


def badges(page: str) -> list[str]:
    """The badges of the devices but for those that say whether they are there."""
    found = [html.unescape(one).strip() for one in re.findall(r'<span class="badge [a-z]+">([^<]*)</span>', page)]
    return [one for one in found if one not in ("en ligne", "hors ligne", "online", "offline", "révoqué", "revoked")]


def shown(page: str) -> list[str]:
    return re.findall(r'<article class="card device" id="([^"]+)"', page)


def fill(centre: Any) -> None:
    tell(centre, "car-1", storage=1, room_left_s=2_579, storage_since_us=SINCE_US)
    tell(centre, "car-2", storage=3, room_left_s=0, storage_since_us=SINCE_US)
    tell(centre, "car-3", storage=0, room_left_s=99_000)
    tell(centre, "car-4", storage=2, room_left_s=700, storage_since_us=SINCE_US)
    tell(centre, "car-5", storage=1, room_left_s=300, storage_since_us=SINCE_US)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "fr",
            {
                1: ("stockage : encore 42 min", ""),
                2: ("stockage plein depuis le {}", "L’enregistrement continu est arrêté. Un enregistrement marqué"),
                3: ("stockage plein depuis le {}", "Cet appareil ne peut plus rien enregistrer"),
            },
        ),
        (
            "en",
            {
                1: ("storage: 42 min left", ""),
                2: ("storage full, since {}", "Continuous recording has stopped. A marked recording is still"),
                3: ("storage full, since {}", "This device can record nothing any more"),
            },
        ),
    ],
)
@pytest.mark.parametrize("step", [1, 2, 3])
def test_badge_says_the_time_left_or_since_when_it_is_full(
    investigator: TestClient, centre: Any, language: str, words: dict[int, tuple[str, str]], step: int
) -> None:
    """ST-10."""
    investigator.get(f"/language/{language}")
    tell(centre, "car-1", storage=step, room_left_s=2_579, storage_since_us=SINCE_US)
    page = html.unescape(investigator.get("/devices").text)
    since = re.search(r"\d\d? nov\. 2026|\d\d? Nov 2026", page)
    assert since is not None
    (badge,) = badges(page)
    assert badge.startswith(words[step][0].format(since[0]))
    assert words[step][1] in page
    tell(centre, "car-1", storage=0, room_left_s=9_000)
    page = html.unescape(investigator.get("/devices").text)
    assert badges(page) == []
    assert [one for one, _ in words.values() if one.partition("{")[0] in page] == []


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, []),
        ({"storage": 7}, []),
        ({"storage": "full"}, []),
        ({"storage": 1}, ["stockage : bientôt plein"]),
        ({"storage": 1, "room_left_s": -1}, ["stockage : bientôt plein"]),
        ({"storage": 1, "room_left_s": 360_001}, ["stockage : bientôt plein"]),
        ({"storage": 1, "room_left_s": 360_000}, ["stockage : encore 6\u202f000 min"]),
        ({"storage": 1, "room_left_s": 59}, ["stockage : encore 0 min"]),
        ({"storage": 3, "storage_since_us": (1 << 53) - 1}, ["stockage plein"]),
        ({"storage": 3, "storage_since_us": "<b>"}, ["stockage plein"]),
        ({"storage": 3}, ["stockage plein"]),
    ],
)
def test_page_shows_what_it_can_when_a_device_tells_something_odd(
    investigator: TestClient, centre: Any, told: dict[str, int | str], expected: list[str]
) -> None:
    """ST-10: an older device, a newer one, one that lies."""
    tell(centre, "car-1", **told)
    answer = investigator.get("/devices")
    assert (answer.status_code, badges(answer.text)) == (200, expected)


def test_filter_shows_the_worst_first_and_nobody_else(investigator: TestClient, centre: Any) -> None:
    """ST-10."""
    assert "Aucun appareil dont le stockage soit bas ou plein." in investigator.get("/devices?storage=short").text
    fill(centre)
    everyone = investigator.get("/devices").text
    assert shown(everyone) == ["car-1", "car-2", "car-3", "car-4", "car-5"]
    assert 'Stockage bas ou plein <b class="hot">4</b>' in everyone
    assert shown(investigator.get("/devices?storage=short").text) == ["car-2", "car-4", "car-5", "car-1"]
    assert investigator.get("/devices?storage=else").status_code == 400
    assert investigator.get("/live/devices?storage=else").status_code == 400


def test_a_device_that_is_revoked_is_no_longer_waited_for(investigator: TestClient, centre: Any) -> None:
    """ST-10."""
    fill(centre)
    revoke(centre.store, "car-1")
    assert shown(investigator.get("/devices?storage=short").text) == ["car-2", "car-4", "car-5"]


def test_live_list_changes_with_the_storage_alone(investigator: TestClient, centre: Any) -> None:
    """ST-10: and with nothing else that the status says of it than what is shown."""
    fill(centre)
    revision = re.search(r'data-revision="([^"]+)"', investigator.get("/devices").text)
    assert revision is not None
    asked = {"revision": revision[1], "storage": "short"}
    tell(centre, "car-1", storage=1, room_left_s=2_521, storage_since_us=SINCE_US)
    tell(centre, "car-3", storage=0, room_left_s=50_000)
    assert investigator.get("/live/devices", params=asked).status_code == 204
    tell(centre, "car-1", storage=2, room_left_s=0, storage_since_us=SINCE_US)
    changed = investigator.get("/live/devices", params=asked)
    assert changed.status_code == 200
    assert shown(changed.text) == ["car-2", "car-1", "car-4", "car-5"]
    versions = re.findall(r'data-key="car-1" data-version="([^"]+)"', changed.text)
    tell(centre, "car-1", storage=3, room_left_s=0, storage_since_us=SINCE_US)
    assert re.findall(r'data-key="car-1" data-version="([^"]+)"', investigator.get("/devices").text) != versions
