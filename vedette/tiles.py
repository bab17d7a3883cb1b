"""A log as static files: C2SP tlog-tiles of height 8, their paths, their bytes, and the check of all of them.

Decided here: which tiles a tree of some size has, how one is named, and that proofs and roots are computed from tiles
as from any `merkle.HashStore`. Where the bytes lie (a database, a folder, an URL) is the caller's `read`. Implements
TL-15 to TL-19 of docs/spec/log.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vedette import files, merkle
from vedette.errors import Integrity, NotFound
from vedette.merkle import HASH_BYTES
from vedette.note import Checkpoint

HEIGHT = 8
WIDTH = 1 << HEIGHT
MAX_LEVEL = 63
MAX_ENTRY_BYTES = (1 << 16) - 1
CHECKPOINT_PATH = "checkpoint"
_MOST_DIGITS = 18

Read = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Tile:
    """`width` (1 to 256) consecutive hashes at `level`, or the entries under them where `level` is None; `index` is
    the tile's place in its level.
    """

    level: int | None
    index: int
    width: int

    @property
    def path(self) -> str:
        """`tile/<level or entries>/<index in groups of three digits>[.p/<width>]`."""
        groups = [f"{self.index % 1000:03d}"]
        rest = self.index // 1000
        while rest:
            groups.insert(0, f"x{rest % 1000:03d}")
            rest //= 1000
        level = "entries" if self.level is None else str(self.level)
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{level}/{'/'.join(groups)}{partial}"

    @property
    def first(self) -> int:
        """The place of its first hash (or entry) in its level."""
        return self.index * WIDTH


def parse_path(path: str) -> Tile:
    """The tile that `path` names in its one form; `NotFound` for any other text."""
    head, _, partial = path.partition(".p/")
    parts = head.split("/")
    level, groups = (parts[1], parts[2:]) if len(parts) > 2 and parts[0] == "tile" else ("", [])
    digits = "".join(group.removeprefix("x") for group in groups)
    numbers = [text for text in (digits, partial, "" if level == "entries" else level) if text]
    if groups and digits and len(digits) <= _MOST_DIGITS and all(one.isascii() and one.isdigit() for one in numbers):
        tile = Tile(
            level=None if level == "entries" else int(level[:3] or -1),
            index=int(digits),
            width=int(partial[:4]) if partial else WIDTH,
        )
        if tile.path == path and 1 <= tile.width <= WIDTH and (tile.level is None or tile.level <= MAX_LEVEL):
            return tile
    raise NotFound(f"{path[:80]!r} is not the path of a tile")


def tiles_of(size: int, *, since: int = 0) -> Iterator[Tile]:
    """Every tile and entry bundle of a tree of `size` leaves that a tree of `since` leaves had not, lowest first."""
    level: int | None = None
    count, before = size, since
    while count:
        for index in range(before // WIDTH, (count + WIDTH - 1) // WIDTH):
            width = min(WIDTH, count - index * WIDTH)
            if index * WIDTH + width > before:
                yield Tile(level, index, width)
        if level is None:
            level = 0
        else:
            level, count, before = level + 1, count // WIDTH, before // WIDTH


def width_at(size: int, level: int | None, index: int) -> int:
    """How wide tile `index` of `level` is in a tree of `size` leaves; 0 where it is not there."""
    count = size >> (HEIGHT * (level or 0))
    return max(0, min(WIDTH, count - index * WIDTH))


def hashes_of(store: merkle.HashStore, tile: Tile) -> bytes:
    """The bytes of a tile of hashes, from any store of complete subtrees."""
    level = HEIGHT * (tile.level or 0)
    return b"".join(store.get(level, tile.first + place) for place in range(tile.width))


def bundle_of(entries: Sequence[bytes]) -> bytes:
    """An entry bundle: each entry behind its length in 16 bits, big-endian; ValueError for a longer entry."""
    if any(len(entry) > MAX_ENTRY_BYTES for entry in entries):
        raise ValueError(f"a log entry has {MAX_ENTRY_BYTES} bytes at most")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def parse_bundle(data: bytes, tile: Tile) -> list[bytes]:
    """The entries of a bundle that must hold `tile.width` of them and nothing else; `Integrity` names the entry."""
    entries, at = [], 0
    for place in range(tile.width):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if at + 2 > len(data) or end > len(data):
            raise Integrity(f"{tile.path}: cut within leaf {tile.first + place}, at byte {len(data)}")
        entries.append(data[at + 2 : end])
        at = end
    if at != len(data):
        raise Integrity(f"{tile.path}: {len(data) - at} bytes behind its last leaf {tile.first + tile.width - 1}")
    return entries


class TileHashes:
    """A `merkle.HashStore` over the tiles of a tree of `size` leaves; keeps the tiles that it has read."""

    def __init__(self, read: Read, size: int) -> None:
        self._read = read
        self._size = size
        self._known: dict[Tile, list[bytes]] = {}

    def get(self, level: int, index: int) -> bytes:
        """The hash of a complete subtree; `Integrity` where its tile is of a wrong length."""
        above, inner = divmod(level, HEIGHT)
        first = index << inner
        hashes = self.tile(above, first // WIDTH)[first % WIDTH : first % WIDTH + (1 << inner)]
        if len(hashes) != 1 << inner:
            raise Integrity(f"a tree of {self._size} leaves has no complete subtree {index} at level {level}")
        while len(hashes) > 1:
            pairs = zip(hashes[::2], hashes[1::2], strict=True)
            hashes = [merkle.node_hash(left, right) for left, right in pairs]
        return hashes[0]

    def put(self, level: int, index: int, node: bytes) -> None:
        """Nothing is put into tiles that others wrote."""
        raise TypeError("tiles are read only")

    def tile(self, level: int, index: int) -> list[bytes]:
        """The hashes of one tile as wide as the tree has it."""
        tile = Tile(level, index, width_at(self._size, level, index))
        if tile not in self._known:
            data = self._read(tile.path) if tile.width else b""
            if len(data) != HASH_BYTES * tile.width:
                raise Integrity(f"{tile.path}: {len(data)} bytes where {HASH_BYTES * tile.width} are expected")
            self._known[tile] = [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]
        return self._known[tile]


def check_tiles(read: Read, checkpoint: Checkpoint) -> Iterator[tuple[int, bytes]]:
    """Check every tile and entry of the log at `checkpoint`: yields (index, leaf bytes) as they are proven.

    Raises Integrity that names the tile and the leaf where the first damage lies. The tiles of hashes are proven
    against the checkpoint before any leaf is yielded.
    """
    size = checkpoint.size
    hashes = TileHashes(read, size)
    for tile in tiles_of(size):
        if tile.level:
            _check_above(hashes, tile)
    if merkle.Tree(hashes, size).root() != checkpoint.root:
        for _ in _entries(read, hashes, size):
            pass  # finds the leaf, where its entry and its hash differ
        raise Integrity(f"all tiles agree and lead to another root than the checkpoint of {size} leaves")
    yield from _entries(read, hashes, size)


def _entries(read: Read, hashes: TileHashes, size: int) -> Iterator[tuple[int, bytes]]:
    for tile in tiles_of(size):
        if tile.level is None:
            leaves = hashes.tile(0, tile.index)
            for place, entry in enumerate(parse_bundle(read(tile.path), tile)):
                if merkle.leaf_hash(entry) != leaves[place]:
                    raise Integrity(f"{tile.path}: leaf {tile.first + place} and its hash differ")
                yield tile.first + place, entry


def _check_above(hashes: TileHashes, tile: Tile) -> None:
    level = (tile.level or 0) - 1
    for place, node in enumerate(hashes.tile(level + 1, tile.index)):
        below = Tile(level, tile.first + place, WIDTH)
        if merkle.root(hashes.tile(level, below.index)) != node:
            span = WIDTH ** (level + 1)
            first = below.index * span
            raise Integrity(
                f"{tile.path}: hash {place} is not that of {below.path} (leaves {first} to {first + span - 1})"
            )


def read_folder(folder: Path) -> Read:
    """A reader of tiles that lie in `folder`; a path outside it cannot be named."""

    def read(path: str) -> bytes:
        parse_path(path)
        return files.read(folder / path, max_bytes=WIDTH * (MAX_ENTRY_BYTES + 2))

    return read
