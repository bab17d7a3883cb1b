"""What the pages show and what a person may do on them."""

from __future__ import annotations

import configparser
import hashlib
import json
import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from sync.central.fleet import centre_trust
from sync.central.heads import JournalHeads
from sync.central.presence import Presence
from sync.central.rows import HIT_STATES
from sync.central.web.checks import light_checks, overall
from sync.central.web.language import load_languages
from sync.central.web.wording import confidence, coordinates, plate
from vedette import proof, records
from vedette.clock import uuid7
from vedette.custody_heads import Head, Heads
from vedette.hitfile import Position
from vedette.wire import Status

WEB = Path(str(resources.files("sync.central.web")))
Token = Callable[..., str]
SignIn = Callable[[TestClient, str], None]


def _decide(client: TestClient, token: Token, hit: str, state: str, **fields: str) -> Any:
    form = {"form_token": token(client.get(f"/hits/{hit}").text), "state": state, "back": "/", **fields}
    return client.post(f"/hits/{hit}/decision", data=form)


@pytest.mark.parametrize("state", [state for state in HIT_STATES if state != "open"])
def test_decision_is_kept_in_the_persons_name_when_made(
    investigator: TestClient, centre: Any, token: Token, state: str
) -> None:
    answer = _decide(investigator, token, centre.hits[0], state, note="vu <i>sur place</i>", compared="yes")
    assert answer.status_code == 303
    step = centre.store.decisions(centre.hits[0])[-1]
    assert (step.user, step.previous, step.state) == ("amina", "open", state)
    page = investigator.get(f"/hits/{centre.hits[0]}").text
    assert "vu &lt;i&gt;sur place&lt;/i&gt;" in page


def test_hit_is_not_confirmed_when_nobody_says_they_compared_it(
    investigator: TestClient, centre: Any, token: Token
) -> None:
    assert _decide(investigator, token, centre.hits[0], "confirmed").status_code == 409
    assert centre.store.hit(centre.hits[0]).state == "open"


def test_hit_keeps_its_state_when_the_wanted_one_does_not_exist(
    investigator: TestClient, centre: Any, token: Token
) -> None:
    assert _decide(investigator, token, centre.hits[0], "certain").status_code == 400


def test_viewer_sees_hits_and_decides_and_opens_nothing_when_signed_in(
    visitor: TestClient, sign_in: SignIn, centre: Any, token: Token
) -> None:
    sign_in(visitor, "youssef")
    page = visitor.get(f"/hits/{centre.hits[0]}")
    assert page.status_code == 200
    assert 'name="state"' not in page.text
    form = {"form_token": token(page.text), "state": "dismissed", "back": "/"}
    assert visitor.post(f"/hits/{centre.hits[0]}/decision", data=form).status_code == 403
    assert visitor.get(f"/evidence/{centre.segments[0]}/video").status_code == 403
    assert "unlock" not in visitor.get(f"/evidence/{centre.segments[0]}").text


def test_front_page_shows_reason_list_age_and_lead_when_a_hit_is_open(investigator: TestClient) -> None:
    page = investigator.get("/").text
    shown = ("Véhicule volé", "version 3", "1\u00a0h\u00a030\u00a0min", "élevée", "ceci est une piste")
    assert [words for words in shown if words not in page] == []
    assert "Assurance &lt;b&gt;expirée&lt;/b&gt; &amp; contrôle" in page


def test_live_list_answers_nothing_when_nothing_changed_and_the_card_when_it_did(
    investigator: TestClient, centre: Any
) -> None:
    revision = re.search(r'data-revision="([^"]+)"', investigator.get("/").text)
    assert revision is not None
    unchanged = investigator.get("/live/hits", params={"revision": revision[1]})
    hit = centre.add_hit("777|د|26", "777D26")
    changed = investigator.get("/live/hits", params={"revision": revision[1]})
    assert unchanged.status_code == 204
    assert f'data-key="{hit}"' in changed.text


def test_filter_shows_only_one_state_when_chosen(investigator: TestClient, centre: Any, token: Token) -> None:
    _decide(investigator, token, centre.hits[0], "misread")
    page = investigator.get("/", params={"state": "misread"}).text
    assert [hit in page for hit in centre.hits] == [True, False]


def test_picture_is_the_jpeg_of_the_hit_when_asked_by_name(investigator: TestClient, centre: Any) -> None:
    answer = investigator.get(f"/hits/{centre.hits[0]}/pictures/crop.jpg")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content[:3] == b"\xff\xd8\xff"
    assert investigator.get(f"/hits/{centre.hits[0]}/pictures/other.jpg").status_code == 404


