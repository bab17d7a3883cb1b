"""Bytes on their way in: `incoming/<worker>/<item>.part` and, in the database, which parts of it are durable.

Decided here: data is fsynced before the row that says so is committed, so after any crash the row never claims
more than the disk holds; bulk's is written on a thread of its own, of uploads that are open still; no worker touches
another's bytes or rows; how much unfinished business one device may leave lying. Implements RC-8 and RC-10 of
docs/spec/receipt.md.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sync.central.receipts import NotTaken
from sync.central.store import Store
from sync.parts import PartSet
from vedette import canonical, files
from vedette.clock import check_uuid7
from vedette.wire import Init, Ranges, RefuseCode, parts_of

MAX_AT_REST_PER_DEVICE = 64
MIN_FREE_BYTES = 64 << 20
MAX_ROWS = 1 << 53
FLUSHING_THREADS = 8


@dataclass(kw_only=True, slots=True, eq=False)
class _Open:
    device: str
    file: BinaryIO
    part_size: int
    durable: PartSet


@dataclass(kw_only=True, slots=True)
class Flush:
    """Writes that are becoming durable beside other work: which parts of which open uploads; `Incoming.end_sync`."""

    parts: list[tuple[str, Ranges]]
    uploads: list[_Open]
    future: Future[None]

    @property
    def is_over(self) -> bool:
        """Whether the disk has answered."""
        return self.future.done()


class Incoming:
    """The unfinished uploads of one ingest worker; files are open from `open` to `close`, `discard` or `whole`."""

    def __init__(self, store: Store, worker: str) -> None:
        self._store = store
        self._worker = worker
        self._folder = store.folder / "incoming" / worker
        self._folder.mkdir(exist_ok=True, mode=0o750)
        self._open: dict[str, _Open] = {}
        self._flushing = ThreadPoolExecutor(FLUSHING_THREADS, thread_name_prefix="incoming")
        self._flushing_beside = ThreadPoolExecutor(FLUSHING_THREADS, thread_name_prefix="incoming-beside")
        self._remembering = ThreadPoolExecutor(1, thread_name_prefix="incoming-remembering")
        self._closing = threading.Lock()  # held while rows of open uploads are written on another thread
        self.sweep()

    def owner(self, item: str) -> str | None:
        """The device whose upload of `item` is unfinished; None when there is none."""
        if item in self._open:
            return self._open[item].device
        row = self._row("device", item)
        return None if row is None else str(row[0])

    def open(self, device: str, init: Init, part_size: int) -> tuple[int, Ranges]:
        """Open the bytes of `init`, begun anew or taken up again: (their part size, the parts that are durable).

        `NotTaken` when the disk has no room for it.
        """
        self.close(device, init.item)
        path = self.path(init.item)
        kept = self._kept(init.item)
        if kept is None or not path.is_file():
            self._make_room(device, init.size)
            if kept is not None:  # or a crash would leave a row that claims parts of a file begun anew
                self._forget(init.item)
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640))
            kept = part_size, ()
        part_size, have = kept
        durable = PartSet(parts_of(init.size, part_size), have)
        self._open[init.item] = _Open(
            device=device, file=path.open("r+b", buffering=0), part_size=part_size, durable=durable
        )
        return part_size, durable.ranges

    def write(self, item: str, offset: int, payload: bytes | memoryview) -> None:
        """Put one part's bytes at `offset`; durable only after `sync`."""
        descriptor = self._open[item].file.fileno()
        view = memoryview(payload)
        while view:
            written = os.pwrite(descriptor, view, offset)
            view, offset = view[written:], offset + written

    def sync(self, parts: Sequence[tuple[str, Ranges]]) -> None:
        """Make what was written durable and remember it: for each item, the parts that were added."""
        self._flush([self._open[item].file.fileno() for item, _ranges in parts])
        self._remember(parts)

    def begin_sync(self, parts: Sequence[tuple[str, Ranges]]) -> Flush:
        """As `sync`, beside other work, which nobody waits for; `end_sync` tells what came of it."""
        uploads = [self._open[item] for item, _ranges in parts]
        # Descriptors of their own, as an upload may be closed meanwhile.
        descriptors = [os.dup(upload.file.fileno()) for upload in uploads]
        return Flush(
            parts=list(parts),
            uploads=uploads,
            future=self._remembering.submit(self._sync_beside, descriptors, list(zip(parts, uploads, strict=True))),
        )

    def _sync_beside(self, descriptors: Sequence[int], added: Sequence[tuple[tuple[str, Ranges], _Open]]) -> None:
        """On a thread of its own. What was closed meanwhile is not remembered: its file may have been begun anew."""
        futures = [self._flushing_beside.submit(_make_durable, descriptor) for descriptor in descriptors]
        for future in futures:
            future.result()
        with self._closing:
            self._remember([(item, ranges) for (item, ranges), upload in added if self._open.get(item) is upload])

    def open_still(self, flush: Flush) -> set[str]:
        """The items of those uploads that were not closed meanwhile; one that was begun anew is another."""
        return {
            item
            for (item, _ranges), upload in zip(flush.parts, flush.uploads, strict=True)
            if self._open.get(item) is upload
        }

    def end_sync(self, flush: Flush) -> None:
        """Raises what went wrong; else all of it is remembered, of the uploads that were open still."""
        flush.future.result()

    def _remember(self, parts: Sequence[tuple[str, Ranges]]) -> None:
        for item, ranges in parts:
            for first, last in ranges:
                self._open[item].durable.add(first, last)
        now_us = self._store.clock.utc_us()
        sql = (
            "INSERT INTO transfers (worker, item, device, part_size, have, updated_us) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (worker, item) DO UPDATE SET have = excluded.have, updated_us = excluded.updated_us"
        )
        with self._store.adding() as db:
            for item, _ranges in parts:
                upload = self._open[item]
                have = canonical.dumps([list(pair) for pair in upload.durable.ranges])
                db.execute(sql, [self._worker, item, upload.device, upload.part_size, have, now_us])

    def _flush(self, descriptors: Sequence[int]) -> None:
        """Make every file's bytes durable; several at once, since the disk's own commit takes them together."""
        if len(descriptors) == 1:
            os.fdatasync(descriptors[0])
        else:
            list(self._flushing.map(os.fdatasync, descriptors))

    def is_whole(self, device: str, init: Init) -> bool:
        """Whether every part of this device's upload had become durable, be the file still here or not."""
        kept = self._kept(init.item)
        if kept is None or self.owner(init.item) != device:
            return False
        return PartSet(parts_of(init.size, kept[0]), kept[1]).complete

    def whole(self, item: str) -> Path:
        """The finished file, closed, every byte of it synced before; its hash is the caller's to check."""
        with self._closing:
            upload = self._open.pop(item)
        upload.file.close()
        return self.path(item)

    def close(self, device: str, item: str) -> None:
        """Close this device's file and keep what is durable; one that is not open, or is another device's, stays so."""
        upload = self._open.get(item)
        if upload is not None and upload.device == device:
            with self._closing:
                del self._open[item]
            upload.file.close()
            if not upload.durable.count:
                self.path(item).unlink(missing_ok=True)

    def discard(self, item: str) -> None:
        """Forget an upload that is not open and delete its bytes."""
        self._forget(item)
        files.remove(self.path(item))

    def path(self, item: str) -> Path:
        """Where the bytes of `item` gather; `Integrity` for an id that is not a UUIDv7."""
        return self._folder / f"{check_uuid7(item)}.part"

    def _kept(self, item: str) -> tuple[int, Ranges] | None:
        row = self._row("part_size, have", item)
        if row is None:
            return None
        return int(row[0]), tuple((first, last) for first, last in canonical.loads(bytes(row[1])))

    def _row(self, columns: str, item: str) -> tuple[Any, ...] | None:
        sql = f"SELECT {columns} FROM transfers WHERE worker = ? AND item = ?"
        row: tuple[Any, ...] | None = self._store.db.execute(sql, [self._worker, item]).fetchone()
        return row

    def _forget(self, item: str) -> None:
        self._store.db.execute("DELETE FROM transfers WHERE worker = ? AND item = ?", [self._worker, item])

    def sweep(self, leaving: Collection[str] = ()) -> None:
        """Delete what nobody will go on with: the bytes of items that came by another worker meanwhile, and files of
        which nothing is known to be durable. What is open, and what is `leaving` for the store of blobs, stays.
        """
        sql = "SELECT item, item IN (SELECT item FROM items) FROM transfers WHERE worker = ?"
        rows = self._store.db.execute(sql, [self._worker]).fetchall()
        used = {*self._open, *leaving}
        for item in [item for item, is_stored in rows if is_stored and item not in used]:
            self.discard(item)
        kept = {*used, *(item for item, is_stored in rows if not is_stored)}
        for path in self._folder.iterdir():
            if path.stem not in kept:
                path.unlink(missing_ok=True)

    def _make_room(self, device: str, size: int) -> None:
        rows = self._store.db.execute(
            "SELECT item FROM transfers WHERE worker = ? AND device = ? ORDER BY updated_us DESC LIMIT ? OFFSET ?",
            [self._worker, device, MAX_ROWS, MAX_AT_REST_PER_DEVICE - 1],
        ).fetchall()
        for (item,) in rows:
            if item not in self._open:
                self.discard(item)
        free = shutil.disk_usage(self._folder).free
        if free < size + MIN_FREE_BYTES:
            text = f"the centre's disk has {free >> 20} MiB left and needs {(size + MIN_FREE_BYTES) >> 20}"
            raise NotTaken(RefuseCode.BUSY, text)


def _make_durable(descriptor: int) -> None:
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
