"""An enrolled device that means harm: whatever it says is refused, counted, and costs the others nothing."""

from __future__ import annotations

import resource
from typing import Any

import pytest

from sync.central import fleet
from sync.central.incoming import MAX_AT_REST_PER_DEVICE
from sync.central.quarantine import MAX_PER_DEVICE
from sync.link import Message
from sync.receiver import MAX_UPLOADS_PER_DEVICE
from vedette import canonical
from vedette.wire import MAX_PART_BYTES, Birth, Grant, Part, Refuse, RefuseCode, Sealed, Status

BOOT = "01890000-0000-7000-8000-000000000001"
MOST_GROWTH_KIB = 32 << 10
FAR_US = (1 << 53) - 1


def raw(worker: Any, device: Any, name: str, payload: bytes) -> list[Any]:
    """Let the device say bytes that no honest one would."""
    worker.link.waiting.append(Message(topic=f"devices/{device.id}/{name}", payload=payload))
    worker.step()
    return list(worker.link.take())


def check_others_are_served(centre: Any, worker: Any) -> None:
    other = centre.device("car-2")
    centre.clock.advance(2_000_000)
    worker.step()
    assert isinstance(worker.upload(other.hit())[0], Sealed)


PATHS = ["../../../etc/passwd", "..", "/etc/passwd", f"{BOOT}/../{BOOT}", f"{BOOT}\n", f"{BOOT}\0", ""]
CAPITALS = "01890000-0000-7000-8000-00000000000A"


@pytest.mark.parametrize("item", [*PATHS, CAPITALS])
def test_init_is_refused_when_its_id_is_a_path(centre: Any, device: Any, worker: Any, item: str) -> None:
    """WI-4, RC-7: in quarantine, and no file anywhere."""
    init = device.item(b"video").init()
    fields = {**canonical.loads(init.encode()), "item": item}
    before = sorted(path for path in centre.folder.rglob("*") if path.is_dir())

    assert raw(worker, device, "init", canonical.dumps(fields)) == []

    assert [row.code for row in centre.store.quarantine()] == ["invalid"]
    assert worker.ingest.counters["uploads"] == 0
    assert sorted(path for path in centre.folder.rglob("*") if path.is_dir()) == before


@pytest.mark.parametrize("length", [MAX_PART_BYTES + 1, 2 * MAX_PART_BYTES])
def test_part_is_refused_when_it_is_larger_than_any_part(centre: Any, device: Any, worker: Any, length: int) -> None:
    """WI-6, RC-7: refused before a byte is written; 64 KiB of it are kept for a person."""
    item = device.item(b"video" * 9_000)
    worker.say(device.id, item.init())
    part = Part(item=item.id, index=0, payload=b"x").encode()

    assert raw(worker, device, f"part/{fleet.CENTRE_ID}", part[:-1] + bytes(length)) == []

    path = centre.folder / "incoming" / fleet.CENTRE_ID / f"{item.id}.part"
    assert path.stat().st_size == 0
    assert len(centre.store.quarantine()) == 1


@pytest.mark.embedded
@pytest.mark.parametrize("length", [1, 16 * 1024 - 1, 16 * 1024 + 1, MAX_PART_BYTES])
def test_part_is_not_written_when_its_length_is_not_the_granted_one(
    centre: Any, device: Any, worker: Any, length: int
) -> None:
    """WI-24: the device is told again what was granted."""
    item = device.item(b"video" * 9_000)
    worker.say(device.id, item.init())

    (answer,) = worker.say(device.id, Part(item=item.id, index=0, payload=bytes(length)))

    assert isinstance(answer, Grant) and answer.have == ()
    assert (centre.folder / "incoming" / fleet.CENTRE_ID / f"{item.id}.part").stat().st_size == 0


@pytest.mark.embedded
def test_part_is_not_written_when_its_index_is_past_the_end(centre: Any, device: Any, worker: Any) -> None:
    """WI-24: no hole of gigabytes is made in a file."""
    item = device.item(b"video" * 9_000)
    worker.say(device.id, item.init())

    (answer,) = worker.say(device.id, Part(item=item.id, index=65_535, payload=bytes(16 * 1024)))

    assert isinstance(answer, Grant)
    assert (centre.folder / "incoming" / fleet.CENTRE_ID / f"{item.id}.part").stat().st_size == 0


@pytest.mark.embedded
def test_endless_inits_are_answered_busy_and_hold_up_nobody(centre: Any, device: Any, worker: Any) -> None:
    """WI-25, RC-10: uploads, open files, rows and memory have a bound; another device's hit is stored."""
    inits = [device.item(b"video").init() for _ in range(300)]
    answers = [answer for init in inits[:50] for answer in worker.say(device.id, init)]
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    answers += [answer for init in inits[50:] for answer in worker.say(device.id, init)]

    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    busy = [one for one in answers if isinstance(one, Refuse)]
    assert sum(isinstance(one, Grant) for one in answers) == MAX_UPLOADS_PER_DEVICE
    assert len(busy) == 300 - MAX_UPLOADS_PER_DEVICE
    assert {one.code for one in busy} == {RefuseCode.BUSY}
    assert len(list((centre.folder / "incoming" / fleet.CENTRE_ID).iterdir())) <= MAX_AT_REST_PER_DEVICE
    assert grown_kib < MOST_GROWTH_KIB
    check_others_are_served(centre, worker)


