"""What the receiver asks of its shell: one value for each thing to do, of which some want an answer by a call."""

from __future__ import annotations

from dataclasses import dataclass

from vedette.wire import Fin, FromCentre, Init, Ranges, Refuse, RefuseCode

BEYOND = "more parts than were granted; try later"
NO_MORE = "the centre takes no more uploads now; try later"
TOO_MUCH = "more was said than came of it; try later"


@dataclass(frozen=True, kw_only=True, slots=True)
class Open:
    """Check `init` (manifest signed by `device`, same item, hash and size) and open its incoming bytes.

    Answer by `opened` (with the `part_size` the bytes were begun with, else this one), `stored` or `refuse`.
    """

    device: str
    init: Init
    part_size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Write:
    """Write `payload` at `offset` of the incoming bytes; nothing to answer, nothing is promised yet."""

    device: str
    item: str
    index: int
    offset: int
    payload: bytes | memoryview


@dataclass(frozen=True, kw_only=True, slots=True)
class Sync:
    """Make every write so far durable, remember `parts` as had, then answer by `synced`.

    There is no other of the same upload before that. `urgent`: somebody waits for it.
    """

    device: str
    item: str
    parts: Ranges
    urgent: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Seal:
    """Every part is durable: hash the whole, store, log, sign; answer by `stored`, or by `refuse`.

    Before refusing with MISMATCH the incoming bytes must be gone, or the same bytes would be granted again.
    """

    device: str
    init: Init


@dataclass(frozen=True, kw_only=True, slots=True)
class Forget:
    """The lease has lapsed: close the incoming bytes and keep them; nothing to answer."""

    device: str
    item: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Send:
    """Publish `message` to `device`; it may be lost."""

    device: str
    message: FromCentre


@dataclass(frozen=True, kw_only=True, slots=True)
class Complain:
    """Put down, for a person to see, that `device` said what cannot be and was refused for it; nothing to answer.

    `item` is None where nobody can tell what it was about.
    """

    device: str
    item: str | None
    code: RefuseCode
    text: str
    evidence: bytes


Action = Open | Write | Sync | Seal | Forget | Send | Complain


def put_off(device: str, item: str, text: str = BEYOND) -> Send:
    """Have `device` try this item later."""
    return Send(device=device, message=Refuse(item=item, code=RefuseCode.BUSY, text=text))


def conflict(device: str, said: Init | Fin, text: str) -> list[Action]:
    """Refuse what says something else of an item than was said before, and put it down."""
    code = RefuseCode.CONFLICT
    return [
        Complain(device=device, item=said.item, code=code, text=text, evidence=said.encode()),
        Send(device=device, message=Refuse(item=said.item, code=code, text=text)),
    ]
