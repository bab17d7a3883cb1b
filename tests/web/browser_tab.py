"""A tab of Chromium that notes what goes wrong in it and what it asks for."""

from __future__ import annotations

from typing import Any


class Tab:
    """A tab in a context of its own; notes console errors, uncaught ones and every address asked for."""

    def __init__(self, browser: Any, **context: Any) -> None:
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
