"""A bundle: one item with everything that is needed to check it, as a folder or one zip file, for a court or the
other party.

Decided here: which files a bundle has, their names and limits, the signed listing `bundle.json`, and how a bundle
is made. Checking one is `vedette.bundle_verify`, the zip's byte form `vedette.bundle_zip`. Implements BU-1 to BU-8
of docs/spec/bundle.md. A bundle is made by the centre, whose key signs the listing; checking needs no network and
nothing but the contract.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vedette import bundle_zip, canonical, files, verifier
from vedette.bundle_readme import readme
from vedette.bundle_zip import MAX_ARCHIVE_BYTES, Member
from vedette.custody_entry import parse_line
from vedette.errors import Integrity, NotFound, Refused
from vedette.fields import Fields
from vedette.keys import PublicKey, SigningKey
from vedette.newfile import new_file
from vedette.note import base64_bytes
from vedette.records import KINDS, Manifest, peek_manifest, sign_record

BUNDLE = "vedette/bundle/1"
LISTING, KEYS, JOURNAL, README = "bundle.json", "keys.json", "journal.jsonl", "README.txt"
MAX_FILES = 32
MAX_FILE_BYTES = 1 << 40
MAX_LISTING_BYTES = 64 * 1024
MAX_KEYS_BYTES = 16 * 1024
MAX_JOURNAL_BYTES = 64 << 20
MAX_NOTE_CHARACTERS = 2000
OPENED_ENDING = {"segment": "mp4", "hit": "hit", "custody": "custody.jsonl"}
SIGNED_FOR = ("heads", "recording_parts", "marks")
REDACTED = ("redacted", "redaction", "redaction_plan")
COMPANIONS = (*REDACTED, "onvif", "report_html", "report_pdf", "verifier_py", "verifier_html")
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")
_READ_BYTES = 1 << 20

Content = bytes | Path | Callable[[], Iterator[bytes]]


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleParts:
    """What goes into a bundle: bytes, or for what is large a path or what gives the bytes in pieces.

    `manifest`, `receipt`, `enrolment` are signed records, `proof` a tlog-proof, `journal` lines (without newlines)
    of the chain of the service that made the item, in order and without holes. `heads` is the centre's word of how far
    the device had signed for that chain (`vedette.bundle_heads`), `recording_parts` its word of which parts of the
    recording left together (`vedette.bundle_parts`), `marks` the key to the device's marks of the opened file
    (`vedette.fragment_marks`). `sealed` or `opened` (the MP4) or both; neither where a redacted
    copy leaves without its original (BU-51). `signer` is the centre's key. `companions` are the
    files for people by what they are (`COMPANIONS`; `vedette.bundle_companions` makes them).
    """

    manifest: bytes
    receipt: bytes
    proof: str
    journal: Sequence[bytes]
    enrolment: bytes
    log_origin: str
    signer: SigningKey = field(repr=False)
    made_us: int
    sealed: Content | None = None
    opened: Content | None = None
    heads: bytes | None = None
    recording_parts: bytes | None = None
    marks: bytes | None = None
    note: str = ""
    companions: Mapping[str, Content] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """One file of a bundle as the listing has it."""

    name: str
    size: int
    sha256: str
    crc32: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """The body of `bundle.json`: what the bundle is of, and every file in it but itself, in the zip's order."""

    item: str
    kind: str
    device: str
    made_us: int
    note: str
    files: tuple[Listed, ...]

    def to_body(self) -> dict[str, Any]:
        """The body of a `vedette/bundle/1` record."""
        names = ("name", "size", "sha256", "crc32")
        return {
            "item": self.item,
            "kind": self.kind,
            "device": self.device,
            "made_us": self.made_us,
            "note": self.note,
            "files": [{name: getattr(one, name) for name in names} for one in self.files],
        }

    @classmethod
    def peek(cls, record: bytes) -> Listing:
        """The listing in a record whose signature is *not* checked here; Integrity names what is wrong with its
        form.
        """
        outer = Fields(canonical.loads(record, max_bytes=MAX_LISTING_BYTES), LISTING)
        fields = outer.object("body")
        listing = cls(
            item=fields.uuid7("item"),
            kind=fields.one_of("kind", KINDS),
            device=fields.device("device"),
            made_us=fields.integer("made_us"),
            note=fields.text("note", most=MAX_NOTE_CHARACTERS),
            files=tuple(map(_listed, fields.objects("files", most=MAX_FILES))),
        )
        fields.close()
        names = {one.name for one in listing.files}
        if len(names) != len(listing.files) or LISTING in names:
            raise Integrity(f"{LISTING}: it lists a file twice, or itself")
        return listing

    def members(self, record: bytes) -> list[Member]:
        """The zip's entries: the listing itself, then what it lists."""
        first = bundle_zip.member(LISTING, iter([record]))
        return [first, *(Member(name=one.name, size=one.size, crc32=one.crc32) for one in self.files)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Keys:
    """`keys.json`: the centre's public key, its log's origin, and the enrolment record of the device (base64)."""

    centre: PublicKey
    log_origin: str
    enrolment: bytes

    def to_bytes(self) -> bytes:
        """The file's bytes."""
        enrolment = base64.b64encode(self.enrolment).decode()
        return canonical.dumps({"centre": self.centre.text, "log_origin": self.log_origin, "enrolment": enrolment})

    @classmethod
    def from_bytes(cls, keys: bytes) -> Keys:
        """Parse `keys.json`; it vouches for nothing by itself."""
        fields = Fields(canonical.loads(keys, max_bytes=MAX_KEYS_BYTES), KEYS)
        parsed = cls(
            centre=PublicKey.from_text(fields.text("centre")),
            log_origin=fields.text("log_origin"),
            enrolment=base64_bytes(fields.text("enrolment", most=MAX_KEYS_BYTES), KEYS),
        )
        fields.close()
        return parsed


def make(dest: Path, parts: BundleParts) -> Path:
    """Write the bundle to `dest`: one zip file where the name ends in `.zip`, else a folder; returns `dest`.

    Raises Refused when `dest` exists, the disk is full, or the parts are not of one item; Integrity when a part is
    malformed.
    """
    contents = _contents(parts)
    listed = tuple(_measure(name, content) for name, content in contents.items())
    manifest = peek_manifest(parts.manifest)
    _check_sealed(manifest, listed)
    listing = Listing(
        item=manifest.item,
        kind=manifest.kind,
        device=manifest.device,
        made_us=parts.made_us,
        note=parts.note,
        files=listed,
    )
    record = sign_record(BUNDLE, listing.to_body(), parts.signer)
    Listing.peek(record)
    if dest.suffix == ".zip":
        with new_file(dest) as file:
            everything = {LISTING: record, **contents}
            bundle_zip.write(file, listing.members(record), lambda name: _pieces(everything[name]))
    else:
        _make_folder(dest, {LISTING: record, **contents})
    return dest


def journal_of(lines: Sequence[bytes], item: str) -> list[bytes]:
    """The stretch of a chain from the first line that names `item` to the last one, nothing left out between; may
    be empty.
    """
    named = [index for index, line in enumerate(lines) if parse_line(line).item == item]
    return list(lines[named[0] : named[-1] + 1]) if named else []


def file_names(item: str, kind: str) -> dict[str, str]:
    """The names of the files of a bundle of this item, by what they are."""
    return {
        "opened": f"{item}.{OPENED_ENDING[kind]}",
        "onvif": f"{item}.onvif.mp4",
        "redacted": f"{item}.redacted.mp4",
        "redaction": f"{item}.redaction",
        "redaction_plan": f"{item}.plan.toml",
        "sealed": f"{item}.{kind}.age",
        "manifest": f"{item}.manifest",
        "receipt": f"{item}.receipt",
        "proof": f"{item}.proof",
        "journal": JOURNAL,
        "heads": f"{item}.heads",
        "recording_parts": f"{item}.parts",
        "marks": f"{item}.marks",
        "keys": KEYS,
        "readme": README,
        "report_html": "report.html",
        "report_pdf": "report.pdf",
        "verifier_py": verifier.SCRIPT,
        "verifier_html": verifier.PAGE,
    }


def _contents(parts: BundleParts) -> dict[str, Content]:
    manifest = peek_manifest(parts.manifest)
    if parts.sealed is None and parts.opened is None and not set(REDACTED) <= set(parts.companions):
        raise Refused(f"item {manifest.item}: a bundle needs its sealed file, the opened one, or a redacted copy")
    if parts.marks is not None and parts.opened is None:
        raise Refused(f"item {manifest.item}: the key to its marks leaves only beside the opened file")
    names = file_names(manifest.item, manifest.kind)
    keys = Keys(centre=parts.signer.public, log_origin=parts.log_origin, enrolment=parts.enrolment)
    contents: dict[str, Content | None] = {
        "readme": readme(
            manifest,
            parts.signer.public,
            parts.note,
            sealed_name=names["sealed"] if parts.sealed is not None else None,
            opened_name=names["opened"] if parts.opened is not None else None,
            companions={
                **{names[what]: what for what in SIGNED_FOR if getattr(parts, what) is not None},
                **{names[what]: what for what in COMPANIONS if what in parts.companions},
            },
        ),
        "keys": keys.to_bytes(),
        "manifest": parts.manifest,
        "receipt": parts.receipt,
        "proof": parts.proof.encode(),
        "journal": b"".join(line + b"\n" for line in parts.journal),
        "heads": parts.heads,
        "recording_parts": parts.recording_parts,
        "marks": parts.marks,
        "sealed": parts.sealed,
        "opened": parts.opened,
        **{what: parts.companions.get(what) for what in COMPANIONS},
    }
    return {names[what]: content for what, content in contents.items() if content is not None}


def _check_sealed(manifest: Manifest, listed: Sequence[Listed]) -> None:
    name = file_names(manifest.item, manifest.kind)["sealed"]
    for one in listed:
        if one.name == name and one.sha256 != manifest.sealed_sha256:
            raise Integrity(
                f"item {manifest.item}: the sealed file is not the one its manifest names; no bundle was made"
            )


def _make_folder(dest: Path, contents: dict[str, Content]) -> None:
    if os.path.lexists(dest):
        raise Refused(f"{dest} exists already and is not overwritten")
    if not dest.parent.is_dir():
        raise NotFound(f"the folder {dest.parent} is not there")
    beside = dest.parent / f".{dest.name}.{os.getpid()}.tmp"
    beside.mkdir()
    try:
        for name, content in contents.items():
            with new_file(beside / name) as file:
                for piece in _pieces(content):
                    file.write(piece)
        beside.rename(dest)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    files.fsync_dir(dest.parent)


def _measure(name: str, content: Content) -> Listed:
    digest = hashlib.sha256()

    def seen() -> Iterator[bytes]:
        for piece in _pieces(content):
            digest.update(piece)
            yield piece

    member = bundle_zip.member(name, seen())
    return Listed(name=name, size=member.size, sha256=digest.hexdigest(), crc32=member.crc32)


def _pieces(content: Content) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    if not isinstance(content, Path):
        yield from content()
        return
    try:
        with content.open("rb") as file:
            while piece := file.read(_READ_BYTES):
                yield piece
    except FileNotFoundError:
        raise NotFound(f"{content} is not there") from None


def _listed(fields: Fields) -> Listed:
    name = fields.text("name", most=128)
    if not _NAME.match(name):
        raise Integrity(f"{LISTING}: {name[:60]!r} cannot be the name of a file in a bundle")
    one = Listed(
        name=name,
        size=fields.integer("size", most=MAX_FILE_BYTES),
        sha256=fields.sha256("sha256"),
        crc32=fields.integer("crc32", most=MAX_ARCHIVE_BYTES),
    )
    fields.close()
    return one
