"""Evidence carried by hand: both halves of docs/spec/medium.md, from a spool to receipts and back."""

from __future__ import annotations

import errno
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from sync import medium
from sync.central import fleet
from sync.central.medium import Taken, take_in
from vedette import cli, files, spool
from vedette.config import load_device
from vedette.errors import NotFound, Refused
from vedette.keys import SigningKey
from vedette.records import check_receipt, keyring, open_receipt

MIB = 1 << 20


def put(device: Any, item: Any) -> Any:
    """The item as the recorder leaves it in the spool."""
    root, kind = device.folder / "spool", item.manifest.kind
    spool.make_folders(root)
    spool.part_path(root, kind, item.id).write_bytes(item.sealed_bytes)
    spool.commit(root, kind, item.id, item.manifest_bytes)
    return item


def config_of(device: Any) -> Any:
    (device.folder / "receipts").mkdir(exist_ok=True)
    return load_device(device.folder / "device.toml")


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    folder = tmp_path / "stick"
    folder.mkdir()
    return folder


@pytest.fixture
def shift(device: Any) -> list[Any]:
    """A shift's items in the order of sending: two hits, then recordings of different sizes."""
    random.seed(5)
    segments = [put(device, device.item(random.randbytes(size))) for size in (300_000, 70_000, 1)]
    return [put(device, device.hit("AB123CD")), put(device, device.hit("EF456GH")), *segments]


def taken(centre: Any, stick: Path) -> Taken:
    return take_in(centre.store, centre.signer, stick, max_item_bytes=4 * MIB)


def carry(device: Any, stick: Path) -> medium.Report:
    return medium.carry_out(config_of(device), stick)


def quarantined(centre: Any) -> list[tuple[str, str]]:
    return [(row.device, row.code) for row in centre.store.quarantine()]


