"""`vedette device carry|receipts`: evidence to the centre on a USB stick or SD card, and its receipts back."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sync import medium
from vedette import cli
from vedette.clock import SystemClock
from vedette.config import DeviceConfig, load_device
from vedette.custody import Journal
from vedette.custody_seal import seal_closed
from vedette.identity import identity_of
from vedette.keys import SigningKey
from vedette.trust import load_trust

SERVICE = "carry"
NOT_ALL = 1


def register(nouns: cli.Nouns) -> None:
    """Add the verbs `carry` and `receipts` to the noun `device`."""
    verbs = cli.noun(nouns, "device", help="make, run and ask a device")
    carry = _verb(verbs, "carry", "copy what waits to be sent onto a USB stick or SD card, sealed as it is")
    carry.set_defaults(run=_carry)
    receipts = _verb(verbs, "receipts", "take in the centre's receipts from a medium it has read")
    receipts.set_defaults(run=_receipts)


def _verb(verbs: Any, name: str, help: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=help)
    parser.add_argument("medium", type=Path, metavar="MEDIUM", help="the folder where the medium is mounted")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="device.toml")
    cli.add_json(parser)
    return parser


def _carry(args: argparse.Namespace) -> int:
    config = load_device(args.config)
    load_trust(config.trust)  # a device that is not enrolled has nobody to carry to
    report = medium.carry_out(config, args.medium)
    if report.done:
        for item_id in _journalled(config, report):
            also = medium.carry_out(config, args.medium, only=[item_id])
            report.done += also.done
            report.bytes += also.bytes
    text = f"{_count(report.done)} copied ({report.bytes} bytes), {len(report.already)} there already"
    return _shown(args, report, text + f"\nnext, at the centre: vedette central import CENTRAL {args.medium}")


def _receipts(args: argparse.Namespace) -> int:
    report = medium.bring_receipts(load_device(args.config), args.medium)
    text = f"{len(report.done)} receipts taken in ({report.bytes} bytes may be deleted), {len(report.already)} known"
    return _shown(args, report, text)


def _journalled(config: DeviceConfig, report: medium.Report) -> list[str]:
    """Write what left into a journal of its own, sealed at once; the ids of its custody items that wait."""
    key, clock = SigningKey.load(config.keys / "sign.pem"), SystemClock(config.device.run)
    journal = Journal.open(config.journals / SERVICE, service=SERVICE, device=config.device.id, key=key, clock=clock)
    try:
        for item_id in report.done:
            journal.append("item.carried", item_id)
        journal.roll()
        recipients = load_trust(config.trust).lead_recipients()
        sealed = seal_closed(journal, config.spool, recipients, identity=identity_of(config))
        return [item.item_id for item in sealed]
    finally:
        journal.close()


def _shown(args: argparse.Namespace, report: medium.Report, text: str) -> int:
    rows = [[name, why] for name, why in sorted(report.left.items())]
    if rows:
        text += "\n\n" + cli.table(rows, heads=["left behind", "why"])
    value = {"done": report.done, "already": report.already, "left": report.left, "bytes": report.bytes}
    cli.show(args, value, text)
    return NOT_ALL if report.left else 0


def _count(items: list[str]) -> str:
    return "1 item" if len(items) == 1 else f"{len(items)} items"
