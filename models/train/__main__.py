"""`python -m models.train [reader|detector]`: trains one network, or with no name makes both models from nothing.

Both means: the typefaces, a first pair, its labels for the photographs, a second pair trained with them, with a
graphics processor a longer training of the reader, the shipped files, what the reader says of things that are no
plates, the calibration, the tables and the cards.
Weights and labels lie under build/models.  What was stopped goes on where it was: a step that is done is not done
again, and a training goes on from its checkpoint.  `--rehearse` takes a fiftieth of the training: to see that every
step runs on a machine before it is left alone with them.

A training of one network can go on from what is shipped, with no weights but those of the clone:
`python -m models.train reader --start-from models/reader.tflite --keep`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from edge.reader.registry import KEY_VARIABLE
from models.train import data
from models.train.loop import DEVICE, Plan
from models.train.places import BUILD
from vedette.keys import SigningKey

CARDS = Path(__file__).resolve().parents[1] / "cards"
SECOND = ("--labels", str(BUILD / "labels.json"), "--resume")
WORKBENCH_KEY = BUILD / "workbench.pem"
# A training is as long as the pictures it sees: a busy machine takes longer and makes the same.  On two quiet processor
# cores the four of them take about 60, 40, 90 and 40 minutes.  Each step: its name, its module and words.
STEPS: tuple[tuple[str, ...], ...] = (
    ("typefaces", "models.synth.typefaces"),
    ("reader-1", "models.train", "reader", "--pictures", "900000", "--resume", "--out", str(BUILD / "reader-1.pt")),
    ("detector-1", "models.train", "detector", "--pictures", "150000", "--resume", "--out",
     str(BUILD / "detector-1.pt")),
    ("files-1", "models.quantize", "--reader", str(BUILD / "reader-1.pt"), "--detector", str(BUILD / "detector-1.pt")),
    ("sign-1", "vedette.cli", "model", "sign", "--key", str(WORKBENCH_KEY)),
    ("labels", "models.train.relabel"),
    ("reader", "models.train", "reader", "--pictures", "1500000", "--peak-rate", "1.5e-3", "--frozen", "2",
     "--start-from", str(BUILD / "reader-1.pt"), *SECOND),
    ("detector", "models.train", "detector", "--pictures", "150000", "--peak-rate", "1e-3",
     "--start-from", str(BUILD / "detector-1.pt"), *SECOND),
    ("reader-longer", "models.train", "reader", "--pictures", "5000000", "--again", "3", "--batch", "192",
     "--seed", "77", "--peak-rate", "1e-3", "--start-from", str(BUILD / "reader.pt"),
     "--out", str(BUILD / "reader-longer.pt"), *SECOND),
    ("files", "models.quantize"),
    ("plate-score", "models.train.plate_score", "--crops", "66000"),
    ("sign-2", "vedette.cli", "model", "sign", "--key", str(WORKBENCH_KEY)),
    ("calibration", "models.evaluate.calibrate"),
    ("sign-3", "vedette.cli", "model", "sign", "--key", str(WORKBENCH_KEY)),
    ("drawn", "models.evaluate.drawn", "--out", str(BUILD / "drawn.md"), "--sheet", str(CARDS / "failures.png")),
    ("table", "models.evaluate", "--out", str(BUILD / "table.md")),
    ("things", "models.evaluate.things", "--out", str(BUILD / "things.md")),
    ("cut", "models.evaluate.cut", "--out", str(BUILD / "cut.md")),
    ("cards", "models.train.cards"),
)  # fmt: skip
REHEARSAL = 0.02
# Twenty minutes where a graphics processor trains and fifteen cores draw, and the better part of a day on two cores.
LONGER = "reader-longer"
WITHOUT_PHOTOGRAPHS = ("typefaces", "sign-1", "sign-2", "sign-3", "drawn", "cards")


def shortened(words: Sequence[str], share: float) -> list[str]:
    """The words of a step with its `--pictures` or `--crops` multiplied by `share`."""
    found = list(words)
    for option in {"--pictures", "--crops"}.intersection(found):
        place = found.index(option) + 1
        found[place] = str(round(int(found[place]) * share))
    return found


def steps(*, longer: bool) -> Iterator[tuple[str, ...]]:
    """The steps, with or without the longer training, whose reader is then the one that is shipped."""
    for step in STEPS:
        if step[0] == "files" and longer:
            yield (*step, "--reader", str(BUILD / f"{LONGER}.pt"))
        elif longer or step[0] != LONGER:
            yield step


def everything(data_root: Path, share: float = 1.0, *, longer: bool) -> None:
    """Runs every step that is not done yet in its own process, trainings for `share` of their pictures.

    Stops at the first step that fails.
    """
    BUILD.mkdir(parents=True, exist_ok=True)
    if not WORKBENCH_KEY.is_file():
        SigningKey.generate().save(WORKBENCH_KEY)
    trusted = {**os.environ, KEY_VARIABLE: SigningKey.load(WORKBENCH_KEY).public.text}
    for name, module, *full in steps(longer=longer):
        words = shortened(full, share)
        done = BUILD / f"{name}.done"
        if done.is_file():
            continue
        where = () if name in WITHOUT_PHOTOGRAPHS else ("--data", str(data_root))
        print(f"== {name}: python -m {module} {' '.join(words)}", flush=True)
        subprocess.run([sys.executable, "-m", module, *words, *where], check=True, env=trusted)
        done.touch()
    print("both models are made; sign them with your own key: vedette model sign --key FILE")


def main() -> None:
    """Reads the command line and starts the training asked for."""
    parser = argparse.ArgumentParser(prog="python -m models.train", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("everything", "reader", "detector"), default="everything")
    data.add_data_option(parser)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--pictures", type=int, default=0, help="train until so many were seen, not by the clock")
    parser.add_argument("--batch", type=int, default=0, help="0 takes the network's own")
    parser.add_argument("--peak-rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--workers",
        type=int,
        default=0,
        help="processes that draw; 0: one, or all cores but one for a graphics processor",
    )
    parser.add_argument("--again", type=int, default=1, help="times that each drawn batch is learned from, varied")
    parser.add_argument("--start-from", type=Path, default=None, help="weights, or a shipped .tflite, to go on from")
    parser.add_argument("--keep", action="store_true", help="hold the reader to what --start-from reads rightly")
    parser.add_argument("--frozen", type=int, default=0, help="first layers that keep their kernels")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint beside --out, if there is one")
    parser.add_argument(
        "--labels", type=Path, default=None, help="corners and texts found by an earlier pair of models"
    )
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--rehearse", action="store_true", help="both models from nothing, in minutes and badly")
    parser.add_argument("--longer", action="store_true", help="the longer training also without a graphics processor")
    args = parser.parse_args()
    if args.what == "everything":
        longer = args.longer or DEVICE != "cpu"
        return everything(args.data, REHEARSAL if args.rehearse else 1.0, longer=longer)
    plan = Plan(
        minutes=args.minutes,
        pictures=args.pictures,
        batch=args.batch or {"reader": 96, "detector": 32}[args.what],
        peak_rate=args.peak_rate,
        seed=args.seed,
        threads=args.threads,
        workers=args.workers,
        again=args.again,
        start_from=args.start_from,
        resume=args.resume,
        frozen=args.frozen,
    )
    out = args.out or BUILD / f"{args.what}.pt"
    if args.what == "reader":
        from models.train import reader

        reader.run(args.data, plan, out, args.labels, keep=args.keep)
    else:
        from models.train import detector

        detector.run(args.data, plan, out, args.labels)
    return None


if __name__ == "__main__":
    main()