def snapshot(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_items_are_receipted_and_may_be_deleted_when_they_went_by_hand_and_back(
    centre: Any, device: Any, shift: list[Any], stick: Path
) -> None:
    """ME-1, ME-5, ME-6, ME-10, ME-11."""
    before = snapshot(device.folder / "spool")
    assert carry(device, stick).done == [item.id for item in shift]
    assert snapshot(device.folder / "spool") == before
    assert sorted(taken(centre, stick).stored) == sorted((device.id, item.id) for item in shift)
    assert medium.bring_receipts(config_of(device), stick).done == sorted(item.id for item in shift)
    for item in shift:
        receipt = (device.folder / "receipts" / f"{item.id}.receipt").read_bytes()
        held = spool.load(spool.manifest_path(device.folder / "spool", item.manifest.kind, item.id))
        check_receipt(open_receipt(receipt, keyring(centre.signer.key.public)), held.manifest, held.manifest_sha256)
        assert centre.store.blobs.open(item.manifest.sealed_sha256).read() == item.sealed_bytes
    assert [path for path in stick.rglob("*") if path.is_file()] == []
    assert len(centre.store.items(limit=50)) == len(shift)


def test_the_copy_is_the_spool_s_bytes_and_its_manifest_comes_last(
    device: Any, shift: list[Any], stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ME-2: cut off at each call that makes something durable, a manifest never lies there without its whole file."""
    calls, real = 0, os.fsync
    total = 4 * len(shift)
    for cut in range(total):
        shutil.rmtree(stick / medium.FOLDER, ignore_errors=True)
        calls = 0

        def fsync(descriptor: int, cut: int = cut) -> None:
            nonlocal calls
            calls += 1
            if calls > cut:
                raise KeyboardInterrupt
            real(descriptor)

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", fsync)
            with pytest.raises(KeyboardInterrupt):
                carry(device, stick)
        items, bad = spool.scan(stick / medium.FOLDER / device.id)
        assert bad == []
        for item in items:
            assert item.path.read_bytes() == next(one.sealed_bytes for one in shift if one.id == item.item_id)
        rest = carry(device, stick)
        assert sorted(rest.done + rest.already) == sorted(item.id for item in shift)
        assert list(stick.rglob("*.part")) == []
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", lambda descriptor: calls)
        shutil.rmtree(stick / medium.FOLDER)
        assert len(carry(device, stick).done) == len(shift)


def test_both_commands_reach_the_same_end_when_they_are_repeated(
    centre: Any, device: Any, shift: list[Any], stick: Path
) -> None:
    """ME-7, ME-11, ME-12: also when the item came over the network in between."""
    carry(device, stick)
    again = carry(device, stick)
    assert (again.done, again.already) == ([], [item.id for item in shift])
    first, second = taken(centre, stick), taken(centre, stick)
    assert sorted(second.already) == sorted(first.stored)
    assert (second.stored, second.refused) == ([], {})
    root = stick / medium.FOLDER / device.id / medium.RECEIPTS
    assert snapshot(root) and snapshot(root) == {f"{item.id}.receipt": centre.store.receipt(item.id) for item in shift}
    kept = medium.bring_receipts(config_of(device), stick)
    assert len(kept.done) == len(shift)
    (root / f"{shift[0].id}.receipt").write_bytes(centre.store.receipt(shift[0].id))
    assert medium.bring_receipts(config_of(device), stick).already == [shift[0].id]


def test_an_item_is_stored_once_when_it_comes_by_network_and_by_hand(
    centre: Any, device: Any, worker: Any, stick: Path
) -> None:
    """ME-11, ME-12: the import falls between the last part and the fin, and before a whole other upload."""
    first, second = put(device, device.item(b"one" * 20_000)), put(device, device.item(b"two" * 20_000))
    carry(device, stick)
    worker.say(device.id, first.init())
    worker.say(device.id, *first.parts())
    assert len(taken(centre, stick).stored) == 2
    (sealed,) = worker.say(device.id, first.fin())
    assert sealed.receipt == centre.store.receipt(first.id)
    (sealed,) = worker.say(device.id, second.init())
    assert sealed.receipt == centre.store.receipt(second.id)
    assert len(centre.store.items(limit=50)) == 2
    assert centre.store.db.execute("SELECT count(*) FROM leaves").fetchone() == (2,)


def test_what_finds_no_room_is_left_behind_and_smaller_items_go(
    device: Any, shift: list[Any], stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ME-3."""
    monkeypatch.setattr(medium, "_free_bytes", lambda folder: medium.SPARE_BYTES + 100_000)
    report = carry(device, stick)
    assert list(report.left) == [shift[2].id]
    assert "no room" in report.left[shift[2].id]
    assert report.done == [item.id for item in shift if item is not shift[2]]


def test_an_item_damaged_in_the_spool_is_named_and_not_copied(device: Any, shift: list[Any], stick: Path) -> None:
    """ME-2, ME-3."""
    path = spool.final_path(device.folder / "spool", "segment", shift[2].id)
    path.chmod(0o640)
    path.write_bytes(bytes(len(shift[2].sealed_bytes)))
    report = carry(device, stick)
    assert "not those of its manifest" in report.left[shift[2].id]
    assert len(report.done) == len(shift) - 1
    assert not spool.manifest_path(stick / medium.FOLDER / device.id, "segment", shift[2].id).exists()


@pytest.mark.parametrize("how", ["other item", "other centre", "cut", "not an id"])
def test_a_receipt_that_does_not_hold_changes_nothing_and_stays(
    centre: Any, device: Any, shift: list[Any], stick: Path, how: str
) -> None:
    """ME-5, ME-6."""
    carry(device, stick)
    taken(centre, stick)
    folder = stick / medium.FOLDER / device.id / medium.RECEIPTS
    victim, other = (folder / f"{item.id}.receipt" for item in shift[:2])
    good = victim.read_bytes()
    for path in folder.iterdir():
        path.unlink()
    if how == "other centre":
        trust = device.folder / "trust.json"
        public = fleet.centre_trust(centre.folder).centre
        trust.write_bytes(trust.read_bytes().replace(public.text.encode(), SigningKey.generate().public.text.encode()))
    place = {"other item": other, "not an id": folder / "x.receipt"}.get(how, victim)
    place.write_bytes(good[:-9] if how == "cut" else good)
    report = medium.bring_receipts(config_of(device), stick)
    assert (report.done, len(report.left)) == ([], 1)
    assert place.exists() and list((device.folder / "receipts").iterdir()) == []
    assert spool.manifest_path(stick / medium.FOLDER / device.id, "hit", shift[0].id).exists()


def test_a_receipt_for_what_left_the_spool_clears_the_medium_only_when_it_is_that_item_s(
    centre: Any, device: Any, shift: list[Any], stick: Path
) -> None:
    """ME-5, ME-6."""
    carry(device, stick)
    taken(centre, stick)
    shutil.rmtree(device.folder / "spool")
    root = stick / medium.FOLDER / device.id
    shutil.copy(root / medium.RECEIPTS / f"{shift[0].id}.receipt", root / medium.RECEIPTS / f"{shift[1].id}.receipt")
    report = medium.bring_receipts(config_of(device), stick)
    assert list(report.left) == [shift[1].id]
    assert [item.item_id for item in spool.scan(root)[0]] == [shift[1].id]


def test_a_medium_that_is_missing_or_empty_is_said_so_and_changes_nothing(
    centre: Any, device: Any, shift: list[Any], stick: Path, tmp_path: Path
) -> None:
    """ME-8."""
    for wrong in (tmp_path / "none", device.folder / "device.toml"):
        with pytest.raises(NotFound, match="mount the medium"):
            carry(device, wrong)
    with pytest.raises(NotFound, match="nothing for car-1"):
        medium.bring_receipts(config_of(device), stick)
    with pytest.raises(NotFound, match="nothing was carried"):
        taken(centre, stick)
    (stick / medium.FOLDER).write_bytes(b"a file")
    with pytest.raises(Refused, match="writable"):
        carry(device, stick)


def test_what_does_not_verify_is_quarantined_and_holds_up_nothing(
    centre: Any, device: Any, shift: list[Any], stick: Path
) -> None:
    """ME-10, ME-13."""
    stranger = centre.stranger("car-9")
    carry(device, stick)
    root = stick / medium.FOLDER / device.id
    flipped = bytearray(shift[2].sealed_bytes)
    flipped[1000] ^= 1
    spool.final_path(root, "segment", shift[2].id).write_bytes(flipped)
    forged = device.item(b"forged", key=stranger.key)
    spool.final_path(root, "segment", forged.id).write_bytes(forged.sealed_bytes)
    spool.manifest_path(root, "segment", forged.id).write_bytes(forged.manifest_bytes)
    large = device.item(bytes(4 * MIB))
    spool.final_path(root, "segment", large.id).write_bytes(large.sealed_bytes)
    spool.manifest_path(root, "segment", large.id).write_bytes(large.manifest_bytes)
    spool.manifest_path(root, "segment", shift[4].id).write_bytes(b"{}")
    done = taken(centre, stick)
    assert {item for _device, item in done.stored} == {shift[0].id, shift[1].id, shift[3].id}
    assert sorted(done.refused) == sorted(
        f"{device.id}/{one}.manifest" for one in (shift[2].id, forged.id, large.id, shift[4].id)
    )
    assert sorted(quarantined(centre)) == [(device.id, "invalid")] * 3 + [(device.id, "mismatch")]
    assert not centre.store.blobs.has(shift[2].manifest.sealed_sha256)
    assert list((centre.folder / "importing").iterdir()) == []


def test_nothing_is_taken_from_a_device_that_is_not_enrolled_or_revoked(
    centre: Any, device: Any, shift: list[Any], stick: Path
) -> None:
    """ME-15."""
    carry(device, stick)
    shutil.copytree(stick / medium.FOLDER / device.id, stick / medium.FOLDER / "car-9")
    fleet.revoke(centre.store, device.id)
    done = taken(centre, stick)
    assert (done.stored, sorted(done.refused)) == ([], [device.id, "car-9"])
    assert sorted(quarantined(centre)) == [(device.id, "revoked"), ("car-9", "revoked")]
    assert list(stick.rglob("*.receipt")) == []


def test_an_item_of_one_device_is_not_taken_from_the_folder_of_another(
    centre: Any, device: Any, shift: list[Any], stick: Path
) -> None:
    """ME-10."""
    centre.device("car-2")
    carry(device, stick)
    (stick / medium.FOLDER / device.id).rename(stick / medium.FOLDER / "car-2")
    done = taken(centre, stick)
    assert (done.stored, len(done.refused)) == ([], len(shift))


@pytest.mark.timeout(60)
def test_a_hostile_medium_leads_nowhere_and_holds_nothing_up(
    centre: Any, device: Any, shift: list[Any], stick: Path, tmp_path: Path
) -> None:
    """ME-14: links, a pipe, a device file, endless bytes, names that are none."""
    secret = tmp_path / "secret"
    secret.write_bytes(shift[1].sealed_bytes)
    carry(device, stick)
    root = stick / medium.FOLDER / device.id
    paths = [spool.final_path(root, item.manifest.kind, item.id) for item in shift]
    for path in paths[:4]:
        path.unlink()
    paths[0].mkdir()
    paths[1].symlink_to(secret)
    os.mkfifo(paths[2])
    paths[3].symlink_to("/dev/zero")
    (stick / medium.FOLDER / "...").mkdir()
    (stick / medium.FOLDER / "car-2").symlink_to(root)
    centre.device("car-2")
    (root / "hit" / "..manifest").write_bytes(b"x")
    linked = spool.manifest_path(root, "hit", device.hit().id)
    linked.symlink_to(spool.manifest_path(root, "hit", shift[0].id))
    with paths[4].open("ab") as file:
        file.truncate(3 << 30)
    done = taken(centre, stick)
    assert (done.stored, len(done.refused)) == ([], len(shift))
    assert list((centre.folder / "importing").iterdir()) == []


def test_a_full_disk_of_the_centre_ends_the_run_and_another_goes_on(
    centre: Any, device: Any, shift: list[Any], stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ME-7, ME-11: nothing is receipted that is not stored."""
    carry(device, stick)

    def full(source: Path, sha256: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(centre.store.blobs, "adopt", full)
        with pytest.raises(OSError, match="No space"):
            taken(centre, stick)
    assert list(stick.rglob("*.receipt")) == []
    assert len(taken(centre, stick).stored) == len(shift)


def test_the_commands_carry_a_shift_its_journal_goes_along_and_what_stays_is_told(
    centre: Any, device: Any, shift: list[Any], stick: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """ME-4, ME-8, ME-13."""
    config = str(device.folder / "device.toml")
    config_of(device)
    assert cli.main(["device", "carry", str(stick), "--config", config]) == 0
    assert f"{len(shift) + 1} items copied" in capsys.readouterr().out
    assert cli.main(["central", "import", str(centre.folder), str(stick)]) == 0
    assert f"{device.id}  {len(shift) + 1}" in " ".join(capsys.readouterr().out.split("\n")).replace("   ", "  ")
    assert cli.main(["device", "receipts", str(stick), "--config", config]) == 0
    assert f"{len(shift) + 1} receipts taken in" in capsys.readouterr().out
    (custody,) = [item for item in centre.store.items(limit=50) if item.kind == "custody"]
    plain = (device.folder / "journal" / "carry" / "000000000001.jsonl").read_bytes()
    assert plain.count(b'"event":"item.carried"') == len(shift)
    assert all(item.id.encode() in plain for item in shift)
    assert files.read(device.folder / "receipts" / f"{custody.item}.receipt", max_bytes=MIB)
    assert cli.main(["device", "carry", str(stick / "none"), "--config", config]) == NotFound.exit_code
    (device.folder / "trust.json").unlink()
    assert cli.main(["device", "carry", str(stick), "--config", config]) != 0
