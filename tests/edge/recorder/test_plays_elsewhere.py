"""What the recorder made plays in other people's players: VLC shows the pictures of a segment, whole or cut; VLC,
Firefox and WebKit play what is exported for people.
"""

import io
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE

import av
import numpy as np
import pytest
import remote_browser

from edge.board.position import Fix
from vedette import onvif_boxes
from vedette.hitfile import Position
from vedette.onvif_place import place_of

SECONDS = 6
PLAYER_S = 120
WIDTH, HEIGHT = 320, 240
NEEDS_VLC = pytest.mark.skipif(
    shutil.which("cvlc") is None, reason="VLC is not installed (apt install vlc-bin vlc-plugin-base)"
)
STRANGE = 60
ALIKE = 4  # VLC limits the range of levels; other pictures of the noise differ by 80


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder in memory where an ordinary user may write: VLC refuses to run as root."""
    folder = Path("/dev/shm") / f"vedette-vlc-{os.getpid()}"
    folder.mkdir()
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def shown_by_vlc(shared: Path, data: bytes, *more: str) -> list[np.ndarray]:
    """The luma of every picture that VLC shows; it shows one again while it waits for the next. `more` are options."""
    path = shared / "segment.mp4"
    path.write_bytes(data)
    path.chmod(0o644)
    player = ["cvlc", "--intf", "dummy", "--quiet", "--no-audio", "--play-and-exit"]
    player += ["--no-skip-frames", "--no-drop-late-frames"]
    player += [*more, "--vout", "yuv", "--yuv-file", "shown.y4m", "--yuv-yuv4mpeg2", str(path)]
    player = as_ordinary_user(shared, player)
    subprocess.run(player, cwd=shared, capture_output=True, timeout=PLAYER_S, check=True)
    header, *pictures = (shared / "shown.y4m").read_bytes().split(b"FRAME\n")
    assert f" W{WIDTH} H{HEIGHT} ".encode() in header
    return [np.frombuffer(one[: WIDTH * HEIGHT], np.uint8).reshape(HEIGHT, WIDTH).astype(int) for one in pictures]


def decoded(data: bytes) -> list[np.ndarray]:
    with av.open(io.BytesIO(data)) as mp4:
        return [one.to_ndarray(format="yuv420p")[:HEIGHT].astype(int) for one in mp4.decode(video=0)]


@NEEDS_VLC
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


@NEEDS_VLC
def test_vlc_writes_the_line_below_the_pictures_when_its_track_is_chosen(device, bench, shared):
    """SG-10: as the guide says of VLC; nothing is written above, nor where the track is not chosen."""
    one = bench(segment_s=4)
    one.steps(60)
    one.close()
    opened = device.opened(device.items()[0])
    recorded = decoded(opened)

    def written(shown: np.ndarray) -> tuple[int, int]:
        """How many points of the upper and of the lower half are none of the picture's."""
        nearest = min(recorded, key=lambda ours: float(abs(shown - ours).mean()))
        upper, lower = np.split(abs(shown - nearest) > STRANGE, 2)
        return int(upper.sum()), int(lower.sum())

    left = [written(one) for one in shown_by_vlc(shared, opened)]
    chosen = [written(one) for one in shown_by_vlc(shared, opened, "--sub-track", "0")]
    most = max(lower for _, lower in left)
    assert {upper for upper, _ in [*left, *chosen]} == {0}
    assert sum(lower > 2 * most for _, lower in chosen) > len(chosen) * 3 // 4


def exported(device, bench, hearing) -> bytes:
    """A recording with pictures, sound and the line, as a centre exports it: with the boxes of the ONVIF format."""
    here = Position(lat_e7=335_731_000, lon_e7=-75_898_000, accuracy_cm=500, fixed_us=0)

    def find(at_us: int) -> Fix:
        return Fix(position=replace(here, fixed_us=at_us), mode="3d", satellites=9)

    one = bench(camera=hearing(), segment_s=60, terms={"position": find})
    one.steps(SECONDS * 10 + 2)
    one.close()
    opened = device.opened(device.items()[0])
    export = onvif_boxes.Export(
        unit="vedette.test/log",
        operator="A. Tazi",
        exported_s=1_795_420_900,
        source="car-1",
        started_us=device.items()[0].manifest.started_us,
        place=place_of(io.BytesIO(opened)),
    )
    assert export.place is not None
    return b"".join(onvif_boxes.copy(io.BytesIO(opened), export))


def as_ordinary_user(shared: Path, command: list[str]) -> list[str]:
    """VLC refuses to run as root; what it keeps between runs goes into the folder in memory."""
    other = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "env", f"HOME={shared}"]
    return [*other, *command] if os.geteuid() == 0 else command


