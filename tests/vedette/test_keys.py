"""Signing keys and their text form."""

from pathlib import Path

import pytest

from vedette.errors import Integrity, NotFound, NotTrusted, Refused
from vedette.keys import PublicKey, SigningKey


def test_key_signs_what_its_public_half_verifies_when_saved_and_loaded(tmp_path: Path) -> None:
    """RE-5."""
    key = SigningKey.generate()
    key.save(tmp_path / "sign.pem")
    signature = SigningKey.load(tmp_path / "sign.pem").sign(b"message")
    PublicKey.from_text(key.public.text).verify(signature, b"message")
    assert (tmp_path / "sign.pem").stat().st_mode & 0o777 == 0o600


def test_key_refuses_a_signature_when_message_or_signer_differ() -> None:
    """RE-5."""
    key, other = SigningKey.generate(), SigningKey.generate()
    with pytest.raises(NotTrusted):
        key.public.verify(key.sign(b"message"), b"massage")
    with pytest.raises(NotTrusted):
        key.public.verify(other.sign(b"message"), b"message")
    with pytest.raises(NotTrusted):
        key.public.verify(b"short", b"message")


def test_key_is_never_saved_over_another(tmp_path: Path) -> None:
    SigningKey.generate().save(tmp_path / "sign.pem")
    with pytest.raises(Refused, match="not overwritten"):
        SigningKey.generate().save(tmp_path / "sign.pem")


@pytest.mark.parametrize("text", ["", "ed25519:", "ed25519:AAAA", "rsa:" + "A" * 44, "ed25519:" + "A" * 42 + "B="])
def test_public_key_text_is_refused_when_it_is_not_the_one_form(text: str) -> None:
    """RE-6."""
    with pytest.raises(Integrity):
        PublicKey.from_text(text)


def test_key_file_is_refused_when_it_is_missing_or_no_key(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        SigningKey.load(tmp_path / "sign.pem")
    (tmp_path / "sign.pem").write_text("no key")
    with pytest.raises(Refused, match="PEM"):
        SigningKey.load(tmp_path / "sign.pem")
