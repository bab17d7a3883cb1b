"""The page's words, numbers and times in French and English.

Decided here: French unless the person chose English; times are those of the centre's own time zone and always say
their offset from UTC, because evidence is read elsewhere and later. The words are in translations/*.json, one flat
object each with the same keys.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from importlib import resources

LANGUAGES = ("fr", "en")
DEFAULT = "fr"
_UNITS: Mapping[str, tuple[str, ...]] = {"fr": ("o", "ko", "Mo", "Go", "To"), "en": ("B", "kB", "MB", "GB", "TB")}


class Language:
    """One language: `code` is `fr` or `en`."""

    def __init__(self, code: str, words: Mapping[str, str]) -> None:
        self.code = code
        self._words = words

    def say(self, key: str, **values: object) -> str:
        """The words for `key` with `values` put in; an unknown key is a programmer's mistake and raises KeyError."""
        return self._words[key].format(**values)

    def count(self, key: str, number: int) -> str:
        """`key.one` or `key.many` for this number (French counts zero as one)."""
        one = number in (0, 1) if self.code == "fr" else number == 1
        return self.say(f"{key}.{'one' if one else 'many'}", n=self.number(number))

    def has(self, key: str) -> bool:
        """Whether there are words for `key`."""
        return key in self._words

    def known(self, group: str, word: str) -> str:
        """The words for `group.word`, or the word itself where the software that wrote it is newer than this page."""
        key = f"{group}.{word}"
        return self._words.get(key, word)

    def number(self, value: int) -> str:
        """`12 345` or `12,345`."""
        return f"{value:,}".replace(",", "\u202f" if self.code == "fr" else ",")

    def decimal(self, value: float, digits: int = 1) -> str:
        """`1,5` or `1.5`."""
        text = f"{value:.{digits}f}"
        return text.replace(".", ",") if self.code == "fr" else text

    def size(self, size_bytes: int) -> str:
        """`3,4 Mo` or `3.4 MB` (powers of ten)."""
        units = _UNITS[self.code]
        value, unit = float(size_bytes), 0
        while value >= 999.5 and unit < len(units) - 1:
            value, unit = value / 1000, unit + 1
        return f"{self.decimal(value, 1 if unit and value < 99.5 else 0)}\u00a0{units[unit]}"

    def duration(self, duration_us: int) -> str:
        """`4 ms`, `7,4 s`, `3 min 05 s`, `2 h 10 min` or `4 j 2 h`."""
        if 0 < duration_us < 950_000:
            return f"{max(1, round(duration_us / 1000))}\u00a0ms"
        seconds = max(0, duration_us) / 1_000_000
        whole = round(seconds)
        if seconds < 59.5:
            return f"{self.decimal(seconds, 1 if seconds < 9.95 else 0)}\u00a0s"
        if whole < 3600:
            return f"{whole // 60}\u00a0min\u00a0{whole % 60:02d}\u00a0s"
        if whole < 86_400:
            return f"{whole // 3600}\u00a0h\u00a0{whole % 3600 // 60:02d}\u00a0min"
        return f"{whole // 86_400}\u00a0{self.say('unit.day')}\u00a0{whole % 86_400 // 3600}\u00a0h"

    def whole_duration(self, duration_us: int) -> str:
        """As `duration`, but with the seconds of hours too, where several are to add up visibly: `2 h 10 min 05 s`."""
        whole = round(max(0, duration_us) / 1_000_000)
        if whole < 3600:
            return self.duration(duration_us)
        return f"{whole // 3600}\u00a0h\u00a0{whole % 3600 // 60:02d}\u00a0min\u00a0{whole % 60:02d}\u00a0s"

    def moment(self, utc_us: int) -> str:
        """`23 nov. 2026, 10:21:05 UTC+1`."""
        at = datetime.fromtimestamp(utc_us // 1_000_000).astimezone()
        return f"{self.day(at)}, {at:%H:%M:%S} {_offset(at)}"

    def clock(self, utc_us: int) -> str:
        """`10:21:05`, for a time whose day and offset stand beside it."""
        return f"{datetime.fromtimestamp(utc_us // 1_000_000).astimezone():%H:%M:%S}"

    def day(self, at: datetime) -> str:
        """`23 nov. 2026`."""
        return f"{at.day} {self.say('months').split()[at.month - 1]} {at.year}"


def load_languages() -> dict[str, Language]:
    """Both languages, by code, from the package's translations."""
    folder = resources.files("sync.central.web") / "translations"
    return {code: Language(code, json.loads((folder / f"{code}.json").read_text("utf-8"))) for code in LANGUAGES}


def _offset(at: datetime) -> str:
    offset = at.utcoffset()
    minutes = int(offset.total_seconds()) // 60 if offset else 0
    if minutes == 0:
        return "UTC"
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'+' if minutes > 0 else '−'}{hours}" + (f":{rest:02d}" if rest else "")
