"""Signed notes and checkpoints in the C2SP forms."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vedette import note
from vedette.errors import Integrity, NotTrusted
from vedette.keys import PublicKey, SigningKey
from vedette.note import Checkpoint, NoteKey

KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
ORIGIN = "vedette.example/log"
CHECKPOINT = Checkpoint(origin=ORIGIN, size=7, root=bytes(range(32)))
SIGNED = note.sign_checkpoint(CHECKPOINT, KEY)
TRUSTED = [NoteKey(name=ORIGIN, public=KEY.public)]
TEXT, _, SIGNATURE = SIGNED.partition("\n\n")

# From the signed-note documentation of the Go project (golang.org/x/mod/sumdb/note, package example).
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def go_key() -> NoteKey:
    raw = base64.b64decode(GO_KEY.rpartition("+")[2])[1:]
    return NoteKey(name="PeterNeumann", public=PublicKey(raw))


def test_note_opens_when_another_implementation_signed_it() -> None:
    """TL-5, TL-6: Go's own example, key text included."""
    assert go_key().text == GO_KEY
    assert note.open_note(GO_NOTE, [go_key()]).startswith("If you think cryptography")


def test_checkpoint_comes_back_when_its_log_signed_it() -> None:
    """TL-8, TL-9."""
    assert note.open_checkpoint(SIGNED, ORIGIN, KEY.public) == CHECKPOINT
    assert SIGNED.splitlines()[:3] == [ORIGIN, "7", base64.b64encode(bytes(range(32))).decode()]


def test_note_opens_when_signatures_of_unknown_keys_are_on_it_too() -> None:
    """TL-7: that is how witnesses and key rotation work."""
    witness = note.sign_note(TEXT + "\n", "witness.example", OTHER).partition("\n\n")[2]
    assert note.open_note(f"{TEXT}\n\n{witness}{SIGNATURE}", TRUSTED) == TEXT + "\n"


def test_note_is_not_trusted_when_only_unknown_keys_signed_it() -> None:
    """TL-7."""
    with pytest.raises(NotTrusted, match="no signature of a key that is trusted"):
        note.open_note(note.sign_checkpoint(CHECKPOINT, OTHER), TRUSTED)


def test_note_is_not_trusted_when_a_known_key_s_signature_is_wrong_beside_a_good_one() -> None:
    """TL-7."""
    other = NoteKey(name="other.example", public=OTHER.public)
    wrong = note.sign_note("something else\n", "other.example", OTHER).partition("\n\n")[2]
    with pytest.raises(NotTrusted):
        note.open_note(SIGNED + wrong, [*TRUSTED, other])


def test_checkpoint_is_not_trusted_when_its_key_signed_it_for_another_log() -> None:
    """TL-9."""
    other = note.sign_note("other.example/log\n7\n" + TEXT.split("\n")[2] + "\n", ORIGIN, KEY)
    with pytest.raises(NotTrusted, match=r"of log 'other\.example/log'"):
        note.open_checkpoint(other, ORIGIN, KEY.public)


def test_checkpoint_opens_when_it_has_extension_lines() -> None:
    """TL-8."""
    extended = note.sign_note(CHECKPOINT.to_text() + "more\n", ORIGIN, KEY)
    assert note.open_checkpoint(extended, ORIGIN, KEY.public) == CHECKPOINT


def others(count: int) -> str:
    """So many signature lines of keys that nobody knows."""
    return "".join(note.signature_line(f"w{number}.example", bytes(68)) for number in range(count))


@pytest.mark.parametrize("count", [1, 16])
def test_note_opens_when_it_has_as_many_signatures_as_allowed(count: int) -> None:
    """TL-5."""
    assert note.open_note(f"{TEXT}\n\n" + SIGNATURE + others(count - 1), TRUSTED) == TEXT + "\n"


@pytest.mark.parametrize(
    "broken",
    [
        TEXT + "\n",
        f"{TEXT}\n\n",
        f"{TEXT}\n\n" + SIGNATURE + others(16),
        SIGNED + SIGNATURE,
        SIGNED[:-1],
        SIGNED + "\n",
        SIGNED.replace("— ", "- "),
        SIGNED.replace("—", "—\t"),
        SIGNED.replace(ORIGIN + " ", ORIGIN + "+ "),
        SIGNED.replace("=\n", "\n"),
        f"{TEXT}\n\n— {ORIGIN} AAAA\n",
        f"{TEXT}\n\n— {ORIGIN} ????\n",
        "\r" + SIGNED,
        "x" * 70_000 + SIGNED,
    ],
)
def test_note_is_refused_when_its_form_is_wrong(broken: str) -> None:
    """TL-5, TL-6."""
    with pytest.raises(Integrity):
        note.open_note(broken, TRUSTED)


@pytest.mark.parametrize(
    "text",
    [
        "origin\n7\n",
        "origin\n07\n" + TEXT.split("\n")[2] + "\n",
        "origin\n-7\n" + TEXT.split("\n")[2] + "\n",
        "origin\n٧\n" + TEXT.split("\n")[2] + "\n",
        "origin\n9007199254740992\n" + TEXT.split("\n")[2] + "\n",
        "origin\n7\nAAAA\n",
        "\n7\n" + TEXT.split("\n")[2] + "\n",
        "origin\n7\n" + TEXT.split("\n")[2],
        "origin\n7\n" + TEXT.split("\n")[2][:-2] + "9=\n",
    ],
)
def test_checkpoint_is_refused_when_its_text_is_not_exact(text: str) -> None:
    """TL-8, TL-6."""
    with pytest.raises(Integrity):
        note.parse_checkpoint(text)


@pytest.mark.parametrize(
    ("text", "name"), [("no newline", "a"), ("\x07\n", "a"), ("a\n", "a b"), ("a\n", "a+b"), ("a\n", "")]
)
def test_note_is_not_signed_when_text_or_name_cannot_be_read_back(text: str, name: str) -> None:
    """TL-5."""
    with pytest.raises(ValueError, match="note's text"):
        note.sign_note(text, name, KEY)
