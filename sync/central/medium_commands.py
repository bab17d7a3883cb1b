"""`vedette central import CENTRAL MEDIUM`: what was carried on a USB stick or SD card becomes stored evidence."""

from __future__ import annotations

import argparse
import getpass
from pathlib import Path

from sync.central.fleet import CONFIG
from sync.central.medium import Taken, take_in
from sync.central.receipts import Signer
from sync.central.store import Store
from vedette import cli
from vedette.config import load_central
from vedette.keys import SigningKey

NOT_ALL = 1


def register(nouns: cli.Nouns) -> None:
    """Add the verb `import` to the noun `central`."""
    verbs = cli.noun(nouns, "central", help="the central store: make it, run it, enrol devices")
    parser = verbs.add_parser("import", help="store what was carried on a medium, and leave the receipts on it")
    parser.add_argument("central", type=Path, metavar="CENTRAL", help="the centre's folder")
    parser.add_argument("medium", type=Path, metavar="MEDIUM", help="the folder where the medium is mounted")
    cli.add_json(parser)
    parser.set_defaults(run=_import)


def _import(args: argparse.Namespace) -> int:
    config = load_central(args.central / CONFIG)
    store = Store(args.central)
    signer = Signer(origin=config.central.origin, key=SigningKey.load(config.keys / "centre.pem"))
    taken = take_in(store, signer, args.medium, max_item_bytes=config.ingest.max_item_mib << 20)
    store.note_access(getpass.getuser(), "import", f"{len(taken.stored)} items", str(args.medium))
    store.close()
    cli.show(args, _value(taken), _text(taken, args.medium))
    return NOT_ALL if taken.refused else 0


def _value(taken: Taken) -> dict[str, object]:
    return {
        "stored": [{"device": device, "item": item} for device, item in taken.stored],
        "already": [{"device": device, "item": item} for device, item in taken.already],
        "refused": taken.refused,
        "bytes": taken.bytes,
    }


def _text(taken: Taken, folder: Path) -> str:
    devices = sorted({device for device, _item in (*taken.stored, *taken.already)})
    rows = [
        (device, *(str(sum(1 for one, _item in items if one == device)) for items in (taken.stored, taken.already)))
        for device in devices
    ]
    text = cli.table(rows, heads=("device", "stored", "there already")) if rows else "nothing was stored"
    if taken.refused:
        text += "\n\n" + cli.table(sorted(taken.refused.items()), heads=("not taken", "why"))
    if rows:
        text += f"\n\nnext, at each device: vedette device receipts {folder} --config FILE"
    return text
