"""`vedette custody verify|show|timeline`: check a custody journal line by line, print it, or draw what it says.

Decided here: a journal is a folder of one service, or its files in any order; holes between files are found by the
chain itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vedette import cli, files, timeline_cli
from vedette.bundle import MAX_JOURNAL_BYTES, MAX_KEYS_BYTES, Keys
from vedette.clock import iso
from vedette.custody_entry import Entry, parse_line
from vedette.custody_tail import journal_files
from vedette.custody_verify import split_lines, verify_chain
from vedette.enrolment import open_enrolment
from vedette.errors import Integrity, NotFound, Usage
from vedette.key_cli import given_key
from vedette.keys import PublicKey
from vedette.records import keyring
from vedette.trust import load_trust


def register(nouns: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the noun `custody`."""
    verbs = cli.noun(nouns, "custody", help="check and read custody journals")
    verify = verbs.add_parser("verify", help="check that every line is signed and follows the line before")
    verify.add_argument("paths", nargs="+", type=Path, help="the journal's folder, or its files")
    verify.add_argument("--key", metavar="ed25519:…", help="the device's public key")
    verify.add_argument("--keys", type=Path, metavar="KEYS.json", help="or the keys.json of a bundle, with --trust")
    verify.add_argument("--trust", type=Path, metavar="TRUST.json", help="the centre's public keys, from the force")
    cli.add_json(verify)
    verify.set_defaults(run=_verify)
    show = verbs.add_parser("show", help="print a journal; checks nothing")
    show.add_argument("paths", nargs="+", type=Path, help="the journal's folder, or its files")
    show.add_argument("--item", help="only lines that name this item")
    cli.add_json(show)
    show.set_defaults(run=_show)
    timeline_cli.register(verbs)


def _verify(args: argparse.Namespace) -> int:
    key = _device_key(args)
    entries = verify_chain(_lines(args.paths), key)
    first, last = entries[0], entries[-1]
    said = {
        "device": first.device,
        "service": first.service,
        "lines": len(entries),
        "first_seq": first.seq,
        "last_seq": last.seq,
        "head": last.sha256,
        "from": iso(first.utc_us),
        "to": iso(last.utc_us),
    }
    start = "from its beginning" if first.seq == 1 else f"from seq {first.seq} (what came before is not here)"
    cli.show(args, said, f"{len(entries)} lines of {first.device}/{first.service}, {start} to seq {last.seq}: unbroken")
    return 0


def _show(args: argparse.Namespace) -> int:
    entries = [entry for entry in map(parse_line, _lines(args.paths)) if args.item in (None, entry.item)]
    rows = [(str(one.seq), iso(one.utc_us), one.event, one.item or "-", _detail_text(one)) for one in entries]
    text = cli.table(rows, heads=("SEQ", "TIME", "EVENT", "ITEM", "DETAIL"))
    cli.show(args, [_entry_json(one) for one in entries], text)
    return 0


def _device_key(args: argparse.Namespace) -> PublicKey:
    if args.key:
        return given_key(args.key)
    if not args.keys or not args.trust:
        raise Usage("whose signatures? give the device's key with --key, or --keys KEYS.json and --trust TRUST.json")
    keys = Keys.from_bytes(files.read(args.keys, max_bytes=MAX_KEYS_BYTES))
    return open_enrolment(keys.enrolment, keyring(load_trust(args.trust).centre)).key


def _lines(paths: Sequence[Path]) -> list[bytes]:
    """All lines, file by file in the order of their first seq; `NotFound` when there is none."""
    found = [path for one in paths for path in (journal_files(one) if one.is_dir() else [one])]
    chains: list[tuple[int, list[bytes]]] = []
    for path in found:
        try:
            lines = split_lines(files.read(path, max_bytes=MAX_JOURNAL_BYTES))
            chains.append((parse_line(lines[0]).seq if lines else 0, lines))
        except Integrity as error:
            raise Integrity(f"{path}: {error}") from None
    if not any(lines for _seq, lines in chains):
        raise NotFound("there is no line of a custody journal in what was named")
    return [line for _seq, lines in sorted(chains, key=lambda chain: chain[0]) for line in lines]


def _detail_text(entry: Entry) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(entry.detail.items()))


def _entry_json(entry: Entry) -> dict[str, Any]:
    return {**entry.to_body(), "sha256": entry.sha256}
