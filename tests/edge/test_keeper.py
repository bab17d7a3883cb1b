"""The keeper: only a receipt deletes, and only the one that is right in every field (law 6)."""

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge.commands import init_device
from edge.keeper import MAX_PER_STEP, KeeperService, open_keeper
from vedette import config, files, spool
from vedette.clock import FakeClock, uuid7
from vedette.config import CameraSection
from vedette.custody import Journal, seal_closed
from vedette.custody_entry import Entry, parse_line
from vedette.daemon import read_status
from vedette.errors import NotFound, Refused
from vedette.identity import Identity
from vedette.keys import SigningKey
from vedette.records import MANIFEST, RECEIPT, Manifest, Receipt, sign_record
from vedette.sealed import HybridIdentity
from vedette.trust import Trust, load_trust

CENTRE = SigningKey.generate()
RECIPIENT = HybridIdentity.generate().recipient.text


@dataclass
class Bench:
    """A device folder with a keeper on it."""

    folder: Path
    clock: FakeClock
    keeper: KeeperService
    manifest_of: Callable[..., Manifest]

    @property
    def key(self) -> SigningKey:
        return SigningKey.load(self.folder / "keys" / "sign.pem")

    def item(self, content: bytes = b"sealed bytes", kind: str = "segment") -> spool.Item:
        """A committed item of the device."""
        item_id = uuid7(self.clock)
        spool.part_path(self.folder / "spool", kind, item_id).write_bytes(content)
        manifest = self.manifest_of(content, item=item_id, kind=kind, priority=4)
        return spool.commit(self.folder / "spool", kind, item_id, sign_record(MANIFEST, manifest.to_body(), self.key))

    def receipt(self, item: spool.Item, *, key: SigningKey = CENTRE, name: str | None = None, **more: object) -> Path:
        """Leave a receipt for `item` as the uplink does; `more` overrides what it says."""
        receipt = Receipt(
            item=item.item_id,
            device="car-1",
            sealed_sha256=item.manifest.sealed_sha256,
            sealed_size=item.manifest.sealed_size,
            manifest_sha256=item.manifest_sha256,
            stored_us=self.clock.utc_us(),
            log_index=3,
            log_checkpoint="checkpoint",
        )
        body = dataclasses.replace(receipt, **more).to_body()
        path = self.folder / "receipts" / (name or f"{item.item_id}.receipt")
        path.write_bytes(sign_record(RECEIPT, body, key))
        os.utime(path, (self.clock.utc_us() / 1e6,) * 2)
        return path

    def step(self) -> float:
        return self.keeper.step(self.clock.mono_us())

    def entries(self, event: str) -> list[Entry]:
        paths = sorted((self.folder / "journal" / "keeper").glob("*.jsonl"))
        lines = [line for path in paths for line in path.read_bytes().splitlines()]
        return [entry for entry in map(parse_line, lines) if entry.event == event]

    def left(self, item: spool.Item) -> list[str]:
        return sorted(path.name for path in self.folder.rglob(f"{item.item_id}*"))


@pytest.fixture
def bench(tmp_path: Path, run_dir: Path, manifest_of: Callable[..., Manifest]) -> Iterator[Bench]:
    folder, clock = tmp_path / "car-1", FakeClock()
    device = init_device(folder, "car-1", camera=CameraSection(), run_dir=run_dir)
    trust = Trust(
        centre=CENTRE.public,
        list_signer=CENTRE.public,
        log_origin="test/log",
        evidence=(RECIPIENT,),
        oversight=(RECIPIENT,),
        triage=RECIPIENT,
    )
    (folder / "trust.json").write_bytes(trust.to_bytes())
    one = Bench(folder, clock, open_keeper(device, clock), manifest_of)
    yield one
    one.keeper.close()


@pytest.mark.parametrize("kind", ["segment", "hit", "custody"])
def test_item_is_deleted_with_its_manifest_when_its_receipt_is_right(bench: Bench, kind: str):
    """SP-6, RE-21."""
    item, other = bench.item(kind=kind), bench.item()
    receipt = bench.receipt(item).read_bytes()
    bench.step()
    assert bench.left(item) == []
    assert len(bench.left(other)) == 2
    (entry,) = bench.entries("item.deleted")
    assert entry.item == item.item_id
    assert entry.detail["receipt_sha256"] == hashlib.sha256(receipt).hexdigest()
    assert entry.detail["sealed_sha256"] == item.manifest.sealed_sha256


