"""`vedette sim chaos`: kill everything that moves evidence, again and again, and count what is missing after it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from simulator import trial_command
from vedette import cli
from vedette.cli import Nouns
from vedette.errors import Integrity, Usage

if TYPE_CHECKING:
    from simulator.chaos import Tally


def register(nouns: Nouns) -> None:
    """Add the verb `chaos` to the noun `sim`."""
    verbs = cli.noun(nouns, "sim", help="a desk standing in for the street")
    parser = verbs.add_parser("chaos", help="kill uplink, broker, ingest and keeper at random and count what is lost")
    parser.add_argument("--seed", type=int, default=1, help="which victims, when and with what on its way (1)")
    parser.add_argument("--kills", type=int, default=100, help="how many kill -9 (100)")
    parser.add_argument("--postgres", action="store_true", help="the centre on PostgreSQL, which is killed as well")
    trial_command.add_folder(parser)
    cli.add_json(parser)
    parser.set_defaults(run=_chaos)


def _chaos(args: argparse.Namespace) -> int:
    from simulator import chaos

    if args.kills < 1:
        raise Usage(f"--kills is {args.kills}; it must be at least 1")
    with trial_command.place(args, "chaos") as folder:
        progress = trial_command.progress()
        tally = chaos.run(folder, seed=args.seed, kills=args.kills, progress=progress, on_postgres=args.postgres)
    cli.show(args, _value(tally), _text(tally))
    return 0 if tally.ok else Integrity.exit_code


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
    return "\n".join(lines + trial_command.faults(faults))
