"""`verify.html` with several bundles of which one says that lines had not come to the centre."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import good_heads_together
from browser_tab import Tab
from good_heads_together import FIRST

from vedette.bundle_folder import verify_folder
from vedette.bundle_heads import SIGNED_LINES


def test_page_misses_signed_lines_as_the_others_do(chromium: Any, verify_html: Path, tmp_path: Path) -> None:
    """BU-38, BU-53, BU-25"""
    tab = Tab(chromium, locale="en-GB", offline=True)
    page = tab.page
    page.goto(verify_html.as_uri())
    for name, (bundles, is_missed) in good_heads_together.cases().items():
        folder = good_heads_together.lay(tmp_path / name, bundles)
        page.evaluate("document.getElementById('verdict').className = 'busy'")
        page.set_input_files("#folder", str(folder))
        page.wait_for_selector("#verdict:not(.busy)", state="attached")
        found = page.evaluate("globalThis.vedette")
        (said,) = [one["message"] for one in verify_folder(folder).to_json()["findings"] if one["what"] == SIGNED_LINES]
        lines = [(one["where"], one["code"], one["said"]) for one in found["findings"] if one["what"] == SIGNED_LINES]
        assert lines == [(FIRST, None if is_missed else 0, said)], name
    assert tab.errors == []
    tab.context.close()
