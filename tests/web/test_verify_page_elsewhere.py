"""`verify.html` in the browsers that are not Chromium: Firefox, and WebKit (the engine of Safari), from a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from remote_browser import ELEMENT, Browser, opened, wait_for

from vedette import verifier

VECTORS = Path(__file__).parents[1] / "vectors" / "bundle"
CASES = json.loads((VECTORS / "cases.json").read_text())


class Checker:
    """A browser with the page open; errors of the page and what its content policy stopped are kept."""

    def __init__(self, browser: Browser, page: Path) -> None:
        self._browser, self._page = browser, page
        self.load("")

    def load(self, fragment: str) -> None:
        self._browser.run("Navigate", "url", {"url": "about:blank"})
        self._browser.run("Navigate", "url", {"url": self._page.as_uri() + fragment})

    def run(self, text: str) -> None:
        """Run this as a script of the page's own: Firefox would give a remote one a world apart."""
        self.script(
            f"const one = document.createElement('script'); one.textContent = {json.dumps(text)};"
            "document.head.append(one); one.remove();"
        )

    def script(self, text: str) -> Any:
        """What this returns, read from outside the page."""
        return self._browser.run("ExecuteScript", "execute/sync", {"script": text, "args": []})

    def choose(self, where: str, path: Path) -> None:
        asked = {"using": "css selector", "value": where}
        element = self._browser.run("FindElement", "element", asked)[ELEMENT]
        text = {"id": element, "text": str(path), "value": list(str(path))}
        self._browser.run("ElementSendKeys", f"element/{element}/value", text)

    def check(self, path: Path) -> dict[str, Any]:
        self.run("globalThis.vedette = null")
        self.choose("#zip", path)
        found = wait_for(lambda: self.script("return globalThis.vedette"), lambda: f"no verdict on {path.name}")
        assert isinstance(found, dict)
        return found

    def picture(self) -> str:
        return str(self._browser.run("TakeScreenshot", "screenshot", {"full": False}))


@pytest.fixture(scope="module", params=["firefox", "webkit"])
def checker(request: pytest.FixtureRequest) -> Iterator[Checker]:
    with opened(request.param) as (browser, folder):
        page = folder / verifier.PAGE
        page.write_bytes(verifier.page())
        yield Checker(browser, page)


@pytest.mark.parametrize("mode", ["", "#plain"])
def test_page_judges_every_bundle_as_its_vector_says_in_every_browser(checker: Checker, mode: str) -> None:
    """BU-24, BU-25: with the browser's own SHA-256 and Ed25519, and with the page's."""
    checker.load(mode)
    checker.run("globalThis.errors = []; addEventListener('error', (one) => errors.push(String(one.message)))")
    checker.run("addEventListener('unhandledrejection', (one) => errors.push(String(one.reason)))")
    checker.run("addEventListener('securitypolicyviolation', (one) => errors.push(one.violatedDirective))")
    checker.choose("#trustfile", VECTORS / "trust.json")
    wait_for(lambda: checker.script("return !document.getElementById('trusted').hidden"), lambda: "trust is not read")
    wrong = []
    for case in CASES:
        found = checker.check(VECTORS / "zip" / f"{case['name']}.zip")
        said = "\n".join(f"{one['what']} | {one['where']} | {one['said']}" for one in found["findings"] if one["code"])
        good = found["exit_code"] == case["exit_code"] and case["names"] in said
        wrong += [] if good else [(case["name"], found["exit_code"], said)]
    assert wrong == []
    assert checker.script("return globalThis.errors") == []
