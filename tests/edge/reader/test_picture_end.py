"""Pictures whose file ends too early, or whose end was never written, of every kind that tells its length."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edge.reader import picture_end
from edge.reader.picture_end import end_of
from edge.reader.pictures import Unreadable, read_picture

SIDES = (200, 300)
NOISE = np.random.default_rng(46).integers(0, 256, SIDES, dtype=np.uint8)
COLOUR = np.dstack([NOISE, NOISE[::-1], NOISE[:, ::-1]])
CLEAR = np.dstack([COLOUR, NOISE])
DEEP = NOISE.astype(np.uint16) * 257


def of_pil(kind: str, picture: np.ndarray[Any, Any] | Image.Image, **how: Any) -> bytes:
    coded = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(coded, kind, **how)
    return coded.getvalue()


def of_opencv(suffix: str, picture: np.ndarray[Any, Any], *options: int) -> bytes:
    ok, coded = cv2.imencode(suffix, picture, list(options))
    assert ok
    return coded.tobytes()


def tiff(order: str, parts: list[bytes], tags: dict[int, int]) -> bytes:
    """A grey TIFF whose directory stands before its parts; `tags` has 0 where the places or lengths of parts come."""
    lists = 8 + 2 + 12 * len(tags) + 4
    first = lists + 8 * len(parts)
    places = [first + sum(map(len, parts[:one])) for one in range(len(parts))]
    # A list of one number stands in its field.
    where = iter((lists, lists + 4 * len(parts)) if len(parts) != 1 else (places[0], len(parts[0])))
    made = {b"<": b"II*\0", b">": b"MM\0*"}[order.encode()] + struct.pack(f"{order}IH", 8, len(tags))
    for tag, value in tags.items():
        count = 1 if value else len(parts)
        made += struct.pack(f"{order}HHII", tag, 4, count, value or next(where))
    made += struct.pack(f"{order}I{2 * len(parts)}I", 0, *places, *map(len, parts))
    return made + b"".join(parts)


def striped(order: str) -> bytes:
    tags = {256: 300, 257: 200, 258: 8, 259: 1, 262: 1, 273: 0, 277: 1, 278: 10, 279: 0}
    return tiff(order, [NOISE[at : at + 10].tobytes() for at in range(0, 200, 10)], tags)


def tiled(order: str) -> bytes:
    whole = np.pad(NOISE, ((0, 56), (0, 212)))
    tags = {256: 300, 257: 200, 258: 8, 259: 1, 262: 1, 277: 1, 322: 256, 323: 256, 324: 0, 325: 0}
    return tiff(order, [np.ascontiguousarray(half).tobytes() for half in np.split(whole, 2, axis=1)], tags)


BILEVEL, INDEXED = Image.fromarray(NOISE).convert("1"), Image.fromarray(COLOUR).convert("P")
BMP_CORE = b"BM" + struct.pack("<IIIIHHHH", 26 + 60_000, 0, 26 + 768, 12, 300, 200, 1, 8) + bytes(
    value for grey in range(256) for value in (grey, grey, grey)
) + NOISE[::-1].tobytes()  # fmt: skip
WHOLE = {
    "webp": of_pil("WEBP", COLOUR), "webp lossless": of_pil("WEBP", COLOUR, lossless=True),
    "webp clear": of_pil("WEBP", CLEAR), "webp grey": of_opencv(".webp", NOISE),
    "webp moving": of_pil("WEBP", COLOUR, save_all=True, append_images=[Image.fromarray(COLOUR[::-1])]),
    "bmp": of_pil("BMP", COLOUR), "bmp grey": of_opencv(".bmp", NOISE), "bmp clear": of_opencv(".bmp", CLEAR),
    "bmp one bit": of_pil("BMP", BILEVEL), "bmp indexed": of_pil("BMP", INDEXED), "bmp of OS/2": BMP_CORE,
    "tiff": of_pil("TIFF", COLOUR), "tiff grey": of_opencv(".tiff", NOISE), "tiff clear": of_opencv(".tiff", CLEAR),
    "tiff deep": of_opencv(".tiff", DEEP), "tiff lzw": of_pil("TIFF", COLOUR, compression="tiff_lzw"),
    "tiff jpeg": of_pil("TIFF", COLOUR, compression="jpeg"), "tiff fax": of_pil("TIFF", BILEVEL, compression="group4"),
    "tiff deflated": of_pil("TIFF", COLOUR, compression="tiff_adobe_deflate"),
    "tiff strips": striped("<"), "tiff strips, Motorola": striped(">"), "tiff tiles": tiled("<"),
    "png": of_pil("PNG", COLOUR), "png deep": of_opencv(".png", DEEP), "png clear": of_opencv(".png", CLEAR),
    "png moving": of_pil("PNG", COLOUR, save_all=True, append_images=[Image.fromarray(COLOUR[::-1])]),
    "pgm": of_opencv(".pgm", NOISE), "ppm deep": of_opencv(".ppm", COLOUR.astype(np.uint16) * 257),
}  # fmt: skip


def said_of(path: Path, content: bytes) -> str:
    """What is wrong with the picture, whether something of it could be read or not; empty where nothing is."""
    path.write_bytes(content)
    try:
        return read_picture(path).trouble
    except Unreadable as error:
        return str(error)


@pytest.mark.parametrize("kind", WHOLE)
def test_a_whole_picture_is_read_without_complaint(tmp_path: Path, kind: str) -> None:
    """HT-46."""
    path = tmp_path / "whole"
    for more in (b"", b"\0" * 3, b"left by another program"):
        path.write_bytes(WHOLE[kind] + more)
        picture = read_picture(path)
        assert (picture.luma.shape, picture.trouble) == (SIDES, ""), more
    assert end_of(memoryview(WHOLE[kind])) <= len(WHOLE[kind])


@pytest.mark.parametrize("kind", WHOLE)
def test_a_cut_picture_is_named_as_cut_wherever_it_is_cut(tmp_path: Path, kind: str) -> None:
    """HT-46."""
    whole = WHOLE[kind]
    for share in (25, 50, 90, 99):
        said = said_of(tmp_path / "cut", whole[: len(whole) * share // 100])
        assert f"the file has {len(whole) * share // 100} of at least " in said, share
        assert said.endswith("copy the file again from where it was taken")
    # A TIFF may end in what its picture does not need.
    assert "cut off" in said_of(tmp_path / "cut", whole[:-1]) or kind.startswith("tiff")


@pytest.mark.parametrize("kind", ["WEBP", "BMP", "TIFF", "PNG"])
def test_one_pixel_is_whole_and_one_pixel_cut_is_not(tmp_path: Path, kind: str) -> None:
    """HT-46."""
    content = of_pil(kind, np.array([[[10, 200, 30]]], dtype=np.uint8))
    assert said_of(tmp_path / "dot", content) == ""
    for share in (25, 50, 90, 99):
        said = said_of(tmp_path / "dot", content[: len(content) * share // 100])
        assert "cut off" in said or "what says its size is missing" in said, share


def test_a_webp_whose_end_was_never_written_is_named(tmp_path: Path) -> None:
    """HT-46."""
    for kind in ("webp", "webp lossless", "webp clear", "webp moving"):
        whole = WHOLE[kind]
        for share in (50, 90):
            kept = len(whole) * share // 100
            said = said_of(tmp_path / "unwritten", whole[:kept] + bytes(len(whole) - kept))
            assert "bytes were never written" in said or "nothing of it can be decoded" in said, (kind, share)


@pytest.mark.parametrize("how", [{"quality": 5}, {"quality": 80}, {"lossless": True, "method": 0}])
@pytest.mark.parametrize("grey", [0, 90, 255])
def test_an_even_webp_ends_in_zeros_and_is_whole(tmp_path: Path, grey: int, how: dict[str, int]) -> None:
    """HT-46."""
    even = np.full((1500, 1500), grey, dtype=np.uint8)
    even[:200, :300] = NOISE
    assert said_of(tmp_path / "even.webp", of_pil("WEBP", even, **how)) == ""


@pytest.mark.parametrize("compression", ["tiff_lzw", "jpeg", "group4"])
def test_a_tiff_damaged_within_is_named_with_what_its_decoder_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], compression: str
) -> None:
    """HT-43."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    content = bytearray(of_pil("TIFF", BILEVEL if compression == "group4" else COLOUR, compression=compression))
    third = len(content) // 3
    content[third : third + 100] = bytes(range(100, 200))
    try:
        assert "damaged within (" in said_of(tmp_path / "a.tiff", bytes(content))
        assert cv2.utils.logging.getLogLevel() == cv2.utils.logging.LOG_LEVEL_SILENT
    finally:
        cv2.utils.logging.setLogLevel(level)
    assert capfd.readouterr().err == ""


