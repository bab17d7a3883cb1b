"""`verify.html` in a real Chromium, opened from a file without a server: the verdicts of `vedette evidence verify`."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import good_bundle
import pytest
from browser_tab import Tab

from vedette import bundle

VECTORS = Path(__file__).parents[1] / "vectors" / "bundle"
CASES = json.loads((VECTORS / "cases.json").read_text())
WHOLE = VECTORS / "zip" / "whole.zip"
FLIPS = 150
NO_ED25519 = """\
SubtleCrypto.prototype.importKey = () => Promise.reject(new DOMException("no", "NotSupportedError"));
"""


class Checker(Tab):
    """A tab with the page."""

    def __init__(self, browser: Any, page: Path, mode: str = "") -> None:
        super().__init__(browser, locale="en-GB", viewport={"width": 1280, "height": 900}, offline=True)
        if mode == "no-ed25519":
            self.page.add_init_script(NO_ED25519)
        self.page.goto(page.as_uri() + ("#plain" if mode == "plain" else ""))

    def trust(self) -> None:
        self.page.set_input_files("#trustfile", str(VECTORS / "trust.json"))
        self.page.wait_for_selector("#trusted:not([hidden])")

    def check(self, path: Path, kind: str = "zip") -> dict[str, Any]:
        """The page's verdict on a bundle."""
        self.page.evaluate("globalThis.vedette = null")
        self.page.set_input_files(f"#{kind}", str(path))
        found = None
        while found is None:
            self.page.wait_for_timeout(5)
            found = self.page.evaluate("globalThis.vedette")
        assert isinstance(found, dict)
        return found


def failed(found: dict[str, Any]) -> str:
    return "\n".join(f"{one['what']} | {one['where']} | {one['said']}" for one in found["findings"] if one["code"])


@pytest.fixture
def checker(chromium: Any, verify_html: Path) -> Iterator[Checker]:
    """A tab; at the end it must have met no error and asked for nothing but itself and what it was given."""
    made = Checker(chromium, verify_html)
    yield made
    assert made.errors == []
    assert {one.partition(":")[0] for one in made.asked} <= {"file", "blob"}
    made.context.close()


@pytest.mark.parametrize("mode", ["browser", "plain", "no-ed25519"])
def test_page_judges_every_bundle_as_its_vector_says(chromium: Any, verify_html: Path, mode: str) -> None:
    """BU-24, BU-25: with the browser's SHA-256 and Ed25519, with its own, and where the browser has only one."""
    tab = Checker(chromium, verify_html, mode)
    tab.trust()
    wrong = []
    for case in CASES:
        found = tab.check(VECTORS / "zip" / f"{case['name']}.zip")
        good = found["exit_code"] == case["exit_code"] and case["names"] in failed(found)
        wrong += [] if good else [(case["name"], found["exit_code"], failed(found))]
    assert wrong == []
    assert tab.errors == []
    tab.context.close()


@pytest.mark.parametrize("mode", ["browser", "plain"])
def test_page_asks_for_the_witnesses_of_a_policy(chromium: Any, verify_html: Path, mode: str) -> None:
    """BU-25, BU-30, TL-23, TL-25: a finding of its own; without the policy nobody's cosignature is asked for."""
    tab = Checker(chromium, verify_html, mode)
    tab.trust()
    tab.page.set_input_files("#policyfile", str(VECTORS / "policy.txt"))
    tab.page.wait_for_selector("#witnessed:not([hidden])")
    wrong = []
    for case in (one for one in CASES if "policy" in one):
        found, wanted = tab.check(VECTORS / "zip" / f"{case['name']}.zip"), case["policy"]
        named = any(one["what"] == "witnesses" for one in found["findings"])
        good = found["exit_code"] == wanted["exit_code"] and wanted["names"] in failed(found) and named
        wrong += [] if good else [(case["name"], found["exit_code"], failed(found))]
    assert wrong == []
    tab.page.set_input_files("#policyfile", {"name": "p", "mimeType": "text/plain", "buffer": b"quorum w9\n"})
    tab.page.locator("#witnessed", has_text="not a witness policy").wait_for()
    assert "line 1" in tab.page.inner_text("#witnessed")
    assert tab.errors == []
    tab.context.close()


def test_page_names_parent_and_changes_of_a_redacted_copy(checker: Checker) -> None:
    """BU-31, RD-38, RD-39, RD-40, RD-41."""
    found = checker.check(VECTORS / "zip" / "redacted-and-sealed-only.zip")
    said = {one["what"]: one["said"] for one in found["findings"]}
    assert found["exit_code"] == 0
    assert "nobody vouches for this key" in said["redaction"]
    assert said["redaction's parent"].startswith("item 01a2076b-4400-7f5c-8293-c2c1e62e57d3 of car-1")
    assert said["redaction's changes"].startswith("20 of 50 pictures covered in places, in 2 runs; sound muted")
    assert "no original" in checker.page.inner_text("#filmsaid")


