"""One table of how well plates are found and read, on any folder of labelled pictures.

`python -m models.evaluate [--data DIR | --folder DIR] [--set NAME ...]`.  Counted are the pictures that were not
trained on, unless `--all` asks for every one.  Another program's output (`--peer NAME=FILE.jsonl`, see
`models.evaluate.peers`) stands beside ours, scored by the same rules.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.reader.look import Looker
from models.evaluate import gallery, ours, peers
from models.evaluate.manifest import Picture, pictures_of, set_names
from models.evaluate.scoring import Verdict, judge, tally
from models.evaluate.seen import Seen
from models.evaluate.table import table
from models.train import data
from vedette.errors import Usage, VedetteError

OURS = "vedette"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m models.evaluate", description=__doc__)
    data.add_data_option(made)
    made.add_argument("--folder", type=Path, help="folder that itself holds manifest.jsonl, in place of --data")
    made.add_argument("--set", nargs="+", metavar="NAME", help="only these sets (folders of pictures)")
    made.add_argument("--all", action="store_true", help="also pictures that were trained on")
    made.add_argument("--limit", type=int, default=1_000_000, metavar="N", help="pictures of a set at most")
    made.add_argument("--models", type=Path, metavar="FOLDER", help="another pair of models with its registry")
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--peer", action="append", default=[], metavar="NAME=FILE", help="output of another program")
    made.add_argument("--export", type=Path, metavar="FILE", help="write what our models saw in the form of --peer")
    made.add_argument("--gallery", type=Path, metavar="FOLDER", help=gallery.OPTION_HELP)
    made.add_argument("--out", type=Path, metavar="FILE", help="also write the table to this file")
    made.add_argument("--misses", action="store_true", help="also list what was read wrong")
    return made


def chosen(args: argparse.Namespace) -> list[Picture]:
    """The pictures asked for, set by set; `Usage` names a set that is not there."""
    if args.limit < 1:
        raise Usage(f"--limit {args.limit}: give 1 or more")
    pictures = pictures_of(args.folder if args.folder is not None else args.data / "plates")
    names = set_names(pictures)
    unknown = [name for name in args.set or () if name not in names]
    if unknown:
        raise Usage(f"no set is called {unknown[0]!r}; there are {', '.join(names)}")
    kept = [one for one in pictures if args.all or one.held_out]
    found = [one for name in args.set or names for one in [p for p in kept if p.set == name][: args.limit]]
    if not found:
        raise Usage("every picture of this choice was trained on; --all takes them nevertheless")
    return found


def peers_asked(words: Sequence[str], pictures: Sequence[Picture]) -> list[peers.Peer]:
    """The other programs' outputs; says on stderr where they do not cover the pictures."""
    names = {one.name for one in pictures}
    found: list[peers.Peer] = []
    for word in words:
        name, equals, file = word.partition("=")
        if not (name and equals and file) or name == OURS or name in {one.name for one in found}:
            raise Usage(f"--peer {word}: write NAME=FILE with a name of its own")
        peer = peers.peer_of(name, Path(file), names)
        missing = len(names) - len(peer.seen)
        if missing:
            print(f"{name}: no line about {missing} of {len(names)} pictures; they count as not read", file=sys.stderr)
        if peer.strange:
            print(f"{name}: {peer.strange} lines about other files, left out", file=sys.stderr)
        found.append(peer)
    return found


def seen_by_us(looker: ours.Looks, pictures: Sequence[Picture]) -> tuple[dict[str, Seen], int]:
    """Every picture through our models, with a word on stderr for each set and each bad file; how many were bad."""
    seen, bad = {}, 0
    for number, picture in enumerate(pictures):
        if number == 0 or picture.set != pictures[number - 1].set:
            print(f"looking at {picture.set} …", file=sys.stderr, flush=True)
        seen[picture.name], trouble = ours.see(looker, picture)
        if trouble:
            bad += 1
            print(f"evaluate: {trouble}", file=sys.stderr, flush=True)
    return seen, bad


def misses(verdicts: Sequence[Verdict]) -> list[str]:
    """One line for each plate that our models did not read exactly."""
    found = []
    for verdict in verdicts:
        for one in verdict.plates:
            if one.exact is False:
                read = f"{one.read.text} ({one.read.confidence_permille})" if one.read else "nothing"
                place = "" if one.found is not False else ", not found"
                found.append(f"{verdict.picture.name}: {one.plate.text} read as {read}{place}")
    return found


def run(args: argparse.Namespace) -> int:
    """Measures, prints the table and writes what else was asked for; returns 1 where a file could not be read whole."""
    pictures = chosen(args)
    others = peers_asked(args.peer, pictures)
    mine, bad = seen_by_us(Looker.load(threads=args.threads, folder=args.models), pictures)
    verdicts = [judge(one, mine[one.name]) for one in pictures]
    tallies = []
    for name in dict.fromkeys(one.set for one in pictures):
        tallies.append(tally(name, OURS, [one for one in verdicts if one.picture.set == name]))
        here = [one for one in pictures if one.set == name]
        tallies += [tally(name, peer.name, [judge(one, peer.of(one.name)) for one in here]) for peer in others]
    text = table(tallies)
    if any(not one.held_out for one in pictures):
        text += "\nWith pictures that were trained on: these figures say nothing about other pictures.\n"
    print(text, end="")
    if args.misses:
        print("\n".join(misses(verdicts)))
    if args.out is not None:
        _write(args.out, text)
    if args.export is not None:
        _write(args.export, "".join(f"{line}\n" for line in peers.lines(mine.values())))
    if args.gallery is not None:
        print(gallery.write(args.gallery, verdicts), file=sys.stderr)
    return 1 if bad else 0


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def main() -> int:
    """Reads the command line; returns the exit code."""
    try:
        return run(parser().parse_args())
    except VedetteError as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
