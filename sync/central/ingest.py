"""One ingest worker: what devices say over MQTT becomes stored, logged and receipted items.

Decided here: whom to believe (the topic's device, whose certificate the broker checked, while it is enrolled
and not revoked) and what becomes of the rest. Uploads are uploads.py; opening what came in is triage.py, after
the receipt, so that a hit that cannot be opened never delays one. Implements RC-9 of docs/spec/receipt.md.
"""

from __future__ import annotations

from sync.central import certificates, succession, watchlists
from sync.central.admission import Admission
from sync.central.answers import Answers
from sync.central.commanding import Commanding
from sync.central.fleet import device_key
from sync.central.heads import JournalHeads
from sync.central.peer_lists import PeerLists
from sync.central.presence import Presence
from sync.central.quarantine import quarantine, settle, write_counts
from sync.central.receipts import Signer
from sync.central.shards import homes_of, looks_of
from sync.central.store import Store
from sync.central.store_trouble import lost_when_not_written
from sync.central.triage import Triage
from sync.central.uploads import Uploads
from sync.link import Connected, Disconnected, Link, Message
from vedette import topics, wire
from vedette.activation_messages import CommandAnswer, PeersWant
from vedette.config import IngestSection
from vedette.errors import Integrity, VedetteError
from vedette.renewal import open_certificate_request
from vedette.wire import Birth, Fin, Init, ListWant, Part, Refuse, RefuseCode, Status

COMMANDS_EVERY_US = 200_000
LISTS_EVERY_US = 1_000_000
OPEN_EVERY_US = 50_000
TRIAGE_BATCH = 16
BUSY_TRIAGE_BATCH = 4  # of 5 to 10 ms each, in which nobody else is heard
MAX_TURNED_AWAY = 1000


