"""Everything at once, by configuration alone: two brokers, three ingest workers, PostgreSQL and S3, and a kill -9."""

from __future__ import annotations

import itertools
import os
import signal
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sync.central.worker import names
from sync.credit import KEPT_FOR_URGENT, URGENT_PRIORITY
from sync.sender import MAX_UNDER_WAY
from vedette.daemon import read_status

WORKERS, CREDIT_MIB, PART_KIB = 3, 1, 32
TOML = f"[ingest]\nworkers = {WORKERS}\ncredit_mib = {CREDIT_MIB}\npart_kib = {PART_KIB}\n"
DEVICES_OF_A_SHARD, RECORDINGS, HITS = 2, 8, 5
RECORDING_BYTES = 700_000
MOST_HIT_PART_BYTES = 64 * 1024
VICTIM = "w2"
Made = list[tuple[Any, Any]]  # devices and items
WITHIN_S = 180.0


def are_there(receipts: dict[str, Path]) -> bool:
    """Whether each is on its device's disk."""
    return all(path.is_file() for path in receipts.values())


def is_within_share(one: Any) -> bool:
    """Whether what was granted on top left the device within its share, by WI-54 and WI-55."""
    if one.more <= 0:
        return True
    share = min(one.budget // one.at_broker, (CREDIT_MIB << 20) // one.devices)
    if one.priority <= URGENT_PRIORITY:
        return bool(one.device_bytes <= share or (one.more == 1 and one.urgent_bytes == one.part_size))
    return bool(one.device_bytes <= max(share - share // KEPT_FOR_URGENT, one.part_size))


@pytest.mark.timeout(300)
def test_nothing_is_lost_or_twice_when_a_worker_of_three_at_two_brokers_is_killed(
    far: Any, make_fleet: Callable[..., Any], witnessed: Callable[[], list[Any]]
) -> None:
    """CS-14, WI-54, WI-55, RC-1. Every device at its broker, every worker at both; the hits come in the midst of the
    recordings, and with them one worker's death.
    """
    fleet = make_fleet(TOML)
    devices = [
        fleet.add(far.stranger(name))
        for shard in range(2)
        for name in itertools.islice(fleet.names(shard), DEVICES_OF_A_SHARD)
    ]
    ports = Counter(fleet.places[one.id].uplink.port for one in devices)
    assert ports == {port: DEVICES_OF_A_SHARD for _host, port in fleet.addresses}
    warm, receipts = warm_up(fleet, devices, witnessed)
    recordings = [(one, one.item(os.urandom(RECORDING_BYTES))) for _ in range(RECORDINGS) for one in devices]
    receipts |= {item.id: fleet.send(one, item) for one, item in recordings}

    assert fleet.drive(lambda: any((far.folder / "incoming" / VICTIM).glob("*.part")), WITHIN_S)
    had = {name for name, path in receipts.items() if path.is_file()}
    hits = [(one, one.hit()) for _ in range(HITS) for one in devices]
    receipts |= {item.id: fleet.send(one, item) for one, item in hits}
    dead = fleet.pid(VICTIM)
    os.kill(dead, signal.SIGKILL)

    assert fleet.drive(partial(are_there, receipts), WITHIN_S), receipts
    assert fleet.drive(lambda: len(far.store.hits()) == len(hits))
    assert fleet.drive(lambda: fleet.pid(VICTIM) != dead)
    check_store(far, warm + recordings + hits, receipts)
    for one in devices:
        check_order(far, one, recordings, hits, had)
    check_shares(witnessed())


def warm_up(fleet: Any, devices: list[Any], witnessed: Callable[[], list[Any]]) -> tuple[Made, dict[str, Path]]:
    """Small recordings of each device, until every worker has granted one at each of the two brokers."""
    run = fleet.centre.folder / "run"
    assert fleet.drive(lambda: all(read_status(run, name).get("connected") is True for name in names(WORKERS)))
    made: Made = []
    receipts: dict[str, Path] = {}
    pairs: set[tuple[str, int]] = set()
    while len(pairs) < WORKERS * len(fleet.addresses):
        new = [(one, one.item(b"warm")) for one in devices]
        receipts |= {item.id: fleet.send(one, item) for one, item in new}
        assert fleet.drive(partial(are_there, receipts))
        made += new
        pairs = {(seen.worker, fleet.places[seen.device].uplink.port) for seen in witnessed()}
    return made, receipts


def check_store(far: Any, made: Made, receipts: dict[str, Path]) -> None:
    """Each item once: row, leaf, bytes, and the receipt that its device has."""
    rows = {row.item: row for row in far.store.items(limit=500)}
    assert set(rows) == set(receipts) == {item.id for _, item in made}
    assert sorted(row.log_index for row in rows.values()) == list(range(len(made)))
    assert far.store.log_size() == len(made)
    assert far.store.quarantine() == []
    totals = {one.device: (one.items, one.stored_bytes) for one in far.store.devices()}
    for device in {one.id for one, _ in made}:
        sizes = [item.manifest.sealed_size for one, item in made if one.id == device]
        assert totals[device] == (len(sizes), sum(sizes))
    for _, item in made:
        assert receipts[item.id].read_bytes() == far.store.receipt(item.id)
        assert far.store.blobs.read(rows[item.id].sealed_sha256, max_bytes=1 << 24) == item.sealed_bytes


def check_order(far: Any, device: Any, recordings: Made, hits: Made, had: set[str]) -> None:
    """No hit waited for recordings that had not begun when it came; one that the dead worker took may have, for some.

    `had`: what had its receipt when the hits came.
    """
    index = {row.item: row.log_index for row in far.store.items(device=device.id, limit=500)}
    stored = sorted(index[item.id] for one, item in hits if one is device)
    after = sorted(index[item.id] for one, item in recordings if one is device and item.id not in had)
    assert after[MAX_UNDER_WAY] > stored[HITS // 2]
    assert after[-1] > stored[-1]


def check_shares(seen: list[Any]) -> None:
    """What each worker granted, by its own account at every word that it said of it."""
    assert [one for one in seen if not is_within_share(one)] == []
    most = CREDIT_MIB << 20
    assert [one for one in seen if one.all_bytes > most + one.devices * MOST_HIT_PART_BYTES] == []
    shared = {one.worker for one in seen if one.devices > 1}
    assert shared == {"centre", *names(WORKERS)}
