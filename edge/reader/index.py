"""The watchlist as the reader asks it: which entries have exactly this plate, for a million entries in microseconds.

Decided here: sorted 64-bit hashes (BLAKE2b with a key made anew in each process) beside the byte offsets of the
entries' lines in the verified list; a find is confirmed by comparing the whole text (docs/spec/watchlist.md, WL-40 and
WL-41). Nothing of it is ever written. It is built in slices, so that a reader with a large new list keeps looking.
"""

from __future__ import annotations

import hashlib
import os

import numpy as np

from vedette.errors import Integrity
from vedette.watchlist import WatchEntry, WatchList

SLICE_ENTRIES = 20_000
_PREFIX = b'{"plate":"'


class Index:
    """Exact lookup in one verified list; made by `IndexBuilder`."""

    def __init__(self, watchlist: WatchList, key: bytes, hashes: np.ndarray, offsets: np.ndarray) -> None:
        order = np.argsort(hashes, kind="stable")
        self.watchlist = watchlist
        self._key = key
        self._hashes = hashes[order]
        self._offsets = offsets[order]

    def find(self, plate: str) -> list[WatchEntry]:
        """Every entry whose plate equals `plate`; `Integrity` when such an entry is malformed."""
        wanted = np.uint64(_hash(hashlib.blake2b(digest_size=8, key=self._key), plate.encode("utf-8")))
        at = int(np.searchsorted(self._hashes, wanted))
        found = []
        while at < len(self._hashes) and self._hashes[at] == wanted:
            entry = self.watchlist.entry_at(int(self._offsets[at]))
            if entry.plate == plate:
                found.append(entry)
            at += 1
        return found


class IndexBuilder:
    """Builds an `Index` a slice at a time."""

    def __init__(self, watchlist: WatchList, *, key: bytes | None = None) -> None:
        self._watchlist = watchlist
        self._key = os.urandom(16) if key is None else key
        self._hashes = np.empty(watchlist.count, np.uint64)
        self._offsets = np.empty(watchlist.count, np.uint64)
        self._done = 0
        self._at = watchlist.start

    def step(self, entries: int = SLICE_ENTRIES) -> Index | None:
        """Take in up to `entries` more; the index once all are in. `Integrity` when a line is no entry."""
        signed, fresh = self._watchlist.signed, hashlib.blake2b(digest_size=8, key=self._key)
        for number in range(self._done, min(self._done + entries, self._watchlist.count)):
            begin = self._at + len(_PREFIX)
            end = signed.find(b'"', begin)
            if end < 0 or signed[self._at : begin] != _PREFIX:
                raise Integrity(f"watchlist version {self._watchlist.version}: line {number + 2} is no entry")
            self._hashes[number] = _hash(fresh.copy(), signed[begin:end])
            self._offsets[number] = self._at
            self._at = signed.index(b"\n", end) + 1
            self._done = number + 1
        if self._done < self._watchlist.count:
            return None
        return Index(self._watchlist, self._key, self._hashes, self._offsets)


def build(watchlist: WatchList) -> Index:
    """The index of a whole list at once."""
    index = IndexBuilder(watchlist).step(max(1, watchlist.count))
    assert index is not None
    return index


def _hash(fresh: hashlib.blake2b, plate: bytes) -> int:
    fresh.update(plate)
    return int.from_bytes(fresh.digest(), "little")
