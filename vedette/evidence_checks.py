"""The checks of one item, wherever it lies: manifest, sealed bytes, receipt, log inclusion, custody chain,
checkpoints, opened file.

Decided here: what is checked against what, and the sentence each check says. A part that is absent is said to be
absent; whether it may be is the caller's to decide (a bundle must have all, an item on a device has no receipt
yet). Implements BU-10 to BU-13 of docs/spec/bundle.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, TypeVar

from vedette import note, proof, records
from vedette.clock import iso
from vedette.custody_entry import Entry
from vedette.custody_verify import (
    CLOSED,
    OPENED,
    READ_BYTES,
    RECOVERED,
    SegmentCheck,
    check_segment,
    verify_chain,
    whole_lines,
)
from vedette.enrolment import Enrolment
from vedette.errors import Integrity, NotTrusted
from vedette.findings import Checks
from vedette.fragment_check import check_fragments, signed_fragments
from vedette.fragment_marks import from_key_file
from vedette.keys import PublicKey
from vedette.log_policy import Policy, Witnessed
from vedette.records import Manifest, Receipt, keyring
from vedette.sealed import Identity, NoMatch, recover

T = TypeVar("T")
Opener = Callable[[], BinaryIO]
NOT_LOCATED = "so a change of it is found, but not where in it"
NO_MARKS = f"no line that holds has marks of its fragments (older software, or nobody activated it), {NOT_LOCATED}"
NO_KEY = f"the key to the device's marks of its fragments is not in this bundle, {NOT_LOCATED}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """One item's parts. `names` says what each part is called in the report: manifest, sealed, opened, receipt,
    proof, journal, marks.

    `device` and `centre` are the keys that count here; None where none does. `sealed` and `opened` open the file
    anew at each call. `marks` is the file with the key to the marks of the opened file's fragments. `policy` says whose
    cosignatures the log checkpoint must carry; without one nobody's are asked.
    """

    names: Mapping[str, str]
    manifest: bytes
    device: PublicKey | None
    centre: PublicKey | None
    log_origin: str | None
    receipt: bytes | None = None
    proof: str | None = None
    journal: Sequence[bytes] | None = None
    sealed: Opener | None = None
    opened: Opener | None = None
    marks: bytes | None = None
    identities: Sequence[Identity] = field(default=(), repr=False)
    policy: Policy | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """What could be read of an item: its manifest, and the lines of its custody chain where that holds."""

    manifest: Manifest
    entries: Sequence[Entry]


def check_evidence(evidence: Evidence, checks: Checks) -> Read | None:
    """Make every check that the parts allow; findings go to `checks`. None where no manifest could be read."""
    manifest = _manifest(evidence, checks)
    if manifest is None:
        return None
    _sealed(evidence, manifest, checks)
    receipt = _receipt(evidence, manifest, checks)
    _proof(evidence, manifest, receipt, checks)
    _witnesses(evidence, checks)
    entries = _journal(evidence, manifest, checks)
    if manifest.kind == "segment" and entries is not None:
        _checkpoints(evidence, manifest, entries, checks)
    _opened(evidence, manifest, checks)
    if manifest.kind == "segment" and evidence.opened is not None:
        _fragments(evidence, manifest, entries or (), checks)
    return Read(manifest=manifest, entries=entries or ())


def vouched_for(enrolment: Enrolment) -> str:
    """What is said of the device's key where it holds: whose it is."""
    return f"the centre vouches for {enrolment.device}: {enrolment.key.text}"


def lines_of(name: str, journal: bytes, checks: Checks) -> list[bytes]:
    """The whole lines of the journal file `name`; where its last one is cut that is a finding and hides no other."""
    lines, fault = whole_lines(journal)

    def check() -> None:
        if fault is not None:
            raise fault

    checks.run("journal", name, check)
    return lines


def digest_of(file: BinaryIO) -> tuple[int, str]:
    """(size in bytes, SHA-256 in hex) of what is left of `file`, which is closed after."""
    digest, size = hashlib.sha256(), 0
    with file:
        while piece := file.read(READ_BYTES):
            digest.update(piece)
            size += len(piece)
    return size, digest.hexdigest()


def _manifest(evidence: Evidence, checks: Checks) -> Manifest | None:
    name = evidence.names["manifest"]

    def check() -> Manifest:
        found = records.open_manifest(evidence.manifest, keyring(_known(evidence.device, "the device")))
        if name != f"{found.item}.manifest":
            raise Integrity(f"it is the manifest of item {found.item}, put under another name")
        return found

    manifest = checks.run(
        "manifest",
        name,
        check,
        lambda found: f"signed by {found.device}: {found.kind} of {iso(found.started_us)}, {found.sealed_size} bytes",
    )
    if manifest is not None:
        return manifest
    return checks.run("manifest's form", name, lambda: records.peek_manifest(evidence.manifest), "readable, unsigned")


