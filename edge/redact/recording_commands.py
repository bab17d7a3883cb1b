"""What `vedette evidence redact` does where it is given a recording: propose, carry out, check; and what it prints."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vedette import cli, files
from vedette.errors import NotFound, Refused
from vedette.keys import PublicKey, SigningKey
from vedette.sealed import Identity

if TYPE_CHECKING:
    from edge.redact.recording import Recording

THREADS = 2


def run(args: argparse.Namespace, identities: list[Identity], signer: PublicKey | None) -> int:
    """The step that `args` ask for, over all items of `args.parents`; errors as the steps'."""
    from edge.redact.recording import open_recording

    recording = open_recording(args.parents, identities)
    if args.propose is not None:
        return _propose(args, recording)
    return _apply(args, recording) if args.apply is not None else _check(args, recording, signer)


def _propose(args: argparse.Namespace, recording: Recording) -> int:
    from edge.reader.look import Looker
    from edge.redact.recording_make import Models, propose_recording, write_recording_plan

    if args.propose.exists():
        raise Refused(f"{args.propose} exists already and is not overwritten")
    looker = None if args.no_plates else Looker.load(threads=THREADS)
    models = Models()
    if looker is not None:
        models = Models(finder=looker.detector, hashes={"detector": looker.model_hashes["detector"]})
    plan = propose_recording(recording, models)
    write_recording_plan(args.propose, plan)
    value = {
        "plan": str(args.propose), "recording": plan.recording, "parts": len(plan.parts),
        "regions": len(plan.regions), "frames": plan.frames,
    }  # fmt: skip
    text = (
        f"{args.propose}: {len(plan.regions)} plates found in {plan.frames} pictures of {len(plan.parts)} parts\n"
        "The detector misses plates. Look at the whole video, mend the plan, put your name and the reason into it."
    )
    cli.show(args, value, text)
    return 0


def _apply(args: argparse.Namespace, recording: Recording) -> int:
    from edge.redact.plan import MAX_PLAN_BYTES
    from edge.redact.recording_make import WHOLE_PLAN, apply_recording
    from vedette.clock import SystemClock

    content = files.read(args.apply, max_bytes=MAX_PLAN_BYTES)
    made = apply_recording(recording, content, args.output, SigningKey.load(args.key), SystemClock())
    copies: list[dict[str, Any]] = []
    for copy, record in made.copies:
        changed = sum(run.last - run.first + 1 for run in record.changed)
        copies.append({
            "copy": str(copy.path), "record": str(copy.record), "plan": str(copy.plan), "item": record.item,
            "parent": record.parent.item, "sha256": record.derived_sha256, "frames": record.frames, "changed": changed,
        })  # fmt: skip
    lines = [
        f"{Path(one['copy']).name}: {one['changed']} of {one['frames']} pictures covered in places" for one in copies
    ]
    text = "\n".join([
        f"{made.folder}: {len(copies)} copies, each with its plan and record, and {WHOLE_PLAN}",
        *lines,
        "Look at the copies from beginning to end before they leave.",
    ])  # fmt: skip
    cli.show(args, {"folder": str(made.folder), "recording": recording.recording, "copies": copies}, text)
    return 0


def _check(args: argparse.Namespace, recording: Recording, signer: PublicKey | None) -> int:
    from edge.redact.recording_check import check_recording

    if not args.check.is_dir():
        raise NotFound(f"{args.check} is no folder of copies; of a recording, give the folder that --apply made")
    report = check_recording(args.check, recording, signer)
    cli.show(args, report.to_json(), report.to_text())
    return report.exit_code
