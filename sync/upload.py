"""One upload on the device: where it stands, what is on its way and what the centre has. State of `sync.sender`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from sync.flight import Mark
from sync.parts import NO_PARTS, PartSet
from sync.retry import MOST_RETRY_US
from sync.sending import Offer, SendInit
from vedette.wire import DEFAULT_PART_BYTES, parts_of


class State(Enum):
    """Whether the centre's grant is waited for, or there is one."""

    ASKING = "asking"
    SENDING = "sending"


ASKING, SENDING = State  # an enum's attribute costs as much as a call, and these are looked at for every message


@dataclass(kw_only=True, slots=True, eq=False)
class Upload:
    """An item under way; times are monotonic microseconds, `since_us` is None while its init is still to be sent.

    `init` is the last one that was made, for the next time it is asked. `eager`: its parts follow the init without
    waiting for the grant.
    """

    offer: Offer
    urgency: int
    init: SendInit | None = None
    state: State = ASKING
    since_us: int | None = None
    tries: int = 0
    worker: str = ""
    part_size: int = DEFAULT_PART_BYTES
    credit: int = 0
    lease_us: int = MOST_RETRY_US
    acked: PartSet = NO_PARTS
    in_flight: dict[int, Mark] = field(default_factory=dict)
    in_flight_bytes: int = 0
    begin_at: int = 0
    sent: PartSet = NO_PARTS
    resent: set[int] = field(default_factory=set)
    fin_sent: bool = False
    unheard: bool = False
    asked: bool = False
    eager: bool = False

    @property
    def rank(self) -> tuple[int, str]:
        """Its place in the order of sending, the least first."""
        return self.urgency, self.offer.item

    @property
    def waits_for_room(self) -> bool:
        """Nothing is on its way: it waits for credit, or for what is more urgent."""
        return self.state is SENDING and not (self.in_flight or self.fin_sent)

    def is_out(self) -> bool:
        """Every part was acknowledged or is on its way."""
        return self.acked.count + len(self.in_flight) >= self.acked.total

    def next_part(self) -> int:
        """The first part that neither was acknowledged nor is on its way; there is one while not all `is_out`.

        None before `begin_at` is: parts go in rising order, and when one is sent again, all begin anew.
        """
        return next(index for index in self.acked.missing(self.begin_at) if index not in self.in_flight)

    def part_sent(self, index: int, mark: Mark) -> None:
        """This part is on its way."""
        self.in_flight[index] = mark
        self.in_flight_bytes += mark.size
        self.begin_at = index + 1
        if index in self.sent:
            self.resent.add(index)
        self.sent.add(index)

    def ask(self) -> None:
        """Ask the centre again where it stands."""
        self.state = ASKING
        self.since_us = None
        self.unheard = False
        self.begin_anew()

    def begin_anew(self) -> None:
        """Nothing that was sent so far counts."""
        self.fin_sent = self.eager = False
        self.land_all()

    def send_eagerly(self, worker: str, part_size: int) -> None:
        """Go on behind the init as if this worker had granted the whole; its grant will say."""
        self.eager, self.worker, self.part_size = True, worker, part_size
        total = parts_of(self.offer.size, part_size)
        self.credit, self.acked, self.sent = total, PartSet(total), PartSet(total)

    def land_all(self) -> None:
        """Count nothing as on its way any more."""
        self.in_flight.clear()
        self.in_flight_bytes = self.begin_at = 0
