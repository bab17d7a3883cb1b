"""The centre's verbs about its case: `watchlist import|publish|show`, `evidence list|missing|export`, `hits list`."""

from __future__ import annotations

import argparse
import dataclasses
import getpass
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sync.central import export, missing, watchlists
from sync.central.rows import HIT_STATES, HitRow, ItemRow, ListRow
from sync.central.store import MAX_ROWS, Store
from vedette import cli
from vedette.clock import iso
from vedette.errors import Integrity, Usage
from vedette.sealed import load_identities

DEFAULT_LIST_DAYS = 7
MAX_LIST_DAYS = 366
DEFAULT_WAITS_H, MAX_WAITS_H = 72, 24 * 366
HOUR_US = 3_600_000_000


def register(nouns: cli.Nouns) -> None:
    """Add the verbs."""
    _register_watchlist(cli.noun(nouns, "watchlist", help="the list of wanted plates: check, import, publish"))
    _register_evidence(cli.noun(nouns, "evidence", help="sealed evidence: verify, open, list, export"))
    hits = cli.noun(nouns, "hits", help="matches that were raised to a person")
    listing = hits.add_parser("list", help="hits at the centre, newest first")
    listing.add_argument("central", type=Path, metavar="CENTRAL")
    listing.add_argument("--state", choices=HIT_STATES)
    listing.add_argument("--device")
    listing.add_argument("--limit", type=int, default=100, help=f"rows, from 1 to {MAX_ROWS} (100)")
    cli.add_json(listing)
    listing.set_defaults(run=_hits)


def _register_watchlist(verbs: Any) -> None:
    imported = verbs.add_parser("import", help="check, sign and keep a CSV as the next version")
    imported.add_argument("central", type=Path, metavar="CENTRAL")
    imported.add_argument("file", type=Path, metavar="FILE.csv")
    imported.add_argument("--expires-days", type=int, default=DEFAULT_LIST_DAYS, help="the whole list ends then (7)")
    published = verbs.add_parser("publish", help="offer a version to every device")
    published.add_argument("central", type=Path, metavar="CENTRAL")
    published.add_argument("--version", type=int, help="the version (the newest)")
    shown = verbs.add_parser("show", help="the versions at the centre, and what one holds")
    shown.add_argument("central", type=Path, metavar="CENTRAL")
    shown.add_argument("--version", type=int, help="the version (the newest)")
    shown.add_argument("--entries", action="store_true", help="print every entry; the access is recorded")
    for parser, run in ((imported, _import), (published, _publish), (shown, _show)):
        cli.add_json(parser)
        parser.set_defaults(run=run)


def _register_evidence(verbs: Any) -> None:
    listing = verbs.add_parser("list", help="items at the centre, newest first")
    listing.add_argument("central", type=Path, metavar="CENTRAL")
    listing.add_argument("--kind", choices=("segment", "hit", "custody"))
    listing.add_argument("--device")
    listing.add_argument("--recording")
    listing.add_argument("--limit", type=int, default=100, help=f"rows, from 1 to {MAX_ROWS} (100)")
    cli.add_json(listing)
    listing.set_defaults(run=_list)
    absent = verbs.add_parser("missing", help="what custody names or was signed for and is not here; 10 if overdue")
    absent.add_argument("central", type=Path, metavar="CENTRAL")
    absent.add_argument("--device")
    absent.add_argument("--waits-h", type=int, default=DEFAULT_WAITS_H, help="overdue so many hours after it (72)")
    absent.add_argument("--limit", type=int, default=100, help=f"rows, from 1 to {MAX_ROWS} (100)")
    cli.add_json(absent)
    absent.set_defaults(run=_missing)
    exported = verbs.add_parser("export", help="make a bundle that anybody can check")
    exported.add_argument("central", type=Path, metavar="CENTRAL")
    exported.add_argument("subject", metavar="ITEM|RECORDING")
    exported.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.zip")
    exported.add_argument("--identity", type=Path, help="the evidence key: the bundle then holds the opened file too")
    exported.add_argument("--opened-only", action="store_true", help="leave the sealed file out (needs --identity)")
    exported.add_argument("--sealed-only", action="store_true", help="leave the opened file out")
    exported.add_argument(
        "--redacted-only",
        action="store_true",
        help="leave the original out, sealed and opened (needs --redacted)",
    )
    exported.add_argument(
        "--redacted",
        type=Path,
        metavar="COPY",
        help="add this redacted copy (.mp4, its record and plan beside it), of a recording the folder of its copies",
    )
    exported.add_argument(
        "--incomplete",
        action="store_true",
        help="export a recording of which not every part is here; the bundles say so",
    )
    exported.add_argument("--reason", default="", help="why; recorded, and printed in the bundle")
    cli.add_json(exported)
    exported.set_defaults(run=_export)


def _import(args: argparse.Namespace) -> int:
    if not 1 <= args.expires_days <= MAX_LIST_DAYS:
        raise Usage(f"--expires-days is {args.expires_days}; it must be from 1 to {MAX_LIST_DAYS}")
    store = Store(args.central)
    row = watchlists.import_csv(store, args.file, getpass.getuser(), expires_s=args.expires_days * 86_400)
    store.note_access(getpass.getuser(), "watchlist.import", str(row.version))
    cli.show(args, _list_value(row), f"version {row.version} with {row.entries} entries is signed; publish it next")
    return 0


def _publish(args: argparse.Namespace) -> int:
    store = Store(args.central)
    row = watchlists.publish(store, args.version)
    store.note_access(getpass.getuser(), "watchlist.publish", str(row.version))
    cli.show(args, _list_value(row), f"version {row.version} with {row.entries} entries is offered to every device")
    return 0


