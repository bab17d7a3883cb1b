"""One car is one hit: which plates were raised a moment ago, remembered over a restart of the reader.

Decided here (docs/spec/hit.md, HT-30 to HT-34): a repeat is the same plate text within `repeat_s` of when it was last
matched. The memory is a file in the run folder, which is not on a disk; it holds keyed hashes, their key and times of
the monotonic clock, so it ends with the boot. A hit noted but never committed is forgotten, and raised again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vedette import canonical, files
from vedette.errors import VedetteError
from vedette.fields import Fields

MAX_REMEMBERED = 4096
MAX_FILE_BYTES = 1 << 20
WRITE_EVERY_US = 5_000_000


@dataclass(kw_only=True, slots=True)
class _Raised:
    name: str
    item: str
    seen_us: int


class Repeats:
    """The plates raised lately; times are of the monotonic clock."""

    def __init__(self, path: Path, *, repeat_us: int, is_committed: Callable[[str], bool], now_us: int) -> None:
        """Take over what an earlier reader left at `path`, less what `is_committed` does not know."""
        self._path = path
        self._repeat_us = repeat_us
        self._key = os.urandom(16)
        self._raised: dict[str, _Raised] = {}
        self._written_us = 0
        for one in self._read():
            if one.seen_us <= now_us and is_committed(one.item):
                self._raised[one.name] = one

    def seen(self, plate: str, now_us: int) -> bool:
        """Whether `plate` was raised within the time; if so the time begins again, so a car followed is one hit."""
        one = self._raised.get(self._name(plate))
        if one is None or now_us - one.seen_us > self._repeat_us:
            return False
        one.seen_us = now_us
        if now_us - self._written_us >= WRITE_EVERY_US:
            self._write(now_us)
        return True

    def note(self, plate: str, item: str, now_us: int) -> None:
        """Remember that `plate` is raised as hit `item`; call before the hit is committed."""
        name = self._name(plate)
        self._raised.pop(name, None)
        self._raised[name] = _Raised(name=name, item=item, seen_us=now_us)
        while len(self._raised) > MAX_REMEMBERED:
            del self._raised[next(iter(self._raised))]
        self._write(now_us)

    def forget(self, item: str, now_us: int) -> None:
        """Hit `item` was given up before it reached the disk: its plate may be raised again."""
        self._raised = {name: one for name, one in self._raised.items() if one.item != item}
        self._write(now_us)

    def _name(self, plate: str) -> str:
        return hashlib.blake2b(plate.encode("utf-8"), digest_size=16, key=self._key).hexdigest()

    def _read(self) -> list[_Raised]:
        try:
            fields = Fields(canonical.loads(files.read(self._path, max_bytes=MAX_FILE_BYTES)), "repeats")
            self._key = bytes.fromhex(fields.text("key"))
            rows = fields.objects("raised", most=MAX_REMEMBERED)
            return [_Raised(name=r.text("name"), item=r.uuid7("item"), seen_us=r.integer("seen_us")) for r in rows]
        except (VedetteError, ValueError):
            return []

    def _write(self, now_us: int) -> None:
        live = [one for one in self._raised.values() if now_us - one.seen_us <= self._repeat_us]
        rows = [{"name": one.name, "item": one.item, "seen_us": one.seen_us} for one in live]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_name(f".{self._path.name}.tmp")
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(canonical.dumps({"key": self._key.hex(), "raised": rows}))
        os.replace(beside, self._path)
        self._written_us = now_us
