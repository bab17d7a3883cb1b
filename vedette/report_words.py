"""The report's words in French, English and Arabic, from `words/report.<language>.json`.

Decided here: the languages and their order. A text that is missing in one language is a mistake that a test finds.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Literal

Language = Literal["fr", "en", "ar"]
LANGUAGES: tuple[Language, ...] = ("fr", "en", "ar")


class Words:
    """The texts of one language by their names; KeyError for a name that is not there."""

    def __init__(self, texts: dict[str, str | list[str]]) -> None:
        self._texts = texts
        self.names = frozenset(texts)

    def __getitem__(self, name: str) -> str:
        return str(self._texts[name])

    def list(self, name: str) -> tuple[str, ...]:
        """The sentences of that name."""
        return tuple(self._texts[name])


@functools.cache
def words(language: Language) -> Words:
    """The words of that language."""
    path = Path(__file__).parent / "words" / f"report.{language}.json"
    return Words(json.loads(path.read_text(encoding="utf-8")))
