"""A device folder, a camera of raw pictures and a recorder on both, for the parts that measure the recorder.

The camera is a double that says so: pictures from memory instead of a sensor, encoded by the same libx264 that a board
without an encoder uses.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.camera.encode import X264Encoder
from edge.camera.microphone import Microphone
from edge.camera.port import Camera, EncodedUnit, SmallFrame, SoundUnit, StreamInfo
from edge.camera.sound import SoundEncoder
from edge.commands import init_device
from edge.recorder.keeping import Terms
from edge.recorder.service import RecorderService
from vedette.clock import Clock
from vedette.config import CameraSection, load_device
from vedette.keys import SigningKey
from vedette.sealed import HybridIdentity
from vedette.trust import Trust, load_trust

SECOND_US = 1_000_000


@dataclass
class RawCamera:
    """Encodes `pictures` (I420, each uint8 of shape (height * 3 // 2, width)) at every read, `total` of them."""

    pictures: Sequence[NDArray[np.uint8]]
    encoder: X264Encoder
    rate: int
    total: int
    clock: Clock
    ended: bool = False
    index: int = 0
    _from: tuple[int, int] = (0, 0)

    def open(self) -> StreamInfo:
        """The stream of these pictures."""
        height, width = self.pictures[0].shape
        self._from = (self.clock.utc_us(), self.clock.mono_us())
        return StreamInfo(width=width, height=height * 2 // 3, rate_num=self.rate, rate_den=1)

    def read(self, _timeout_s: float) -> Sequence[EncodedUnit | SmallFrame]:
        """The next picture, encoded and as it is."""
        if self.index >= self.total:
            self.ended = True
            return []
        at_us = self.index * SECOND_US // self.rate
        picture = self.pictures[self.index % len(self.pictures)]
        utc_us, mono_us = self._from[0] + at_us, self._from[1] + at_us
        found: list[EncodedUnit | SmallFrame] = list(
            self.encoder.encode(picture, at_us, utc_us=utc_us, mono_us=mono_us)
        )
        frame = SmallFrame(i420=picture, index=self.index, utc_us=utc_us, mono_us=mono_us, media_us=at_us)
        self.index += 1
        return [*found, frame]

    def close(self) -> None:
        """Nothing to free."""


@dataclass
class UnitCamera:
    """Gives the same encoded second again and again, for `total` pictures: a stream that costs nothing to make.

    With each comes `picture` for the frame bus where there is one (I420), and its share of a second of `pcm` (int16,
    samples by channels), encoded by `sound`.
    """

    second: Sequence[tuple[bytes, bool]]
    info: StreamInfo
    total: int
    clock: Clock
    batch: int = 1
    picture: NDArray[np.uint8] | None = None
    sound: SoundEncoder | None = None
    pcm: NDArray[np.int16] = field(default_factory=lambda: np.zeros((0, 1), np.int16))
    ended: bool = False
    index: int = 0
    _from: tuple[int, int] = field(default=(0, 0))

    def open(self) -> StreamInfo:
        """The stream of that second."""
        self._from = (self.clock.utc_us(), self.clock.mono_us())
        return self.info

    def read(self, _timeout_s: float) -> Sequence[EncodedUnit | SmallFrame | SoundUnit]:
        """The next `batch` units, and what comes with them."""
        found: list[EncodedUnit | SmallFrame | SoundUnit] = []
        for _ in range(min(self.batch, self.total - self.index)):
            data, is_key = self.second[self.index % len(self.second)]
            at_us = self.index * self.info.frame_us
            utc_us, mono_us = self._from[0] + at_us, self._from[1] + at_us
            found.append(EncodedUnit(data=data, pts_us=at_us, is_key=is_key, utc_us=utc_us, mono_us=mono_us))
            if self.picture is not None:
                found.append(
                    SmallFrame(i420=self.picture, index=self.index, utc_us=utc_us, mono_us=mono_us, media_us=at_us)
                )
            if self.sound is not None:
                share = len(self.pcm) // len(self.second)
                pcm = self.pcm[self.index % len(self.second) * share :][:share]
                found += self.sound.encode(pcm, at_us, utc_us=utc_us, mono_us=mono_us)
            self.index += 1
        self.ended = self.index >= self.total
        return found

    def close(self) -> None:
        """Nothing to free."""


@contextmanager
def device_folder(opens: HybridIdentity | None = None) -> Iterator[tuple[Path, Path]]:
    """A new device: its folder on the disk and its run folder in memory; both are gone afterwards.

    `opens` is who may open its video; nobody where it is not given.
    """
    run = Path(tempfile.mkdtemp(prefix="vedette-bench-", dir="/dev/shm"))
    try:
        with tempfile.TemporaryDirectory() as base:
            folder = Path(base) / "car-1"
            init_device(folder, "car-1", camera=CameraSection(), run_dir=run)
            centre, others = SigningKey.generate(), [HybridIdentity.generate() for _ in range(2)]
            names = [one.recipient.text for one in (opens or HybridIdentity.generate(), *others)]
            trust = Trust(
                centre=centre.public,
                list_signer=centre.public,
                log_origin="bench/log",
                evidence=(names[0],),
                oversight=(names[1],),
                triage=names[2],
            )
            (folder / "trust.json").write_bytes(trust.to_bytes())
            list_identity = folder / "keys" / "list.identity"
            list_identity.touch(mode=0o600)
            list_identity.write_text(f"{HybridIdentity.generate().secret_text}\n")
            yield folder, run
    finally:
        shutil.rmtree(run)


def noisy_second(width: int, height: int, bitrate: int, rate: int) -> list[tuple[bytes, bool]]:
    """A second of moving noise as libx264 codes it at `bitrate` (bit/s): coded pictures, and whether each is a key."""
    generator = np.random.default_rng(7)
    noise = np.repeat(generator.integers(0, 255, (height * 3 // 2, width // 4), dtype=np.uint8), 4, axis=1)
    encoder = X264Encoder(width, height, rate, bitrate=bitrate)
    found = [encoder.encode(np.roll(noise, n, axis=1), n * SECOND_US // rate) for n in range(rate)]
    return [(unit.data, unit.is_key) for units in found for unit in units]


def recorder_of(
    folder: Path, camera: Camera, clock: Clock, *, microphone: Microphone | None = None, **recorder: object
) -> RecorderService:
    """The service `recorder` of the device at `folder`, with keys of its section."""
    path = folder / "device.toml"
    keys = {"min_free_mib": 0, **recorder}
    lines = "".join(f"{key} = {_toml(value)}\n" for key, value in keys.items())
    path.write_text(path.read_text().split("[recorder]")[0] + "[recorder]\n" + lines)
    config = load_device(path)
    terms = Terms(
        recipients=load_trust(config.trust).segment_recipients(),
        segment_us=config.recorder.segment_s * SECOND_US,
        min_free_bytes=0,
    )
    return RecorderService(
        config, clock, camera=camera, microphone=microphone, terms=terms, on_end=lambda: None, read_timeout_s=0.0
    )


def _toml(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()
