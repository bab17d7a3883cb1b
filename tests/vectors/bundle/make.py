"""Makes the bundles beside this file anew, from good_bundle.py: `python tests/vectors/bundle/make.py`.

`cases.json` says of each what a checker must find: exit code, and the file or check that is named; where it has
`policy`, also what one must find who is given `policy.txt` (two of three witnesses).
"""

import dataclasses
import io
import json
import shutil
import struct
import zipfile
from pathlib import Path
from typing import Any

from good_bundle import (
    COPY,
    ITEM,
    ORIGIN,
    OTHER_ITEM,
    PLAIN,
    WITNESSES,
    chain,
    cosigned,
    keys,
    parts,
    policy,
    redacted,
    sha,
)

from vedette import bundle, bundle_zip, canonical, note, records, sealed
from vedette.bundle import BUNDLE, BundleParts
from vedette.keys import SigningKey
from vedette.redaction import Run
from vedette.trust import Trust

HERE = Path(__file__).parent


def relisted(whole: bytes, kind: str = BUNDLE, **changes: Any) -> bytes:
    """The bundle with its listing's body changed and signed again by the centre: only the listing is wrong."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    body = {**json.loads(contents["bundle.json"])["body"], **changes}
    record = records.sign_record(kind, body, keys()[0])
    names = [one["name"] for one in body["files"]]
    old = list(contents)[1:]
    members = [bundle_zip.member("bundle.json", iter([record]))]
    data = {"bundle.json": record}
    for name, was in zip(names, [*old, *old], strict=False):
        data[name] = contents.get(name, contents[was])
        members.append(bundle_zip.member(name, iter([data[name]])))
    sink = io.BytesIO()
    bundle_zip.write(sink, members, lambda name: iter([data[name]]))
    return sink.getvalue()


def rezipped(whole: bytes, **changes: bytes | None) -> bytes:
    """The bundle packed anew in its own form, with contents changed, added (new names) or taken out (None)."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        contents: dict[str, bytes | None] = {name: archive.read(name) for name in archive.namelist()}
    contents.update(changes)
    kept = {name: data for name, data in contents.items() if data is not None}
    sink = io.BytesIO()
    bundle_zip.write(
        sink, [bundle_zip.member(name, iter([data])) for name, data in kept.items()], lambda name: iter([kept[name]])
    )
    return sink.getvalue()


def repacked(whole: bytes, method: int) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive, zipfile.ZipFile(sink, "w", method) as again:
        for name in archive.namelist():
            again.writestr(name, archive.read(name))
    return sink.getvalue()


def renamed_files(whole: bytes, first: str) -> list[dict[str, Any]]:
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        files: list[dict[str, Any]] = json.loads(archive.read("bundle.json"))["body"]["files"]
    return [{**files[0], "name": first}, *files[1:]]


def more_files(whole: bytes, more: str) -> list[dict[str, Any]]:
    return [*renamed_files(whole, "README.txt"), *renamed_files(whole, more)[:1]]


def built(made: BundleParts) -> bytes:
    target = HERE / "temporary.zip"
    bundle.make(target, made)
    whole = target.read_bytes()
    target.unlink()
    return whole


