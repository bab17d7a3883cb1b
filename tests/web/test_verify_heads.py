"""`verify.html` with bundles that hold heads: the verdicts and the very words of `vedette evidence verify`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_tab import Tab

from vedette import bundle_verify
from vedette.trust import load_trust

VECTORS = Path(__file__).parents[1] / "vectors" / "bundle" / "heads"
CASES = json.loads((VECTORS / "cases.json").read_text())
TRUST = load_trust(VECTORS / "trust.json")
HEADS = ("signed heads", "signed lines", "journal at the centre")
WORDS = {"fr": "lignes signées", "ar": "الأسطر الموقّعة", "en": "signed lines"}


@pytest.fixture(scope="module", params=["", "#plain"])
def page(request: pytest.FixtureRequest, chromium: Any, verify_html: Path) -> Iterator[Any]:
    """The page in a tab that trusts the vectors' centre; at the end it must have met no error."""
    tab = Tab(chromium, locale="en-GB", offline=True)
    tab.page.goto(verify_html.as_uri() + request.param)
    tab.page.set_input_files("#trustfile", str(VECTORS / "trust.json"))
    tab.page.wait_for_selector("#trusted:not([hidden])")
    yield tab.page
    tab.context.close()
    assert tab.errors == []


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
