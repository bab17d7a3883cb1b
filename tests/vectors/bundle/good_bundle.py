"""A good bundle, or one with something changed of what it is made from: the vectors (make.py) and tests start here."""

import dataclasses
import functools
import hashlib
from typing import Any

from vedette import bundle, cosignature, custody_entry, merkle, note, proof, records, sealed
from vedette.bundle import BundleParts
from vedette.enrolment import Enrolment
from vedette.keys import SigningKey
from vedette.redaction import ParentId, Redaction, Run, Silence

ORIGIN = "vedette.example/log"
ITEM = "01a2076b-4400-7f5c-8293-c2c1e62e57d3"
OTHER_ITEM = "01a2076b-4400-7f5c-8293-c2c1e62e57d4"
BOOT = "01a2076b-43f0-7000-8000-000000000001"
NOW_US = 1_795_420_800_000_000
COPY_ITEM = "01a2076b-4400-7f5c-8293-c2c1e62e57d5"
WITNESSES = ("w1.example/x", "w2.example/y", "w3.example/z")
COPY, PLAN = b"not the parent, and less to be seen", b"version = 1\n"
PLAIN = b"not really an MP4, but as good as one here"


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@functools.cache
def keys() -> tuple[SigningKey, SigningKey, sealed.HybridIdentity]:
    """The centre's key, the device's, and the evidence identity: new in each run, kept nowhere."""
    return SigningKey.generate(), SigningKey.generate(), sealed.HybridIdentity.generate()


@functools.cache
def sealed_once(plain: bytes = PLAIN) -> bytes:
    """The item's sealed bytes, the same in every bundle of that content."""
    return sealed.seal(plain, [keys()[2].recipient])


@functools.cache
def witness_keys() -> dict[str, SigningKey]:
    return {name: SigningKey.generate() for name in WITNESSES}


def policy() -> str:
    """The log of the vectors, and two of three witnesses."""
    centre, _device, _identity = keys()
    lines = [f"log {note.NoteKey(name=ORIGIN, public=centre.public).text}"]
    for number, (name, key) in enumerate(witness_keys().items(), start=1):
        lines.append(f"witness w{number} {cosignature.WitnessKey(name=name, public=key.public).text}")
    return "\n".join([*lines, "group most 2 w1 w2 w3", "quorum most", ""])