@pytest.mark.embedded
def test_one_init_said_endlessly_is_one_upload(centre: Any, device: Any, worker: Any) -> None:
    """WI-22."""
    init = device.item(b"video").init()

    answers = [answer for _ in range(200) for answer in worker.say(device.id, init)]

    assert all(isinstance(answer, Grant) for answer in answers)
    assert worker.ingest.counters["uploads"] == 1


def test_endless_garbage_fills_no_store_and_holds_up_nobody(centre: Any, device: Any, worker: Any) -> None:
    """RC-7: a thousand complaints of one device are kept, never more, and 64 KiB of each at most."""
    for number in range(MAX_PER_DEVICE + 50):
        fields = {"v": 1, f"x{number}": 1}
        worker.link.waiting.append(Message(topic=f"devices/{device.id}/init", payload=canonical.dumps(fields)))
    worker.step()

    (kept,) = centre.store.db.execute("SELECT count(*) FROM quarantine WHERE device = ?", [device.id]).fetchone()
    assert 0 < kept <= MAX_PER_DEVICE
    check_others_are_served(centre, worker)


@pytest.mark.parametrize("lie_us", [0, 1, FAR_US])
def test_clock_of_a_device_changes_nothing_of_the_centres(centre: Any, device: Any, worker: Any, lie_us: int) -> None:
    """RC-1: the item is taken with what it claims, and the receipt has the centre's time."""
    item = device.item(b"video", created_us=lie_us, started_us=lie_us, ended_us=lie_us)
    before_us = centre.clock.utc_us()
    worker.say(
        device.id,
        Birth(online=True, boot=BOOT, software="x", list_version=FAR_US, utc_us=lie_us),
        Status(utc_us=lie_us, counters={"waiting": FAR_US}),
    )

    assert isinstance(worker.upload(item)[0], Sealed)

    assert before_us <= centre.store.item(item.id).stored_us <= centre.clock.utc_us()
    check_others_are_served(centre, worker)


@pytest.mark.parametrize("topic", ["devices/car-2/init", "devices/car-2/birth", "devices/central/init"])
def test_message_counts_as_what_its_topic_says_whatever_is_in_it(
    centre: Any, device: Any, worker: Any, topic: str
) -> None:
    """WI-3: were the access list broken, a manifest of car-1 still would not be taken from another's topic."""
    centre.device("car-2")
    worker.step()
    init = device.item(b"video").init()
    worker.link.waiting.append(Message(topic=topic, payload=init.encode()))
    worker.step()

    assert not any(isinstance(answer, (Grant, Sealed)) for answer in worker.link.take())
    assert centre.store.items() == []


FOREIGN = ["", "devices", "devices/car-1", "devices/car-1/init/x", "$SYS/x", "devices/car-1.bulk/init"]


@pytest.mark.embedded
@pytest.mark.parametrize("topic", [*FOREIGN, "devices/../init", "devices/car-1/part/../../x"])
def test_foreign_topic_is_counted_and_ignored(centre: Any, worker: Any, topic: str) -> None:
    """WI-1, WI-5: nothing is said, kept or counted as an upload."""
    worker.link.waiting.append(Message(topic=topic, payload=b"{}"))
    worker.step()

    assert worker.link.take() == []
    assert centre.store.quarantine() == []
    assert worker.ingest.counters["foreign"] == 1


@pytest.mark.embedded
def test_what_only_the_centre_says_is_counted_and_ignored(device: Any, worker: Any) -> None:
    """WI-5: were the access list broken, a device that plays the centre would be heard by nobody here."""
    refuse = Refuse(item=device.item(b"video").id, code=RefuseCode.BUSY, text="go away")
    worker.link.waiting.append(Message(topic=f"cmd/{device.id}/refuse", payload=refuse.encode()))
    worker.step()

    assert worker.link.take() == []
    assert worker.ingest.counters["foreign"] == 1


@pytest.mark.parametrize("will", [{"device": "car-2"}, {"device": "car-1", "twice": True}])
def test_foreign_will_changes_nobody_else(centre: Any, device: Any, worker: Any, will: dict[str, Any]) -> None:
    """WI-15: "offline" on a topic counts for that topic's device only, whoever's name or item is inside."""
    other = centre.device("car-2")
    for one in (device, other):
        worker.say(one.id, Birth(online=True, boot=BOOT, software="x", list_version=0, utc_us=1))
    offline = Birth(online=False, boot=BOOT, software="car-2", list_version=0, utc_us=1)
    for _ in range(2 if will.get("twice") else 1):
        worker.say(will["device"], offline)

    assert {one.device: one.online for one in centre.store.devices()} == {
        "car-1": will["device"] != "car-1",
        "car-2": will["device"] != "car-2",
    }


@pytest.mark.embedded
def test_claims_of_size_reserve_nothing(centre: Any, device: Any, worker: Any) -> None:
    """RC-10: an item that says it is as large as is taken costs an empty file until its bytes come."""
    item = device.item(b"", sealed_size=4 << 20)

    (answer,) = worker.say(device.id, item.init())

    assert isinstance(answer, Grant)
    path = centre.folder / "incoming" / fleet.CENTRE_ID / f"{item.id}.part"
    assert path.stat().st_blocks == 0
