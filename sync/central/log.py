"""The centre's append-only Merkle log, kept in the same database as the items it speaks of.

Decided here: a leaf, its subtree hashes and the signed checkpoint over them are rows of the transaction that stores the
item, so there is no moment at which an item is stored and not logged or the reverse. The forms are vedette.merkle,
vedette.note and vedette.proof (docs/spec/log.md). Cosignatures of witnesses come later and lie beside the checkpoint;
a proof is made at the newest checkpoint that most witnesses cosigned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sync.central.database import Database
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
        raise TypeError("only a growing log puts hashes")


class _Growing(_Subtrees):
    """The same with what one transaction has added and not written yet."""

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        self.new: list[tuple[int, int, bytes]] = []
        self._known: dict[tuple[int, int], bytes] = {}

    def get(self, level: int, index: int) -> bytes:
        place = level, index
        if place not in self._known:
            self._known[place] = super().get(level, index)
        return self._known[place]

    def put(self, level: int, index: int, node: bytes) -> None:
        self._known[level, index] = node
        self.new.append((level, index, node))


class Log:
    """The log in one database connection; `append_all` is called inside `Store.writing`, so nobody else appends."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @property
    def size(self) -> int:
        """How many leaves the log has."""
        return int(self._db.execute("SELECT coalesce(max(idx) + 1, 0) FROM leaves").fetchone()[0])

    def append_all(self, leaves: Sequence[LogLeaf], origin: str, key: SigningKey) -> list[tuple[int, str]]:
        """Add `leaves` and sign the tree that each ends: (leaf index, checkpoint note) of each. Commits nothing."""
        hashes = _Growing(self._db)
        tree = merkle.Tree(hashes, self.size)
        added: list[tuple[int, str]] = []
        datas = [leaf.to_bytes() for leaf in leaves]
        for data in datas:
            index = tree.append(merkle.leaf_hash(data))
            checkpoint = note.Checkpoint(origin=origin, size=tree.size, root=tree.root())
            added.append((index, note.sign_checkpoint(checkpoint, key)))
        sql = "INSERT INTO leaves (idx, leaf) VALUES (?, ?)"
        self._db.execute_many(sql, [(index, data) for (index, _), data in zip(added, datas, strict=True)])
        sql = "INSERT INTO checkpoints (size, note) VALUES (?, ?)"
        self._db.execute_many(sql, [(index + 1, checkpoint) for index, checkpoint in added])
        self._db.execute_many("INSERT INTO subtrees (level, idx, hash) VALUES (?, ?, ?)", hashes.new)
        return added

    def append(self, leaf: LogLeaf, origin: str, key: SigningKey) -> tuple[int, str]:
        """`append_all` for one leaf."""
        return self.append_all([leaf], origin, key)[0]

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
        sql = "INSERT INTO cosignatures (size, witness, time_s, line) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
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
