"""Unlocking, locking and streaming of opened video."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from sync.central.web.playback import MAX_IDENTITY_BYTES, Keyring, Span, read_identities, span_of
from vedette.errors import Refused
from vedette.sealed import CHUNK_BYTES, HybridIdentity

Token = Callable[..., str]
MINUTE_US = 60_000_000


def _unlock(client: TestClient, token: Token, item: str, identity: bytes, reason: str = "Enquête 2026/117") -> Any:
    form = {"form_token": token(client.get("/").text), "item": item, "reason": reason}
    return client.post("/key/unlock", data=form, files={"identity": ("evidence.identity", identity)})


@pytest.fixture
def unlocked(investigator: TestClient, centre: Any, token: Token) -> TestClient:
    answer = _unlock(investigator, token, centre.segments[0], centre.evidence_key.read_bytes())
    assert answer.status_code == 303
    return investigator


def test_video_is_the_recorders_bytes_when_the_key_is_unlocked(
    unlocked: TestClient, centre: Any, films: list[bytes]
) -> None:
    answer = unlocked.get(f"/evidence/{centre.segments[1]}/video")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
    assert answer.content == films[1]


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (0, 0),
        (0, CHUNK_BYTES - 1),
        (CHUNK_BYTES - 1, CHUNK_BYTES),
        (CHUNK_BYTES, CHUNK_BYTES),
        (CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 1),
    ],
)
def test_range_is_cut_to_the_byte_when_it_meets_chunk_edges(
    unlocked: TestClient, centre: Any, films: list[bytes], first: int, last: int
) -> None:
    answer = unlocked.get(f"/evidence/{centre.segments[0]}/video", headers={"Range": f"bytes={first}-{last}"})
    assert answer.status_code == 206
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(films[0])}"
    assert answer.content == films[0][first : last + 1]


@pytest.mark.parametrize(("wanted", "cut"), [("bytes=-10", slice(-10, None)), ("bytes=5-", slice(5, None))])
def test_open_range_reaches_the_end_when_asked_for(
    unlocked: TestClient, centre: Any, films: list[bytes], wanted: str, cut: slice
) -> None:
    answer = unlocked.get(f"/evidence/{centre.segments[0]}/video", headers={"Range": wanted})
    assert answer.content == films[0][cut]


def test_range_is_refused_when_it_begins_behind_the_end(unlocked: TestClient, centre: Any, films: list[bytes]) -> None:
    answer = unlocked.get(f"/evidence/{centre.segments[0]}/video", headers={"Range": f"bytes={len(films[0])}-"})
    assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{len(films[0])}")


@pytest.mark.parametrize(
    ("header", "span"),
    [
        (None, Span(first=0, last=99, size=100, partial=False)),
        ("bytes=0-0,5-6", Span(first=0, last=99, size=100, partial=False)),
        ("chunks=1-2", Span(first=0, last=99, size=100, partial=False)),
        ("bytes=-", Span(first=0, last=99, size=100, partial=False)),
        ("bytes=99-5000", Span(first=99, last=99, size=100, partial=True)),
        ("bytes=-5000", Span(first=0, last=99, size=100, partial=True)),
        ("bytes=-0", None),
        ("bytes=7-6", None),
    ],
)
def test_range_header_is_read_as_the_rfc_says_when_odd(header: str | None, span: Span | None) -> None:
    assert span_of(header, 100) == span


def test_every_whole_chunk_is_shown_when_the_file_was_cut(
    unlocked: TestClient, centre: Any, films: list[bytes]
) -> None:
    item = centre.add_segment(films[0], 2, cut_bytes=100_000)
    whole = (len(films[0]) // CHUNK_BYTES - 1) * CHUNK_BYTES
    answer = unlocked.get(f"/evidence/{item}/video", headers={"Range": f"bytes={CHUNK_BYTES - 3}-"})
    assert answer.status_code == 206
    assert films[0].startswith(films[0][: CHUNK_BYTES - 3] + answer.content)
    assert len(answer.content) + CHUNK_BYTES - 3 >= whole


def test_video_is_refused_when_locked(investigator: TestClient, centre: Any) -> None:
    answer = investigator.get(f"/evidence/{centre.segments[0]}/video")
    assert answer.status_code == 403
    assert b"ftyp" not in answer.content


def test_video_is_refused_when_locked_again(unlocked: TestClient, centre: Any, token: Token) -> None:
    unlocked.post("/key/lock", data={"form_token": token(unlocked.get("/").text), "back": "/"})
    assert unlocked.get(f"/evidence/{centre.segments[0]}/video").status_code == 403


def test_video_locks_by_itself_when_idle_and_stays_open_while_played(unlocked: TestClient, centre: Any) -> None:
    path = f"/evidence/{centre.segments[0]}/video"
    centre.clock.advance(14 * MINUTE_US)
    assert unlocked.get(path, headers={"Range": "bytes=0-9"}).status_code == 206
    centre.clock.advance(14 * MINUTE_US)
    assert unlocked.get(path, headers={"Range": "bytes=0-9"}).status_code == 206
    centre.clock.advance(16 * MINUTE_US)
    assert unlocked.get(path).status_code == 403


def test_key_serves_only_the_session_it_was_lent_to_when_another_signs_in(
    unlocked: TestClient, centre: Any, sign_in: Callable[[TestClient, str], None]
) -> None:
    cookie = unlocked.cookies["vedette_session"]
    unlocked.cookies.clear()
    sign_in(unlocked, "chief")
    assert unlocked.cookies["vedette_session"] != cookie
    assert unlocked.get(f"/evidence/{centre.segments[0]}/video").status_code == 403


def test_key_is_gone_when_its_person_signed_out(unlocked: TestClient, centre: Any, token: Token) -> None:
    cookie = unlocked.cookies["vedette_session"]
    unlocked.post("/logout", data={"form_token": token(unlocked.get("/").text)})
    unlocked.cookies.set("vedette_session", cookie)
    assert unlocked.get(f"/evidence/{centre.segments[0]}/video").status_code == 303


@pytest.mark.parametrize("name", ["oversight.identity", "evidence.identity"])
def test_item_unlocks_when_the_key_is_one_it_was_sealed_to(
    investigator: TestClient, centre: Any, token: Token, name: str
) -> None:
    identity = (centre.escrow / name).read_bytes()
    assert _unlock(investigator, token, centre.segments[0], identity).status_code == 303


def test_unlock_is_refused_and_noted_when_the_key_is_another(
    investigator: TestClient, centre: Any, token: Token
) -> None:
    stranger = HybridIdentity.generate().secret_text.encode()
    answer = _unlock(investigator, token, centre.segments[0], stranger)
    assert answer.status_code == 409
    assert stranger not in answer.content
    assert investigator.get(f"/evidence/{centre.segments[0]}/video").status_code == 403
    assert centre.store.accesses(centre.segments[0])[0].action == "unlock refused"


def test_unlock_is_refused_when_it_is_the_centres_own_triage_key(
    investigator: TestClient, centre: Any, token: Token
) -> None:
    triage = (centre.folder / "keys" / "triage.identity").read_bytes()
    assert _unlock(investigator, token, centre.segments[0], triage).status_code == 409


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501])
def test_unlock_is_refused_when_no_fitting_reason_is_given(
    investigator: TestClient, centre: Any, token: Token, reason: str
) -> None:
    assert _unlock(investigator, token, centre.segments[0], centre.evidence_key.read_bytes(), reason).status_code == 409


@pytest.mark.parametrize(
    "content",
    [b"", b"# only a comment\n", b"AGE-SECRET-KEY-PQ-1QQQQ", b"\xff\xfe\x00", b"A" * (MAX_IDENTITY_BYTES + 1)],
)
def test_identity_file_is_refused_without_repeating_it_when_it_holds_no_key(content: bytes) -> None:
    with pytest.raises(Refused) as refusal:
        read_identities(content)
    assert "QQQQ" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_reason_is_kept_beside_every_item_played_when_unlocked_once(unlocked: TestClient, centre: Any) -> None:
    for item in centre.segments:
        for _ in range(3):
            unlocked.get(f"/evidence/{item}/video", headers={"Range": "bytes=0-9"})
    played = [[one.reason for one in centre.store.accesses(item) if one.action == "play"] for item in centre.segments]
    assert played == [["Enquête 2026/117"], ["Enquête 2026/117"]]


def test_video_of_a_hit_is_not_there_when_asked_for(unlocked: TestClient, centre: Any) -> None:
    assert unlocked.get(f"/evidence/{centre.store.hit(centre.hits[0]).item}/video").status_code == 404


def test_nothing_readable_is_on_the_disk_when_a_video_was_played(
    unlocked: TestClient, centre: Any, films: list[bytes], tmp_path: Path
) -> None:
    unlocked.get(f"/evidence/{centre.segments[0]}/video")
    secret = centre.evidence_key.read_bytes().splitlines()[-1]
    central = [path.read_bytes() for path in centre.folder.rglob("*") if path.is_file()]
    marks = (films[0][:200], b"ftypiso5", secret)
    assert [mark for content in central for mark in marks if mark in content] == []


def test_keyring_refuses_one_more_when_full(centre: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sync.central.web.playback.MAX_UNLOCKED", 1)
    keyring = Keyring(centre.clock, idle_s=60)
    keyring.lend("one", [HybridIdentity.generate()], "reason")
    keyring.lend("one", [HybridIdentity.generate()], "reason")
    with pytest.raises(Refused, match="must lock first"):
        keyring.lend("two", [HybridIdentity.generate()], "reason")
