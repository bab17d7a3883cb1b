"""A short film of a street and the product's own recorder that records it, on a clock that is moved by hand.

Decided here: how the film looks (blocks that move under a little noise, a key picture each second), and that the
recorder gets one picture a step, so that its checkpoints stand where they stand on a real device.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np

from edge.commands import init_device
from edge.recorder.service import open_recorder
from simulator.stage import MEMORY
from vedette import config, spool
from vedette.clock import FakeClock
from vedette.config import CameraSection
from vedette.keys import SigningKey
from vedette.spool import Item
from vedette.trust import Trust

RATE = 25
PICTURE_US = 1_000_000 // RATE
_BLOCK = 20


def make_clip(path: Path, *, width: int, height: int, seconds: int, bitrate: int) -> None:
    """An MP4 of H.264: moving blocks under a little noise, a key picture each second; `bitrate` in bits per second."""
    chance = np.random.default_rng(7)
    shape = (height // _BLOCK, width // _BLOCK, 3)
    blocks = chance.integers(20, 230, shape, dtype=np.uint8).repeat(_BLOCK, 0).repeat(_BLOCK, 1)
    grain = [chance.integers(0, 12, (height, width, 3), dtype=np.uint8) for _ in range(8)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.bit_rate, stream.gop_size, stream.max_b_frames = bitrate, RATE, 0
        stream.options = {"preset": "ultrafast", "tune": "zerolatency"}
        for number in range(seconds * RATE):
            picture = np.roll(blocks, number * 3, axis=1) + grain[number % 8]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


@dataclass(frozen=True, kw_only=True, slots=True)
class Vehicle:
    """A device in `folder` whose recorder films `clip`, `seconds` long, in segments of `segment_s`."""

    folder: Path
    name: str
    key: SigningKey
    trust: Trust
    clip: Path
    seconds: int
    segment_s: int

    def drive(self, clock: FakeClock) -> tuple[list[Item], list[bytes]]:
        """Record the whole film once: the items of this drive in their order, and the journal of every drive so far,
        in lines without newlines.
        """
        before = {item.item_id for item in self._items()}
        self._record(clock, self.seconds * RATE + 2)
        return [item for item in self._items() if item.item_id not in before], self._lines()

    def break_off(self, clock: FakeClock, pictures: int) -> tuple[Item, list[bytes]]:
        """Record so many pictures and lose the power: the item that the next start made of what the disk had, and the
        journal as `drive` gives it.
        """
        after = replace(self, folder=self.folder.with_name(f"{self.folder.name}-after"), seconds=0)
        self._record(clock, pictures, until_cut=lambda: shutil.copytree(self.folder, after.folder))
        after._record(clock, 1)
        (item,) = (one for one in after._items() if not one.manifest.complete)
        return item, after._lines()

    def _record(self, clock: FakeClock, pictures: int, until_cut: Callable[[], object] = lambda: None) -> None:
        memory = Path(tempfile.mkdtemp(prefix="vedette-reel-", dir=MEMORY))
        try:
            recorder = open_recorder(config.load_device(self._configured(memory)), clock)
            for _ in range(pictures):
                recorder.step(clock.mono_us())
                clock.advance(PICTURE_US)
            until_cut()
            recorder.close()
        finally:
            shutil.rmtree(memory, ignore_errors=True)

    def _lines(self) -> list[bytes]:
        journal = sorted((self.folder / "journal" / "recorder").glob("[0-9]*.jsonl"))
        return [line for path in journal for line in path.read_bytes().splitlines()]

    def _items(self) -> list[Item]:
        items, _bad = spool.scan(self.folder / "spool")
        return sorted((one for one in items if one.kind == "segment"), key=lambda one: one.item_id)

    def _configured(self, memory: Path) -> Path:
        path = self.folder / "device.toml"
        if not path.exists():
            (self.folder / "keys").mkdir(parents=True, mode=0o700)
            self.key.save(self.folder / "keys" / "sign.pem")
            init_device(self.folder, self.name, camera=CameraSection(), run_dir=memory)
            (self.folder / "trust.json").write_bytes(self.trust.to_bytes())
        path.write_text(
            f'[device]\nid = "{self.name}"\ndata = "."\nrun = "{memory}"\n'
            f'[camera]\nadapter = "clip"\nsource = "{self.clip}"\n'
            f"[recorder]\nmin_free_mib = 0\nsegment_s = {self.segment_s}\n"
        )
        return path