def test_nothing_is_deleted_when_there_is_no_receipt(bench: Bench):
    """SP-6."""
    item = bench.item()
    for _ in range(5):
        bench.step()
    assert len(bench.left(item)) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"device": "car-2"},
        {"sealed_sha256": "0" * 64},
        {"sealed_size": 11},
        {"manifest_sha256": "0" * 64},
    ],
)
def test_item_is_kept_and_the_receipt_reported_when_one_field_is_wrong(bench: Bench, wrong: dict[str, object]):
    """RE-21."""
    item = bench.item()
    bench.receipt(item, **wrong)
    bench.step()
    assert len(bench.left(item)) == 3
    assert [entry.item for entry in bench.entries("receipt.refused")] == [item.item_id]
    assert read_status(bench.keeper._config.run, "keeper")["state"] == "receipts_refused"


def test_item_is_kept_when_the_receipt_is_signed_by_somebody_else(bench: Bench):
    item = bench.item()
    bench.receipt(item, key=SigningKey.generate())
    bench.receipt(bench.item(), key=bench.key)
    bench.step()
    assert len(bench.left(item)) == 3
    assert len(bench.entries("receipt.refused")) == 2


def test_item_is_kept_when_the_receipt_is_of_another_item(bench: Bench):
    item, other = bench.item(), bench.item()
    bench.receipt(other, name=f"{item.item_id}.receipt")
    bench.step()
    assert len(bench.left(item)) == 3
    assert len(bench.left(other)) == 2


def test_item_is_kept_when_its_file_is_not_the_one_in_the_receipt(bench: Bench):
    """RE-21: the file is hashed again."""
    item = bench.item(b"sealed bytes")
    bench.receipt(item)
    item.path.write_bytes(b"sealed bytez")
    bench.step()
    assert len(bench.left(item)) == 3
    assert "kept" in bench.entries("receipt.refused")[0].detail["why"]


def test_item_is_kept_when_its_manifest_is_not_signed_by_this_device(bench: Bench):
    item = bench.item()
    forged = sign_record(MANIFEST, item.manifest.to_body(), SigningKey.generate())
    item.manifest_path.write_bytes(forged)
    bench.receipt(item, manifest_sha256=hashlib.sha256(forged).hexdigest())
    bench.step()
    assert len(bench.left(item)) == 3


def test_file_is_kept_when_it_has_no_manifest_yet(bench: Bench):
    item = bench.item()
    item.manifest_path.unlink()
    bench.receipt(item)
    bench.step()
    assert len(bench.left(item)) == 2


@pytest.mark.parametrize("data", [b"", b"{}", b"not a receipt"])
def test_receipt_that_is_none_is_reported_and_stays(bench: Bench, data: bytes):
    item = bench.item()
    (bench.folder / "receipts" / f"{item.item_id}.receipt").write_bytes(data)
    bench.step()
    assert len(bench.left(item)) == 3


def test_wrong_receipt_is_reported_once_and_again_when_it_is_replaced(bench: Bench):
    item = bench.item()
    bench.receipt(item, sealed_size=11)
    for _ in range(5):
        bench.step()
    assert len(bench.entries("receipt.refused")) == 1
    path = bench.folder / "receipts" / f"{item.item_id}.receipt"
    path.unlink()
    bench.receipt(item)
    bench.clock.advance(1)
    bench.step()
    assert bench.left(item) == []


def test_receipt_with_a_name_that_is_no_item_is_reported(bench: Bench):
    item = bench.item()
    bench.receipt(item, name="..receipt")
    bench.receipt(item, name="x.receipt")
    bench.step()
    assert len(bench.left(item)) == 2
    assert len(bench.entries("receipt.refused")) == 2


@pytest.mark.parametrize("operations", range(1, 12))
def test_deletion_is_finished_by_the_next_run_when_the_power_goes_in_it(bench: Bench, monkeypatch, operations: int):
    """SP-6. SP-6: whatever was left, the next run finishes it, and custody says so."""
    item = bench.item()
    bench.receipt(item)
    count = iter(range(operations))

    def cut(original):
        def operation(*args: object, **more: object) -> object:
            if next(count, None) is None:
                raise PowerCut
            return original(*args, **more)

        return operation

    with monkeypatch.context() as patch:
        for module, name in ((os, "fsync"), (os, "write"), (files, "remove")):
            patch.setattr(module, name, cut(getattr(module, name)))
        with contextlib.suppress(PowerCut):
            bench.step()
    bench.keeper._journal.close()
    device = config.load_device(bench.folder / "device.toml")
    bench.keeper = open_keeper(device, bench.clock)
    bench.step()
    assert bench.left(item) == []
    assert {entry.item for entry in bench.entries("item.deleted")} == {item.item_id}


