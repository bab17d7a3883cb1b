"""`python -m models.train [reader|detector]`: trains one network, or with no name makes both models from nothing.

Both means: a first pair, its labels for the photographs, a second pair trained with them, the shipped files, the table
and the cards.  Weights and labels lie under build/models.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from models.train import data
from models.train.loop import BUILD, Plan

SECOND = ("--labels", str(BUILD / "labels.json"), "--peak-rate", "1e-3")
# Minutes are for two quiet processor cores.
STEPS: tuple[tuple[str, ...], ...] = (
    ("models.train", "reader", "--minutes", "22"),
    ("models.train", "detector", "--minutes", "16"),
    ("models.quantize", "--version", "1"),
    ("models.train.relabel",),
    ("models.train", "reader", "--minutes", "30", "--start-from", str(BUILD / "reader.pt"), *SECOND),
    ("models.train", "detector", "--minutes", "25", "--start-from", str(BUILD / "detector.pt"), *SECOND),
    ("models.quantize", "--version", "2"),
    ("models.evaluate", "--out", str(BUILD / "table.md")),
    ("models.train.cards",),
)


def everything(data_root: Path) -> None:
    """Runs every step in its own process; stops at the first that fails."""
    for module, *words in STEPS:
        where = () if module.endswith("cards") else ("--data", str(data_root))
        print(f"== python -m {module} {' '.join(words)}", flush=True)
        subprocess.run([sys.executable, "-m", module, *words, *where], check=True)


def main() -> None:
    """Reads the command line and starts the training asked for."""
    parser = argparse.ArgumentParser(prog="python -m models.train", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("everything", "reader", "detector"), default="everything")
    data.add_data_option(parser)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--batch", type=int, default=0, help="0 takes the network's own")
    parser.add_argument("--peak-rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0, help="0 takes the network's own")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw")
    parser.add_argument("--start-from", type=Path, default=None, help="weights to go on from")
    parser.add_argument(
        "--labels", type=Path, default=None, help="corners and texts found by an earlier pair of models"
    )
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    if args.what == "everything":
        return everything(args.data)
    plan = Plan(
        minutes=args.minutes,
        batch=args.batch or {"reader": 96, "detector": 32}[args.what],
        peak_rate=args.peak_rate,
        seed=args.seed,
        threads=args.threads or {"reader": 2, "detector": 1}[args.what],
        workers=args.workers,
        start_from=args.start_from,
    )
    out = args.out or BUILD / f"{args.what}.pt"
    if args.what == "reader":
        from models.train import reader

        reader.run(args.data, plan, out, args.labels)
    else:
        from models.train import detector

        detector.run(args.data, plan, out, args.labels)
    return None


if __name__ == "__main__":
    main()
