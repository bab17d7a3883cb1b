"""What the centre's log holds for one item, and the proof of it in the C2SP tlog-proof form.

Decided here: a leaf is the canonical JSON of a `LogLeaf`, and a proof carries the leaf's bytes in its `extra` line,
so that a checker needs nothing but the proof and the log's key. The `extra` line is unauthenticated until the
inclusion check has bound it to the signed root. Implements TL-10 to TL-14 of docs/spec/log.md.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from vedette import canonical, merkle, note
from vedette.errors import Integrity
from vedette.fields import Fields
from vedette.keys import PublicKey
from vedette.records import KINDS

HEADER = "c2sp.org/tlog-proof@v1"
MAX_PROOF_BYTES = 128 * 1024
MAX_LEAF_BYTES = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class LogLeaf:
    """One line of the log: the centre received these sealed bytes of this item from this device at this time."""

    item: str
    kind: str
    device: str
    sealed_sha256: str
    sealed_size: int
    manifest_sha256: str
    received_us: int

    def to_bytes(self) -> bytes:
        """The leaf's canonical bytes; `merkle.leaf_hash` of them is what the tree holds."""
        return canonical.dumps(asdict(self))

    @classmethod
    def from_bytes(cls, leaf: bytes) -> LogLeaf:
        """Parse a leaf; `Integrity` names the field that is missing, unknown or wrong."""
        fields = Fields(canonical.loads(leaf, max_bytes=MAX_LEAF_BYTES), "log leaf")
        parsed = cls(
            item=fields.uuid7("item"),
            kind=fields.one_of("kind", KINDS),
            device=fields.device("device"),
            sealed_sha256=fields.sha256("sealed_sha256"),
            sealed_size=fields.integer("sealed_size"),
            manifest_sha256=fields.sha256("manifest_sha256"),
            received_us=fields.integer("received_us"),
        )
        fields.close()
        return parsed


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """A tlog-proof: leaf bytes (unauthenticated), leaf index, inclusion hashes from the leaf upward, the signed
    checkpoint.
    """

    leaf: bytes
    index: int
    hashes: Sequence[bytes]
    checkpoint: str

    def to_text(self) -> str:
        """The `.proof` file's text."""
        head = [HEADER, "extra " + base64.b64encode(self.leaf).decode(), f"index {self.index}"]
        return "\n".join([*head, *(base64.b64encode(node).decode() for node in self.hashes), "", self.checkpoint])

    @classmethod
    def from_text(cls, text: str) -> Proof:
        """Parse a `.proof` file; raises Integrity. Nothing is verified: see `verify`."""
        if len(text) > MAX_PROOF_BYTES:
            raise Integrity(f"proof: over {MAX_PROOF_BYTES} bytes")
        head, separator, checkpoint = text.partition("\n\n")
        lines = head.split("\n")
        if not separator or len(lines) < 3 or lines[0] != HEADER:
            raise Integrity(f"proof: not a {HEADER} with an index and a checkpoint")
        if not lines[1].startswith("extra ") or not lines[2].startswith("index "):
            raise Integrity("proof: the second line is not the leaf ('extra …') or the third not 'index …'")
        if len(lines) - 3 > merkle.MAX_PROOF_HASHES:
            raise Integrity(f"proof: more than {merkle.MAX_PROOF_HASHES} hashes")
        return cls(
            leaf=note.base64_bytes(lines[1].removeprefix("extra "), "proof leaf"),
            index=note.decimal(lines[2].removeprefix("index "), "proof index"),
            hashes=[note.base64_hash(line, "proof hash") for line in lines[3:]],
            checkpoint=checkpoint,
        )


def verify(proof: Proof, origin: str, public: PublicKey) -> tuple[LogLeaf, note.Checkpoint]:
    """The leaf that log `origin` with this key has at the proof's index, and the checkpoint that says so.

    Raises NotTrusted (checkpoint's signature or log) or Integrity (any other byte).
    """
    checkpoint = note.open_checkpoint(proof.checkpoint, origin, public)
    merkle.verify_inclusion(merkle.leaf_hash(proof.leaf), proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    return LogLeaf.from_bytes(proof.leaf), checkpoint
