"""Hits and custody journals that the centre opens after their receipt (docs/spec/receipt.md, RC-11 to RC-13)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sync.central import triage as triage_module
from sync.central.triage import AGAIN_US, Triage
from vedette.custody_tail import MAX_FILE_ENTRIES
from vedette.errors import NotFound
from vedette.wire import Sealed


def test_hit_becomes_a_row_when_it_is_stored(centre: Any, device: Any, worker: Any) -> None:
    """RC-11. The record is a row, the pictures are opened on demand."""
    worker.upload(device.hit("AB123CD"))

    (row,) = centre.store.hits()

    assert (row.text, row.region, row.state, row.pictures) == ("AB123CD", "FR", "open", ("crop.jpg", "context.jpg"))
    assert row.sighting.entry.reason == "stolen"
    assert centre.store.picture(row.hit, "crop.jpg") == b"\xff\xd8crop"
    with pytest.raises(NotFound):
        centre.store.picture(row.hit, "../crop.jpg")


def test_no_picture_is_readable_on_the_centres_disk_when_hits_are_stored(centre: Any, device: Any, worker: Any) -> None:
    """RC-11."""
    worker.upload(device.hit())
    centre.store.picture(centre.store.hits()[0].hit, "crop.jpg")

    everything = b"".join(path.read_bytes() for path in centre.folder.rglob("*") if path.is_file())

    assert b"\xff\xd8crop" not in everything


def test_receipt_stays_when_a_hit_cannot_be_opened(centre: Any, device: Any, worker: Any) -> None:
    """RC-11. The item says why; nothing else is held up."""
    (answer,) = worker.upload(device.item(b"no hit at all", "hit"))
    worker.upload(device.hit())

    bad, good = sorted(centre.store.items("hit"), key=lambda row: row.log_index)

    assert isinstance(answer, Sealed)
    assert (bad.opened, good.opened) == (False, True)
    assert "header" in str(bad.problem)
    assert len(centre.store.hits()) == 1


def test_what_waits_is_opened_in_one_transaction_and_no_more_bytes_at_once_than_one_item_may_have(
    centre: Any, device: Any, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RC-11. A device that sends the largest items there may be does not fill the centre's memory."""
    with monkeypatch.context() as dead:
        dead.setattr("sync.central.triage.Triage.open_waiting", lambda *_: True)
        for _ in range(5):
            worker.upload(device.hit())
    sizes = [row.sealed_size for row in centre.store.items("hit")]
    monkeypatch.setattr("sync.central.triage.MAX_OPENED_BYTES", 2 * max(sizes))
    begun: list[str] = []
    monkeypatch.setattr(centre.store, "_transaction", partial(_counted, begun, centre.store._transaction))
    triage = Triage(centre.store)

    told = [(triage.open_waiting(4), len(centre.store.hits()), len(begun)) for _ in range(4)]

    assert told == [(False, 2, 1), (False, 4, 2), (True, 5, 3), (True, 5, 3)]
    assert {row.problem for row in centre.store.items("hit")} == {None}


