"""Kills the real recorder at random moments, starts it again, and holds what is left against what it had taken.

Decided here: what a trial is (a start, a moment drawn from the seed, `kill -9`), what is kept of that moment (the last
picture on the frame bus, every byte in the spool), and what is asked of the next run: at most a second of pictures is
missing, no byte that was there in whole chunks, and what is left opens, decodes and verifies. A kill leaves what the
process wrote; what a power cut takes on top is `tests/edge/recorder/test_crash_states.py`.
"""

from __future__ import annotations

import io
import itertools
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from edge.recorder.framebus import FrameBusReader
from edge.recorder.service import FRAME_BUS
from simulator.film import Film, play
from simulator.killed_cameras import CopiedClip, DrawnBall, KilledCamera, is_heard
from simulator.processes import Process
from simulator.reel import PICTURE_US
from simulator.specimen import Maker, new_maker
from simulator.stage import MEMORY, vedette
from vedette import config, spool
from vedette.clock import SystemClock
from vedette.config import DeviceConfig
from vedette.custody_entry import Entry, parse_line
from vedette.custody_tail import journal_files
from vedette.custody_verify import split_lines
from vedette.errors import Refused, VedetteError
from vedette.evidence_item import Vouched, verify_item
from vedette.keys import SigningKey
from vedette.sealed import header_length, recover, whole_prefix

MOST_LOST_US = 1_000_000
SEGMENT_S = 2
EARLY = 0.2
READY_WITHIN_S = 300.0
# Pictures without any sound for so long, and no word of it in custody, are a fault (SG-15).
UNHEARD_US = 2_000_000
CAMERAS = ("clip", "gst")
Said = Callable[[str], None]


@dataclass(kw_only=True, slots=True)
class Trial:
    """One kill: when, the first key picture and the last picture that the recorder had given to the frame bus (UTC in
    microseconds; equal where it had given none), and the open file's bytes at that moment. A recording begins with a
    key picture; what a camera shows before its first one cannot be recorded, and custody names it as a gap. Of sound
    nothing is known to be lost (None) where none had come into an item yet; `holes_us` is missing before,
    `unwritten_us` of a pre-event buffer was not on the disk yet.
    """

    number: int
    started_us: int
    killed_us: int
    first_us: int
    taken_us: int
    left: dict[str, bytes] = field(default_factory=dict, repr=False)
    lost_us: int = 0
    unproven_us: int = 0
    sound_lost_us: int | None = None
    holes_us: int = 0
    unwritten_us: int = 0
    items: int = 0

    @property
    def where(self) -> str:
        """In which state of the recorder it fell."""
        return "recording"


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

    @property
    def sound_lost_us(self) -> list[int]:
        """How much sound each trial lost that had any, the least first."""
        return sorted(one.sound_lost_us for one in self.trials if one.sound_lost_us is not None)


def run(
    folder: Path,
    *,
    kills: int,
    seed: int,
    camera: str = CAMERAS[0],
    kind: type[Bench] | None = None,
    progress: Said = lambda _text: None,
) -> Tally:
    """Kill a recorder `kills` times in `folder`, which must be empty or new, and account for everything after it.

    `camera` is one of `CAMERAS`, `kind` how a trial goes: without it, the recorder is killed while it records.
    """
    started = time.monotonic()
    if folder.exists() and any(folder.iterdir()):
        raise Refused(f"{folder} is not empty; name another folder with --folder")
    memory = Path(tempfile.mkdtemp(prefix="vedette-kills-", dir=MEMORY))
    tally, chance = Tally(), random.Random(seed)
    try:
        bench = (kind or Bench).make(folder, memory, camera)
        _kill(bench, kills, tally, chance, progress)
        bench.run_once_more()
        tally.faults += bench.check_left(tally.trials)
        bench.account(tally)
    finally:
        shutil.rmtree(memory, ignore_errors=True)
    tally.seconds = time.monotonic() - started
    return tally


