"""Small clips of each kind, made by ffmpeg."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

MakeClip = Callable[..., Path]

CODINGS = {
    "h264": ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p"],
    "b_frames": ["-c:v", "libx264", "-preset", "fast", "-bf", "3", "-g", "25", "-pix_fmt", "yuv420p"],
    "mpeg4": ["-c:v", "mpeg4", "-q:v", "3"],
    "h264_422": ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv422p"],
}


@pytest.fixture(scope="session")
def make_clip(tmp_path_factory: pytest.TempPathFactory) -> MakeClip:
    """A clip of a coding, a size and a length; each is made once. Every picture is another."""
    folder = tmp_path_factory.mktemp("clips")

    def make(coding: str = "h264", size: str = "320x240", seconds: int = 2, ending: str = "mp4") -> Path:
        path = folder / f"{coding}-{size}-{seconds}.{ending}"
        source = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate=25:duration={seconds}"]
        if not path.exists():
            subprocess.run(["ffmpeg", "-v", "error", *source, *CODINGS[coding], str(path)], check=True)
        return path

    return make
