"""One flipped byte anywhere in a bundle is found, and named: in a file's content by the file, between files by its
offset.
"""

import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from vedette import bundle_verify
from vedette.findings import Report
from vedette.trust import load_trust

HERE = Path(__file__).parents[1] / "vectors" / "bundle"
TRUST = load_trust(HERE / "trust.json")
WHOLE = HERE / "zip" / "whole.zip"
STRIDE = 4


def content_ranges() -> dict[str, range]:
    """Where each file's content lies in the zip."""
    with zipfile.ZipFile(WHOLE) as archive:
        starts = {one.filename: one.header_offset + 30 + len(one.filename) for one in archive.infolist()}
        return {name: range(start, start + archive.getinfo(name).file_size) for name, start in starts.items()}


def owner_of(ranges: dict[str, range], place: int) -> str | None:
    return next((name for name, where in ranges.items() if place in where), None)


def flips(place: int, data: bytes) -> bytes:
    return data[:place] + bytes([data[place] ^ (1 << place % 8)]) + data[place + 1 :]


def names_it(report: Report, owner: str | None, place: int) -> bool:
    failed = [one for one in report.findings if not one.ok]
    by_file = any(owner == one.where for one in failed)
    by_offset = any(f"byte {place} " in one.message for one in failed)
    return by_file or (owner is None and by_offset)


def unnamed(places: Iterator[int], path: Path) -> list[int]:
    """The places whose flip was not found and named."""
    whole, ranges = WHOLE.read_bytes(), content_ranges()
    missed = []
    for place in places:
        path.write_bytes(flips(place, whole))
        report = bundle_verify.verify(path, TRUST)
        missed += [] if names_it(report, owner_of(ranges, place), place) else [place]
    return missed


def test_flipped_byte_is_found_and_named_when_it_lies_between_the_files(tmp_path: Path) -> None:
    """BU-14, BU-16, BU-22: every byte of every header, the central directory and the end record."""
    contents = {place for where in content_ranges().values() for place in where}
    frames = [place for place in range(WHOLE.stat().st_size) if place not in contents]
    assert len(frames) > 1000
    assert unnamed(iter(frames), tmp_path / "b.zip") == []


def test_flipped_byte_is_found_and_named_when_it_lies_in_the_listing(tmp_path: Path) -> None:
    """BU-2, BU-3, BU-16, BU-22: every second byte."""
    assert unnamed(iter(content_ranges()["bundle.json"][::2]), tmp_path / "b.zip") == []


@pytest.mark.parametrize("name", [name for name in content_ranges() if name != "bundle.json"])
def test_flipped_byte_is_found_and_named_when_it_lies_in_a_file(tmp_path: Path, name: str) -> None:
    """BU-3, BU-22."""
    assert unnamed(iter(content_ranges()[name][::STRIDE]), tmp_path / "b.zip") == []


def test_flipped_byte_is_found_and_named_when_the_bundle_is_a_folder(tmp_path: Path) -> None:
    """BU-18, BU-22: first, middle and last byte of every file."""
    with zipfile.ZipFile(WHOLE) as archive:
        archive.extractall(tmp_path / "b")
    missed = []
    for path in sorted((tmp_path / "b").iterdir()):
        whole = path.read_bytes()
        for place in (0, len(whole) // 2, len(whole) - 1):
            path.write_bytes(flips(place, whole))
            missed += [] if names_it(bundle_verify.verify(tmp_path / "b"), path.name, place) else [(path.name, place)]
        path.write_bytes(whole)
    assert missed == []
    assert bundle_verify.verify(tmp_path / "b", TRUST).ok


def test_changed_name_is_found_when_a_file_of_a_folder_was_renamed(tmp_path: Path) -> None:
    """BU-18."""
    with zipfile.ZipFile(WHOLE) as archive:
        archive.extractall(tmp_path / "b")
    (tmp_path / "b" / "README.txt").rename(tmp_path / "b" / "README.TXT")
    report = bundle_verify.verify(tmp_path / "b")
    assert "README.TXT lies in the folder and is not listed" in report.to_text()


@pytest.mark.parametrize("part", range(8))
def test_cut_bundle_is_refused_when_it_ends_anywhere(tmp_path: Path, part: int) -> None:
    """BU-16, BU-22."""
    whole = WHOLE.read_bytes()
    path = tmp_path / "b.zip"
    path.write_bytes(whole[: len(whole) * part // 8])
    assert bundle_verify.verify(path, TRUST).exit_code == 10


def test_two_swapped_files_are_found_when_their_headers_are_swapped_too(tmp_path: Path) -> None:
    """BU-3: the order of the files is the listing's."""
    shutil.copy(WHOLE, tmp_path / "b.zip")
    with zipfile.ZipFile(WHOLE) as archive, zipfile.ZipFile(tmp_path / "b.zip", "w") as swapped:
        names = archive.namelist()
        for name in [names[0], names[2], names[1], *names[3:]]:
            swapped.writestr(archive.getinfo(name), archive.read(name))
    report = bundle_verify.verify(tmp_path / "b.zip", TRUST)
    assert report.exit_code == 10
    assert json.dumps(report.to_json())
