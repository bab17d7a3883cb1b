"""Writes the log as static files (C2SP tlog-tiles), for auditors, mirrors and any web server.

Decided here: a file that is there is never written again; an export goes on from the checkpoint that the folder has,
and only when the log still contains that one. The checkpoint is written last, so a folder never promises what it lacks.
Implements TL-15 to TL-17 of docs/spec/log.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sync.central.log import Log
from vedette import files, merkle, note, tiles
from vedette.errors import Integrity
from vedette.keys import PublicKey

FILE_MODE = 0o444


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """What an export did: the log's size now, and how many files it added."""

    size: int
    files: int


def export_log(log: Log, folder: Path, origin: str, public: PublicKey) -> Exported:
    """Bring `folder` up to the newest checkpoint; durable on return.

    Raises Integrity where the folder holds what this log does not contain, NotFound while the log is empty.
    """
    signed = log.checkpoint()
    checkpoint = note.open_checkpoint(signed, origin, public)
    folder.mkdir(parents=True, exist_ok=True)
    since = _exported(log, folder, checkpoint, public)
    written = 0
    for tile in tiles.tiles_of(checkpoint.size, since=since):
        path = folder / tile.path
        data = log.tile(tile, checkpoint.size)
        if path.exists():
            if files.read(path, max_bytes=len(data)) != data:
                raise Integrity(f"{path} holds other bytes than the log; the folder is not of this log")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_new(path, data, mode=FILE_MODE)
        written += 1
    files.replace(folder / tiles.CHECKPOINT_PATH, signed.encode(), mode=0o644)
    return Exported(size=checkpoint.size, files=written)


def _exported(log: Log, folder: Path, new: note.Checkpoint, public: PublicKey) -> int:
    """How many leaves the folder has already, when they are a prefix of this log."""
    path = folder / tiles.CHECKPOINT_PATH
    if not path.exists():
        return 0
    old = note.open_checkpoint(_text(path), new.origin, public)
    if old.size > new.size:
        raise Integrity(f"{folder} has {old.size} leaves and the log only {new.size}: the log was cut or restored")
    merkle.verify_consistency(old.size, new.size, old.root, new.root, log.consistency(old.size, new.size))
    return old.size


def _text(path: Path) -> str:
    try:
        return files.read(path, max_bytes=note.MAX_NOTE_BYTES).decode("utf-8")
    except UnicodeDecodeError:
        raise Integrity(f"{path} is not a checkpoint: it is not UTF-8") from None
