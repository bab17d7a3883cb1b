"""`vedette central worker`: a folder for an ingest worker on another machine."""

from __future__ import annotations

import argparse
import getpass
from pathlib import Path

from sync.central import elsewhere
from sync.central.mosquitto import WORKER_IDS
from sync.central.store import Store
from vedette import cli
from vedette.clock import SystemClock, iso


def register(nouns: cli.Nouns) -> None:
    """Add the verb `worker` to `central`."""
    verbs = cli.noun(nouns, "central", help="the central store: make it, run it, enrol devices")
    verb = verbs.add_parser("worker", help="make a folder with which an ingest worker runs on another machine")
    verb.add_argument("central", type=Path, metavar="CENTRAL", help="the centre's folder")
    verb.add_argument("name", choices=WORKER_IDS, metavar="NAME", help=f"one of {', '.join(WORKER_IDS)}: no two alike")
    verb.add_argument("folder", type=Path, metavar="FOLDER", help="what to carry there; it is made")
    verb.add_argument("--host", default="", help="the first broker's name for other machines (central.toml's)")
    cli.add_json(verb)
    verb.set_defaults(run=_worker)


def _worker(args: argparse.Namespace) -> int:
    clock = SystemClock()
    made = elsewhere.make(args.central, args.name, args.folder, clock, host=args.host)
    store = Store(args.central, clock)
    store.note_access(getpass.getuser(), "worker.make", args.name)
    store.close()
    brokers = [f"{host}:{port}" for host, port in made.brokers]
    value = {"name": made.name, "folder": str(made.folder), "brokers": brokers, "ends_us": made.ends_us}
    text = (
        f"{made.folder} is for {made.name} on another machine; brokers {', '.join(brokers)}\n"
        "it holds the key that signs receipts: carry it as a key, and keep no copy\n"
        f"there: firmware_scripts/install.sh --role worker, then put it to /var/lib/vedette-central/worker\n"
        f"its certificate ends on {iso(made.ends_us)[:10]}; make a new folder before"
    )
    cli.show(args, value, text)
    return 0