def cosigned(good: BundleParts, *names: str, text: str | None = None) -> BundleParts:
    """The bundle with its proof's checkpoint cosigned by these; with `text` the cosignatures are over that instead."""
    checkpoint = proof.Proof.from_text(good.proof).checkpoint
    lines = [
        cosignature.cosign(text or note.split_note(checkpoint)[0], name, key, NOW_US // 1_000_000)
        for name, key in {**witness_keys(), "w4.example/s": SigningKey.generate()}.items()
        if name in names
    ]
    return dataclasses.replace(good, proof=good.proof + "".join(lines))


def redacted(good: BundleParts, **changes: Any) -> BundleParts:
    """The bundle with a redacted copy; `changes` go into its record."""
    manifest = records.peek_manifest(good.manifest)
    parent = ParentId(
        plain_sha256=sha(PLAIN),
        plain_size=len(PLAIN),
        sealed_sha256=manifest.sealed_sha256,
        manifest_sha256=sha(good.manifest),
        item=manifest.item,
        device=manifest.device,
    )
    signer = changes.pop("by_key", None) or SigningKey.generate()
    made = Redaction(
        item=COPY_ITEM,
        parent=dataclasses.replace(parent, **changes.pop("parent", {})),
        plan_sha256=sha(PLAN),
        derived_sha256=sha(COPY),
        derived_size=len(COPY),
        made_us=NOW_US + 50,
        by="A. Tazi",
        why="disclosure",
        signer=signer.public.text,
        software="vedette 0.1.0",
        encoder="x264",
        models={},
        width=640,
        height=480,
        frames=50,
        changed=(
            Run(first=3, last=20, from_us=120_000, to_us=800_000, regions=("plate-1",)),
            Run(first=30, last=31, from_us=1_200_000, to_us=1_240_000, regions=("face-1", "plate-1")),
        ),
        reasons={"plate-1": "plate", "face-1": "bystander"},
        sound="muted",
        mutes=(Silence(from_us=0, to_us=500_000, reason="a name", packets=24),),
        stamp="kept",
    )
    record = dataclasses.replace(made, **changes).sign(signer)
    return dataclasses.replace(
        good, companions={"redacted": COPY, "redaction": record, "redaction_plan": PLAN, **good.companions}
    )


def chain(device: SigningKey, ciphertext: bytes, item: str = ITEM) -> list[bytes]:
    """The recorder's lines on an item that was sealed in one go, with one checkpoint at its header's end."""
    cut = 1600
    events: list[tuple[str, str | None, dict[str, Any]]] = [
        ("service.started", None, {"gap_us": None}),
        ("segment.opened", item, {}),
        ("segment.checkpoint", item, {"offset": cut, "sha256": sha(ciphertext[:cut]), "media_us": 1_000_000}),
        (
            "segment.closed",
            item,
            {"sealed_size": len(ciphertext), "sealed_sha256": sha(ciphertext), "media_us": 2_000_000},
        ),
    ]
    lines: list[bytes] = []
    for seq, (event, named, detail) in enumerate(events, start=1):
        entry = custody_entry.Entry(
            seq=seq,
            prev=sha(lines[-1]) if lines else "0" * 64,
            utc_us=NOW_US + seq,
            mono_us=seq,
            time_source="ntp",
            time_error_us=500,
            boot=BOOT,
            device="car-1",
            service="recorder",
            event=event,
            item=named,
            detail=detail,
        )
        lines.append(custody_entry.sign_entry(entry, device).line)
    return lines


def manifest_of(ciphertext: bytes, lines: list[bytes], *, plain: bytes = PLAIN, **changes: Any) -> records.Manifest:
    made = records.Manifest(
        item=ITEM,
        kind="segment",
        device="car-1",
        sealed_sha256=sha(ciphertext),
        sealed_size=len(ciphertext),
        plain_sha256=sha(plain),
        plain_size=len(plain),
        created_us=NOW_US,
        started_us=NOW_US,
        ended_us=NOW_US + 2_000_000,
        time_source="ntp",
        time_error_us=500,
        complete=True,
        priority=records.PRIORITY_BULK,
        recording="01a2076b-4400-7000-8000-000000000002",
        sequence=0,
        activation="button",
        media=None,
        journal=records.JournalHead(service="recorder", seq=len(lines), head=sha(lines[-1])),
        software="vedette 0.1.0",
        models={},
    )
    return dataclasses.replace(made, **changes)


def parts(*, plain: bytes = PLAIN, **changes: Any) -> BundleParts:
    """The parts of a good bundle of `plain`; `manifest`, `receipt`, `leaf` … change what they are made from."""
    centre, device, _identity = keys()
    ciphertext, manifest = sealed_once(plain), changes.pop("manifest", {})
    lines = chain(device, ciphertext, manifest.get("item", ITEM))
    made = manifest_of(ciphertext, lines, plain=plain, **manifest)
    signed = records.sign_record(records.MANIFEST, made.to_body(), changes.pop("manifest_signer", device))
    record = changes.pop("manifest_record", signed)
    leaf = proof.LogLeaf(
        item=made.item,
        kind=made.kind,
        device=made.device,
        sealed_sha256=made.sealed_sha256,
        sealed_size=made.sealed_size,
        manifest_sha256=sha(record),
        received_us=NOW_US + 9,
    )
    leaf = dataclasses.replace(leaf, **changes.pop("leaf", {}))
    tree = merkle.tree_of([merkle.leaf_hash(bytes([number])) for number in range(6)])
    index = tree.append(merkle.leaf_hash(leaf.to_bytes()))
    log_signer = changes.pop("log_signer", centre)
    checkpoint = note.sign_checkpoint(note.Checkpoint(origin=ORIGIN, size=tree.size, root=tree.root()), log_signer)
    receipt = records.Receipt(
        item=made.item,
        device=made.device,
        sealed_sha256=made.sealed_sha256,
        sealed_size=made.sealed_size,
        manifest_sha256=sha(record),
        stored_us=NOW_US + 9,
        log_index=index,
        log_checkpoint=checkpoint,
    )
    receipt = dataclasses.replace(receipt, **changes.pop("receipt", {}))
    receipt_signer = changes.pop("receipt_signer", centre)
    enrolment = Enrolment(device="car-1", key=device.public, certificate_serial="1f", enrolled_us=NOW_US - 9)
    enrolment = dataclasses.replace(enrolment, **changes.pop("enrolment", {}))
    good = BundleParts(
        manifest=record,
        receipt=records.sign_record(records.RECEIPT, receipt.to_body(), receipt_signer),
        proof=proof.Proof(
            leaf=leaf.to_bytes(), index=index, hashes=tree.inclusion(index), checkpoint=checkpoint
        ).to_text(),
        journal=bundle.journal_of(lines, made.item),
        enrolment=enrolment.sign(changes.pop("enrolment_signer", centre)),
        log_origin=ORIGIN,
        signer=centre,
        made_us=NOW_US + 99,
        sealed=ciphertext,
        opened=plain,
        note="a vector",
    )
    return dataclasses.replace(good, **changes)
