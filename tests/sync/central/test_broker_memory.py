"""What a worker that has stopped finds at a real Mosquitto: all that was granted, in no more memory than was said."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from sync.budget import COMING
from sync.central import fleet, mosquitto
from sync.central.broker import Broker
from sync.credit import KEPT_FOR_URGENT
from sync.link import Connected
from sync.paho_link import LinkConfig, PahoLink
from vedette.clock import SystemClock
from vedette.config import IngestSection

pytestmark = [
    pytest.mark.skipif(mosquitto.find_mosquitto() is None, reason="mosquitto is not installed"),
    pytest.mark.usefixtures("program"),
]
WAIT_S = 30.0
BROKER_BYTES = 64_000_000
HUNDRED_DEVICES_BYTES = 6_000_000  # their 200 sessions, as `python -m bench crowd` has them
LIMITS = IngestSection()


def connected(link: PahoLink) -> bool:
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        if any(isinstance(event, Connected) for event in link.poll(0.01)):
            return True
    return False


def peak_bytes(pid: int | None) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


@pytest.mark.parametrize("part_bytes", [64 * 1024, LIMITS.part_kib * 1024])
def test_all_that_was_granted_of_recordings_stands_at_the_broker_within_64_megabytes(
    centre: Any, device: Any, own_broker: Broker, part_bytes: int
) -> None:
    """WI-76: the worker reads nothing, as while its disk or its processor is another's."""
    keys, topic = centre.folder / "keys", f"devices/{device.id}/part/{fleet.CENTRE_ID}"
    config = LinkConfig(
        host="127.0.0.1",
        port=own_broker.port,
        client_id=fleet.CENTRE_ID,
        ca=keys / "ca.crt",
        certificate=keys / "ingest.crt",
        key=keys / "ingest.key",
        subscriptions=(topic,),
        local=mosquitto.local_socket(centre.folder, "broker"),
    )
    theirs = LinkConfig(
        host="127.0.0.1",
        port=own_broker.port,
        client_id=device.id,
        ca=keys / "ca.crt",
        certificate=device.folder / "keys" / "tls.crt",
        key=device.folder / "keys" / "tls.key",
        subscriptions=(f"cmd/{device.id}/#",),
    )
    worker, sender = PahoLink(config, SystemClock()), PahoLink(theirs, SystemClock())
    try:
        assert connected(worker)
        assert connected(sender)
        most_bytes = (LIMITS.credit_mib << 20) // COMING
        granted_bytes = most_bytes - most_bytes // KEPT_FOR_URGENT
        left, end = granted_bytes // part_bytes, time.monotonic() + WAIT_S
        while (left or not sender.settled) and time.monotonic() < end:
            left -= int(left > 0 and sender.publish(topic, bytes(part_bytes)))
            sender.poll(0.0 if left else 0.01)

        assert left == 0
        assert sender.settled
        assert granted_bytes < peak_bytes(own_broker.pid) < BROKER_BYTES - HUNDRED_DEVICES_BYTES
    finally:
        sender.close()
        worker.close()
