"""Writing and reading sealed files: sizes around the chunk, properties, random access, recovery."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vedette.age_stream import CHUNK_BYTES, SEALED_CHUNK_BYTES
from vedette.errors import Usage, VedetteError
from vedette.sealed import (
    HybridIdentity,
    PayloadFault,
    SealedReader,
    SealedWriter,
    X25519Identity,
    header_length,
    open_sealed,
    recover,
    seal,
    whole_prefix,
)

MINE, OTHER, CLASSIC = HybridIdentity.generate(), HybridIdentity.generate(), X25519Identity.generate()
SIZES = (0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 2 * CHUNK_BYTES + 1)
CONTENT = os.urandom(3 * CHUNK_BYTES + 1000)
SEALED = seal(CONTENT, [MINE.recipient])
SMALL = b"hit: one plate, two looks"
SMALL_SEALED = seal(SMALL, [MINE.recipient])


class Pieces:
    """A sink that keeps each write apart."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.pieces.append(bytes(data))


class FullDisk:
    """A sink that takes a number of writes and then fails like a full disk."""

    def __init__(self, writes: int) -> None:
        self.left = writes

    def write(self, data: bytes) -> int:
        self.left -= 1
        return len(data) // (self.left >= 0)


class ShortWrites(io.BytesIO):
    """A raw file that takes at most 1,000 bytes at a time."""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        return super().write(data[:1000])


