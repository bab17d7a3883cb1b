"""Pictures far too large, as a user gives them: a line each, and memory that stays within bounds.

Each case is a process of its own, asked at its end how much memory it held at most.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

SIDE = 16_000
MOST_KIB = 400 * 1024
PROGRAM = """
import sys
from vedette import cli
code = cli.main(["read", "--threads", "1", *sys.argv[1:]])
(peak,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(peak.split()[1], file=sys.stderr)
sys.exit(code)
"""

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for the memory of a process")


def read(*words: object) -> tuple[int, list[dict[str, Any]], int]:
    """The exit code, the lines and the most memory held, in KiB."""
    command = [sys.executable, "-c", PROGRAM, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], int(done.stderr.split()[-1])


def png(path: Path, side: int) -> Path:
    """A black PNG of `side` squared pixels, written row by row."""
    packed = zlib.compressobj(1)
    row = bytes(1 + side)
    body = b"".join(packed.compress(row) for _ in range(side)) + packed.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", body), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    return path


def jpeg(path: Path, side: int, *, in_passes: bool = False) -> Path:
    Image.new("L", (side, side), 90).save(path, progressive=in_passes)
    return path


def test_jpeg_of_256_million_pixels_is_read_at_a_quarter(tmp_path: Path) -> None:
    code, (line,), peak_kib = read(jpeg(tmp_path / "huge.jpg", SIDE))
    assert (code, line["plates"]) == (0, [])
    assert peak_kib < MOST_KIB


@pytest.mark.parametrize("kind", ["png", "passes"])
def test_picture_of_256_million_pixels_is_refused_when_it_cannot_be_decoded_smaller(tmp_path: Path, kind: str) -> None:
    path = png(tmp_path / "huge.png", SIDE) if kind == "png" else tmp_path / "huge.jpg"
    if kind == "passes":
        content = jpeg(path, 160, in_passes=True).read_bytes()
        at = content.index(b"\xff\xc2") + 5
        path.write_bytes(content[:at] + struct.pack(">HH", SIDE, SIDE) + content[at + 4 :])
    code, (line,), peak_kib = read(path)
    assert (code, list(line)) == (1, ["file", "error"])
    assert f"{SIDE} x {SIDE} pixels" in line["error"]
    assert peak_kib < MOST_KIB


def test_memory_is_bounded_when_pictures_are_just_small_enough(tmp_path: Path) -> None:
    """7,000 squared is 49 of the 50 million pixels that are decoded; some kinds are refused for their memory."""
    side = 7000
    grey = np.full((side, side), 90, dtype=np.uint8)
    for name in ("plain.bmp", "plain.webp"):
        cv2.imwrite(str(tmp_path / name), grey)
    cv2.imwrite(str(tmp_path / "deep.png"), grey.astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / "real.tiff"), grey.astype(np.float32))
    jpeg(tmp_path / "passes.jpg", side, in_passes=True)
    code, lines, peak_kib = read(tmp_path)
    told = {Path(line["file"]).name: "plates" in line for line in lines}
    assert told == {
        "plain.bmp": True, "plain.webp": False, "deep.png": True, "real.tiff": False, "passes.jpg": True,
    }  # fmt: skip
    assert code == 1
    assert peak_kib < MOST_KIB
