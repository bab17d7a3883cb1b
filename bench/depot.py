"""A centre with its broker and a fleet of devices in a few processes on this machine, for measuring.

Decided here: the centre is `vedette central run` as installed; devices are enrolled by its own function; a process
holds several devices because a hundred Python processes would measure this machine's memory, not the product.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from simulator.relay import Relays, Shape
from simulator.stage import Scene, Stage, vedette
from sync.central.device_toml import with_uplink
from vedette.daemon import read_status

LIST = "plate,region,reason,priority,source,valid_from,valid_to\n"
DEVICES_IN_A_PROCESS = 25


class Devices:
    """Child processes of `bench.vehicles` with some devices each; with `last` they get what processors others leave."""

    def __init__(self, groups: Sequence[Sequence[Path]], log: Path, *, last: bool = False) -> None:
        before = ("nice", "-n", "19") if last else ()
        self._children = [_child("bench.vehicles", [str(path) for path in group], log, before) for group in groups]
        self.hear()

    def tell(self, *words: object) -> list[dict[str, Any]]:
        """Say the same to all; their answers once the last has answered."""
        self.say(*words)
        return self.hear()

    def say(self, *words: object) -> None:
        """Say the same to all and do not wait."""
        for child in self._children:
            assert child.stdin is not None
            child.stdin.write(" ".join(str(word) for word in words) + "\n")
            child.stdin.flush()

    def hear(self) -> list[dict[str, Any]]:
        """The answers to what was said last, once the last has answered."""
        return [hear(child) for child in self._children]

    def close(self) -> None:
        """End the processes."""
        for child in self._children:
            end(child)


class Site:
    """One centre and its enrolled devices in a temporary folder."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    @property
    def broker(self) -> tuple[str, int]:
        """Where the broker listens."""
        return "127.0.0.1", self.stage.ports()["broker"]

    def enrol(self, count: int, *, first: int = 0) -> list[Path]:
        """Make so many devices; their device.toml."""
        made = []
        for number in range(first, first + count):
            folder = self.stage.folder / f"car-{number:04d}"
            vedette("device", "init", folder, "--id", folder.name)
            path = folder / "device.toml"
            path.write_text(f'[device]\nid = "{folder.name}"\ndata = "."\nrun = "{self.stage.run / folder.name}"\n')
            vedette("central", "enrol", self.stage.central, folder.name, "--device", folder)
            made.append(path)
        return made

    def park(self, paths: Sequence[Path]) -> None:
        """Let these devices stand before the door."""
        address = self.stage.central / "run" / "depot.json"
        while not address.exists():
            time.sleep(0.05)
        port = json.loads(address.read_text())["port"]
        for path in paths:
            path.write_text(f'{path.read_text()}depot_host = "127.0.0.1"\ndepot_port = {port}\n')

    def start_centre_again(self) -> None:
        """Start the centre that was stopped, and wait until it is at the broker."""
        (self.stage.central / "run" / "status" / "central.json").unlink(missing_ok=True)
        self.stage.centre.start()
        while not read_status(self.stage.central / "run", "central").get("connected"):
            if not self.stage.centre.running:
                raise RuntimeError(f"the centre ended: {self.stage.centre.last_words()}")
            time.sleep(0.05)

    def broker_bytes(self) -> int:
        """The most memory the broker has had, by the kernel's word."""
        pid = json.loads((self.stage.central / "run" / "broker.pid.json").read_text())["pid"]
        return memory_bytes(int(pid))


@contextmanager
def site(*, door: bool = False) -> Iterator[Site]:
    """A running centre without devices, with the HTTPS door of a depot where it is asked for."""
    with tempfile.TemporaryDirectory(prefix="vedette-bench-") as folder:
        stage = Stage(
            Path(folder) / "stage", Scene(device="car-x", camera={}, board={}, recorder={}, watchlist_csv=LIST)
        )
        try:
            stage.prepare()
            if door:
                with (stage.central / "central.toml").open("a") as config:
                    config.write("\n[depot]\nenabled = true\nport = 0\n")
            stage.start_centre()
            yield Site(stage)
        finally:
            stage.close()


@contextmanager
def devices(
    where: Site, paths: Sequence[Path], *, each: int = DEVICES_IN_A_PROCESS, last: bool = False
) -> Iterator[Devices]:
    """Their uplinks, `each` of them in one process; `last` as in `Devices`."""
    groups = [paths[at : at + each] for at in range(0, len(paths), each)]
    running = Devices(groups, where.stage.logs / "vehicles.log", last=last)
    try:
        yield running
    finally:
        running.close()


@contextmanager
def shaped(where: Site, paths: Sequence[Path], shape: Shape) -> Iterator[None]:
    """Put a link of its own between each device and the broker."""
    with Relays(*where.broker) as relays:
        for path in paths:
            path.write_text(with_uplink(path.read_text(), host="127.0.0.1", port=relays.add(shape).port))
        yield


def memory_bytes(pid: int) -> int:
    """The peak of a process's resident memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def permille(values: Sequence[float], part: int) -> float:
    """The value that `part` of a thousand do not exceed (nearest rank)."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, (len(ranked) * part + 999) // 1000 - 1)]


def together(works: Sequence[Callable[[], object]]) -> None:
    """Run all at once, each on its thread, until the last has ended."""
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _child(module: str, words: Sequence[str], log: Path, before: Sequence[str] = ()) -> subprocess.Popen[str]:
    with log.open("ab") as errors:
        return subprocess.Popen(
            [*before, sys.executable, "-m", module, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )


def start(module: str, words: Sequence[str], log: Path) -> subprocess.Popen[str]:
    """A child that speaks JSON lines; its first line has been heard."""
    child = _child(module, words, log)
    hear(child)
    return child


def hear(child: subprocess.Popen[str]) -> dict[str, Any]:
    """The next line of a child."""
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line:
        raise RuntimeError(f"a child of the bench ended: {child.args!r}")
    answer: dict[str, Any] = json.loads(line)
    return answer


def end(child: subprocess.Popen[str]) -> None:
    """Close a child's input and wait for it."""
    if child.stdin is not None:
        child.stdin.close()
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
