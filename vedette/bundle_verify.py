"""Checks a bundle, folder or zip, with nothing but the contract: one flipped byte anywhere is found and named.

Decided here: nothing of the archive's own structure is believed. The listing `bundle.json` says which bytes must be
where, its signature says who wrote it, and every other check reads through it; so a bundle whose listing is wrong
still gets every check that its bytes allow. Implements BU-18 to BU-22 of docs/spec/bundle.md. Nothing is unpacked,
nothing is written.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vedette import bundle, bundle_heads, bundle_parts, onvif_boxes
from vedette.bundle import BUNDLE, KEYS, LISTING, Keys, Listed, Listing
from vedette.bundle_source import Source, open_source
from vedette.clock import iso
from vedette.enrolment import Enrolment, open_enrolment
from vedette.errors import Integrity, NotFound, NotTrusted
from vedette.evidence_checks import Evidence, Read, check_evidence, digest_of, lines_of, vouched_for
from vedette.findings import ORIGINAL, Checks, Report
from vedette.fragment_marks import MAX_KEY_FILE_BYTES
from vedette.keys import PublicKey
from vedette.log_policy import Policy
from vedette.onvif_boxes import Export
from vedette.proof import MAX_PROOF_BYTES
from vedette.records import MAX_RECORD_BYTES, keyring, open_record
from vedette.redaction import Redaction
from vedette.redaction_checks import NO_ORIGINAL, RedactedCopy, check_redacted
from vedette.sealed import Identity
from vedette.trust import Trust

REQUIRED = ("readme", "keys", "manifest", "receipt", "proof", "journal")


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What a caller asks for beside the checks that every bundle gets: a policy of witnesses, a redactor's key."""

    policy: Policy | None = None
    redactor: PublicKey | None = None


def verify(
    path: Path, trust: Trust | None = None, identities: Sequence[Identity] = (), asked: Asked | None = None
) -> Report:
    """Check the bundle at `path`; raises NotFound where there is nothing.

    `trust` pins the centre's key; without it the key inside the bundle is taken and the report says so. With
    `identities` the sealed file is opened in memory and compared with the opened one. `asked` may name a policy that
    the log checkpoint must meet and whose signature on a redacted copy counts.
    """
    report, found, together = *verify_one(path, trust, identities, asked), Checks()
    if found.part is not None:
        bundle_parts.check_alone(found.part, f"{found.part.item}.parts", together)
    return Report(findings=(*report.findings, *together.report().findings))


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What bundles that are checked together are held against each other by: the record of the redacted copy, the
    part of a recording and the lines of the journal, each None where there is none of this item.
    """

    redaction: Redaction | None = None
    lines: bundle_heads.Lines | None = None
    part: bundle_parts.Present | None = None


def verify_one(
    path: Path, trust: Trust | None = None, identities: Sequence[Identity] = (), asked: Asked | None = None
) -> tuple[Report, Found]:
    """As `verify`, but for what of the item's recording is not here; also what is held against other bundles."""
    if not path.exists():
        raise NotFound(f"{path} is not there")
    checks = Checks()
    source = checks.run("bundle", path.name, lambda: open_source(path))
    if source is None:
        return checks.report(), Found()
    found = Found()
    with source:
        listing = checks.run("listing", LISTING, lambda: Listing.peek(source.record), _listing_message)
        if listing is not None:
            found = _Bundle(source, listing, trust, checks, asked or Asked()).check(identities)
    return checks.report(), found


