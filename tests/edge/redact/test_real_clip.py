"""A real car on a real street: what was read before is read no more."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest

from edge.reader.look import Looker
from vedette import cli

CLIP = "uk_street_one_car.mp4"
PLATE = "LS15EBC"


@pytest.fixture
def street_clip(data: Path, tmp_path: Path) -> Path:
    """The clip's last second and a half, where the plate is largest, with its sound."""
    whole = data / "video" / CLIP
    if not whole.is_file():
        pytest.skip(f"the clip {whole} is not here; VEDETTE_DATA names the folder of photographs and clips")
    part = tmp_path / "street.mp4"
    words = ["ffmpeg", "-v", "error", "-ss", "3", "-i", str(whole), "-crf", "16", "-preset", "ultrafast", str(part)]
    subprocess.run(words, check=True)
    return part


def reads(path: Path, looker: Looker) -> Iterator[str]:
    """What the reader makes of every eighth picture."""
    with av.open(str(path)) as file:
        for number, frame in enumerate(file.decode(video=0)):
            if number % 8 == 0:
                luma = frame.to_ndarray(format="gray")
                yield from (look.plate.text for look in looker.look(luma) if look.plate is not None)


def test_a_plate_that_is_read_before_is_not_read_after(
    street_clip: Path, key_file: Path, tmp_path: Path, edited: Callable[[Path, str], Path]
) -> None:
    """RD-6, RD-11, RD-33: not even a few of its characters in their order"""
    plan, copy = tmp_path / "plan.toml", tmp_path / "copy.mp4"
    words = ["evidence", "redact", str(street_clip)]
    assert cli.main([*words, "--propose", str(plan)]) == 0
    assert cli.main([*words, "--apply", str(edited(plan, "")), "-o", str(copy), "--key", str(key_file)]) == 0
    assert cli.main([*words, "--check", str(copy)]) == 0
    looker = Looker.load(threads=1)
    assert PLATE in list(reads(street_clip, looker))
    parts = {PLATE[at : at + 3] for at in range(len(PLATE) - 2)}
    assert [text for text in reads(copy, looker) if any(part in text for part in parts)] == []
