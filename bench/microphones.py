"""How far what a microphone gives is from what was heard, by real devices of ALSA and PipeWire whose samples are
written here.

Measured from the device's samples to the coded piece; what lies before them, a card and its driver, is not here.
"Busy" has twice as many processes that only count as the machine has cores, from before the microphone begins.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext

from bench import pipewire
from bench.harness import Fact
from edge.camera import open_camera, open_microphone
from edge.camera.microphone import Microphone
from edge.camera.port import CameraSilent, Given, SoundInfo, SoundUnit
from edge.camera.sound import RATE
from edge.recorder.source import Source
from vedette.clock import SystemClock
from vedette.config import CameraSection, SoundSection

SECONDS, BOUND = 30, "40 ms"
BLOCK_US = 10_000
BLOCKS_PER_CLAP = 100
Sounds = tuple[SoundInfo | None, list[Given]]
Listen = Callable[[SoundSection], Sounds]
# ALSA's null device says at every moment that its whole buffer (alsasrc: 200 ms) waits to be read, which alsasrc takes
# off the time of each sample; a real device says what really waits there. And it has a block of 10 ms at once as it is
# written, while a real one has its last sample then, and its first sample 10 ms before.
NULL_SAYS_US = 200_000 + BLOCK_US


class Clapping:
    """A real ALSA device whose samples are written here, 10 ms at a time as they happen; it claps each second.

    The file plugin over the null device reads a pipe, so that this writer is its clock. What it writes too late was
    heard in its time all the same.
    """

    def __init__(self, folder: Path) -> None:
        self._pipe = folder / "samples"
        os.mkfifo(self._pipe)
        self.configuration = folder / "asound.conf"
        self.configuration.write_text(
            f'pcm.null {{ type null }}\npcm.clapping {{ type file\n slave.pcm "null"\n file "/dev/null"\n'
            f' infile "{self._pipe}"\n format "raw" }}\n'
        )
        self.claps_us: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def _write(self) -> None:
        clock = SystemClock()
        loud = (np.sin(np.arange(RATE // 100) * 0.13) * 20_000).astype("<i2").tobytes()
        with self._pipe.open("wb", buffering=0) as pipe:
            began_us, block = clock.mono_us(), 0
            while not self._stop.wait(max(0, began_us + block * BLOCK_US - clock.mono_us()) / 1e6):
                is_loud = block % BLOCKS_PER_CLAP in range(50, 60)
                if block % BLOCKS_PER_CLAP == 50:
                    self.claps_us.append(began_us + block * BLOCK_US)
                try:
                    pipe.write(loud if is_loud else bytes(len(loud)))
                except BrokenPipeError:
                    return
                block += 1

    def close(self) -> None:
        self._stop.set()
        # Whoever never came to read must not hold the writer.
        os.close(os.open(self._pipe, os.O_RDONLY | os.O_NONBLOCK))
        self._thread.join(5)


def heard_us(info: SoundInfo, given: Sequence[Given]) -> list[int]:
    """The monotonic times at which claps begin, each piece decoded on its own time."""
    decoder = av.CodecContext.create(info.codec, "r")
    assert isinstance(decoder, AudioCodecContext)
    decoder.extradata, decoder.sample_rate = info.config, info.rate
    found, loud_us = [], -1_000_000
    for unit in given:
        if not isinstance(unit, SoundUnit):
            continue
        for frame in decoder.decode(av.Packet(unit.data)):
            for n in np.flatnonzero(np.abs(frame.to_ndarray()[0]) > 0.2):
                at_us = unit.mono_us + int(n) * 1_000_000 // info.rate
                found += [at_us] if at_us - loud_us > 300_000 else []
                loud_us = at_us
    return found


def microphones_in_step() -> list[Fact]:
    """ALSA beside a camera, the same on a busy machine, and alone; PipeWire beside a camera, lost once."""
    alsa = SoundSection(adapter="alsa", source="clapping")
    facts = []
    ways: list[tuple[str, Listen, int]] = [
        ("beside a camera", _beside_a_camera, 0),
        ("beside a camera, busy", _beside_a_camera, 2 * (os.cpu_count() or 1)),
        ("alone", _of_its_own, 0),
    ]
    for name, listen, counting in ways:
        with tempfile.TemporaryDirectory() as folder, _busy(counting):
            clapping = Clapping(Path(folder))
            with contextlib.closing(clapping), _environment({"ALSA_CONFIG_PATH": str(clapping.configuration)}):
                info, given = listen(alsa)
        facts.append(_fact(name, info, given, [at - NULL_SAYS_US for at in clapping.claps_us]))
    return [*facts, *_by_pipewire()]


def _by_pipewire() -> list[Fact]:
    """Before and after its server is killed and started again, as heard by one recorder."""
    names = ("of PipeWire, beside a camera", "of PipeWire, after its server died and came back")
    if any(shutil.which(program) is None for program in pipewire.PROGRAMS):
        return [Fact(name=f"microphone {name}", figure="PipeWire is not installed", bound=BOUND) for name in names]
    server, died_us = pipewire.PipeWire(), list[int]()

    def lose() -> None:
        died_us.append(SystemClock().mono_us())
        server.switch_off()
        server.switch_on()

    with contextlib.closing(server), _environment(server.environment):
        server.switch_on()
        info, given = _beside_a_camera(SoundSection(adapter="pipewire", source=pipewire.NAME), lose)
    sounds = [one for one in given if isinstance(one, SoundUnit)]
    before = [one for one in sounds if one.mono_us < died_us[0]]
    after = [one for one in sounds if one.mono_us >= died_us[0]]
    return [_fact(name, info, part, server.claps_us) for name, part in zip(names, (before, after), strict=True)]


@contextlib.contextmanager
def _busy(processes: int) -> Iterator[None]:
    """As many processes that only count run meanwhile."""
    counting = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for one in counting:
            one.kill()
            one.wait()


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """What is started meanwhile has these variables."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _fact(name: str, info: SoundInfo | None, given: Sequence[Given], claps_us: Sequence[int]) -> Fact:
    heard = heard_us(info, given) if info is not None else []
    off_us = [min((at - clap for clap in claps_us), key=abs) for at in heard]
    if not off_us:
        return Fact(name=f"microphone {name}", figure="no clap was heard", bound=BOUND)
    middle, worst = statistics.median(off_us) / 1000, max(off_us, key=abs) / 1000
    figure = f"{len(off_us)} claps, median {middle:+.1f} ms, worst {worst:+.1f} ms"
    return Fact(name=f"microphone {name}", figure=figure, bound=BOUND)


