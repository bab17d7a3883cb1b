"""`vedette custody timeline`: draw what a recorder's journal says of each second of a shift.

Decided here: whose key the lines are checked against, which part is drawn, and that a shift with a second nobody
accounts for ends with exit code 10. Where the lines come from is `timeline_source`. Implements TI-21 to TI-23 of
docs/spec/timeline.md.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any

from vedette import cli, files
from vedette.bundle import MAX_KEYS_BYTES, Keys
from vedette.custody_entry import Entry
from vedette.enrolment import open_enrolment
from vedette.errors import Integrity, NotFound, Refused, Usage
from vedette.key_cli import given_key
from vedette.keys import PublicKey, SigningKey
from vedette.newfile import new_file
from vedette.records import keyring
from vedette.sealed import Identity, load_identities
from vedette.timeline import Timeline
from vedette.timeline_heads import Asked, read_heads, with_heads
from vedette.timeline_layers import read_timeline
from vedette.timeline_source import read_lines, verify_pieces
from vedette.timeline_svg import draw_svg
from vedette.timeline_text import draw
from vedette.timeline_words import LANGUAGES, Words
from vedette.trust import load_trust
from vedette.zones import find_zone

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def register(verbs: cli.Nouns) -> None:
    """Add the verb `timeline` to the noun `custody`."""
    parser = verbs.add_parser("timeline", help="account for every second of a shift: recorded, or not and why")
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH",
        help="a device's folder, a journal's folder or files, sealed copies (.age, with --identity), or a bundle",
    )  # fmt: skip
    parser.add_argument("--key", metavar="ed25519:…", help="the device's public key")
    parser.add_argument("--keys", type=Path, metavar="KEYS.json", help="or the keys.json of a bundle, with --trust")
    parser.add_argument("--trust", type=Path, metavar="TRUST.json", help="the centre's public keys, from the force")
    parser.add_argument("--identity", type=Path, help="the key file that opens sealed copies")
    parser.add_argument(
        "--heads", type=Path, action="append", default=[], metavar="FILE",
        help="how far the device had signed for its journal: the .heads of a bundle, or the device's own record",
    )  # fmt: skip
    parser.add_argument("--service", default="recorder", help="whose journal (default: recorder)")
    parser.add_argument("--from", dest="begin", metavar="TIME", help="ISO 8601, in --zone where it names none")
    parser.add_argument("--to", dest="end", metavar="TIME", help="likewise; beyond the last line is unexplained")
    parser.add_argument("--zone", default="UTC", help="time zone of what is shown, such as Africa/Casablanca")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="also write a picture; the file must not exist")
    parser.add_argument("--lang", choices=LANGUAGES, default="en")
    cli.add_json(parser)
    parser.set_defaults(run=_timeline)


def _timeline(args: argparse.Namespace) -> int:
    zone, words = find_zone(args.zone, key="--zone"), Words(args.lang)
    key = _key(args)
    identities = load_identities(args.identity) if args.identity else []
    entries = verify_pieces(read_lines(args.paths, identities, service=args.service), key)
    beside, keeper = (_beside(args, key, identities, service) for service in ("position", "keeper"))
    centre = load_trust(args.trust).centre if args.trust else None
    asked = Asked(device=entries[0].device, service=args.service, device_key=key, centre=centre)
    told = read_heads(args.paths, args.heads, asked)
    whole = with_heads(read_timeline(entries, beside, keeper), entries, told)
    begin = _moment(args.begin, zone) if args.begin else whole.from_us
    end = _moment(args.end, zone) if args.end else whole.to_us
    if whole.from_us == whole.to_us and not (args.begin and args.end):
        raise Refused(
            "only one moment is here: the lines before it were sealed and sent. Give their sealed copies with "
            "--identity, or --from and --to"
        )
    if end <= begin:
        raise Usage("--to is not after --from")
    shown = whole.between(begin, end)
    if args.svg:
        with new_file(args.svg) as file:
            file.write(draw_svg(shown, words, zone=zone, key=key.key_id).encode())
    is_terminal = sys.stdout.isatty()
    columns = shutil.get_terminal_size().columns if is_terminal else 80
    colours = is_terminal and "NO_COLOR" not in os.environ
    text = draw(shown, words, zone=zone, columns=max(columns, 80), colours=colours)
    cli.show(args, to_json(shown, key), text)
    return Integrity.exit_code if shown.unexplained_us else 0


def _beside(args: argparse.Namespace, key: PublicKey, identities: Sequence[Identity], service: str) -> list[Entry]:
    """The lines of another service, where they are among what is named; a place is in none of them."""
    try:
        lines = read_lines(args.paths, identities, service=service)
    except NotFound:
        return []
    return verify_pieces(lines, key)


def to_json(timeline: Timeline, key: PublicKey) -> dict[str, Any]:
    """The timeline as `--json` prints it; times in microseconds since the epoch, UTC."""
    return {
        "device": timeline.device,
        "key": key.key_id,
        "from_us": timeline.from_us,
        "to_us": timeline.to_us,
        "unexplained_us": timeline.unexplained_us,
        "totals_us": {state.value: us for state, us in timeline.totals.items()},
        "stretches": [
            {
                "from_us": one.from_us, "to_us": one.to_us, "state": one.state.value, "why": one.why,
                "recording": one.recording, "marked": one.marked,
            }
            for one in timeline.stretches
        ],
        "overlays": [
            {"row": one.row, "from_us": one.from_us, "to_us": one.to_us, "label": one.label}
            for one in timeline.overlays
        ],
        "notes": [{"at_us": one.at_us, "kind": one.kind, "value": one.value} for one in timeline.notes],
    }  # fmt: skip


def _key(args: argparse.Namespace) -> PublicKey:
    """The key given, that of a centre's enrolment, or that of the device whose folder it is."""
    if args.key:
        return given_key(args.key)
    keys = args.keys or next((one / "keys.json" for one in args.paths if (one / "keys.json").is_file()), None)
    if keys is not None and args.trust:
        parsed = Keys.from_bytes(files.read(keys, max_bytes=MAX_KEYS_BYTES))
        return open_enrolment(parsed.enrolment, keyring(load_trust(args.trust).centre)).key
    own = args.paths[0] / "keys" / "sign.pem"
    if own.is_file():
        return SigningKey.load(own).public
    raise Usage("whose signatures? give the device's key with --key, or --keys KEYS.json and --trust TRUST.json")


def _moment(text: str, zone: tzinfo) -> int:
    try:
        moment = datetime.fromisoformat(text.removesuffix("Z") + ("+00:00" if text.endswith("Z") else ""))
    except ValueError:
        raise Usage(f"{text!r} is not a time such as 2026-11-23T08:00") from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return (aware - _EPOCH) // timedelta(microseconds=1)
