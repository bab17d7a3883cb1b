"""The log as static files: what Go's own checker of module logs says of them, and every kind of damage found."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sync.central import tiles as export
from sync.central.log import Log
from vedette import cosignature, merkle, note, tiles
from vedette.clock import uuid7
from vedette.errors import Integrity, NotFound, NotTrusted
from vedette.keys import SigningKey
from vedette.proof import LogLeaf

ROOT = Path(__file__).parents[3]
GO_SOURCE = ROOT / "tests" / "interop" / "tlog"
GO_BUILT = ROOT / "build" / "go" / "tlog"
ORIGIN = "centre.test/log"
WITNESS = SigningKey.generate()
SIZE = 600


@pytest.fixture(scope="module")
def go_tlog() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`go_tlog(*arguments)`: the checker over golang.org/x/mod/sumdb, built with Debian's Go and library."""
    if shutil.which("go") is None or not Path("/usr/share/gocode/src/golang.org/x/mod/sumdb").is_dir():
        pytest.skip("Go is not installed (apt install golang-go golang-golang-x-mod-dev)")
    GO_BUILT.parent.mkdir(parents=True, exist_ok=True)
    where = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOCACHE": str(GO_BUILT.parent / "cache")}
    subprocess.run(
        ["go", "build", "-o", GO_BUILT, "."], cwd=GO_SOURCE, env={**os.environ, **where}, check=True, timeout=250
    )

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [GO_BUILT, *map(str, arguments)], capture_output=True, text=True, timeout=100, check=False
        )

    return run


def grow(centre: Any, count: int) -> None:
    with centre.store.writing() as db:
        log = Log(db)
        for number in range(log.size, log.size + count):
            leaf = LogLeaf(
                item=uuid7(centre.clock),
                kind="segment",
                device=f"car-{number % 7 + 1}",
                sealed_sha256=f"{number:064x}",
                sealed_size=number,
                manifest_sha256="ab" * 32,
                received_us=number,
            )
            log.append(leaf, ORIGIN, centre.signer.key)


def exported(centre: Any, folder: Path) -> export.Exported:
    return export.export_log(Log(centre.store.db), folder, ORIGIN, centre.signer.key.public)


def log_key(centre: Any) -> note.NoteKey:
    return note.NoteKey(name=ORIGIN, public=centre.signer.key.public)


def checkpoint_in(centre: Any, folder: Path) -> note.Checkpoint:
    return note.open_checkpoint((folder / "checkpoint").read_text(), ORIGIN, centre.signer.key.public)


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 512, SIZE])
def test_go_accepts_every_tile_entry_proof_and_signature_when_the_log_was_exported(
    centre: Any, tmp_path: Path, go_tlog: Callable[..., subprocess.CompletedProcess[str]], size: int
) -> None:
    """TL-1, TL-4, TL-15, TL-18, TL-20, TL-21: roots and consistency proofs are the same as ours at every size."""
    grow(centre, size)
    log = Log(centre.store.db)
    text = note.split_note(log.checkpoint())[0]
    line = cosignature.cosign(text, "witness.test/w1", WITNESS, 1_795_000_000)
    with centre.store.writing() as db:
        Log(db).add_cosignature(size, "witness.test/w1", 1_795_000_000, line)
    exported(centre, tmp_path / "log")
    witness = cosignature.WitnessKey(name="witness.test/w1", public=WITNESS.public)

    said = go_tlog(tmp_path / "log", log_key(centre).text, witness.text)

    assert said.returncode == 0, said.stdout
    lines = said.stdout.splitlines()
    assert lines[:3] == [f"signed by {ORIGIN}", "signed by witness.test/w1", f"entries {size}"]
    hashes = tiles.TileHashes(tiles.read_folder(tmp_path / "log"), size)
    ours = [
        f"tree {old} {b64(merkle.Tree(hashes, size).root(old))} [{' '.join(map(b64, log.consistency(old, size)))}]"
        for old in range(1, size + 1)
    ]
    assert lines[3:] == ours


def b64(node: bytes) -> str:
    return base64.b64encode(node).decode()


