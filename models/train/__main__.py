"""`python -m models.train reader|detector`: trains one network and writes its weights under build/models."""

from __future__ import annotations

import argparse
from pathlib import Path

from models.train import data
from models.train.loop import BUILD, Plan


def main() -> None:
    """Reads the command line and starts the training asked for."""
    parser = argparse.ArgumentParser(prog="python -m models.train", description=__doc__)
    parser.add_argument("what", choices=("reader", "detector"))
    data.add_data_option(parser)
    parser.add_argument("--minutes", type=float, default=40.0)
    parser.add_argument("--batch", type=int, default=0, help="0 takes the network's own")
    parser.add_argument("--peak-rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=0, help="processes that draw; 0 takes the network's own")
    parser.add_argument("--start-from", type=Path, default=None, help="weights to go on from")
    parser.add_argument(
        "--labels", type=Path, default=None, help="corners and texts found by an earlier pair of models"
    )
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    plan = Plan(
        minutes=args.minutes, batch=args.batch or {"reader": 96, "detector": 32}[args.what], peak_rate=args.peak_rate,
        seed=args.seed, threads=args.threads,
        workers=args.workers or {"reader": 1, "detector": 2}[args.what], start_from=args.start_from,
    )  # fmt: skip
    out = args.out or BUILD / f"{args.what}.pt"
    if args.what == "reader":
        from models.train import reader

        reader.run(args.data, plan, out)
    else:
        from models.train import detector

        detector.run(args.data, plan, out, args.labels)


if __name__ == "__main__":
    main()
