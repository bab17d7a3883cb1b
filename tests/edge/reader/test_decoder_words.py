"""What decoders say of damage while a picture is decoded."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.reader.decoder_words import MAX_SAID_BYTES, heard
from edge.reader.pictures import Unreadable, read_picture

NOISE = np.random.default_rng(7).integers(0, 256, (200, 300), dtype=np.uint8)
HARMLESS = b"libpng warning: iCCP: known incorrect sRGB profile\n"


def says(*words: bytes) -> Callable[[], int]:
    def decode() -> int:
        return sum(os.write(2, word) for word in words)

    return decode


def test_a_decoders_complaint_is_heard_and_shown_to_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    """HT-43."""
    assert heard(says(b"Corrupt JPEG data: bad Huffman code\n")) == (36, "Corrupt JPEG data: bad Huffman code")
    assert (
        heard(says(b"libpng error: IDAT: CRC error\n", b"libpng error: again\n"))[1] == "libpng error: IDAT: CRC error"
    )
    assert capfd.readouterr().err == ""


def test_what_tells_of_no_damage_goes_where_it_would_have_gone(capfd: pytest.CaptureFixture[str]) -> None:
    assert heard(says(HARMLESS, b"Corrupt JPEG data: x\n", b"INFO: ready"))[1] == "Corrupt JPEG data: x"
    assert heard(says())[1] == ""
    assert capfd.readouterr().err == HARMLESS.decode() + "INFO: ready\n"
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


def test_a_decoder_that_fails_leaves_standard_error_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    before = sorted(os.listdir("/proc/self/fd"))

    def fail() -> None:
        raise Unreadable("no")

    with pytest.raises(Unreadable):
        heard(fail)
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_decoder_that_says_more_than_is_kept_does_not_wait(capfd: pytest.CaptureFixture[str]) -> None:
    def shout() -> int:
        lost = 0
        for _ in range(1000):
            try:
                os.write(2, b"Corrupt JPEG data: " + b"x" * 980 + b"\n")
            except BlockingIOError:
                lost += 1
        return lost

    lost, said = heard(shout)
    assert lost > 0 and said.startswith("Corrupt JPEG data: x")
    assert MAX_SAID_BYTES < 1_000_000
    capfd.readouterr()


def test_a_process_without_standard_error_decodes_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), NOISE)
    kept = os.dup(2)
    os.close(2)
    try:
        luma = read_picture(path).luma
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    assert luma.tolist() == NOISE.tolist()


@pytest.mark.parametrize("flags", [[], [cv2.IMWRITE_JPEG_RST_INTERVAL, 8]])
def test_a_jpeg_damaged_within_is_told_and_a_sound_one_is_not(tmp_path: Path, flags: list[int]) -> None:
    """HT-43."""
    path = tmp_path / "a.jpg"
    content = bytearray(cv2.imencode(".jpg", NOISE, flags)[1].tobytes())
    path.write_bytes(content)
    assert read_picture(path).trouble == ""
    half = len(content) // 2
    content[half : half + 100] = bytes(range(100, 200))
    path.write_bytes(content)
    picture = read_picture(path)
    assert picture.luma.shape == NOISE.shape
    assert "damaged within (Corrupt JPEG data" in picture.trouble


def test_a_damaged_png_is_refused_with_its_decoders_reason(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """HT-43."""
    path = tmp_path / "a.png"
    content = bytearray(cv2.imencode(".png", NOISE)[1].tobytes())
    content[-200:-150] = bytes(50)
    path.write_bytes(content)
    with pytest.raises(Unreadable, match=r"damaged within \(libpng error: .*nothing of it can be decoded"):
        read_picture(path)
    assert "libpng" not in capfd.readouterr().err
