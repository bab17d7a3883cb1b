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
    parser = verbs.add_parser(
        "chaos", help="kill uplinks, keepers, broker, ingest workers and door at random and count what is lost"
    )
    parser.add_argument("--seed", type=int, default=1, help="which victims, when and with what on its way (1)")
    parser.add_argument("--kills", type=int, default=100, help="how many kill -9 (100)")
    parser.add_argument(
        "--devices", type=int, default=3, help="how many, the first of every three parked at the depot's door (3)"
    )
    parser.add_argument("--workers", type=int, default=2, help="ingest workers, the centre's own among them (2)")
    parser.add_argument("--postgres", action="store_true", help="the centre on PostgreSQL, which is killed as well")
    trial_command.add_folder(parser)
    cli.add_json(parser)
    parser.set_defaults(run=_chaos)


def _chaos(args: argparse.Namespace) -> int:
    from simulator import chaos
    from simulator.chaos_scene import MAX_DEVICES, Cast
    from sync.central.worker import MAX_WORKERS

    if args.kills < 1:
        raise Usage(f"--kills is {args.kills}; it must be at least 1")
    for name, most in (("devices", MAX_DEVICES), ("workers", MAX_WORKERS)):
        if not 1 <= getattr(args, name) <= most:
            raise Usage(f"--{name} is {getattr(args, name)}; it must be 1 to {most}")
    cast = Cast(devices=args.devices, workers=args.workers, on_postgres=args.postgres)
    with trial_command.place(args, "chaos") as folder:
        tally = chaos.run(folder, seed=args.seed, kills=args.kills, cast=cast, progress=trial_command.progress())
    cli.show(args, _value(tally), _text(tally))
    return 0 if tally.ok else Integrity.exit_code


def _value(tally: Tally) -> dict[str, object]:
    account = tally.account
    return {
        "seed": tally.seed,
        "devices": tally.cast.devices,
        "workers": tally.cast.workers,
        "postgres": tally.cast.on_postgres,
        "kills": dict(tally.kills),
        "cuts": tally.cuts,
        "mutes": tally.mutes,
        "own_deaths": dict(tally.own_deaths),
        "deaths": list(tally.deaths),
        "stored_by": tally.stored_by,
        "items": tally.items,
        "bytes": tally.bytes,
        "seconds": round(tally.seconds, 1),
        "checked": account.checked,
        "lost": list(account.lost),
        "twice": list(account.twice),
        "quarantined": list(account.quarantined),
        "broken": list(account.broken),
        "stuck": list(tally.stuck),
    }


def _text(tally: Tally) -> str:
    account = tally.account
    names = sorted({*tally.kills, *tally.own_deaths})
    rows = [(name, str(tally.kills[name]), str(tally.own_deaths[name])) for name in names]
    lines = [cli.table(rows, heads=("process", "killed", "ended by itself")), ""]
    lines.append(
        f"{tally.kills.total()} kills, {tally.cuts} cuts and {tally.mutes} silences of links"
        f" in {tally.seconds:.0f} s; {tally.items} items, {tally.bytes / (1 << 20):,.0f} MiB"
    )
    lines.append(
        f"{account.checked} items checked: {len(account.lost)} lost, {len(account.twice)} twice,"
        f" {len(account.quarantined)} in quarantine, {len(account.broken)} broken, {len(tally.stuck)} stuck;"
        f" {len(tally.deaths)} ended by themselves that should not have"
    )
    if excused := tally.own_deaths.total() - len(tally.deaths):
        lines.append(f"{excused} ended, as they should, because they started while the database was away")
    lines.append("taken in by " + ", ".join(f"{name} {count}" for name, count in tally.stored_by.items()))
    faults = [*account.lost, *account.twice, *account.quarantined, *account.broken, *tally.stuck, *tally.deaths]
    return "\n".join(lines + trial_command.faults(faults))