class ShortReads(io.BytesIO):
    """A raw file that gives at most 1,000 bytes at a time."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 0, 1000))


def chunk_edges(size: int, start: int) -> list[int]:
    """Where chunks begin or end in a whole sealed file of that size, the end included."""
    return [*range(start, size, SEALED_CHUNK_BYTES), size]


@pytest.mark.parametrize("size", SIZES)
def test_sealed_file_opens_to_the_same_bytes_when_its_size_is_near_the_chunk(size: int) -> None:
    """SF-13."""
    sealed = seal(CONTENT[:size], [OTHER.recipient, MINE.recipient])

    start = header_length(io.BytesIO(sealed))
    chunks = max(1, -(-size // CHUNK_BYTES))

    assert open_sealed(sealed, [MINE]) == CONTENT[:size]
    assert open_sealed(sealed, [OTHER]) == CONTENT[:size]
    assert len(sealed) == start + size + 16 * chunks


@settings(max_examples=60, deadline=None)
@given(pieces=st.lists(st.integers(0, 70_000), max_size=12))
def test_sealed_writer_round_trips_when_written_in_any_pieces(pieces: list[int]) -> None:
    """SF-13, SF-17."""
    sink = io.BytesIO()
    writer = SealedWriter(sink, [CLASSIC.recipient])

    written = b""
    for size in pieces:
        assert writer.write(CONTENT[:size]) == size
        written += CONTENT[:size]
    writer.close()

    assert open_sealed(sink.getvalue(), [CLASSIC]) == written
    assert (writer.plain_bytes, writer.sealed_bytes) == (len(written), len(sink.getvalue()))


def test_sealed_writer_passes_on_whole_chunks_only_when_bytes_come_one_by_one() -> None:
    """SF-17, SF-18."""
    sink = Pieces()
    writer = SealedWriter(sink, [MINE.recipient])

    writer.write(CONTENT[: CHUNK_BYTES - 1])
    before = len(sink.pieces)
    writer.write(b"x")
    when_full = len(sink.pieces)
    writer.write(b"y")
    one_more = len(sink.pieces)
    writer.write(CONTENT)
    writer.close()

    assert (before, when_full, one_more) == (1, 1, 2)
    assert {len(piece) for piece in sink.pieces[1:-1]} == {SEALED_CHUNK_BYTES}


def test_sealed_writer_leaves_the_file_unfinished_when_an_error_ends_the_block() -> None:
    """SF-19."""
    sink = io.BytesIO()

    with pytest.raises(RuntimeError), SealedWriter(sink, [MINE.recipient]) as writer:
        writer.write(CONTENT)
        raise RuntimeError("the camera broke")
    recovery = recover(io.BytesIO(sink.getvalue()), [MINE])

    assert b"".join(recovery) == CONTENT[: 3 * CHUNK_BYTES]
    assert not recovery.complete
    with pytest.raises(PayloadFault, match="recover"):
        open_sealed(sink.getvalue(), [MINE])


def test_sealed_writer_writes_nothing_more_when_its_sink_has_failed() -> None:
    """SF-19."""
    sink = FullDisk(writes=2)
    writer = SealedWriter(sink, [MINE.recipient])

    with pytest.raises(ZeroDivisionError):
        writer.write(CONTENT)
    writer.close()

    assert sink.left == -1
    with pytest.raises(ValueError, match="sink failed"):
        writer.write(b"x")


def test_sealed_file_is_whole_when_the_files_below_take_and_give_short_pieces() -> None:
    """SF-18."""
    sink = ShortWrites()

    with SealedWriter(sink, [MINE.recipient]) as writer:
        writer.write(CONTENT)
    with SealedReader(ShortReads(sink.getvalue()), [MINE]) as reader:
        content = reader.read()

    assert content == CONTENT


def test_sealed_files_share_no_key_or_nonce_when_made_of_the_same_bytes() -> None:
    """SF-12."""
    one, two = seal(SMALL, [MINE.recipient]), seal(SMALL, [MINE.recipient])
    start = header_length(io.BytesIO(one))

    assert len(one) == len(two)
    assert one[start - 16 : start] != two[start - 16 : start]
    assert one[start:] != two[start:]


@pytest.mark.parametrize("count", [1, 32])
def test_sealed_writer_takes_recipients_when_there_are_one_to_the_limit(count: int) -> None:
    """SF-3, SF-10."""
    recipients = [OTHER.recipient] * (count - 1) + [MINE.recipient]

    assert open_sealed(seal(SMALL, recipients), [MINE]) == SMALL


@pytest.mark.parametrize("count", [0, 33])
def test_sealed_writer_refuses_when_there_are_no_or_too_many_recipients(count: int) -> None:
    """SF-10."""
    with pytest.raises(Usage, match="1 to 32"):
        seal(SMALL, [MINE.recipient] * count)


def test_sealed_writer_refuses_when_classic_and_post_quantum_recipients_meet() -> None:
    """SF-8."""
    with pytest.raises(Usage, match="weaker"):
        seal(SMALL, [MINE.recipient, CLASSIC.recipient])


@settings(max_examples=150, deadline=None)
@given(cut=st.integers(0, len(SEALED) - 1))
def test_no_prefix_of_a_sealed_file_yields_wrong_bytes_when_cut_anywhere(cut: int) -> None:
    """SF-14, SF-15, SF-20."""
    check_prefix(cut)


@pytest.mark.parametrize("delta", [-1, 0, 1])
@pytest.mark.parametrize("edge", chunk_edges(len(SEALED) - SEALED_CHUNK_BYTES, header_length(io.BytesIO(SEALED))))
def test_no_prefix_of_a_sealed_file_yields_wrong_bytes_when_cut_near_a_chunk_edge(edge: int, delta: int) -> None:
    """SF-14, SF-18, SF-20."""
    check_prefix(edge + delta)


def check_prefix(cut: int) -> None:
    prefix = SEALED[:cut]
    start = header_length(io.BytesIO(SEALED))
    with pytest.raises(VedetteError):
        open_sealed(prefix, [MINE])
    content, complete = recovered(prefix)
    assert not complete
    assert content == CONTENT[: max(0, whole_prefix(cut, start) - start) // SEALED_CHUNK_BYTES * CHUNK_BYTES]


def recovered(sealed: bytes) -> tuple[bytes, bool]:
    try:
        recovery = recover(io.BytesIO(sealed), [MINE])
    except VedetteError:
        return b"", False
    return b"".join(recovery), recovery.complete


@pytest.mark.parametrize("bit", [0x01, 0x20, 0x80])
def test_sealed_file_is_rejected_when_any_byte_is_flipped(bit: int) -> None:
    """SF-2, SF-4, SF-14, SF-15."""
    for position in range(len(SMALL_SEALED)):
        flipped = bytearray(SMALL_SEALED)
        flipped[position] ^= bit

        with pytest.raises(VedetteError):
            open_sealed(bytes(flipped), [MINE])


@settings(max_examples=100, deadline=None)
@given(position=st.integers(0, len(SEALED) - 1), bit=st.integers(0, 7))
def test_recover_gives_a_true_prefix_only_when_one_bit_of_a_long_file_is_flipped(position: int, bit: int) -> None:
    """SF-15, SF-20."""
    flipped = bytearray(SEALED)
    flipped[position] ^= 1 << bit

    content, complete = recovered(bytes(flipped))

    assert not complete
    assert CONTENT.startswith(content)
    with pytest.raises(VedetteError):
        open_sealed(bytes(flipped), [MINE])


@settings(max_examples=60, deadline=None)
@given(reads=st.lists(st.tuples(st.integers(0, len(CONTENT) + 50), st.integers(0, 150_000)), max_size=8))
def test_sealed_reader_gives_the_range_asked_for_when_read_at_random(reads: list[tuple[int, int]]) -> None:
    """SF-16."""
    reader = SealedReader(io.BytesIO(SEALED), [MINE])

    for offset, size in reads:
        assert reader.seek(offset) == offset
        assert reader.read(size) == CONTENT[offset : offset + size]
        assert reader.tell() == offset + len(CONTENT[offset : offset + size])


def test_sealed_reader_touches_only_the_chunks_it_needs_when_another_is_damaged() -> None:
    """SF-16."""
    start = header_length(io.BytesIO(SEALED))
    damaged = bytearray(SEALED)
    damaged[start + SEALED_CHUNK_BYTES + 5] ^= 1
    reader = SealedReader(io.BytesIO(bytes(damaged)), [MINE])

    first = reader.read(CHUNK_BYTES)
    reader.seek(-1010, os.SEEK_END)
    last = reader.read()
    reader.seek(CHUNK_BYTES)

    assert (first, last) == (CONTENT[:CHUNK_BYTES], CONTENT[-1010:])
    with pytest.raises(PayloadFault, match="chunk 1 "):
        reader.read(10)
    with pytest.raises(PayloadFault, match="chunk 1 "):
        reader.read(2 * CHUNK_BYTES)


def test_sealed_reader_gives_out_nothing_of_a_changed_chunk_when_reading_into_a_buffer() -> None:
    """SF-15."""
    damaged = bytearray(SEALED)
    damaged[header_length(io.BytesIO(SEALED)) + 5] ^= 1
    reader = SealedReader(io.BytesIO(bytes(damaged)), [MINE])
    target = bytearray(CHUNK_BYTES)

    with pytest.raises(PayloadFault):
        reader.readinto(target)

    assert target == bytes(CHUNK_BYTES)


def test_sealed_reader_behaves_like_a_file_when_sought_and_read(tmp_path: Path) -> None:
    """SF-16."""
    path = tmp_path / "segment.age"
    path.write_bytes(SEALED)

    with path.open("rb") as source, SealedReader(source, [MINE]) as reader:
        size, end = reader.size, reader.seek(0, os.SEEK_END)
        nothing = reader.read(10)
        back = reader.seek(-10, os.SEEK_CUR)
        tail = reader.read()
        with pytest.raises(ValueError, match="before the start"):
            reader.seek(-1)

    assert (size, end, nothing, back, tail) == (len(CONTENT), len(CONTENT), b"", len(CONTENT) - 10, CONTENT[-10:])


@pytest.mark.parametrize("header_len", [65, 1600])
def test_whole_prefix_is_the_last_chunk_edge_when_sizes_lie_around_it(header_len: int) -> None:
    """SF-18."""
    n = SEALED_CHUNK_BYTES
    sizes = [0, header_len - 1, header_len, header_len + 1, header_len + n - 1, header_len + n, header_len + 2 * n + 1]

    edges = [whole_prefix(size, header_len) for size in sizes]

    assert edges == [0, 0, header_len, header_len, header_len, header_len + n, header_len + 2 * n]