def test_go_accepts_an_inclusion_proof_and_refuses_a_changed_one_when_a_leaf_is_looked_up(
    centre: Any, tmp_path: Path, go_tlog: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """TL-11."""
    grow(centre, 300)
    text = Log(centre.store.db).proof(123)
    (tmp_path / "good.proof").write_text(text)
    (tmp_path / "bad.proof").write_text(text.replace("index 123", "index 122"))

    good, bad = (go_tlog("-proof", tmp_path / f"{name}.proof", log_key(centre).text) for name in ("good", "bad"))

    assert (good.returncode, bad.returncode) == (0, 1)
    assert good.stdout.splitlines()[1].startswith("leaf 123 of 300: {")


@pytest.mark.embedded
@pytest.mark.parametrize("path", ["tile/0/000", "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/001", "checkpoint"])
def test_go_refuses_the_log_too_when_one_byte_of_a_file_is_changed(
    centre: Any, tmp_path: Path, go_tlog: Callable[..., subprocess.CompletedProcess[str]], path: str
) -> None:
    """TL-19."""
    grow(centre, SIZE)
    exported(centre, tmp_path)
    damage(tmp_path / path, 40)
    assert go_tlog(tmp_path, log_key(centre).text).returncode == 1


def damage(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.unlink()
    path.write_bytes(data)


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("path", "place", "named"),
    [
        ("tile/0/000", 32 * 200, r"hash 0 is not that of tile/0/000 \(leaves 0 to 255\)"),
        ("tile/0/001", 32 * 200, r"hash 1 is not that of tile/0/001 \(leaves 256 to 511\)"),
        ("tile/0/002.p/88", 32 * 10, "leaf 522 and its hash differ"),
        ("tile/1/000.p/2", 40, r"hash 1 is not that of tile/0/001"),
        ("tile/entries/000", 300, "leaf 1 and its hash differ"),
        ("tile/entries/001", 0, "tile/entries/001: cut within leaf"),
        ("tile/entries/002.p/88", 700, "leaf 51[2-9] and its hash differ"),
    ],
)
def test_damage_is_located_when_one_byte_of_a_file_is_changed(
    centre: Any, tmp_path: Path, path: str, place: int, named: str
) -> None:
    """TL-19."""
    grow(centre, SIZE)
    exported(centre, tmp_path)
    damage(tmp_path / path, place)
    with pytest.raises(Integrity, match=named):
        list(tiles.check_tiles(tiles.read_folder(tmp_path), checkpoint_in(centre, tmp_path)))


@pytest.mark.embedded
@pytest.mark.parametrize("cut", ["tile/0/000", "tile/entries/001", "tile/1/000.p/2"])
def test_missing_and_cut_files_are_named_when_a_log_is_checked(centre: Any, tmp_path: Path, cut: str) -> None:
    """TL-18, TL-19."""
    grow(centre, SIZE)
    exported(centre, tmp_path)
    whole = (tmp_path / cut).read_bytes()
    (tmp_path / cut).unlink()
    with pytest.raises(NotFound, match=cut):
        list(tiles.check_tiles(tiles.read_folder(tmp_path), checkpoint_in(centre, tmp_path)))
    for other in (whole[:-1], whole + b"\0"):
        (tmp_path / cut).write_bytes(other)
        with pytest.raises(Integrity, match=cut):
            list(tiles.check_tiles(tiles.read_folder(tmp_path), checkpoint_in(centre, tmp_path)))
        (tmp_path / cut).unlink()


def test_whole_log_is_yielded_leaf_by_leaf_when_it_is_checked(centre: Any, tmp_path: Path) -> None:
    """TL-19."""
    grow(centre, SIZE)
    exported(centre, tmp_path)
    found = list(tiles.check_tiles(tiles.read_folder(tmp_path), checkpoint_in(centre, tmp_path)))
    assert [index for index, _leaf in found] == list(range(SIZE))
    assert [leaf for _index, leaf in found] == list(Log(centre.store.db).leaves(0, SIZE))


@pytest.mark.parametrize("steps", [[1, 1, 254, 1], [255, 2], [256, 256], [300, 300], [1] * 5])
def test_folder_is_brought_up_to_date_and_no_file_written_twice_when_the_log_grows(
    centre: Any, tmp_path: Path, steps: list[int]
) -> None:
    """TL-16: an older partial tile stays, and every older checkpoint can still be proven from it."""
    seen: dict[Path, tuple[int, bytes]] = {}
    for step in steps:
        grow(centre, step)
        made = exported(centre, tmp_path)
        now = {
            path: (path.stat().st_ino, path.read_bytes()) for path in (tmp_path / "tile").rglob("*") if path.is_file()
        }
        assert {path: now.get(path) for path in seen} == seen
        assert made.files == len(now) - len(seen) > 0
        seen = now
        list(tiles.check_tiles(tiles.read_folder(tmp_path), checkpoint_in(centre, tmp_path)))
    assert exported(centre, tmp_path).files == 0


def test_export_is_refused_when_the_folder_is_of_another_or_a_longer_log(centre: Any, tmp_path: Path) -> None:
    """TL-17."""
    grow(centre, 10)
    exported(centre, tmp_path)
    forged = note.Checkpoint(origin=ORIGIN, size=9, root=bytes(32))
    (tmp_path / "checkpoint").write_text(note.sign_checkpoint(forged, centre.signer.key))
    with pytest.raises(Integrity, match="consistency proof from 9 to 10"):
        exported(centre, tmp_path)
    longer = note.Checkpoint(origin=ORIGIN, size=11, root=bytes(32))
    (tmp_path / "checkpoint").write_text(note.sign_checkpoint(longer, centre.signer.key))
    with pytest.raises(Integrity, match="the log was cut or restored"):
        exported(centre, tmp_path)
    (tmp_path / "checkpoint").write_text(note.sign_checkpoint(forged, SigningKey.generate()))
    with pytest.raises(NotTrusted):
        exported(centre, tmp_path)


def test_log_s_hashes_and_cosignatures_cannot_be_changed_when_a_statement_tries(centre: Any) -> None:
    """TL-4: what proves the past is only ever added."""
    grow(centre, 3)
    for statement in ("UPDATE subtrees SET level = 9", "DELETE FROM subtrees", "DELETE FROM checkpoints"):
        with pytest.raises(Exception, match="append-only"):
            centre.store.db.execute(statement)


def test_tile_is_not_found_when_the_log_does_not_reach_it(centre: Any) -> None:
    """TL-15."""
    grow(centre, 5)
    log = Log(centre.store.db)
    assert len(log.tile(tiles.Tile(0, 0, 5), 5)) == 160
    for tile in (tiles.Tile(0, 0, 6), tiles.Tile(1, 0, 1), tiles.Tile(None, 1, 1)):
        with pytest.raises(NotFound):
            log.tile(tile, 5)
