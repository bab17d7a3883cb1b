"""Log leaves and tlog-proofs."""

import base64
import dataclasses

import pytest

from vedette import canonical, merkle, note, proof
from vedette.errors import Integrity, NotTrusted, VedetteError
from vedette.keys import SigningKey
from vedette.proof import LogLeaf, Proof

KEY = SigningKey.generate()
ORIGIN = "vedette.example/log"
LEAF = LogLeaf(
    item="01a2076b-4400-7f5c-8293-c2c1e62e57d3",
    kind="hit",
    device="car-1",
    sealed_sha256="ab" * 32,
    sealed_size=1234,
    manifest_sha256="cd" * 32,
    received_us=1_795_420_800_000_000,
)


def made(size: int = 9, index: int = 6) -> Proof:
    hashes = [merkle.leaf_hash(bytes([number])) for number in range(size)]
    hashes[index] = merkle.leaf_hash(LEAF.to_bytes())
    tree = merkle.tree_of(hashes)
    checkpoint = note.sign_checkpoint(note.Checkpoint(origin=ORIGIN, size=size, root=tree.root()), KEY)
    return Proof(leaf=LEAF.to_bytes(), index=index, hashes=tree.inclusion(index), checkpoint=checkpoint)


def test_proof_gives_leaf_and_checkpoint_when_it_was_written_and_read_back() -> None:
    """TL-10, TL-11."""
    leaf, checkpoint = proof.verify(Proof.from_text(made().to_text()), ORIGIN, KEY.public)
    assert leaf == LEAF
    assert checkpoint.size == 9


def test_proof_has_the_public_form_when_it_is_written() -> None:
    """TL-11: header, extra, index, hashes, an empty line, the checkpoint verbatim."""
    lines = made().to_text().split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert lines[1] == "extra " + base64.b64encode(LEAF.to_bytes()).decode()
    assert lines[2] == "index 6"
    assert lines[7] == ""
    assert "\n".join(lines[8:]) == made().checkpoint


def test_proof_holds_when_the_leaf_is_alone_in_the_log() -> None:
    """TL-11: no hash lines at all."""
    leaf, _checkpoint = proof.verify(Proof.from_text(made(1, 0).to_text()), ORIGIN, KEY.public)
    assert leaf == LEAF


def test_proof_is_refused_when_its_leaf_is_changed() -> None:
    """TL-12: the leaf in the file is nothing until it is proven."""
    forged = dataclasses.replace(LEAF, sealed_sha256="ee" * 32).to_bytes()
    with pytest.raises(Integrity, match="another root"):
        proof.verify(dataclasses.replace(made(), leaf=forged), ORIGIN, KEY.public)


def test_proof_is_not_trusted_when_another_key_signed_the_checkpoint() -> None:
    """TL-12."""
    with pytest.raises(NotTrusted):
        proof.verify(made(), ORIGIN, SigningKey.generate().public)


def test_no_changed_byte_of_a_proof_leads_to_the_leaf_when_each_is_tried() -> None:
    """TL-11, TL-12."""
    text = made().to_text().encode()
    passed = []
    for place in range(len(text)):
        changed = text[:place] + bytes([text[place] ^ 1]) + text[place + 1 :]
        try:
            proof.verify(Proof.from_text(changed.decode("utf-8", "replace")), ORIGIN, KEY.public)
            passed.append(place)
        except VedetteError:
            pass
    assert passed == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("proof@v1", "proof@v2"),
        ("extra ", "xtra "),
        ("index 6", "index 06"),
        ("index 6", "index -6"),
        ("index 6", "index 6 "),
        ("index 6\n", ""),
        ("\n\n", "\n"),
        ("index 6\n", "index 6\n" + (base64.b64encode(bytes(32)).decode() + "\n") * 61),
        ("index 6\n", "index 6\nAAAA\n"),
    ],
)
def test_proof_is_refused_when_its_form_is_wrong(old: str, new: str) -> None:
    """TL-11, TL-13."""
    text = made().to_text()
    with pytest.raises(Integrity):
        Proof.from_text(text.replace(old, new, 1))


def test_proof_is_refused_when_it_is_larger_than_any_proof() -> None:
    """TL-13."""
    with pytest.raises(Integrity, match="over 131072 bytes"):
        Proof.from_text(made().to_text() + "\n" * 140_000)


@pytest.mark.parametrize("change", [{"officer": "x"}, {"kind": "video"}, {"sealed_size": -1}, {"received_us": None}])
def test_leaf_is_refused_when_a_field_is_not_as_it_must_be(change: dict[str, object]) -> None:
    """TL-10."""
    body = {**canonical.loads(LEAF.to_bytes()), **change}
    with pytest.raises(Integrity):
        LogLeaf.from_bytes(canonical.dumps(body))
