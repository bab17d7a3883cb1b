"""What `verify.py` asks of whoever calls it and prints.

A part of verify.py (see `vedette.verifier`): standard library only.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from vedette.verifier.container import Folder, Zip
from vedette.verifier.evidence import Bundle
from vedette.verifier.heads import elsewhere_said, is_elsewhere
from vedette.verifier.parts import part_alone, parts_together
from vedette.verifier.records import Bad, dumps, loads, public_key
from vedette.verifier.redactions import whole_set
from vedette.verifier.witnesses import policy_of

# ---- from here on in verify.py ----
NOT_SHOWN = {
    "recording's parts": "that the recording is whole is not shown",
    "redaction's original": "what a redacted copy left unchanged cannot be compared with the original here",
}


def verify(
    path: Path,
    key: bytes | None = None,
    origin: str | None = None,
    policy: Any = None,
    redactor: bytes | None = None,
) -> tuple[int, list[Any]]:
    """Exit code and findings of the bundle at `path`, or of every bundle in a folder of them."""
    asked = (key, origin, policy, redactor)
    inside = bundles_in(path)
    findings: list[Any] = []
    redactions, parts = [], []
    checked = [(one, *verify_one(one, *asked)) for one in inside or [path]]
    lines = [here for *_rest, here in checked if here is not None]
    for one, found, redaction, part, here in checked:
        found = [elsewhere_said(each) for each in found] if is_elsewhere(here, lines) else found
        findings += [(what, f"{one.name}/{where}", *rest) for what, where, *rest in found] if inside else found
        redactions += [redaction] if redaction is not None else []
        parts += [part] if part is not None else []
    if inside:
        name = path.resolve().name
        findings += [*parts_together(name, parts), *sets_of(name, redactions)]
    else:
        alone = ((f"{one['manifest']['item']}.parts", said) for one in parts for said in part_alone(one))
        findings += [("recording's parts", where, None, said) for where, said in alone]
    codes = {one[2] for one in findings} - {0, None}
    return (10 if codes - {11} else 11 if codes else 0), findings


def verify_one(path: Path, key: bytes | None, origin: str | None, policy: Any, redactor: bytes | None) -> Any:
    """The findings of one bundle, the record of the redacted copy, the part of a recording, and the journal's lines."""
    name = path.resolve().name
    try:
        source = Folder(path) if path.is_dir() else Zip(path)
    except Bad as error:
        return [("bundle", name, error.code, str(error))], None, None, None
    bundle = Bundle(source, name, key, origin)
    bundle.policy, bundle.redactor = policy, redactor
    bundle.check()
    return bundle.findings, bundle.redaction, bundle.part, bundle.lines_here


def bundles_in(path: Path) -> list[Path]:
    """The bundles that lie in a folder that is none itself."""
    if not path.is_dir() or (path / "bundle.json").exists():
        return []
    there = sorted(path.iterdir())
    return [one for one in there if one.suffix.lower() == ".zip" or (one / "bundle.json").is_file()]


def sets_of(name: str, redactions: list[Any]) -> list[Any]:
    """Of each recording that was redacted as a whole, whether all of its copies are here."""
    sets: dict[bytes, list[Any]] = {}
    for body in redactions:
        if "set" in body:
            sets.setdefault(dumps(body["set"]), []).append(body)
    findings = []
    for here in sets.values():
        try:
            findings.append(("redaction's set", name, 0, whole_set(here[0]["set"], here)))
        except Bad as error:
            findings.append(("redaction's set", name, error.code, str(error)))
    return findings


def main() -> int:
    parser = argparse.ArgumentParser(description="Checks a Vedette evidence bundle; needs Python alone.")
    where = Path(__file__).resolve().parent
    parser.add_argument("bundle", nargs="?", type=Path, default=where, help="a bundle, or a folder of bundles")
    parser.add_argument("--trust", type=Path, metavar="TRUST.json", help="the force's public keys, from the force")
    parser.add_argument("--key", metavar="ed25519:...", help="the centre's public key, where there is no such file")
    parser.add_argument("--policy", type=Path, metavar="FILE", help="logs and witnesses: the quorum must have cosigned")
    parser.add_argument("--redactor", metavar="ed25519:...", help="whose signature on a redacted copy counts")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    key, origin = public_key(args.key) if args.key else None, None
    if args.trust:
        trust = loads(args.trust.read_bytes())
        key, origin = public_key(trust["centre"]), trust["log_origin"]
    policy = policy_of(args.policy.read_bytes()[: 1 << 16].decode("utf-8", "replace")) if args.policy else None
    redactor = public_key(args.redactor) if args.redactor else None
    code, findings = verify(args.bundle, key, origin, policy, redactor)
    if args.json:
        print(json.dumps({"exit_code": code, "findings": findings}))
        return code
    for what, where, state, said in findings:
        print(f"{'absent' if state is None else 'FAILED' if state else 'ok    '}  {what:19}  {where}: {said}")
    failed = sum(bool(one[2]) for one in findings)
    absent = {what for what, _where, state, _said in findings if state is None}
    holds = "; ".join(["every check holds", *(said for what, said in NOT_SHOWN.items() if what in absent)])
    print(f"{failed} of {len(findings)} checks FAILED" if failed else holds)
    if key is None:
        print("The keys were taken from the bundle itself: compare the fingerprint, or use --trust or --key.")
    return code


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Bad, OSError) as problem:
        sys.exit(f"verify.py: {problem}")
