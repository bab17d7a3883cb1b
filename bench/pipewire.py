"""A PipeWire server of one's own, with a microphone whose samples are written here; it claps each second.

Decided here: its own run folder and session bus, so that nothing of the machine's takes part. Samples are written as
they happen. Before PipeWire 1 the microphone is its pipe source, which tells of its delay to the millisecond; the pipe
source of 1.4 keeps a third of a second back, so there the microphone is the far end of a loopback into which PipeWire's
player plays, and what is measured has the player's own delay in it: up to 30 ms.
"""

from __future__ import annotations

import array
import fcntl
import os
import re
import shutil
import subprocess
import tempfile
import termios
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from edge.camera.sound import RATE
from vedette.clock import SystemClock

NAME = "clapping"
PROGRAMS = ("pipewire", "wireplumber", "pw-cli", "pw-cat", "dbus-daemon")
# A pipe of one page starves the reader.
PIPE_BYTES = 16_384
SAMPLE_BYTES = 2
BLOCKS_PER_CLAP = 100
PLAYER_FRAMES = 128
# How far the writer is ahead, so that nobody who takes samples waits for it.
LEAD_S = 0.02
_LOOK_S = 0.05
_CONFIGURATION = """
context.spa-libs = {{ audio.convert.* = audioconvert/libspa-audioconvert  support.* = support/libspa-support }}
context.modules = [
    {{ name = libpipewire-module-protocol-native }}
    {{ name = libpipewire-module-client-node }}
    {{ name = libpipewire-module-adapter }}
    {module}
]
"""
_PIPE_SOURCE = """{{ name = libpipewire-module-pipe-tunnel
        args = {{ tunnel.mode = source  pipe.filename = "{pipe}"  audio.format = S16LE  audio.rate = {rate}
            audio.channels = 1  audio.position = [ MONO ]  stream.props = {{ node.name = {name} }} }} }}"""
_LOOPBACK = """{{ name = libpipewire-module-loopback
        args = {{ audio.rate = {rate}  audio.position = [ MONO ]
            capture.props = {{ node.name = {name}-in  media.class = Audio/Sink }}
            playback.props = {{ node.name = {name}  media.class = Audio/Source }} }} }}"""


class PipeWire:
    """The server; `claps_us` are the monotonic times at which a clap's first sample is heard: a writer is held to the
    moment in which the server takes samples, and what then still waits in the pipe is heard before its own.
    """

    def __init__(self) -> None:
        """Nothing runs yet; `switch_on` starts it."""
        self._folder = Path(tempfile.mkdtemp(prefix="vedette-pw-"))  # A socket's path may not be long.
        self._pipe = self._folder / "samples"
        os.mkfifo(self._pipe)
        configuration = self._folder / "microphone.conf"
        self._is_played = _version() >= 1
        module = (_LOOPBACK if self._is_played else _PIPE_SOURCE).format(pipe=self._pipe, rate=RATE, name=NAME)
        configuration.write_text(_CONFIGURATION.format(module=module))
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
        samples = ["--raw", "--rate", str(RATE), "--channels", "1", "--format", "s16", "-"]
        latency = ["--latency", str(PLAYER_FRAMES)]
        self._player = ["pw-cat", "--playback", "--target", f"{NAME}-in", *latency, *samples]
        self._processes: list[subprocess.Popen[bytes]] = []
        self.claps_us: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def switch_on(self) -> None:
        """Start the server and wait until its microphone is there."""
        ready = [self._folder / "bus", self._folder / "pipewire-0", None, None]
        for command, there in zip(self._commands, ready, strict=True):
            self._start(command)
            while there is not None and not there.exists():
                self._wait()
        while f'"{NAME}"' not in self._nodes():
            self._wait()
        if self._is_played:
            with self._pipe.open("rb") as samples:
                self._start(self._player, samples)

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

    def _start(self, command: list[str], samples: BinaryIO | None = None) -> None:
        with (self._folder / f"{command[0]}.log").open("ab") as log:
            environment = {**os.environ, **self.environment}
            process = subprocess.Popen(command, env=environment, stdin=samples, stdout=log, stderr=log)
        self._processes.append(process)

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
                began_s, began = time.monotonic() - LEAD_S, block
                while not self._stop.is_set():
                    time.sleep(max(0.0, began_s + (block - began) / BLOCKS_PER_CLAP - time.monotonic()))
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


def _version() -> int:
    """The first number of PipeWire's version."""
    words = subprocess.run(["pipewire", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"libpipewire (\d+)\.", words)
    return int(found[1]) if found else 0