class Ingest:
    """Steps one connection's worth of devices; everything durable is in the store, so it may die at any moment."""

    name = "ingest"

    def __init__(self, store: Store, link: Link, signer: Signer, limits: IngestSection) -> None:
        self._store = store
        self._link = link
        self._answers = Answers(link)
        self._admission = Admission(store)
        said = self._answers
        self._uploads = Uploads(store, signer, limits, said.send, send_off=said.flush, homes=homes_of(link))
        self._triage = Triage(store)
        self._presence = Presence(store)
        self._heads = JournalHeads(store)
        self._commanding = Commanding(store, signer.key, self._answers.publish)
        self._authority_news = succession.News(store, signer.key, self._answers.publish)
        self._peer_lists = PeerLists(store, signer.key, self._answers.publish)
        self._commands_at_us = 0
        self._turned_away: set[str] = set()
        self._lists_at_us = 0
        self._announced = 0
        self._foreign = 0
        self._stored = -1
        self._open_at_us = 0

    @property
    def counters(self) -> dict[str, int | str | bool | None]:
        """Figures for the status file."""
        return {"connected": self._link.connected, **self._uploads.counters, "foreign": self._foreign}

    def turned_away(self) -> set[str]:
        """Who spoke without being enrolled (any more) since this was last asked."""
        heard, self._turned_away = self._turned_away, set()
        return heard

    def step(self, now_us: int) -> float:
        """Take in what has arrived, make it durable, answer; it waits for messages itself, so it wants no pause."""
        with lost_when_not_written():
            for device in self._admission.lost(now_us):
                self._uploads.drop(device)
        if now_us >= self._lists_at_us:
            self._lists_at_us = now_us + LISTS_EVERY_US
            with lost_when_not_written():
                self._announce()
            with lost_when_not_written():
                self._peer_lists.step()
        if now_us >= self._commands_at_us and self._link.connected:
            self._commands_at_us = now_us + COMMANDS_EVERY_US
            with lost_when_not_written():
                self._commanding.step()
        events = self._link.poll(self._uploads.patience_s)
        self._uploads.looked(now_us, looks_of(self._link))
        for event in events:
            with lost_when_not_written():
                if isinstance(event, Message):
                    self._hear(event, now_us)
                elif isinstance(event, (Connected, Disconnected)):
                    self._presence.nobody()
        with lost_when_not_written():
            self._uploads.settle(now_us)
        with lost_when_not_written():
            settle(self._store)
        self._answers.flush()
        with lost_when_not_written():
            self._presence.settle_when_due(now_us)
        with lost_when_not_written():
            self._heads.settle_when_due(now_us)
        self._open_waiting(now_us, BUSY_TRIAGE_BATCH if events else TRIAGE_BATCH)
        return 0.0

    def _open_waiting(self, now_us: int, most: int) -> None:
        """Open what waits for it; that is looked for when an item came in here, and now and then for other workers'."""
        stored = self._uploads.items_stored
        if stored == self._stored and now_us < self._open_at_us:
            return
        with lost_when_not_written():
            if self._triage.open_waiting(most):
                self._stored, self._open_at_us = stored, now_us + OPEN_EVERY_US

    def close(self) -> None:
        """Leave the broker; unfinished uploads rest on the disk."""
        self._link.close()
        with lost_when_not_written():
            self._presence.nobody()
            self._presence.settle()
        with lost_when_not_written():
            self._heads.settle()
        with lost_when_not_written():
            write_counts(self._store)

    def _announce(self) -> None:
        """Offer a list that came out since the last look to whoever is there."""
        offer = watchlists.offer(self._store)
        if offer is not None and offer.version > self._announced and self._link.connected:
            for device in self._presence.online():
                self._answers.send(device, offer)
            self._announced = offer.version

    def _hear(self, event: Message, now_us: int) -> None:
        try:
            address = topics.parse_topic(event.topic)
        except Integrity:
            self._foreign += 1  # the broker's access list lets nobody write such a topic
            return
        if not self._admission.admits(address.device):
            self._turn_away(address.device, address.name, bytes(event.payload))
            return
        if address.name in (topics.RENEW, topics.HEADS):
            record = bytes(event.payload)
            if self._uploads.heeds(
                address.device, record, now_us
            ):  # both are said rarely, and cost as much as nonsense
                (self._renew if address.name == topics.RENEW else self._heads.take)(address.device, record)
            return
        try:
            message = wire.decode(address.name, event.payload)
        except Integrity as error:
            said = bytes(event.payload)
            if self._uploads.heeds(address.device, said, now_us):
                quarantine(self._store, address.device, None, RefuseCode.INVALID, str(error), said)
            return
        self._take(address.device, message, now_us)

    def _take(self, device: str, message: wire.Message, now_us: int) -> None:
        if isinstance(message, (Init, Part, Fin)):
            self._uploads.receive(device, message, now_us)
        elif isinstance(message, Birth):
            self._presence.birth(device, message)
            if message.online:
                self._commanding.came(device)
                self._authority_news.came(device)
            offer = watchlists.offer(self._store)
            if message.online and offer is not None and offer.version > message.list_version:
                self._answers.send(device, offer)
        elif isinstance(message, Status):
            self._presence.status(device, message)
        elif isinstance(message, ListWant):
            part = watchlists.part(self._store, message)
            if part is not None:
                self._answers.send(device, part)
        elif isinstance(message, CommandAnswer):
            self._commanding.answer(device, message)
        elif isinstance(message, PeersWant):
            self._peer_lists.want(device, message)
        else:  # what only the centre says
            self._foreign += 1

    def _renew(self, device: str, record: bytes) -> None:
        """Give an enrolled device a new certificate for a key of its own; what does not hold is quarantined."""
        key = device_key(self._store, device)
        if key is None:
            return
        try:
            certificate = certificates.renew(self._store, open_certificate_request(record, device, key))
        except VedetteError as error:
            quarantine(self._store, device, None, RefuseCode.INVALID, str(error), record)
            return
        self._answers.publish(topics.Address(device=device, name=topics.CERTIFICATE).topic, certificate)

    def _turn_away(self, device: str, name: str, payload: bytes) -> None:
        """A certificate of ours that is not enrolled (any more): nothing is taken; an init is told why, once a row."""
        if len(self._turned_away) < MAX_TURNED_AWAY:
            self._turned_away.add(device)
        text = self._admission.turn_away(device)
        if name != Init.name:
            return
        try:
            message = wire.decode(name, payload)
        except Integrity:
            return
        if isinstance(message, Init):
            self._answers.send(device, Refuse(item=message.item, code=RefuseCode.REVOKED, text=text))
