"""`vedette sim schedules`: the pure transfer engine through as many bad networks as there is time for."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import count, islice

from vedette import cli
from vedette.cli import Nouns
from vedette.errors import Integrity, Usage

BLOCK = 2_000


def register(nouns: Nouns) -> None:
    """Add the verb `schedules` to the noun `sim`."""
    verbs = cli.noun(nouns, "sim", help="a desk standing in for the street")
    parser = verbs.add_parser("schedules", help="the transfer's two state machines over seeded bad networks")
    parser.add_argument("--seed", type=int, default=1, help="the first schedule's seed (1)")
    parser.add_argument("--count", type=int, default=100_000, help="how many (100000)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="how many at once (all cores)")
    cli.add_json(parser)
    parser.set_defaults(run=_schedules)


def _schedules(args: argparse.Namespace) -> int:
    if args.count < 1 or not 1 <= args.processes <= 256:
        raise Usage("--count is 1 or more and --processes 1 to 256")
    started_s, before = time.monotonic(), os.times()
    with ProcessPoolExecutor(args.processes) as pool:
        broken = [line for lines in pool.map(_block, _blocks(args.seed, args.count)) for line in lines]
    took_s, after = time.monotonic() - started_s, os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    a_minute, a_cpu_minute = round(args.count / took_s * 60), round(args.count / max(cpu_s, 0.01) * 60)
    summary = {
        "schedules": args.count,
        "broken": broken,
        "seconds": round(took_s, 1),
        "a_minute": a_minute,
        "a_cpu_minute": a_cpu_minute,
    }
    ending = "all safe, all ended" if not broken else f"{len(broken)} broken"
    rate = f"{a_minute} a minute, {a_cpu_minute} for each minute of one core"
    text = "\n".join([*broken[:20], f"{args.count} schedules in {took_s:.0f} s ({rate}): {ending}"])
    cli.show(args, summary, text)
    return Integrity.exit_code if broken else 0


def _blocks(seed: int, total: int) -> Iterator[range]:
    for first in islice(count(seed, BLOCK), -(-total // BLOCK)):
        yield range(first, min(first + BLOCK, seed + total))


def _block(seeds: range) -> list[str]:
    from simulator.schedules import broken_of

    return broken_of(seeds)
