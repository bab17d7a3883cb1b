"""Keeps blobs that are whole: small ones of a folder at once, others beside ingest's other work.

Decided here: which are small enough that hashing them holds nobody up, that a hit's bytes have threads of their own and
never wait for a recording's, and that what becomes of each is told on ingest's own thread. The pool's threads only
hash, upload and read back; rows are never their business. At most as much waits as the receiver has uploads open.
Implements CS-11 of docs/spec/case-store.md.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from sync.central.blobs import BlobStore
from sync.credit import URGENT_PRIORITY
from sync.receiver import Seal

THREADS = 4
AT_ONCE_BYTES = 1 << 20


class Adopting:
    """What is on its way into the store of blobs."""

    def __init__(self, blobs: BlobStore) -> None:
        self._pools = _pools()
        self._most_at_once = 0 if blobs.is_far else AT_ONCE_BYTES
        self._under_way: list[tuple[Seal, Future[None]]] = []

    def __len__(self) -> int:
        return len(self._under_way)

    @property
    def items(self) -> frozenset[str]:
        """The items whose bytes are on their way."""
        return frozenset(seal.init.item for seal, _future in self._under_way)

    def begin(self, seal: Seal, keep: Callable[[], None]) -> None:
        """Have `keep` called; `done` tells what came of it."""
        if seal.init.size <= self._most_at_once:
            future: Future[None] = Future()
            try:
                keep()
                future.set_result(None)
            except Exception as error:
                future.set_exception(error)
        else:
            urgent = seal.init.priority <= URGENT_PRIORITY
            future = self._pools[0 if urgent else 1].submit(keep)
        self._under_way.append((seal, future))

    def done(self, most: int) -> list[tuple[Seal, Callable[[], None]]]:
        """Up to `most` that have ended, the urgent first: each with a call that raises what went wrong with it."""
        ended = sorted((one for one in self._under_way if one[1].done()), key=lambda one: one[0].init.priority)[:most]
        self._under_way = [one for one in self._under_way if one not in ended]
        return [(seal, future.result) for seal, future in ended]


def _pools() -> tuple[ThreadPoolExecutor, ThreadPoolExecutor]:
    return (
        ThreadPoolExecutor(THREADS, thread_name_prefix="blobs-urgent"),
        ThreadPoolExecutor(THREADS, thread_name_prefix="blobs-bulk"),
    )
