"""`vedette central …`: make a centre, run it, enrol and revoke devices, add users, see how it stands.

The centre's verbs of `watchlist`, `evidence` and `hits` are case_commands.py.
"""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sync.central import authority_commands, case_commands, fleet, log_commands, quarantine_commands, shards
from sync.central.children import is_running
from sync.central.quarantine import all_counts
from sync.central.rows import ROLES
from sync.central.store import Store
from vedette import cli, config, daemon
from vedette.clock import iso
from vedette.errors import NotFound, Refused


def register(nouns: cli.Nouns) -> None:
    """Add the noun `central`, and the centre's verbs of `watchlist`, `evidence` and `hits`."""
    verbs = cli.noun(nouns, "central", help="the central store: make it, run it, enrol devices")
    _register_setup(verbs)
    _register_fleet(verbs)
    status = verbs.add_parser("status", help="how the centre stands: ports, devices, items, log")
    _central_argument(status)
    cli.add_json(status)
    status.set_defaults(run=_status)
    log_commands.register(verbs)
    case_commands.register(nouns)


def _register_setup(verbs: Any) -> None:
    init = verbs.add_parser("init", help="make a new centre in an empty folder")
    init.add_argument("folder", type=Path, metavar="FOLDER")
    init.add_argument("--keys", type=Path, metavar="DIR", help="where the keys that open evidence go (FOLDER-keys)")
    init.add_argument("--origin", default="vedette.local/log", help="the name of the log, like a URL without scheme")
    init.add_argument("--host", default="127.0.0.1", help="the address the broker listens on")
    cli.add_json(init)
    init.set_defaults(run=_init)
    run = verbs.add_parser("run", help="run broker, ingest and pages until stopped")
    run.add_argument("--config", type=Path, required=True, metavar="CENTRAL/central.toml")
    run.set_defaults(run=_run)
    user = verbs.add_parser("user", help="people who may sign in")
    user_verbs = user.add_subparsers(metavar="VERB", title="verbs", required=True)
    add = user_verbs.add_parser("add", help="add a user; the password is asked for, or read from standard input")
    _central_argument(add)
    add.add_argument("name", metavar="NAME")
    add.add_argument("--role", choices=ROLES, default="investigator")
    add.set_defaults(run=_add_user)
    listing = user_verbs.add_parser("list", help="who may sign in")
    _central_argument(listing)
    cli.add_json(listing)
    listing.set_defaults(run=_list_users)


def _register_fleet(verbs: Any) -> None:
    enrol = verbs.add_parser("enrol", help="make a device one of this centre's")
    _central_argument(enrol)
    enrol.add_argument("device_id", metavar="DEVICE_ID")
    enrol.add_argument("--device", type=Path, required=True, metavar="FOLDER", help="the device's folder")
    cli.add_json(enrol)
    enrol.set_defaults(run=_enrol)
    revoke = verbs.add_parser("revoke", help="refuse a device from now on")
    _central_argument(revoke)
    revoke.add_argument("device_id", metavar="DEVICE_ID")
    revoke.set_defaults(run=_revoke)


def _central_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("central", type=Path, metavar="CENTRAL", help="the centre's folder")


def _init(args: argparse.Namespace) -> int:
    escrow = args.keys or args.folder.with_name(args.folder.name + "-keys")
    made = fleet.make_centre(args.folder, escrow, args.origin, host=args.host)
    value = {"folder": str(made.folder), "config": str(made.config), "escrow": str(made.escrow)}
    text = (
        f"centre made in {made.folder}\n"
        f"the keys that open evidence are in {made.escrow}:"
        " copy them to two safe places and take them off this machine\n"
        f"next: vedette central user add {made.folder} NAME --role admin;"
        f" vedette central run --config {made.config}"
    )
    cli.show(args, value, text)
    return 0


def _run(args: argparse.Namespace) -> int:
    from sync.central import service  # paho and the pages are only needed to run

    return service.run(config.load_central(args.config))


