"""`vedette central command`, `commands` and `group`: ask a device to record, see what came of it, name its peers.

Decided here: what a person at the centre's machine types and reads. The rules are remote_commands.py and peer_lists.py.
"""

from __future__ import annotations

import argparse
import getpass
import time
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from sync.central import peer_lists, remote_commands
from sync.central.children import is_running
from sync.central.remote_commands import LEAST_VALID_S, MOST_VALID_S, USUAL_VALID_S, CommandRow
from sync.central.store import Store
from vedette import cli
from vedette.activation_record import RECOVER, VERBS
from vedette.clock import iso
from vedette.errors import Usage

LOOK_S = 0.2
MOST_WAIT_S = MOST_VALID_S
SAID = {
    "waiting": "waits until the device is there",
    "sent": "sent; the device has not answered yet",
    "taken": "the device took it",
    "refused": "the device refused it",
    "lapsed": "lapsed: the device never took it",
}


def register(nouns: cli.Nouns) -> None:
    """Add the verbs to the noun `central`."""
    verbs = cli.noun(nouns, "central", help="the central store: make it, run it, enrol devices")
    _register_command(verbs)
    listing = verbs.add_parser("commands", help="what was asked of devices and what came of it, newest first")
    listing.add_argument("central", type=Path, metavar="CENTRAL")
    listing.add_argument("--device")
    listing.add_argument("--limit", type=int, default=50, help="rows, from 1 to 200 (50)")
    cli.add_json(listing)
    listing.set_defaults(run=_list)
    group = verbs.add_parser("group", help="whose peer a device is: cameras of one group start each other")
    group.add_argument("central", type=Path, metavar="CENTRAL")
    group.add_argument("device", metavar="DEVICE", nargs="?")
    group.add_argument(
        "group", metavar="GROUP", nargs="?", help=f"its new group (a new device is in {peer_lists.FLEET})"
    )
    cli.add_json(group)
    group.set_defaults(run=_group)


def _register_command(verbs: Any) -> None:
    command = verbs.add_parser(
        "command",
        help="ask a device to start recording, to mark what it records, or to recover what nobody activated",
        description="Nothing from afar stops a recording, mutes it or hides it: that takes a hand on the device.",
    )
    command.add_argument("central", type=Path, metavar="CENTRAL")
    command.add_argument("device", metavar="DEVICE")
    command.add_argument("command", choices=(*VERBS, RECOVER))
    for name, dest in (("--from", "begin"), ("--to", "end")):
        command.add_argument(
            name, dest=dest, metavar="TIME", help=f"of {RECOVER}: ISO 8601, UTC where it names no zone"
        )
    command.add_argument("--reason", required=True, help="why; it is kept at the centre")
    command.add_argument(
        "--valid-s",
        type=int,
        default=USUAL_VALID_S,
        help=f"seconds until it lapses, {LEAST_VALID_S} to {MOST_VALID_S} ({USUAL_VALID_S})",
    )
    command.add_argument("--wait-s", type=int, default=0, help="wait so long for the device's answer (0: do not)")
    cli.add_json(command)
    command.set_defaults(run=_command)


def _command(args: argparse.Namespace) -> int:
    if not 0 <= args.wait_s <= MOST_WAIT_S:
        raise Usage(f"--wait-s is {args.wait_s}; it must be from 0 to {MOST_WAIT_S}")
    store = Store(args.central)
    asked = remote_commands.ask(
        store,
        args.device,
        args.command,
        user=getpass.getuser(),
        reason=args.reason,
        valid_s=args.valid_s,
        span=None if args.begin is None or args.end is None else (_moment_us(args.begin), _moment_us(args.end)),
    )
    running = is_running(args.central / "run")
    until_us = store.clock.mono_us() + args.wait_s * 1_000_000
    state = asked.state(store.clock.utc_us())
    while running and state in ("waiting", "sent") and store.clock.mono_us() < until_us:
        time.sleep(LOOK_S)
        asked = remote_commands.command_of(store, asked.id)
        state = asked.state(store.clock.utc_us())
    text = f"{asked.command} to {asked.device}, command {asked.id}: {_said(asked, store.clock.utc_us())}"
    if not running:
        text += f"\nthe centre does not run; the command goes out if it is started before {iso(asked.expires_us)}"
    cli.show(args, _value(asked, store.clock.utc_us()), text)
    return 0


def _moment_us(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text.removesuffix("Z") + ("+00:00" if text.endswith("Z") else ""))
    except ValueError:
        raise Usage(f"{text[:40]!r} is not a time such as 2026-11-23T08:00:00Z") from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return (aware - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1)


def _list(args: argparse.Namespace) -> int:
    store = Store(args.central)
    now_us = store.clock.utc_us()
    found = remote_commands.commands_to(store, args.device, args.limit)
    rows = [(iso(one.asked_us), one.device, one.command, one.asked_by, _said(one, now_us), one.reason) for one in found]
    heads = ("asked", "device", "command", "by", "state", "reason")
    cli.show(args, [_value(one, now_us) for one in found], cli.table(rows, heads=heads))
    return 0


def _group(args: argparse.Namespace) -> int:
    store = Store(args.central)
    if args.device is not None and args.group is not None:
        peer_lists.set_group(store, args.device, args.group, user=getpass.getuser())
    found = peer_lists.groups(store)
    if args.device is not None:
        store.device(args.device)
        found = {args.device: found[args.device]} if args.device in found else {}
    rows = sorted((group, device) for device, group in found.items())
    cli.show(args, found, cli.table(rows, heads=("group", "device")))
    return 0


def _said(row: CommandRow, now_us: int) -> str:
    text = SAID[row.state(now_us)]
    if row.custody_seq is not None:
        text += f" (line {row.custody_seq} of its uplink's journal)"
    return f"{text}: {row.why}" if row.why else text


def _value(row: CommandRow, now_us: int) -> dict[str, Any]:
    return {**asdict(row), "state": row.state(now_us)}
