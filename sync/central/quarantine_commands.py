"""`vedette central quarantine`: what came in and did not verify, what was only counted, and the bytes that were kept.

Decided here: what a person types and reads, and under which names bytes are saved: the number of the complaint and
nothing that a device wrote. Nothing a device wrote reaches the terminal but as printable text. Implements CS-20 of
docs/spec/case-store.md; the rules of what is kept are quarantine.py.
"""

from __future__ import annotations

import argparse
import getpass
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sync.central.quarantine import (
    MAX_EVIDENCE_BYTES,
    MAX_PER_DEVICE,
    all_counts,
    complaints,
    kept_bytes,
    kept_rows,
)
from sync.central.rows import QuarantineCount, QuarantineRow
from sync.central.store import Store
from vedette import cli, files
from vedette.clock import iso
from vedette.errors import Refused, Usage

SAID = {"repeated": "is kept, came again", "dropped": f"beyond the {MAX_PER_DEVICE} of one device, not kept"}
STATUS_LINES = 5
FOLDER_MODE, FILE_MODE = 0o700, 0o600


def register(nouns: cli.Nouns) -> None:
    """Add the verb `quarantine` to the noun `central`."""
    verbs = cli.noun(nouns, "central", help="the central store: make it, run it, enrol devices")
    parser = verbs.add_parser("quarantine", help="what came in and did not verify, newest first, and what was counted")
    parser.add_argument("central", type=Path, metavar="CENTRAL", help="the centre's folder")
    parser.add_argument("--device", metavar="ID", help="of this device only")
    parser.add_argument(
        "--limit", type=int, default=MAX_PER_DEVICE, help=f"rows, from 1 to {MAX_PER_DEVICE} (all that one device has)"
    )
    parser.add_argument("--after", type=int, metavar="NUMBER", help="go on after this row, with older ones")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="write what was kept of the listed ones there")
    cli.add_json(parser)
    parser.set_defaults(run=_run)


def status_lines(counts: Sequence[QuarantineCount]) -> list[str]:
    """Who sent more than is kept, the worst first: for `vedette central status`."""
    dropped = [one for one in counts if one.outcome == "dropped"]
    lines = [
        f"{plain(one.device)}: {one.times} more that did not verify ({plain(one.code)}) are counted and not kept,"
        f" the last {iso(one.last_us)}"
        for one in dropped[:STATUS_LINES]
    ]
    if len(dropped) > STATUS_LINES:
        lines.append(f"and {len(dropped) - STATUS_LINES} more such counts: vedette central quarantine CENTRAL")
    return lines


def plain(text: str) -> str:
    """`text` in one line without what moves a cursor or turns the direction of writing."""
    return "".join(one if one.isprintable() else "\ufffd" for one in text)


def _run(args: argparse.Namespace) -> int:
    if not 1 <= args.limit <= MAX_PER_DEVICE:
        raise Usage(f"--limit is {args.limit}; it must be from 1 to {MAX_PER_DEVICE}")
    if args.after is not None and not 1 <= args.after < 1 << 63:
        raise Usage(f"--after is {args.after}; it must be the number of a row")
    store = Store(args.central)
    rows = complaints(store, device=args.device, limit=args.limit + 1, after=args.after)
    more = rows[args.limit - 1].id if len(rows) > args.limit else None
    rows = rows[: args.limit]
    counted, kept = all_counts(store, args.device), kept_rows(store, args.device)
    saved = [] if args.save is None else _save(store, rows, args.save, args.device or "all")
    value: dict[str, Any] = {
        "kept": kept,
        "more_after": more,
        "refused": [asdict(one) for one in rows],
        "counts": [asdict(one) for one in counted],
        "saved": [{"id": number, "path": str(path)} for number, path in saved],
    }
    text = _text(rows, counted, kept, more)
    if args.save is not None:
        text += f"\nkept bytes of {len(saved)} of them are in {args.save}"
    cli.show(args, value, text)
    return 0


def _text(rows: Sequence[QuarantineRow], counted: Sequence[QuarantineCount], kept: int, more: int | None) -> str:
    shown = [
        (
            str(one.id),
            iso(one.received_us),
            plain(one.device),
            plain(one.item or ""),
            plain(one.code),
            _size(one),
            plain(one.text),
        )
        for one in rows
    ]
    heads = ("number", "received", "device", "item", "refused", "bytes kept", "why")
    text = cli.table(shown, heads=heads) if shown else "nothing is in quarantine"
    if counted:
        table = [
            (
                plain(one.device),
                plain(one.code),
                SAID.get(one.outcome, one.outcome),
                str(one.times),
                iso(one.first_us),
                iso(one.last_us),
            )
            for one in counted
        ]
        text += "\n\n" + cli.table(table, heads=("device", "refused", "counted only", "times", "first", "last"))
    sums = {name: sum(one.times for one in counted if one.outcome == name) for name in SAID}
    text += f"\n\n{kept} kept; {sums['repeated']} repeats of them; {sums['dropped']} beyond a device's share, not kept"
    return text if more is None else f"{text}\nolder ones: --after {more}"


def _size(row: QuarantineRow) -> str:
    if row.kept_bytes is None:
        return ""
    whole = row.sent_bytes is None or row.sent_bytes == row.kept_bytes
    return str(row.kept_bytes) if whole else f"{row.kept_bytes} of {row.sent_bytes}"


def _save(store: Store, rows: Sequence[QuarantineRow], folder: Path, about: str) -> list[tuple[int, Path]]:
    """Write `<number>.bin` and, beside it, `<number>.json` with what is known of it; the numbers and the paths.

    A file that is there with the same bytes is left; `Refused` where it has others.
    """
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    store.note_access(getpass.getuser(), "quarantine.save", about, str(folder))
    saved = []
    for row in rows:
        evidence = kept_bytes(store, row.id)
        if evidence is None:
            continue
        path = folder / f"{row.id}.bin"
        _write(path, evidence)
        _write(path.with_suffix(".json"), json.dumps(asdict(row), ensure_ascii=True, sort_keys=True).encode() + b"\n")
        saved.append((row.id, path))
    return saved


def _write(path: Path, data: bytes) -> None:
    if path.is_symlink():
        raise Refused(f"{path} is a link to somewhere else; name an empty folder")
    if not path.exists():
        files.write_new(path, data, mode=FILE_MODE)
    elif files.read(path, max_bytes=MAX_EVIDENCE_BYTES) != data:
        raise Refused(f"{path} exists with other bytes and is not overwritten; name an empty folder")
