"""Items with everything that proves them, made by the product's own writers: what mutations are tried on.

Decided here: three segments of one recording that the real recorder made of real H.264, one of the same device a day
later and one of another device, so that each file has genuine ones of its kind to be exchanged with; in a log with
neighbours whose checkpoint two witnesses cosigned, with a redacted copy beside it (whose content is noise).
"""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from simulator.reel import Vehicle, make_clip
from vedette import bundle, cosignature, merkle, note, proof, sealed
from vedette.bundle import BundleParts, Content
from vedette.bundle_heads import HeldHeads
from vedette.bundle_parts import Part, Parts
from vedette.clock import FakeClock, uuid7
from vedette.cosignature import WitnessKey
from vedette.custody_entry import parse_line
from vedette.custody_heads import Head, Heads
from vedette.enrolment import Enrolment
from vedette.fragment_marks import to_key_file
from vedette.identity import Identity
from vedette.keys import SigningKey
from vedette.log_policy import Policy, parse_policy
from vedette.note import NoteKey
from vedette.records import RECEIPT, Manifest, Receipt, sign_record
from vedette.redaction import ParentId, Redaction, Run, Silence
from vedette.spool import Item
from vedette.trust import Trust

ORIGIN = "specimen.test/log"
DEVICE = "car-1"
ANOTHER_DEVICE = "car-2"
SECONDS, SEGMENT_S, CUT_PICTURES = 6, 2, 90
DAY_US = 86_400_000_000
_WIDTH, _HEIGHT, _BITRATE = 320, 240, 1_000_000
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
    name: str = DEVICE
    redactor: SigningKey = field(default_factory=SigningKey.generate)
    witnesses: tuple[SigningKey, ...] = field(default_factory=lambda: tuple(SigningKey.generate() for _ in WITNESSES))

    @property
    def policy_text(self) -> str:
        """The log, and both witnesses, in the form of a policy file."""
        lines = [f"log {NoteKey(name=ORIGIN, public=self.centre.public).text}"]
        for number, (name, key) in enumerate(zip(WITNESSES, self.witnesses, strict=True)):
            lines.append(f"witness w{number} {WitnessKey(name=name, public=key.public).text}")
        return "\n".join([*lines, "group both all w0 w1", "quorum both", ""])

    @property
    def policy(self) -> Policy:
        """The same, parsed."""
        return parse_policy(self.policy_text)

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Specimens:
    """Bundles' parts: of `siblings` (segments of one recording, in order), of `another_day` (the same device) and of
    `another_device`.
    """

    siblings: tuple[BundleParts, ...]
    another_day: BundleParts
    another_device: BundleParts


def make_specimens(maker: Maker, folder: Path) -> Specimens:
    """Drive two vehicles in `folder`, which must be there, and have the centre sign for what they recorded."""
    clip = folder / "street.mp4"
    make_clip(clip, width=_WIDTH, height=_HEIGHT, seconds=SECONDS, bitrate=_BITRATE)
    other = replace(maker, device=SigningKey.generate(), name=ANOTHER_DEVICE)
    cars = [
        Vehicle(
            folder=folder / one.name,
            name=one.name,
            key=one.device,
            trust=one.trust,
            clip=clip,
            seconds=SECONDS,
            segment_s=SEGMENT_S,
        )
        for one in (maker, other)
    ]
    siblings, lines = cars[0].drive(maker.clock)
    elsewhere, other_lines = cars[1].drive(maker.clock)
    maker.clock.advance(DAY_US)
    later, all_lines = cars[0].drive(maker.clock)
    return Specimens(
        siblings=tuple(_parts(maker, siblings, at, lines, at) for at in range(len(siblings))),
        another_day=_parts(maker, later, 0, all_lines, len(siblings)),
        another_device=_parts(other, elsewhere, 0, other_lines, len(siblings) + 1),
    )


def make_cut_specimen(maker: Maker, folder: Path) -> BundleParts:
    """A recording that a power cut ended, as its recorder filed it at the next start; with nothing in its bundle that
    need not be there but the key to its marks.
    """
    clip = folder / "cut.mp4"
    make_clip(clip, width=_WIDTH, height=_HEIGHT, seconds=SECONDS, bitrate=_BITRATE)
    car = Vehicle(
        folder=folder / "cut",
        name=maker.name,
        key=maker.device,
        trust=maker.trust,
        clip=clip,
        seconds=SECONDS,
        segment_s=SECONDS,
    )
    item, lines = car.break_off(maker.clock, CUT_PICTURES)
    made = _parts(maker, [item], 0, lines, 0)
    return replace(made, heads=None, recording_parts=None, companions={})


def _parts(maker: Maker, recording: Sequence[Item], at: int, lines: Sequence[bytes], seed: int) -> BundleParts:
    """The parts of the bundle of item `at` of a recording, and of a redacted copy of it."""
    item = recording[at]
    ciphertext, record = item.path.read_bytes(), item.manifest_path.read_bytes()
    receipt, inclusion = _logged(maker, item.manifest, _sha(record), seed)
    enrolment = Enrolment(device=maker.name, key=maker.device.public, certificate_serial="1f", enrolled_us=1)
    journal = bundle.journal_of(lines, item.item_id)
    return BundleParts(
        manifest=record,
        receipt=receipt,
        proof=inclusion,
        journal=journal,
        heads=_heads(maker, item.item_id, Head.of(parse_line(journal[-1])), Head.of(parse_line(lines[-1]))),
        recording_parts=_together(recording).sign(maker.centre),
        enrolment=enrolment.sign(maker.centre),
        log_origin=ORIGIN,
        signer=maker.centre,
        made_us=maker.clock.utc_us(),
        sealed=ciphertext,
        opened=b"".join(sealed.recover(io.BytesIO(ciphertext), [maker.opener])),
        marks=to_key_file(item.item_id, sealed.fragments_key_of(io.BytesIO(ciphertext), [maker.opener])),
        companions=_redacted(maker, item.manifest, record, seed),
    )


def _together(recording: Sequence[Item]) -> Parts:
    """All of the recording left together."""
    manifests = [one.manifest for one in recording]
    return Parts(
        device=manifests[0].device,
        recording=manifests[0].recording or "",
        first=0,
        ended=True,
        parts=tuple(
            Part(item=one.item, sequence=one.sequence, state="here", from_us=one.started_us, to_us=one.ended_us)
            for one in manifests
        ),
    )


def _heads(maker: Maker, item: str, head: Head, held: Head) -> bytes:
    """The device signed for line `head`, and the centre has the journal up to `held`."""
    told = Heads(device=maker.name, told_us=maker.clock.utc_us(), time_source="ntp", time_error_us=9, heads=(head,))
    word = HeldHeads(
        item=item,
        device=maker.name,
        service=head.service,
        held=(held.seq, held.head),
        problem=None,
        records=(told.sign(maker.device),),
    )
    return word.sign(maker.centre)


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
