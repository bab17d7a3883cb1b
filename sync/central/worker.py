"""One more ingest worker: a process that takes uploads and nothing else, beside the centre's own (`[ingest] workers`).

Decided here: what a further worker does not do (births, lists, commands and opening hits are the centre's own ingest's,
so that each is done once), and its name and right: `w2`, `w3`, …, too short to be a device's id. An init goes to any of
the workers, the rest of the upload to the one that granted it; a worker that dies is replaced, and its uploads are
begun anew at any. `python -m sync.central.worker`, a child of the centre or a service of another machine with the same
keys. Implements CS-14 and CS-15 of docs/spec/case-store.md.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from sync.central import to_brokers
from sync.central.admission import Admission
from sync.central.answers import Answers
from sync.central.authority import Authority
from sync.central.quarantine import quarantine, settle, write_counts
from sync.central.receipts import Signer
from sync.central.shards import homes_of, looks_of
from sync.central.store import Store
from sync.central.store_trouble import in_a_line, lost_when_not_written
from sync.central.uploads import Uploads
from sync.link import Link, Message
from vedette import daemon, files, topics, wire
from vedette.clock import SystemClock
from vedette.config import CentralConfig, IngestSection, load_central
from vedette.errors import Integrity
from vedette.keys import SigningKey
from vedette.wire import Fin, Init, Part, Refuse, RefuseCode

MAX_WORKERS = 9  # `w10` could be a device
STATUS_US = 1_000_000


def names(workers: int) -> tuple[str, ...]:
    """The names of the workers beside the centre's own, when there are `workers` in all."""
    return tuple(f"w{number}" for number in range(2, workers + 1))


def issue(keys: Path, name: str, now_us: int) -> None:
    """Give the worker `name` a certificate of its own, `keys/<name>.crt`; anew at each start of the centre."""
    issued = Authority(keys).issue_client(name, now_us)
    files.replace(keys / f"{name}.key", issued.key, mode=0o600)
    files.replace(keys / f"{name}.crt", issued.certificate)


class Worker:
    """Steps the uploads that this worker granted; everything durable is in the store, so it may die at any moment."""

    def __init__(self, store: Store, link: Link, signer: Signer, limits: IngestSection, name: str) -> None:
        self.name = name
        self._store = store
        self._link = link
        self._answers = Answers(link)
        self._admission = Admission(store)
        said = self._answers
        self._uploads = Uploads(
            store, signer, limits, said.send, worker=name, send_off=said.flush, homes=homes_of(link)
        )
        self._status_at_us = 0

    def step(self, now_us: int) -> float:
        """Take in what has arrived, make it durable, answer; it waits for messages itself, so it wants no pause."""
        with lost_when_not_written():
            for device in self._admission.lost(now_us):
                self._uploads.drop(device)
        events = self._link.poll(self._uploads.patience_s)
        self._uploads.looked(now_us, looks_of(self._link))
        for event in events:
            with lost_when_not_written():
                if isinstance(event, Message):
                    self._hear(event, now_us)
        with lost_when_not_written():
            self._uploads.settle(now_us)
        with lost_when_not_written():
            settle(self._store)
        self._answers.flush()
        if now_us >= self._status_at_us:
            self._status_at_us = now_us + STATUS_US
            counters = {"connected": self._link.connected, **self._uploads.counters}
            daemon.write_status(self._store.folder / "run", self.name, counters)
        return 0.0

    def close(self) -> None:
        """Leave the broker; unfinished uploads rest on the disk."""
        self._link.close()
        with lost_when_not_written():
            write_counts(self._store)
        self._store.close()

    def _hear(self, event: Message, now_us: int) -> None:
        try:
            address = topics.parse_topic(event.topic)
        except Integrity:
            return  # the broker's access list lets nobody write such a topic
        try:
            message = wire.decode(address.name, event.payload)
        except Integrity as error:
            said = bytes(event.payload)
            if self._uploads.heeds(address.device, said, now_us):
                quarantine(self._store, address.device, None, RefuseCode.INVALID, str(error), said)
            return
        if not isinstance(message, (Init, Part, Fin)):
            return
        if self._admission.admits(address.device):
            self._uploads.receive(address.device, message, now_us)
            return
        text = self._admission.turn_away(address.device)
        self._answers.send(address.device, Refuse(item=message.item, code=RefuseCode.REVOKED, text=text))


def _heard_by(name: str) -> list[str]:
    return [one for one in topics.worker_subscriptions(name) if one.endswith((f"/{Init.name}", f"/{name}"))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Take uploads until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m sync.central.worker", description="One more ingest worker.")
    parser.add_argument("--config", type=Path, required=True, help="the centre's central.toml")
    parser.add_argument("--name", choices=names(MAX_WORKERS), required=True, help="w2, w3, …: no two have the same")
    parsed = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    return in_a_line(lambda: _serve(load_central(parsed.config), parsed.name))


def _serve(config: CentralConfig, name: str) -> int:
    clock = SystemClock()
    for folder in (config.run, config.data / "incoming"):
        folder.mkdir(exist_ok=True, mode=0o750)
    signer = Signer(origin=config.central.origin, key=SigningKey.load(config.keys / "centre.pem"))
    store = Store(config.data, clock)
    link = to_brokers.link(
        config,
        clock,
        identity=name,
        key=config.keys / f"{name}.key",
        subscriptions=_heard_by(name),
    )
    worker = Worker(store, link, signer, config.ingest, name)
    return daemon.run(worker, clock=clock)


if __name__ == "__main__":
    sys.exit(main())
