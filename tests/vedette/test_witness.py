"""What a witness cosigns, what it refuses, and what it remembers."""

import os
from pathlib import Path
from typing import Any

import pytest

from vedette import files, merkle, note, witness
from vedette.cosignature import cosignatures
from vedette.errors import Integrity, NotFound, Refused, Usage, VedetteError
from vedette.keys import SigningKey
from vedette.merkle import Tree
from vedette.note import Checkpoint, NoteKey
from vedette.witness import Rejected, Request
from vedette.witness_folder import WitnessFolder

KEY = SigningKey.generate()
ORIGIN = "centre.example/log"
LOG = NoteKey(name=ORIGIN, public=KEY.public)
NOW_S = 1_795_000_000


def tree(size: int, salt: bytes = b"") -> Tree:
    return merkle.tree_of([merkle.leaf_hash(b"%d" % number + (salt if number > 4 else b"")) for number in range(size)])


def signed(size: int, salt: bytes = b"", key: SigningKey = KEY) -> str:
    return note.sign_checkpoint(Checkpoint(origin=ORIGIN, size=size, root=tree(size, salt).root()), key)


def request(old: int, size: int, salt: bytes = b"") -> Request:
    proof = tree(size, salt).consistency(old) if 0 < old < size else []
    return Request(old=old, proof=proof, signed=signed(size, salt))


@pytest.fixture
def folder(tmp_path: Path) -> WitnessFolder:
    made = WitnessFolder.create(tmp_path / "w1", "w1.example/x")
    made.watch(LOG)
    return made


def refusal(folder: WitnessFolder, asked: Request | str) -> Rejected:
    with pytest.raises(Rejected) as caught:
        folder.add(asked if isinstance(asked, str) else asked.to_text(), NOW_S)
    return caught.value


def test_checkpoints_are_cosigned_when_each_contains_the_one_before(folder: WitnessFolder) -> None:
    """TL-26, TL-27: the first needs no proof, the same again none either."""
    for old, size in ((0, 3), (3, 9), (9, 9), (9, 700)):
        asked = request(old, size)
        assert Request.from_text(asked.to_text()) == asked
        line = folder.add(asked.to_text(), NOW_S)
        assert cosignatures(asked.signed + line, [folder.key]) == {"w1.example/x": NOW_S}
        assert WitnessFolder(folder.folder).log(ORIGIN).seen == Checkpoint(
            origin=ORIGIN, size=size, root=tree(size).root()
        )


def test_split_view_is_refused_and_kept_as_proof_when_another_log_of_the_same_size_comes(folder: WitnessFolder) -> None:
    """TL-27, TL-30."""
    folder.add(request(0, 9).to_text(), NOW_S)
    refused = refusal(folder, request(9, 9, b"other"))
    assert (refused.status, refused.is_suspect) == (409, True)
    (kept,) = folder.refused()
    text = kept.read_text()
    assert signed(9) in text and signed(9, b"other") in text
    assert witness.find_split(signed(9), signed(9, b"other"), LOG) is not None
    assert folder.log(ORIGIN).signed == signed(9)


def test_rewritten_log_is_refused_and_kept_when_it_grew(folder: WitnessFolder) -> None:
    """TL-27, TL-30: the proof from the old tree does not lead to the new one."""
    folder.add(request(0, 9).to_text(), NOW_S)
    refused = refusal(folder, request(9, 12, b"other"))
    assert (refused.status, refused.is_suspect) == (422, True)
    assert len(folder.refused()) == 1
    assert folder.log(ORIGIN).signed == signed(9)


@pytest.mark.parametrize(
    ("old", "size", "status", "told"),
    [(3, 12, 409, 9), (0, 12, 409, 9), (10, 12, 409, 9), (13, 12, 400, None), (0, 5, 409, 9)],
)
def test_size_is_told_when_the_log_asks_from_another_one(
    folder: WitnessFolder, old: int, size: int, status: int, told: int | None
) -> None:
    """TL-27: and a smaller log is never cosigned after a larger one."""
    folder.add(request(0, 9).to_text(), NOW_S)
    refused = refusal(folder, Request(old=old, proof=[], signed=signed(size)))
    assert (refused.status, refused.size) == (status, told)
    assert folder.log(ORIGIN).signed == signed(9)


def test_checkpoint_is_refused_when_another_key_or_log_signed_it(folder: WitnessFolder) -> None:
    """TL-27."""
    assert refusal(folder, Request(old=0, proof=[], signed=signed(3, key=SigningKey.generate()))).status == 403
    other = note.sign_checkpoint(Checkpoint(origin="other.example", size=3, root=tree(3).root()), KEY)
    assert refusal(folder, Request(old=0, proof=[], signed=other)).status == 404
    assert folder.refused() == []