def _show(args: argparse.Namespace) -> int:
    store = Store(args.central)
    rows = store.lists()
    opened = watchlists.open_version(store, args.version)
    value: dict[str, Any] = {"version": opened.version, "expires_us": opened.expires_us, "entries": opened.count}
    value["versions"] = [_list_value(row) for row in rows]
    table = [
        (str(row.version), iso(row.issued_us), str(row.entries), iso(row.published_us) if row.published_us else "no")
        for row in rows
    ]
    text = f"version {opened.version}: {opened.count} entries, ends {iso(opened.expires_us)}\n\n"
    text += cli.table(table, heads=("version", "issued", "entries", "published"))
    if args.entries:
        store.note_access(getpass.getuser(), "watchlist.show", str(opened.version))
        entries = list(opened.entries())
        value["list"] = [one.to_body() for one in entries]
        plates = [(one.plate, one.region, one.priority, one.reason, iso(one.valid_to_us)) for one in entries]
        text += "\n\n" + cli.table(plates, heads=("plate", "region", "priority", "reason", "until"))
    cli.show(args, value, text)
    return 0


def _list(args: argparse.Namespace) -> int:
    rows = Store(args.central).items(args.kind, args.device, args.recording, _limit(args))
    table = [(one.item, one.kind, one.device, iso(one.started_us), str(one.sealed_size), _verdict(one)) for one in rows]
    cli.show(
        args,
        [_item_value(one) for one in rows],
        cli.table(table, heads=("item", "kind", "device", "started", "bytes", "content")),
    )
    return 0


def _missing(args: argparse.Namespace) -> int:
    if not 0 <= args.waits_h <= MAX_WAITS_H:
        raise Usage(f"--waits-h is {args.waits_h}; it must be from 0 to {MAX_WAITS_H}")
    store = Store(args.central)
    rows = missing.missing_items(store, device=args.device, waits_us=args.waits_h * HOUR_US, limit=_limit(args))
    overdue = sum(one.overdue for one in rows)
    table = [
        (
            one.item,
            one.device,
            one.said,
            iso(one.said_us),
            "" if one.media_us is None else f"{one.media_us / 1e6:.1f} s",
            "overdue" if one.overdue else "may be on its way",
        )
        for one in rows
    ]
    text = cli.table(table, heads=("item", "device", "custody says last", "when", "proven", ""))
    text += f"\n\n{len(rows)} named by custody and not here, {overdue} of them for more than {args.waits_h} h"
    owed = missing.owed_lines(store, device=args.device, waits_us=args.waits_h * HOUR_US, limit=_limit(args))
    if owed:
        text += f"\n\n{_owed_table(owed)}\n\n{len(owed)} journals that their devices had signed for further than here"
    cli.show(args, [*map(dataclasses.asdict, rows), *map(dataclasses.asdict, owed)], text)
    return Integrity.exit_code if overdue or any(one.overdue for one in owed) else 0


def _owed_table(owed: Sequence[missing.OwedLines]) -> str:
    rows = [
        (
            one.device,
            one.service,
            f"{one.first_seq} to {one.last_seq}",
            iso(one.signed_us),
            one.problem or ("overdue" if one.overdue else "may be on their way"),
        )
        for one in owed
    ]
    return cli.table(rows, heads=("device", "custody of", "lines", "signed for", ""))


def _export(args: argparse.Namespace) -> int:
    if args.redacted_only and (not args.redacted or args.identity or args.opened_only or args.sealed_only):
        raise Usage("--redacted-only needs --redacted COPY, and is without --identity, --opened-only and --sealed-only")
    if args.opened_only and not args.identity:
        raise Usage("--opened-only needs --identity")
    store = Store(args.central)
    identities = load_identities(args.identity) if args.identity and not args.sealed_only else []
    wanted = export.Wanted(
        identities=tuple(identities),
        with_sealed=not args.opened_only and not args.redacted_only,
        reason=args.reason,
        redacted=args.redacted,
        incomplete=args.incomplete,
    )
    user = getpass.getuser()
    made = export.export(store, args.subject, args.output, wanted, user=user)
    lines = [f"{path}  {note}".rstrip() for path, note in made]
    cli.show(args, [{"path": str(path), "note": note} for path, note in made], "\n".join(lines))
    return 0


def _hits(args: argparse.Namespace) -> int:
    limit = _limit(args)
    store = Store(args.central)
    rows = store.hits(limit, state=args.state, device=args.device)
    store.note_access(getpass.getuser(), "hits.list", args.device or "all")
    table = [
        (
            one.hit,
            iso(one.raised_us),
            one.device,
            one.text,
            one.region,
            f"{one.confidence_permille / 10:.1f} %",
            one.state,
        )
        for one in rows
    ]
    heads = ("hit", "raised", "device", "read", "region", "confidence", "state")
    cli.show(args, [_hit_value(one) for one in rows], cli.table(table, heads=heads))
    return 0


def _limit(args: argparse.Namespace) -> int:
    if not 1 <= args.limit <= MAX_ROWS:
        raise Usage(f"--limit is {args.limit}; it must be from 1 to {MAX_ROWS}")
    return int(args.limit)


def _verdict(row: ItemRow) -> str:
    return {None: "sealed", True: "verified", False: row.problem or ""}[row.opened]


def _list_value(row: ListRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__}


def _item_value(row: ItemRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__ if name != "manifest"}


def _hit_value(row: HitRow) -> dict[str, Any]:
    value = {name: getattr(row, name) for name in row.__slots__ if name not in ("sighting", "pictures")}
    return {**value, "pictures": list(row.pictures), "sighting": row.sighting.to_body()}
