"""`vedette sim chaos`: kill everything that moves evidence, again and again, and count what is missing after it."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from vedette import cli
from vedette.cli import Nouns
from vedette.errors import Integrity, Usage

if TYPE_CHECKING:
    from simulator.chaos import Tally

SHOWN = 20


def register(nouns: Nouns) -> None:
    """Add the verb `chaos` to the noun `sim`."""
    verbs = cli.noun(nouns, "sim", help="a desk standing in for the street")
    parser = verbs.add_parser("chaos", help="kill uplink, broker, ingest and keeper at random and count what is lost")
    parser.add_argument("--seed", type=int, default=1, help="which victims, when and with what on its way (1)")
    parser.add_argument("--kills", type=int, default=100, help="how many kill -9 (100)")
    parser.add_argument("--folder", type=Path, help="where it all lies and stays (without it: a temporary folder)")
    cli.add_json(parser)
    parser.set_defaults(run=_chaos)


def _chaos(args: argparse.Namespace) -> int:
    from simulator import chaos

    if args.kills < 1:
        raise Usage(f"--kills is {args.kills}; it must be at least 1")
    said = _line if sys.stderr.isatty() else _silent
    if args.folder is not None:
        tally = chaos.run(args.folder.resolve(), seed=args.seed, kills=args.kills, progress=said)
    else:
        with tempfile.TemporaryDirectory(prefix="vedette-chaos-") as folder:
            tally = chaos.run(Path(folder) / "stage", seed=args.seed, kills=args.kills, progress=said)
    cli.show(args, _value(tally), _text(tally))
    return 0 if tally.ok else Integrity.exit_code


def _line(text: str) -> None:
    print(f"\r{text:<78}", end="", file=sys.stderr, flush=True)


def _silent(_text: str) -> None:
    return


def _value(tally: Tally) -> dict[str, object]:
    account = tally.account
    return {
        "seed": tally.seed,
        "kills": dict(tally.kills),
        "cuts": tally.cuts,
        "mutes": tally.mutes,
        "own_deaths": dict(tally.own_deaths),
        "items": tally.items,
        "bytes": tally.bytes,
        "seconds": round(tally.seconds, 1),
        "checked": account.checked,
        "lost": list(account.lost),
        "twice": list(account.twice),
        "quarantined": list(account.quarantined),
        "broken": list(account.broken),
    }


def _text(tally: Tally) -> str:
    account = tally.account
    rows = [(name, str(tally.kills[name]), str(tally.own_deaths[name])) for name in sorted(tally.kills)]
    lines = [cli.table(rows, heads=("process", "killed", "ended by itself")), ""]
    lines.append(
        f"{tally.kills.total()} kills, {tally.cuts} cuts and {tally.mutes} silences of the link"
        f" in {tally.seconds:.0f} s; {tally.items} items, {tally.bytes / (1 << 20):,.0f} MiB"
    )
    lines.append(
        f"{account.checked} items checked: {len(account.lost)} lost, {len(account.twice)} twice,"
        f" {len(account.quarantined)} in quarantine, {len(account.broken)} broken"
    )
    faults = [*account.lost, *account.twice, *account.quarantined, *account.broken]
    return "\n".join(lines + [f"FAULT  {one}" for one in faults[:SHOWN]])