def _add_user(args: argparse.Namespace) -> int:
    store = Store(args.central)
    user = store.add_user(args.name, _password(), args.role)
    store.note_access(getpass.getuser(), "user.add", user.name, user.role)
    print(f"{user.name} may sign in as {user.role}")
    return 0


def _list_users(args: argparse.Namespace) -> int:
    users = Store(args.central).users()
    rows = [(one.name, one.role, iso(one.created_us)) for one in users]
    value = [{"name": one.name, "role": one.role, "created_us": one.created_us} for one in users]
    cli.show(args, value, cli.table(rows, heads=("user", "role", "since")))
    return 0


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("password: ")
    if getpass.getpass("again: ") != password:
        raise Refused("the two passwords differ; nothing was changed")
    return password


def _enrol(args: argparse.Namespace) -> int:
    store = Store(args.central)
    central = config.load_central(args.central / fleet.CONFIG)
    if not args.device.is_dir():
        raise NotFound(f"the device's folder {args.device} is not there; `vedette device init` makes it")
    brokers = shards.addresses(central)
    host, port = brokers[shards.shard_of(args.device_id, len(brokers))]
    enrolled = fleet.enrol(store, args.device_id, args.device, port=port, host=host)
    store.note_access(getpass.getuser(), "device.enrol", enrolled.device)
    value = {
        "device": enrolled.device,
        "public_key": enrolled.public_key,
        "host": enrolled.host,
        "port": enrolled.port,
    }
    cli.show(args, value, f"{enrolled.device} is enrolled and will connect to {enrolled.host} port {enrolled.port}")
    return 0


def _revoke(args: argparse.Namespace) -> int:
    store = Store(args.central)
    fleet.revoke(store, args.device_id)
    fleet.write_revocations(store)
    store.note_access(getpass.getuser(), "device.revoke", args.device_id)
    print(f"{args.device_id} is revoked: its connection is cut within a second and its items are refused")
    return 0


def _status(args: argparse.Namespace) -> int:
    store = Store(args.central)
    counts, counted = store.counts(), all_counts(store)
    value: dict[str, Any] = {
        "running": False,
        "ports": {},
        "log_size": store.log_size(),
        **{name: getattr(counts, name) for name in counts.__slots__ if name != "revision"},
        "quarantine_counts": [asdict(one) for one in counted],
    }
    ports = args.central / "run" / "ports.json"
    if is_running(args.central / "run") and ports.is_file():
        value["running"], value["ports"] = True, json.loads(ports.read_bytes())
        value["ingest"] = daemon.read_status(args.central / "run", "central")
    value["authority"] = authority_commands.warning(store)
    value["per_device"] = [
        {
            "device": one.device,
            "online": one.online,
            "revoked": one.revoked_us is not None,
            "last_seen": None if one.last_seen_us is None else iso(one.last_seen_us),
            "items": one.items,
            "stored_bytes": one.stored_bytes,
            "list_version": one.list_version,
            "broken_chains": one.broken_chains,
        }
        for one in store.devices()
    ]
    cli.show(args, value, _status_text(value, quarantine_commands.status_lines(counted)))
    return 0


def _status_text(value: dict[str, Any], quarantine: list[str]) -> str:
    ports = ", ".join(f"{name} on port {port}" for name, port in value["ports"].items())
    lines = [
        f"running: {ports}" if value["running"] else "not running",
        f"{value['items']} items, {value['stored_bytes']} bytes, log of {value['log_size']} entries",
        f"{value['hits']} hits, {value['open_hits']} open; {value['quarantined']} in quarantine"
        f" ({value['quarantine_repeated']} repeats of them, {value['quarantine_dropped']} more not kept),"
        f" {value['broken_chains']} broken custody chains",
        *quarantine,
    ]
    lines += [value["authority"]["text"]] if value["authority"] is not None else []
    rows = [
        (
            one["device"],
            "revoked" if one["revoked"] else "online" if one["online"] else "offline",
            one["last_seen"] or "never",
            str(one["items"]),
        )
        for one in value["per_device"]
    ]
    return "\n".join(lines) + "\n\n" + cli.table(rows, heads=("device", "state", "last seen", "items"))
