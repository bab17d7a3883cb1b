"""The public vectors of the age format (C2SP/CCTV) and Vedette's own: outcome, content and file key."""

from __future__ import annotations

import hashlib
import io
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from vedette.age_header import read_header
from vedette.age_reader import file_key_of
from vedette.errors import Integrity
from vedette.sealed import (
    HeaderFault,
    MacFault,
    NoMatch,
    PayloadFault,
    SealedReader,
    header_length,
    open_sealed,
    parse_identity,
    recover,
)

REPOSITORY = Path(__file__).parents[2]
PUBLIC = Path(os.environ.get("VEDETTE_DATA", REPOSITORY.parent / "shared" / "data")) / "vectors" / "age"
OWN = REPOSITORY / "tests" / "vectors" / "sealed"
NOT_BUILT = ("armor", "scrypt")
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
OUTCOMES = {
    "header failure": HeaderFault,
    "HMAC failure": MacFault,
    "no match": NoMatch,
    "payload failure": PayloadFault,
}


@dataclass(frozen=True)
class Vector:
    expect: str
    payload: str
    file_key: str
    identities: list[str]
    sealed: bytes


def read_vector(path: Path) -> Vector:
    head, _, sealed = path.read_bytes().partition(b"\n\n")
    fields = [line.split(": ", 1) for line in head.decode().splitlines()]
    one = dict(fields)
    return Vector(
        expect=one["expect"],
        payload=one.get("payload", EMPTY_SHA256),
        file_key=one.get("file key", ""),
        identities=[value for name, value in fields if name == "identity"],
        sealed=zlib.decompress(sealed) if one.get("compressed") == "zlib" else sealed,
    )


def vectors_in(folder: Path) -> list[ParameterSet]:
    paths = sorted(path for path in folder.glob("*") if path.suffix == "" and not path.name.startswith(NOT_BUILT))
    return [pytest.param(read_vector(path), id=path.name) for path in paths]


def vector_of(parameters: ParameterSet) -> Vector:
    (vector,) = parameters.values
    assert isinstance(vector, Vector)
    return vector


ALL = vectors_in(OWN) + vectors_in(PUBLIC)
ACCEPTS = [one for one in ALL if vector_of(one).expect == "success"]
REJECTS = [one for one in ALL if vector_of(one).expect != "success"]
WITH_PAYLOAD = [one for one in REJECTS if vector_of(one).expect == "payload failure"]
WITH_KEY = [one for one in ACCEPTS if vector_of(one).file_key]


@pytest.mark.skipif(not PUBLIC.is_dir(), reason=f"the public age vectors are not at {PUBLIC} (set VEDETTE_DATA)")
def test_public_vectors_are_all_run_when_they_are_at_hand() -> None:
    """SF-1."""
    names = [path.name for path in PUBLIC.iterdir()]

    assert len(vectors_in(PUBLIC)) == len([name for name in names if not name.startswith(NOT_BUILT)]) >= 80


@pytest.mark.parametrize("vector", ACCEPTS)
def test_sealed_reader_gives_the_content_when_a_vector_is_good(vector: Vector) -> None:
    """SF-1, SF-6, SF-13."""
    identities = [parse_identity(text) for text in vector.identities]

    content = open_sealed(vector.sealed, identities)
    recovery = recover(io.BytesIO(vector.sealed), identities)

    assert hashlib.sha256(content).hexdigest() == vector.payload
    assert b"".join(recovery) == content
    assert recovery.complete
    assert recovery.sealed_bytes == len(vector.sealed)


@pytest.mark.parametrize("vector", REJECTS)
def test_sealed_reader_names_the_fault_when_a_vector_is_bad(vector: Vector) -> None:
    """SF-2, SF-4, SF-5, SF-9, SF-14."""
    identities = [parse_identity(text) for text in vector.identities]

    with pytest.raises(OUTCOMES[vector.expect]):
        SealedReader(io.BytesIO(vector.sealed), identities).readall()


@pytest.mark.parametrize("vector", WITH_PAYLOAD)
def test_recover_gives_only_the_chunks_before_the_fault_when_a_vector_is_bad(vector: Vector) -> None:
    """SF-15, SF-20."""
    identities = [parse_identity(text) for text in vector.identities]

    recovery = recover(io.BytesIO(vector.sealed), identities)
    content = b"".join(recovery)

    assert hashlib.sha256(content).hexdigest() == vector.payload
    assert not recovery.complete
    assert recovery.fault is not None
    assert recovery.plain_bytes == len(content)


@pytest.mark.parametrize("vector", WITH_KEY)
def test_header_gives_the_file_key_when_a_vector_names_it(vector: Vector) -> None:
    """SF-6."""
    header = read_header(io.BytesIO(vector.sealed))

    assert file_key_of(header, [parse_identity(text) for text in vector.identities]).hex() == vector.file_key


@pytest.mark.parametrize("vector", ACCEPTS)
def test_header_length_finds_the_chunks_when_no_key_is_at_hand(vector: Vector) -> None:
    """SF-18."""
    source = io.BytesIO(vector.sealed)

    assert header_length(source) == source.tell() == vector.sealed.index(b"\n---") + 49 + 16


def test_own_vectors_are_mostly_rejects_when_counted() -> None:
    """SF-14."""
    own = [vector_of(one).expect for one in vectors_in(OWN)]

    assert own.count("success") * 2 <= len(own)
    assert issubclass(PayloadFault, Integrity)
