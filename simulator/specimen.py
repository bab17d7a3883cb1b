"""An item with everything that proves it, made in memory by the product's own writers: what mutations are tried on.

Decided here: a sealed file of several encryption chunks with a checkpoint every few kilobytes, as a recorder makes
them, in a log with neighbours whose checkpoint two witnesses cosigned, with a redacted copy beside it. The content is
noise; nothing decodes it.
"""

from __future__ import annotations

import hashlib
import random
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from vedette import bundle, cosignature, merkle, note, proof, sealed
from vedette.bundle import BundleParts, Content
from vedette.clock import FakeClock, uuid7
from vedette.cosignature import WitnessKey
from vedette.custody import Journal
from vedette.enrolment import Enrolment
from vedette.identity import Identity
from vedette.keys import SigningKey
from vedette.log_policy import Group, Policy, Witness
from vedette.note import NoteKey
from vedette.records import MANIFEST, RECEIPT, JournalHead, Manifest, Media, Receipt, sign_record
from vedette.redaction import ParentId, Redaction, Run, Silence
from vedette.trust import Trust

ORIGIN = "specimen.test/log"
DEVICE = "car-1"
MARK_US = 500_000
MARK_BYTES = 16_000
WITNESSES = ("w1.example/specimen", "w2.example/specimen")
COPY_BYTES = 20_000
REGIONS = {"plate-1": "plate", "face-1": "bystander"}
PLAN = """version = 1
parent_sha256 = "{parent}"
width = 1280
height = 720
checked_by = "A. Tazi"
why = "disclosure"
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Maker:
    """A centre, a device, a redactor, witnesses and who can open: the keys that everything of one specimen set is
    signed with.
    """

    centre: SigningKey
    device: SigningKey
    opener: sealed.HybridIdentity
    clock: FakeClock
    redactor: SigningKey = field(default_factory=SigningKey.generate)
    witnesses: tuple[SigningKey, ...] = field(default_factory=lambda: tuple(SigningKey.generate() for _ in WITNESSES))

    @property
    def policy(self) -> Policy:
        """The log, and both witnesses."""
        keys = zip(WITNESSES, self.witnesses, strict=True)
        return Policy(
            logs=(NoteKey(name=ORIGIN, public=self.centre.public),),
            witnesses={name: Witness(key=WitnessKey(name=name, public=key.public), url="") for name, key in keys},
            groups={"both": Group(threshold=len(WITNESSES), members=WITNESSES)},
            quorum="both",
        )

    @property
    def trust(self) -> Trust:
        """What a verifier is given."""
        text = self.opener.recipient.text
        return Trust(
            centre=self.centre.public,
            list_signer=self.centre.public,
            log_origin=ORIGIN,
            evidence=(text,),
            oversight=(text,),
            triage=text,
        )


def new_maker() -> Maker:
    """Fresh keys."""
    return Maker(
        centre=SigningKey.generate(),
        device=SigningKey.generate(),
        opener=sealed.HybridIdentity.generate(),
        clock=FakeClock(),
    )


def make_specimen(maker: Maker, *, size_bytes: int, seed: int) -> BundleParts:
    """The parts of a bundle of one segment with `size_bytes` of content, and of its redacted copy."""
    plain = random.Random(seed).randbytes(size_bytes)
    ciphertext = sealed.seal(plain, [maker.opener.recipient])
    item = uuid7(maker.clock)
    lines = _journal(maker, item, ciphertext)
    media_us = _marks(ciphertext)[-1][1]
    manifest = Manifest(
        item=item,
        kind="segment",
        device=DEVICE,
        sealed_sha256=_sha(ciphertext),
        sealed_size=len(ciphertext),
        plain_sha256=_sha(plain),
        plain_size=len(plain),
        created_us=maker.clock.utc_us(),
        started_us=maker.clock.utc_us(),
        ended_us=maker.clock.utc_us() + media_us,
        time_source="simulated",
        time_error_us=0,
        complete=True,
        priority=4,
        recording=uuid7(maker.clock),
        sequence=0,
        activation="button",
        media=Media(codec="h264", width=1280, height=720, duration_us=media_us, frames=media_us // 40_000),
        journal=JournalHead(service="recorder", seq=len(lines), head=_sha(lines[-1])),
        software=Identity().software,
        models={},
        policy_sha256="ab" * 32,
    )
    record = sign_record(MANIFEST, manifest.to_body(), maker.device)
    receipt, inclusion = _logged(maker, manifest, _sha(record), seed)
    enrolment = Enrolment(device=DEVICE, key=maker.device.public, certificate_serial="1f", enrolled_us=1)
    return BundleParts(
        manifest=record,
        receipt=receipt,
        proof=inclusion,
        journal=bundle.journal_of(lines, item),
        enrolment=enrolment.sign(maker.centre),
        log_origin=ORIGIN,
        signer=maker.centre,
        made_us=maker.clock.utc_us(),
        sealed=ciphertext,
        opened=plain,
        companions=_redacted(maker, manifest, record, seed),
    )


def _redacted(maker: Maker, manifest: Manifest, record: bytes, seed: int) -> dict[str, Content]:
    """A copy with its plan and the redactor's record, which proves the item as its parent."""
    copy = random.Random(-1 - seed).randbytes(COPY_BYTES)
    plan = PLAN.format(parent=manifest.plain_sha256).encode()
    frames = 50 + seed
    made = Redaction(
        item=uuid7(maker.clock),
        parent=ParentId(
            plain_sha256=manifest.plain_sha256 or "",
            plain_size=manifest.plain_size,
            sealed_sha256=manifest.sealed_sha256,
            manifest_sha256=_sha(record),
            item=manifest.item,
            device=manifest.device,
        ),
        plan_sha256=_sha(plan),
        derived_sha256=_sha(copy),
        derived_size=len(copy),
        made_us=maker.clock.utc_us(),
        by="A. Tazi",
        why="disclosure",
        signer=maker.redactor.public.text,
        software=Identity().software,
        encoder="x264",
        models={},
        width=1280,
        height=720,
        frames=frames,
        changed=(
            Run(first=3, last=20, from_us=120_000, to_us=800_000, regions=("plate-1",)),
            Run(first=30, last=frames - 1, from_us=1_200_000, to_us=frames * 40_000, regions=tuple(REGIONS)),
        ),
        reasons=REGIONS,
        sound="muted",
        mutes=(Silence(from_us=0, to_us=500_000, reason="a name", packets=24),),
        stamp="kept",
    )
    return {"redacted": copy, "redaction": made.sign(maker.redactor), "redaction_plan": plan}


