"""How fast this machine reads: every stage of the chain on drawn pictures, what it can promise, how much memory.

Decides what is timed and what a promise is: pictures a second at the 95th percentile, the pace of nineteen pictures in
twenty.  A picture's chain is one look of the detector and a thorough read of each plate, the most that the reader
service does with it.  Plates are read at the corners they were drawn at, so that the work does not depend on what the
detector finds.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from edge.reader.detect import Detector
from edge.reader.drawn import DrawnPicture, draw
from edge.reader.infer import Model, Source, runtime_name
from edge.reader.look import Looker
from edge.reader.ocr import PlateReader
from edge.reader.registry import NAMES, open_registry
from vedette.errors import Usage

SIZES = ((640, 480), (1280, 720), (1920, 1080))
PLATES = (0, 1, 3)
# A 95th percentile of fewer pictures than this says nothing, however little time was asked for.
MIN_PICTURES = 20
WARM_UP = 2
MAX_SECONDS = 3600.0
STATUS = Path("/proc/self/status")
CPU_INFO = Path("/proc/cpuinfo")
BOARD_MODEL = Path("/proc/device-tree/model")


class TimedModel(Model):
    """A model that notes when each run began and ended, in seconds of the monotonic clock."""

    def __init__(self, interpreter: Any, source: Source) -> None:
        self.runs: list[tuple[float, float]] = []
        super().__init__(interpreter, source)

    def sized(self, *, height_px: int, width_px: int) -> TimedModel:
        """As `Model.sized`; its runs are noted as this one's."""
        model = super().sized(height_px=height_px, width_px=width_px)
        model.runs = self.runs
        return model

    def run(self, picture: Any) -> Any:
        """As `Model.run`."""
        began = time.perf_counter()
        answer = super().run(picture)
        self.runs.append((began, time.perf_counter()))
        return answer


@dataclass(frozen=True, kw_only=True, slots=True)
class Stages:
    """Milliseconds of one picture: its chain by stages and whole; detector and glances; a look as in `vedette read`."""

    fit: float
    detector: float
    decode: float
    straighten: float
    reader: float
    text: float
    picture: float
    glances: float
    look: float


STAGES = tuple(one.name for one in fields(Stages))


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """Median and 95th percentile in milliseconds."""

    median_ms: float
    p95_ms: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One size and number of plates: how many pictures were timed, their stages, and how often the reader ran."""

    width_px: int
    height_px: int
    plates: int
    found: int
    pictures: int
    reader_runs: int
    stages: dict[str, Spread]

    @property
    def frames_per_second(self) -> float:
        """What can be promised: nineteen pictures in twenty are done within this pace."""
        return 1000.0 / self.stages["picture"].p95_ms


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """Where it was measured."""

    name: str
    cores: int
    load_before: float
    runtime: str
    python: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """Resident memory in MiB: without the models, what both add once they have run, the most it ever was, and of what
    it was at the end the process's own and the pages of files.

    The latter are of libraries and models; how many the system maps beside those that are used depends on how the files
    lie in its cache, and it takes them back when it needs room.
    """

    without_models_mib: float
    models_mib: float
    peak_mib: float
    own_mib: float
    files_mib: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """All that was measured; `load_ms` is signature, hash, loading and a first run, by model."""

    machine: Machine
    threads: int
    versions: dict[str, str]
    load_ms: dict[str, float]
    memory: Memory
    cases: list[Case]


def bench(*, threads: int, seconds: float, folder: Path | None = None) -> Bench:
    """Measures for about `seconds`, longer where MIN_PICTURES of each case take longer.

    Raises Usage for a time out of bounds, else as `Model.load` and `open_registry`.
    """
    if not 0 < seconds <= MAX_SECONDS:
        raise Usage(f"--seconds {seconds:g}: give more than 0 and {MAX_SECONDS:g} at most")
    machine = this_machine()
    before_mib = resident_mib("VmRSS")
    chain = Chain.load(threads=threads, folder=folder)
    loaded_mib = resident_mib("VmRSS")
    share_s = seconds / (len(SIZES) * len(PLATES))
    cases = [
        measure(chain, draw(width_px=width, height_px=height, plates=plates), seconds=share_s)
        for width, height in SIZES
        for plates in PLATES
    ]
    memory = Memory(
        without_models_mib=before_mib,
        models_mib=loaded_mib - before_mib,
        peak_mib=resident_mib("VmHWM"),
        own_mib=resident_mib("RssAnon"),
        files_mib=resident_mib("RssFile"),
    )
    return Bench(
        machine=machine,
        threads=threads,
        versions=chain.versions,
        load_ms=chain.load_ms,
        memory=memory,
        cases=cases,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Read:
    """Seconds of one plate's thorough read by stages and of a glance at it, and how often the read ran the model."""

    straighten: float
    reader: float
    text: float
    glance: float
    runs: int


PARTS = ("straighten", "reader", "text", "glance")


