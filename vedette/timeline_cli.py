"""`vedette custody timeline`: draw what a recorder's journal says of each second of a shift.

Decided here: which part is drawn, that a shift with a second nobody accounts for ends with exit code 10, and one of
which something named was not read with that reason's. Where the lines come from is `timeline_source`,
`timeline_bundles` and, of a centre, what the centre's own command has put in as `centre`; whose key they are checked
against `timeline_keys`. Implements TI-21 to TI-23, TI-33 and TI-34 of docs/spec/timeline.md.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any

from vedette import cli, files
from vedette.bundle import MAX_KEYS_BYTES, Keys
from vedette.errors import Integrity, NotFound, Refused, Usage
from vedette.key_cli import given_key
from vedette.newfile import new_file
from vedette.sealed import load_identities
from vedette.timeline import Timeline
from vedette.timeline_account import RECORDER, Shift, account
from vedette.timeline_bundles import bundles_at, read_bundle
from vedette.timeline_keys import FoundKey, Vouched, key_in
from vedette.timeline_source import Lines, Wanted, is_centre, read_files
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
        help="a centre's folder, bundles or a folder of them, a device's folder, a journal's folder or files, sealed"
        " copies (.age, with --identity); also several",
    )  # fmt: skip
    parser.add_argument("--device", metavar="ID", help="whose shift, where lines of several devices are named")
    parser.add_argument("--key", metavar="ed25519:…", help="the device's public key")
    parser.add_argument("--keys", type=Path, metavar="KEYS.json", help="or the keys.json of a bundle")
    parser.add_argument("--trust", type=Path, metavar="TRUST.json", help="the centre's public keys, from the force")
    parser.add_argument("--identity", type=Path, help="the key file that opens sealed copies, also those in bundles")
    parser.add_argument(
        "--heads", type=Path, action="append", default=[], metavar="FILE",
        help="how far the device had signed for its journal: the .heads of a bundle, or the device's own record",
    )  # fmt: skip
    parser.add_argument("--service", default=RECORDER, help=f"whose journal (default: {RECORDER})")
    parser.add_argument("--from", dest="begin", metavar="TIME", help="ISO 8601, in --zone where it names none")
    parser.add_argument("--to", dest="end", metavar="TIME", help="likewise; beyond the last line is unexplained")
    parser.add_argument("--zone", default="UTC", help="time zone of what is shown, such as Africa/Casablanca")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="also write a picture; the file must not exist")
    parser.add_argument("--lang", choices=LANGUAGES, default="en")
    cli.add_json(parser)
    parser.set_defaults(run=_timeline, centre=None)


def _timeline(args: argparse.Namespace) -> int:
    zone, words = find_zone(args.zone, key="--zone"), Words(args.lang)
    begin_us, end_us = (_moment(one, zone) if one else None for one in (args.begin, args.end))
    if begin_us is not None and end_us is not None and end_us <= begin_us:
        raise Usage("--to is not after --from")
    trust = load_trust(args.trust) if args.trust else None
    wanted = Wanted(device=args.device, service=args.service, from_us=begin_us, to_us=end_us, trust=trust)
    lines = _read(args, wanted)
    shift = account(lines, device=args.device, service=args.service, trust=trust, heads=args.heads)
    whole = shift.timeline
    begin_us, end_us = (end if one is None else one for one, end in ((begin_us, whole.from_us), (end_us, whole.to_us)))
    if whole.from_us == whole.to_us and not (args.begin and args.end):
        raise Refused(
            "only one moment is here: the lines before it were sent, and deleted after their receipt. Ask the centre"
            f" (vedette custody timeline CENTRAL --device {whole.device}), or give bundles of custody items or sealed"
            " copies (with --identity), or --from and --to"
        )
    if end_us <= begin_us:
        raise Usage("--to is not after --from")
    shown = whole.between(begin_us, end_us)
    if args.svg:
        with new_file(args.svg) as file:
            whose = "key_inside" if shift.key.vouched is Vouched.BUNDLE else "key_trusted"
            file.write(draw_svg(shown, words, zone=zone, key=shift.key.key.key_id, whose=whose).encode())
    is_terminal = sys.stdout.isatty()
    columns = shutil.get_terminal_size().columns if is_terminal else 80
    colours = is_terminal and "NO_COLOR" not in os.environ
    text = draw(shown, words, zone=zone, columns=max(columns, 80), colours=colours)
    cli.show(args, to_json(shift, shown), "\n\n".join([text, *_beside(shift, words)]))
    if shown.unexplained_us:
        return Integrity.exit_code
    return shift.unread[0].why.exit_code if shift.unread else 0


def _read(args: argparse.Namespace, wanted: Wanted) -> Lines:
    """All lines and keys that are named."""
    lines = Lines()
    identities = load_identities(args.identity) if args.identity else []
    if args.key:
        lines.keys.append(FoundKey(device=None, key=given_key(args.key), vouched=Vouched.GIVEN, name="--key"))
    if args.keys:
        keys = Keys.from_bytes(files.read(args.keys, max_bytes=MAX_KEYS_BYTES))
        lines.keys.append(key_in(str(args.keys), keys, wanted.trust))
    for path in args.paths:
        bundles = bundles_at(path)
        for bundle in bundles:
            read_bundle(bundle, wanted.trust, identities, lines)
        if is_centre(path):
            if args.centre is None:
                raise NotFound(f"{path} is a centre's folder; to read it, install vedette[central]")
            args.centre(path, wanted, lines)
        elif not bundles:
            read_files(path, identities, lines)
    return lines


def _beside(shift: Shift, words: Words) -> list[str]:
    """What is to be said of the key and of what was not read."""
    said = [words("unread", f"{one.name}: {one.why}") for one in shift.unread]
    if shift.key.centre is not None:
        said.append(words("key_vouched", shift.key.centre.key_id))
    return ["\n".join(said)] if said else []


def to_json(shift: Shift, timeline: Timeline) -> dict[str, Any]:
    """The timeline as `--json` prints it; times in microseconds since the epoch, UTC."""
    return {
        "device": timeline.device,
        "key": shift.key.key.key_id,
        "key_by": shift.key.vouched.value,
        "unread": [{"name": one.name, "why": str(one.why)} for one in shift.unread],
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


def _moment(text: str, zone: tzinfo) -> int:
    try:
        moment = datetime.fromisoformat(text.removesuffix("Z") + ("+00:00" if text.endswith("Z") else ""))
    except ValueError:
        raise Usage(f"{text!r} is not a time such as 2026-11-23T08:00") from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return (aware - _EPOCH) // timedelta(microseconds=1)