def test_page_finds_a_flipped_byte_anywhere(checker: Checker, tmp_path: Path) -> None:
    """BU-25: in a file's content by the file, between files by its offset."""
    whole, path = WHOLE.read_bytes(), tmp_path / "b.zip"
    with zipfile.ZipFile(WHOLE) as archive:
        starts = {one.filename: one.header_offset + 30 + len(one.filename) for one in archive.infolist()}
        ranges = {name: range(start, start + archive.getinfo(name).file_size) for name, start in starts.items()}
    checker.trust()
    missed = []
    for place in range(0, len(whole), len(whole) // FLIPS):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
        found = checker.check(path)
        owner = next((name for name, where in ranges.items() if place in where), None)
        named = any(
            one["where"] == owner or f"byte {place} " in one["said"] for one in found["findings"] if one["code"]
        )
        missed += [] if found["exit_code"] == 10 and named else [place]
    assert missed == []


@pytest.mark.parametrize("damage", ["none", "changed", "missing", "added", "deeper"])
def test_page_checks_a_folder(checker: Checker, tmp_path: Path, damage: str) -> None:
    """BU-18, BU-24."""
    with zipfile.ZipFile(WHOLE) as archive:
        archive.extractall(tmp_path / "case")
    match damage:
        case "changed":
            (tmp_path / "case" / "README.txt").write_bytes(b"All is well.\n")
        case "missing":
            (tmp_path / "case" / "keys.json").unlink()
        case "added":
            (tmp_path / "case" / "notes.txt").write_text("hello")
        case "deeper":
            (tmp_path / "case" / "more").mkdir()
            (tmp_path / "case" / "more" / "README.txt").write_text("hello")
    found = checker.check(tmp_path / "case", "folder")
    assert found["exit_code"] == (0 if damage == "none" else 10), failed(found)


def test_page_says_whose_key_it_checked_against(checker: Checker) -> None:
    """BU-20, BU-24."""
    key = json.loads((VECTORS / "trust.json").read_text())["centre"]
    assert checker.check(WHOLE)["exit_code"] == 0
    assert "taken from the bundle itself" in checker.page.inner_text("#advice")
    checker.page.fill("#key", "ed25519:" + "A" * 43 + "=")
    checker.page.wait_for_selector("#verdict.warn")
    assert checker.page.evaluate("globalThis.vedette.exit_code") == 11
    checker.page.fill("#key", key)
    checker.page.wait_for_selector("#verdict.good")
    assert "the one that you gave" in checker.page.inner_text("#advice")
    checker.page.fill("#key", "ed25519:x")
    assert "not a key" in checker.page.inner_text("#trusted")


@pytest.mark.parametrize(
    ("language", "said"), [("fr", "Tous les contrôles"), ("ar", "كل الفحوص سليمة"), ("en", "Every")]
)
def test_page_speaks_three_languages(checker: Checker, language: str, said: str) -> None:
    """BU-24."""
    checker.check(WHOLE)
    checker.page.click(f"[data-lang={language}]")
    assert checker.page.inner_text("#verdict").startswith(said)
    assert checker.page.evaluate("document.documentElement.dir") == ("rtl" if language == "ar" else "ltr")
    assert checker.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    names = "Object.values(WORDS).map((one) => Object.keys(one).filter((name) => name !== 'checks').sort().join())"
    assert len(set(checker.page.evaluate(names))) == 1


def test_page_plays_the_recording_that_holds(checker: Checker, films: list[bytes], tmp_path: Path) -> None:
    """BU-24: the opened file, straight out of the zip."""
    path = tmp_path / "film.zip"
    made = films[0]
    bundle.make(path, good_bundle.parts(plain=made))
    assert checker.check(path)["exit_code"] == 0
    while checker.page.evaluate("document.getElementById('video').readyState") < 2:  # The test's time limit ends it.
        checker.page.wait_for_timeout(20)
    assert checker.page.evaluate("document.getElementById('video').videoWidth") == 320
    path.write_bytes(path.read_bytes().replace(made[-64:], made[-64:-1] + b"!", 1))
    assert checker.check(path)["exit_code"] == 10
    assert not checker.page.is_visible("#video")


@pytest.mark.parametrize("mode", ["browser", "plain"])
def test_page_hashes_a_large_file_in_pieces(chromium: Any, verify_html: Path, tmp_path: Path, mode: str) -> None:
    """BU-17, BU-24: more pieces than one; the file's bytes and its marks are checked."""
    checker = Checker(chromium, verify_html, mode)
    bundle.make(tmp_path / "large.zip", good_bundle.parts(plain=bytes(range(256)) * (9 << 12)))
    found = checker.check(tmp_path / "large.zip")
    assert found["exit_code"] == 0, failed(found)
    content = bytearray((tmp_path / "large.zip").read_bytes())
    content[8_000_000] ^= 1
    (tmp_path / "large.zip").write_bytes(content)
    assert "between byte 1600 and byte" in failed(checker.check(tmp_path / "large.zip"))
