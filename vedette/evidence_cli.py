"""`vedette evidence verify|open`: check a bundle or an item, open a sealed file to an ordinary one.

Decided here: what is asked of the caller and what is printed. The checks are `vedette.bundle_verify` and
`vedette.evidence_item`.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from vedette import bundle_verify, cli
from vedette.errors import Integrity, NotFound, NotTrusted, Refused
from vedette.evidence_item import Vouched, verify_item
from vedette.findings import Report
from vedette.key_cli import given_key
from vedette.newfile import new_file
from vedette.sealed import Identity, NoMatch, Recovery, load_identities, recover
from vedette.trust import load_trust


def register(nouns: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `evidence verify` and `evidence open`."""
    verbs = cli.noun(nouns, "evidence", help="check, open and export evidence")
    verify = verbs.add_parser(
        "verify", help="check a bundle (folder or .zip), or a sealed file with its manifest beside it"
    )
    verify.add_argument("path", type=Path)
    verify.add_argument("--trust", type=Path, metavar="TRUST.json", help="the centre's public keys, from the force")
    verify.add_argument("--key", metavar="ed25519:…", help="the device's public key, for an item outside a bundle")
    verify.add_argument("--journal", type=Path, help="the device's custody journal (folder or file), likewise")
    verify.add_argument(
        "--identity", type=Path, help="a key file that opens the item: also compares with the opened file"
    )
    cli.add_json(verify)
    verify.set_defaults(run=_verify)
    opening = verbs.add_parser("open", help="open a sealed file")
    opening.add_argument("path", type=Path, metavar="FILE.age")
    opening.add_argument("--identity", type=Path, required=True, help="the key file that opens it")
    opening.add_argument("-o", "--output", type=Path, required=True, help="the file to write; it must not exist")
    opening.add_argument("--recover", action="store_true", help="of a file that was cut, write what is whole")
    cli.add_json(opening)
    opening.set_defaults(run=_open)


def _verify(args: argparse.Namespace) -> int:
    path: Path = args.path
    trust = load_trust(args.trust) if args.trust else None
    identities = load_identities(args.identity) if args.identity else []
    if path.is_dir() or path.suffix.lower() == ".zip":
        report = bundle_verify.verify(path, trust, identities)
    else:
        device = given_key(args.key) if args.key else None
        vouched = Vouched(trust=trust, device=device, journal=args.journal, identities=identities)
        report = verify_item(path, vouched)
    return _show(args, report)


def _show(args: argparse.Namespace, report: Report) -> int:
    cli.show(args, report.to_json(), report.to_text())
    return report.exit_code


def _open(args: argparse.Namespace) -> int:
    path, output = args.path, args.output
    identities = load_identities(args.identity)
    with _source(path) as source, new_file(output, mode=0o600) as file:
        recovery = _start(path, source, identities)
        digest = _copy(recovery, file)
        _check_whole(path, recovery, may_be_cut=args.recover)
    said = {
        "output": str(output),
        "size": recovery.plain_bytes,
        "sha256": digest,
        "complete": recovery.complete,
        "fault": recovery.fault,
    }
    cli.show(args, said, _opened_text(output, recovery))
    return 0


def _source(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise NotFound(f"{path} is not there") from None
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from None


def _start(path: Path, source: BinaryIO, identities: list[Identity]) -> Recovery:
    try:
        return recover(source, identities)
    except NoMatch:
        raise NotTrusted(f"{path} is sealed to other keys: the identity given does not open it") from None
    except Integrity as error:
        raise Integrity(f"{path}: {error}") from None


def _check_whole(path: Path, recovery: Recovery, *, may_be_cut: bool) -> None:
    if recovery.complete or (may_be_cut and recovery.plain_bytes):
        return
    rest = "--recover writes what is whole" if recovery.plain_bytes else "nothing of it can be recovered"
    size = path.stat().st_size
    raise Integrity(f"{path}: {recovery.fault} (of a file of {size} bytes); nothing was written, {rest}")


def _copy(pieces: Iterator[bytes], file: BinaryIO) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        file.write(piece)
        digest.update(piece)
    return digest.hexdigest()


def _opened_text(output: Path, recovery: Recovery) -> str:
    if recovery.complete:
        return f"{output}: {recovery.plain_bytes} bytes, whole"
    return f"{output}: {recovery.plain_bytes} bytes recovered, NOT the whole file: {recovery.fault}"