def cut_in_a_line(whole: bytes) -> bytes:
    """The journal's second line changed and its last one without an end: neither fault may hide the other."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        first, second, *rest = archive.read("journal.jsonl").splitlines(keepends=True)
    second = second.replace(b'"utc_us":1', b'"utc_us":2')
    return rezipped(whole, **{"journal.jsonl": b"".join([first, second, *rest])[:-1] + b" "})


Case = tuple[bytes, int, str]


def extent_cases(good: BundleParts, lines: list[bytes]) -> dict[str, Case]:
    """Chains that are whole and signed and yet not all that there is on the item; and forms of manifest."""
    _centre, device, _identity = keys()
    uploader = parts(manifest={"journal": records.JournalHead(service="uplink", seq=4, head="ab" * 32)})
    old = records.peek_manifest(good.manifest).to_body()
    for name in ("hardware", "firmware", "policy_sha256"):
        del old[name]
    whole = built(good)
    other = records.sign_record(
        records.MANIFEST, {**records.peek_manifest(good.manifest).to_body(), "item": OTHER_ITEM}, device
    )
    first = records.sign_record(records.MANIFEST_1, old, device)
    return {
        "manifest-of-version-1": (built(parts(manifest_record=first)), 0, ""),
        "manifest-of-version-1-with-fields-of-2": (
            rezipped(whole, **{f"{ITEM}.manifest": _resigned(good, records.MANIFEST_1)}),
            10, f"{ITEM}.manifest",
        ),
        "manifest-of-a-future-version": (
            rezipped(whole, **{f"{ITEM}.manifest": _resigned(good, "vedette/manifest/3")}), 10, f"{ITEM}.manifest",
        ),
        "manifest-under-another-name": (
            rezipped(whole, **{f"{ITEM}.manifest": other}), 10, "put under another name",
        ),
        "custody-begins-late": (built(dataclasses.replace(good, journal=lines[2:])), 10, "its beginning is missing"),
        "custody-ends-early": (built(dataclasses.replace(good, journal=lines[1:3])), 10, "its tail is missing"),
        "custody-without-the-item": (built(dataclasses.replace(good, journal=lines[:1])), 10, "its tail is missing"),
        "custody-of-another-service": (built(uploader), 10, "it is the chain of recorder"),
    }  # fmt: skip


def _resigned(good: BundleParts, kind: str) -> bytes:
    return records.sign_record(kind, records.peek_manifest(good.manifest).to_body(), keys()[1])


def redaction_cases(good: BundleParts) -> dict[str, Case]:
    """A redacted copy beside its parent."""
    whole = built(redacted(good))
    sealed_only = dataclasses.replace(good, opened=None)
    name, plan = f"{ITEM}.redaction", f"{ITEM}.plan.toml"
    other, runs = SigningKey.generate(), ((9, 9), (3, 20))
    disordered = tuple(Run(first=a, last=b, from_us=0, to_us=9, regions=("plate-1",)) for a, b in runs)
    alone = redacted(good).companions
    return {
        "redacted": (whole, 0, ""),
        "redacted-and-sealed-only": (built(redacted(sealed_only)), 0, ""),
        "redacted-copy-changed": (rezipped(whole, **{f"{ITEM}.redacted.mp4": COPY[:-1] + b"?"}), 10, "redacted copy"),
        "redaction-of-another-copy": (built(redacted(good, derived_sha256="ab" * 32)), 10, f"{ITEM}.redacted.mp4"),
        "redaction-by-another-key": (built(redacted(good, signer=other.public.text)), 11, name),
        "redaction-of-another-item": (built(redacted(good, parent={"item": OTHER_ITEM})), 10, "its item is another"),
        "redaction-of-another-manifest": (
            built(redacted(good, parent={"manifest_sha256": "ab" * 32})), 10, "its manifest is another",
        ),
        "redaction-of-other-opened-bytes": (
            built(redacted(good, parent={"plain_sha256": "ab" * 32})), 10, "its opened bytes is another",
        ),
        "redaction-with-another-plan": (built(redacted(good, plan_sha256="ab" * 32)), 10, plan),
        "redaction-out-of-order": (built(redacted(good, changed=disordered)), 10, "out of order"),
        "redaction-beyond-the-end": (built(redacted(good, frames=30)), 10, "out of order or place"),
        "redaction-without-a-reason": (built(redacted(good, reasons={"plate-1": "plate"})), 10, "no reason"),
        "redaction-without-its-plan": (
            built(dataclasses.replace(good, companions={one: alone[one] for one in ("redacted", "redaction")})),
            10, "come together",
        ),
    }  # fmt: skip


def witnessed_cases(good: BundleParts) -> dict[str, tuple[Case, tuple[int, str]]]:
    """Cosignatures: what a checker must find without the policy, and with it."""
    other = note.Checkpoint(origin=ORIGIN, size=7, root=bytes(32)).to_text()
    three, two, one = WITNESSES, WITNESSES[1:], WITNESSES[:1]
    return {
        "cosigned-by-all": ((built(cosigned(good, *three)), 0, ""), (0, "")),
        "cosigned-by-two": ((built(cosigned(good, *two)), 0, ""), (0, "")),
        "cosigned-by-one": ((built(cosigned(good, *one)), 0, ""), (11, "cosigned by w1.example/x")),
        "cosigned-by-nobody": ((built(good), 0, ""), (11, "cosigned by nobody")),
        "cosigned-by-a-stranger": ((built(cosigned(good, *one, "w4.example/s")), 0, ""), (11, "2 of w1, w2, w3")),
        "cosigned-for-another-checkpoint": (
            (built(cosigned(cosigned(good, *two), *one, text=other)), 0, ""), (11, "is not over this checkpoint"),
        ),
        "cosigned-and-of-another-leaf": (
            (built(cosigned(parts(leaf={"item": OTHER_ITEM}), *three)), 10, f"{ITEM}.proof"), (10, f"{ITEM}.proof"),
        ),
    }  # fmt: skip


def cases() -> dict[str, Case]:
    """name → (bytes, exit code, what the failing finding must name)."""
    _centre, device, _identity = keys()
    other = SigningKey.generate()
    good = parts()
    whole = built(good)
    ciphertext = good.sealed
    assert isinstance(ciphertext, bytes)
    flipped = bytearray(ciphertext)
    flipped[-1] ^= 1
    cut = {"plain_sha256": None, "complete": False}
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        key_file = json.loads(archive.read("keys.json"))
    stranger = canonical.dumps({**key_file, "centre": other.public.text})
    lines = chain(device, ciphertext)
    end = struct.calcsize("<IHHHHIIH")
    return {
        **extent_cases(good, lines),
        **redaction_cases(good),
        "whole": (whole, 0, ""),
        "sealed-only": (built(dataclasses.replace(good, opened=None)), 0, ""),
        "opened-only": (built(dataclasses.replace(good, sealed=None)), 0, ""),
        "cut-recording": (built(parts(manifest=cut)), 0, ""),
        "no-custody-yet": (built(dataclasses.replace(good, journal=[])), 0, ""),
        "whole-chain": (built(dataclasses.replace(good, journal=lines)), 0, ""),
        "byte-before": (b"\0" + whole, 10, "byte 0 "),
        "byte-behind": (whole + b"\0", 10, f"{len(whole) + 1} bytes"),
        "cut-by-one": (whole[:-1], 10, "end of central directory"),
        "cut-at-directory": (whole[: whole.rfind(b"PK\1\2")], 10, "central directory"),
        "comment": (whole[: -end + 20] + b"\1\0x", 10, "end of central directory"),
        "compressed": (repacked(whole, zipfile.ZIP_DEFLATED), 10, "byte 4 "),
        "packed-anew": (repacked(whole, zipfile.ZIP_STORED), 10, "container"),
        "readme-changed": (rezipped(whole, **{"README.txt": b"All is well.\n"}), 10, "README.txt"),
        "sealed-changed": (rezipped(whole, **{f"{ITEM}.segment.age": bytes(flipped)}), 10, f"{ITEM}.segment.age"),
        "opened-changed": (rezipped(whole, **{f"{ITEM}.mp4": PLAIN[:-1] + b"!"}), 10, f"{ITEM}.mp4"),
        "file-missing": (rezipped(whole, **{f"{ITEM}.receipt": None}), 10, f"{ITEM}.receipt"),
        "file-added": (rezipped(whole, **{"virus.exe": b"MZ"}), 10, "container"),
        "two-listings": (rezipped(whole, **{"zbundle.json": b"{}"}), 10, "container"),
        "listing-of-a-path": (relisted(whole, files=renamed_files(whole, "../README.txt")), 10, "bundle.json"),
        "listing-names-twice": (relisted(whole, files=renamed_files(whole, "keys.json")), 10, "bundle.json"),
        "listing-of-itself": (relisted(whole, files=renamed_files(whole, "bundle.json")), 10, "bundle.json"),
        "listing-with-a-stranger": (relisted(whole, files=more_files(whole, "notes.txt")), 10, "notes.txt"),
        "listing-of-another-item": (relisted(whole, item=OTHER_ITEM), 10, OTHER_ITEM),
        "future-version": (relisted(whole, kind="vedette/bundle/2"), 10, "bundle.json"),
        "unknown-field": (relisted(whole, officer="x"), 10, "bundle.json"),
        "listing-by-another-key": (built(dataclasses.replace(good, signer=other)), 11, "keys.json"),
        "keys-of-another-centre": (rezipped(whole, **{"keys.json": stranger}), 10, "keys.json"),
        "enrolment-by-another-key": (built(parts(enrolment_signer=other)), 11, "device's key"),
        "enrolment-of-another-device": (built(parts(enrolment={"device": "car-2"})), 11, "car-2"),
        "manifest-by-another-key": (built(parts(manifest_signer=other)), 11, f"{ITEM}.manifest"),
        "receipt-by-another-key": (built(parts(receipt_signer=other)), 11, f"{ITEM}.receipt"),
        "receipt-for-other-bytes": (built(parts(receipt={"sealed_sha256": "ab" * 32})), 11, f"{ITEM}.receipt"),
        "receipt-of-another-leaf": (built(parts(receipt={"log_index": 2})), 10, f"{ITEM}.proof"),
        "receipt-beyond-its-checkpoint": (built(parts(receipt={"log_index": 7})), 10, f"{ITEM}.receipt"),
        "leaf-of-another-item": (built(parts(leaf={"item": OTHER_ITEM})), 10, f"{ITEM}.proof"),
        "checkpoint-by-another-key": (built(parts(log_signer=other)), 11, f"{ITEM}.proof"),
        "log-of-another-origin": (
            built(dataclasses.replace(good, log_origin="other.example/log")),
            11,
            "other.example/log",
        ),
        "proof-of-another-leaf": (
            built(dataclasses.replace(good, proof=good.proof.replace("index 6", "index 5"))),
            10,
            f"{ITEM}.proof",
        ),
        "custody-line-missing": (built(dataclasses.replace(good, journal=[lines[1], lines[3]])), 10, "line 2 (seq 3)"),
        "custody-cut-in-a-line": (cut_in_a_line(whole), 10, "line 2 (seq 3)"),
        "custody-of-another-key": (built(dataclasses.replace(good, journal=chain(other, ciphertext))), 11, "line 1"),
        "custody-of-another-file": (
            built(dataclasses.replace(good, journal=chain(device, bytes(flipped)))),
            10,
            "two chains",
        ),
        "checkpoint-of-other-bytes": (built(_checkpoint_wrong()), 10, "between byte 1600 and byte"),
        "plain-hash-wrong": (built(parts(manifest={"plain_sha256": "ab" * 32})), 10, f"{ITEM}.mp4"),
    }


def _checkpoint_wrong() -> BundleParts:
    """The file's end was changed and everything that names its hash made to agree, but for the custody chain."""
    _centre, device, identity = keys()
    ciphertext = sealed.seal(PLAIN, [identity.recipient])
    flipped = bytearray(ciphertext)
    flipped[-1] ^= 1
    changed = {"sealed_sha256": sha(bytes(flipped)), "sealed_size": len(flipped), "journal": None}
    made = parts(manifest=changed, sealed=bytes(flipped))
    return dataclasses.replace(made, journal=bundle.journal_of(chain(device, ciphertext), ITEM))


def main() -> None:
    centre, _device, identity = keys()
    trust = Trust(
        centre=centre.public,
        list_signer=centre.public,
        log_origin=ORIGIN,
        evidence=(identity.recipient.text,),
        oversight=(identity.recipient.text,),
        triage=identity.recipient.text,
    )
    (HERE / "trust.json").write_bytes(trust.to_bytes())
    shutil.rmtree(HERE / "zip", ignore_errors=True)
    (HERE / "zip").mkdir()
    (HERE / "policy.txt").write_text(policy())
    listed: list[dict[str, Any]] = []
    for name, ((data, exit_code, named), (policy_code, policy_named)) in witnessed_cases(parts()).items():
        (HERE / "zip" / f"{name}.zip").write_bytes(data)
        asked = {"exit_code": policy_code, "names": policy_named}
        listed.append({"name": name, "exit_code": exit_code, "names": named, "policy": asked})
    for name, (data, exit_code, named) in cases().items():
        (HERE / "zip" / f"{name}.zip").write_bytes(data)
        listed.append({"name": name, "exit_code": exit_code, "names": named})
    (HERE / "cases.json").write_text(json.dumps(listed, indent=1) + "\n")


if __name__ == "__main__":
    main()
