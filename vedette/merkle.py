"""Merkle trees of RFC 6962 section 2.1 (SHA-256): hashes, proofs, and the checks of RFC 9162 section 2.1.

Decided here: how a tree is kept (every complete subtree's hash, by level and index, so that a proof costs O(log n)
look-ups) and how proofs are made and checked. Not decided here: what a leaf is (`vedette.proof`), how a root is
signed (`vedette.note`), where hashes lie (a `HashStore` of the caller). Implements TL-1 to TL-4 of
docs/spec/log.md. A failed check raises `Integrity`; nothing returns False.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol

from vedette.errors import Integrity

HASH_BYTES = 32
MAX_PROOF_HASHES = 64
EMPTY_ROOT = hashlib.sha256(b"").digest()


class HashStore(Protocol):
    """Where a tree keeps the hashes of its complete subtrees: (level, index) covers leaves index·2^level to
    (index+1)·2^level - 1.
    """

    def get(self, level: int, index: int) -> bytes:
        """The 32 bytes that were put there; raises KeyError where nothing was."""
        ...

    def put(self, level: int, index: int, node: bytes) -> None:
        """Keep 32 bytes; the same place is never given two different values."""
        ...


class MemoryHashStore:
    """A `HashStore` in memory, for small trees, checks and tests."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[int, int], bytes] = {}

    def get(self, level: int, index: int) -> bytes:
        return self._nodes[level, index]

    def put(self, level: int, index: int, node: bytes) -> None:
        self._nodes[level, index] = node


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf's bytes: SHA-256(0x00 ‖ leaf)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: SHA-256(0x01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """An append-only tree over a `HashStore` that already holds `size` leaves; made for a log that proves any of
    its past sizes.
    """

    def __init__(self, store: HashStore, size: int = 0) -> None:
        self._store = store
        self.size = size

    def append(self, leaf: bytes) -> int:
        """Add a leaf hash (32 bytes) and every subtree it completes; returns the leaf's index."""
        index, level, node = self.size, 0, leaf
        self._store.put(0, index, node)
        while index & 1:
            node = node_hash(self._store.get(level, index - 1), node)
            index, level = index >> 1, level + 1
            self._store.put(level, index, node)
        self.size += 1
        return self.size - 1

    def root(self, size: int | None = None) -> bytes:
        """The root hash of the first `size` leaves (all of them by default)."""
        end = self._checked(self.size if size is None else size)
        return self._range(0, end) if end else EMPTY_ROOT

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """The inclusion proof of leaf `index` in the tree of `size` leaves, from the leaf's sibling to the root's
        child.
        """
        end = self._checked(self.size if size is None else size)
        if not 0 <= index < end:
            raise ValueError(f"leaf {index} is not in a tree of {end} leaves")
        return self._path(index, 0, end)

    def consistency(self, old: int, new: int | None = None) -> list[bytes]:
        """The proof that the tree of `old` leaves is a prefix of the tree of `new` leaves; empty where they are
        equal.
        """
        end = self._checked(self.size if new is None else new)
        if not 0 < old <= end:
            raise ValueError(f"no consistency proof from {old} to {end} leaves")
        return self._subproof(old, 0, end, whole=True)

    def _checked(self, size: int) -> int:
        if not 0 <= size <= self.size:
            raise ValueError(f"the tree has {self.size} leaves, not {size}")
        return size

    def _range(self, start: int, end: int) -> bytes:
        count = end - start
        if count & (count - 1) == 0:
            return self._store.get(count.bit_length() - 1, start // count)
        middle = start + _split(count)
        return node_hash(self._range(start, middle), self._range(middle, end))

    def _path(self, index: int, start: int, end: int) -> list[bytes]:
        if end - start == 1:
            return []
        middle = start + _split(end - start)
        if index < middle:
            return [*self._path(index, start, middle), self._range(middle, end)]
        return [*self._path(index, middle, end), self._range(start, middle)]

    def _subproof(self, old: int, start: int, end: int, *, whole: bool) -> list[bytes]:
        if old == end:
            return [] if whole else [self._range(start, end)]
        middle = start + _split(end - start)
        if old <= middle:
            return [*self._subproof(old, start, middle, whole=whole), self._range(middle, end)]
        return [*self._subproof(old, middle, end, whole=False), self._range(start, middle)]


class Frontier:
    """The root of a growing tree from its right edge alone: at most one hash for each set bit of `size`, largest
    subtree first.
    """

    def __init__(self, size: int = 0, nodes: Sequence[bytes] = ()) -> None:
        if size < 0 or len(nodes) != size.bit_count():
            raise ValueError(f"a frontier of {size} leaves has {max(size, 0).bit_count()} hashes, not {len(nodes)}")
        self.size = size
        self.nodes = list(nodes)

    def append(self, leaf: bytes) -> None:
        """Add a leaf hash (32 bytes)."""
        node, size = leaf, self.size
        while size & 1:
            node = node_hash(self.nodes.pop(), node)
            size >>= 1
        self.nodes.append(node)
        self.size += 1

    def root(self) -> bytes:
        """The root hash of all leaves so far."""
        if not self.nodes:
            return EMPTY_ROOT
        node = self.nodes[-1]
        for left in reversed(self.nodes[:-1]):
            node = node_hash(left, node)
        return node


def tree_of(leaves: Sequence[bytes]) -> Tree:
    """A tree in memory over these leaf hashes."""
    tree = Tree(MemoryHashStore())
    for leaf in leaves:
        tree.append(leaf)
    return tree


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over a list of leaf hashes."""
    return tree_of(leaves).root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The inclusion proof of one of these leaf hashes in the tree of all of them."""
    return tree_of(leaves).inclusion(index)


def consistency_proof(leaves: Sequence[bytes], old: int) -> list[bytes]:
    """The proof that the tree of the first `old` leaf hashes is a prefix of the tree of all of them."""
    return tree_of(leaves).consistency(old)


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check (RFC 9162 2.1.3.2) that leaf hash `leaf` is leaf `index` of the tree with this size and root; raises
    Integrity.
    """
    if not 0 <= index < size:
        raise Integrity(f"inclusion proof: leaf {index} is not in a tree of {size} leaves")
    _check_hashes([leaf, root, *proof])
    fn, sn, node = index, size - 1, leaf
    for sibling in proof:
        if sn == 0:
            raise Integrity(f"inclusion proof of leaf {index} in {size}: {len(proof)} hashes are too many")
        if fn & 1 or fn == sn:
            node = node_hash(sibling, node)
            fn, sn = _to_right_turn(fn, sn)
        else:
            node = node_hash(node, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise Integrity(f"inclusion proof of leaf {index} in {size}: {len(proof)} hashes are too few")
    if node != root:
        raise Integrity(f"inclusion proof of leaf {index} in {size}: it leads to another root")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check (RFC 9162 2.1.4.2) that the tree (`old`, `old_root`) is a prefix of (`new`, `new_root`); raises
    Integrity.
    """
    _check_hashes(proof)
    if not 0 < old <= new:
        raise Integrity(f"consistency proof from {old} to {new} leaves: there is none")
    if old == new:
        if proof or old_root != new_root:
            raise Integrity(f"two different trees of {old} leaves")
        return
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path or not proof:
        raise Integrity(f"consistency proof from {old} to {new} leaves: empty")
    _walk_consistency(old, new, old_root, new_root, path)


def _walk_consistency(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> None:
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    before = after = path[0]
    for node in path[1:]:
        if sn == 0:
            raise Integrity(f"consistency proof from {old} to {new} leaves: too many hashes")
        if fn & 1 or fn == sn:
            before, after = node_hash(node, before), node_hash(node, after)
            fn, sn = _to_right_turn(fn, sn)
        else:
            after = node_hash(after, node)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0 or before != old_root or after != new_root:
        raise Integrity(f"consistency proof from {old} to {new} leaves: it does not lead to both roots")


def _to_right_turn(fn: int, sn: int) -> tuple[int, int]:
    while fn and not fn & 1:
        fn, sn = fn >> 1, sn >> 1
    return fn, sn


def _split(count: int) -> int:
    """The largest power of two below `count` (count > 1)."""
    return 1 << ((count - 1).bit_length() - 1)


def _check_hashes(nodes: Sequence[bytes]) -> None:
    if len(nodes) > MAX_PROOF_HASHES + 2 or any(len(node) != HASH_BYTES for node in nodes):
        raise Integrity(f"proof: not at most {MAX_PROOF_HASHES} hashes of {HASH_BYTES} bytes")
