"""What the recorder made plays in other people's players: VLC shows the pictures of a segment, whole or cut."""

import io
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

PLAYER_S = 120
WIDTH, HEIGHT = 320, 240
ALIKE = 4  # VLC limits the range of levels; other pictures of the noise differ by 80


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder in memory where an ordinary user may write: VLC refuses to run as root."""
    folder = Path("/dev/shm") / f"vedette-vlc-{os.getpid()}"
    folder.mkdir()
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def shown_by_vlc(shared: Path, data: bytes) -> list[np.ndarray]:
    """The luma of every picture that VLC shows; it shows one again while it waits for the next."""
    path = shared / "segment.mp4"
    path.write_bytes(data)
    path.chmod(0o644)
    player = ["cvlc", "--intf", "dummy", "--quiet", "--no-audio", "--play-and-exit"]
    player += ["--no-skip-frames", "--no-drop-late-frames"]
    player += ["--vout", "yuv", "--yuv-file", "shown.y4m", "--yuv-yuv4mpeg2", str(path)]
    if os.geteuid() == 0:
        player = ["runuser", "-u", "nobody", "--", "env", f"HOME={shared}", *player]
    subprocess.run(player, cwd=shared, capture_output=True, timeout=PLAYER_S, check=True)
    header, *pictures = (shared / "shown.y4m").read_bytes().split(b"FRAME\n")
    assert f" W{WIDTH} H{HEIGHT} ".encode() in header
    return [np.frombuffer(one[: WIDTH * HEIGHT], np.uint8).reshape(HEIGHT, WIDTH).astype(int) for one in pictures]


def decoded(data: bytes) -> list[np.ndarray]:
    with av.open(io.BytesIO(data)) as mp4:
        return [one.to_ndarray(format="yuv420p")[:HEIGHT].astype(int) for one in mp4.decode(video=0)]


@pytest.mark.skipif(shutil.which("cvlc") is None, reason="VLC is not installed (apt install vlc-bin vlc-plugin-base)")
@pytest.mark.parametrize(("cut", "lost"), [(0, 4), (2000, 14)], ids=["whole", "cut"])
def test_vlc_shows_the_pictures_that_were_recorded_when_it_plays_a_segment(device, bench, shared, cut, lost):
    """SF-1: also one that was cut where the power went. A player may begin late and end early by a picture or two."""
    one = bench(segment_s=4)
    one.steps(60)
    one.close()
    opened = device.opened(device.items()[0])
    recorded = decoded(opened)

    shown = shown_by_vlc(shared, opened[: len(opened) - cut])

    nearest = [[float(abs(picture - ours).mean()) for ours in recorded] for picture in shown]
    assert all(min(distances) < ALIKE for distances in nearest)
    seen = {place for distances in nearest for place, distance in enumerate(distances) if distance < ALIKE}
    assert len(seen) >= len(recorded) - lost > 20
