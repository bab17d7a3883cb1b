"""Evidence that travels by hand: the device's half of the USB or SD carrier.

Decided here: what goes onto a medium first, how a copy becomes an item there, and what a receipt that comes back must
hold before it counts. Nothing on the device is deleted here: a receipt laid into `receipts/` lets the keeper do so, and
a copy on the medium goes once the centre has signed for it. Implements ME-1 to ME-8 of docs/spec/medium.md.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vedette import files, spool
from vedette.clock import UUID7
from vedette.config import DeviceConfig
from vedette.errors import Integrity, NotFound, Refused, VedetteError
from vedette.records import KINDS, check_receipt, keyring, open_receipt
from vedette.trust import Trust, load_trust
from vedette.wire import MAX_SIGNED_BYTES

FOLDER = "vedette"
RECEIPTS = "receipts"
SPARE_BYTES = 16 << 20
_PIECE_BYTES = 1 << 20
_PART = ".part"


@dataclass(kw_only=True, slots=True)
class Report:
    """What became of each item: ids, and for what did not go the reason by id or file name."""

    done: list[str] = field(default_factory=list)
    already: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    bytes: int = 0


def device_folder(medium: Path, device: str) -> Path:
    """Where a device's items lie on a medium; `NotFound` when the medium is not there."""
    if not medium.is_dir():
        raise NotFound(f"{medium} is not there; mount the medium and name its folder")
    return medium / FOLDER / device


def carry_out(config: DeviceConfig, medium: Path, only: Iterable[str] | None = None) -> Report:
    """Copy every item without a receipt onto the medium, most urgent and then oldest first, as far as it has room.

    `only` limits it to these ids. Raises NotFound when the medium is not there and Refused when it takes no file.
    """
    root = device_folder(medium, config.device.id)
    make_folders(root)
    for path in root.glob(f"*/*{_PART}"):  # what an earlier, broken-off run left
        path.unlink()
    report = Report()
    wanted = None if only is None else set(only)
    for item in waiting(config, report):
        if wanted is None or item.item_id in wanted:
            _copy_item(item, root, report)
    return report


def make_folders(root: Path) -> None:
    """The folders of one device on a medium; `Refused` when the medium does not take them."""
    try:
        for name in (*KINDS, RECEIPTS):
            (root / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(f"{root} cannot be made: {error.strerror}; is the medium writable?") from None


def waiting(config: DeviceConfig, report: Report) -> Iterator[spool.Item]:
    """The spooled items that have no receipt, in the order of sending; what is no item is named in `report.left`."""
    items, bad = spool.scan(config.spool)
    for one in bad:
        report.left[one.path.name] = one.why
    for item in sorted(items, key=lambda one: (one.manifest.priority, one.item_id)):
        if not (config.receipts / f"{item.item_id}.receipt").exists():
            yield item


def _copy_item(item: spool.Item, root: Path, report: Report) -> None:
    manifest = root / item.kind / item.manifest_path.name
    if _is_same(manifest, item):
        report.already.append(item.item_id)
        return
    free = _free_bytes(root)
    if free < item.manifest.sealed_size + SPARE_BYTES:
        report.left[item.item_id] = f"no room: {item.manifest.sealed_size} bytes, {free} free"
        return
    try:
        _copy(item.path, root / item.kind / item.path.name, item.manifest.sealed_sha256)
        write(manifest, item.manifest_bytes)
    except FileNotFoundError:
        report.left[item.item_id] = "it has just left the spool"
    except (VedetteError, OSError) as error:
        report.left[item.item_id] = str(error)
    else:
        report.done.append(item.item_id)
        report.bytes += item.manifest.sealed_size


def _is_same(manifest: Path, item: spool.Item) -> bool:
    try:
        return spool.load(manifest).manifest_bytes == item.manifest_bytes
    except (VedetteError, OSError):
        return False


def _copy(source: Path, target: Path, sha256: str) -> None:
    """Copy, durable before it has its name; `Integrity` when the source's bytes have another hash."""
    beside = target.with_name(target.name + _PART)
    digest = hashlib.sha256()
    try:
        with source.open("rb") as read, beside.open("wb") as written:
            while piece := read.read(_PIECE_BYTES):
                digest.update(piece)
                written.write(piece)
            written.flush()
            os.fsync(written.fileno())
        if digest.hexdigest() != sha256:
            raise Integrity(f"{source.name}: its bytes are not those of its manifest")
        beside.replace(target)
        files.fsync_dir(target.parent)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write(path: Path, data: bytes) -> None:
    """Write a small file on a medium by rename, durable on return; a FAT file system has no links."""
    beside = path.with_name(path.name + _PART)
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    files.fsync_dir(path.parent)


def _free_bytes(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def bring_receipts(config: DeviceConfig, medium: Path) -> Report:
    """Take in the receipts that the centre left on the medium, for the keeper; copies they vouch for leave the medium.

    Raises NotFound when the medium, or this device on it, is not there. A receipt that does not hold is named in
    `left`, changes nothing and stays where it is.
    """
    root = device_folder(medium, config.device.id)
    if not (root / RECEIPTS).is_dir():
        raise NotFound(f"{root / RECEIPTS} is not there: the medium has nothing for {config.device.id}")
    trust = load_trust(config.trust)
    report = Report()
    for path in sorted((root / RECEIPTS).glob("*.receipt")):
        if UUID7.fullmatch(path.stem) is None:
            report.left[path.name] = "its name is not the id of an item"
            continue
        try:
            receipt = files.read(path, max_bytes=MAX_SIGNED_BYTES)
            _take_receipt(config, trust, path.stem, receipt, report)
            _drop_copy(root, path.stem)
        except (VedetteError, OSError) as error:
            report.left[path.stem] = str(error)
    return report


def _take_receipt(config: DeviceConfig, trust: Trust, item_id: str, receipt: bytes, report: Report) -> None:
    kept = config.receipts / f"{item_id}.receipt"
    body = open_receipt(receipt, keyring(trust.centre))
    item = _item(config.spool, item_id)
    if item is None and body.item == item_id:
        report.already.append(item_id)
        return
    if item is None:
        raise Integrity(f"this is the receipt of item {body.item}")
    check_receipt(body, item.manifest, item.manifest_sha256)
    if kept.exists() and kept.read_bytes() == receipt:
        report.already.append(item_id)
        return
    files.replace(kept, receipt)
    report.done.append(item_id)
    report.bytes += item.manifest.sealed_size


def _item(root: Path, item_id: str) -> spool.Item | None:
    for kind in KINDS:
        path = spool.manifest_path(root, kind, item_id)
        if path.exists():
            return spool.load(path)
    return None


def _drop_copy(root: Path, item_id: str) -> None:
    """Make room on the medium: the sealed copy, its manifest, then the receipt."""
    for kind in KINDS:
        spool.final_path(root, kind, item_id).unlink(missing_ok=True)
        spool.manifest_path(root, kind, item_id).unlink(missing_ok=True)
    (root / RECEIPTS / f"{item_id}.receipt").unlink(missing_ok=True)
