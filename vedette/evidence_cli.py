"""`vedette evidence verify|open|verifier|track`: check a bundle or an item, open a sealed file, write the verifiers.

Decided here: what is asked of the caller and what is printed. The checks are `vedette.bundle_verify` and
`vedette.evidence_item`, the opening is `vedette.evidence_open`; `track` is `vedette.track_cli`'s.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from dataclasses import asdict
from pathlib import Path

from vedette import bundle_verify, cli, track_cli, verifier
from vedette.bundle_folder import bundles_in, verify_folder
from vedette.bundle_verify import Asked
from vedette.errors import Usage
from vedette.evidence_item import Vouched, verify_item
from vedette.evidence_open import Opened, Range, open_range, open_whole
from vedette.findings import Report
from vedette.key_cli import given_key
from vedette.log_policy import load_policy
from vedette.newfile import new_file
from vedette.sealed import load_identities
from vedette.trust import load_trust


def register(nouns: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `evidence verify`, `evidence open` and `evidence verifier`."""
    verbs = cli.noun(nouns, "evidence", help="check, open and export evidence")
    verify = verbs.add_parser(
        "verify",
        help="check a bundle (folder or .zip), a folder of bundles, or a sealed file with its manifest beside it",
    )
    verify.add_argument("path", type=Path)
    verify.add_argument("--trust", type=Path, metavar="TRUST.json", help="the centre's public keys, from the force")
    verify.add_argument("--key", metavar="ed25519:…", help="the device's public key, for an item outside a bundle")
    verify.add_argument("--journal", type=Path, help="the device's custody journal (folder or file), likewise")
    verify.add_argument(
        "--identity", type=Path, help="a key file that opens the item: also compares with the opened file"
    )
    verify.add_argument(
        "--policy", type=Path, metavar="FILE", help="logs and witnesses: the log checkpoint must meet its quorum"
    )
    verify.add_argument("--redactor", metavar="ed25519:…", help="whose signature on a redacted copy counts")
    cli.add_json(verify)
    verify.set_defaults(run=_verify)
    opening = verbs.add_parser("open", help="open a sealed item, or a range of its bytes, with a key it is sealed to")
    opening.add_argument("path", type=Path, metavar="FILE.age|BUNDLE")
    opening.add_argument("--identity", type=Path, required=True, help="the key file that opens it")
    opening.add_argument("-o", "--output", "--out", type=Path, help="the file to write; it must not exist")
    opening.add_argument(
        "--range",
        metavar="A-B",
        help="only these bytes of the content, both included; without -o to the standard output",
    )
    opening.add_argument("--recover", action="store_true", help="of a file that was cut, write what is whole")
    cli.add_json(opening)
    opening.set_defaults(run=_open)
    verifiers = verbs.add_parser(
        "verifier", help="write verify.py and verify.html, which check a bundle without Vedette"
    )
    verifiers.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FOLDER", help="the folder to write into"
    )
    cli.add_json(verifiers)
    verifiers.set_defaults(run=_verifier)
    track_cli.register(verbs)


def _verify(args: argparse.Namespace) -> int:
    path: Path = args.path
    trust = load_trust(args.trust) if args.trust else None
    identities = load_identities(args.identity) if args.identity else []
    policy = load_policy(args.policy) if args.policy else None
    if path.is_dir() or path.suffix.lower() == ".zip":
        asked = Asked(policy=policy, redactor=given_key(args.redactor, "--redactor") if args.redactor else None)
        check = verify_folder if bundles_in(path) else bundle_verify.verify
        report = check(path, trust, identities, asked)
    else:
        device = given_key(args.key) if args.key else None
        vouched = Vouched(trust=trust, device=device, journal=args.journal, identities=identities, policy=policy)
        report = verify_item(path, vouched)
    return _show(args, report)


def _show(args: argparse.Namespace, report: Report) -> int:
    cli.show(args, report.to_json(), report.to_text())
    return report.exit_code


def _open(args: argparse.Namespace) -> int:
    identities = load_identities(args.identity)
    wanted = Range.parse(args.range) if args.range else None
    if wanted is not None and args.recover:
        raise Usage("--recover is for a whole file; a range of a cut one cannot be told from its end")
    if args.output is None:
        if wanted is None or args.json:
            raise Usage("-o FILE is missing; only a --range may go to the standard output, and then without --json")
        open_range(args.path, identities, sys.stdout.buffer, wanted)
        return 0
    with new_file(args.output, mode=0o600) as file:
        opened = (
            open_range(args.path, identities, file, wanted)
            if wanted is not None
            else open_whole(args.path, identities, file, may_be_cut=args.recover)
        )
    cli.show(args, {"output": str(args.output), **asdict(opened)}, _opened_text(args.output, opened, wanted))
    return 0


def _verifier(args: argparse.Namespace) -> int:
    made = {verifier.SCRIPT: verifier.script(), verifier.PAGE: verifier.page()}
    for name, content in made.items():
        with new_file(args.output / name) as file:
            file.write(content)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in made.items()}
    lines = [f"{digest}  {args.output / name}" for name, digest in hashes.items()]
    cli.show(args, {"folder": str(args.output), "sha256": hashes}, "\n".join(lines))
    return 0


def _opened_text(output: Path, opened: Opened, wanted: Range | None) -> str:
    if wanted is not None:
        last = wanted.first + opened.size - 1
        return f"{output}: bytes {wanted.first}-{last} of {opened.content_size}, as they were sealed"
    if opened.complete:
        return f"{output}: {opened.size} bytes, whole"
    return f"{output}: {opened.size} bytes recovered, NOT the whole file: {opened.fault}"