def _sealed(evidence: Evidence, manifest: Manifest, checks: Checks) -> None:
    name, opener = evidence.names["sealed"], evidence.sealed
    if opener is None:
        said = "not here, nor is the opened one" if evidence.opened is None else "not here; only the opened item is"
        checks.absent("sealed file", name, said)
        return

    def check() -> None:
        size, digest = digest_of(opener())
        if size != manifest.sealed_size:
            raise Integrity(f"{size} bytes where the manifest says {manifest.sealed_size}: changed from byte {size} on")
        if digest != manifest.sealed_sha256:
            raise Integrity("its SHA-256 is not the one in the manifest: the file was changed")

    checks.run("sealed file", name, check, "size and SHA-256 are those that the device signed")


def _receipt(evidence: Evidence, manifest: Manifest, checks: Checks) -> Receipt | None:
    name, record = evidence.names["receipt"], evidence.receipt
    if record is None:
        checks.absent("receipt", name, "not here: the centre has not signed for this item, as far as can be seen")
        return None

    def check() -> Receipt:
        centre, origin = _known(evidence.centre, "the centre"), _known(evidence.log_origin, "the centre's log")
        receipt = records.open_receipt(record, keyring(centre))
        records.check_receipt(receipt, manifest, hashlib.sha256(evidence.manifest).hexdigest())
        checkpoint = note.open_checkpoint(receipt.log_checkpoint, origin, centre)
        if checkpoint.size <= receipt.log_index:
            raise Integrity(f"its log checkpoint of {checkpoint.size} leaves does not reach leaf {receipt.log_index}")
        return receipt

    return checks.run(
        "receipt", name, check, lambda receipt: f"the centre signed for these bytes at {iso(receipt.stored_us)}"
    )


def _proof(evidence: Evidence, manifest: Manifest, receipt: Receipt | None, checks: Checks) -> None:
    name, text = evidence.names["proof"], evidence.proof
    if text is None:
        checks.absent("log inclusion", name, "not here: that the item is in the centre's log cannot be checked")
        return

    def check() -> str:
        centre, origin = _known(evidence.centre, "the centre"), _known(evidence.log_origin, "the centre's log")
        parsed = proof.Proof.from_text(text)
        leaf, checkpoint = proof.verify(parsed, origin, centre)
        manifest_sha256 = hashlib.sha256(evidence.manifest).hexdigest()
        expected = proof.LogLeaf(
            item=manifest.item,
            kind=manifest.kind,
            device=manifest.device,
            sealed_sha256=manifest.sealed_sha256,
            sealed_size=manifest.sealed_size,
            manifest_sha256=manifest_sha256,
            received_us=leaf.received_us,
        )
        if leaf != expected:
            raise Integrity(f"leaf {parsed.index} of the log is of item {leaf.item} or of other bytes")
        if receipt is not None and receipt.log_index != parsed.index:
            raise Integrity(f"it is of leaf {parsed.index}, the receipt of leaf {receipt.log_index}")
        return f"leaf {parsed.index} of {checkpoint.size} in log {checkpoint.origin}, received {iso(leaf.received_us)}"

    checks.run("log inclusion", name, check, lambda said: said)


def _witnesses(evidence: Evidence, checks: Checks) -> None:
    """The checkpoint that the item is proven in carries the cosignatures that the policy asks for (TL-25, BU-30)."""
    policy, text = evidence.policy, evidence.proof
    if policy is None:
        return

    def check() -> Witnessed:
        if text is None:
            raise NotTrusted("there is no proof here, so no checkpoint that witnesses could have cosigned")
        return policy.check(proof.Proof.from_text(text).checkpoint)

    checks.run("witnesses", evidence.names["proof"], check, _witnessed)


def _witnessed(found: Witnessed) -> str:
    who = ", ".join(f"{name} at {iso(at_s * 1_000_000)}" for name, at_s in sorted(found.cosigned.items()))
    return f"the checkpoint of {found.checkpoint.size} leaves is cosigned by {who or 'nobody, and nobody is asked for'}"


def _journal(evidence: Evidence, manifest: Manifest, checks: Checks) -> list[Entry] | None:
    name, lines = evidence.names["journal"], evidence.journal
    if not lines:
        checks.absent("custody chain", name, "no lines here: who did what to this item cannot be checked")
        return None

    def check() -> list[Entry]:
        entries = verify_chain(lines, _known(evidence.device, "the device"))
        if entries[0].device != manifest.device:
            raise NotTrusted(f"the chain is of device {entries[0].device}, the item of {manifest.device}")
        head = manifest.journal
        for entry in entries:
            if head and (entry.service, entry.seq) == (head.service, head.seq) and entry.sha256 != head.head:
                raise Integrity(f"seq {entry.seq} is not the line that the manifest names: there are two chains")
        _check_extent(entries, manifest)
        return entries

    return checks.run("custody chain", name, check, _chain_message)


