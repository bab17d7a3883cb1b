"""What lies in a bundle for people beside the signed parts: the report, the verifiers, the copy with ONVIF boxes.

Decided here: they are made from the bundle's own parts, so that the same parts and time make the same bytes (BU-8);
a recording that cannot take the ONVIF boxes is exported without that copy. Which files a bundle may have is
`vedette.bundle`'s.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from vedette import onvif_boxes, proof, report, report_html, verifier
from vedette.bundle import LISTING, REDACTED, SIGNED_FOR, BundleParts, Content, file_names
from vedette.bundle_heads import last_line_here, open_held, shortfall, signed_heads
from vedette.bundle_parts import open_parts
from vedette.custody_entry import parse_line
from vedette.enrolment import open_enrolment
from vedette.errors import Integrity, Refused
from vedette.onvif_boxes import Export
from vedette.onvif_place import place_of
from vedette.records import keyring, open_receipt, peek_manifest

_MICROS = 1_000_000


def with_companions(parts: BundleParts, *, exported_by: str) -> BundleParts:
    """`parts` with everything that a bundle has for people; `exported_by` is printed in the report. A redacted copy
    that is among their companions stays.

    Raises NotFound where the report's typefaces are not installed, Integrity where a part is malformed.
    """
    from vedette import report_pdf  # Only a centre has fpdf2; a device and a checker do not.

    manifest = peek_manifest(parts.manifest)
    names = file_names(manifest.item, manifest.kind)
    companions: dict[str, Content] = {what: parts.companions[what] for what in REDACTED if what in parts.companions}
    copied = _onvif(parts, exported_by)
    if copied is not None:
        companions["onvif"] = copied
    in_it = [name for name in (*SIGNED_FOR, "sealed", "opened") if getattr(parts, name) is not None]
    order = ("readme", "keys", "manifest", "receipt", "proof", "journal", *in_it, *companions, *_FOR_PEOPLE)
    said = report.reports(_facts(parts, exported_by, {"listing": LISTING, **{what: names[what] for what in order}}))
    companions["report_html"] = report_html.page(said)
    companions["report_pdf"] = report_pdf.document(said, made_us=parts.made_us, item=manifest.item)
    companions["verifier_py"] = verifier.script()
    companions["verifier_html"] = verifier.page()
    return dataclasses.replace(parts, companions=companions)


_FOR_PEOPLE = ("report_html", "report_pdf", "verifier_py", "verifier_html")


def _facts(parts: BundleParts, exported_by: str, files: dict[str, str]) -> report.Facts:
    centre = keyring(parts.signer.public)
    return report.Facts(
        manifest=peek_manifest(parts.manifest),
        manifest_sha256=hashlib.sha256(parts.manifest).hexdigest(),
        receipt=open_receipt(parts.receipt, centre),
        proof=proof.Proof.from_text(parts.proof),
        enrolment=open_enrolment(parts.enrolment, centre),
        centre_key=parts.signer.public.text,
        centre_key_id=parts.signer.public.key_id,
        log_origin=parts.log_origin,
        lines=parts.journal,
        heads=_heads(parts),
        parts=None if parts.recording_parts is None else open_parts(parts.recording_parts, parts.signer.public),
        files=files,
        made_us=parts.made_us,
        exported_by=exported_by,
        reason=parts.note,
    )


def _heads(parts: BundleParts) -> report.JournalHeads | None:
    """What the centre says of the device's heads, held against the lines that leave."""
    if parts.heads is None:
        return None
    manifest = peek_manifest(parts.manifest)
    held = open_held(parts.heads, parts.signer.public)
    signed = signed_heads(held, open_enrolment(parts.enrolment, keyring(parts.signer.public)).key)
    here_to = last_line_here(manifest, [parse_line(line) for line in parts.journal[-1:]])
    return report.JournalHeads(short=shortfall(held, signed, here_to), problem=held.problem)


def _onvif(parts: BundleParts, exported_by: str) -> Callable[[], Iterator[bytes]] | None:
    """What gives the copy's bytes, or None where there is no opened recording or it cannot take the boxes."""
    manifest, opened = peek_manifest(parts.manifest), parts.opened
    if manifest.kind != "segment" or opened is None or callable(opened):
        return None
    try:
        with _open(opened) as file:
            export = Export(
                unit=parts.log_origin,
                operator=exported_by,
                exported_s=parts.made_us // _MICROS,
                source=manifest.device,
                started_us=manifest.started_us,
                place=place_of(file),
            )
            for _piece in onvif_boxes.copy(file, export):
                pass
    except (Refused, Integrity):
        return None

    def pieces() -> Iterator[bytes]:
        with _open(opened) as file:
            yield from onvif_boxes.copy(file, export)

    return pieces


def _open(opened: bytes | Path) -> BinaryIO:
    return io.BytesIO(opened) if isinstance(opened, bytes) else opened.open("rb")