def test_hit_that_the_store_does_not_give_is_opened_later_and_holds_up_no_other(
    centre: Any, device: Any, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RC-11. A store that is away for a moment is no fault of the hit: a stolen car would never be shown."""
    waiting = [hit_that_waits(worker, device, monkeypatch) for _ in range(3)]
    lost = centre.store.item(waiting[0]).sealed_sha256
    real = centre.store.blobs.read

    def read(sha256: str, *, max_bytes: int) -> bytes:
        if sha256 == lost:
            raise OSError(5, "Input/output error")
        return real(sha256, max_bytes=max_bytes)

    triage = Triage(centre.store)
    with monkeypatch.context() as away:
        away.setattr(centre.store.blobs, "read", read)
        assert not triage.open_waiting(1)
        assert triage.open_waiting(3)
        assert {row.item for row in centre.store.hits()} == set(waiting[1:])
    assert triage.open_waiting(3)
    assert len(centre.store.hits()) == 2
    centre.clock.advance(AGAIN_US)
    assert triage.open_waiting(3)
    assert len(centre.store.hits()) == 3
    assert centre.store.quarantine() == []


def test_triage_rests_while_the_store_gives_nothing(
    centre: Any, device: Any, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RC-11."""
    for _ in range(3):
        hit_that_waits(worker, device, monkeypatch)
    monkeypatch.setattr("sync.central.triage.MAX_UNREADABLE", 2)
    asked: list[str] = []

    def read(sha256: str, *, max_bytes: int) -> bytes:
        asked.append(sha256)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(centre.store.blobs, "read", read)
    triage = Triage(centre.store)
    assert [triage.open_waiting(1) for _ in range(9)] == [False, False, *[True] * 7]
    assert len(asked) == 2


def test_item_that_no_row_can_be_made_of_holds_up_no_other(
    centre: Any, device: Any, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RC-11. It is shown in quarantine, and the centre goes on after a restart too."""
    waiting = [hit_that_waits(worker, device, monkeypatch) for _ in range(3)]

    def keep(db: Any, manifest: Any, payload: bytes) -> str | None:
        if manifest.item == waiting[1]:
            raise ValueError("what nobody thought of")
        return real(db, manifest, payload)

    real = triage_module._keep_hit
    monkeypatch.setattr(triage_module, "_keep_hit", keep)

    assert Triage(centre.store).open_waiting(4)

    assert {row.item for row in centre.store.hits()} == {waiting[0], waiting[2]}
    (complaint,) = centre.store.quarantine()
    assert (complaint.item, "ValueError" in complaint.text) == (waiting[1], True)
    assert "ValueError" in str(centre.store.item(waiting[1]).problem)


def test_hits_are_opened_before_journals_that_came_first(
    centre: Any, device: Any, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RC-11. Nobody waits for a stolen car behind a night's journals."""
    with monkeypatch.context() as dead:
        dead.setattr("sync.central.triage.Triage.open_waiting", lambda *_: True)
        for path in files_of(device, 2):
            worker.upload(device.custody(path))
    hit_that_waits(worker, device, monkeypatch)

    Triage(centre.store).open_waiting(1)

    assert len(centre.store.hits()) == 1


def test_journal_longer_than_any_that_is_closed_is_not_read_line_by_line(centre: Any, device: Any, worker: Any) -> None:
    """RC-13. Each line's signature takes time, in which no hit is heard."""
    worker.upload(device.item(b"{}\n" * (MAX_FILE_ENTRIES + 1), "custody"))

    assert "512 at most" in str(centre.store.items("custody")[0].problem)


def hit_that_waits(worker: Any, device: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """The item of a hit that is stored and not opened."""
    with monkeypatch.context() as dead:
        dead.setattr("sync.central.triage.Triage.open_waiting", lambda *_: True)
        hit = device.hit()
        worker.upload(hit)
    return str(hit.id)


def _counted(begun: list[str], transaction: Callable[[str], Any], begin: str) -> Any:
    begun.append(begin)
    return transaction(begin)


def test_hit_is_not_believed_when_it_says_another_device(centre: Any, device: Any, worker: Any) -> None:
    """RC-11."""
    worker.upload(device.hit(device="car-2"))

    assert centre.store.hits() == []
    assert "car-2" in str(centre.store.items("hit")[0].problem)


def test_hit_waits_for_triage_when_the_worker_dies_after_the_receipt(
    centre: Any, device: Any, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RC-11. The queue is in the transaction of the receipt."""
    with monkeypatch.context() as dead:
        dead.setattr("sync.central.triage.Triage.open_waiting", lambda *_: True)
        worker.upload(device.hit())
    assert centre.store.hits() == []
    worker.restart()
    worker.step()

    assert len(centre.store.hits()) == 1


def files_of(device: Any, files: int, service: str = "recorder") -> list[Path]:
    """So many closed journal files, two lines in each; the second file names a gap."""
    journal = device.journal(service)
    for number in range(files):
        journal.append("segment.opened", item="01890000-0000-7000-8000-000000000001")
        if number == 1:
            journal.append("gap", detail={"from_us": 10, "to_us": 20, "why": "killed"})
        journal.roll()
    journal.close()
    found: list[Path] = sorted(journal.folder.glob("*.jsonl"))
    return found


def test_chain_is_read_in_order_when_journals_arrive_in_any(centre: Any, device: Any, worker: Any) -> None:
    """RC-12."""
    items = [device.custody(path) for path in files_of(device, 3)]
    worker.upload(items[2])
    worker.upload(items[1])
    (early,) = centre.store.chains()
    assert (early.seq, early.waiting, centre.store.custody_lines(device.id, "recorder")) == (0, 2, [])

    worker.upload(items[0])
    worker.step()
    worker.step()

    (chain,) = centre.store.chains(device.id)
    lines = centre.store.custody_lines(device.id, "recorder")
    assert (chain.problem, chain.waiting, chain.seq) == (None, 0, len(lines))
    assert chain.head == hashlib.sha256(lines[-1]).hexdigest()
    assert [(gap.from_us, gap.to_us, gap.why) for gap in centre.store.gaps()] == [(10, 20, "killed")]
    assert all(item.opened for item in centre.store.items("custody"))


def test_chains_are_apart_when_two_services_write(centre: Any, device: Any, worker: Any) -> None:
    """RC-12."""
    for service in ("recorder", "reader"):
        worker.upload(device.custody(files_of(device, 1, service)[0], service))

    assert [(row.service, row.problem) for row in centre.store.chains()] == [("reader", None), ("recorder", None)]


def test_chain_is_broken_when_a_line_was_changed(centre: Any, device: Any, worker: Any) -> None:
    """RC-13. The journals after it still follow its bytes and are kept; the mark stays."""
    first, second, third = files_of(device, 3)
    worker.upload(device.custody(first))
    worker.upload(device.custody(second, damage=lambda journal: journal.replace(b"killed", b"resume")))
    worker.upload(device.custody(third))

    (chain,) = centre.store.chains()

    assert chain.problem is not None and "broken after seq 2" in chain.problem
    assert centre.store.device(device.id).broken_chains == 1
    lines = centre.store.custody_lines(device.id, "recorder")
    assert (len(lines), chain.seq) == (3, 5)
    assert [row.opened for row in reversed(centre.store.items("custody"))] == [True, False, True]
    assert centre.store.gaps() == []


def test_chain_is_broken_when_two_signed_lines_have_one_number(centre: Any, device: Any, worker: Any) -> None:
    """RC-13. A device that tells two stories is caught."""
    worker.upload(device.custody(files_of(device, 1)[0]))
    (device.folder / "journal" / "recorder").rename(device.folder / "first-story")
    worker.upload(device.custody(files_of(device, 1)[0]))

    (chain,) = centre.store.chains()

    assert chain.problem is not None and "two different signed lines" in chain.problem


@pytest.mark.parametrize("journal", [b"", b"no journal\n", b'{"seq":1}'])
def test_chain_is_broken_when_a_journal_is_none(centre: Any, device: Any, worker: Any, journal: bytes) -> None:
    """RC-13."""
    path = files_of(device, 1)[0]
    item = device.custody(path, damage=lambda _plain: journal)

    (answer,) = worker.upload(item)

    assert isinstance(answer, Sealed)
    assert centre.store.chains()[0].problem is not None
    assert centre.store.items("custody")[0].opened is False
