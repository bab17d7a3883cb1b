"""Kills the real recorder at random moments, starts it again, and holds what is left against what it had taken.

Decided here: what a trial is (a start, a moment drawn from the seed, `kill -9`), what is kept of that moment (the last
picture on the frame bus, every byte in the spool), and what is asked of the next run: at most a second of pictures is
missing, no byte that was there in whole chunks, and what is left opens, decodes and verifies. A kill leaves what the
process wrote; what a power cut takes on top is `tests/edge/recorder/test_crash_states.py`.
"""

from __future__ import annotations

import io
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edge.recorder.framebus import FrameBusReader
from edge.recorder.service import FRAME_BUS
from simulator.film import Film, play
from simulator.processes import Process
from simulator.reel import PICTURE_US, make_clip
from simulator.specimen import Maker, new_maker
from simulator.stage import MEMORY, vedette
from vedette import config, spool
from vedette.clock import SystemClock
from vedette.config import DeviceConfig
from vedette.errors import Refused, VedetteError
from vedette.evidence_item import Vouched, verify_item
from vedette.keys import SigningKey
from vedette.sealed import header_length, recover, whole_prefix

MOST_LOST_US = 1_000_000
SEGMENT_S = 2
EARLY = 0.2
LONGEST_S = 2.5
READY_WITHIN_S = 300.0
_WIDTH, _HEIGHT, _SECONDS, _BITRATE = 640, 360, 4, 3_000_000
SLICES = range(1, 6)
KEY_US = 1_000_000
Said = Callable[[str], None]


@dataclass(kw_only=True, slots=True)
class Trial:
    """One kill: when, the first key picture and the last picture that the recorder had given to the frame bus (UTC in
    microseconds; equal where it had given none), and the open file's bytes at that moment. A recording begins with a
    key picture; what a camera shows before its first one cannot be recorded, and custody names it as a gap.
    """

    number: int
    started_us: int
    killed_us: int
    first_us: int
    taken_us: int
    left: dict[str, bytes] = field(default_factory=dict, repr=False)
    lost_us: int = 0
    unproven_us: int = 0
    items: int = 0


@dataclass(kw_only=True, slots=True)
class Tally:
    """All trials, and what was wrong; nothing is, where `faults` is empty."""

    trials: list[Trial] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    items: int = 0
    cut_items: int = 0
    sealed_bytes: int = 0
    pictures: int = 0
    seconds: float = 0.0

    @property
    def worst_us(self) -> int:
        """The most that a trial lost."""
        return max((one.lost_us for one in self.trials), default=0)


def run(folder: Path, *, kills: int, seed: int, progress: Said = lambda _text: None) -> Tally:
    """Kill a recorder `kills` times in `folder`, which must be empty or new, and account for everything after it."""
    started = time.monotonic()
    if folder.exists() and any(folder.iterdir()):
        raise Refused(f"{folder} is not empty; name another folder with --folder")
    memory = Path(tempfile.mkdtemp(prefix="vedette-kills-", dir=MEMORY))
    tally, chance = Tally(), random.Random(seed)
    try:
        bench = _Bench.make(folder, memory)
        _kill(bench, kills, tally, chance, progress)
        bench.run_once_more()
        tally.faults += bench.check_left(tally.trials)
        bench.account(tally)
    finally:
        shutil.rmtree(memory, ignore_errors=True)
    tally.seconds = time.monotonic() - started
    return tally


def _kill(bench: _Bench, kills: int, tally: Tally, chance: random.Random, progress: Said) -> None:
    try:
        for number in range(1, kills + 1):
            tally.trials.append(bench.trial(number, chance))
            tally.faults += bench.check_left(tally.trials)
            progress(f"{number} of {kills} kills, {len(tally.faults)} faults")
    finally:
        bench.process.kill_if_running()


class _Recorder(Process):
    """The recorder's process."""

    def kill_if_running(self) -> None:
        """Leave nothing behind."""
        if self.running:
            self.kill()


