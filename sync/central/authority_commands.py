"""`vedette central authority`: how long the certificate authority lasts, and its change for the next one.

Decided here: what a person at the centre's machine types and reads. The rules are succession.py.
"""

from __future__ import annotations

import argparse
import getpass
from pathlib import Path
from typing import Any

from sync.central import succession
from sync.central.certificates import write_revocations
from sync.central.children import is_running
from sync.central.store import Store
from sync.central.succession import Standing
from vedette import cli, config
from vedette.clock import iso
from vedette.errors import Refused

SHOWN = 20
CONFIG = "central.toml"


def register(nouns: cli.Nouns) -> None:
    """Add the verb `authority` to the noun `central`."""
    verbs = cli.noun(nouns, "central", help="the central store: make it, run it, enrol devices")
    parser = verbs.add_parser(
        "authority",
        help="how long the certificate authority lasts; change it for the next one",
        description="Certificates of broker, centre and devices are signed by an authority of ten years. Its change"
        " takes two short stops of the centre and, between them, until every device was online once.",
    )
    parser.add_argument("central", type=Path, metavar="CENTRAL", help="the centre's folder")
    step = parser.add_mutually_exclusive_group()
    step.add_argument("--prepare", action="store_true", help="make the next one; devices are told of it as they come")
    step.add_argument("--switch", action="store_true", help="let the next one sign; the former one ends by itself")
    parser.add_argument(
        "--leave", action="append", default=[], metavar="DEVICE", help="switch though this device would be cut off"
    )
    cli.add_json(parser)
    parser.set_defaults(run=_authority)


def _authority(args: argparse.Namespace) -> int:
    store = Store(args.central)
    if args.prepare or args.switch:
        _change(args, store)
    found, now_us = succession.standing(store), store.clock.utc_us()
    value = {
        "ends_us": found.ends_us,
        "days_left": found.days_left(now_us),
        "next_sha256": found.next_sha256,
        "former_ends_us": found.former_ends_us,
        "without": list(found.without),
    }
    cli.show(args, value, standing_text(found, now_us))
    return 0


def _change(args: argparse.Namespace, store: Store) -> None:
    if is_running(args.central / "run"):
        raise Refused("the centre runs; stop it first, brokers and depot read the authorities when they start")
    if args.prepare:
        sha256 = succession.prepare(store, config.load_central(args.central / CONFIG).central.origin)
    else:
        sha256 = succession.switch(store, frozenset(args.leave))
    write_revocations(store)
    store.note_access(getpass.getuser(), f"authority.{'prepare' if args.prepare else 'switch'}", sha256)


def standing_text(found: Standing, now_us: int) -> str:
    """What a person reads: how long it lasts, how far a change is, what to do next."""
    lines = [f"the authority ends on {iso(found.ends_us)[:10]}, in {found.days_left(now_us)} days"]
    if found.is_late(now_us):
        lines.append("prepare the next one soon: stop the centre, `vedette central authority CENTRAL --prepare`")
    if found.former_ends_us is not None:
        lines.append(f"the former one is let in until it ends on {iso(found.former_ends_us)[:10]}")
    if found.next_sha256 is not None:
        lines.append(f"the next one is prepared, SHA-256 {found.next_sha256}")
        names = ", ".join(found.without[:SHOWN]) + (", …" if len(found.without) > SHOWN else "")
        waiting = f"{len(found.without)} devices have no certificate of it yet: {names}"
        ready = "every device has a certificate of it: stop the centre, `vedette central authority CENTRAL --switch`"
        lines.append(waiting if found.without else ready)
    return "\n".join(lines)


def warning(store: Store) -> dict[str, Any] | None:
    """What `vedette central status` says of it; None while there is nothing to be done."""
    found, now_us = succession.standing(store), store.clock.utc_us()
    if not found.is_late(now_us) and found.next_sha256 is None:
        return None
    return {"days_left": found.days_left(now_us), "text": standing_text(found, now_us)}
