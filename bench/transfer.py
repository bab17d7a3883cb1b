"""Sealed items from a spool to the centre's receipt, over a real Mosquitto with TLS, against the bare disk work."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from pathlib import Path

from bench.harness import Row, pair
from simulator.stage import Scene, Stage
from sync.uplink_commands import make_uplink
from vedette import records, sealed, spool
from vedette.clock import SystemClock, uuid7
from vedette.config import DeviceConfig, load_device
from vedette.errors import NotFound
from vedette.keys import SigningKey
from vedette.trust import load_trust

ITEMS, ITEM_MIB = 4, 8
GIVE_UP_S = 120.0
_LIST = "plate,region,reason,priority,source,valid_from,valid_to\n"


def transfer() -> list[Row]:
    """32 MiB in four items to receipts; hashed, copied and fsynced once is the least anything could do."""
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(
            Path(folder) / "stage", Scene(device="car-1", camera={}, board={}, recorder={}, watchlist_csv=_LIST)
        )
        try:
            stage.prepare()
            stage.start_centre()
            return [_measure(stage, Path(folder))]
        finally:
            stage.close()


def _measure(stage: Stage, folder: Path) -> Row:
    config = load_device(stage.device / "device.toml")
    plain = os.urandom(ITEM_MIB << 20)

    def send() -> None:
        for _ in range(ITEMS):
            put_item(config, plain)
        _send_all(config)

    def bare() -> None:
        for _ in range(ITEMS):
            hashlib.sha256(plain)
            with (folder / "copy").open("wb") as file:
                file.write(plain)
                file.flush()
                os.fsync(file.fileno())

    return pair(
        f"{ITEMS} items of {ITEM_MIB} MiB: seal, send, receipt",
        send,
        "SHA-256, write, fsync of the same bytes",
        bare,
        amount=ITEMS * ITEM_MIB,
        unit="MiB",
        rounds=3,
        note="broker, centre and uplink on this machine",
    )


def put_item(config: DeviceConfig, plain: bytes) -> None:
    """Seal `plain` as a segment and commit it to the spool."""
    clock = SystemClock()
    item, now_us = uuid7(clock), clock.utc_us()
    data = sealed.seal(plain, load_trust(config.trust).segment_recipients())
    part = spool.part_path(config.spool, "segment", item)
    part.write_bytes(data)
    manifest = records.Manifest(
        item=item,
        kind="segment",
        device=config.device.id,
        sealed_sha256=hashlib.sha256(data).hexdigest(),
        sealed_size=len(data),
        plain_sha256=None,
        plain_size=len(plain),
        created_us=now_us,
        started_us=now_us,
        ended_us=now_us,
        time_source="simulated",
        time_error_us=None,
        complete=True,
        priority=records.PRIORITY_BULK,
        recording=None,
        sequence=0,
        activation=None,
        media=None,
        journal=None,
        software="bench",
        models={},
    )
    record = records.sign_record(records.MANIFEST, manifest.to_body(), SigningKey.load(config.keys / "sign.pem"))
    spool.commit(config.spool, "segment", item, record)


def _send_all(config: DeviceConfig) -> None:
    waiting = [item_id for _kind, item_id, _path in spool.item_ids(config.spool)]
    clock, uplink = SystemClock(), make_uplink(config, SystemClock())
    until = time.monotonic() + GIVE_UP_S
    while not all((config.receipts / f"{item_id}.receipt").is_file() for item_id in waiting):
        if time.monotonic() > until:
            raise NotFound(f"no receipt for every item within {GIVE_UP_S:.0f} s")
        time.sleep(min(uplink.step(clock.mono_us()), 0.01))
    uplink.close()
    for kind, item_id, _path in list(spool.item_ids(config.spool)):
        spool.final_path(config.spool, kind, item_id).unlink()
        spool.manifest_path(config.spool, kind, item_id).unlink()
