"""Merkle trees: the public RFC 6962 cases, and our own proofs at every small size."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vedette import merkle
from vedette.errors import Integrity
from vedette.merkle import Frontier, MemoryHashStore, Tree

DATA = Path(os.environ.get("VEDETTE_DATA", Path(__file__).parents[3] / "shared" / "data")) / "vectors" / "rfc6962"
SIZES = range(1, 20)


def leaves(count: int) -> list[bytes]:
    return [merkle.leaf_hash(bytes([number])) for number in range(count)]


def public_cases(name: str) -> list[Any]:
    """The cases of one file; a single skipped one with the reason where the public vectors are not here."""
    path = DATA / f"{name}.jsonl"
    if not path.is_file():
        reason = f"no public Merkle cases at {path}; set VEDETTE_DATA to the folder that has vectors/rfc6962"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason))]
    return [pytest.param(case, id=case["name"]) for case in map(json.loads, path.read_text().splitlines())]


def decoded(texts: list[str] | None) -> list[bytes]:
    return [base64.b64decode(text) for text in texts or []]


def refuses(check: Any, *args: Any) -> bool:
    try:
        check(*args)
    except Integrity:
        return True
    return False


@pytest.mark.parametrize("case", public_cases("inclusion"))
def test_inclusion_check_agrees_with_the_public_case(case: dict[str, Any]) -> None:
    """TL-2."""
    leaf, root = decoded([case["leafHash"], case["root"]])
    proof = decoded(case["proof"])
    assert refuses(merkle.verify_inclusion, leaf, case["leafIdx"], case["treeSize"], proof, root) == case["wantErr"]


@pytest.mark.parametrize("case", public_cases("consistency"))
def test_consistency_check_agrees_with_the_public_case(case: dict[str, Any]) -> None:
    """TL-3."""
    old, new = decoded([case["root1"], case["root2"]])
    proof = decoded(case["proof"])
    assert refuses(merkle.verify_consistency, case["size1"], case["size2"], old, new, proof) == case["wantErr"]


def test_root_is_that_of_rfc_6962_when_the_tree_is_small() -> None:
    """TL-1: the shape is a left-full tree; an empty one hashes nothing."""
    a, b, c = leaves(3)
    assert merkle.root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert merkle.leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert merkle.root([a]) == a
    assert merkle.root([a, b, c]) == merkle.node_hash(merkle.node_hash(a, b), c)


@pytest.mark.parametrize("size", SIZES)
def test_inclusion_proof_holds_for_every_leaf_when_the_tree_has_any_past_size(size: int) -> None:
    """TL-4: a tree that has grown on proves the sizes it had."""
    tree = merkle.tree_of(leaves(20))
    for index in range(size):
        proof = tree.inclusion(index, size)
        merkle.verify_inclusion(leaves(20)[index], index, size, proof, tree.root(size))


@pytest.mark.parametrize("new", SIZES)
def test_consistency_proof_holds_when_a_tree_grew_from_any_size(new: int) -> None:
    """TL-4."""
    tree = merkle.tree_of(leaves(20))
    for old in range(1, new + 1):
        merkle.verify_consistency(old, new, tree.root(old), tree.root(new), tree.consistency(old, new))


@given(st.integers(1, 40), st.data())
@settings(max_examples=60, deadline=None)
def test_inclusion_check_refuses_when_any_one_bit_is_other(size: int, data: st.DataObject) -> None:
    """TL-2."""
    index = data.draw(st.integers(0, size - 1))
    bit = data.draw(st.integers(0, 255))
    tree = merkle.tree_of(leaves(size))
    proof = [merkle.leaf_hash(bytes([index])), *tree.inclusion(index), tree.root()]
    place = data.draw(st.integers(0, len(proof) - 1))
    proof[place] = (int.from_bytes(proof[place], "big") ^ 1 << bit).to_bytes(32, "big")
    with pytest.raises(Integrity):
        merkle.verify_inclusion(proof[0], index, size, proof[1:-1], proof[-1])


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 7, 8, 9, 100])
def test_frontier_has_the_tree_s_root_when_it_is_continued_from_its_nodes(size: int) -> None:
    """TL-1."""
    frontier = Frontier()
    for leaf in leaves(size):
        frontier.append(leaf)
        frontier = Frontier(frontier.size, frontier.nodes)
    assert frontier.root() == merkle.root(leaves(size))


def test_tree_goes_on_when_it_is_opened_again_over_its_store() -> None:
    """TL-4."""
    store = MemoryHashStore()
    for size, leaf in enumerate(leaves(11)):
        assert Tree(store, size).append(leaf) == size
    assert Tree(store, 11).root() == merkle.root(leaves(11))


def test_proof_costs_logarithmic_look_ups_when_the_tree_is_large() -> None:
    class Counting(MemoryHashStore):
        gets = 0

        def get(self, level: int, index: int) -> bytes:
            self.gets += 1
            return super().get(level, index)

    store = Counting()
    tree = Tree(store)
    for number in range(5000):
        tree.append(merkle.leaf_hash(number.to_bytes(2, "big")))
    store.gets = 0
    tree.inclusion(1234)
    tree.consistency(3333)
    assert store.gets < 200


@pytest.mark.parametrize(("index", "size"), [(5, 5), (-1, 5), (0, 6)])
def test_tree_makes_no_inclusion_proof_when_the_leaf_or_size_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="leaves"):
        merkle.tree_of(leaves(5)).inclusion(index, size)


@pytest.mark.parametrize("old", [0, 6])
def test_tree_makes_no_consistency_proof_when_the_old_size_is_not_a_prefix(old: int) -> None:
    with pytest.raises(ValueError, match="consistency"):
        merkle.tree_of(leaves(5)).consistency(old)


def test_frontier_refuses_when_its_nodes_do_not_fit_its_size() -> None:
    with pytest.raises(ValueError, match="2 hashes"):
        Frontier(3, leaves(1))


def test_inclusion_check_refuses_when_the_proof_is_longer_than_any_tree() -> None:
    """TL-13."""
    with pytest.raises(Integrity, match="64 hashes"):
        merkle.verify_inclusion(leaves(1)[0], 0, 1, leaves(67), leaves(1)[0])