def deflated(*, rows: int) -> bytes:
    tags = {256: 300, 257: 200, 258: 8, 259: 8, 262: 1, 273: 0, 277: 1, 278: rows, 279: 0}
    return tiff("<", [zlib.compress(NOISE[at : at + rows].tobytes()) for at in range(0, 200, rows)], tags)


def test_a_deflated_tiff_whose_checksums_do_not_match_is_named(tmp_path: Path) -> None:
    """HT-43."""
    for rows in (10, 50, 200):
        content = bytearray(deflated(rows=rows))
        assert picture_end.broken_parts(memoryview(content), NOISE.size) == 0
        half = len(content) // 2
        content[half : half + 100] = bytes(range(100, 200))
        assert picture_end.broken_parts(memoryview(content), NOISE.size) in (1, 2)
        assert "damaged within (" in said_of(tmp_path / "a.tiff", bytes(content)), rows
    # Where a strip has more than its picture needs, libtiff never comes to the checksum.
    tags = {256: 300, 257: 200, 258: 8, 259: 8, 262: 1, 273: 0, 277: 1, 278: 200, 279: 0}
    longer = tiff("<", [zlib.compress(NOISE.tobytes() + bytes(range(200)))], tags)
    assert said_of(tmp_path / "a.tiff", longer) == ""
    said = said_of(tmp_path / "a.tiff", longer[:-4] + bytes(4))
    assert "damaged within (strips that do not match their checksum: 1)" in said


