"""The keeper's other duty: the ring of what nobody activated loses its oldest, by the policy's hours and by room.

Decided here: what goes is decided under the ring's lock, so that it is never what was claimed meanwhile; the decision
is durable before a byte is gone, and custody names each segment, its times, its hash and the reason before the last
trace of the decision goes, so that a crash between them is finished by the next run. Nothing in the spool is touched
here: there only a receipt deletes. Which segments must go is decided in `edge.ring`. Implements RI-7 to RI-11 of
docs/spec/ring.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from edge import ring
from edge.ring import Bounds, Kept, Now
from vedette import files
from vedette.custody_entry import DetailValue
from vedette.errors import VedetteError
from vedette.keys import PublicKey

LOOK_US = 5_000_000
MAX_PER_LOOK = 64
MAX_READ = 512

Say = Callable[[str, str | None, dict[str, DetailValue]], None]


class RingKeeper:
    """Deletes what the ring may no longer hold; `say` writes into the keeper's custody."""

    def __init__(self, folder: Path, *, hours: int, most_bytes: int, public: PublicKey, say: Say) -> None:
        """`hours` 0 keeps nothing; `public` is the device's own key, which signed the ring's records."""
        self._folder, self._public, self._say = folder, public, say
        self._keep_us, self._most_bytes = hours * ring.HOUR_US, most_bytes
        self._known: dict[str, Kept | None] = {}
        self._look_us = 0
        self.evicted = self.evicted_bytes = 0

    @property
    def size_bytes(self) -> int:
        """What the ring's whole segments took at the last look, which is what it can give."""
        return sum(one.ending.sealed_size for one in self._known.values() if one is not None)

    def look(self, now: Now, *, short_bytes: int) -> None:
        """Every few seconds decide what goes and delete it; `short_bytes` is what the disk lacks for everything else.

        Raises OSError where the disk refuses, and what `say` raises; the next look goes on from there.
        """
        if now.mono_us < self._look_us or not self._folder.is_dir():
            return
        self._look_us = now.mono_us + LOOK_US
        self._finish()
        with ring.locked(self._folder) as is_ours:
            if is_ours:
                self._decide(now, short_bytes)
        self._finish()

    def _decide(self, now: Now, short_bytes: int) -> None:
        """Mark what goes, by the name of its record; durable on return."""
        kept = self._read()
        bounds = Bounds(
            keep_us=self._keep_us, most_bytes=self._most_bytes, other_bytes=self._others(), short_bytes=short_bytes
        )
        going = ring.evictable(kept, ring.load_claims(self._folder), bounds, now=now)[:MAX_PER_LOOK]
        for one, why in going:
            os.replace(self._folder / f"{one.item}{ring.KEPT}", self._folder / f"{one.item}.{why}{ring.GOING}")
        if going:
            files.fsync_dir(self._folder)
        for item in ring.named(self._folder, ring.UNEXPLAINED)[:MAX_PER_LOOK]:
            if ring.born_us(item) + self._keep_us <= now.utc_us:
                self._say("ring.evicted", item, {"why": "age", "unexplained": True})
                files.remove(self._folder / f"{item}{ring.UNEXPLAINED}")

    def _finish(self) -> None:
        """Delete what was decided to go: its bytes, then the line in custody, then the last name."""
        for name in ring.named(self._folder, ring.GOING):
            item, why = name[:36], name[37:]
            record, sealed = self._folder / f"{name}{ring.GOING}", ring.sealed_path(self._folder, item)
            freed = sealed.stat().st_size if sealed.exists() else 0
            files.remove(sealed)
            self._say("ring.evicted", item, {"why": why, **self._detail(record)})
            files.remove(self._folder / f"{item}{ring.SHARED}")
            files.remove(record)
            self._known.pop(item, None)
            self.evicted += 1
            self.evicted_bytes += freed

    def _read(self) -> list[Kept]:
        """The ring's segments; records are read once, `MAX_READ` new ones at most, oldest first."""
        names = ring.named(self._folder, ring.KEPT)
        self._known = {item: self._known[item] for item in names if item in self._known}
        for item in [item for item in names if item not in self._known][:MAX_READ]:
            try:
                self._known[item] = ring.load_kept(self._folder / f"{item}{ring.KEPT}", self._public)
            except VedetteError:
                self._known[item] = None
                self._disown(item)
        return [one for item, one in self._known.items() if one is not None and self._has_file(item)]

    def _disown(self, item: str) -> None:
        """A segment whose record is none of ours: custody does not explain it, and it goes when its hours are over."""
        sealed = ring.sealed_path(self._folder, item)
        if sealed.exists():
            os.replace(sealed, self._folder / f"{item}{ring.UNEXPLAINED}")
        files.remove(self._folder / f"{item}{ring.SHARED}")
        files.remove(self._folder / f"{item}{ring.KEPT}")

    def _has_file(self, item: str) -> bool:
        return ring.sealed_path(self._folder, item).exists()

    def _others(self) -> int:
        """The bytes of what is no whole segment: the one being written, and what custody does not explain."""
        size = 0
        for ending in (f"{ring.SEALED}.part", ring.UNEXPLAINED):
            for item in ring.named(self._folder, ending):
                with suppress(FileNotFoundError):
                    size += (self._folder / f"{item}{ending}").stat().st_size
        return size

    def _detail(self, record: Path) -> dict[str, DetailValue]:
        try:
            kept = ring.load_kept(record, self._public)
        except VedetteError:
            return {"unexplained": True}
        return {
            "hours": self._keep_us // ring.HOUR_US,
            "started_us": kept.facts.started_us,
            "media_us": kept.ending.media_us,
            "sealed_size": kept.ending.sealed_size,
            "sealed_sha256": kept.ending.sealed_sha256,
        }
