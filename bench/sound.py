"""How far sound is from its pictures, on a clip in which a flash and a beep fall together every ten seconds.

The clip goes through the real clip camera and the whole recorder; what is measured is in the opened segments.
"""

from __future__ import annotations

import io
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from bench.device import SECOND_US, device_folder, recorder_of
from bench.harness import Fact
from edge.camera import open_camera
from vedette import spool
from vedette.clock import SystemClock
from vedette.config import CameraSection, SoundSection
from vedette.sealed import HybridIdentity, SealedReader
from vedette.trust import load_trust

EVERY_S, RATE, BRIGHT, LOUD = 10, 5, 128, 0.1
HOUR_S = 3600
BOUND_US = 40_000


def flash_and_beep(path: Path, seconds: int, *, sound: Sequence[str] = ("-c:a", "aac", "-b:a", "32k")) -> Path:
    """A tiny clip: black and silent but for 0.2 s of white and of a 1 kHz tone at 5 s, 15 s, 25 s, …"""
    when = f"lt(mod(t+5,{EVERY_S}),0.2)"
    picture = f"color=black:s=64x48:r={RATE}:d={seconds},drawbox=c=white:t=fill:enable='{when}'"
    tone = f"aevalsrc=exprs='0.8*sin(2*PI*1000*t)*{when}':s=16000:d={seconds}"
    inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", tone]
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-g", str(RATE), "-pix_fmt", "yuv420p", *sound]
    subprocess.run(["ffmpeg", "-v", "error", "-y", *inputs, *coding, str(path)], check=True)
    return path


def onsets(mp4: bytes) -> tuple[list[int], list[int]]:
    """When flashes and when beeps begin in an opened segment, in microseconds of its media time."""
    with av.open(io.BytesIO(mp4), "r") as container:
        flashes = _rising(
            (round((one.time or 0) * SECOND_US), bool(one.to_ndarray(format="gray").mean() > BRIGHT))
            for one in container.decode(video=0)
        )
    with av.open(io.BytesIO(mp4), "r") as container:
        heard = container.decode(audio=0) if container.streams.audio else ()
        beeps = _rising(level for one in heard for level in _levels(one))
    return flashes, beeps


def _levels(frame: av.AudioFrame) -> Iterable[tuple[int, bool]]:
    """(time, is loud) for each millisecond of a frame, by the time of its first loud sample."""
    samples: NDArray[Any] = np.abs(np.asarray(frame.to_ndarray(), dtype=np.float64))[0]
    begins_us, rate = round((frame.time or 0) * SECOND_US), frame.sample_rate
    step = rate // 1000
    for first in range(0, len(samples), step):
        loud = np.flatnonzero(samples[first : first + step] > LOUD)
        at = first + (int(loud[0]) if len(loud) else 0)
        yield begins_us + at * SECOND_US // rate, bool(len(loud))


def _rising(levels: Iterable[tuple[int, bool]], *, quiet_us: int = 2 * SECOND_US) -> list[int]:
    """The times at which a level rises after it was low for a while."""
    found: list[int] = []
    last_us: int | None = None
    for at_us, is_high in levels:
        if is_high:
            if last_us is None or at_us - last_us > quiet_us:
                found.append(at_us)
            last_us = at_us
    return found


def sound_over_an_hour() -> list[Fact]:
    """One hour of media time in segments of a minute."""
    apart: list[int] = []
    heard = 0
    with tempfile.TemporaryDirectory() as temporary, device_folder() as (folder, _):
        identity = HybridIdentity.generate()
        trust = replace(load_trust(folder / "trust.json"), evidence=(identity.recipient.text,))
        (folder / "trust.json").write_bytes(trust.to_bytes())
        clip = flash_and_beep(Path(temporary) / "clip.mp4", HOUR_S)
        clock = SystemClock()
        camera = open_camera(CameraSection(source=str(clip), pace="fast"), clock, SoundSection())
        service = recorder_of(folder, camera, clock, segment_s=60)
        while not camera.ended:
            service.step(clock.mono_us())
        service.close()
        for opened in _opened(folder, identity):
            flashes, beeps = onsets(opened)
            heard += len(beeps)
            apart += [beep - flash for flash, beep in zip(flashes, beeps, strict=True)]
    worst = max(apart, key=abs)
    return [
        Fact(
            name="sound against picture over one hour of media, 60 segments",
            figure=f"{heard} beeps of {HOUR_S // EVERY_S}, {min(apart) / 1000:+.1f} to {max(apart) / 1000:+.1f} ms,"
            f" worst {worst / 1000:+.1f} ms",
            bound=f"{BOUND_US // 1000} ms",
        )
    ]


def _opened(folder: Path, identity: HybridIdentity) -> Iterable[bytes]:
    items, _ = spool.scan(folder / "spool")
    for item in items:
        if item.kind == "segment":
            with item.path.open("rb") as file:
                yield SealedReader(file, [identity]).readall()
