"""Names and shapes of a log's tiles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette import merkle, tiles
from vedette.errors import Integrity, NotFound
from vedette.tiles import Tile


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0, 256), "tile/0/000"),
        (Tile(0, 999, 1), "tile/0/999.p/1"),
        (Tile(3, 1000, 256), "tile/3/x001/000"),
        (Tile(None, 1_234_067, 255), "tile/entries/x001/x234/067.p/255"),
        (Tile(63, 0, 256), "tile/63/000"),
    ],
)
def test_path_is_the_public_one_when_a_tile_is_named(tile: Tile, path: str) -> None:
    """TL-15: the third is the specification's own example."""
    assert tile.path == path
    assert tiles.parse_path(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile",
        "tile/0",
        "tile/0/",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/001/000",
        "tile/0/x000/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000/",
        "tile/0/../../etc/passwd",
        "tile/0/٠٠٠",
        "tile/data/000",
        "/tile/0/000",
        "tile/0/" + "x999/" * 9 + "999",
    ],
)
def test_path_is_not_found_when_it_is_not_the_one_form(path: str) -> None:
    """TL-15."""
    with pytest.raises(NotFound):
        tiles.parse_path(path)


def test_tiles_are_those_of_the_specification_s_example_when_a_tree_has_70000_leaves() -> None:
    """TL-15."""
    found = list(tiles.tiles_of(70_000))
    assert sum(tile.level == 0 and tile.width == 256 for tile in found) == 273
    assert [tile for tile in found if tile.width < 256 and tile.level is not None] == [
        Tile(0, 273, 112),
        Tile(1, 1, 17),
        Tile(2, 0, 1),
    ]
    assert [tile for tile in tiles.tiles_of(256) if tile.level is not None] == [Tile(0, 0, 256), Tile(1, 0, 1)]


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_tiles_added_by_growth_and_those_before_cover_the_tree_when_it_grows(one: int, other: int) -> None:
    """TL-15, TL-16."""
    old, new = sorted((one, other))
    added = set(tiles.tiles_of(new, since=old))
    assert added | set(tiles.tiles_of(old)) >= set(tiles.tiles_of(new))
    assert not added & set(tiles.tiles_of(old))


@given(st.integers(1, 700), st.data())
def test_proofs_from_tiles_are_those_of_the_tree_when_its_size_is_any(size: int, data: st.DataObject) -> None:
    """TL-4, TL-15."""
    tree = merkle.tree_of([merkle.leaf_hash(bytes([number % 256, number // 256])) for number in range(size)])
    store = tree._store
    files = {tile.path: tiles.hashes_of(store, tile) for tile in tiles.tiles_of(size) if tile.level is not None}
    other = merkle.Tree(tiles.TileHashes(files.__getitem__, size), size)
    index = data.draw(st.integers(0, size - 1))
    assert other.root() == tree.root()
    assert other.inclusion(index) == tree.inclusion(index)
    assert other.consistency(index + 1) == tree.consistency(index + 1)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=20))
def test_entries_come_back_when_bundled(entries: list[bytes]) -> None:
    """TL-18."""
    assert tiles.parse_bundle(tiles.bundle_of(entries), Tile(None, 0, len(entries))) == entries


@pytest.mark.parametrize("size", [0, 1, 0xFFFF])
def test_entry_may_have_as_many_bytes_as_two_bytes_say_when_bundled(size: int) -> None:
    """TL-18."""
    assert tiles.parse_bundle(tiles.bundle_of([bytes(size)]), Tile(None, 0, 1)) == [bytes(size)]
    with pytest.raises(ValueError, match="65535"):
        tiles.bundle_of([bytes(0x10000)])


def test_bundle_is_refused_when_it_is_cut_or_longer() -> None:
    """TL-18: the entry is named."""
    whole = tiles.bundle_of([b"one", b"two"])
    for end in range(len(whole)):
        with pytest.raises(Integrity, match=f"leaf {512 + (end >= 5)}"):
            tiles.parse_bundle(whole[:end], Tile(None, 2, 2))
    with pytest.raises(Integrity, match="1 bytes behind its last leaf 513"):
        tiles.parse_bundle(whole + b"x", Tile(None, 2, 2))
