"""Copies of closed journal files, sealed, as spool items of kind `custody`; and their deletion once the centre has
them.

Decided here: one closed file becomes exactly one item, whenever a crash falls. The item's id is drawn once and
rests in `<first seq>.item` beside the file before anything of the item is written; the marker also names the sealed
bytes once they are committed. Implements CJ-16 to CJ-18 of docs/spec/custody-journal.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vedette import canonical, files, sealed, spool
from vedette.clock import uuid7
from vedette.custody_entry import Entry, parse_line
from vedette.custody_tail import MAX_FILE_BYTES, keep_head, newest_name
from vedette.errors import Integrity, NotFound, Refused
from vedette.fields import Fields
from vedette.identity import Identity
from vedette.records import MANIFEST, PRIORITY_CUSTODY, JournalHead, Manifest, sign_record

if TYPE_CHECKING:
    from vedette.custody import Journal

MAX_MARKER_BYTES = 512


def seal_closed(
    journal: Journal, spool_root: Path, recipients: Sequence[sealed.Recipient], *, identity: Identity
) -> list[spool.Item]:
    """Copy every closed file that has no copy yet, sealed, into the spool as an item of kind `custody`; returns the
    new items. Files that were seen to have one are not looked at again in a run, however many there are.

    The item's id is drawn once and kept in `<first seq>.item` beside the file before anything else is written, so
    that a crash at any point leads to the same item again and never to two.
    """
    spool.make_folders(spool_root)
    items = []
    for path in journal.unsealed_files():
        try:
            item = _seal_once(journal, path, spool_root, recipients, identity)
        except NotFound:
            continue  # The keeper deleted the file since it was looked for: its copy is at the centre.
        except Integrity as error:
            journal.note_damage(path.name, str(error))
            continue
        journal.note_sealed(path)
        items += [item] if item else []
    return items


def _seal_once(
    journal: Journal, path: Path, root: Path, recipients: Sequence[sealed.Recipient], identity: Identity
) -> spool.Item | None:
    marker = path.with_suffix(".item")
    if not path.exists():
        return None
    try:
        item_id, is_sealed = _read_marker(marker)
    except Integrity as error:
        journal.note_damage(marker.name, str(error))
        files.remove(marker)
        item_id, is_sealed = None, False
    if is_sealed:
        return None
    if item_id is None:
        item_id = uuid7(journal.clock)
        files.write_new(marker, _marker(item_id, None))
    item = _seal_file(journal, path, item_id, root, recipients, identity)
    files.replace(marker, _marker(item_id, item.manifest.sealed_sha256))
    return item


def drop_sealed(journal_root: Path, item_id: str, *, first_seq: int | None = None) -> list[Path]:
    """Delete the closed journal file whose copy is item `item_id`; returns the files deleted (none where it is of
    no journal here).

    The caller is the keeper, has checked the item's receipt, and deletes the item itself only after this.
    `journal_root` is the folder with one folder per service. Where the item's manifest names the file's `first_seq`,
    that file is looked at first, and all of them only where it is not the one.
    """
    named = [] if first_seq is None else sorted(journal_root.glob(f"*/{first_seq:012d}.item"))
    return _drop_of(named, item_id) or _drop_of(sorted(journal_root.glob("*/*.item")), item_id)


def _drop_of(markers: Sequence[Path], item_id: str) -> list[Path]:
    dropped = []
    for marker in markers:
        journal = marker.with_suffix(".jsonl")
        if _item_of(marker) == item_id and _may_go(journal):
            files.remove(journal)
            files.remove(marker)
            dropped.append(journal)
    return dropped


def _item_of(marker: Path) -> str | None:
    """The marker's item, committed or not: a receipt for it is proof enough that it was. None where the marker is
    damaged.
    """
    try:
        return _read_marker(marker)[0]
    except Integrity:
        return None


def _may_go(journal: Path) -> bool:
    """The newest file may go only once its last line, which the next one follows, is kept elsewhere."""
    return keep_head(journal) if journal.name == newest_name(journal.parent) else True


def _seal_file(
    journal: Journal, path: Path, item_id: str, root: Path, recipients: Sequence[sealed.Recipient], identity: Identity
) -> spool.Item:
    committed = spool.manifest_path(root, "custody", item_id)
    if committed.exists():
        return spool.load(committed)
    spool.final_path(root, "custody", item_id).unlink(missing_ok=True)
    plain = _read_closed(path)
    ciphertext = sealed.seal(plain, recipients)
    files.replace(spool.part_path(root, "custody", item_id), ciphertext)
    manifest = _manifest(journal, item_id, plain, ciphertext, identity)
    return spool.commit(root, "custody", item_id, sign_record(MANIFEST, manifest.to_body(), journal.key))


def _manifest(journal: Journal, item_id: str, plain: bytes, ciphertext: bytes, identity: Identity) -> Manifest:
    lines = plain.removesuffix(b"\n").split(b"\n")
    entries = [entry for entry in map(_entry_or_none, lines) if entry is not None]
    now_us, quality = journal.clock.utc_us(), journal.clock.quality()
    last = entries[-1] if entries else None
    return Manifest(
        item=item_id,
        kind="custody",
        device=journal.device,
        sealed_sha256=hashlib.sha256(ciphertext).hexdigest(),
        sealed_size=len(ciphertext),
        plain_sha256=hashlib.sha256(plain).hexdigest(),
        plain_size=len(plain),
        created_us=now_us,
        started_us=entries[0].utc_us if entries else now_us,
        ended_us=last.utc_us if last else now_us,
        time_source=quality.source,
        time_error_us=quality.error_us,
        complete=len(entries) == len(lines),
        priority=PRIORITY_CUSTODY,
        recording=None,
        sequence=entries[0].seq if entries else 0,
        activation=None,
        media=None,
        journal=JournalHead(service=journal.service, seq=last.seq, head=last.sha256) if last else None,
        software=identity.software,
        models={},
        hardware=identity.hardware,
        firmware=identity.firmware,
        policy_sha256=identity.policy_sha256,
    )


def _read_closed(path: Path) -> bytes:
    try:
        return files.read(path, max_bytes=MAX_FILE_BYTES)
    except (Refused, OSError) as error:
        raise Integrity(f"it cannot be read: {error}") from None


def _entry_or_none(line: bytes) -> Entry | None:
    try:
        return parse_line(line)
    except Integrity:
        return None


def _marker(item_id: str, sealed_sha256: str | None) -> bytes:
    return canonical.dumps({"item": item_id, "sealed_sha256": sealed_sha256})


def _read_marker(path: Path) -> tuple[str | None, bool]:
    """(item id, whether its item is committed) of a closed file's marker; (None, False) where there is no marker."""
    if not path.exists():
        return None, False
    fields = Fields(canonical.loads(files.read(path, max_bytes=MAX_MARKER_BYTES)), path.name)
    item_id, digest = fields.uuid7("item"), fields.optional("sealed_sha256", fields.sha256)
    fields.close()
    return item_id, digest is not None
