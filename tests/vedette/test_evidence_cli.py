"""`vedette evidence verify|open` as a person or a script meets it."""

import argparse
import hashlib
import io
import json
import stat
import sys
import zipfile
from pathlib import Path

import good_bundle
import pytest

from vedette import bundle, evidence_cli, evidence_open, sealed, verifier
from vedette.errors import Integrity, NotFound, NotTrusted, Refused, Usage

VECTORS = Path(__file__).parents[1] / "vectors" / "bundle"
WHOLE = VECTORS / "zip" / "whole.zip"
ITEM = "01a2076b-4400-7f5c-8293-c2c1e62e57d3"
CHUNK = sealed.CHUNK_BYTES
PLAIN = bytes(range(256)) * (CHUNK // 256) * 3


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    evidence_cli.register(parser.add_subparsers())
    args = parser.parse_args(["evidence", *map(str, arguments)])
    return int(args.run(args))


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    """The file of the identity that everything here is sealed to."""
    path = tmp_path / "evidence.identity"
    sealed.save_identity(path, sealed.HybridIdentity.generate())
    return path


@pytest.fixture
def film(tmp_path: Path, identity: Path) -> Path:
    """A sealed file of three whole chunks."""
    recipient = sealed.load_identities(identity)[0].recipient
    path = tmp_path / "film.segment.age"
    path.write_bytes(sealed.seal(PLAIN, [recipient]))
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_verify_says_every_check_when_the_bundle_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """BU-20, BU-21."""
    assert run("verify", WHOLE, "--trust", VECTORS / "trust.json") == 0
    shown = capsys.readouterr().out
    assert shown.count("\n") > 15
    assert shown.endswith("every check holds\n")
    assert "FAILED" not in shown


def test_verify_prints_json_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """BU-21, BU-22."""
    assert run("verify", VECTORS / "zip" / "opened-changed.zip", "--json") == 10
    report = json.loads(capsys.readouterr().out)
    failed = {one["where"] for one in report["findings"] if not one["ok"]}
    assert (report["ok"], report["exit_code"]) == (False, 10)
    assert f"{ITEM}.mp4" in failed


def test_verify_counts_what_failed_when_a_key_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    """BU-21."""
    assert run("verify", VECTORS / "zip" / "manifest-by-another-key.zip") == 11
    assert "checks FAILED" in capsys.readouterr().out


def test_verify_checks_an_item_when_its_manifest_lies_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """BU-9, BU-10: as in a download folder, keys.json and all."""
    with zipfile.ZipFile(WHOLE) as archive:
        archive.extractall(tmp_path)
    path = tmp_path / f"{ITEM}.segment.age"
    journal = tmp_path / "journal.jsonl"
    assert run("verify", path, "--trust", VECTORS / "trust.json", "--journal", journal) == 0
    assert "checkpoints" in capsys.readouterr().out
    path.write_bytes(path.read_bytes()[:-1])
    assert run("verify", path, "--trust", VECTORS / "trust.json", "--journal", journal) == 10
    assert "the file ends at byte" in capsys.readouterr().out


def test_verify_trusts_no_item_when_nobody_vouches_for_its_device(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """BU-9."""
    with zipfile.ZipFile(WHOLE) as archive:
        archive.extract(f"{ITEM}.segment.age", tmp_path)
        archive.extract(f"{ITEM}.manifest", tmp_path)
    path = tmp_path / f"{ITEM}.segment.age"
    assert run("verify", path) == 11
    assert "no key of the device is known here" in capsys.readouterr().out


def test_verify_refuses_when_it_gets_neither_bundle_nor_item(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        run("verify", tmp_path / f"{ITEM}.segment.age")
    with pytest.raises(Usage, match="neither a bundle"):
        run("verify", tmp_path / "film.mp4")


def test_open_writes_the_content_when_the_identity_fits(
    tmp_path: Path, film: Path, identity: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "film.mp4"
    assert run("open", film, "--identity", identity, "-o", out, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert out.read_bytes() == PLAIN
    assert (said["sha256"], said["complete"]) == (hashlib.sha256(PLAIN).hexdigest(), True)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_open_is_not_trusted_and_leaves_nothing_when_the_identity_is_another(tmp_path: Path, film: Path) -> None:
    other = tmp_path / "other.identity"
    sealed.save_identity(other, sealed.HybridIdentity.generate())
    before = names(tmp_path)
    with pytest.raises(NotTrusted, match="sealed to other keys"):
        run("open", film, "--identity", other, "-o", tmp_path / "film.mp4")
    assert names(tmp_path) == before


@pytest.mark.parametrize(("missing", "chunks"), [(1, 2), (CHUNK + 16, 2), (CHUNK + 17, 1)])
def test_open_says_how_much_is_whole_and_leaves_nothing_when_the_file_is_cut(
    tmp_path: Path, film: Path, identity: Path, missing: int, chunks: int
) -> None:
    film.write_bytes(film.read_bytes()[:-missing])
    before = names(tmp_path)
    with pytest.raises(Integrity, match=f"{chunks * CHUNK} bytes before it are whole.*--recover"):
        run("open", film, "--identity", identity, "-o", tmp_path / "film.mp4")
    assert names(tmp_path) == before


def test_open_writes_the_prefix_and_says_so_when_it_may_recover(
    tmp_path: Path, film: Path, identity: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film.write_bytes(film.read_bytes()[:-100])
    out = tmp_path / "film.mp4"
    assert run("open", film, "--identity", identity, "-o", out, "--recover") == 0
    assert out.read_bytes() == PLAIN[: 2 * CHUNK]
    assert "131072 bytes recovered, NOT the whole file: chunk 2" in capsys.readouterr().out


@pytest.mark.parametrize("place", [-1, 40_000, 100_000])
def test_open_refuses_and_leaves_nothing_when_a_byte_was_changed(
    tmp_path: Path, film: Path, identity: Path, place: int
) -> None:
    content = bytearray(film.read_bytes())
    content[place] ^= 1
    film.write_bytes(content)
    before = names(tmp_path)
    with pytest.raises(Integrity, match="nothing was written"):
        run("open", film, "--identity", identity, "-o", tmp_path / "film.mp4")
    assert names(tmp_path) == before


@pytest.mark.parametrize("options", [[], ["--recover"]])
def test_open_leaves_nothing_when_not_one_chunk_is_whole(
    tmp_path: Path, film: Path, identity: Path, options: list[str]
) -> None:
    film.write_bytes(film.read_bytes()[:30_000])
    with pytest.raises(Integrity, match="nothing of it can be recovered"):
        run("open", film, "--identity", identity, "-o", tmp_path / "film.mp4", *options)
    assert not (tmp_path / "film.mp4").exists()


@pytest.mark.parametrize("content", [b"", b"age-encryption.org/v1\n", b"\0\0\0\x18ftypisom"])
def test_open_refuses_when_the_file_is_not_a_sealed_one(
    tmp_path: Path, film: Path, identity: Path, content: bytes
) -> None:
    film.write_bytes(content)
    with pytest.raises(Integrity, match=r"film\.segment\.age: "):
        run("open", film, "--identity", identity, "-o", tmp_path / "film.mp4")
    assert not (tmp_path / "film.mp4").exists()


def test_open_overwrites_nothing_when_the_output_is_there(tmp_path: Path, film: Path, identity: Path) -> None:
    """BU-7."""
    out = tmp_path / "film.mp4"
    out.write_bytes(b"mine")
    with pytest.raises(Refused, match="not overwritten"):
        run("open", film, "--identity", identity, "-o", out)
    assert out.read_bytes() == b"mine"


def test_open_says_what_is_missing_when_a_path_is_wrong(tmp_path: Path, film: Path, identity: Path) -> None:
    with pytest.raises(NotFound, match="is not there"):
        run("open", tmp_path / "absent.age", "--identity", identity, "-o", tmp_path / "out")
    with pytest.raises(NotFound, match="is not there"):
        run("open", film, "--identity", tmp_path / "absent", "-o", tmp_path / "out")
    with pytest.raises(NotFound, match="the folder"):
        run("open", film, "--identity", identity, "-o", tmp_path / "absent" / "out")
    with pytest.raises(Refused, match="cannot be read"):
        run("open", tmp_path, "--identity", identity, "-o", tmp_path / "out")


class Counted(io.BytesIO):
    """A sealed file that counts which of its bytes are read."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.reads: list[tuple[int, int]] = []

    def read(self, size: int | None = -1, /) -> bytes:
        start = self.tell()
        piece = super().read(size)
        self.reads.append((start, len(piece)))
        return piece


@pytest.mark.parametrize(
    ("first", "last", "touched"), [(0, 0, {0}), (CHUNK - 1, CHUNK, {0, 1}), (CHUNK, 2 * CHUNK - 1, {1})]
)
def test_range_reads_only_the_chunks_it_touches_and_the_last(
    film: Path, identity: Path, first: int, last: int, touched: set[int]
) -> None:
    """SF-16."""
    source = Counted(film.read_bytes())
    start = len(film.read_bytes()) - 3 * (CHUNK + 16)

    found = evidence_open.read_range(
        source, sealed.load_identities(identity), evidence_open.Range(first=first, last=last)
    )

    assert b"".join(found.pieces) == PLAIN[first : last + 1]
    read = [(place - start, size) for place, size in source.reads if place >= start]
    assert {place // (CHUNK + 16) for place, _size in read} == touched | {2}
    assert sum(size for _place, size in read) == (len(touched) + 1) * (CHUNK + 16)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("5-9", PLAIN[5:10]), (f"{3 * CHUNK - 1}-", PLAIN[-1:]), ("100-99999999", PLAIN[100:]), ("0-0", PLAIN[:1])],
)
def test_open_writes_a_range_when_asked(
    tmp_path: Path, film: Path, identity: Path, asked: str, expected: bytes, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """SF-16."""
    assert run("open", film, "--identity", identity, "--range", asked, "--out", tmp_path / "part") == 0
    assert (tmp_path / "part").read_bytes() == expected
    assert f"of {3 * CHUNK}, as they were sealed".encode() in capfdbinary.readouterr().out
    assert run("open", film, "--identity", identity, "--range", asked) == 0
    sys.stdout.flush()
    assert capfdbinary.readouterr().out == expected


@pytest.mark.parametrize("asked", ["5", "9-5", "-5", "a-b", "0-1-2", "", "１-２"])
def test_open_is_used_wrongly_when_the_range_is_none(tmp_path: Path, film: Path, identity: Path, asked: str) -> None:
    with pytest.raises(Usage):
        run("open", film, "--identity", identity, f"--range={asked}")


def test_open_refuses_a_range_behind_the_end_and_leaves_nothing(tmp_path: Path, film: Path, identity: Path) -> None:
    with pytest.raises(Refused, match=f"has {3 * CHUNK} bytes"):
        run("open", film, "--identity", identity, "--range", f"{3 * CHUNK}-", "-o", tmp_path / "part")
    assert not (tmp_path / "part").exists()


@pytest.mark.parametrize("damage", ["cut", "changed", "others"])
def test_open_gives_out_no_range_when_the_file_is_damaged_or_of_others(
    tmp_path: Path, film: Path, identity: Path, damage: str
) -> None:
    """SF-15, SF-16: exit codes 10 and 11, and nothing is written."""
    content = bytearray(film.read_bytes())
    content[-40_000 if damage == "cut" else 100_000] ^= damage == "changed"
    film.write_bytes(content[:-40_000] if damage == "cut" else content)
    if damage == "others":
        identity.unlink()
        sealed.save_identity(identity, sealed.HybridIdentity.generate())
    with pytest.raises(NotTrusted if damage == "others" else Integrity) as caught:
        run("open", film, "--identity", identity, "--range", f"{CHUNK}-{CHUNK + 5}", "-o", tmp_path / "part")
    assert caught.value.exit_code == (11 if damage == "others" else 10)
    assert not (tmp_path / "part").exists()


@pytest.mark.parametrize("name", ["case", "case.zip"])
def test_open_finds_the_sealed_file_when_it_gets_a_bundle(tmp_path: Path, name: str) -> None:
    parts = good_bundle.parts()
    path = bundle.make(tmp_path / name, parts)
    sealed.save_identity(tmp_path / "key", good_bundle.keys()[2])
    assert run("open", path, "--identity", tmp_path / "key", "-o", tmp_path / "film.mp4") == 0
    assert (tmp_path / "film.mp4").read_bytes() == good_bundle.PLAIN
    assert run("open", path, "--identity", tmp_path / "key", "--range", "4-9", "-o", tmp_path / "part") == 0
    assert (tmp_path / "part").read_bytes() == good_bundle.PLAIN[4:10]


def test_open_says_so_when_a_bundle_holds_no_sealed_file(tmp_path: Path, identity: Path) -> None:
    with pytest.raises(NotFound, match="holds no sealed file"):
        run("open", VECTORS / "zip" / "opened-only.zip", "--identity", identity, "-o", tmp_path / "film.mp4")


def test_verifiers_are_written_as_they_lie_in_bundles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """BU-26."""
    assert run("verifier", "-o", tmp_path, "--json") == 0
    hashes = json.loads(capsys.readouterr().out)["sha256"]
    assert (tmp_path / "verify.py").read_bytes() == verifier.script()
    assert (tmp_path / "verify.html").read_bytes() == verifier.page()
    assert hashes["verify.py"] == hashlib.sha256(verifier.script()).hexdigest()
    with pytest.raises(Refused, match="not overwritten"):
        run("verifier", "-o", tmp_path)
