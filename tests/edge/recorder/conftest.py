"""A device folder with keys and trust, a camera that gives what it is told to, and the service around them."""

import functools
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge import ring
from edge.camera.encode import X264Encoder
from edge.camera.microphone import Microphone
from edge.camera.port import CameraFault, EncodedUnit, Given, SmallFrame, SoundInfo, SoundUnit, StreamInfo
from edge.camera.sound import SoundEncoder
from edge.commands import init_device
from edge.recorder.keeping import Terms
from edge.recorder.service import RecorderService
from edge.ring import Kept, load_kept
from vedette import commands, config, spool
from vedette.clock import FakeClock, uuid7
from vedette.config import CameraSection, DeviceConfig, SoundSection
from vedette.custody_entry import Entry, parse_line
from vedette.daemon import read_status
from vedette.keys import SigningKey
from vedette.sealed import HybridIdentity, SealedReader
from vedette.trust import Trust, load_trust

WIDTH, HEIGHT, RATE = 320, 240, 10
FRAME_US = 1_000_000 // RATE
IDENTITIES = {name: HybridIdentity.generate() for name in ("evidence", "oversight", "triage")}
CENTRE = SigningKey.generate()


@dataclass(frozen=True)
class Device:
    """A device on disk, its run folder in memory."""

    folder: Path
    run: Path

    def config(self, **recorder: object) -> DeviceConfig:
        path = self.folder / "device.toml"
        lines = [f"{name} = {_toml(value)}" for name, value in {"min_free_mib": 0, "segment_s": 4, **recorder}.items()]
        text = path.read_text().split("[recorder]")[0] + "[recorder]\n" + "\n".join(lines) + "\n"
        path.write_text(text)
        return config.load_device(path)

    def items(self) -> list[spool.Item]:
        items, bad = spool.scan(self.folder / "spool")
        assert bad == []
        return [item for item in items if item.kind == "segment"]

    def lines(self, service: str = "recorder") -> list[bytes]:
        paths = sorted((self.folder / "journal" / service).glob("[0-9]*.jsonl"))
        return [line for path in paths for line in path.read_bytes().rpartition(b"\n")[0].splitlines()]

    def entries(self, event: str) -> list[Entry]:
        return [entry for entry in map(parse_line, self.lines()) if entry.event == event]

    def opened(self, item: spool.Item) -> bytes:
        with item.path.open("rb") as file:
            return SealedReader(file, [IDENTITIES["evidence"]]).readall()

    def kept(self) -> list[Kept]:
        """What the ring holds and nobody activated, in order."""
        folder = ring.folder_of(self.folder / "spool")
        public = SigningKey.load(self.folder / "keys" / "sign.pem").public
        return [load_kept(folder / f"{item}{ring.KEPT}", public) for item in ring.named(folder, ring.KEPT)]

    def quarantined(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "spool" / "quarantine").iterdir())