@dataclass(kw_only=True, slots=True)
class _Bench:
    """A device with a recorder, and who can open what it seals."""

    config: DeviceConfig
    maker: Maker
    process: _Recorder
    bus: Path
    begins_us: int = 0
    clip: tuple[tuple[bytes, ...], ...] = ()

    @classmethod
    def make(cls, folder: Path, memory: Path) -> _Bench:
        device, maker = folder / "vehicle", new_maker()
        folder.mkdir(parents=True, exist_ok=True)
        vedette("device", "init", device, "--id", "car-1")
        make_clip(folder / "street.mp4", width=_WIDTH, height=_HEIGHT, seconds=_SECONDS, bitrate=_BITRATE)
        path, begins_us = device / "device.toml", SystemClock().utc_us()
        path.write_text(
            f'[device]\nid = "car-1"\ndata = "."\nrun = "{memory}"\n'
            f'[camera]\nadapter = "clip"\nsource = "{folder / "street.mp4"}"\nloop = true\n'
            f'options = {{start_utc_us = "{begins_us}"}}\n'
            f"[recorder]\nmin_free_mib = 0\nsegment_s = {SEGMENT_S}\n"
        )
        loaded = config.load_device(path)
        loaded.trust.write_bytes(maker.trust.to_bytes())
        process = _Recorder("recorder", ["device", "run", "recorder", "--config", str(path)], folder / "recorder.log")
        clip = tuple(slices(one.data) for one in play((folder / "street.mp4").read_bytes()).pictures)
        bus = memory / FRAME_BUS
        return cls(config=loaded, maker=maker, process=process, bus=bus, begins_us=begins_us, clip=clip)

    def trial(self, number: int, chance: random.Random) -> Trial:
        """Start, wait until the drawn moment, kill; one in five at any moment from the start of the process on."""
        self.bus.unlink(missing_ok=True)
        started_us = SystemClock().utc_us()
        self.process.start()
        if chance.random() >= EARLY:
            self._wait_for_pictures()
        time.sleep(chance.uniform(0, LONGEST_S))
        self.process.kill()
        killed_us = SystemClock().utc_us()
        first_us, taken_us = self._taken(started_us)
        found = Trial(number=number, started_us=started_us, killed_us=killed_us, first_us=first_us, taken_us=taken_us)
        found.left = {path.name: path.read_bytes() for path in self._segments.glob("*.part")}
        return found

    def run_once_more(self) -> None:
        """A last run that is ended in order, so that all is recovered and closed."""
        self.bus.unlink(missing_ok=True)
        self.process.start()
        self._wait_for_pictures()
        self.process.stop()

    @property
    def _segments(self) -> Path:
        return self.config.spool / "segment"

    def _wait_for_pictures(self) -> None:
        until = time.monotonic() + READY_WITHIN_S
        while not self.bus.exists():
            if not self.process.running or time.monotonic() > until:
                raise Refused(f"the recorder gives no pictures; it said last:\n{self.process.last_words()}")
            time.sleep(0.02)

    def _taken(self, started_us: int) -> tuple[int, int]:
        """The first key picture and the end of the last picture that the killed recorder had given to the frame bus."""
        if not self.bus.exists():
            return started_us, started_us
        frame = FrameBusReader(self.bus).latest(-1)
        if frame is None:
            return started_us, started_us
        opened_us, taken_us = frame.utc_us - frame.media_us, frame.utc_us + PICTURE_US
        key_us = opened_us + -(opened_us - self.begins_us) % KEY_US
        return min(key_us, taken_us), taken_us

    def check_left(self, trials: list[Trial]) -> list[str]:
        """No whole chunk that lay in the spool at an earlier kill may be missing from what recovery filed."""
        faults = []
        for trial in trials:
            for name, before in list(trial.left.items()):
                now = self._segments / name.removesuffix(".part")
                aside = self.config.spool / "quarantine"
                if now.with_name(name).exists():
                    continue
                del trial.left[name]
                header = _header_bytes(before)
                edge = whole_prefix(len(before), header) if header else 0
                if edge <= header and (now.exists() or any(aside.glob(f"{name[:36]}*"))):
                    continue
                if not now.exists() or not now.read_bytes().startswith(before[:edge]):
                    faults.append(f"kill {trial.number}: {edge} bytes of {name} were there and are not in {now.name}")
        return faults

    def account(self, tally: Tally) -> None:
        """Open, decode and verify every item, and say of each trial how much of what was taken is missing."""
        items, bad = spool.scan(self.config.spool)
        tally.faults += [f"{one.path.name}: {one.why}" for one in bad]
        tally.faults += [f"{path.name}: not recovered" for path in self._segments.glob("*.part")]
        device = SigningKey.load(self.config.keys / "sign.pem").public
        vouched = Vouched(
            trust=self.maker.trust,
            device=device,
            journal=self.config.journals / "recorder",
            identities=[self.maker.opener],
        )
        ends: list[tuple[int, int, int]] = []
        for item in (one for one in items if one.kind == "segment"):
            report = verify_item(item.path, vouched)
            tally.faults += [f"{item.item_id}: {one.message}" for one in report.findings if not one.ok]
            found, faults = self._played(item)
            tally.faults += [f"{item.item_id}: {fault}" for fault in faults]
            ends.append((item.manifest.started_us, item.manifest.started_us + found.end_us, item.manifest.ended_us))
            tally.items, tally.pictures = tally.items + 1, tally.pictures + found.decoded
            tally.cut_items += not item.manifest.complete
            tally.sealed_bytes += item.manifest.sealed_size
        for trial in tally.trials:
            mine = [one for one in ends if trial.first_us - 100_000 <= one[0] <= trial.taken_us]
            trial.items = len(mine)
            trial.lost_us = max(0, trial.taken_us - max((one[1] for one in mine), default=trial.first_us))
            trial.unproven_us = max(0, trial.taken_us - max((one[2] for one in mine), default=trial.first_us))
            if trial.lost_us > MOST_LOST_US:
                tally.faults.append(f"kill {trial.number}: {trial.lost_us / 1e6:.3f} s of pictures are missing")

    def _played(self, item: spool.Item) -> tuple[Film, list[str]]:
        """What a player has of an item, and what is wrong with it: each picture must be the clip's at its moment."""
        promised = item.manifest.media.frames if item.manifest.media else 0
        try:
            with item.path.open("rb") as file:
                recovery = recover(file, [self.maker.opener])
                found = play(b"".join(recovery))
        except VedetteError as error:
            return Film(), [str(error)]
        faults = [found.fault] if found.fault else []
        if recovery.complete != item.manifest.complete:
            faults.append("it is whole and its manifest says that it is cut, or the other way round")
        if not promised <= found.decoded == len(found.pictures) or (recovery.complete and found.decoded != promised):
            faults.append(f"{found.decoded} of {len(found.pictures)} pictures decode, {promised} are promised")
        first = (item.manifest.started_us - self.begins_us) // PICTURE_US
        for number, one in enumerate(found.pictures):
            if one.at_us != number * PICTURE_US or slices(one.data) != self.clip[(first + number) % len(self.clip)]:
                faults.append(f"picture {number} is not the one that the camera gave at {one.at_us / 1e6:.3f} s")
                break
        return found, faults


def slices(sample: bytes) -> tuple[bytes, ...]:
    """The NAL units of a sample that hold the picture itself; parameter sets and remarks may stand elsewhere."""
    found, place = [], 0
    while place < len(sample):
        size = int.from_bytes(sample[place : place + 4], "big")
        nal, place = sample[place + 4 : place + 4 + size], place + 4 + size
        found += [nal] if nal[:1] and nal[0] & 0x1F in SLICES else []
    return tuple(found)


def _header_bytes(content: bytes) -> int:
    try:
        return header_length(io.BytesIO(content))
    except VedetteError:
        return 0
