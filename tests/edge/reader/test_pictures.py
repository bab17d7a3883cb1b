"""Pictures of every kind, and what is no picture."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.reader import pictures
from edge.reader.pictures import Unreadable, read_picture
from edge.reader.picturesize import picture_size


def gradient(height: int = 40, width: int = 64) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tiff", ".pgm", ".ppm"])
def test_every_kind_is_measured_before_and_read_after(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture{suffix}"
    colour = cv2.cvtColor(gradient(), cv2.COLOR_GRAY2BGR)
    cv2.imwrite(str(path), gradient() if suffix == ".pgm" else colour)
    assert picture_size(path.read_bytes()) == (64, 40)
    luma = read_picture(path).luma
    assert (luma.shape, luma.dtype) == ((40, 64), np.uint8)
    assert np.abs(luma.astype(int) - gradient()).mean() < 4


def test_sixteen_bits_and_transparency_are_reduced_to_grey(tmp_path: Path) -> None:
    deep, clear = tmp_path / "deep.png", tmp_path / "clear.png"
    cv2.imwrite(str(deep), gradient().astype(np.uint16) * 257)
    cv2.imwrite(str(clear), cv2.cvtColor(gradient(), cv2.COLOR_GRAY2BGRA))
    assert np.abs(read_picture(deep).luma.astype(int) - gradient()).max() <= 1
    assert np.abs(read_picture(clear).luma.astype(int) - gradient()).max() <= 1


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.filterwarnings("error")
def test_a_picture_of_floats_is_grey_where_it_has_numbers_and_black_where_not(tmp_path: Path, kind: type) -> None:
    path = tmp_path / "floats.tiff"
    floats = gradient().astype(kind) / 255
    floats[0, :4] = (np.nan, np.inf, -np.inf, -1)
    cv2.imwrite(str(path), floats)
    luma = read_picture(path).luma
    assert luma[0, :4].tolist() == [0, 0, 0, 0]
    assert np.abs(luma[1:].astype(int) - gradient()[1:]).max() <= 1
    cv2.imwrite(str(path), np.full_like(floats, np.nan))
    assert not read_picture(path).luma.any()


def test_a_picture_taken_sideways_is_turned_upright(tmp_path: Path) -> None:
    path = tmp_path / "sideways.jpg"
    ok, coded = cv2.imencode(".jpg", gradient())
    assert ok
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0)
    content = coded.tobytes()
    path.write_bytes(content[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + content[2:])
    luma = read_picture(path).luma
    assert luma.shape == (64, 40)
    assert luma[0].mean() < 40 < 200 < luma[-1].mean()


def test_one_pixel_is_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "dot.png"
    cv2.imwrite(str(path), np.array([[200]], dtype=np.uint8))
    assert read_picture(path).luma.tolist() == [[200]]


def test_a_jpeg_cut_in_the_middle_gives_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    noise = np.random.default_rng(2).integers(0, 256, (400, 400), dtype=np.uint8)
    ok, coded = cv2.imencode(".jpg", noise)
    assert ok
    path.write_bytes(coded.tobytes()[: len(coded) // 2])
    assert read_picture(path).luma.shape == (400, 400)


@pytest.mark.parametrize(
    "content", [b"", b"hello, I am a text", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"RIFF1234WEBP"]
)
def test_what_is_no_picture_is_refused_with_a_reason(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.jpg"
    path.write_bytes(content)
    with pytest.raises(Unreadable, match=r"picture|empty"):
        read_picture(path)


@pytest.mark.parametrize(("width", "height"), [(16_000, 16_000), (pictures.MAX_SIDE_PX + 1, 1)])
def test_a_picture_beyond_the_maximum_is_refused_before_it_is_decoded(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "huge.png"
    path.write_bytes(png_header(width, height))
    with pytest.raises(Unreadable, match=f"{width} x {height}"):
        read_picture(path)


def test_the_maximum_itself_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "fits.png"
    cv2.imwrite(str(path), gradient())
    monkeypatch.setattr(pictures, "MAX_PIXELS", 40 * 64)
    assert read_picture(path).luma.shape == (40, 64)
    monkeypatch.setattr(pictures, "MAX_PIXELS", 40 * 64 - 1)
    with pytest.raises(Unreadable):
        read_picture(path)


def test_a_large_jpeg_is_decoded_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.jpg"
    cv2.imwrite(str(path), gradient())
    monkeypatch.setattr(pictures, "MAX_PIXELS", 40 * 64 // 4)
    picture = read_picture(path)
    assert (picture.luma.shape, picture.reduction) == ((20, 32), 2)


def test_a_file_beyond_its_maximum_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), gradient())
    monkeypatch.setattr(pictures, "MAX_FILE_BYTES", path.stat().st_size)
    assert read_picture(path).luma.shape == (40, 64)
    monkeypatch.setattr(pictures, "MAX_FILE_BYTES", path.stat().st_size - 1)
    with pytest.raises(Unreadable, match="bytes"):
        read_picture(path)


@pytest.mark.parametrize("cut", range(0, 60, 3))
def test_a_header_cut_anywhere_is_never_a_crash(cut: int) -> None:
    ok, coded = cv2.imencode(".jpg", gradient())
    assert ok
    assert picture_size(coded.tobytes()[:cut]) in (None, (64, 40))
    assert picture_size(png_header(5, 6)[:cut]) in (None, (5, 6))
