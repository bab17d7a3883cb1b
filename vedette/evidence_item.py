"""Checks one item as it lies in a spool or a download folder: the sealed file with its manifest beside it, receipt
and proof if there.

Decided here: the device's key must be given, or an enrolment record that the trusted centre signed must lie beside;
a manifest whose signer nobody vouches for is not trusted. Makes the checks of `vedette.evidence_checks`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from vedette import files
from vedette.bundle import KEYS, MAX_JOURNAL_BYTES, MAX_KEYS_BYTES, Keys
from vedette.custody_tail import journal_files
from vedette.enrolment import Enrolment, open_enrolment
from vedette.errors import Integrity, NotFound, NotTrusted, Usage
from vedette.evidence_checks import Evidence, check_evidence, lines_of, vouched_for
from vedette.findings import Checks, Report
from vedette.keys import PublicKey
from vedette.log_policy import Policy
from vedette.proof import MAX_PROOF_BYTES
from vedette.records import MAX_RECORD_BYTES, keyring
from vedette.sealed import Identity
from vedette.trust import Trust


@dataclass(frozen=True, kw_only=True, slots=True)
class Vouched:
    """What the caller trusts and holds: the centre's keys, the device's key, a journal (folder or file), opening
    identities, and the policy of witnesses that the log checkpoint must meet.
    """

    trust: Trust | None = None
    device: PublicKey | None = None
    journal: Path | None = None
    identities: Sequence[Identity] = field(default=(), repr=False)
    policy: Policy | None = None


def verify_item(path: Path, vouched: Vouched) -> Report:
    """Check the sealed file at `path` (`<item>.<kind>.age`) against `<item>.manifest` beside it and whatever else
    is there.

    Raises NotFound where file or manifest are missing, Usage for another kind of file.
    """
    item, dot, _kind = path.name.removesuffix(".age").partition(".")
    if not path.name.endswith(".age") or not dot:
        raise Usage(f"{path} is neither a bundle (a folder or .zip) nor a sealed file <item>.<kind>.age")
    if not path.is_file():
        raise NotFound(f"{path} is not there")
    manifest = path.with_name(f"{item}.manifest")
    names = {what: f"{item}.{what}" for what in ("manifest", "receipt", "proof", "opened")}
    checks = Checks()
    trust = vouched.trust
    evidence = Evidence(
        names={**names, "sealed": path.name, "journal": vouched.journal.name if vouched.journal else "journal"},
        manifest=files.read(manifest, max_bytes=MAX_RECORD_BYTES),
        device=_device_key(path.parent, vouched, checks),
        centre=trust.centre if trust else None,
        log_origin=trust.log_origin if trust else None,
        receipt=_beside(path.with_name(names["receipt"]), MAX_RECORD_BYTES),
        proof=_text(_beside(path.with_name(names["proof"]), MAX_PROOF_BYTES)),
        journal=_journal(vouched.journal, checks),
        sealed=functools.partial(_open, path),
        identities=vouched.identities,
        policy=vouched.policy,
    )
    check_evidence(evidence, checks)
    return checks.report()


def _device_key(folder: Path, vouched: Vouched, checks: Checks) -> PublicKey | None:
    """The key given, else the one of the enrolment beside the item that the trusted centre signed."""
    if vouched.device is not None:
        return vouched.device
    trust, keys = vouched.trust, _beside(folder / KEYS, MAX_KEYS_BYTES)
    if trust is None or keys is None:
        return None

    def check() -> Enrolment:
        beside = Keys.from_bytes(keys)
        if (beside.centre, beside.log_origin) != (trust.centre, trust.log_origin):
            raise NotTrusted(f"{KEYS} is of another centre or log than your trust file")
        return open_enrolment(beside.enrolment, keyring(trust.centre))

    enrolment = checks.run("device's key", KEYS, check, vouched_for)
    return enrolment.key if enrolment else None


def _journal(journal: Path | None, checks: Checks) -> list[bytes] | None:
    """The lines of the journal that was given; damage to it is a finding, and so is one without lines."""
    if journal is None:
        return None
    lines: list[bytes] = []
    for path in journal_files(journal) if journal.is_dir() else [journal]:
        read = functools.partial(files.read, path, max_bytes=MAX_JOURNAL_BYTES)
        content = checks.run("journal", path.name, read)
        if content is None:
            return None
        lines += lines_of(path.name, content, checks)
    checks.run("journal", journal.name, lambda: _some(lines))
    return lines


def _some(lines: Sequence[bytes]) -> None:
    if not lines:
        raise Integrity("no line is in it, where there must be some on this item")


def _beside(path: Path, max_bytes: int) -> bytes | None:
    return files.read(path, max_bytes=max_bytes) if path.is_file() else None


def _text(text: bytes | None) -> str | None:
    return None if text is None else text.decode("utf-8", "replace")


def _open(path: Path) -> BinaryIO:
    return path.open("rb")