def test_no_address_on_any_page_holds_a_plate_when_hits_are_shown(investigator: TestClient, centre: Any) -> None:
    pages = [investigator.get(path).text for path in ("/", f"/hits/{centre.hits[0]}", "/evidence", "/devices")]
    addresses = re.findall(r'(?:href|src|action|data-[a-z-]+)="([^"]*)"', "".join(pages))
    assert [one for one in addresses if "12345" in one] == []


def test_devices_name_each_gap_when_the_journal_has_one(investigator: TestClient) -> None:
    page = investigator.get("/devices").text
    assert "1 interruption signalée" in page
    assert "1,5\u00a0s" in page


TOLD = {"reader.plates_read": 12, "reader.rejected_too_small": 1, "reader.rejected_unsure": 2_345}


def tell(centre: Any, counters: dict[str, int | str]) -> None:
    """The car sends its status."""
    presence = Presence(centre.store)
    presence.status("car-1", Status(utc_us=centre.clock.utc_us(), counters=counters))
    presence.settle()


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("fr", ["Plaques lues", "2\u202f346 non retenues", "1 trop petite, 2\u202f345 incertaines."]),
        ("en", ["Plates read", "2,346 not accepted", "1 too small, 2,345 unsure."]),
    ],
)
def test_devices_tell_how_many_plates_were_not_read_and_why(
    investigator: TestClient, centre: Any, language: str, words: list[str]
) -> None:
    """HT-41."""
    tell(centre, TOLD)
    investigator.get(f"/language/{language}")
    page = investigator.get("/devices").text
    assert [one for one in words if one not in page] == []


def test_devices_tell_nothing_of_plates_when_their_reader_told_nothing(investigator: TestClient, centre: Any) -> None:
    """HT-41: also where a device tells something else than numbers."""
    for counters in ({}, {"reader.plates_read": "many"}, {"recorder.segments": 3}):
        tell(centre, counters)
        page = investigator.get("/devices").text
        assert "Plaques lues" in page and "non retenue" not in page


@pytest.mark.parametrize(
    ("language", "missing", "muted"),
    [
        ("fr", "Vidéo sans son : rien ne vient de son micro.", "Son coupé sur l’appareil."),
        ("en", "Recording without sound: nothing comes from its microphone.", "Its sound is muted."),
    ],
)
def test_devices_tell_that_sound_is_missing_or_muted(
    investigator: TestClient, centre: Any, language: str, missing: str, muted: str
) -> None:
    """SG-19: as the device's last status has it."""
    investigator.get(f"/language/{language}")
    for counters, expected in (
        ({"recorder.sound_missing": 1, "recorder.muted": 0}, (True, False)),
        ({"recorder.sound_missing": 0, "recorder.muted": 1}, (False, True)),
        ({"recorder.sound_missing": 0}, (False, False)),
        ({"recorder.segments": 3}, (False, False)),
    ):
        tell(centre, counters)
        page = investigator.get("/devices").text
        assert (missing in page, muted in page) == expected


@pytest.mark.parametrize("name", ["sealed", "manifest", "receipt", "proof"])
def test_download_is_exactly_what_is_stored_when_asked_for(investigator: TestClient, centre: Any, name: str) -> None:
    item, store = centre.segments[0], centre.store
    stored = {
        "sealed": store.blobs.path(store.item(item).sealed_sha256).read_bytes(),
        "manifest": store.manifest(item),
        "receipt": store.receipt(item),
        "proof": store.proof(item).encode(),
    }
    answer = investigator.get(f"/evidence/{item}/{name}")
    assert answer.content == stored[name]
    assert answer.headers["content-disposition"].startswith("attachment")


def test_downloads_verify_with_the_centres_public_key_alone_when_taken_away(
    investigator: TestClient, centre: Any
) -> None:
    item, trust = centre.segments[0], centre_trust(centre.folder)
    sealed_bytes = investigator.get(f"/evidence/{item}/sealed").content
    manifest = investigator.get(f"/evidence/{item}/manifest").content
    receipt = records.open_receipt(investigator.get(f"/evidence/{item}/receipt").content, records.keyring(trust.centre))
    text = investigator.get(f"/evidence/{item}/proof").text
    leaf, _ = proof.verify(proof.Proof.from_text(text), trust.log_origin, trust.centre)
    assert receipt.sealed_sha256 == leaf.sealed_sha256 == hashlib.sha256(sealed_bytes).hexdigest()
    assert receipt.manifest_sha256 == hashlib.sha256(manifest).hexdigest()


