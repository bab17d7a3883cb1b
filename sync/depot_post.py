"""Sends unmarked video to the depot's HTTPS door while a car stands there; everything else stays with the broker.

Decided here: which items go that way (priority bulk, while the door answers and the network is one for bulk), with a
sender of its own, one after the other, whose worker is the door. An item whose door closes goes on by whichever way is
there next. Implements DE-10, DE-13 and DE-15 of docs/spec/depot.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sync.holdings import Holdings
from sync.link import Connected, Disconnected, Door, Message
from sync.network import Network
from sync.outbox import Ageing, OutboxItem, next_work
from sync.sender import Action, Outcome, Sender, SendPart, Stopped
from vedette.errors import Integrity, VedetteError
from vedette.records import PRIORITY_BULK
from vedette.topics import parse_topic
from vedette.wire import Ack, Grant, Refuse, Sealed, decode

MAX_ACTIONS = 64
PATIENCE_S = 0.005


class DepotPost:
    """A second, smaller uplink within the uplink; `holdings` is its own, so that its open files are."""

    def __init__(self, door: Door, sender: Sender, holdings: Holdings) -> None:
        self._door = door
        self._sender = sender
        self._holdings = holdings
        self.trouble = ""
        self.bytes_sent = 0
        self._waits = self._handed_over = False

    @property
    def connected(self) -> bool:
        """Whether the door answers."""
        return self._door.connected

    @property
    def under_way(self) -> frozenset[str]:
        """The items it is sending."""
        return self._sender.under_way

    @property
    def acknowledged_bytes(self) -> int:
        """Bytes that are on the centre's disk by this way."""
        return self._sender.acknowledged_bytes

    def step(
        self, items: Iterable[OutboxItem], *, taken: frozenset[str], network: Network, ageing: Ageing, now_us: int
    ) -> list[Outcome]:
        """Hear, waiting a moment where something is under way; look for work among `items` that are not `taken` by the
        other way; send. What ended.
        """
        outcomes = self._hear(now_us) + self._sender.tick(now_us)
        if network.allow_bulk and self.connected:
            outcomes += self._look_for_work(items, taken | {one.item for one in outcomes}, ageing, now_us)
        sent = 0
        while sent < MAX_ACTIONS:
            action = self._sender.next_action()
            if action is None or not self._send(action, now_us, outcomes):
                break
            sent += 1
        self._waits = bool(self._sender.under_way) and not sent
        for outcome in outcomes:
            self._holdings.release(outcome.item)
        return outcomes

    def rest(self, why: str) -> None:
        """Stop where it stands, since the network is no more one for bulk; nothing more of it leaves, nothing fails."""
        for item_id in self._sender.stop_from(PRIORITY_BULK):
            self._holdings.release(item_id)
        if self._handed_over:  # not only what is under way: the parts of an item that ended may wait there too
            self._handed_over = False
            self._door.cut(f"bulk waits: {why}")

    def close(self) -> None:
        """Leave the door; what is under way is offered again."""
        self._door.close()
        self._holdings.release_all()

    def _hear(self, now_us: int) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for event in self._door.poll(PATIENCE_S if self._waits else 0.0):
            if isinstance(event, (Connected, Disconnected)):
                self._sender.reset()
                self._holdings.release_all()
                self._handed_over = False
                self.trouble = event.reason if isinstance(event, Disconnected) else ""
            elif isinstance(event, Message):
                try:
                    message = decode(parse_topic(event.topic).name, event.payload)
                except Integrity as error:
                    self.trouble = str(error)
                    continue
                if isinstance(message, (Grant, Ack, Sealed, Refuse)):
                    outcomes += self._sender.receive(message, now_us)
        return outcomes

    def _look_for_work(
        self, items: Iterable[OutboxItem], taken: frozenset[str], ageing: Ageing, now_us: int
    ) -> list[Outcome]:
        bulk = [one for one in items if one.priority >= PRIORITY_BULK]
        failed: list[Outcome] = []
        while True:
            busy = self._sender.under_way | taken | {one.item for one in failed}
            work = next_work(bulk, now_us=now_us, network=Network(), under_way=busy, ageing=ageing)
            if work is None or self._sender.under_way:  # one connection: a second item would only wait for the first
                return failed
            try:
                self._sender.offer(replace(self._holdings.offer(work.item_id), rank=ageing.rank(work)))
            except (VedetteError, OSError) as error:
                failed.append(Stopped(item=work.item_id, code=None, text=str(error)))

    def _send(self, action: Action, now_us: int, outcomes: list[Outcome]) -> bool:
        """Hand one action to the door; False when it takes no more now."""
        item = action.item if isinstance(action, SendPart) else action.message.item
        try:
            message = self._holdings.read(action) if isinstance(action, SendPart) else action.message
            is_taken = self._door.send(message)
        except (VedetteError, OSError) as error:
            self._sender.drop(item)
            outcomes.append(Stopped(item=item, code=None, text=str(error)))
            return True
        if is_taken:
            self._handed_over = True
            self._sender.sent(action, now_us)
            self.bytes_sent += action.length if isinstance(action, SendPart) else 0
        return is_taken
