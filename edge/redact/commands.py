"""`vedette evidence redact`: propose a plan, carry one out, check a copy.

Decided here: what is asked of the caller and what is printed. The verb joins those of `vedette.evidence_cli` under the
noun `evidence`; it needs the device's extra (PyAV, OpenCV, the models), on whatever machine copies are made.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vedette import cli, files
from vedette.errors import Integrity, NotFound, Usage
from vedette.keys import PublicKey, SigningKey
from vedette.sealed import load_identities

if TYPE_CHECKING:
    from edge.redact.make import Made
    from edge.redact.recording import Items

THREADS = 2
_ABOUT = """\
make a redacted copy of an item in two steps (--propose PLAN, a person edits it, --apply PLAN -o COPY.mp4 --key KEY),
or check one against its parent (--check COPY.mp4); the parent is an opened MP4, a sealed item or a bundle; of a whole
recording give all items, sealed or as bundles, or the folder in which they lie: then -o and --check name a folder of
copies, one of each item, all of them or none"""


def register(nouns: cli.Nouns) -> None:
    """Add `evidence redact`."""
    verbs = cli.noun(nouns, "evidence", help="check, open and export evidence")
    redact = verbs.add_parser("redact", help="cover plates and chosen regions, mute sound", description=_ABOUT)
    redact.add_argument("parents", type=Path, nargs="+", metavar="PARENT")
    what = redact.add_mutually_exclusive_group(required=True)
    what.add_argument("--propose", type=Path, metavar="PLAN", help="find the plates and write a plan for a person")
    what.add_argument("--apply", type=Path, metavar="PLAN", help="make the copy that the plan describes")
    what.add_argument("--check", type=Path, metavar="COPY", help="check a copy, its record and plan beside it")
    redact.add_argument("--identity", type=Path, help="the key file that opens a sealed parent")
    redact.add_argument("--no-plates", action="store_true", help="propose without looking for plates")
    redact.add_argument("-o", "--output", type=Path, metavar="COPY.mp4",
                        help="the copy to make, of a recording the folder of copies; it must not exist")  # fmt: skip
    redact.add_argument("--key", type=Path, metavar="KEY.pem", help="the signing key of whoever redacts")
    redact.add_argument("--signer", metavar="ed25519:…", help="with --check: whose signature counts")
    cli.add_json(redact)
    redact.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from edge.redact.recording import names_recording, open_item, open_recording

    _check_usage(args)
    identities, signer = load_identities(args.identity) if args.identity else [], _signer(args)
    is_whole = names_recording(args.parents)
    items = open_recording(args.parents, identities) if is_whole else open_item(args.parents[0], identities)
    if args.propose is not None:
        return _propose(args, items)
    return _apply(args, items) if args.apply is not None else _check(args, items, signer)


def _signer(args: argparse.Namespace) -> PublicKey | None:
    try:
        return PublicKey.from_text(args.signer) if args.signer else None
    except Integrity as error:
        raise Usage(f"--signer: {error}") from None


def _check_usage(args: argparse.Namespace) -> None:
    if args.apply is not None and (args.output is None or args.key is None):
        raise Usage("--apply wants -o COPY.mp4 and --key KEY.pem")
    if args.apply is None and (args.output is not None or args.key is not None):
        raise Usage("-o and --key belong to --apply")
    if args.signer is not None and args.check is None:
        raise Usage("--signer belongs to --check")


def _propose(args: argparse.Namespace, items: Items) -> int:
    from edge.reader.look import Looker
    from edge.redact.make import Models, check_room, propose, write_plan

    check_room(args.propose)
    looker, models = None if args.no_plates else Looker.load(threads=THREADS), Models()
    if looker is not None:
        models = Models(finder=looker.detector, hashes={"detector": looker.model_hashes["detector"]})
    plan = propose(items, models)
    write_plan(args.propose, plan)
    whole = {"recording": plan.recording, "parts": len(plan.parts)} if plan.recording else {}
    value = {"plan": str(args.propose), **whole, "regions": len(plan.regions), "frames": plan.frames}
    of = f" of {len(plan.parts)} parts" if plan.recording else ""
    text = (
        f"{args.propose}: {len(plan.regions)} plates found in {plan.frames} pictures{of}\n"
        "The detector misses plates. Look at the whole video, mend the plan, put your name and the reason into it."
    )
    cli.show(args, value, text)
    return 0


def _apply(args: argparse.Namespace, items: Items) -> int:
    from edge.redact.make import apply
    from edge.redact.plan import MAX_PLAN_BYTES
    from edge.redact.recording import Recording
    from vedette.clock import SystemClock

    content = files.read(args.apply, max_bytes=MAX_PLAN_BYTES)
    made = apply(items, content, args.output, SigningKey.load(args.key), SystemClock())
    if isinstance(items, Recording):
        cli.show(args, _set_value(args.output, items.recording, made), _set_text(args.output, made))
    else:
        cli.show(args, _value(made[0]), _text(made[0]))
    return 0


def _value(made: Made) -> dict[str, Any]:
    compared = made.compared
    figures = {"open_psnr_mdb": compared.open_psnr_mdb, "cell_psnr_mdb": compared.cell_psnr_mdb}
    return {**_copy_value(made), **figures}


def _copy_value(made: Made) -> dict[str, Any]:
    return {
        "copy": str(made.copy.path), "record": str(made.copy.record), "plan": str(made.copy.plan),
        "item": made.record.item, "sha256": made.record.derived_sha256, "frames": made.record.frames,
        "changed": _changed(made),
    }  # fmt: skip


def _set_value(folder: Path, recording: str, made: Sequence[Made]) -> dict[str, Any]:
    copies = [{**_copy_value(one), "parent": one.record.parent.item} for one in made]
    return {"folder": str(folder), "recording": recording, "copies": copies}


def _text(made: Made) -> str:
    return (
        f"{made.copy.path}: {_changed(made)} of {made.record.frames} pictures covered in places\n"
        f"beside it the record {made.copy.record.name} and the plan {made.copy.plan.name}\n"
        "Look at the copy from beginning to end before it leaves."
    )


def _set_text(folder: Path, made: Sequence[Made]) -> str:
    from edge.redact.make import WHOLE_PLAN

    return "\n".join([
        f"{folder}: {len(made)} copies, each with its plan and record, and {WHOLE_PLAN}",
        *(f"{one.copy.path.name}: {_changed(one)} of {one.record.frames} pictures covered in places" for one in made),
        "Look at the copies from beginning to end before they leave.",
    ])  # fmt: skip


def _changed(made: Made) -> int:
    return sum(run.last - run.first + 1 for run in made.record.changed)


def _check(args: argparse.Namespace, items: Items, signer: PublicKey | None) -> int:
    from edge.redact.check import Copy, check
    from edge.redact.recording import Recording
    from edge.redact.recording_check import check_recording

    if isinstance(items, Recording):
        if not args.check.is_dir():
            raise NotFound(f"{args.check} is no folder of copies; of a recording, give the folder that --apply made")
        report = check_recording(args.check, items, signer)
    else:
        with items.open(items.items[0]) as parent:
            if not args.check.is_file():
                raise NotFound(f"{args.check} is not there")
            report = check(Copy(path=args.check), parent, signer)
    cli.show(args, report.to_json(), report.to_text())
    return report.exit_code