class Chain:
    """Detector and reader with timed models."""

    def __init__(self, models: dict[str, TimedModel], versions: dict[str, str], load_ms: dict[str, float]) -> None:
        self.detector_model, self.reader_model = models["detector"], models["reader"]
        self.detector, self.reader = Detector(self.detector_model), PlateReader(self.reader_model)
        self.looker = Looker(self.detector, self.reader, {})
        self.versions = versions
        self.load_ms = load_ms

    @classmethod
    def load(cls, *, threads: int, folder: Path | None) -> Chain:
        """Both models of the package or of `folder`, each timed from its signature to its first answer."""
        models: dict[str, TimedModel] = {}
        versions: dict[str, str] = {}
        load_ms: dict[str, float] = {}
        for name in NAMES:
            began = time.perf_counter()
            file = open_registry(folder).model(name)
            models[name] = TimedModel.load(file.path, threads=threads)
            load_ms[name] = 1000 * (time.perf_counter() - began)
            versions[name] = file.version
        return cls(models, versions, load_ms)

    def stages(self, drawn: DrawnPicture) -> tuple[Stages, int]:
        """One picture through the chain and once more through a thorough look; and how often the reader ran."""
        fit, detector, decode = self._detect(drawn)
        reads = [self._read(drawn, corners) for corners in drawn.plates]
        straighten, reader, text, glances = (1000 * sum(getattr(read, part) for read in reads) for part in PARTS)
        began = time.perf_counter()
        self.looker.look(drawn.luma)
        look = 1000 * (time.perf_counter() - began)
        stages = Stages(
            fit=fit,
            detector=detector,
            decode=decode,
            straighten=straighten,
            reader=reader,
            text=text,
            picture=fit + detector + decode + straighten + reader + text,
            glances=fit + detector + decode + glances,
            look=look,
        )
        return stages, sum(read.runs for read in reads)

    def _detect(self, drawn: DrawnPicture) -> tuple[float, float, float]:
        """Milliseconds before the model ran, in it, and after it."""
        self.detector_model.runs.clear()
        began = time.perf_counter()
        self.detector.detect(drawn.luma)
        ended = time.perf_counter()
        first, last = self.detector_model.runs[0], self.detector_model.runs[-1]
        return 1000 * (first[0] - began), 1000 * (last[1] - first[0]), 1000 * (ended - last[1])

    def _read(self, drawn: DrawnPicture, corners: Sequence[tuple[float, float]]) -> _Read:
        """A glance straightens exactly once before its model runs; that is taken for each of the read's cuts."""
        self.reader_model.runs.clear()
        began = time.perf_counter()
        self.reader.glance(drawn.luma, corners)
        glance = time.perf_counter() - began
        once = self.reader_model.runs[0][0] - began
        self.reader_model.runs.clear()
        began = time.perf_counter()
        self.reader.read(drawn.luma, corners)
        whole = time.perf_counter() - began
        runs = len(self.reader_model.runs)
        model = sum(end - start for start, end in self.reader_model.runs)
        straighten = min(once * runs, whole - model)
        text = whole - model - straighten
        return _Read(straighten=straighten, reader=model, text=text, glance=glance, runs=runs)


def measure(chain: Chain, drawn: DrawnPicture, *, seconds: float) -> Case:
    """Times the chain on one picture over and over."""
    for _ in range(WARM_UP):
        chain.stages(drawn)
    timed: list[tuple[Stages, int]] = []
    until = time.perf_counter() + seconds
    while len(timed) < MIN_PICTURES or time.perf_counter() < until:
        timed.append(chain.stages(drawn))
    height, width = drawn.luma.shape
    return Case(
        width_px=width,
        height_px=height,
        plates=len(drawn.plates),
        found=len(chain.detector.detect(drawn.luma)),
        pictures=len(timed),
        reader_runs=timed[-1][1],
        stages={name: spread([getattr(stages, name) for stages, _ in timed]) for name in STAGES},
    )


def spread(times_ms: Sequence[float]) -> Spread:
    """Median and the smallest time within which nineteen of twenty are done."""
    ordered = sorted(times_ms)
    rank = -(-95 * len(ordered) // 100)
    return Spread(median_ms=statistics.median(ordered), p95_ms=ordered[rank - 1])


def this_machine() -> Machine:
    """The machine at hand; the load of the last minute tells whether it had other work."""
    return Machine(
        name=machine_name(BOARD_MODEL, CPU_INFO),
        cores=os.cpu_count() or 1,
        load_before=os.getloadavg()[0],
        runtime=runtime_name(),
        python=platform.python_version(),
    )


def machine_name(board_model: Path, cpu_info: Path) -> str:
    """The board's own name where it has one, else the processor's."""
    if board_model.is_file():
        return board_model.read_text(encoding="utf-8", errors="replace").strip("\0 \n")
    lines = cpu_info.read_text(encoding="utf-8", errors="replace").splitlines() if cpu_info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), platform.machine())


def resident_mib(field: str) -> float:
    """VmRSS (now), RssAnon and RssFile (its own and files' part of that) or VmHWM (the most so far) of this process."""
    lines = STATUS.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024