def _kill(bench: Bench, kills: int, tally: Tally, chance: random.Random, progress: Said) -> None:
    try:
        for number in range(1, kills + 1):
            tally.trials.append(bench.trial(number, chance))
            tally.faults += bench.check_left(tally.trials)
            progress(f"{number} of {kills} kills, {len(tally.faults)} faults")
    finally:
        bench.process.kill_if_running()


@dataclass(kw_only=True, slots=True)
class Found:
    """What a player has of an item, which begins with the camera's picture `number` at `from_us` (UTC), and until when
    custody vouches for it.
    """

    item: str
    from_us: int
    proven_us: int
    number: int = 0
    film: Film = field(default_factory=Film, repr=False)

    @property
    def to_us(self) -> int:
        """When its last picture ends."""
        return self.from_us + self.film.end_us


class Recorder(Process):
    """The recorder's process."""

    def kill_if_running(self) -> None:
        """Leave nothing behind."""
        if self.running:
            self.kill()


@dataclass(kw_only=True, slots=True)
class Bench:
    """A device with a recorder, and who can open what it seals."""

    config: DeviceConfig
    maker: Maker
    process: Recorder
    bus: Path
    camera: KilledCamera
    losses_us: tuple[int, ...] = ()
    recorder_toml: ClassVar[str] = ""

    @classmethod
    def make(cls, folder: Path, memory: Path, camera: str) -> Bench:
        device, maker = folder / "vehicle", new_maker()
        folder.mkdir(parents=True, exist_ok=True)
        vedette("device", "init", device, "--id", "car-1")
        filmed: KilledCamera = DrawnBall()
        if camera == CAMERAS[0]:
            filmed = CopiedClip.make(folder / "street.mp4", SystemClock().utc_us())
        path = device / "device.toml"
        path.write_text(
            f'[device]\nid = "car-1"\ndata = "."\nrun = "{memory}"\n{filmed.toml}'
            f"[recorder]\nmin_free_mib = 0\nsegment_s = {SEGMENT_S}\n{cls.recorder_toml}"
        )
        loaded = config.load_device(path)
        loaded.trust.write_bytes(maker.trust.to_bytes())
        process = Recorder("recorder", ["device", "run", "recorder", "--config", str(path)], folder / "recorder.log")
        return cls(config=loaded, maker=maker, process=process, bus=memory / FRAME_BUS, camera=filmed)

    def trial(self, number: int, chance: random.Random) -> Trial:
        """Start, wait until the drawn moment, kill; one in five at any moment from the start of the process on."""
        self.bus.unlink(missing_ok=True)
        started_us = SystemClock().utc_us()
        self.process.start()
        if chance.random() >= EARLY:
            self._wait_for_pictures()
        time.sleep(chance.uniform(0, self.camera.longest_s))
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
        taken_us = frame.utc_us + PICTURE_US
        return min(self.camera.first_us(frame), taken_us), taken_us

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
        self.losses_us = self._sound_losses()
        found: list[Found] = []
        for item in (one for one in items if one.kind == "segment"):
            report = verify_item(item.path, vouched)
            tally.faults += [f"{item.item_id}: {one.message}" for one in report.findings if not one.ok]
            one, faults = self._played(item)
            tally.faults += [f"{item.item_id}: {fault}" for fault in faults]
            found.append(one)
            tally.items, tally.pictures = tally.items + 1, tally.pictures + one.film.decoded
            tally.cut_items += not item.manifest.complete
            tally.sealed_bytes += item.manifest.sealed_size
        tally.faults += self.judge(tally.trials, found)

    def judge(self, trials: Sequence[Trial], found: Sequence[Found]) -> list[str]:
        """Say of each trial what is missing, and what is wrong with it."""
        faults = []
        for trial in trials:
            mine = [one for one in found if trial.first_us - 100_000 <= one.from_us <= trial.taken_us]
            faults += [f"kill {trial.number}: {fault}" for fault in self._weigh(trial, mine)]
        return faults

    def entries(self) -> list[Entry]:
        """Every line of the recorder's journal."""
        files = journal_files(self.config.journals / "recorder")
        return [parse_line(line) for path in files for line in split_lines(path.read_bytes())]

    def _sound_losses(self) -> tuple[int, ...]:
        """When custody says that sound was lost (UTC)."""
        return tuple(one.utc_us for one in self.entries() if one.event == "sound.lost")

    def _weigh(self, trial: Trial, mine: Sequence[Found]) -> list[str]:
        """Say how much of what was taken is missing at the end of a trial, and what is in between."""
        mine = sorted(mine, key=lambda one: one.from_us)
        trial.items = len(mine)
        trial.lost_us = max(0, trial.taken_us - max((one.to_us for one in mine), default=trial.first_us))
        trial.unproven_us = max(0, trial.taken_us - max((one.proven_us for one in mine), default=trial.first_us))
        faults = []
        if trial.lost_us > MOST_LOST_US:
            faults.append(f"{trial.lost_us / 1e6:.3f} s of pictures are missing")
        # One that was killed before its first fragment was whole has none to say where it begins; `lost_us` counts it.
        for before, after in itertools.pairwise(one for one in mine if one.film.pictures):
            if after.number != before.number + len(before.film.pictures):
                faults.append(f"pictures are missing between {before.item} and {after.item}")
        return faults + (self._weigh_sound(trial, mine) if self.camera.hears else [])

    def _weigh_sound(self, trial: Trial, mine: Sequence[Found]) -> list[str]:
        """The same for sound, from the first piece of it on: it may begin later than the pictures, and custody says
        so where that is much later.
        """
        pieces = [(one.from_us + piece.end_us, piece) for one in mine for piece in one.film.sound]
        heard = [place for place, (_, piece) in enumerate(pieces) if is_heard(piece)]
        begins_us = trial.taken_us - trial.lost_us
        if heard:
            ends_us, first = pieces[heard[0]]
            begins_us = ends_us - (first.end_us - first.at_us)
        unheard_us, faults = begins_us - trial.first_us, []
        is_said = any(trial.first_us <= at_us <= trial.killed_us for at_us in self.losses_us)
        if unheard_us > UNHEARD_US and not is_said:
            faults.append(f"no sound beside {unheard_us / 1e6:.3f} s of pictures, and custody says nothing of it")
        if not heard:
            return faults
        # Sound that a busy machine brings too late for its segment is silence there (SG-12); no kill took it.
        silent = [piece for _, piece in pieces[heard[0] : heard[-1]] if not is_heard(piece)]
        trial.holes_us = sum(one.end_us - one.at_us for one in silent)
        trial.sound_lost_us = max(0, trial.taken_us - pieces[heard[-1]][0])
        if trial.sound_lost_us > MOST_LOST_US:
            faults.append(f"{trial.sound_lost_us / 1e6:.3f} s of sound are missing")
        if trial.holes_us > MOST_LOST_US:
            faults.append(f"{trial.holes_us / 1e6:.3f} s of sound are missing in between")
        return faults

    def _played(self, item: spool.Item) -> tuple[Found, list[str]]:
        """What a player has of an item, and what is wrong with it: each picture must be the camera's at its moment."""
        manifest = item.manifest
        found = Found(item=item.item_id, from_us=manifest.started_us, proven_us=manifest.ended_us)
        promised = manifest.media.frames if manifest.media else 0
        try:
            with item.path.open("rb") as file:
                recovery = recover(file, [self.maker.opener])
                content = b"".join(recovery)
            film = found.film = play(content)
            found.number = self.camera.number(manifest.started_us, content) if film.pictures else 0
        except VedetteError as error:
            return found, [str(error)]
        faults = [film.fault] if film.fault else []
        if recovery.complete != manifest.complete:
            faults.append("it is whole and its manifest says that it is cut, or the other way round")
        if not promised <= film.decoded == len(film.pictures) or (recovery.complete and film.decoded != promised):
            faults.append(f"{film.decoded} of {len(film.pictures)} pictures decode, {promised} are promised")
        other = self.camera.fault(found.number, film, content)
        return found, [*faults, other] if other else faults


def _header_bytes(content: bytes) -> int:
    try:
        return header_length(io.BytesIO(content))
    except VedetteError:
        return 0