class Vlc:
    """A VLC that is asked through its remote control; it answers what it is asked and speaks at no other time."""

    def __init__(self, shared: Path, path: Path) -> None:
        self._log = shared / "log"
        words = ["cvlc", "-vv", "--no-color", "--intf", "oldrc", "--rc-fake-tty", "--start-paused"]
        words += ["--vout", "dummy", "--aout", "dummy", "--sub-track", "0", str(path)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                as_ordinary_user(shared, words), cwd=shared, stdin=PIPE, stdout=PIPE, stderr=log, text=True
            )
        self._guard = threading.Timer(PLAYER_S, self._process.kill)
        self._guard.start()

    def ask(self, question: str, *, until: str) -> str:
        """Ask again and again until the answer has this in it; the whole of what was said to it."""
        deadline = time.monotonic() + PLAYER_S
        while time.monotonic() < deadline:
            said = self.say(f"{question}\nis_playing")
            if until in said:
                return said
            time.sleep(0.1)
        raise AssertionError(f"VLC never said {until!r}, last {said!r}\n{self.told()[-2000:]}")

    def play_to_its_end(self) -> None:
        """Until it says so. Its one command for it turns pause on or off, and it may have been busy at the first."""
        deadline = time.monotonic() + PLAYER_S
        while "End" not in (said := self.say("status\nis_playing")):
            assert time.monotonic() < deadline, f"VLC never ended, last {said!r}\n{self.told()[-2000:]}"
            if "Type 'pause' to continue" in said:
                self.say("pause\nis_playing")
            time.sleep(1)

    def say(self, words: str) -> str:
        """Give these commands, whose last answers with 0 or 1; what was said up to that."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{words}\n")
        self._process.stdin.flush()
        said = ""
        for line in self._process.stdout:
            said += line
            if re.fullmatch(r"(> )?[01]\n", line):
                return said
        raise AssertionError(f"VLC ended: {said}\n{self.told()[-2000:]}")

    def told(self) -> str:
        return self._log.read_text(errors="replace")

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._guard.cancel()


@pytest.fixture
def vlc(shared: Path) -> Iterator[Callable[[bytes], Vlc]]:
    started: list[Vlc] = []

    def start(data: bytes) -> Vlc:
        path = shared / "export.mp4"
        path.write_bytes(data)
        path.chmod(0o644)
        started.append(Vlc(shared, path))
        return started[-1]

    yield start
    for one in started:
        one.close()


@NEEDS_VLC
def test_vlc_plays_an_export_to_its_end_and_reports_what_is_in_it(device, bench, hearing, vlc):
    """BU-27, SG-1: codecs, size, length and the line's track; VLC's log has no error about the file."""
    player = vlc(exported(device, bench, hearing))
    (media,) = (item.manifest.media for item in device.items())

    said = player.ask("info", until="[ Stream 2 ]")
    streams = [stream.partition("[ end")[0] for stream in said.split("[ Stream ")[1:]]
    assert [re.search(r"Codec: .*?(\w+)\)?$", one, re.MULTILINE)[1] for one in streams] == ["avc1", "mp4a", "tx3g"]
    assert [re.search(r"Type: (\w+)", one)[1] for one in streams] == ["Video", "Audio", "Subtitle"]
    assert f"Video resolution: {media.width}x{media.height}" in streams[0]
    assert "Sample rate: 48000 Hz" in streams[1]
    assert media.duration_us // 1_000_000 == SECONDS
    player.ask("get_length", until=f"{SECONDS}\n")

    player.play_to_its_end()
    told = player.told()
    assert "EOF reached" in told
    assert [one for one in told.splitlines() if " error: " in one and "interface" not in one] == []


@pytest.mark.parametrize("name", ["firefox", "webkit"])
def test_browser_knows_how_long_an_export_is_and_plays_it_to_its_end(device, bench, hearing, name: str):
    """BU-27: WebKitGTK believes what the file says of its length, and shows and plays no more."""
    with remote_browser.opened(name) as (browser, folder):
        (folder / "export.mp4").write_bytes(exported(device, bench, hearing))
        (folder / "page.html").write_text("<!doctype html><video id=v muted preload=auto src=export.mp4></video>")

        def script(text: str) -> object:
            return browser.run("ExecuteScript", "execute/sync", {"script": text, "args": []})

        def wait(fact: str) -> object:
            found = "return JSON.stringify([v.readyState, v.currentTime, v.duration, v.error && v.error.message])"
            return remote_browser.wait_for(lambda: script(f"return {fact}"), lambda: f"not {fact}: {script(found)}")

        browser.run("Navigate", "url", {"url": (folder / "page.html").as_uri()})
        wait("v.readyState >= 2")
        duration = script("return v.duration")
        script("v.play().catch(() => {})")
        wait("v.ended")
    (media,) = (item.manifest.media for item in device.items())
    assert duration == pytest.approx(media.duration_us / 1e6, abs=0.15)