class _Bundle:
    """One verification of one bundle whose listing could be read."""

    def __init__(self, source: Source, listing: Listing, trust: Trust | None, checks: Checks, asked: Asked) -> None:
        self._source, self._asked = source, asked
        self._listing = listing
        self._trust = trust
        self._checks = checks
        self._names = bundle.file_names(listing.item, listing.kind)
        self._listed = {one.name: one for one in listing.files}

    def check(self, identities: Sequence[Identity]) -> Found:
        """Make every check; what other bundles are held against."""
        self._checks.run(
            "container", self._source.name, self._container, "every byte between the files is as it must be"
        )
        for one in self._listing.files:
            self._checks.run("file", one.name, functools.partial(self._file, one), f"{one.size} bytes, as listed")
        keys = self._checks.run("keys", KEYS, self._keys)
        centre = self._centre(keys)
        self._checks.run("listing's signature", LISTING, lambda: self._signature(centre), "signed by the centre")
        enrolment = self._enrolment(keys, centre)
        manifest = self._part("manifest", MAX_RECORD_BYTES)
        if manifest is None:
            return Found()
        evidence = Evidence(
            names=self._names,
            manifest=manifest,
            device=enrolment.key if enrolment else None,
            centre=centre,
            log_origin=self._origin(keys),
            receipt=self._part("receipt", MAX_RECORD_BYTES),
            proof=self._text("proof", MAX_PROOF_BYTES),
            journal=self._lines(),
            sealed=self._opener("sealed"),
            opened=self._opener("opened"),
            marks=self._marks(),
            identities=identities,
            policy=self._asked.policy,
        )
        read = check_evidence(evidence, self._checks)
        self._onvif()
        if read is None:
            return Found()
        device = evidence.device
        known = bundle_heads.Known(manifest=read.manifest, entries=read.entries, centre=centre, device=device)
        lines = bundle_heads.Lines.of(read.manifest, read.entries, self._heads(known))
        part = self._recording_part(read, centre)
        if not set(self._redacted) & set(self._listed):
            return Found(part=part, lines=lines)
        if not self._has_original:
            self._checks.absent(ORIGINAL, self._names["redacted"], NO_ORIGINAL)
        manifest_sha256 = hashlib.sha256(manifest).hexdigest()
        redaction = check_redacted(self._copy(), read.manifest, manifest_sha256, self._checks)
        return Found(part=part, lines=lines, redaction=redaction)

    def _recording_part(self, read: Read, centre: PublicKey | None) -> bundle_parts.Present | None:
        """Which part of its recording the item is; None where it is of none."""
        manifest, name = read.manifest, self._names["recording_parts"]
        if manifest.recording is None or manifest.kind != "segment":
            return None
        record = None
        if name in self._listed:
            record = self._part("recording_parts", bundle_parts.MAX_PARTS_BYTES)
        said = None
        if record is not None or name not in self._listed:
            said = bundle_parts.part_of(name, record, manifest, centre, self._checks)
        return bundle_parts.Present(
            bundle=self._source.name,
            item=manifest.item,
            device=manifest.device,
            recording=manifest.recording,
            sequence=manifest.sequence,
            from_us=manifest.started_us,
            to_us=manifest.ended_us,
            said=said,
            ends=bundle_parts.Ends.of(read.entries),
        )

    def _heads(self, known: bundle_heads.Known) -> bundle_heads.Shortfall | None:
        name = self._names["heads"]
        if name not in self._listed:
            self._checks.absent("signed heads", name, bundle_heads.NONE_HERE)
            return None
        record = self._part("heads", MAX_RECORD_BYTES)
        return None if record is None else bundle_heads.check_heads(name, record, known, self._checks)

    @property
    def _has_original(self) -> bool:
        return bool({self._names["sealed"], self._names["opened"]} & set(self._listed))

    @property
    def _redacted(self) -> list[str]:
        return [self._names[what] for what in bundle.REDACTED]

    def _copy(self) -> RedactedCopy:
        copy, record, plan = self._redacted
        return RedactedCopy(
            record_name=record,
            copy_name=copy,
            plan_name=plan,
            record=lambda most: self._read(record, most),
            copy=lambda: digest_of(self._source.open(copy)),
            plan=lambda: digest_of(self._source.open(plan)),
            signer=self._asked.redactor,
        )

    def _container(self) -> None:
        self._source.check_container(self._listing)
        missing = [self._names[what] for what in REQUIRED if self._names[what] not in self._listed]
        if missing:
            raise Integrity(f"the listing lacks {', '.join(missing)}")
        unknown = sorted(set(self._listed) - set(self._names.values()))
        if unknown:
            raise Integrity(f"the listing has a file that is no part of a bundle: {unknown[0]}")
        redacted = set(self._redacted)
        if 0 < len(redacted & set(self._listed)) < len(redacted):
            raise Integrity("a redacted copy, its record and its plan come together; one of them is not in the listing")
        if not self._has_original and not redacted & set(self._listed):
            raise Integrity("neither the sealed file nor the opened one is in the bundle")

    def _file(self, one: Listed) -> None:
        size, digest = digest_of(self._source.open(one.name))
        if size != one.size:
            raise Integrity(f"{size} bytes where {one.size} are listed")
        if digest != one.sha256:
            raise Integrity(f"its SHA-256 is not the listed one: one or more of its {size} bytes were changed")

    def _onvif(self) -> None:
        """The copy with ONVIF boxes says nothing that the opened file and the listing do not."""
        name, opened = self._names["onvif"], self._names["opened"]
        if name not in self._listed:
            return

        def check() -> Export:
            if opened not in self._listed:
                raise Integrity(f"the recording that it is a copy of, {opened}, is not in the bundle")
            with self._source.open(name) as copied, self._source.open(opened) as original:
                export = onvif_boxes.check(copied, original)
            if (export.source, export.exported_s) != (self._listing.device, self._listing.made_us // 1_000_000):
                raise Integrity("its boxes name another device or time of export than the listing")
            return export

        self._checks.run("ONVIF copy", name, check, _export_message)

    def _keys(self) -> Keys:
        return Keys.from_bytes(self._read(KEYS, bundle.MAX_KEYS_BYTES))

    def _centre(self, keys: Keys | None) -> PublicKey | None:
        trust = self._trust
        if trust is None:
            said = (
                f"checked against the key inside the bundle, {keys.centre.text} (fingerprint {keys.centre.key_id});"
                " compare with the one published by the force"
                if keys
                else ""
            )
            return self._checks.run("centre's key", KEYS, lambda: _present(keys).centre, said)
        self._checks.run("centre's key", KEYS, lambda: _pinned(_present(keys), trust), "the one in your trust file")
        return trust.centre

    def _origin(self, keys: Keys | None) -> str | None:
        if self._trust is not None:
            return self._trust.log_origin
        return keys.log_origin if keys else None

    def _signature(self, centre: PublicKey | None) -> None:
        open_record(BUNDLE, self._source.record, keyring(centre) if centre else {})

    def _enrolment(self, keys: Keys | None, centre: PublicKey | None) -> Enrolment | None:
        def check() -> Enrolment:
            enrolment = open_enrolment(_present(keys).enrolment, keyring(centre) if centre else {})
            if enrolment.device != self._listing.device:
                raise NotTrusted(f"it is of device {enrolment.device}, the bundle of {self._listing.device}")
            return enrolment

        return self._checks.run("device's key", KEYS, check, vouched_for)

    def _part(self, what: str, max_bytes: int) -> bytes | None:
        name = self._names[what]
        return self._checks.run(what, name, lambda: self._read(name, max_bytes))

    def _text(self, what: str, max_bytes: int) -> str | None:
        def decode() -> str:
            return _utf8(self._read(self._names[what], max_bytes))

        return self._checks.run(what, self._names[what], decode)

    def _lines(self) -> list[bytes] | None:
        name = self._names["journal"]
        content = self._checks.run("journal", name, lambda: self._read(name, bundle.MAX_JOURNAL_BYTES))
        return None if content is None else lines_of(name, content, self._checks)

    def _read(self, name: str, max_bytes: int) -> bytes:
        with self._source.open(name) as file:
            content = file.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise Integrity(f"larger than {max_bytes} bytes")
        return content

    def _marks(self) -> bytes | None:
        return self._part("marks", MAX_KEY_FILE_BYTES) if self._names["marks"] in self._listed else None

    def _opener(self, what: str) -> functools.partial[BinaryIO] | None:
        name = self._names[what]
        return functools.partial(self._source.open, name) if name in self._listed else None


def _export_message(export: Export) -> str:
    return (
        f"the opened file and the boxes suep, cstb{', loci' if export.place else ''}: begins {iso(export.started_us)}"
    )


def _listing_message(listing: Listing) -> str:
    return f"{listing.kind} {listing.item} of {listing.device}, {len(listing.files)} files"


def _present(keys: Keys | None) -> Keys:
    if keys is None:
        raise NotTrusted(f"{KEYS} cannot be read, so nobody's key is known")
    return keys


def _pinned(keys: Keys, trust: Trust) -> None:
    if keys.centre != trust.centre:
        raise NotTrusted(f"the bundle is of another centre: its key is {keys.centre.text}, yours {trust.centre.text}")
    if keys.log_origin != trust.log_origin:
        raise NotTrusted(f"the bundle is of another log: {keys.log_origin!r}, yours is {trust.log_origin!r}")


def _utf8(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Integrity(f"not UTF-8 at byte {error.start}") from None
