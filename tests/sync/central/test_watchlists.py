"""The centre's side of the watchlist: versions, publication, offers and bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from sync.central import watchlists
from vedette import watchlist
from vedette.clock import iso
from vedette.errors import NotFound, Refused
from vedette.records import keyring
from vedette.sealed import load_identities
from vedette.trust import load_trust
from vedette.wire import Birth, ListOffer, ListPart, ListWant

BOOT = "01890000-0000-7000-8000-000000000001"
WEEK_S = 7 * 86_400


@pytest.fixture
def csv(centre: Any, tmp_path: Path) -> Path:
    path = tmp_path / "list.csv"
    now_us = centre.clock.utc_us()
    first, last = (iso(now_us + days * 86_400_000_000)[:10] for days in (-1, 30))
    path.write_text(
        "plate,region,reason,priority,source,valid_from,valid_to\n"
        f"AB123CD,FR,stolen,high,test,{first},{last}\n"
        f"EF456GH,FR,wanted,normal,test,{first},{last}\n",
        encoding="utf-8",
    )
    return path


def birth(version: int = 0) -> Birth:
    return Birth(online=True, boot=BOOT, software="test", list_version=version, utc_us=1)


def test_list_is_signed_and_numbered_when_imported(centre: Any, csv: Path) -> None:
    rows = [watchlists.import_csv(centre.store, csv, "chief", expires_s=WEEK_S) for _ in range(2)]

    assert [(row.version, row.entries, row.published_us) for row in rows] == [(1, 2, None), (2, 2, None)]
    opened = watchlists.open_version(centre.store)
    assert (opened.version, sorted(entry.plate for entry in opened.entries())) == (2, ["AB123CD", "EF456GH"])
    assert watchlists.open_version(centre.store, 1).version == 1


def test_nothing_is_imported_when_a_row_is_bad(centre: Any, csv: Path) -> None:
    csv.write_text(csv.read_text() + "AB124CD,FR,stolen,high,test,2026-01-01,2020-01-01\n")

    with pytest.raises(Refused, match="row 4"):
        watchlists.import_csv(centre.store, csv, "chief", expires_s=WEEK_S)
    assert centre.store.lists() == []
    assert [path for path in (centre.folder / "blobs").rglob("*") if path.is_file()] == []


def test_no_plate_is_readable_on_the_centres_disk_when_a_list_is_kept(centre: Any, csv: Path) -> None:
    watchlists.publish(centre.store, watchlists.import_csv(centre.store, csv, "chief", expires_s=WEEK_S).version)

    everything = b"".join(path.read_bytes() for path in centre.folder.rglob("*") if path.is_file())

    assert b"AB123CD" not in everything


def test_list_goes_out_when_it_is_published(centre: Any, device: Any, worker: Any, csv: Path) -> None:
    """At once to those that are there, at birth to the others; none to who has it."""
    watchlists.import_csv(centre.store, csv, "chief", expires_s=WEEK_S)
    assert worker.say(device.id, birth()) == []
    watchlists.publish(centre.store)
    centre.clock.advance(1_000_000)

    worker.step()
    (offer,) = worker.link.take()

    assert isinstance(offer, ListOffer) and offer.version == 1
    worker.step()
    assert worker.link.take() == []
    assert worker.say(device.id, birth(1)) == []
    assert worker.say(device.id, birth(0)) == [offer]


def test_list_arrives_whole_when_a_device_wants_it(centre: Any, device: Any, worker: Any, csv: Path) -> None:
    """In parts, and the device's own check takes it."""
    lines = csv.read_text().splitlines()
    many = [lines[0], *(lines[1].replace("AB123CD", f"AB{number:03d}CD") for number in range(1000))]
    csv.write_text("\n".join(many))
    watchlists.publish(centre.store, watchlists.import_csv(centre.store, csv, "chief", expires_s=WEEK_S).version)
    offer = watchlists.offer(centre.store)
    assert offer is not None
    received = b""
    watchlists.PART_BYTES, before = 50_000, watchlists.PART_BYTES
    for _ in range(-(-offer.size // 50_000)):
        (part,) = worker.say(device.id, ListWant(version=1, offset=len(received)))
        assert isinstance(part, ListPart)
        received += part.payload
    watchlists.PART_BYTES = before

    assert (len(received), hashlib.sha256(received).hexdigest()) == (offer.size, offer.sha256)
    identities = load_identities(device.folder / "keys" / "list.identity")
    keys = keyring(load_trust(device.folder / "trust.json").list_signer)
    stored = watchlist.store(device.folder, received, identities, keys, now_us=centre.clock.utc_us())
    assert stored.count == 1000


@pytest.mark.parametrize(("version", "offset"), [(2, 0), (1, 10_000_000), (9, 0)])
def test_no_list_is_sent_when_it_is_not_out(
    centre: Any, device: Any, worker: Any, csv: Path, version: int, offset: int
) -> None:
    watchlists.publish(centre.store, watchlists.import_csv(centre.store, csv, "chief", expires_s=WEEK_S).version)
    watchlists.import_csv(centre.store, csv, "chief", expires_s=WEEK_S)

    assert worker.say(device.id, ListWant(version=version, offset=offset)) == []


def test_publication_is_refused_when_a_newer_list_is_out(centre: Any, csv: Path) -> None:
    for _ in range(2):
        watchlists.import_csv(centre.store, csv, "chief", expires_s=WEEK_S)
    watchlists.publish(centre.store, 2)

    with pytest.raises(Refused, match="nothing older"):
        watchlists.publish(centre.store, 1)


def test_publication_is_not_found_when_nothing_was_imported(centre: Any) -> None:
    with pytest.raises(NotFound):
        watchlists.publish(centre.store)
    with pytest.raises(NotFound):
        watchlists.open_version(centre.store)
