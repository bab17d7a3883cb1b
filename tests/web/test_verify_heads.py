"""`verify.html` with bundles that hold heads: the verdicts and the very words of `vedette evidence verify`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vedette import bundle_verify, verifier
from vedette.trust import load_trust

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
VECTORS = Path(__file__).parents[1] / "vectors" / "bundle" / "heads"
CASES = json.loads((VECTORS / "cases.json").read_text())
TRUST = load_trust(VECTORS / "trust.json")
HEADS = ("signed heads", "signed lines", "journal at the centre")
WORDS = {"fr": "lignes signées", "ar": "الأسطر الموقّعة", "en": "signed lines"}

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium)")


@pytest.fixture(scope="module", params=["", "#plain"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The page in a tab that trusts the vectors' centre; at the end it must have met no error."""
    path = tmp_path_factory.mktemp("page") / verifier.PAGE
    path.write_bytes(verifier.page())
    errors: list[str] = []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        tab = browser.new_context(locale="en-GB", offline=True).new_page()
        tab.on("console", lambda one: errors.append(one.text) if one.type == "error" else None)
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto(path.as_uri() + request.param)
        tab.set_input_files("#trustfile", str(VECTORS / "trust.json"))
        tab.wait_for_selector("#trusted:not([hidden])")
        yield tab
        browser.close()
    assert errors == []


def check(page: Any, name: str) -> dict[str, Any]:
    page.evaluate("document.getElementById('verdict').className = 'busy'")
    page.set_input_files("#zip", str(VECTORS / "zip" / f"{name}.zip"))
    page.wait_for_selector("#verdict:not(.busy)", state="attached")
    found = page.evaluate("globalThis.vedette")
    assert isinstance(found, dict)
    return found


def test_page_judges_heads_as_the_vectors_say_and_in_the_same_words(page: Any) -> None:
    """BU-24, BU-25, BU-34 to BU-39."""
    for case in CASES:
        found = check(page, case["name"])
        ours = bundle_verify.verify(VECTORS / "zip" / f"{case['name']}.zip", TRUST)
        said = [(one["what"], one["where"], one["code"], one["said"]) for one in found["findings"]]
        failed = "\n".join(f"{what} | {where} | {message}" for what, where, code, message in said if code)
        assert (found["exit_code"], case["names"] in failed) == (case["exit_code"], True), (case["name"], failed)
        wanted = [
            (one.what, one.where, None if one.absent else one.exit_code, one.message)
            for one in ours.findings
            if one.what in HEADS
        ]
        heads = [one for one in said if one[0] in HEADS]
        assert [one[:3] for one in heads] == [one[:3] for one in wanted], case["name"]
        if not case["exit_code"]:
            assert heads == wanted, case["name"]


def test_page_says_in_each_language_what_the_check_is(page: Any) -> None:
    """BU-24."""
    check(page, "not-come")
    for language, words in WORDS.items():
        page.click(f"button[data-lang={language}]")
        row = page.locator("tr", has_text="HAD NOT COME")
        assert words in row.inner_text()
        assert "none" in str(row.get_attribute("class"))
