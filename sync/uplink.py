"""The device's uplink, the only service with a network: sends what is spooled, keeps receipts, fetches the watchlist.

Decided here: the order of one step, and which connection a message takes. Deletes no evidence, ever. The rules are
`sync.outbox` (what next), `sync.sender` (how), `sync.holdings` (what a receipt must say), `sync.outcomes` (what is
written when), `sync.network` and `sync.list_fetch`. Implements docs/spec/wire.md, "Device".
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from sync.arrivals import Arrivals
from sync.depot_post import DepotPost
from sync.head_post import HeadPost
from sync.holdings import Holdings
from sync.link import BulkLink, Connected, Disconnected, Event, Link, Message, Undelivered
from sync.network import Network
from sync.network_sources import NetworkWatch
from sync.outbox import Ageing, Outbox, next_work
from sync.outcomes import Outcomes
from sync.peer_intake import PeerIntake
from sync.peers import PeerPost
from sync.remote import RemoteDesk
from sync.renewal import Renewal
from sync.sender import Action, Outcome, Sender, SendFin, SendPart
from sync.uplink_report import UplinkReport
from sync.watchlist_intake import WatchlistIntake
from vedette.clock import Clock
from vedette.errors import Integrity, VedetteError
from vedette.records import PRIORITY_BULK
from vedette.topics import AUTHORITY, CERTIFICATE, COMMAND, HEADS, PEERS, RENEW, Address, parse_topic, topic
from vedette.waiting_journal import WaitingJournal
from vedette.wire import Ack, Grant, Init, ListOffer, ListPart, Refuse, Sealed, decode

IDLE_S = 0.1
LOOK_EVERY_US = 100_000
MAX_ACTIONS = 64
_log = logging.getLogger("vedette.uplink")


@dataclass(frozen=True, kw_only=True, slots=True)
class UplinkParts:
    """Everything the uplink works with, made by `sync.uplink_commands` or a test."""

    device: str
    clock: Clock
    link: Link
    outbox: Outbox
    holdings: Holdings
    sender: Sender
    intake: WatchlistIntake
    journal: WaitingJournal
    report: UplinkReport
    network: NetworkWatch
    arrivals: Arrivals | None = None
    bulk: BulkLink | None = None
    depot: DepotPost | None = None
    escalate_h: int = 0
    peers: PeerPost | None = None
    peer_list: PeerIntake | None = None
    remote: RemoteDesk | None = None
    renewal: Renewal | None = None
    heads: HeadPost | None = None


class Uplink:
    """One device's uplink as a service that steps; it waits only for its link, and only when it has nothing to send."""

    name = "uplink"

    def __init__(self, parts: UplinkParts) -> None:
        self._parts = parts
        self._idle = False
        self._look_us = 0
        self._outcomes = Outcomes(
            outbox=parts.outbox, holdings=parts.holdings, report=parts.report, journal=parts.journal
        )
        self._network = Network()

    def step(self, now_us: int) -> float:
        """Hear, look for work, send, report. Returns 0: waiting for something to do is part of hearing."""
        depot = self._parts.depot
        waits_at_depot = depot is not None and bool(depot.under_way)
        events = self._parts.link.poll(IDLE_S if self._idle and not waits_at_depot else 0.0)
        now_us = self._parts.clock.mono_us()
        for event in events:
            self._hear(event, now_us)
        for event in self._parts.bulk.poll(0.0) if self._parts.bulk is not None else ():
            self._hear_bulk(event, now_us)
        if self._parts.peers is not None:
            self._parts.peers.step(now_us)
        self._note(self._parts.sender.tick(now_us), now_us)
        self._step_depot(now_us)
        if self._parts.arrivals is not None and self._parts.arrivals.any():
            self._look_us = 0
        if now_us >= self._look_us:
            self._look_us = now_us + LOOK_EVERY_US
            self._look_at_network(now_us)
            self._look_for_work(now_us)
            self._ask_for_certificate(now_us)
        sent = self._publish(now_us)
        self._report(now_us)
        self._idle = not events and not sent
        return 0.0

    def close(self) -> None:
        """Say goodbye; everything that matters is on the disk already."""
        parts = self._parts
        self._birth(online=False)
        parts.link.close()
        if parts.bulk is not None:
            parts.bulk.close()
        if parts.depot is not None:
            parts.depot.close()
        if parts.peers is not None:
            parts.peers.close()
        if parts.arrivals is not None:
            parts.arrivals.close()
        parts.holdings.release_all()
        parts.report.write_file(connected=False, outbox=parts.outbox, list_version=parts.intake.version)
        parts.outbox.close()
        self._outcomes.note("service.stopped", None, {})
        parts.journal.close()

    def _hear(self, event: Event, now_us: int) -> None:
        parts = self._parts
        if isinstance(event, Message):
            self._message(event, now_us)
        elif isinstance(event, Undelivered):
            self._undelivered(event, now_us)
        elif isinstance(event, (Connected, Disconnected)):
            parts.sender.reset()
            parts.holdings.release_all()
            parts.intake.lost_session()
            if parts.peer_list is not None:
                parts.peer_list.lost_session()
            self._look_us = 0
            if isinstance(event, Connected):
                self._birth(online=True)
                if parts.heads is not None:
                    parts.heads.new_session()
            else:
                parts.report.trouble(event.reason)

    def _hear_bulk(self, event: Event, now_us: int) -> None:
        """Nothing is ever said on the connection for bulk; what counts is that it is there, or lost with its parts."""
        if isinstance(event, Undelivered):
            self._undelivered(event, now_us)
        elif isinstance(event, Disconnected):
            self._parts.sender.lost_bulk()
            self._parts.report.trouble(f"connection for bulk: {event.reason}")

    def _step_depot(self, now_us: int) -> None:
        """Let the depot have what it takes; once it is there, unmarked video leaves the broker to it."""
        parts = self._parts
        if parts.depot is None:
            return
        for item_id in parts.sender.stop_from(PRIORITY_BULK) if parts.depot.connected else ():
            parts.holdings.release(item_id)
        ageing = Ageing.at(parts.clock.utc_us(), parts.escalate_h)
        items, taken = parts.outbox.items.values(), parts.sender.under_way
        self._note(parts.depot.step(items, taken=taken, network=self._network, ageing=ageing, now_us=now_us), now_us)

    def _look_at_network(self, now_us: int) -> None:
        """Stop bulk where it stands when the network is no more one for it; what is in its socket goes with it."""
        parts = self._parts
        sender = parts.sender
        busy, acknowledged = bool(sender.under_way) and parts.link.connected, sender.acknowledged_bytes
        if parts.depot is not None:
            busy = busy or (bool(parts.depot.under_way) and parts.depot.connected)
            acknowledged += parts.depot.acknowledged_bytes
        parts.report.progress.told(acknowledged, now_us, busy=busy)
        before, self._network = self._network, parts.network.now(now_us)
        parts.report.bulk_waits = self._network.why
        if self._network.allow_bulk or (self._network == before and not before.allow_bulk):
            return
        stopped = sender.stop_from(PRIORITY_BULK)
        for item_id in stopped:
            parts.holdings.release(item_id)
        if stopped and parts.bulk is not None:
            parts.bulk.cut(f"bulk waits: {self._network.why}")
        if parts.depot is not None:
            parts.depot.rest(self._network.why)

    def _undelivered(self, event: Undelivered, now_us: int) -> None:
        self._parts.report.trouble(f"{event.topic}: {event.reason}")
        address = parse_topic(event.topic)
        if address.worker is not None:
            self._parts.sender.undelivered(address.worker)
        elif address.name == Init.name:
            self._parts.sender.unheard(now_us)

    def _message(self, event: Message, now_us: int) -> None:
        parts = self._parts
        try:
            address = parse_topic(event.topic)
            if address.device != parts.device or address.bulk:
                raise Integrity(f"{event.topic}: what is said to another device is none of ours")
            if address.name == COMMAND:
                if parts.remote is None or not parts.remote.take(bytes(event.payload)):
                    parts.report.commands_ignored += 1
                return
            if address.name == PEERS:
                self._new_peers(bytes(event.payload))
                return
            if address.name == CERTIFICATE:
                self._new_certificate(bytes(event.payload))
                return
            if address.name == AUTHORITY:
                self._next_authority(bytes(event.payload))
                return
            message = decode(address.name, event.payload)
        except Integrity as error:
            parts.report.messages_refused += 1
            parts.report.trouble(str(error))
            return
        if isinstance(message, (Grant, Ack, Sealed, Refuse)):
            self._note(parts.sender.receive(message, now_us), now_us)
        elif isinstance(message, (ListOffer, ListPart)):
            self._list(message, now_us)
        else:  # what only devices say
            parts.report.messages_refused += 1

    def _new_peers(self, record: bytes) -> None:
        parts = self._parts
        if parts.peer_list is None:
            return
        try:
            found = parts.peer_list.take(record)
        except (VedetteError, OSError) as error:
            parts.report.messages_refused += 1
            self._outcomes.note("peers.refused", None, {"why": str(error)[:300]})
            return
        if parts.peers is not None:
            parts.peers.believe(parts.peer_list.believed())
        self._outcomes.note("peers.accepted", None, {"version": found.version, "peers": len(found.peers)})

    def _say_of_activations(self, now_us: int) -> None:
        """Answer the centre's commands; ask for the list of peers."""
        parts = self._parts
        want = parts.peer_list.next_want(now_us) if parts.peer_list is not None and parts.link.connected else None
        if (
            want is not None
            and parts.peer_list is not None
            and parts.link.publish(topic(parts.device, want), want.encode())
        ):
            parts.peer_list.asked(now_us)
        while parts.remote is not None and parts.link.connected:
            answer = parts.remote.next_answer()
            if answer is None or not parts.link.publish(topic(parts.device, answer), answer.encode()):
                return
            parts.remote.answered()

    def _new_certificate(self, answer: bytes) -> None:
        renewal = self._parts.renewal
        try:
            name = renewal.take(answer) if renewal is not None else None
        except (VedetteError, OSError) as error:
            self._parts.report.messages_refused += 1
            self._parts.report.trouble(f"a new certificate is not taken: {error}")
            return
        if name is not None:
            self._outcomes.note("certificate.renewed", None, {"connection": name})

    def _next_authority(self, record: bytes) -> None:
        renewal = self._parts.renewal
        try:
            sha256 = renewal.take_authority(record) if renewal is not None else None
        except (VedetteError, OSError) as error:
            self._parts.report.messages_refused += 1
            self._parts.report.trouble(f"the next authority is not trusted: {error}")
            return
        if sha256 is not None:
            self._outcomes.note("authority.trusted", None, {"sha256": sha256})

    def _ask_for_certificate(self, now_us: int) -> None:
        parts = self._parts
        if parts.renewal is None or not parts.link.connected:
            return
        request = parts.renewal.next_request(now_us)
        if request is not None and parts.link.publish(Address(device=parts.device, name=RENEW).topic, request):
            parts.renewal.asked(now_us)

    def _tell_heads(self, now_us: int) -> None:
        parts = self._parts
        if parts.heads is None or not parts.link.connected:
            return
        record = parts.heads.next_record(now_us)
        if record is not None and parts.link.publish(Address(device=parts.device, name=HEADS).topic, record):
            parts.heads.told(now_us)

    def _list(self, message: ListOffer | ListPart, now_us: int) -> None:
        try:
            version = self._parts.intake.take(message, now_us)
        except VedetteError as error:
            self._parts.report.trouble(str(error))
            self._outcomes.note("watchlist.refused", None, {"offered": message.version, "why": str(error)[:300]})
            return
        if version is not None:
            self._outcomes.note("watchlist.accepted", None, {"version": version})
            self._birth(online=True)

    def _look_for_work(self, now_us: int) -> None:
        parts = self._parts
        for item_id in parts.outbox.refresh(now_us):
            if parts.holdings.has_receipt(item_id):
                parts.outbox.done(item_id)
        ageing = Ageing.at(parts.clock.utc_us(), parts.escalate_h)
        depot = parts.depot
        network = Network(allow_bulk=False) if depot is not None and depot.connected else self._network
        while parts.link.connected:
            work = next_work(
                parts.outbox.items.values(),
                now_us=now_us,
                network=network,
                under_way=parts.sender.under_way | (depot.under_way if depot is not None else frozenset()),
                ageing=ageing,
            )
            if work is None or not parts.sender.has_room(ageing.rank(work)):
                return
            try:
                parts.sender.offer(replace(parts.holdings.offer(work.item_id), rank=ageing.rank(work)))
            except (VedetteError, OSError) as error:
                self._outcomes.failed(work.item_id, now_us, str(error))

    def _publish(self, now_us: int) -> int:
        parts = self._parts
        self._say_of_activations(now_us)
        want = parts.intake.next_want(now_us) if parts.link.connected else None
        if want is not None and parts.link.publish(topic(parts.device, want), want.encode()):
            parts.intake.asked(now_us)
        for count in range(MAX_ACTIONS):
            action = parts.sender.next_action()
            if action is None or not self._send(action, now_us):
                return count
        return MAX_ACTIONS

    def _send(self, action: Action, now_us: int) -> bool:
        """Publish one action; False when the link takes no more now."""
        parts = self._parts
        try:
            message = parts.holdings.read(action) if isinstance(action, SendPart) else action.message
            worker = action.worker if isinstance(action, (SendPart, SendFin)) else None
            link, bulk = self._way(action)
            head, behind = message.pieces()
            taken = link.publish(topic(parts.device, message, worker, bulk=bulk), head, behind=behind)
        except (VedetteError, OSError) as error:
            item = action.item if isinstance(action, SendPart) else action.message.item
            parts.sender.drop(item)
            self._outcomes.failed(item, now_us, str(error))
            return True
        if taken:
            parts.sender.sent(action, now_us)
            parts.report.bytes_sent += action.length if isinstance(action, SendPart) else 0
        return taken

    def _way(self, action: Action) -> tuple[Link, bool]:
        """The connection for bulk for parts of recordings while it is there, else the other one."""
        bulk = self._parts.bulk
        if bulk is not None and bulk.connected and isinstance(action, SendPart) and action.bulk:
            return bulk, True
        return self._parts.link, False

    def _note(self, outcomes: list[Outcome], now_us: int) -> None:
        for outcome in outcomes:
            self._look_us = 0
            self._outcomes.take(outcome, now_us)

    def _birth(self, *, online: bool) -> None:
        parts = self._parts
        if parts.link.connected:
            birth = parts.report.birth(online=online, list_version=parts.intake.version)
            parts.link.publish(topic(parts.device, birth), birth.encode(), retain=True)

    def _report(self, now_us: int) -> None:
        parts = self._parts
        if parts.report.file_due(now_us):
            parts.report.write_file(
                connected=parts.link.connected, outbox=parts.outbox, list_version=parts.intake.version
            )
        if parts.link.connected and parts.report.message_due(now_us):
            status = parts.report.status(outbox=parts.outbox, list_version=parts.intake.version)
            parts.link.publish(topic(parts.device, status), status.encode())
        self._tell_heads(now_us)
        parts.report.seal_journal(parts.journal, now_us)
