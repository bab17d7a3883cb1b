"""A file that was taken from a device before it was sent is missed at the centre, by what its device had signed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sync.central.case_commands import HOUR_US
from sync.central.missing import missing_items
from vedette.cli import main
from vedette.clock import uuid7

MEDIA_US = 58_200_000


@pytest.fixture
def stored(centre: Any, device: Any, worker: Any) -> tuple[str, str, str]:
    """Three segments of one recording of which custody tells; the second never came. Ids in order."""
    journal = device.journal()
    items = [device.item(bytes([number]) * 5_000) for number in range(3)]
    for item in items:
        manifest = item.manifest
        journal.append("segment.opened", item=item.id, detail={"sequence": manifest.sequence})
        journal.append("segment.checkpoint", item=item.id, detail={"offset": 4_000, "media_us": 30_000_000})
        ending = {"sealed_size": manifest.sealed_size, "sealed_sha256": manifest.sealed_sha256, "media_us": MEDIA_US}
        journal.append("segment.closed", item=item.id, detail=ending)
    for item in (items[0], items[2], device.custody(journal.roll())):
        worker.upload(item)
    return items[0].id, items[1].id, items[2].id


def test_item_that_custody_names_and_that_never_came_is_listed_with_what_is_known_of_it(
    centre: Any, stored: tuple[str, str, str]
) -> None:
    """CS-17: and none that is here."""
    (found,) = missing_items(centre.store)
    assert (found.item, found.device, found.said) == (stored[1], "car-1", "segment.closed")
    assert found.media_us == MEDIA_US
    assert found.sealed_size is not None and found.sealed_size > 5_000
    assert abs(found.said_us - centre.clock.utc_us()) < HOUR_US


@pytest.mark.parametrize(("hours", "overdue"), [(71, False), (73, True)])
def test_item_is_overdue_once_it_had_its_time(
    centre: Any, stored: tuple[str, str, str], hours: int, overdue: bool
) -> None:
    """CS-17."""
    centre.clock.advance(hours * HOUR_US)
    (found,) = missing_items(centre.store, waits_us=72 * HOUR_US)
    assert found.overdue is overdue


def test_nothing_is_missing_once_it_came(centre: Any, device: Any, worker: Any) -> None:
    """CS-17."""
    item = device.item(b"video" * 1000)
    journal = device.journal()
    journal.append("segment.opened", item=item.id)
    worker.upload(device.custody(journal.roll()))
    (found,) = missing_items(centre.store)
    assert (found.item, found.said, found.media_us, found.sealed_size) == (item.id, "segment.opened", None, None)
    worker.upload(item)
    assert missing_items(centre.store) == []


@pytest.mark.parametrize(("device_id", "count"), [("car-1", 3), ("car-2", 0), (None, 3)])
def test_list_is_of_one_device_and_bounded_when_asked(
    centre: Any, device: Any, worker: Any, device_id: str | None, count: int
) -> None:
    """CS-17."""
    journal = device.journal()
    for _ in range(3):
        centre.clock.advance(1_000_000)
        journal.append("hit.raised", item=uuid7(centre.clock))
    worker.upload(device.custody(journal.roll()))
    assert len(missing_items(centre.store, device=device_id)) == count
    assert len(missing_items(centre.store, device=device_id, limit=2)) == min(count, 2)


def test_command_ends_with_10_only_where_one_is_overdue(
    centre: Any, stored: tuple[str, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """CS-17."""
    command = ["evidence", "missing", str(centre.folder)]
    # The store's clock of a test lies in the past of the command's.
    assert main([*command, "--waits-h", "0"]) == 10
    said = capsys.readouterr().out
    assert stored[1] in said
    assert "58.2 s" in said
    assert "1 named by custody and not here" in said
    assert main([*command, "--waits-h", "8784", "--json"]) == 0
    (value,) = json.loads(capsys.readouterr().out)
    assert (value["item"], value["overdue"]) == (stored[1], False)
    assert main([*command, "--waits-h", "8785"]) == 2
    assert "must be from 0 to 8784" in capsys.readouterr().err
    assert main([*command, "--device", "car-9"]) == 0