def _marks(ciphertext: bytes) -> list[tuple[int, int]]:
    offsets = [*range(MARK_BYTES, len(ciphertext), MARK_BYTES), len(ciphertext)]
    return [(offset, (number + 1) * MARK_US) for number, offset in enumerate(offsets)]


def _journal(maker: Maker, item: str, ciphertext: bytes) -> list[bytes]:
    """The recorder's lines on this item, written by the journal itself."""
    with tempfile.TemporaryDirectory(prefix="vedette-specimen-") as folder:
        journal = Journal.open(
            Path(folder) / "recorder", service="recorder", device=DEVICE, key=maker.device, clock=maker.clock
        )
        journal.append("segment.opened", item, {"activation": "button"})
        *marks, (_end, media_us) = _marks(ciphertext)
        for offset, at_us in marks:
            detail: dict[str, int | str | bool | None] = {
                "offset": offset,
                "sha256": _sha(ciphertext[:offset]),
                "media_us": at_us,
            }
            journal.append("segment.checkpoint", item, detail)
        end: dict[str, int | str | bool | None] = {
            "sealed_size": len(ciphertext),
            "sealed_sha256": _sha(ciphertext),
            "media_us": media_us,
        }
        journal.append("segment.closed", item, end)
        path = journal.roll()
        return path.read_bytes().splitlines() if path is not None else []


def _logged(maker: Maker, manifest: Manifest, manifest_sha256: str, seed: int) -> tuple[bytes, str]:
    """Receipt and inclusion of the item in a log of twenty, under a checkpoint that both witnesses cosigned."""
    shared = {
        "item": manifest.item,
        "device": manifest.device,
        "sealed_sha256": manifest.sealed_sha256,
        "sealed_size": manifest.sealed_size,
        "manifest_sha256": manifest_sha256,
    }
    leaf = proof.LogLeaf(kind=manifest.kind, received_us=2, **shared)  # type: ignore[arg-type]
    tree = merkle.tree_of([merkle.leaf_hash(b"%d %d" % (seed, number)) for number in range(13)])
    index = tree.append(merkle.leaf_hash(leaf.to_bytes()))
    for number in range(13, 19):
        tree.append(merkle.leaf_hash(b"%d %d" % (seed, number)))
    head = note.Checkpoint(origin=ORIGIN, size=tree.size, root=tree.root())
    checkpoint = note.sign_checkpoint(head, maker.centre)
    receipt = Receipt(stored_us=2, log_index=index, log_checkpoint=checkpoint, **shared)  # type: ignore[arg-type]
    text, _signatures = note.split_note(checkpoint)
    time_s = maker.clock.utc_us() // 1_000_000
    cosigned = checkpoint + "".join(
        cosignature.cosign(text, name, key, time_s) for name, key in zip(WITNESSES, maker.witnesses, strict=True)
    )
    included = proof.Proof(leaf=leaf.to_bytes(), index=index, hashes=tree.inclusion(index), checkpoint=cosigned)
    return sign_record(RECEIPT, receipt.to_body(), maker.centre), included.to_text()


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
