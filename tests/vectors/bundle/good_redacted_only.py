"""Bundles in which a redacted copy left without its original, good and with something wrong: what must be said."""

import dataclasses
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from good_bundle import COPY, ITEM, OTHER_ITEM, PLAIN, parts, redacted

from vedette import bundle, bundle_zip
from vedette.bundle import BundleParts

COPY_NAME, RECORD_NAME, OPENED_NAME = f"{ITEM}.redacted.mp4", f"{ITEM}.redaction", f"{ITEM}.mp4"
SAID = "the original is not in this bundle: that what the record does not list as changed is the original's"


def redacted_only(**changes: object) -> BundleParts:
    """The copy, its record and plan, and what proves the original, which is not there; `changes` go into the record."""
    return dataclasses.replace(redacted(parts(), **changes), sealed=None, opened=None)


def with_companions(good: BundleParts, **files: bytes | None) -> BundleParts:
    """With other files of the copy, None for one that is left out; the centre lists what there is then."""
    there = {**good.companions, **files}
    return dataclasses.replace(good, companions={what: one for what, one in there.items() if one is not None})


def repacked(whole: bytes, files: Mapping[str, bytes]) -> bytes:
    """The archive in its own form with files changed or added, behind the centre's back."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()} | files
    sink, members = io.BytesIO(), [bundle_zip.member(name, iter([data])) for name, data in contents.items()]
    bundle_zip.write(sink, members, lambda name: iter([contents[name]]))
    return sink.getvalue()


def cases(folder: Path) -> dict[str, tuple[bytes, int, str]]:
    """name → (bytes, exit code, what the failing finding must name)."""

    def built(made: BundleParts) -> bytes:
        path = bundle.make(folder / "made.zip", made)
        whole = path.read_bytes()
        path.unlink()
        return whole

    good = redacted_only()
    whole, record = built(good), good.companions["redaction"]
    assert isinstance(record, bytes)
    signed_over = record.replace(b'"frames":50', b'"frames":51')
    assert signed_over != record
    wrong_original = dataclasses.replace(good, opened=PLAIN[:-1] + b"?")
    without_plan = dataclasses.replace(with_companions(good, redaction_plan=None), opened=PLAIN)
    return {
        "good": (whole, 0, ""),
        "copy-changed": (repacked(whole, {COPY_NAME: COPY[:-1] + b"?"}), 10, f"file | {COPY_NAME}"),
        "copy-swapped": (built(with_companions(good, redacted=b"another copy")), 10, f"redacted copy | {COPY_NAME}"),
        "record-changed": (built(with_companions(good, redaction=signed_over)), 11, f"redaction | {RECORD_NAME}"),
        "record-of-another-copy": (
            built(with_companions(good, redaction=redacted_only(derived_sha256="ab" * 32).companions["redaction"])),
            10,
            f"redacted copy | {COPY_NAME}",
        ),
        "record-of-another-item": (
            built(redacted_only(parent={"item": OTHER_ITEM})),
            10,
            f"redaction's parent | {RECORD_NAME}",
        ),
        "plan-left-out": (built(without_plan), 10, "come together"),
        "original-added": (repacked(whole, {OPENED_NAME: PLAIN}), 10, "container | "),
        "another-original-added": (built(wrong_original), 10, f"opened file | {OPENED_NAME}"),
    }
