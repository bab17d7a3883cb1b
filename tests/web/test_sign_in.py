"""Sessions, forms and headers of the pages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from sync.central.fleet import centre_trust
from sync.central.web import auth
from sync.central.web.app import create_app
from sync.central.web.shield import MAX_BODY_BYTES
from vedette.config import WebSection

Token = Callable[..., str]
MINUTE_US = 60_000_000


def _attempt(client: TestClient, token: Token, name: str, password: str, **headers: str) -> Any:
    form = {"door_token": token(client.get("/login").text, "door_token"), "name": name, "password": password}
    return client.post("/login", data=form, headers=headers)


def _pages(centre: Any) -> list[str]:
    item, hit = centre.segments[0], centre.hits[0]
    files = [f"/evidence/{item}/{name}" for name in ("sealed", "manifest", "receipt", "proof", "video")]
    lists = ["/", "/live/hits", "/live/devices", "/evidence", "/devices", "/log", "/log/checkpoint", "/log/tile/0/000"]
    return [*lists, f"/hits/{hit}", f"/hits/{hit}/pictures/crop.jpg", f"/evidence/{item}", *files]


def test_every_page_leads_to_the_sign_in_when_nobody_is_signed_in(visitor: TestClient, centre: Any) -> None:
    answers = {path: visitor.get(path) for path in _pages(centre)}
    assert {path: answer.status_code for path, answer in answers.items() if answer.status_code not in (303, 401)} == {}
    assert answers["/evidence"].headers["location"] == "/login?back=/evidence"


@pytest.mark.parametrize("path", ["/logout", "/key/lock", "/key/unlock", "/hits/x/decision"])
def test_every_form_is_refused_when_nobody_is_signed_in(visitor: TestClient, path: str) -> None:
    assert visitor.post(path, data={"form_token": "x"}).status_code == 401


def test_session_cookie_is_closed_to_scripts_and_other_sites_when_signed_in(visitor: TestClient, token: Token) -> None:
    answer = _attempt(visitor, token, "amina", "correct horse battery")
    cookie = next(value for value in answer.headers.get_list("set-cookie") if value.startswith("vedette_session="))
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()


def test_cookies_are_secure_and_bound_to_the_host_when_served_over_tls(centre: Any, token: Token) -> None:
    app = create_app(centre.store, WebSection(host="0.0.0.0"), centre_trust(centre.folder), centre.clock)
    client = TestClient(app, base_url="https://centre.example", headers={"Accept": "text/html"}, follow_redirects=False)
    answer = _attempt(client, token, "amina", "correct horse battery")
    cookie = next(value for value in answer.headers.get_list("set-cookie") if "__Host-vedette=" in value)
    assert "Secure" in cookie
    assert "Path=/" in cookie
    assert answer.headers["strict-transport-security"]


@pytest.mark.parametrize(("name", "password"), [("amina", "wrong password"), ("nobody", "correct horse battery")])
def test_sign_in_says_the_same_when_name_or_password_is_wrong(
    visitor: TestClient, token: Token, name: str, password: str
) -> None:
    answer = _attempt(visitor, token, name, password)
    assert answer.status_code == 403
    assert "Nom ou mot de passe refusé" in answer.text


def test_sign_in_is_refused_when_the_form_is_of_another_browser(visitor: TestClient, token: Token) -> None:
    page = visitor.get("/login").text
    visitor.cookies.clear()
    visitor.get("/login")
    form = {"door_token": token(page, "door_token"), "name": "amina", "password": "correct horse battery"}
    assert visitor.post("/login", data=form).status_code == 403


def test_address_waits_when_it_failed_too_often_and_may_try_again_later(
    visitor: TestClient, token: Token, centre: Any
) -> None:
    names = [f"nobody{index}" for index in range(auth.FREE_FAILURES)]
    assert {_attempt(visitor, token, name, "wrong password").status_code for name in names} == {403}
    assert _attempt(visitor, token, "amina", "correct horse battery").status_code == 429
    centre.clock.advance(auth.FAILURE_WINDOW_S * 1_000_000 + 1)
    assert _attempt(visitor, token, "amina", "correct horse battery").status_code == 303


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_sign_in_never_leads_to_another_site_when_told_to(visitor: TestClient, token: Token, back: str) -> None:
    page = visitor.get("/login", params={"back": back}).text
    form = {"door_token": token(page, "door_token"), "name": "amina", "password": "correct horse battery", "back": back}
    assert visitor.post("/login", data=form).headers["location"] == "/"
    assert visitor.get("/language/en", params={"back": back}).headers["location"] == "/"


def test_session_ends_when_idle_and_polling_does_not_keep_it_alive(investigator: TestClient, centre: Any) -> None:
    centre.clock.advance(auth.IDLE_S * 500_000)
    assert investigator.get("/live/hits").status_code == 200
    centre.clock.advance(auth.IDLE_S * 500_000 + 1)
    assert investigator.get("/live/hits").status_code == 401
    assert investigator.get("/").status_code == 303


def test_session_ends_when_its_longest_time_is_over_although_it_was_used(investigator: TestClient, centre: Any) -> None:
    statuses = []
    for _ in range(9):
        centre.clock.advance(60 * MINUTE_US)
        statuses.append(investigator.get("/").status_code)
    assert statuses == [200] * 8 + [303]


def test_session_is_over_when_signed_out_and_its_old_cookie_comes_back(investigator: TestClient, token: Token) -> None:
    cookie = investigator.cookies["vedette_session"]
    assert investigator.post("/logout", data={"form_token": token(investigator.get("/").text)}).status_code == 303
    investigator.cookies.set("vedette_session", cookie)
    assert investigator.get("/").status_code == 303


def test_sessions_are_kept_by_hash_only_when_open(centre: Any) -> None:
    sessions = auth.Sessions(centre.clock, lasting_s=600)
    secret = sessions.open(centre.store.users()[0])
    session = sessions.find(secret, by_person=True)
    assert session is not None
    assert session.name == hashlib.sha256(secret.encode()).hexdigest()


def test_oldest_session_ends_when_one_more_than_the_limit_opens(centre: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "MAX_SESSIONS", 2)
    sessions = auth.Sessions(centre.clock, lasting_s=600)
    secrets = []
    for _ in range(3):
        centre.clock.advance(1)
        secrets.append(sessions.open(centre.store.users()[0]))
    assert [sessions.find(one, by_person=True) is not None for one in secrets] == [False, True, True]


@pytest.mark.parametrize("form_token", ["", "x" * 43])
def test_decision_is_refused_when_its_form_token_is_wrong(
    investigator: TestClient, centre: Any, form_token: str
) -> None:
    form = {"form_token": form_token, "state": "dismissed", "back": "/"}
    answer = investigator.post(f"/hits/{centre.hits[0]}/decision", data=form)
    assert answer.status_code == 403
    assert centre.store.hit(centre.hits[0]).state == "open"


def test_form_is_refused_when_the_browser_says_it_comes_from_another_site(
    investigator: TestClient, centre: Any, token: Token
) -> None:
    form = {"form_token": token(investigator.get("/").text), "state": "dismissed", "back": "/"}
    answer = investigator.post(f"/hits/{centre.hits[0]}/decision", data=form, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert centre.store.hit(centre.hits[0]).state == "open"


@pytest.mark.parametrize(("size", "status"), [(MAX_BODY_BYTES, 403), (MAX_BODY_BYTES + 1, 413)])
def test_form_is_refused_unread_when_it_is_larger_than_the_limit(
    investigator: TestClient, size: int, status: int
) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert investigator.post("/logout", content=b"a=" + b"x" * (size - 2), headers=headers).status_code == status


def test_form_is_refused_when_it_does_not_state_its_length(investigator: TestClient) -> None:
    assert investigator.post("/logout", content=iter([b"a=b"])).status_code == 411


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_method_is_refused_when_no_page_uses_it(investigator: TestClient, method: str) -> None:
    assert investigator.request(method, "/").status_code == 405


def test_request_is_refused_when_it_names_another_host_on_the_loopback(investigator: TestClient) -> None:
    assert investigator.get("/", headers={"Host": "evil.example"}).status_code == 421


@pytest.mark.parametrize("path", ["/", "/login", "/nope", "/evidence/nope", "/static/nope"])
def test_every_answer_carries_the_content_policy_when_fine_or_failed(investigator: TestClient, path: str) -> None:
    headers = investigator.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"


def test_nothing_but_static_files_may_be_kept_by_browsers_when_answered(investigator: TestClient, centre: Any) -> None:
    kept = {path: investigator.get(path).headers["cache-control"] for path in [*_pages(centre), "/nope"]}
    assert set(kept.values()) == {"no-store"}
    assert "max-age" in investigator.get("/static/vedette.css").headers["cache-control"]


def test_crash_shows_a_page_without_its_cause_when_a_handler_breaks(
    centre: Any, token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(centre.store, WebSection(), centre_trust(centre.folder), centre.clock)
    client = TestClient(app, headers={"Accept": "text/html"}, raise_server_exceptions=False, follow_redirects=False)
    _attempt(client, token, "amina", "correct horse battery")
    monkeypatch.setattr("sync.central.store.Store.checkpoint", lambda _store: 1 / 0)
    answer = client.get("/log")
    assert answer.status_code == 500
    assert "ZeroDivisionError" not in answer.text
    assert "content-security-policy" in answer.headers


def test_no_documentation_page_exists_when_asked_for(investigator: TestClient) -> None:
    assert {investigator.get(path).status_code for path in ("/docs", "/redoc", "/openapi.json")} == {404}


def test_log_names_no_path_and_no_query_when_no_page_has_it(
    investigator: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG", logger="vedette.web"):
        investigator.get("/12345A6?plate=12345A6")
        investigator.get("/evidence?device=12345A6")
    assert "12345A6" not in caplog.text
    assert "(no such page)" in caplog.text
