"""Bundles: how they are made, and what the vectors say of checking them."""

import dataclasses
import hashlib
import json
import os
import stat
import zipfile
from pathlib import Path
from typing import Any

import good_bundle
import pytest

from vedette import bundle, bundle_verify, bundle_zip, sealed
from vedette.bundle_zip import Member
from vedette.errors import Integrity, NotFound, Refused
from vedette.findings import Report
from vedette.newfile import new_file
from vedette.trust import load_trust

HERE = Path(__file__).parents[1] / "vectors" / "bundle"
CASES = json.loads((HERE / "cases.json").read_text())
TRUST = load_trust(HERE / "trust.json")
ITEM = "01a2076b-4400-7f5c-8293-c2c1e62e57d3"


def said(report: Report) -> str:
    return "\n".join(f"{one.what} | {one.where} | {one.message}" for one in report.findings if not one.ok)


@pytest.mark.parametrize("trust", [TRUST, None], ids=["pinned", "unpinned"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_bundle_is_judged_as_its_vector_says(case: dict[str, Any], trust: Any) -> None:
    """BU-1, BU-2, BU-3, BU-4, BU-5, BU-9, BU-10, BU-11, BU-12, BU-13, BU-14, BU-16, BU-17, BU-19, BU-21, BU-22,
    TL-14.
    """
    report = bundle_verify.verify(HERE / "zip" / f"{case['name']}.zip", trust)
    assert report.exit_code == case["exit_code"], report.to_text()
    assert report.ok == (case["exit_code"] == 0)
    assert case["names"] in said(report)


def test_vectors_are_at_least_half_rejects() -> None:
    assert sum(case["exit_code"] != 0 for case in CASES) * 2 >= len(CASES)


@pytest.mark.parametrize("name", ["made", "made.zip"])
def test_bundle_verifies_when_it_was_just_made(tmp_path: Path, name: str) -> None:
    """BU-1."""
    path = bundle.make(tmp_path / name, good_bundle.parts())
    assert bundle_verify.verify(path).ok
    assert list(tmp_path.iterdir()) == [path]


def test_same_parts_make_the_same_bytes_when_made_twice(tmp_path: Path) -> None:
    """BU-8."""
    parts = good_bundle.parts()
    first, second = (bundle.make(tmp_path / name, parts).read_bytes() for name in ("a.zip", "b.zip"))
    assert first == second


def test_zip_and_folder_hold_the_same_files_when_made_from_the_same_parts(tmp_path: Path) -> None:
    """BU-8, BU-14: and the zip is one that any tool reads, listing first."""
    parts = good_bundle.parts()
    folder, archive = bundle.make(tmp_path / "b", parts), bundle.make(tmp_path / "b.zip", parts)
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        assert opened.namelist()[0] == "bundle.json"
        assert {name: opened.read(name) for name in opened.namelist()} == {
            path.name: path.read_bytes() for path in folder.iterdir()
        }
        opened.extractall(tmp_path / "unpacked")
    assert bundle_verify.verify(tmp_path / "unpacked").ok


def test_zip_has_the_fixed_header_fields_when_it_is_made(tmp_path: Path) -> None:
    """BU-14."""
    with zipfile.ZipFile(bundle.make(tmp_path / "b.zip", good_bundle.parts())) as opened:
        fields = {
            (
                one.compress_type,
                one.date_time,
                one.flag_bits,
                one.extra,
                one.comment,
                one.external_attr,
                one.create_system,
            )
            for one in opened.infolist()
        }
    assert fields == {(0, (1980, 1, 1, 0, 0, 0), 0, b"", b"", 0x81A00000, 3)}


def test_large_contents_come_from_paths_when_they_are_given_so(tmp_path: Path) -> None:
    parts = good_bundle.parts()
    for name, content in (("sealed", parts.sealed), ("opened", parts.opened)):
        (tmp_path / name).write_bytes(content)
    by_path = dataclasses.replace(parts, sealed=tmp_path / "sealed", opened=tmp_path / "opened")
    assert bundle.make(tmp_path / "a.zip", by_path).read_bytes() == bundle.make(tmp_path / "b.zip", parts).read_bytes()


@pytest.mark.parametrize("name", ["there", "there.zip"])
def test_bundle_is_not_made_when_something_of_that_name_is_there(tmp_path: Path, name: str) -> None:
    """BU-7."""
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(Refused, match="not overwritten"):
        bundle.make(tmp_path / name, good_bundle.parts())
    assert (tmp_path / name).read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["new", "new.zip"])
def test_nothing_stays_when_a_part_is_missing_on_the_disk(tmp_path: Path, name: str) -> None:
    """BU-7."""
    with pytest.raises(NotFound):
        bundle.make(tmp_path / name, dataclasses.replace(good_bundle.parts(), opened=tmp_path / "absent.mp4"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["new", "new.zip"])
def test_bundle_is_not_made_when_its_folder_is_not_there(tmp_path: Path, name: str) -> None:
    """BU-7."""
    with pytest.raises(NotFound):
        bundle.make(tmp_path / "absent" / name, good_bundle.parts())


def test_bundle_is_not_made_when_the_sealed_file_is_another_item_s(tmp_path: Path) -> None:
    """BU-6."""
    other = sealed.seal(b"other", [good_bundle.keys()[2].recipient])
    with pytest.raises(Integrity, match="not the one its manifest names"):
        bundle.make(tmp_path / "new.zip", dataclasses.replace(good_bundle.parts(), sealed=other))
    assert list(tmp_path.iterdir()) == []


def test_bundle_is_not_made_when_it_would_hold_neither_sealed_nor_opened_file(tmp_path: Path) -> None:
    """BU-1."""
    with pytest.raises(Refused, match="needs its sealed file"):
        bundle.make(tmp_path / "new.zip", dataclasses.replace(good_bundle.parts(), sealed=None, opened=None))


@pytest.mark.parametrize("extra", [0, 1])
def test_note_is_taken_when_it_is_as_long_as_allowed_and_not_beyond(tmp_path: Path, extra: int) -> None:
    """BU-2."""
    good = dataclasses.replace(good_bundle.parts(), note="n" * 2000)
    assert bundle_verify.verify(bundle.make(tmp_path / "good.zip", good)).ok
    with pytest.raises(Integrity, match="'note'"):
        bundle.make(tmp_path / "bad.zip", dataclasses.replace(good, note="n" * (2001 + extra)))


def test_layout_is_refused_when_the_archive_would_reach_four_gibibytes() -> None:
    """BU-15."""
    fits = bundle_zip.layout([Member(name="a", size=(1 << 32) - 4096, crc32=0)])
    assert fits.size < 1 << 32
    with pytest.raises(Refused, match="make it a folder"):
        bundle_zip.layout([Member(name="a", size=(1 << 32) - 512, crc32=0)])


def test_journal_stretch_begins_and_ends_with_the_item_when_others_are_between() -> None:
    """BU-5."""
    device = good_bundle.keys()[1]
    lines = good_bundle.chain(device, b"x" * 2000)
    assert bundle.journal_of(lines, ITEM) == lines[1:]
    assert bundle.journal_of(lines[:1], ITEM) == []


def test_report_shows_the_key_to_compare_when_none_is_pinned() -> None:
    """BU-20."""
    text = bundle_verify.verify(HERE / "zip" / "whole.zip").to_text()
    assert f"checked against the key inside the bundle, {TRUST.centre.text}" in text
    assert "compare with the one published by the force" in text


def test_bundle_is_not_trusted_when_the_pinned_centre_is_another() -> None:
    """BU-20, BU-21: everything inside fits together, made by somebody else."""
    stranger = dataclasses.replace(TRUST, centre=good_bundle.keys()[0].public)
    report = bundle_verify.verify(HERE / "zip" / "whole.zip", stranger)
    assert report.exit_code == 11
    assert "the bundle is of another centre" in said(report)


def test_opened_file_is_compared_with_the_sealed_one_when_an_identity_is_given(tmp_path: Path) -> None:
    """BU-13: also where the device could state no hash."""
    identity = good_bundle.keys()[2]
    cut = good_bundle.parts(manifest={"plain_sha256": None, "complete": False})
    good = bundle.make(tmp_path / "good.zip", cut)
    forged = bundle.make(tmp_path / "forged.zip", dataclasses.replace(cut, opened=b"another film"))
    assert bundle_verify.verify(good, None, [identity]).ok
    assert bundle_verify.verify(forged).ok
    assert "opens to other bytes" in said(bundle_verify.verify(forged, None, [identity]))


def test_identity_is_named_when_it_does_not_open_the_sealed_file() -> None:
    """BU-21."""
    report = bundle_verify.verify(HERE / "zip" / "whole.zip", TRUST, [sealed.HybridIdentity.generate()])
    assert report.exit_code == 11
    assert "the identity given does not open it" in said(report)


def test_sealed_file_opens_to_what_the_device_recorded_when_the_bundle_has_no_opened_one(tmp_path: Path) -> None:
    """BU-13."""
    identity = good_bundle.keys()[2]
    good = bundle.make(tmp_path / "good.zip", dataclasses.replace(good_bundle.parts(), opened=None))
    other = good_bundle.parts(manifest={"plain_sha256": "ab" * 32})
    lying = bundle.make(tmp_path / "lying.zip", dataclasses.replace(other, opened=None))
    assert bundle_verify.verify(good, None, [identity]).ok
    assert "other bytes than the device recorded" in said(bundle_verify.verify(lying, None, [identity]))


def test_cut_sealed_file_is_compared_up_to_its_cut_when_the_recording_was_cut(tmp_path: Path) -> None:
    """BU-13: three chunks were sealed, two and a half reached the disk, recovery kept two."""
    identity = good_bundle.keys()[2]
    plain = bytes(sealed.CHUNK_BYTES * 3)
    whole = sealed.seal(plain, [identity.recipient])
    cut = whole[: -sealed.CHUNK_BYTES - 16]
    digest = hashlib.sha256(cut).hexdigest()
    changes = {"sealed_sha256": digest, "sealed_size": len(cut), "plain_sha256": None, "complete": False}
    parts = good_bundle.parts(manifest={**changes, "journal": None}, sealed=cut, journal=[])
    good = dataclasses.replace(parts, opened=plain[: sealed.CHUNK_BYTES * 2])
    assert bundle_verify.verify(bundle.make(tmp_path / "good.zip", good), None, [identity]).ok
    short = dataclasses.replace(parts, opened=plain[: sealed.CHUNK_BYTES])
    report = bundle_verify.verify(bundle.make(tmp_path / "short.zip", short), None, [identity])
    assert "than the opened file has" in said(report)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return bundle.make(tmp_path / "b", good_bundle.parts())


def test_folder_is_refused_when_a_name_lies_there_that_is_not_listed(folder: Path) -> None:
    """BU-18."""
    (folder / ".DS_Store").write_bytes(b"")
    assert ".DS_Store lies in the folder and is not listed" in said(bundle_verify.verify(folder))


@pytest.mark.parametrize("name", ["README.txt", "keys.json", f"{ITEM}.manifest", f"{ITEM}.mp4", "journal.jsonl"])
def test_folder_is_refused_and_the_name_said_when_a_file_is_missing(folder: Path, name: str) -> None:
    """BU-18, BU-22."""
    (folder / name).unlink()
    report = bundle_verify.verify(folder)
    assert report.exit_code == 10
    assert f"{name} is listed and not in the folder" in said(report)


def test_folder_is_refused_when_a_listed_file_is_a_link(folder: Path, tmp_path: Path) -> None:
    """BU-18."""
    (folder / "README.txt").rename(tmp_path / "README.txt")
    (folder / "README.txt").symlink_to(tmp_path / "README.txt")
    assert "README.txt cannot be read from the bundle" in said(bundle_verify.verify(folder))


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_folder_is_refused_and_nothing_hangs_when_a_listed_file_is_none(folder: Path, make: Any) -> None:
    """BU-18."""
    (folder / "README.txt").unlink()
    make(folder / "README.txt")
    report = bundle_verify.verify(folder)
    assert "README.txt is not a regular file" in said(report)


def test_folder_is_refused_when_the_listing_is_missing(folder: Path) -> None:
    """BU-18."""
    (folder / "bundle.json").unlink()
    assert bundle_verify.verify(folder).exit_code == 10


def test_nothing_is_verified_when_there_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        bundle_verify.verify(tmp_path / "absent.zip")


@pytest.mark.parametrize("content", [b"", b"PK", b"x" * 200, b"PK\3\4" + bytes(200)])
def test_report_says_no_bundle_when_the_file_is_something_else(tmp_path: Path, content: bytes) -> None:
    """BU-17."""
    (tmp_path / "b.zip").write_bytes(content)
    assert bundle_verify.verify(tmp_path / "b.zip").exit_code == 10


def test_new_file_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    """BU-7."""
    path = tmp_path / "out"
    with new_file(path, mode=0o600) as file:
        file.write(b"half")
        assert not path.exists()
    assert path.read_bytes() == b"half"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_new_file_is_made_when_the_disk_has_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """BU-7: a USB stick with exFAT."""

    def no_links(*args: object, **options: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    with new_file(tmp_path / "out") as file:
        file.write(b"whole")
    assert (tmp_path / "out").read_bytes() == b"whole"
    assert len(list(tmp_path.iterdir())) == 1
