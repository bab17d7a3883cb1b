"""The device's spool: where a sealed item lies, when it counts as there, and how the folder is read back.

Implements docs/spec/spool.md. An item is a sealed file and a signed manifest beside it; the manifest's rename is the
commit point. Everything else in the folder is work in progress or debris that recovery names. Who writes the bytes
and who sends them is not decided here.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vedette import files
from vedette.clock import UUID7, check_uuid7
from vedette.errors import Integrity, VedetteError
from vedette.records import KINDS, MAX_RECORD_BYTES, Manifest, peek_manifest

QUARANTINE = "quarantine"


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One committed item: its sealed file, its signed manifest's bytes and what the manifest says."""

    item_id: str
    kind: str
    path: Path
    manifest_path: Path
    manifest: Manifest
    manifest_bytes: bytes

    @property
    def manifest_sha256(self) -> str:
        """The SHA-256 of the signed manifest's bytes, in hex; receipts name it."""
        return hashlib.sha256(self.manifest_bytes).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Bad:
    """A manifest in the spool that is no item, and why."""

    path: Path
    why: str


def make_folders(root: Path) -> None:
    """Create the spool's folders where they are missing."""
    for name in (*KINDS, QUARANTINE):
        (root / name).mkdir(parents=True, exist_ok=True, mode=0o750)


def final_path(root: Path, kind: str, item_id: str) -> Path:
    """Where the item's sealed file lies once it is complete."""
    return root / kind / f"{check_uuid7(item_id)}.{kind}.age"


def part_path(root: Path, kind: str, item_id: str) -> Path:
    """Where the item's sealed file is written."""
    return root / kind / f"{check_uuid7(item_id)}.{kind}.age.part"


def manifest_path(root: Path, kind: str, item_id: str) -> Path:
    """Where the item's signed manifest lies; the item exists from the moment this name does."""
    return root / kind / f"{check_uuid7(item_id)}.manifest"


def commit(root: Path, kind: str, item_id: str, manifest_bytes: bytes) -> Item:
    """Turn a written and fsynced `.part` file into an item: rename, fsync the folder, write the manifest.

    `write_new` of the manifest is last, so a crash before it leaves a sealed file without a manifest, which the
    owner's recovery completes, and never a manifest without its file.
    """
    final = final_path(root, kind, item_id)
    os.replace(part_path(root, kind, item_id), final)
    files.fsync_dir(final.parent)
    files.write_new(manifest_path(root, kind, item_id), manifest_bytes)
    return load(manifest_path(root, kind, item_id))


def load(path: Path) -> Item:
    """The item whose manifest is at `path`; `Integrity` when name, place, size and manifest do not agree."""
    manifest_bytes = files.read(path, max_bytes=MAX_RECORD_BYTES)
    manifest = peek_manifest(manifest_bytes)
    sealed = path.with_name(f"{manifest.item}.{manifest.kind}.age")
    if path.name != f"{manifest.item}.manifest" or path.parent.name != manifest.kind:
        raise Integrity(f"{path.name}: the manifest inside is of {manifest.kind} {manifest.item}")
    if not sealed.is_file() or sealed.stat().st_size != manifest.sealed_size:
        raise Integrity(f"{path.name}: its sealed file is missing or not {manifest.sealed_size} bytes long")
    return Item(
        item_id=manifest.item,
        kind=manifest.kind,
        path=sealed,
        manifest_path=path,
        manifest=manifest,
        manifest_bytes=manifest_bytes,
    )


def item_ids(root: Path) -> Iterator[tuple[str, str, Path]]:
    """(kind, item id, manifest path) of every manifest name in the spool, oldest first; nothing is opened."""
    for kind in KINDS:
        folder = root / kind
        names = sorted(entry.name for entry in os.scandir(folder)) if folder.is_dir() else []
        for name in names:
            item_id = name.removesuffix(".manifest")
            if name.endswith(".manifest") and UUID7.fullmatch(item_id):
                yield kind, item_id, folder / name


def scan(root: Path) -> tuple[list[Item], list[Bad]]:
    """Every item in the spool, and every manifest that is none with the reason; a bad one hides no good one."""
    items: list[Item] = []
    bad: list[Bad] = []
    for _kind, _item_id, path in item_ids(root):
        try:
            items.append(load(path))
        except VedetteError as error:
            bad.append(Bad(path=path, why=str(error)))
    return items, bad