def _toml(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


def pictures(count: int, *, width: int = WIDTH, height: int = HEIGHT) -> list[np.ndarray]:
    """Moving noise, I420: enough bits that a second of it fills sealed chunks."""
    generator = np.random.default_rng(7)
    noise = generator.integers(0, 255, (height * 3 // 2, width), dtype=np.uint8)
    return [np.roll(noise, n // 2, axis=1) for n in range(count)]


@functools.cache
def noise_pictures() -> list[NDArray[np.uint8]]:
    """A hundred of them, made once."""
    return pictures(100)


Coded = list[tuple[bytes, bool]]


@functools.cache
def _coded(shown: Callable[[], list[NDArray[np.uint8]]]) -> Coded:
    encoder = X264Encoder(WIDTH, HEIGHT, RATE, bitrate=3_000_000)
    found = [encoder.encode(one, n * FRAME_US) for n, one in enumerate(shown())]
    return [(unit.data, unit.is_key) for units in found for unit in units]


def coded_pictures(count: int) -> Coded:
    """`count` coded pictures, a hundred at most, a key picture every second; coded once for all tests."""
    return _coded(noise_pictures)[:count]


def night_pictures() -> list[NDArray[np.uint8]]:
    """A hundred of a dark street where nothing moves: some kilobytes a second, hours for a sealed chunk."""
    return [np.full((HEIGHT * 3 // 2, WIDTH), 40, np.uint8)] * 100


def coded_night(count: int) -> Coded:
    """As `coded_pictures`, of the dark street."""
    return _coded(night_pictures)[:count]


_sound: list[tuple[SoundInfo, list[SoundUnit]]] = []


def coded_sound() -> tuple[SoundInfo, list[SoundUnit]]:
    """Ten seconds of a tone as AAC, coded once for all tests."""
    if not _sound:
        encoder = SoundEncoder(SoundSection())
        tone = np.sin(np.arange(480_000) * 0.13)[:, None] * 20_000
        _sound.append((encoder.info, encoder.encode(tone.astype(np.int16), 0, utc_us=0, mono_us=0)))
    return _sound[0]


@dataclass
class ScriptedCamera:
    """Gives the next picture at each read and moves the clock by one picture; breaks or ends where it is told.

    With `hears` it gives sound too, each piece `late_us` after its last moment; after a stall many come `at_once`. With
    `hears_from` it has none when it is opened and says that it brings some with the picture of this index.
    With `reads_clock` each picture has the wall clock's time at which it came, as from a real camera; else the wall
    clock is read as the camera is opened, as by a clip.
    """

    clock: FakeClock
    total: int = 10_000
    frames: bool = True
    hears: bool = False
    hears_from: int = 0
    late_us: int = 60_000
    pieces: int = 0
    breaks_at: int = -1
    index: int = 0
    opens: int = 0
    is_open: bool = False
    ended: bool = False
    codes: Callable[[int], Coded] = coded_pictures
    at_once: int = 1
    reads_clock: bool = False
    start: tuple[int, int] = (0, 0)
    jumps: dict[int, int] = field(default_factory=dict)
    shows: Callable[[int], NDArray[np.uint8]] = lambda index: noise_pictures()[index % 100]
    silent_reads: dict[int, int] = field(default_factory=dict)

    def open(self) -> StreamInfo:
        self.opens, self.is_open = self.opens + 1, True
        self.first, self.start = self.index, (self.clock.utc_us(), self.clock.mono_us())
        self.pieces = 0
        sound = coded_sound()[0] if self.hears and not self.hears_from else None
        return StreamInfo(width=WIDTH, height=HEIGHT, rate_num=RATE, rate_den=1, sound=sound)

    def read(self, timeout_s: float) -> Sequence[Given]:
        return [one for _ in range(self.at_once) for one in self._next()]

    def _next(self) -> Sequence[Given]:
        if self.index == self.breaks_at:
            self.breaks_at = -1
            raise CameraFault("the cable is out")
        if self.silent_reads.get(self.index, 0):
            self.silent_reads[self.index] -= 1
            self.clock.advance(FRAME_US)
            return []
        if self.index >= self.total:
            self.ended = True
            return []
        self.clock.advance(FRAME_US + self.jumps.pop(self.index, 0))
        data, is_key = self.codes(100)[self.index % 100]
        media_us = self.clock.mono_us() - self.start[1] - FRAME_US
        utc_us = self.clock.utc_us() - FRAME_US if self.reads_clock else self.start[0] + media_us
        times = {"utc_us": utc_us, "mono_us": self.start[1] + media_us}
        unit = EncodedUnit(data=data, pts_us=media_us, is_key=is_key, **times)
        frame = SmallFrame(i420=self.shows(self.index), index=self.index, media_us=media_us, **times)
        self.index += 1
        heard: list[Given] = [*self.sound_until(media_us + FRAME_US)] if self.hears else []
        if 0 < self.hears_from >= self.index:
            heard = [coded_sound()[0]] if self.index == self.hears_from else []
        return [unit, *heard, frame] if self.frames else [unit, *heard]

    def sound_until(self, now_us: int) -> list[SoundUnit]:
        """The pieces that have come by `now_us` of media time."""
        found, coded = [], coded_sound()[1]
        while (at_us := self.pieces * 64_000 // 3) + 21_334 + self.late_us <= now_us:
            times = {"utc_us": self.start[0] + at_us, "mono_us": self.start[1] + at_us}
            data = coded[self.pieces % len(coded)].data
            found.append(SoundUnit(codec="aac", data=data, pts_us=at_us, duration_us=21_333, **times))
            self.pieces += 1
        return found

    def close(self) -> None:
        self.is_open = False


@pytest.fixture
def coded() -> Callable[[int], Coded]:
    return coded_pictures


@pytest.fixture
def night() -> Callable[[int], Coded]:
    return coded_night


@pytest.fixture
def scripted(clock: FakeClock) -> Callable[..., ScriptedCamera]:
    """A camera that gives pictures only."""
    return lambda **more: ScriptedCamera(**{"clock": clock, **more})


@pytest.fixture
def hearing(clock: FakeClock) -> Callable[..., ScriptedCamera]:
    """A camera that gives sound too."""
    return lambda **more: ScriptedCamera(clock, hears=True, **more)


@pytest.fixture
def identity() -> HybridIdentity:
    return IDENTITIES["evidence"]


@pytest.fixture
def post() -> Callable[..., None]:
    """Post a command to a bench's recorder."""

    def send(one: "Bench", verb: str, activation: str = "button", **more: object) -> None:
        body = {"command": verb, "activation": activation, "id": "", **more}
        commands.post(one.device.run, "recorder", body, clock=one.clock)

    return send


@pytest.fixture(scope="session")
def b_frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip whose decoding order is not its showing order."""
    path = tmp_path_factory.mktemp("clip") / "b.mp4"
    source = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=3"]
    coding = ["-c:v", "libx264", "-preset", "fast", "-bf", "3", "-g", "25", "-pix_fmt", "yuv420p"]
    subprocess.run(["ffmpeg", "-v", "error", *source, *coding, str(path)], check=True)
    return path


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def device(tmp_path: Path, run_dir: Path) -> Device:
    folder = tmp_path / "car-1"
    init_device(folder, "car-1", camera=CameraSection(), run_dir=run_dir)
    trust = Trust(
        centre=CENTRE.public,
        list_signer=CENTRE.public,
        log_origin="test/log",
        evidence=(IDENTITIES["evidence"].recipient.text,),
        oversight=(IDENTITIES["oversight"].recipient.text,),
        triage=IDENTITIES["triage"].recipient.text,
    )
    (folder / "trust.json").write_bytes(trust.to_bytes())
    return Device(folder, run_dir)


@dataclass
class Bench:
    """A recorder on a device, stepped by hand."""

    device: Device
    clock: FakeClock
    camera: ScriptedCamera
    service: RecorderService
    is_closed: bool = False

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self.service.close()

    def status(self) -> dict[str, object]:
        self.service._report()
        return read_status(self.device.run, "recorder")

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.service.step(self.clock.mono_us())

    def recover(self, from_us: int, to_us: int, *, by: str = "command", reason: str = "incident") -> str:
        """Ask the recorder to recover a stretch of the ring; the claim's id."""
        claim = uuid7(self.clock)
        body = {"command": "recover", "activation": by, "id": claim, "reason": reason}
        commands.post(self.device.run, "recorder", {**body, "from_us": from_us, "to_us": to_us}, clock=self.clock)
        return claim


MakeBench = Callable[..., Bench]


@pytest.fixture
def bench(device: Device, clock: FakeClock) -> Iterator[MakeBench]:
    made: list[Bench] = []

    def make(
        *,
        camera: ScriptedCamera | None = None,
        microphone: Microphone | None = None,
        terms: dict[str, object] | None = None,
        at: Device = device,
        clock: FakeClock = clock,
        **recorder: object,
    ) -> Bench:
        found = at.config(**recorder)
        used = camera or ScriptedCamera(clock)
        values: dict[str, object] = {
            "recipients": load_trust(found.trust).segment_recipients(),
            "segment_us": found.recorder.segment_s * 1_000_000,
            "min_free_bytes": found.recorder.min_free_mib << 20,
            **(terms or {}),
        }
        service = RecorderService(
            found,
            clock,
            camera=used,
            microphone=microphone,
            terms=Terms(**values),
            on_end=lambda: None,
            read_timeout_s=0,  # type: ignore[arg-type]
        )
        made.append(Bench(at, clock, used, service))
        return made[-1]

    yield make
    for one in made:
        one.close()
