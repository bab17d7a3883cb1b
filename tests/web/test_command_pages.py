"""Asking a device to record from a page: who may, what must be said, what is shown of it afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from sync.central import fleet
from sync.central.remote_commands import commands_to
from vedette.activation_messages import TAKEN

Token = Callable[..., str]
SignIn = Callable[[TestClient, str], None]


def post(client: TestClient, token: str, **changed: str) -> Any:
    wanted = {"device": "car-1", "command": "start", "reason": "appel 4711", "valid_s": "120", **changed}
    return client.post("/commands", data={"form_token": token, **wanted})


def test_command_is_left_for_ingest_in_the_persons_name(investigator: TestClient, centre: Any, token: Token) -> None:
    """AC-32: nothing is signed here."""
    answer = post(investigator, token(investigator.get("/commands").text), reason="vu <i>rue</i> Hassan II")
    assert answer.status_code == 303
    (row,) = commands_to(centre.store)
    assert (row.device, row.command, row.asked_by, row.sent_us) == ("car-1", "start", "amina", None)
    assert row.expires_us - row.asked_us == 120_000_000
    assert centre.store.db.execute("SELECT record FROM remote_commands").fetchone() == (None,)
    page = investigator.get("/commands").text
    assert "vu &lt;i&gt;rue&lt;/i&gt; Hassan II" in page
    assert "attend l’appareil" in page
    (access,) = [one for one in centre.store.accesses() if one.action == "command.start"]
    assert (access.user, access.subject) == ("amina", "car-1")


def test_recovery_is_asked_in_the_centres_own_time(
    investigator: TestClient, centre: Any, token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AC-32: as the pages show times."""
    monkeypatch.setenv("TZ", "Africa/Casablanca")
    time.tzset()
    try:
        span = {"begin": "2026-11-23T09:00", "end": "2026-11-23T09:05:01"}
        answer = post(investigator, token(investigator.get("/commands").text), command="recover", **span)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert answer.status_code == 303
    (row,) = commands_to(centre.store)
    assert (row.from_us, row.to_us) == (1_795_420_800_000_000, 1_795_421_101_000_000)


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"command": "stop"}, 409),
        ({"command": "recover"}, 400),
        ({"command": "recover", "begin": "2026-11-23T09:00", "end": "2026-11-23T09:00"}, 409),
        ({"reason": "  "}, 409),
        ({"reason": "x" * 201}, 409),
        ({"valid_s": "601"}, 409),
        ({"valid_s": "-1"}, 400),
        ({"valid_s": ""}, 400),
        ({"device": "car-9"}, 404),
        ({"device": ""}, 404),
    ],
)
def test_nothing_is_asked_when_the_form_is_wrong(
    investigator: TestClient, centre: Any, token: Token, changed: dict[str, str], status: int
) -> None:
    """AC-30, AC-32."""
    assert post(investigator, token(investigator.get("/commands").text), **changed).status_code == status
    assert commands_to(centre.store) == []


def test_viewer_sees_commands_and_cannot_ask(visitor: TestClient, sign_in: SignIn, centre: Any, token: Token) -> None:
    """AC-32: the role decides, not only the missing form."""
    centre.store.add_user("vera", "correct horse battery", "viewer")
    sign_in(visitor, "vera")
    page = visitor.get("/commands").text
    assert 'action="/commands"' not in page
    assert "/commands?device=" not in visitor.get("/devices").text
    assert post(visitor, token(page)).status_code == 403
    assert commands_to(centre.store) == []


def test_form_without_this_sessions_token_is_refused(investigator: TestClient, centre: Any) -> None:
    """AC-32."""
    assert post(investigator, "x" * 43).status_code == 403
    assert commands_to(centre.store) == []


def test_nobody_asks_without_having_signed_in(visitor: TestClient, centre: Any) -> None:
    """AC-32."""
    assert post(visitor, "").status_code == 401
    assert visitor.get("/live/commands").status_code == 401


def test_live_list_changes_with_the_answer_and_with_the_end(
    investigator: TestClient, centre: Any, token: Token
) -> None:
    """AC-33."""

    def revision(page: str) -> str:
        return page.split('data-revision="', 1)[1].split('"', 1)[0]

    post(investigator, token(investigator.get("/commands").text))
    post(investigator, token(investigator.get("/commands").text), command="mark")
    first, _ = commands_to(centre.store)
    seen = revision(investigator.get("/commands").text)
    assert investigator.get(f"/live/commands?revision={seen}").status_code == 204
    sql = "UPDATE remote_commands SET outcome = ?, answered_us = ?, why = '' WHERE id = ?"
    centre.store.db.execute(sql, [TAKEN, centre.clock.utc_us(), first.id])
    page = investigator.get(f"/live/commands?revision={seen}").text
    assert page.count("prise par l’appareil") == 1
    centre.clock.advance(121_000_000)
    page = investigator.get(f"/live/commands?revision={revision(page)}").text
    assert (page.count("caduque"), page.count("prise par l’appareil")) == (1, 1)


def test_revoked_device_is_not_offered(investigator: TestClient, centre: Any, token: Token) -> None:
    """AC-32."""
    page = investigator.get("/commands").text
    assert '<option value="car-1"' in page
    fleet.revoke(centre.store, "car-1")
    assert '<option value="car-1"' not in investigator.get("/commands").text
    assert post(investigator, token(page)).status_code == 409


def test_page_speaks_both_languages(investigator: TestClient, token: Token) -> None:
    post(investigator, token(investigator.get("/commands").text))
    assert "Commandes aux appareils" in investigator.get("/commands").text
    investigator.get("/language/en?back=/commands")
    page = investigator.get("/commands?device=car-1").text
    assert "Commands to devices" in page
    assert "waits for the device" in page