class PowerCut(BaseException):
    pass


@pytest.mark.parametrize(("waited_s", "gone"), [(0, False), (59, False), (60, True), (61, True)])
def test_item_stays_as_long_as_configured_when_it_has_its_receipt(bench: Bench, waited_s: int, gone: bool):
    path = bench.folder / "device.toml"
    path.write_text(path.read_text() + "[keeper]\nkeep_receipted_s = 60\nlow_free_mib = 0\n")
    bench.keeper.close()
    bench.keeper = open_keeper(config.load_device(path), bench.clock)
    item = bench.item()
    bench.receipt(item)
    bench.clock.advance(waited_s * 1_000_000)
    bench.step()
    assert (bench.left(item) == []) is gone


def test_item_that_has_its_receipt_goes_at_once_when_room_is_low_and_one_without_never(bench: Bench):
    """ST-1, SP-6."""
    path = bench.folder / "device.toml"
    path.write_text(path.read_text() + "[keeper]\nkeep_receipted_s = 3600\nlow_free_mib = 1000\n")
    bench.keeper.close()
    device, free = config.load_device(path), [2000 << 20]
    trust = load_trust(device.trust)
    bench.keeper = KeeperService(device, bench.clock, trust=trust, key=bench.key, free=lambda _: free[0])
    item, other = bench.item(), bench.item()
    bench.receipt(item)
    bench.step()
    assert bench.left(item) != []
    free[0] = 10 << 20
    bench.step()
    assert (bench.left(item), bench.left(other) != []) == ([], True)
    free[0] = 2000 << 20
    bench.step()
    said = [entry.detail for entry in bench.entries("room.changed")]
    assert said == [{"rung": "marked_stops", "free_mib": 10}, {"rung": "plenty", "free_mib": 2000}]
    assert read_status(device.run, "keeper")["room"] == "plenty"


def test_plain_journal_is_deleted_when_its_sealed_copy_has_its_receipt(bench: Bench):
    """CJ-18."""
    folder = bench.folder / "journal" / "recorder"
    journal = Journal.open(folder, service="recorder", device="car-1", key=bench.key, clock=bench.clock)
    closed = journal.roll()
    journal.append("recording.started")
    recipients = load_trust(bench.folder / "trust.json").lead_recipients()
    (item,) = seal_closed(journal, bench.folder / "spool", recipients, identity=Identity())
    bench.step()
    assert closed.exists()
    bench.receipt(item)
    bench.step()
    assert not closed.exists()
    assert len(list(folder.glob("*.jsonl"))) == 1
    assert bench.left(item) == []


@pytest.mark.parametrize("count", [MAX_PER_STEP - 1, MAX_PER_STEP, MAX_PER_STEP + 1])
def test_step_deletes_a_bounded_number_and_comes_back_at_once_when_more_wait(bench: Bench, count: int):
    for _ in range(count):
        bench.receipt(bench.item())
    pause_s = bench.step()
    assert bench.keeper.counts.deleted == min(count, MAX_PER_STEP)
    assert (pause_s == 0.0) is (count > MAX_PER_STEP)
    bench.step()
    assert bench.keeper.counts.deleted == count


def test_keepers_own_journal_is_sealed_when_it_stops(bench: Bench):
    bench.receipt(bench.item())
    bench.step()
    bench.keeper.close()
    items, _ = spool.scan(bench.folder / "spool")
    assert [item.kind for item in items] == ["custody"]


def test_keeper_is_not_opened_when_the_device_is_not_enrolled(bench: Bench):
    (bench.folder / "trust.json").unlink()
    with pytest.raises(NotFound, match=r"trust\.json"):
        open_keeper(config.load_device(bench.folder / "device.toml"), bench.clock)


def test_keeper_is_not_opened_when_another_one_is_at_work(bench: Bench):
    with pytest.raises(Refused, match="another process"):
        open_keeper(config.load_device(bench.folder / "device.toml"), bench.clock)
