"""`vedette central log …`: the log as static files, its key, and the cosignatures of witnesses."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sync.central import cosigning, tiles
from sync.central.log import Log
from sync.central.store import Store
from vedette import cli, config, files, note
from vedette.errors import NotFound, NotTrusted, Usage
from vedette.keys import SigningKey
from vedette.log_policy import Witness
from vedette.note import NoteKey


def register(verbs: Any) -> None:
    """Add the verb `log` with its own verbs."""
    log = verbs.add_parser("log", help="the append-only log: its key, its files for auditors, its witnesses")
    inner = log.add_subparsers(metavar="VERB", title="verbs", required=True)
    key = _verb(inner, "key", _key, help="the key that witnesses and readers need")
    cli.add_json(key)
    export = _verb(inner, "export", _export, help="bring a folder of static files up to date (C2SP tlog-tiles)")
    export.add_argument("folder", type=Path, metavar="DIR")
    cli.add_json(export)
    witness = _verb(inner, "witness", _witness, help="ask every witness of log.policy now")
    cli.add_json(witness)
    request = _verb(inner, "request", _request, help="what a witness without a network is given (on standard output)")
    request.add_argument("witness", metavar="NAME", help="its name in log.policy")
    request.add_argument("--old", type=int, help="the leaves that it has seen (what it signed last here)")
    cosign = _verb(inner, "cosign", _cosign, help="keep the signature line that such a witness gave back")
    cosign.add_argument("witness", metavar="NAME", help="its name in log.policy")
    cosign.add_argument("file", type=Path, metavar="FILE")
    cosign.add_argument("--size", type=int, help="the leaves of the checkpoint that it signed (the newest)")


def _verb(inner: Any, name: str, run: Any, *, help: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = inner.add_parser(name, help=help)
    parser.add_argument("central", type=Path, metavar="CENTRAL", help="the centre's folder")
    parser.set_defaults(run=run)
    return parser


def _log_key(central: Path) -> NoteKey:
    settings = config.load_central(central / "central.toml")
    public = SigningKey.load(settings.keys / "centre.pem").public
    return NoteKey(name=settings.central.origin, public=public)


def _key(args: argparse.Namespace) -> int:
    key = _log_key(args.central)
    cli.show(args, {"key": key.text, "origin": key.name}, key.text)
    return 0


def _export(args: argparse.Namespace) -> int:
    key = _log_key(args.central)
    made = tiles.export_log(Log(Store(args.central).db), args.folder, key.name, key.public)
    cli.show(
        args,
        {"size": made.size, "files": made.files, "folder": str(args.folder)},
        f"{args.folder} holds the log's {made.size} leaves; {made.files} files are new",
    )
    return 0


def _witness(args: argparse.Namespace) -> int:
    store, policy = Store(args.central), cosigning.load(args.central)
    if not policy.witnesses:
        raise NotFound(f"{args.central / cosigning.POLICY} names no witness; docs/guide/run-a-centre.md shows how")
    outcomes = cosigning.collect(store, policy)
    value = [{"witness": one.witness, "ok": one.ok, "message": one.message} for one in outcomes]
    rows = [(one.witness, "yes" if one.ok else "NO", one.message) for one in outcomes]
    cli.show(args, value, cli.table(rows, heads=("witness", "cosigned", "")))
    return 0 if all(one.ok for one in outcomes) else NotTrusted.exit_code


def _request(args: argparse.Namespace) -> int:
    log = Log(Store(args.central).db)
    witness = _named(args)
    old = log.witnessed().get(witness.key.name, 0) if args.old is None else args.old
    if not 0 <= old <= log.size:
        raise Usage(f"--old is {old}; the log has {log.size} leaves")
    print(cosigning.request_for(log, old, log.size).to_text(), end="")
    return 0


def _cosign(args: argparse.Namespace) -> int:
    store = Store(args.central)
    size = Log(store.db).size if args.size is None else args.size
    lines = files.read(args.file, max_bytes=note.MAX_NOTE_BYTES).decode("utf-8", "replace")
    time_s = cosigning.keep(store, size, lines, _named(args))
    print(f"the cosignature of {args.witness} on {size} leaves, made at {time_s}, is kept")
    return 0


def _named(args: argparse.Namespace) -> Witness:
    found = cosigning.load(args.central).witnesses.get(args.witness)
    if found is None:
        raise NotFound(f"{args.central / cosigning.POLICY} names no witness {args.witness[:40]!r}")
    return found