def _check_extent(entries: Sequence[Entry], manifest: Manifest) -> None:
    """Integrity where lines are cut off before or behind what they must say of this item."""
    events = [entry.event for entry in entries if entry.item == manifest.item]
    head, first, last = manifest.journal, entries[0], entries[-1]
    if head and head.service != last.service:
        raise Integrity(f"it is the chain of {last.service}; the manifest was signed over that of {head.service}")
    if head and not events and last.seq < head.seq:
        raise Integrity(f"it ends at seq {last.seq}, the manifest was signed after seq {head.seq}: its tail is missing")
    if manifest.kind != "segment":
        return
    if OPENED not in events:
        raise Integrity(f"it begins at seq {first.seq}, after this item was opened: its beginning is missing")
    if not {CLOSED, RECOVERED} & set(events):
        raise Integrity(f"it ends at seq {last.seq}, before this item was closed: its tail is missing")


def _chain_message(entries: Sequence[Entry]) -> str:
    first, last = entries[0], entries[-1]
    return (
        f"{len(entries)} lines of {first.service}, seq {first.seq} to {last.seq}, unbroken and signed by {first.device}"
    )


def _checkpoints(evidence: Evidence, manifest: Manifest, entries: Sequence[Entry], checks: Checks) -> None:
    name, opener = evidence.names["sealed"], evidence.sealed
    if opener is None:
        return

    def check() -> SegmentCheck:
        with opener() as file:
            found = check_segment(entries, manifest.item, file)
        if found.fault:
            raise Integrity(found.fault)
        if not found.marks and manifest.complete:
            raise Integrity("the custody chain has no checkpoint of this item")
        return found

    checks.run("checkpoints", name, check, _marks_message)


def _marks_message(found: SegmentCheck) -> str:
    rest = "to its end" if found.is_closed else "no line says where the file ends"
    return f"{found.marks} hold: {found.proven_bytes} bytes, {found.proven_us / 1e6:.3f} s, {rest}"


def _opened(evidence: Evidence, manifest: Manifest, checks: Checks) -> None:
    name, opener, sealed = evidence.names["opened"], evidence.opened, evidence.sealed
    stated = (manifest.plain_size, manifest.plain_sha256)
    if opener is not None and manifest.plain_sha256 is None:
        checks.absent("opened file", name, "the device did not state its hash (it was recovered after a cut)")
    elif opener is not None:
        message = "size or SHA-256 is not what the device recorded"
        said = "it is what the device recorded, byte for byte"
        checks.run("opened file", name, lambda: _same(digest_of(opener()), stated, message), said)
    if not evidence.identities or sealed is None:
        return

    def check() -> None:
        inside = _inside(sealed, evidence.identities, is_whole=manifest.complete)
        if opener is not None:
            _same(inside, digest_of(opener()), "the sealed file opens to other bytes than the opened file has")
        if manifest.plain_sha256 is not None:
            _same(inside, stated, "the sealed file opens to other bytes than the device recorded")

    checks.run("opening", evidence.names["sealed"], check, "it opens to what it should with the identity given")


def _fragments(evidence: Evidence, manifest: Manifest, entries: Sequence[Entry], checks: Checks) -> None:
    """Each fragment of the opened recording is the one that the device marked, in its place (BU-55 to BU-57)."""
    what, name, opener, marks = "opened fragments", evidence.names["opened"], evidence.opened, evidence.marks
    signed = checks.run(what, name, lambda: signed_fragments(entries, manifest.item) or NO_MARKS)
    if signed is None or opener is None:
        return
    if isinstance(signed, str) or marks is None:
        checks.absent(what, name, signed if isinstance(signed, str) else NO_KEY)
        return
    key = checks.run("marks", evidence.names["marks"], lambda: from_key_file(marks, manifest.item, signed.key_id))
    if key is None:
        return

    def check() -> str:
        with opener() as file:
            return check_fragments(signed, key, file, size=manifest.plain_size, is_whole=manifest.complete)

    checks.run(what, name, check, lambda said: said)


def _same(found: tuple[int, str], expected: tuple[int, str | None], message: str) -> None:
    if found != expected:
        raise Integrity(message)


def _inside(sealed: Opener, identities: Sequence[Identity], *, is_whole: bool) -> tuple[int, str]:
    """Size and SHA-256 of a sealed file's content, of its whole prefix where the recording was cut."""
    digest = hashlib.sha256()
    with sealed() as source:
        try:
            recovery = recover(source, identities)
        except NoMatch:
            raise NotTrusted("it is sealed to other keys: the identity given does not open it") from None
        for piece in recovery:
            digest.update(piece)
    if is_whole and not recovery.complete:
        raise Integrity(str(recovery.fault))
    return recovery.plain_bytes, digest.hexdigest()


def _known(key: T | None, whose: str) -> T:
    if key is None:
        raise NotTrusted(f"no key of {whose} is known here that somebody vouches for")
    return key