def _beside_a_camera(sound: SoundSection, halfway: Callable[[], None] | None = None) -> Sounds:
    """As a recorder hears it: a real camera, and the microphone on its media time; `halfway` is done meanwhile."""
    clock = SystemClock()
    camera = open_camera(CameraSection(adapter="gst", source="test", width=320, height=240), clock)
    source, given = Source(camera, open_microphone(sound, clock)), list[Given]()
    try:
        while source.info is None:
            with suppress(CameraSilent):  # said once where the machine is slow; it goes on starting
                source.mend(clock.mono_us())
            threading.Event().wait(0.01)
        info = source.info.sound if source.info else None
        meanwhile = threading.Timer(SECONDS / 2, halfway or (lambda: None))
        meanwhile.start()
        until_us = clock.mono_us() + SECONDS * 1_000_000
        while clock.mono_us() < until_us:
            given += source.read(0.1, clock.mono_us())
        meanwhile.join()
    finally:
        source.close()
        source.see_off()
    return info, given


def _of_its_own(sound: SoundSection) -> Sounds:
    clock, given = SystemClock(), list[Given]()
    one = Microphone(sound, clock)
    try:
        until_us = clock.mono_us() + SECONDS * 1_000_000
        while clock.mono_us() < until_us:
            given += one.listen(0)
            # Reading without a pause would starve the thread that claps.
            threading.Event().wait(0.01)
    finally:
        one.rest()
        one.has_left(2)
    return one.info, given
