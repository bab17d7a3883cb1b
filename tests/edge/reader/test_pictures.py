"""Pictures of every kind, and what is no picture."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edge.reader import pictures, picturesize
from edge.reader.pictures import Unreadable, read_picture
from edge.reader.picturesize import header_of


def size_of(content: bytes) -> tuple[int, int] | None:
    """Width and height that the header tells, or None where there is none."""
    header = header_of(memoryview(content))
    return (header.width, header.height) if header is not None else None


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
    assert size_of(path.read_bytes()) == (64, 40)
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
    picture = read_picture(path)
    assert picture.luma.shape == (400, 400)
    assert np.abs(picture.luma[:150].astype(int) - noise[:150]).mean() < 12
    assert "cut off" in picture.trouble


def of_pil(**how: bool) -> bytes:
    coded = io.BytesIO()
    Image.fromarray(gradient()).resize((640, 400)).save(coded, "JPEG", **how)
    return coded.getvalue()


@pytest.mark.parametrize("coded", [of_pil(), of_pil(progressive=True), of_pil(optimize=True)])
def test_a_jpeg_is_cut_until_its_very_end_is_there(tmp_path: Path, coded: bytes) -> None:
    path = tmp_path / "cut.jpg"
    for missing in (1, 2, 3, 40):
        path.write_bytes(coded[:-missing])
        assert read_picture(path).trouble, missing
    for more in (b"", b"\0" * 100, coded[:200]):
        path.write_bytes(coded + more)
        assert not read_picture(path).trouble, more


def test_the_end_of_a_thumbnail_is_not_the_pictures(tmp_path: Path) -> None:
    path = tmp_path / "phone.jpg"
    whole, small = of_pil(), bytes(encoded(".jpg", gradient()))
    content = whole[:2] + b"\xff\xe1" + struct.pack(">H", len(small) + 2) + small + whole[2:]
    path.write_bytes(content)
    assert not read_picture(path).trouble
    path.write_bytes(content[:-500])
    assert read_picture(path).trouble


def test_an_end_on_the_border_of_what_is_searched_at_once_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "whole.jpg"
    path.write_bytes(of_pil())
    for at_once in (1, 2, 3, 7):
        monkeypatch.setattr(picturesize, "_SEARCHED_BYTES", at_once)
        assert not read_picture(path).trouble, at_once


@pytest.mark.parametrize(
    "content", [b"", b"hello, I am a text", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"RIFF1234WEBP"]
)
def test_what_is_no_picture_is_refused_with_a_reason(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.jpg"
    path.write_bytes(content)
    with pytest.raises(Unreadable, match=r"no picture of a kind|a damaged \w+ picture: .*size|cut off|empty"):
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
    assert size_of(coded.tobytes()[:cut]) in (None, (64, 40))
    assert size_of(png_header(5, 6)[:cut]) in (None, (5, 6))


def encoded(suffix: str, picture: np.ndarray[tuple[int, ...], np.dtype[np.generic]], *options: int) -> memoryview:
    ok, coded = cv2.imencode(suffix, picture, list(options))
    assert ok
    return memoryview(coded.tobytes())


def test_memory_of_a_jpeg_in_passes_is_that_of_its_coefficients() -> None:
    colour = cv2.cvtColor(gradient(), cv2.COLOR_GRAY2BGR)
    plain, passes = encoded(".jpg", colour), encoded(".jpg", colour, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    full = encoded(
        ".jpg", colour, cv2.IMWRITE_JPEG_PROGRESSIVE, 1,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    )  # fmt: skip
    kept = [header.kept_bytes for one in (plain, passes, full) if (header := header_of(one))]
    assert kept == [0.0, 3.0, 6.0]


@pytest.mark.parametrize(
    ("suffix", "kind", "bytes_each"),
    [
        (".png", np.uint8, 1),
        (".png", np.uint16, 3),
        (".bmp", np.uint8, 1),
        (".tiff", np.uint8, 2),
        (".tiff", np.float32, 9),
    ],
)
def test_memory_of_other_pictures_is_that_of_their_samples(suffix: str, kind: type, bytes_each: float) -> None:
    header = header_of(encoded(suffix, gradient().astype(kind)))
    assert header is not None
    assert (header.width, header.height, header.pixel_bytes) == (64, 40, bytes_each)


def test_a_picture_that_takes_too_much_memory_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "passes.jpg"
    cv2.imwrite(str(path), gradient(), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    needed = path.stat().st_size + 64 * 40 * 3
    monkeypatch.setattr(pictures, "MAX_MEMORY_BYTES", needed)
    assert read_picture(path).luma.shape == (40, 64)
    monkeypatch.setattr(pictures, "MAX_MEMORY_BYTES", needed - 1)
    with pytest.raises(Unreadable, match=f"take {needed} bytes of memory"):
        read_picture(path)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_ink_colours_and_swapped_channels_keep_their_brightness(tmp_path: Path, order: list[int]) -> None:
    path = tmp_path / "ink.jpg"
    picture = Image.fromarray(np.dstack([gradient()] * 3)[:, :, order]).convert("CMYK")
    picture.save(path, quality=95)
    assert np.abs(read_picture(path).luma.astype(int) - gradient()).mean() < 4


@pytest.mark.parametrize("suffix", ["webp", "png", "tiff"])
def test_the_first_of_several_pictures_in_a_file_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"several.{suffix}"
    first, second = Image.fromarray(gradient()).convert("RGB"), Image.fromarray(gradient()[:, ::-1]).convert("RGB")
    first.save(path, save_all=True, append_images=[second, second])
    assert np.abs(read_picture(path).luma.astype(int) - gradient()).mean() < 6


def test_a_kind_that_is_not_read_is_named_with_those_that_are(tmp_path: Path) -> None:
    path = tmp_path / "several.gif"
    Image.fromarray(gradient()).save(path, save_all=True, append_images=[Image.fromarray(gradient())])
    with pytest.raises(Unreadable, match=r"no picture of a kind that is read \(JPEG, PNG"):
        read_picture(path)


@pytest.mark.parametrize("cut", [2, 3, 10, 40, 200])
def test_cut_pictures_of_other_kinds_are_read_in_part_or_refused(tmp_path: Path, cut: int) -> None:
    for suffix in (".png", ".bmp", ".webp", ".tiff", ".pgm"):
        content = bytes(encoded(suffix, gradient()))
        path = tmp_path / f"cut{suffix}"
        path.write_bytes(content[: len(content) // cut])
        with contextlib.suppress(Unreadable):
            assert read_picture(path).luma.shape == (40, 64)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_values_of_fewer_bits_in_sixteen_are_as_bright_as_their_scale(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "sensor.png"
    cv2.imwrite(str(path), np.round(gradient() / 255.0 * (2**bits - 1)).astype(np.uint16))
    assert np.abs(read_picture(path).luma.astype(int) - gradient()).max() <= 1


def test_a_folder_in_place_of_a_picture_is_refused_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").mkdir()
    with pytest.raises(Unreadable, match="directory"):
        read_picture(tmp_path / "x.jpg")


@given(
    st.binary(max_size=400), st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"RIFF0000WEBP", b"II*\0"])
)
def test_no_bytes_make_a_header_crash(content: bytes, start: bytes) -> None:
    header = header_of(memoryview(start + content))
    assert header is None or header.pixel_bytes >= 0
