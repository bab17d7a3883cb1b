"""Recipients, identities, headers and identity files."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette import bech32
from vedette.age_header import MAX_HEADER_BYTES, HeaderFault, NoMatch, Stanza, format_header, read_header
from vedette.errors import Integrity, NotFound, Refused
from vedette.sealed import (
    HybridIdentity,
    X25519Identity,
    load_identities,
    open_sealed,
    parse_identity,
    parse_recipient,
    save_identity,
    seal,
)

HYBRID, CLASSIC = HybridIdentity(bytes(range(32))), X25519Identity(bytes(range(32)))
KEY = bytes(16)
# The example keys of C2SP age.md.
SPEC_IDENTITY = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
SPEC_RECIPIENT = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"


class Endless(io.RawIOBase):
    """A header whose recipient line never ends; counts what is asked of it."""

    def __init__(self) -> None:
        self.given = 0
        self.start = b"age-encryption.org/v1\n-> "

    def readline(self, size: int | None = -1, /) -> bytes:
        line = self.start if self.given == 0 else b"x" * (size or 0)
        line, self.start = (line[: line.index(b"\n") + 1], b"") if b"\n" in line else (line, self.start)
        self.given += len(line)
        return line


@given(payload=st.binary(max_size=1300))
def test_bech32_round_trips_when_the_payload_is_of_any_length(payload: bytes) -> None:
    """SF-7."""
    text = bech32.encode("age1pq", payload)

    assert bech32.decode(text) == bech32.decode(text.upper()) == ("age1pq", payload)


@given(st.binary(min_size=1, max_size=40), st.data())
def test_bech32_refuses_when_one_character_is_mistyped(payload: bytes, data: st.DataObject) -> None:
    """SF-7."""
    text = bech32.encode("age", payload)
    position = data.draw(st.integers(4, len(text) - 1))
    wrong = data.draw(st.sampled_from([c for c in "qpzry9x8gf2tvdw0s3jn54khce6mua7lbio" if c != text[position]]))

    with pytest.raises(Integrity):
        bech32.decode(text[:position] + wrong + text[position + 1 :])


@pytest.mark.parametrize("text", ["age1lae6aamz", "age1luqrr2q7m"], ids=["bits that are not zero", "a whole group"])
def test_bech32_refuses_when_more_than_zero_bits_follow_the_payload(text: str) -> None:
    """SF-7."""
    assert bech32.decode("age1luyvfgxs") == ("age", b"\xff")
    with pytest.raises(Integrity, match="not zero"):
        bech32.decode(text)


def test_recipient_of_the_specification_is_computed_when_its_identity_is_parsed() -> None:
    """SF-7."""
    identity = parse_identity(SPEC_IDENTITY)

    assert identity.recipient.text == SPEC_RECIPIENT
    assert identity.secret_text == SPEC_IDENTITY
    assert parse_recipient(SPEC_RECIPIENT) == identity.recipient


@pytest.mark.parametrize("identity", [HYBRID, CLASSIC], ids=["hybrid", "classic"])
def test_keys_survive_their_text_form_when_parsed_again(identity: HybridIdentity | X25519Identity) -> None:
    """SF-7."""
    again = parse_identity(identity.secret_text)

    assert again.recipient == identity.recipient == parse_recipient(identity.recipient.text)
    assert open_sealed(seal(b"x", [parse_recipient(identity.recipient.text)]), [again]) == b"x"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "age1",
        "ed25519:AAAA",
        HYBRID.secret_text,
        HYBRID.recipient.text.upper(),
        HYBRID.recipient.text[:-1],
        "A" + SPEC_RECIPIENT[1:],
        bech32.encode("age1pq", bytes(1215)),
        bech32.encode("age1pq", b"\xff" * 1184 + bytes(range(32))),
        bech32.encode("age1pq", bytes(1216)),
        bech32.encode("age", bytes(31)),
        bech32.encode("age", bytes(32)),
        bech32.encode("age1yubikey", bytes(33)),
        "q" * 9000,
    ],
)
def test_recipient_is_refused_when_the_text_is_not_one(text: str) -> None:
    """SF-7, SF-9."""
    with pytest.raises(Integrity):
        parse_recipient(text)


@pytest.mark.parametrize(
    "text",
    [
        SPEC_IDENTITY.lower(),
        SPEC_IDENTITY[:-1],
        bech32.encode("age-secret-key-pq-", bytes(31)).upper(),
        bech32.encode("age-secret-key-", bytes(33)).upper(),
        SPEC_RECIPIENT,
    ],
)
def test_identity_is_refused_without_being_repeated_when_the_text_is_not_one(text: str) -> None:
    """SF-7, SF-11."""
    with pytest.raises(Integrity) as refusal:
        parse_identity(text)

    assert text[10:30] not in str(refusal.value)


def test_identity_keeps_its_secret_when_shown() -> None:
    """SF-11."""
    assert HYBRID.secret_text[20:] not in repr(HYBRID) + str(HYBRID)


@pytest.mark.parametrize(
    "stanza",
    [
        Stanza(("mlkem768x25519",), bytes(32)),
        Stanza((*HYBRID.recipient.wrap(KEY).arguments, "more"), bytes(32)),
        Stanza(HYBRID.recipient.wrap(KEY).arguments, bytes(31)),
        Stanza(HYBRID.recipient.wrap(KEY).arguments, bytes(33)),
        Stanza(("mlkem768x25519", "A" * 1493), bytes(32)),
        Stanza(("mlkem768x25519", "A" * 1494), bytes(32)),
    ],
)
def test_identity_refuses_a_stanza_of_its_type_when_it_is_malformed(stanza: Stanza) -> None:
    """SF-9."""
    with pytest.raises(HeaderFault):
        HYBRID.unwrap(stanza)


def test_header_ignores_stanzas_when_their_type_is_unknown() -> None:
    """SF-5."""
    header = read_header(io.BytesIO(format_header([Stanza(("new-type", "x"), b""), HYBRID.recipient.wrap(KEY)], KEY)))

    assert [HYBRID.unwrap(stanza) for stanza in header.stanzas] == [None, KEY]


def test_sealed_file_says_it_is_sealed_to_others_when_no_key_fits() -> None:
    """SF-5."""
    with pytest.raises(NoMatch, match="sealed to others") as refusal:
        open_sealed(seal(b"x", [HYBRID.recipient]), [CLASSIC, HybridIdentity.generate()])

    assert refusal.value.exit_code == 11


@pytest.mark.parametrize("body_bytes", [0, 1, 47, 48, 49, 96])
def test_header_round_trips_when_bodies_end_near_the_line_length(body_bytes: int) -> None:
    """SF-2."""
    stanzas = [Stanza(("grease", "!~"), bytes(range(body_bytes)))] * 2

    header = read_header(io.BytesIO(format_header(stanzas, KEY)))

    assert list(header.stanzas) == stanzas
    header.check(KEY)


def test_header_is_read_when_it_is_as_long_as_the_limit() -> None:
    """SF-3."""
    fixed = len(format_header([Stanza(("",), b"")], KEY))
    header = format_header([Stanza(("x" * (MAX_HEADER_BYTES - fixed),), b"")], KEY)

    assert read_header(io.BytesIO(header)).length == len(header) == MAX_HEADER_BYTES


def test_header_is_refused_when_it_is_one_byte_longer_than_the_limit() -> None:
    """SF-3."""
    fixed = len(format_header([Stanza(("",), b"")], KEY))
    header = format_header([Stanza(("x" * (MAX_HEADER_BYTES - fixed),), b"")], KEY).replace(b" x", b" xx")

    with pytest.raises(HeaderFault, match="longer than 65536"):
        read_header(io.BytesIO(header))
    with pytest.raises(Refused, match="too many"):
        format_header([Stanza(("x" * (MAX_HEADER_BYTES - fixed + 1),), b"")], KEY)


def test_header_reading_stops_at_the_limit_when_a_line_never_ends() -> None:
    """SF-3."""
    source = Endless()

    with pytest.raises(HeaderFault):
        read_header(source)

    assert source.given <= MAX_HEADER_BYTES + 1


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "ends within its header"),
        (b"\x00\x00\x00\x18ftypisom" * 10, "not a sealed file"),
        (b"not age\n", "not a sealed file"),
        (b"age-encryption.org/v2\n", "version 'v2'"),
        (b"age-encryption.org/v1\n--- " + b"A" * 43 + b"\n", "no recipient"),
        (b"age-encryption.org/v1\n-> \n\n", "malformed recipient line"),
        (b"age-encryption.org/v1\n-> a  b\n\n", "malformed recipient line"),
        (b"age-encryption.org/v1\n-> a\nA===\n", "malformed recipient body"),
        (b"age-encryption.org/v1\n-> a\nB\n", "canonical base64"),
    ],
)
def test_header_fault_says_what_is_wrong_when_the_header_is_malformed(data: bytes, says: str) -> None:
    """SF-1, SF-2."""
    with pytest.raises(HeaderFault, match=says):
        read_header(io.BytesIO(data))


def test_identity_file_is_private_and_read_back_when_saved(tmp_path: Path) -> None:
    """SF-11."""
    path = tmp_path / "oversight.identity"

    save_identity(path, HYBRID, created="2026-11-23T09:00:00Z")

    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.recipient for one in load_identities(path)] == [HYBRID.recipient]
    with pytest.raises(Refused, match="not overwritten"):
        save_identity(path, CLASSIC)


def test_identity_file_may_hold_comments_and_several_keys_when_loaded(tmp_path: Path) -> None:
    """SF-11."""
    path = tmp_path / "keys"
    path.write_text(f"# ours\n\n{HYBRID.secret_text}\r\n# theirs\n{CLASSIC.secret_text}\n")

    assert [one.recipient for one in load_identities(path)] == [HYBRID.recipient, CLASSIC.recipient]


def test_identity_file_fault_names_the_line_and_no_secret_when_a_key_is_mistyped(tmp_path: Path) -> None:
    """SF-11."""
    path = tmp_path / "keys"
    path.write_text(f"# ours\n{HYBRID.secret_text[:-1]}\n")

    with pytest.raises(Refused, match="line 2") as refusal:
        load_identities(path)

    assert HYBRID.secret_text[20:40] not in str(refusal.value)


@pytest.mark.parametrize("count", [0, 65])
def test_identity_file_is_refused_when_it_holds_no_or_too_many_keys(tmp_path: Path, count: int) -> None:
    """SF-11."""
    path = tmp_path / "keys"
    path.write_text(f"{CLASSIC.secret_text}\n" * count)

    with pytest.raises(Refused, match=f"holds {count} identities"):
        load_identities(path)


def test_identity_file_is_not_found_when_missing(tmp_path: Path) -> None:
    """SF-11."""
    with pytest.raises(NotFound):
        load_identities(tmp_path / "missing")