def test_item_is_verified_in_all_five_ways_when_it_is_whole(investigator: TestClient, centre: Any) -> None:
    page = investigator.get(f"/evidence/{centre.segments[0]}").text
    assert page.count('<li class="passed">') == 5


def test_item_says_failed_when_one_stored_byte_was_changed(investigator: TestClient, centre: Any) -> None:
    path = centre.store.blobs.path(centre.store.item(centre.segments[0]).sealed_sha256)
    path.chmod(0o640)
    changed = bytearray(path.read_bytes())
    changed[len(changed) // 2] ^= 1
    path.write_bytes(changed)
    page = investigator.get(f"/evidence/{centre.segments[0]}").text
    assert page.count('<li class="failed">') == 1
    assert "restore them from a copy" in page


def test_custody_waits_when_the_journal_has_not_arrived_yet(centre: Any, films: list[bytes]) -> None:
    head = records.JournalHead(service="recorder", seq=99, head="0" * 64)
    item = centre.add_segment(films[0], 7, head=head)
    checks = light_checks(centre.store, centre.store.item(item), centre_trust(centre.folder))
    assert {check.name: check.outcome for check in checks}["custody"] == "waiting"
    assert overall(checks) == "waiting"


def test_list_of_evidence_is_filtered_and_paged_when_it_is_long(
    investigator: TestClient, centre: Any, films: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.central.web.pages.evidence.PAGE_ITEMS", 1)
    first = investigator.get("/evidence", params={"kind": "segment", "recording": centre.recording}).text
    after = re.search(r"after=([0-9a-f-]{36})", first)
    assert after is not None
    second = investigator.get("/evidence", params={"kind": "segment", "after": after[1]}).text
    assert [f'"/evidence/{item}"' in first for item in centre.segments] == [False, True]
    assert [f'"/evidence/{item}"' in second for item in centre.segments] == [True, False]


def test_access_is_noted_with_the_persons_name_when_an_item_is_viewed_or_downloaded(
    investigator: TestClient, centre: Any
) -> None:
    investigator.get(f"/evidence/{centre.segments[0]}")
    investigator.get(f"/evidence/{centre.segments[0]}/sealed")
    noted = [(one.user, one.action) for one in centre.store.accesses(centre.segments[0])]
    assert noted == [("amina", "download"), ("amina", "view")]


def test_log_page_shows_the_signed_checkpoint_when_items_are_stored(investigator: TestClient, centre: Any) -> None:
    assert investigator.get("/log/checkpoint").text == centre.store.checkpoint()
    size = centre.store.log_size()
    assert len(investigator.get(f"/log/tile/0/000.p/{size}").content) == 32 * size
    assert investigator.get(f"/log/tile/0/000.p/{size + 1}").status_code == 404
    assert investigator.get("/log/tile/0/../000").status_code == 404


@pytest.mark.parametrize(("language", "words"), [("fr", "signé pour la ligne 99"), ("en", "signed for line 99")])
def test_log_page_shows_what_a_device_signed_for_and_did_not_send(
    investigator: TestClient, centre: Any, language: str, words: str
) -> None:
    """CS-23."""
    investigator.get(f"/language/{language}")
    assert words not in investigator.get("/log").text
    head = Head(service="recorder", boot=uuid7(centre.clock), seq=99, head="ab" * 32)
    told_us = centre.clock.utc_us()
    told = Heads(device="car-1", told_us=told_us, time_source="ntp", time_error_us=1, heads=(head,))
    heads = JournalHeads(centre.store)
    heads.take("car-1", told.sign(centre.key()))
    heads.settle()
    assert words in investigator.get("/log").text


@pytest.mark.parametrize(("language", "words"), [("fr", "Introuvable"), ("en", "Not found")])
def test_error_page_speaks_the_chosen_language_when_nothing_is_there(
    investigator: TestClient, language: str, words: str
) -> None:
    investigator.get(f"/language/{language}")
    for path in ("/nope", "/evidence/01a2076b-4400-7d15-97ad-4da29163d318", "/hits/nope"):
        answer = investigator.get(path)
        assert (answer.status_code, words in answer.text) == (404, True)


def test_translations_have_the_same_keys_and_places_when_compared() -> None:
    french, english = (json.loads((WEB / "translations" / f"{code}.json").read_text("utf-8")) for code in ("fr", "en"))
    places = re.compile(r"\{\w*\}")
    assert french.keys() == english.keys()
    assert [key for key in french if sorted(places.findall(french[key])) != sorted(places.findall(english[key]))] == []


def test_every_word_the_templates_use_is_translated_when_looked_up() -> None:
    texts = [path.read_text("utf-8") for path in (WEB / "templates").glob("*.html")]
    keys = {key for text in texts for key in re.findall(r"say\('([a-z_.]+[a-z_])'[,)]", text)}
    words = load_languages()["fr"]
    assert len(keys) > 80
    assert [key for key in sorted(keys) if not words.has(key)] == []


def test_no_template_holds_a_script_or_style_when_the_policy_forbids_it() -> None:
    texts = {path.name: path.read_text("utf-8") for path in (WEB / "templates").glob("*.html")}
    assert [
        name for name, text in texts.items() if re.search(r"\son[a-z]+=\"|style=|<style|<script(?! src=)", text)
    ] == []
    assert [name for name, text in texts.items() if re.search(r"https?://", text)] == []


def test_plate_has_three_isolated_fields_in_order_when_it_is_moroccan() -> None:
    drawn = str(plate("12345|أ|6", "MA"))
    assert re.findall(r">([^<>]+)</bdi>", drawn) == ["12345", "أ", "6"]
    assert 'dir="ltr" translate="no"' in drawn
    assert '<bdi class="field" lang="ar" dir="rtl">أ</bdi>' in drawn


def test_plate_has_its_word_between_two_numbers_when_it_is_tunisian() -> None:
    drawn = str(plate("123تونس4567", "TN"))
    assert re.findall(r">([^<>]+)</bdi>", drawn) == ["123", "تونس", "4567"]
    assert drawn.count('dir="rtl"') == 1


def test_plate_is_escaped_when_it_holds_markup() -> None:
    assert "<script>" not in str(plate("<script>", "<b>"))


@pytest.mark.parametrize(
    ("permille", "key"), [(1000, "high"), (950, "high"), (949, "medium"), (850, "medium"), (849, "low")]
)
def test_confidence_is_a_word_when_shown(permille: int, key: str) -> None:
    assert confidence(permille) == f"confidence.{key}"


def test_coordinates_are_plain_degrees_when_south_or_west() -> None:
    position = Position(lat_e7=-5, lon_e7=-68416500, accuracy_cm=None, fixed_us=0)
    assert coordinates(position) == "-0.0000005, -6.8416500"


@pytest.mark.parametrize(
    ("duration_us", "french"),
    [
        (0, "0,0 s"),
        (4000, "4 ms"),
        (1_500_000, "1,5 s"),
        (59_600_000, "1 min 00 s"),
        (3_600_000_000, "1 h 00 min"),
        (93_600_000_000, "1 j 2 h"),
    ],
)
def test_duration_is_written_in_two_units_at_most_when_shown(duration_us: int, french: str) -> None:
    assert load_languages()["fr"].duration(duration_us).replace("\u00a0", " ") == french


@pytest.mark.parametrize(
    ("duration_us", "french"),
    [(7_400_000, "7,4 s"), (3_599_600_000, "1 h 00 min 00 s"), (93_605_000_000, "26 h 00 min 05 s")],
)
def test_duration_of_hours_has_its_seconds_where_several_are_to_add_up(duration_us: int, french: str) -> None:
    """TI-40."""
    assert load_languages()["fr"].whole_duration(duration_us).replace("\u00a0", " ") == french


@pytest.mark.parametrize(
    ("size", "french"),
    [(0, "0 o"), (999, "999 o"), (1000, "1,0 ko"), (99_400, "99,4 ko"), (99_600, "100 ko"), (999_700_000, "1,0 Go")],
)
def test_size_has_a_fitting_unit_when_shown(size: int, french: str) -> None:
    assert load_languages()["fr"].size(size).replace("\u00a0", " ") == french


def test_every_file_of_the_pages_is_packaged_when_vedette_is_installed() -> None:
    setup = configparser.ConfigParser()
    setup.read(WEB.parents[2] / "setup.cfg")
    patterns = [one.strip() for one in setup["options.package_data"]["sync.central.web"].split(",")]
    packaged = {path for pattern in patterns for path in WEB.glob(pattern)}
    needed = {path for folder in ("templates", "static", "translations") for path in (WEB / folder).rglob("*.*")}
    assert sorted(path.name for path in needed - packaged) == []
