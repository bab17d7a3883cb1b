"""What a sender is handed and what it says: offers in, actions to publish and outcomes out. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from sync.credit import URGENT_PRIORITY
from vedette.wire import Fin, Init, RefuseCode


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """An item to send: its sealed bytes' size and SHA-256 (hex), and the signed manifest that says the same.

    `rank` is the priority it has risen to by its age; None where that is the manifest's.
    """

    item: str
    kind: str
    size: int
    sha256: str
    priority: int
    manifest: bytes
    rank: int | None = None

    @property
    def urgency(self) -> int:
        """The priority by which it is sent."""
        return self.priority if self.rank is None else self.rank

    @property
    def is_bulk(self) -> bool:
        """Whether its parts travel on the connection for bulk, where there is one: recordings, marked or not."""
        return self.priority > URGENT_PRIORITY

    def init(self, part_size: int) -> Init:
        """The question whether the centre takes it, in parts of at most `part_size` bytes."""
        return Init(
            item=self.item,
            kind=self.kind,
            size=self.size,
            sha256=self.sha256,
            priority=self.priority,
            part_size=part_size,
            manifest=self.manifest,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class SendInit:
    """Publish this init."""

    message: Init


@dataclass(frozen=True, kw_only=True, slots=True)
class SendFin:
    """Publish this fin to `worker`."""

    message: Fin
    worker: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SendPart:
    """Read `length` bytes at `offset` of the item's sealed file and publish them as part `index` to `worker`.

    `bulk`: on the connection for bulk, where there is one.
    """

    item: str
    index: int
    offset: int
    length: int
    worker: str
    bulk: bool = False


Action = SendInit | SendFin | SendPart


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """The centre has signed for exactly this item; `receipt` was verified."""

    item: str
    receipt: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped:
    """The upload ended without a receipt: refused by the centre, or (`code` None) it did not answer."""

    item: str
    code: RefuseCode | None
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BadReceipt:
    """Something that claims to be the receipt of `item` and is not; the upload goes on."""

    item: str
    why: str


Outcome = Done | Stopped | BadReceipt