def test_proof_where_none_is_due_is_refused_when_the_checkpoint_is_the_first_or_the_same(folder: WitnessFolder) -> None:
    """TL-27."""
    assert refusal(folder, Request(old=0, proof=[bytes(32)], signed=signed(3))).status == 422
    folder.add(request(0, 3).to_text(), NOW_S)
    assert refusal(folder, Request(old=3, proof=[bytes(32)], signed=signed(3))).status == 422
    empty = note.sign_checkpoint(Checkpoint(origin=ORIGIN, size=0, root=bytes(32)), KEY)
    assert refusal(folder, Request(old=0, proof=[], signed=empty)).status == 409


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("old 3", "old 03"),
        ("old 3", "new 3"),
        ("old 3", "old -3"),
        ("old 3\n", ""),
        ("old 3\n", "old 3\n" + "A" * 43 + "=\n" * 64),
        ("old 3\n", "old 3\nAAAA\n"),
        ("\n\n", "\n"),
        ("— ", "- "),
    ],
)
def test_request_is_refused_when_its_form_is_wrong(folder: WitnessFolder, old: str, new: str) -> None:
    """TL-26."""
    folder.add(request(0, 3).to_text(), NOW_S)
    assert refusal(folder, request(3, 9).to_text().replace(old, new, 1)).status == 400
    assert refusal(folder, "old 3\n" + "x" * witness.MAX_REQUEST_BYTES).status == 400


def test_checkpoint_is_durable_when_its_cosignature_is_made(folder: WitnessFolder, monkeypatch: Any) -> None:
    """TL-28: file and folder are fsynced before the key is used, whatever fails after."""
    done: list[str] = []
    fsync, sign = os.fsync, folder._key.sign

    def seen_fsync(descriptor: int) -> None:
        fsync(descriptor)
        done.append(f"fsync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")

    class Key:
        public = folder._key.public

        def sign(self, message: bytes) -> bytes:
            done.append("sign")
            return sign(message)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(folder, "_key", Key())
    folder.add(request(0, 3).to_text(), NOW_S)
    assert [one.partition(" ")[0] for one in done] == ["fsync", "fsync", "sign"]
    assert done[1] == "fsync logs"


def test_nothing_is_signed_when_the_disk_does_not_take_the_checkpoint(folder: WitnessFolder, monkeypatch: Any) -> None:
    """TL-28."""
    folder.add(request(0, 3).to_text(), NOW_S)

    def full(path: Path, data: bytes, *, mode: int = 0o640) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files, "replace", full)
        with pytest.raises(OSError, match="No space"):
            folder.add(request(3, 9).to_text(), NOW_S)
    assert folder.log(ORIGIN).signed == signed(3)
    assert folder.add(request(3, 9).to_text(), NOW_S)


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "forged"])
def test_log_is_refused_and_not_begun_anew_when_the_witness_s_state_was_damaged(
    folder: WitnessFolder, damage: str
) -> None:
    """TL-29."""
    folder.add(request(0, 9).to_text(), NOW_S)
    (path,) = (folder.folder / "logs").iterdir()
    whole = path.read_bytes()
    forged = whole.replace(b"\n9\n", b"\n8\n")
    path.write_bytes(
        {"empty": b"", "cut": whole[:-9], "flipped": whole[:70] + b"!" + whole[71:], "forged": forged}[damage]
    )
    with pytest.raises(VedetteError) as caught:
        folder.add(request(0, 12).to_text(), NOW_S)
    assert not isinstance(caught.value, Rejected)
    assert type(caught.value).__name__ in ("Integrity", "NotTrusted")


def test_witness_is_made_once_and_watches_a_log_once_when_asked_again(folder: WitnessFolder) -> None:
    """TL-29: a second key for a log would be a way round what was cosigned."""
    with pytest.raises(Refused):
        WitnessFolder.create(folder.folder, "w2.example")
    with pytest.raises(Refused):
        folder.watch(NoteKey(name=ORIGIN, public=SigningKey.generate().public))
    with pytest.raises(Usage):
        WitnessFolder.create(folder.folder.parent / "w2", "two words")
    with pytest.raises(NotFound):
        folder.log("other.example")


def test_two_checkpoints_prove_nothing_by_themselves_when_their_sizes_differ() -> None:
    """TL-27."""
    assert witness.find_split(signed(9), signed(12, b"other"), LOG) is None
    assert witness.find_split(signed(9), signed(9), LOG) is None
    with pytest.raises(Integrity):
        witness.find_split("nothing", signed(9), LOG)
