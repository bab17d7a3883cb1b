"""`verify.html` with a redacted copy that left without its original."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import good_redacted_only
from browser_tab import Tab

WORDS = {"en": "The original is not here", "fr": "L’original n’est pas ici", "ar": "الأصل غير موجود هنا"}


def test_page_judges_a_bundle_without_its_original_as_the_others_do(
    chromium: Any, verify_html: Path, tmp_path: Path
) -> None:
    """BU-51, BU-52, BU-25"""
    tab = Tab(chromium, locale="en-GB", offline=True)
    page, wrong = tab.page, []
    page.goto(verify_html.as_uri())
    cases = good_redacted_only.cases(tmp_path)
    for name, (data, code, named) in [*cases.items(), ("good", cases["good"])]:
        path = tmp_path / f"{name}.zip"
        path.write_bytes(data)
        page.evaluate("document.getElementById('verdict').className = 'busy'")
        page.set_input_files("#zip", str(path))
        page.wait_for_selector("#verdict:not(.busy)", state="attached")
        found = page.evaluate("globalThis.vedette")
        lines = [f"{one['what']} | {one['where']} | {one['said']}" for one in found["findings"] if one["code"]]
        good = found["exit_code"] == code and named in "\n".join(lines)
        wrong += [] if good else [(name, found["exit_code"], lines)]
    assert wrong == []
    (first,) = page.locator("tbody tr").first.all()
    assert good_redacted_only.SAID in first.inner_text()
    for language, words in WORDS.items():
        page.click(f"button[data-lang={language}]")
        assert words in page.locator("#verdict").inner_text()
    assert tab.errors == []
    tab.context.close()
