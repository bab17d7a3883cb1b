"""The centre's append-only Merkle log, kept in the same database as the items it speaks of.

Decided here: a leaf, its subtree hashes and the signed checkpoint over them are rows of the transaction that stores the
item, so there is no moment at which an item is stored and not logged or the reverse. The forms are vedette.merkle,
vedette.note and vedette.proof (docs/spec/log.md).
"""

from __future__ import annotations

from sqlite_utils import Database

from vedette import merkle, note
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

    def checkpoint(self) -> str:
        """The newest signed checkpoint; `NotFound` while the log is empty."""
        row = self._db.execute("SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1").fetchone()
        if row is None:
            raise NotFound("the log is empty: no item has been stored yet")
        return str(row[0])

    def proof(self, index: int) -> str:
        """The inclusion of leaf `index` at the newest checkpoint, as a C2SP tlog-proof."""
        checkpoint = self.checkpoint()
        size = note.parse_checkpoint(checkpoint.rpartition("\n\n")[0] + "\n").size
        hashes = merkle.Tree(_Subtrees(self._db), size).inclusion(index)
        return Proof(leaf=self.leaf(index), index=index, hashes=hashes, checkpoint=checkpoint).to_text()

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the log at `old` leaves is a prefix of the log at `new` leaves."""
        return merkle.Tree(_Subtrees(self._db), self.size).consistency(old, new)
