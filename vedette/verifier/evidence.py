"""The checks that `verify.py` makes of a bundle, in the order and with the words of `vedette.bundle_verify`.

A part of verify.py (see `vedette.verifier`): standard library only.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from typing import Any

from vedette.verifier.chains import (
    chain_of,
    check_extent,
    checkpoint,
    marked,
    marks_of,
    proof_of,
    when,
)
from vedette.verifier.container import Folder, Zip
from vedette.verifier.fragments import check_fragments
from vedette.verifier.heads import check_heads, journal_here
from vedette.verifier.parts import MAX_PARTS_RECORD, ends_of, own_part, place_said
from vedette.verifier.records import (
    DEVICE,
    EXTRA,
    HASH,
    KINDS,
    MAX_JOURNAL,
    MAX_RECORD,
    PARTS,
    REDACTED,
    UUID7,
    Bad,
    Untrusted,
    key_id,
    like,
    listing_of,
    loads,
    manifest_of,
    number,
    public_key,
    raw64,
    record,
    sha,
    shaped,
    text,
)
from vedette.verifier.redactions import (
    MAX_REDACTION,
    NO_ORIGINAL,
    agree_on,
    changes_of,
    check_parent,
    place_of,
    redaction_of,
)
from vedette.verifier.witnesses import witnessed


# ---- from here on in verify.py ----
class Bundle:
    """One verification; `findings` are (what, where, code or None where nothing was there to check, message)."""

    policy: Any = None
    redactor: bytes | None = None
    redaction: Any = None
    part: Any = None
    ends: Any = None
    lines_here: Any = None

    def __init__(self, source: Folder | Zip, name: str, key: bytes | None, origin: str | None) -> None:
        self.source, self.name, self.trusted, self.origin = source, name, key, origin
        self.findings: list[tuple[str, str, int | None, str]] = []
        self.hashes: dict[str, tuple[int, str]] = {}

    def run(self, what: str, where: str, check: Callable[[], Any], said: str | Callable[[Any], str] = "") -> Any:
        """The check's value, or None where it failed; `said` says what holds, a mere step says nothing."""
        try:
            value = check()
        except Bad as error:
            self.findings.append((what, where, error.code, str(error)))
            return None
        if said:
            self.findings.append((what, where, 0, said if isinstance(said, str) else said(value)))
        return value

    def read(self, name: str, most: int = MAX_RECORD) -> bytes:
        content = b""
        for piece in self.source.pieces(name):
            content += piece
            if len(content) > most:
                raise Bad(f"larger than {most} bytes")
        return content

    def check(self) -> None:
        whole = self.source.listing
        listing = self.run(
            "listing", "bundle.json", lambda: listing_of(whole), lambda one: f"{one['kind']} {one['item']}"
        )
        if listing is None:
            return
        self.item, self.kind = listing["item"], listing["kind"]
        self.listed = {one["name"]: one for one in listing["files"]}
        self.run("container", self.name, lambda: self.container(listing), "every byte between the files holds")
        for one in listing["files"]:
            self.run("file", one["name"], functools.partial(self.file, one), f"{one['size']} bytes, as listed")
        keys = self.run("keys", "keys.json", self.keys)
        centre = self.run("centre's key", "keys.json", lambda: self.centre(keys), lambda key: self.centre_said(key))
        centre = self.trusted or centre
        self.origin = self.origin or (keys and keys["log_origin"])
        self.run(
            "listing's signature",
            "bundle.json",
            lambda: record(whole, "vedette/bundle/1", centre),
            "signed by the centre",
        )
        device = self.run(
            "device's key", "keys.json", lambda: self.device(keys, centre, listing["device"]), "vouched for"
        )
        self.evidence(centre, device)

    def container(self, listing: Any) -> bool:
        self.source.plan(listing)
        self.source.check(listing)
        ending = KINDS[self.kind]
        needed, extra = ({one.format(self.item, self.kind, ending) for one in names} for names in (PARTS, EXTRA))
        for name in sorted(needed - set(self.listed)):
            raise Bad(f"the listing lacks {name}")
        for name in sorted(set(self.listed) - needed - extra):
            raise Bad(f"the listing has a file that is no part of a bundle: {name}")
        redacted = {one.format(self.item) for one in REDACTED}
        if 0 < len(redacted & set(self.listed)) < len(redacted):
            raise Bad("a redacted copy, its record and its plan come together; one of them is not in the listing")
        if not self.has_original() and not redacted & set(self.listed):
            raise Bad("neither the sealed file nor the opened one is in the bundle")
        return True

    def has_original(self) -> bool:
        return bool({f"{self.item}.{self.kind}.age", f"{self.item}.{KINDS[self.kind]}"} & set(self.listed))

    def file(self, one: Any) -> None:
        digest, size = hashlib.sha256(), 0
        for piece in self.source.pieces(one["name"]):
            digest.update(piece)
            size += len(piece)
        self.hashes[one["name"]] = (size, digest.hexdigest())
        if size != one["size"]:
            raise Bad(f"{size} bytes where {one['size']} are listed")
        if digest.hexdigest() != one["sha256"]:
            raise Bad(f"its SHA-256 is not the listed one: one or more of its {size} bytes were changed")

    def keys(self) -> Any:
        keys = shaped(
            loads(self.read("keys.json", 16384), 16384),
            "keys.json",
            centre=text(),
            log_origin=text(),
            enrolment=text(16384),
        )
        return {**keys, "centre": public_key(keys["centre"]), "enrolment": raw64(keys["enrolment"], "enrolment")}

    def centre(self, keys: Any) -> bytes:
        if not keys:
            raise Untrusted("keys.json cannot be read, so nobody's key is known")
        if self.trusted not in (None, keys["centre"]):
            raise Untrusted("the bundle is of another centre: the key in it is not the one you trust")
        if self.origin not in (None, keys["log_origin"]):
            raise Untrusted(f"the bundle is of another log: {keys['log_origin']!r}, yours is {self.origin!r}")
        return bytes(keys["centre"])

    def centre_said(self, key: bytes) -> str:
        if self.trusted:
            return "the one that you trust"
        return f"taken from the bundle (fingerprint {key_id(key)}): compare with the one published by the force"

    def device(self, keys: Any, centre: bytes | None, device: str) -> bytes:
        if not keys:
            raise Untrusted("keys.json cannot be read, so nobody's key is known")
        body = record(keys["enrolment"], "vedette/enrolment/1", centre)
        serial = {"certificate_serial": text(64), "enrolled_us": number()}
        shaped(body, "enrolment", device=like(DEVICE), public_key=text(), **serial)
        if body["device"] != device:
            raise Untrusted(f"it is of device {body['device']}, the bundle of {device}")
        return public_key(body["public_key"])

    def evidence(self, centre: bytes | None, device: bytes | None) -> None:
        name = f"{self.item}.manifest"
        raw = self.run("manifest", name, lambda: self.read(name))
        if raw is None:
            return
        said = f"signed by the device, {len(raw)} bytes"
        manifest = self.run("manifest", name, lambda: self.own(manifest_of(raw, device)), said)
        if manifest is None:
            manifest = self.run("manifest's form", name, lambda: manifest_of(raw, None, True), "readable, unsigned")
        if manifest is None:
            return
        self.manifest, self.manifest_sha256 = manifest, sha(raw)
        sealed, opened = f"{self.item}.{self.kind}.age", f"{self.item}.{KINDS[self.kind]}"
        if sealed in self.listed:
            self.run(
                "sealed file", sealed, lambda: self.sealed(sealed), "size and SHA-256 are those that the device signed"
            )
        else:
            said = "not here; only the opened item is" if self.has_original() else "not here, nor is the opened one"
            self.findings.append(("sealed file", sealed, None, said))
        receipt = self.run("receipt", f"{self.item}.receipt", lambda: self.receipt(centre), "the centre signed for it")
        self.run("log inclusion", f"{self.item}.proof", lambda: self.proof(centre, receipt), lambda said: str(said))
        if self.policy is not None:
            self.run("witnesses", f"{self.item}.proof", lambda: witnessed(self.text_of_proof(), self.policy), str)
        entries = self.journal(device)
        self.heads(f"{self.item}.heads", entries or [], (centre, device))
        if manifest["kind"] == "segment" and manifest["recording"] is not None:
            self.recording_part(f"{self.item}.parts", centre)
        if manifest["kind"] == "segment" and entries and sealed in self.listed:
            marks = marks_of(entries, self.item)
            self.run("checkpoints", sealed, lambda: self.marks(sealed, marks), str)
        if opened in self.listed:
            self.opened(opened)
        if opened in self.listed and manifest["kind"] == "segment":
            check_fragments(self, opened, entries or [])
        if {one.format(self.item) for one in REDACTED} & set(self.listed):
            self.redacted()

    def own(self, manifest: Any) -> Any:
        if manifest["item"] != self.item:
            raise Bad(f"it is the manifest of item {manifest['item']}, put under another name")
        return manifest

    def sealed(self, name: str) -> None:
        size, digest = self.hashes.get(name, (-1, ""))
        if size != self.manifest["sealed_size"]:
            raise Bad(
                f"{size} bytes where the manifest says {self.manifest['sealed_size']}: changed from byte {size} on"
            )
        if digest != self.manifest["sealed_sha256"]:
            raise Bad("its SHA-256 is not the one in the manifest: the file was changed")

    def known(self, centre: bytes | None) -> tuple[bytes, str]:
        if centre is None or self.origin is None:
            raise Untrusted("no key of the centre or its log is known here that somebody vouches for")
        return centre, self.origin

    def receipt(self, centre: bytes | None) -> Any:
        key, origin = self.known(centre)
        body = record(self.read(f"{self.item}.receipt"), "vedette/receipt/1", key)
        shaped(
            body, "receipt", item=like(UUID7), device=like(DEVICE), sealed_sha256=like(HASH), sealed_size=number(),
            manifest_sha256=like(HASH), stored_us=number(), log_index=number(), log_checkpoint=text(4096),
        )  # fmt: skip
        expected = {**self.manifest, "manifest_sha256": self.manifest_sha256}
        for name in ("item", "device", "sealed_sha256", "sealed_size", "manifest_sha256"):
            if body[name] != expected[name]:
                raise Untrusted(f"the receipt for item {self.manifest['item']} names another {name}")
        size, _root = checkpoint(body["log_checkpoint"], origin, key)
        if size <= body["log_index"]:
            raise Bad(f"its log checkpoint of {size} leaves does not reach leaf {body['log_index']}")
        return body

    def proof(self, centre: bytes | None, receipt: Any) -> str:
        key, origin = self.known(centre)
        leaf, index, size = proof_of(self.text_of_proof(), origin, key)
        expected = {**self.manifest, "manifest_sha256": self.manifest_sha256, "received_us": leaf["received_us"]}
        if leaf != {name: expected[name] for name in leaf}:
            raise Bad(f"leaf {index} of the log is of item {leaf['item']} or of other bytes")
        if receipt is not None and receipt["log_index"] != index:
            raise Bad(f"it is of leaf {index}, the receipt of leaf {receipt['log_index']}")
        return f"leaf {index} of {size} in log {origin}, received {when(leaf['received_us'])}"

    def text_of_proof(self) -> str:
        try:
            return self.read(f"{self.item}.proof", 128 << 10).decode()
        except UnicodeDecodeError as error:
            raise Bad(f"not UTF-8 at byte {error.start}") from None

    def redacted(self) -> None:
        """The copy, its plan and its parent are those that its record names, and the list of changes can be read."""
        copy, name, plan = (one.format(self.item) for one in REDACTED)
        if not self.has_original():
            self.findings.append(("redaction's original", copy, None, NO_ORIGINAL))
        said = "" if self.redactor else "; nobody vouches for this key here, compare it"
        body = self.run(
            "redaction",
            name,
            lambda: redaction_of(self.read(name, MAX_REDACTION), self.redactor),
            lambda one: f"signed by {one['signer']} ({one['by']}, because: {one['why']}){said}",
        )
        if body is None:
            return
        found, wanted = self.hashes.get(copy, (-1, "")), (body["derived_size"], body["derived_sha256"])
        other = "its bytes are not those that the record names"
        self.run("redacted copy", copy, lambda: agree_on(found, wanted, other), "the bytes the record names")
        size, digest = self.hashes.get(plan, (-1, ""))
        other_plan = "it is not the plan that the record names"
        named = (size, body["plan_sha256"])
        self.run(
            "redaction plan", plan, lambda: agree_on((size, digest), named, other_plan), "the one the record names"
        )
        ours = f"item {self.item} of {self.manifest['device']}, whose manifest and proofs are checked here"
        self.run("redaction's parent", name, lambda: check_parent(body, self.manifest, self.manifest_sha256), ours)
        self.run("redaction's changes", name, lambda: changes_of(body), str)
        if "set" in body:
            self.run("redaction's place", name, lambda: place_of(body, self.manifest), str)
        if body["parent"]["item"] == self.manifest["item"]:
            self.redaction = body

    def journal(self, device: bytes | None) -> Any:
        lines = self.run("journal", "journal.jsonl", self.lines)
        if not lines:
            self.findings.append(("custody chain", "journal.jsonl", None, "no lines here: custody cannot be checked"))
            return None

        def check() -> list[Any]:
            if device is None:
                raise Untrusted("no key of the device is known here that somebody vouches for")
            entries, head = chain_of(lines, device), self.manifest["journal"]
            if entries[0]["device"] != self.manifest["device"]:
                raise Untrusted(f"the chain is of device {entries[0]['device']}, not of the item's")
            for entry, line in zip(entries, lines, strict=True):
                named = head and (entry["service"], entry["seq"]) == (head["service"], head["seq"])
                if named and sha(line) != head["head"]:
                    raise Bad(f"seq {entry['seq']} is not the line that the manifest names: there are two chains")
            check_extent(entries, self.manifest)
            self.ends = ends_of(entries, lines)
            return entries

        return self.run(
            "custody chain", "journal.jsonl", check, lambda found: f"{len(found)} lines, unbroken and signed"
        )

    def heads(self, name: str, entries: list[Any], keys: tuple[Any, Any]) -> None:
        lines = self.read("journal.jsonl", MAX_JOURNAL).split(b"\n") if entries else []
        here = list(zip(entries, lines, strict=False))
        self.lines_here = journal_here(self.manifest, here)
        if name not in self.listed:
            said = "none here: how far the device had signed for its journal is not known from this bundle"
            self.findings.append(("signed heads", name, None, said))
            return
        found = self.run(
            "signed heads",
            name,
            lambda: check_heads(self.read(name), self.manifest, here, keys),
            lambda found: f"signed by {self.manifest['device']}: line {found[1]}",
        )
        if found:
            (is_short, said), _line, problem, owed = found
            self.lines_here["owed"] = owed if is_short else None
            self.findings.append(("signed lines", name, None if is_short else 0, said))
            if problem is not None:
                said = f"the centre found this wrong with it: {problem}"
                self.findings.append(("journal at the centre", name, None, said))

    def recording_part(self, name: str, centre: bytes | None) -> None:
        """Which part of its recording the item is, and which others left with it."""
        manifest, said = self.manifest, None
        if name in self.listed:
            said = self.run(
                "recording's part",
                name,
                lambda: own_part(self.read(name, MAX_PARTS_RECORD), manifest, centre),
                lambda found: place_said(manifest, found),
            )
        else:
            unknown = f"{place_said(manifest, None)}; which others left with it is not known"
            self.findings.append(("recording's part", name, None, unknown))
        self.part = {"bundle": self.name, "manifest": manifest, "said": said, "ends": self.ends}

    def lines(self) -> list[bytes]:
        """The whole lines; that the last one is cut is a finding of its own and hides no other."""
        *lines, rest = self.read("journal.jsonl", MAX_JOURNAL).split(b"\n")
        if rest:
            where = f"(line {len(lines) + 1}; {len(rest)} bytes of it are here)"
            said = f"custody journal: the last line is cut off {where}"
            self.findings.append(("journal", "journal.jsonl", Bad.code, said))
        return lines

    def marks(self, name: str, marks: list[Any]) -> str:
        said = marked(self.source.pieces(name), marks)
        if not marks and self.manifest["complete"]:
            raise Bad("the custody chain has no checkpoint of this item")
        return said

    def opened(self, name: str) -> None:
        manifest = self.manifest
        if manifest["plain_sha256"] is None:
            said = "the device did not state its hash (it was recovered after a cut)"
            self.findings.append(("opened file", name, None, said))
            return

        def check() -> None:
            if self.hashes.get(name) != (manifest["plain_size"], manifest["plain_sha256"]):
                raise Bad("size or SHA-256 is not what the device recorded")

        self.run("opened file", name, check, "it is what the device recorded, byte for byte")
