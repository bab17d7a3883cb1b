"""A PipeWire server of one's own, with a microphone whose samples are written here; it claps each second.

Decided here: its own run folder and session bus, so that nothing of the machine's takes part. The microphone is
PipeWire's pipe source: it takes samples at the pace of PipeWire's clock, and so the writer is held to it.
"""

from __future__ import annotations

import array
import fcntl
import os
import shutil
import subprocess
import tempfile
import termios
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edge.camera.sound import RATE
from vedette.clock import SystemClock

NAME = "clapping"
PROGRAMS = ("pipewire", "wireplumber", "pw-cli", "dbus-daemon")
# A pipe of one page starves the reader.
PIPE_BYTES = 16_384
SAMPLE_BYTES = 2
BLOCKS_PER_CLAP = 100
_LOOK_S = 0.05
_SOURCE = """
context.spa-libs = {{ audio.convert.* = audioconvert/libspa-audioconvert  support.* = support/libspa-support }}
context.modules = [
    {{ name = libpipewire-module-protocol-native }}
    {{ name = libpipewire-module-client-node }}
    {{ name = libpipewire-module-adapter }}
    {{ name = libpipewire-module-pipe-tunnel
        args = {{ tunnel.mode = source  pipe.filename = "{pipe}"  audio.format = S16LE  audio.rate = {rate}
            audio.channels = 1  audio.position = [ MONO ]  stream.props = {{ node.name = {name} }} }} }}
]
"""


class PipeWire:
    """The server; `claps_us` are the monotonic times at which a clap's first sample is heard: a writer is held to the
    moment in which the server takes samples, and what then still waits in the pipe is heard before its own.
    """

    def __init__(self) -> None:
        """Nothing runs yet; `switch_on` starts it."""
        self._folder = Path(tempfile.mkdtemp(prefix="vedette-pw-"))  # A socket's path may not be long.
        self._pipe = self._folder / "samples"
        os.mkfifo(self._pipe)
        configuration = self._folder / "source.conf"
        configuration.write_text(_SOURCE.format(pipe=self._pipe, rate=RATE, name=NAME))
        bus = f"unix:path={self._folder}/bus"
        self.environment: Mapping[str, str] = {
            "XDG_RUNTIME_DIR": str(self._folder), "PIPEWIRE_RUNTIME_DIR": str(self._folder),
            "HOME": str(self._folder), "DBUS_SESSION_BUS_ADDRESS": bus,
        }  # fmt: skip
        self._commands = [
            ["dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address={bus}"],
            ["pipewire"],
            ["wireplumber"],
            ["pipewire", "-c", str(configuration)],
        ]
        self._processes: list[subprocess.Popen[bytes]] = []
        self.claps_us: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def switch_on(self) -> None:
        """Start the server and wait until its microphone is there."""
        ready = [self._folder / "bus", self._folder / "pipewire-0", None, None]
        for command, there in zip(self._commands, ready, strict=True):
            log = (self._folder / f"{command[0]}.log").open("ab")
            with log:
                environment = {**os.environ, **self.environment}
                self._processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
            while there is not None and not there.exists():
                self._wait()
        while NAME not in self._nodes():
            self._wait()

    def switch_off(self) -> None:
        """Kill the server: who listens to it is cut off without a word."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        self._processes.clear()
        for name in ("bus", "pipewire-0"):
            (self._folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        """Stop everything and remove its folder."""
        self._stop.set()
        self.switch_off()
        # Whoever never came to read must not hold the writer.
        os.close(os.open(self._pipe, os.O_RDONLY | os.O_NONBLOCK))
        self._thread.join(5)
        shutil.rmtree(self._folder)

    def _wait(self) -> None:
        for process in self._processes:
            if process.poll() is not None:
                words = "\n".join(path.read_text()[-300:] for path in sorted(self._folder.glob("*.log")))
                raise RuntimeError(f"{process.args!r} ended with {process.returncode}: {words}")
        time.sleep(_LOOK_S)

    def _nodes(self) -> str:
        environment = {**os.environ, **self.environment}
        command = ["pw-cli", "ls", "Node"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout

    def _write(self) -> None:
        loud = (np.sin(np.arange(RATE // 100) * 0.13) * 20_000).astype("<i2").tobytes()
        clock, block, waiting = SystemClock(), 0, array.array("i", [0])
        while not self._stop.is_set():
            with self._pipe.open("wb", buffering=0) as pipe:
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
                while not self._stop.is_set():
                    is_loud = block % BLOCKS_PER_CLAP in range(50, 60)
                    try:
                        pipe.write(loud if is_loud else bytes(len(loud)))
                    except BrokenPipeError:
                        break
                    if block % BLOCKS_PER_CLAP == 50:
                        fcntl.ioctl(pipe, termios.FIONREAD, waiting)
                        before_us = (waiting[0] - len(loud)) // SAMPLE_BYTES * 1_000_000 // RATE
                        self.claps_us.append(clock.mono_us() + before_us)
                    block += 1