def test_a_strip_that_becomes_far_more_than_its_picture_is_given_up(tmp_path: Path) -> None:
    """HT-43."""
    bomb = zlib.compress(bytes(200_000_000), 9)
    part = memoryview(bomb)
    assert 1_000_000 < picture_end._inflated_bytes(part, 1_000_000) < 40_000_000
    tags = {256: 300, 257: 200, 258: 8, 259: 8, 262: 1, 273: 0, 277: 1, 278: 200, 279: 0}
    path = tmp_path / "bomb.tiff"
    path.write_bytes(tiff("<", [bomb], tags))
    assert read_picture(path).luma.shape == SIDES


def test_a_field_that_libtiff_does_not_know_is_no_damage(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """HT-43."""
    tags = {256: 300, 257: 200, 258: 8, 259: 1, 262: 1, 273: 0, 277: 1, 278: 200, 279: 0, 60_001: 5}
    assert (
        said_of(tmp_path / "a.tiff", tiff("<", [NOISE[:100].tobytes(), NOISE[100:].tobytes()], tags | {278: 100})) == ""
    )
    assert "TIFF_Warning" in capfd.readouterr().err


@pytest.mark.parametrize("start", [b"BM", b"II*\0"])
def test_a_cut_picture_beyond_the_maximum_is_refused_for_its_size(tmp_path: Path, start: bytes) -> None:
    """HT-46."""
    bmp = b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, 16_000, 16_000, 1, 8, 0, 0, 0, 0, 0, 0)
    tags = {256: 16_000, 257: 16_000, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 16_000, 279: 256_000_000}
    content = bmp if start == b"BM" else tiff("<", [], tags)
    assert end_of(memoryview(content)) >= 256_000_000
    assert "16000 x 16000 pixels" in said_of(tmp_path / "huge", content)


def test_a_file_of_endless_small_chunks_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """HT-46."""
    chunks = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sI", 0, b"teXt", 0) * 4
    end = struct.pack(">I4sI", 0, b"IEND", 0)
    monkeypatch.setattr(picture_end, "MAX_CHUNKS", 5)
    assert end_of(memoryview(chunks + end)) == 8 + 12 * 5
    monkeypatch.setattr(picture_end, "MAX_CHUNKS", 4)
    assert end_of(memoryview(chunks + end)) == 0


STARTS = [b"\x89PNG\r\n\x1a\n", b"BM", b"RIFF0000WEBP", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"P5\n", b"P6 9 9 9 "]


@given(st.binary(max_size=400), st.sampled_from(STARTS))
def test_no_bytes_make_the_search_for_the_end_crash(content: bytes, start: bytes) -> None:
    """HT-46."""
    assert end_of(memoryview(start + content)) >= 0
    assert picture_end.unwritten_bytes(memoryview(start + content), 1) >= 0
    assert picture_end.broken_parts(memoryview(start + content), 1) >= 0
