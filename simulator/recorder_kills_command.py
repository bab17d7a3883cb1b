"""`vedette sim kills`: kill the recorder at random moments and measure what is missing after it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from simulator import trial_command
from vedette import cli
from vedette.cli import Nouns
from vedette.errors import Integrity, Usage

if TYPE_CHECKING:
    from simulator.recorder_kills import Tally, Trial


def register(nouns: Nouns) -> None:
    """Add the verb `kills` to the noun `sim`."""
    verbs = cli.noun(nouns, "sim", help="a desk standing in for the street")
    parser = verbs.add_parser("kills", help="kill the recorder at random moments and measure what is missing")
    parser.add_argument("--seed", type=int, default=1, help="which moments (1)")
    parser.add_argument("--count", type=int, default=200, help="how many kill -9 (200)")
    parser.add_argument(
        "--camera",
        choices=("clip", "gst"),
        default="clip",
        help="a copied clip (without it), or GStreamer's pictures coded by x264, with sound",
    )
    parser.add_argument(
        "--from",
        dest="begins",
        choices=("recording", "standby"),
        default="recording",
        help="whether it records from its start on (without it), or waits in standby and is activated and stopped",
    )
    trial_command.add_folder(parser)
    cli.add_json(parser)
    parser.set_defaults(run=_kills)


def _kills(args: argparse.Namespace) -> int:
    from simulator import recorder_kills, standby_kills

    if args.count < 1:
        raise Usage(f"--count is {args.count}; it must be at least 1")
    if args.begins == "standby" and args.camera != "clip":
        # The ball comes by the same places again after 8 s, and a buffer is longer.
        raise Usage("--from standby goes with the copied clip; leave --camera out")
    kind = standby_kills.ShiftBench if args.begins == "standby" else recorder_kills.Bench
    with trial_command.place(args, "kills") as folder:
        tally = recorder_kills.run(
            folder, kills=args.count, seed=args.seed, camera=args.camera, kind=kind, progress=trial_command.progress()
        )
    cli.show(args, _value(tally), _text(tally))
    return Integrity.exit_code if tally.faults else 0


def _value(tally: Tally) -> dict[str, object]:
    return {
        "kills": len(tally.trials),
        "lost_us": sorted(one.lost_us for one in tally.trials),
        "unproven_us": sorted(one.unproven_us for one in tally.trials),
        "sound_lost_us": tally.sound_lost_us,
        "sound_holes_us": sum(one.holes_us for one in tally.trials),
        "states": {where: _state(mine) for where, mine in _by_state(tally).items()},
        "before_the_first_item": sum(not one.items for one in tally.trials),
        "items": tally.items,
        "cut_items": tally.cut_items,
        "sealed_bytes": tally.sealed_bytes,
        "pictures": tally.pictures,
        "seconds": round(tally.seconds, 1),
        "faults": tally.faults,
    }


def _by_state(tally: Tally) -> dict[str, list[Trial]]:
    """The trials by the state in which the recorder was killed, in order of their first."""
    found: dict[str, list[Trial]] = {}
    for one in tally.trials:
        found.setdefault(one.where, []).append(one)
    return found


def _state(trials: Sequence[Trial]) -> dict[str, object]:
    return {
        "kills": len(trials),
        "lost_us": sorted(one.lost_us for one in trials),
        "unproven_us": sorted(one.unproven_us for one in trials),
        "unwritten_us": sorted(one.unwritten_us for one in trials),
    }


def _told(trials: Sequence[Trial]) -> list[str]:
    """How many, and the most that each of them cost."""
    most = (
        max(one.lost_us for one in trials),
        max(one.unproven_us for one in trials),
        max(one.unwritten_us for one in trials),
    )
    return [str(len(trials)), *(f"{one / 1e6:.3f} s at most" for one in most)]


def _text(tally: Tally) -> str:
    lost = sorted(one.lost_us for one in tally.trials)
    unproven = sorted(one.unproven_us for one in tally.trials)
    measured = (
        ("pictures missing", lost),
        ("pictures without a checkpoint", unproven),
        ("sound missing", tally.sound_lost_us),
        ("sound missing before that", sorted(one.holes_us for one in tally.trials if one.sound_lost_us is not None)),
    )
    rows = [
        (what, *(f"{one / 1e6:.3f} s" for one in (values[len(values) // 2], values[-1])))
        for what, values in measured
        if values
    ]
    lines = [cli.table(rows, heads=("after a kill", "median", "most")), ""]
    states = _by_state(tally)
    if len(states) > 1:
        told = [(where, *_told(mine)) for where, mine in states.items()]
        heads = ("killed while", "kills", "missing", "without a checkpoint", "of the buffer not written yet")
        lines += [cli.table(told, heads=heads), ""]
    lines.append(
        f"{len(lost)} kills in {tally.seconds:.0f} s, {sum(not one.items for one in tally.trials)} of them before"
        " anything was recorded"
    )
    lines.append(
        f"{tally.items} items ({tally.cut_items} cut), {tally.sealed_bytes / (1 << 20):.1f} MiB, {tally.pictures}"
        f" pictures opened, decoded and verified; {len(tally.faults)} faults"
    )
    return "\n".join(lines + trial_command.faults(tally.faults))
