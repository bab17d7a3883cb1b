"""`verify.html` in a real Chromium and an opened recording that was changed: it names the fragment as the others do."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import good_fragments
import pytest
from browser_tab import Tab

from simulator.mutations import mutate
from vedette import bundle_verify

WHAT = "opened fragments"
MUTANTS = 60
SHOWN = """\
const made = URL.createObjectURL;
URL.createObjectURL = (blob) => { globalThis.shownBytes = blob.size; return made.call(URL, blob); };
"""
WORDS = {"fr": "fragments du fichier ouvert", "ar": "مقاطع الملف المفتوح"}


def checked(page: Any, path: Path) -> dict[str, Any]:
    """The page's verdict on the bundle at `path`."""
    page.evaluate("globalThis.vedette = null; document.getElementById('verdict').className = 'busy'")
    page.set_input_files("#zip", str(path))
    page.wait_for_selector("#verdict:not(.busy)", state="attached")
    found = page.evaluate("globalThis.vedette")
    assert isinstance(found, dict)
    return found


def about(path: Path) -> list[tuple[str, int | None, str]]:
    """What `vedette evidence verify` says of fragments, as the page has it."""
    findings = [one for one in bundle_verify.verify(path).findings if one.what == WHAT]
    return [(one.where, None if one.absent else one.exit_code, one.message) for one in findings]


def said(found: dict[str, Any]) -> list[tuple[str, int | None, str]]:
    return [(one["where"], one["code"], one["said"]) for one in found["findings"] if one["what"] == WHAT]


@pytest.mark.parametrize("mode", ["browser", "plain"])
def test_page_says_of_fragments_what_the_others_say(
    chromium: Any, verify_html: Path, tmp_path: Path, mode: str
) -> None:
    """BU-25, BU-54, BU-55, BU-56, BU-57: with the browser's own hashes, and with the page's."""
    tab, wrong = Tab(chromium, locale="en-GB", offline=True), []
    tab.page.goto(verify_html.as_uri() + ("#plain" if mode == "plain" else ""))
    for name, (parts, code, wanted) in good_fragments.cases().items():
        path = tmp_path / f"{name}.zip"
        path.write_bytes(good_fragments.packed(parts, tmp_path))
        found = checked(tab.page, path)
        is_named = any(wanted in one["said"] or wanted == one["what"] for one in found["findings"])
        if found["exit_code"] != code or not is_named or said(found) != about(path):
            wrong.append((name, found["exit_code"], said(found), about(path)))
    assert wrong == []
    for language, words in WORDS.items():
        tab.page.click(f"button[data-lang={language}]")
        assert words in tab.page.inner_text("#rows")
    assert tab.errors == []
    tab.context.close()


def test_page_names_the_fragment_when_the_damage_is_drawn_at_random(
    chromium: Any, verify_html: Path, tmp_path: Path
) -> None:
    """BU-25, BU-56"""
    _maker, good, other, _cut = good_fragments.made()
    tab, rng, wrong = Tab(chromium, locale="en-GB", offline=True), random.Random(5), []
    tab.page.goto(verify_html.as_uri())
    for number in range(MUTANTS):
        mutant = mutate(good_fragments.video(good), [good_fragments.video(other)], rng)
        path = tmp_path / f"{number}.zip"
        path.write_bytes(good_fragments.packed(good_fragments.opened(good, mutant.data), tmp_path))
        found = checked(tab.page, path)
        wrong += [] if said(found) == about(path) and found["exit_code"] == 10 else [(mutant.how, said(found))]
        path.unlink()
    assert wrong == []
    assert tab.errors == []
    tab.context.close()


def test_page_plays_of_a_cut_recording_what_the_device_signed(chromium: Any, verify_html: Path, tmp_path: Path) -> None:
    """BU-57: the bytes behind the last mark are not shown as the device's."""
    _maker, _good, _other, cut = good_fragments.made()
    path = tmp_path / "cut.zip"
    path.write_bytes(good_fragments.packed(cut, tmp_path))
    tab = Tab(chromium, locale="en-GB", offline=True)
    tab.page.add_init_script(SHOWN)
    tab.page.goto(verify_html.as_uri())
    found = checked(tab.page, path)
    assert found["exit_code"] == 0
    ((_where, _code, words),) = said(found)
    signed_bytes = int(words.split(" ")[2])
    assert tab.page.evaluate("globalThis.shownBytes") == signed_bytes < len(good_fragments.video(cut))
    tab.page.wait_for_function("document.getElementById('video').readyState >= 2")
    assert tab.page.is_visible("#film")
    assert tab.errors == []
    tab.context.close()
