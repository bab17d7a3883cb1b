"""What a worker grants follows whether it comes to the end of its line, and hits that came together are one commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from sync.budget import FIRST_BYTES, LEAST_BYTES, REST_US, TARGET_US
from sync.central.database import COMMIT, Database, Rows
from sync.central.ingest import Ingest
from sync.central.uploads import SEAL_BATCH
from sync.central.worker import Worker
from sync.credit import KEPT_FOR_URGENT
from vedette.clock import uuid7
from vedette.config import IngestSection
from vedette.wire import Grant, Sealed

PART_BYTES = 64 * 1024
ITEM_BYTES = 32 * PART_BYTES  # as much as one upload is granted at once
HITS_OF_A_DEVICE = 25


@pytest.fixture(params=["rows in SQLite", "rows in PostgreSQL"])
def stores(request: pytest.FixtureRequest) -> str:
    """Blobs lie in the folder both times: one step brings a hit all the way."""
    if request.param == "rows in SQLite":
        return ""
    return f'[store]\nurl = "{request.getfixturevalue("postgres").database()}"\n'


def ingest(centre: Any, link: Any, limits: IngestSection) -> Ingest:
    return Ingest(centre.store, link, centre.signer, limits)


def further_worker(centre: Any, link: Any, limits: IngestSection) -> Worker:
    return Worker(centre.store, link, centre.signer, limits, "w2")


def granted_bytes(centre: Any, device: Any, link: Any, taking: Any) -> int:
    """What three large uploads are granted together, after a second of looks at the line as it is."""
    for _ in range(10):
        centre.clock.advance(REST_US)
        taking.step(centre.clock.mono_us())
    items = [device.item(b"", sealed_size=ITEM_BYTES) for _ in range(3)]
    link.hear(device.id, *(item.init(part_size=PART_BYTES) for item in items))
    taking.step(centre.clock.mono_us())
    grants = [message for message in link.take() if isinstance(message, Grant)]
    assert len(grants) == 3
    return sum(one.credit * one.part_size for one in grants)


@pytest.mark.parametrize("make", [ingest, further_worker])
@pytest.mark.parametrize(
    ("emptied", "waited_us", "budget"),
    [(True, None, FIRST_BYTES), (False, None, LEAST_BYTES), (True, TARGET_US, LEAST_BYTES)],
    ids=["keeps up", "never comes to the end of its line", "has a line that the broker keeps in its memory"],
)
def test_worker_whose_line_stands_grants_the_least(
    centre: Any, device: Any, worker: Any, make: Callable[..., Any], emptied: bool, waited_us: int | None, budget: int
) -> None:
    """WI-68."""
    worker.link.emptied, worker.link.waited_us = emptied, waited_us
    taking = make(centre, worker.link, IngestSection(credit_mib=64, part_kib=64))
    assert granted_bytes(centre, device, worker.link, taking) == budget - budget // KEPT_FOR_URGENT


@dataclass
class Counted:
    """A database and how often something became durable in it."""

    inner: Database
    commits: int = 0
    within: bool = False

    def execute(self, sql: str, parameters: Sequence[Any] | None = None) -> Rows:
        answer = self.inner.execute(sql, parameters)
        verb = sql.split(None, 1)[0]
        if verb == "BEGIN":
            self.within = True
        elif sql == COMMIT or (verb in ("INSERT", "UPDATE", "DELETE") and not self.within):
            self.within = False
            self.commits += 1
        return answer

    def rollback(self) -> None:
        self.within = False
        self.inner.rollback()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@dataclass
class Told:
    """The receipts that were published, each with the commits so far."""

    database: Counted
    publish: Callable[..., bool]
    commits: list[int] = field(default_factory=list)

    def __call__(self, topic: str, payload: bytes, **rest: Any) -> bool:
        if topic.endswith(f"/{Sealed.name}"):
            self.commits.append(self.database.commits)
        return self.publish(topic, payload, **rest)


@pytest.mark.parametrize("count", [1, SEAL_BATCH - 1, SEAL_BATCH, SEAL_BATCH + 1, 2 * SEAL_BATCH])
def test_hits_that_came_together_are_one_transaction_and_wait_for_no_more(
    centre: Any, make_worker: Callable[[IngestSection], Any], count: int
) -> None:
    """CS-22. The clock stands still: a batch that waited for its time to be over would never be written."""
    devices = [centre.device(f"car-{number}") for number in range(1 + (count - 1) // HITS_OF_A_DEVICE)]
    sources = [(one, one.hit()) for one in devices]
    worker = make_worker(IngestSection(credit_mib=64, part_kib=16))
    worker.step()
    told = Told(Counted(centre.store.db), worker.link.publish)
    centre.store._threads.db, worker.link.publish = told.database, told
    for number in range(count):
        one, sealed_once = sources[number // HITS_OF_A_DEVICE]
        hit = one.resign(sealed_once, item=uuid7(centre.clock))
        worker.link.hear(one.id, hit.init(), *hit.parts(), hit.fin())

    worker.ingest.step(centre.clock.mono_us())

    parts_durable, stored = 1, -(-count // SEAL_BATCH)
    assert told.commits == [parts_durable + stored] * count
    assert centre.store.log_size() == count
