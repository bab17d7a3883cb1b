"""The unsent tail of a journal is cut off a device's disk: device, broker and ingest are the real ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sync.central import fleet, to_brokers
from sync.central.broker import Broker
from sync.central.heads import LATE_US
from sync.central.ingest import Ingest
from sync.head_post import EVERY_US
from sync.paho_link import PahoLink
from sync.uplink import Uplink
from sync.uplink_commands import make_uplink
from vedette import topics
from vedette.clock import SystemClock, iso
from vedette.config import DeviceConfig, IngestSection, load_central
from vedette.custody import Journal, seal_closed
from vedette.identity import Identity
from vedette.keys import SigningKey
from vedette.trust import load_trust

STEP_US = 1_000_000
KEPT = 3


class Street:
    """A device whose recorder writes a journal, its uplink, and the centre's ingest at a Mosquitto."""

    def __init__(self, centre: Any, place: DeviceConfig) -> None:
        self.centre, self.place = centre, place
        self.key = SigningKey.load(place.keys / "sign.pem")
        config = load_central(centre.folder / fleet.CONFIG)
        link = to_brokers.link(
            config,
            SystemClock(),
            identity=fleet.CENTRE_ID,
            key=config.keys / "ingest.key",
            subscriptions=topics.worker_subscriptions(fleet.CENTRE_ID),
        )
        self.ingest = Ingest(centre.store, link, centre.signer, IngestSection(credit_mib=1, part_kib=16))
        self.begin()

    def begin(self) -> None:
        """The device is switched on."""
        self.uplink: Uplink = make_uplink(
            self.place, self.centre.clock, lambda config, _clock: PahoLink(config, SystemClock())
        )
        self.journal = Journal.open(
            self.place.journals / "recorder", service="recorder", device="car-1", key=self.key, clock=self.centre.clock
        )

    def end(self) -> None:
        """It is switched off."""
        self.journal.close()
        self.uplink.close()

    def drive(self, until: Callable[[], bool]) -> None:
        end = time.monotonic() + 90
        while not until():
            assert time.monotonic() < end
            self.centre.clock.advance(STEP_US)
            self.uplink.step(self.centre.clock.mono_us())
            self.ingest.step(self.centre.clock.mono_us())

    def signed_for(self) -> dict[str, int]:
        rows = self.centre.store.db.execute("SELECT service, seq FROM journal_heads WHERE problem IS NULL").fetchall()
        return dict(rows)

    def cut(self) -> None:
        """What somebody does who has the device: end it, cut the journal, put it back."""
        self.end()
        path = self.place.journals / "recorder" / "000000000001.jsonl"
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:KEPT]))
        self.begin()

    def complaint(self) -> str:
        found = [row.text for row in self.centre.store.quarantine(device="car-1")]
        assert len(set(found)) <= 1
        return found[0] if found else ""


@pytest.fixture
def street(centre: Any, own_broker: Broker) -> Iterator[Street]:
    """The device has told that its recorder's journal has ten lines, of which none was sent."""
    street = Street(centre, centre.stranger("car-1").join())
    for _ in range(9):
        street.journal.append("camera.fault")
    street.drive(lambda: street.signed_for().get("recorder") == 10)
    yield street
    street.end()
    street.ingest.close()


def signed_at(centre: Any) -> str:
    (row,) = centre.store.db.execute("SELECT told_us FROM journal_heads WHERE seq = 10").fetchall()
    return iso(row[0])


def test_tail_that_is_cut_is_found_when_the_journal_is_shorter(centre: Any, street: Street) -> None:
    """CJ-26 to CJ-30. WI-72."""
    told = signed_at(centre)
    street.cut()
    street.drive(lambda: street.complaint() != "")

    said = street.complaint()
    assert said.startswith("car-1: custody of recorder: its device had signed for 10 lines at " + told)
    assert [chain.problem for chain in centre.store.chains() if chain.service == "recorder"] == [said]


def test_tail_that_is_cut_is_found_when_the_journal_has_grown_again(centre: Any, street: Street) -> None:
    """CJ-29. CJ-30: nobody heard the device while it was short; the lines that come say it."""
    told = signed_at(centre)
    street.cut()
    for _ in range(20):
        street.journal.append("camera.recovered")
    recipients = load_trust(street.place.trust).lead_recipients()
    street.journal.roll()
    seal_closed(street.journal, street.place.spool, recipients, identity=Identity())
    street.drive(lambda: street.complaint() != "")

    said = street.complaint()
    assert f"car-1: custody of recorder: line 10 that came is not the one its device had signed for at {told}" in said
    assert [chain.problem for chain in centre.store.chains() if chain.service == "recorder"] == [said]


def test_nothing_is_complained_of_when_a_device_is_switched_off_and_on(centre: Any, street: Street) -> None:
    """CJ-27. CJ-30."""
    street.end()
    street.begin()
    before = street.journal.append("camera.fault")
    end_us = centre.clock.mono_us() + LATE_US + 2 * EVERY_US
    street.drive(lambda: centre.clock.mono_us() > end_us and street.signed_for()["recorder"] == before.seq)
    assert centre.store.quarantine() == []
    assert {chain.problem for chain in centre.store.chains()} == {None}
