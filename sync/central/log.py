"""The centre's append-only Merkle log, kept in the same database as the items it speaks of.

Decided here: a leaf, its subtree hashes and the signed checkpoint over them are rows of the transaction that stores the
item, so there is no moment at which an item is stored and not logged or the reverse. The forms are vedette.merkle,
vedette.note and vedette.proof (docs/spec/log.md). Cosignatures of witnesses come later and lie beside the checkpoint;
a proof is made at the newest checkpoint that most witnesses cosigned.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlite_utils import Database

from vedette import merkle, note, tiles
from vedette.errors import Integrity, NotFound
from vedette.keys import SigningKey
from vedette.proof import LogLeaf, Proof


class _Subtrees:
    """A `merkle.HashStore` in the table `subtrees`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def get(self, level: int, index: int) -> bytes:
        row = self._db.execute("SELECT hash FROM subtrees WHERE level = ? AND idx = ?", [level, index]).fetchone()
        if row is None:
            raise Integrity(f"the log lacks the hash of subtree {index} at level {level}; restore store.db from a copy")
        return bytes(row[0])

    def put(self, level: int, index: int, node: bytes) -> None:
        self._db.execute("INSERT INTO subtrees (level, idx, hash) VALUES (?, ?, ?)", [level, index, node])


class Log:
    """The log in one database connection; `append` is called inside the caller's transaction."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @property
    def size(self) -> int:
        """How many leaves the log has."""
        return int(self._db.execute("SELECT coalesce(max(idx) + 1, 0) FROM leaves").fetchone()[0])

    def append(self, leaf: LogLeaf, origin: str, key: SigningKey) -> tuple[int, str]:
        """Add `leaf` and sign the tree it ends: (leaf index, checkpoint note). Commits nothing."""
        data = leaf.to_bytes()
        tree = merkle.Tree(_Subtrees(self._db), self.size)
        index = tree.append(merkle.leaf_hash(data))
        checkpoint = note.sign_checkpoint(note.Checkpoint(origin=origin, size=tree.size, root=tree.root()), key)
        self._db.execute("INSERT INTO leaves (idx, leaf) VALUES (?, ?)", [index, data])
        self._db.execute("INSERT INTO checkpoints (size, note) VALUES (?, ?)", [tree.size, checkpoint])
        return index, checkpoint

    def leaf(self, index: int) -> bytes:
        """The canonical bytes of one leaf; `NotFound` past the end."""
        row = self._db.execute("SELECT leaf FROM leaves WHERE idx = ?", [index]).fetchone()
        if row is None:
            raise NotFound(f"the log has no leaf {index}")
        return bytes(row[0])

    def leaves(self, first: int, count: int) -> Iterator[bytes]:
        """The canonical bytes of `count` leaves from `first` on; fewer at the log's end."""
        sql = "SELECT leaf FROM leaves WHERE idx >= ? AND idx < ? ORDER BY idx"
        for row in self._db.execute(sql, [first, first + count]):
            yield bytes(row[0])

    def checkpoint(self, size: int | None = None) -> str:
        """The signed checkpoint of `size` leaves, or the newest, with its cosignatures; `NotFound` without it."""
        last = self.size if size is None else size
        row = self._db.execute("SELECT note FROM checkpoints WHERE size = ?", [last]).fetchone()
        if row is None:
            raise NotFound(
                f"the log has no checkpoint of {last} leaves" if last else "the log is empty: nothing is stored"
            )
        return str(row[0]) + "".join(self._cosignatures(last))

    def add_cosignature(self, size: int, witness: str, time_s: int, line: str) -> None:
        """Keep a witness's verified signature line on the checkpoint of `size` leaves; a later one is not kept."""
        sql = "INSERT OR IGNORE INTO cosignatures (size, witness, time_s, line) VALUES (?, ?, ?, ?)"
        self._db.execute(sql, [size, witness, time_s, line])

    def witnessed(self) -> dict[str, int]:
        """The largest tree that each witness cosigned: name → leaves."""
        return dict(self._db.execute("SELECT witness, max(size) FROM cosignatures GROUP BY witness"))

    def proof(self, index: int) -> str:
        """The inclusion of leaf `index` as a C2SP tlog-proof, at the newest of the best cosigned checkpoints."""
        size = self._best(index)
        hashes = merkle.Tree(_Subtrees(self._db), size).inclusion(index)
        return Proof(leaf=self.leaf(index), index=index, hashes=hashes, checkpoint=self.checkpoint(size)).to_text()

    def tile(self, tile: tiles.Tile, size: int) -> bytes:
        """The bytes of one tile or entry bundle of the log at `size` leaves; `NotFound` where it does not reach."""
        if tile.width > tiles.width_at(size, tile.level, tile.index):
            raise NotFound(f"the log of {size} leaves has no {tile.path}")
        if tile.level is None:
            return tiles.bundle_of(list(self.leaves(tile.first, tile.width)))
        return tiles.hashes_of(_Subtrees(self._db), tile)

    def _best(self, index: int) -> int:
        """The size of the checkpoint over leaf `index` with most cosignatures, the newest of them."""
        sql = "SELECT size FROM cosignatures WHERE size > ? GROUP BY size ORDER BY count(*) DESC, size DESC LIMIT 1"
        row = self._db.execute(sql, [index]).fetchone()
        return self.size if row is None else int(row[0])

    def _cosignatures(self, size: int) -> list[str]:
        sql = "SELECT line FROM cosignatures WHERE size = ? ORDER BY witness LIMIT ?"
        return [str(row[0]) for row in self._db.execute(sql, [size, note.MAX_SIGNATURES - 1])]

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the log at `old` leaves is a prefix of the log at `new` leaves."""
        return merkle.Tree(_Subtrees(self._db), self.size).consistency(old, new)
