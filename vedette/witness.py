"""A witness's rule: what it checks before it cosigns a log's checkpoint (C2SP tlog-witness), and what it answers.

Decided here: the request's form, and that a checkpoint is cosigned only when it contains the last one that was. No
state and no network here: `vedette.witness_folder` remembers, `sync.witness_service` listens. Implements TL-26 and
TL-27 of docs/spec/log.md.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from vedette import merkle, note
from vedette.errors import Integrity, NotTrusted, Refused
from vedette.note import Checkpoint, NoteKey

MAX_REQUEST_BYTES = note.MAX_NOTE_BYTES + 8 * 1024
MAX_PROOF_LINES = 63
SIZE_TYPE = "text/x.tlog.size"
BAD_REQUEST, FORBIDDEN, UNKNOWN, CONFLICT, UNPROVEN = 400, 403, 404, 409, 422


class Rejected(Refused):
    """A checkpoint is not cosigned: the HTTP `status` of tlog-witness, with a conflict of sizes the size that the
    witness has, and whether the request is worth keeping because the log signed what does not fit.
    """

    def __init__(self, status: int, message: str, *, size: int | None = None, is_suspect: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.size = size
        self.is_suspect = is_suspect


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What a log asks: cosign this checkpoint's note; `proof` shows that it contains the log of `old` leaves."""

    old: int
    proof: Sequence[bytes]
    signed: str

    def to_text(self) -> str:
        """The body of an `add-checkpoint` request."""
        lines = [f"old {self.old}", *(base64.b64encode(node).decode() for node in self.proof)]
        return "\n".join([*lines, "", self.signed])

    @classmethod
    def from_text(cls, text: str) -> Request:
        """Parse a request's body; raises Integrity."""
        if len(text) > MAX_REQUEST_BYTES:
            raise Integrity(f"the request is over {MAX_REQUEST_BYTES} bytes")
        head, separator, signed = text.partition("\n\n")
        first, *rest = head.split("\n")
        if not separator or not first.startswith("old ") or len(rest) > MAX_PROOF_LINES:
            raise Integrity(f"not a line 'old SIZE', at most {MAX_PROOF_LINES} hashes, an empty line and a checkpoint")
        note.split_note(signed)
        return cls(
            old=note.decimal(first.removeprefix("old "), "old size"),
            proof=[note.base64_hash(line, "consistency proof") for line in rest],
            signed=signed,
        )

    @property
    def text(self) -> str:
        """The text of the checkpoint's note, which is what is cosigned."""
        return note.split_note(self.signed)[0]

    @property
    def origin(self) -> str:
        """The log that the checkpoint says to be of; nothing is verified yet."""
        return self.text.partition("\n")[0]


def judge(request: Request, log: NoteKey, seen: Checkpoint | None) -> Checkpoint:
    """The checkpoint that may be cosigned now, when `seen` is the last one that was; raises Rejected."""
    new = _signed(request, log)
    last = 0 if seen is None else seen.size
    if request.old > new.size:
        raise Rejected(BAD_REQUEST, f"old size {request.old} is over the checkpoint's {new.size}")
    if request.old != last:
        raise Rejected(CONFLICT, f"the last cosigned checkpoint has {last} leaves, not {request.old}", size=last)
    if seen is None or last == 0:
        empty = new.size or new.root == merkle.EMPTY_ROOT
        if request.proof or not empty:
            raise Rejected(UNPROVEN, "a first checkpoint has no proof, and an empty log the root of nothing")
    elif new.size == last:
        if new.root != seen.root:
            text = f"SPLIT VIEW: {log.name} signed two different logs of {last} leaves"
            raise Rejected(CONFLICT, text, size=last, is_suspect=True)
        if request.proof:
            raise Rejected(UNPROVEN, "there is no proof between two equal checkpoints")
    else:
        _check_proof(request, seen, new)
    return new


def _signed(request: Request, log: NoteKey) -> Checkpoint:
    try:
        return note.open_checkpoint(request.signed, log.name, log.public)
    except NotTrusted as error:
        raise Rejected(FORBIDDEN, str(error)) from None
    except Integrity as error:
        raise Rejected(BAD_REQUEST, str(error)) from None


def _check_proof(request: Request, seen: Checkpoint, new: Checkpoint) -> None:
    try:
        merkle.verify_consistency(seen.size, new.size, seen.root, new.root, request.proof)
    except Integrity as error:
        text = f"the new log does not contain the one that was cosigned: {error}"
        raise Rejected(UNPROVEN, text, is_suspect=True) from None


def find_split(first: str, second: str, log: NoteKey) -> Checkpoint | None:
    """The checkpoint of `first` when the log signed another tree of the same size in `second`: a proof that it shows
    two histories. None where the two do not contradict each other by themselves.

    Raises Integrity or NotTrusted where either is not the log's.
    """
    one = note.open_checkpoint(first, log.name, log.public)
    other = note.open_checkpoint(second, log.name, log.public)
    return one if one.size == other.size and one.root != other.root else None
