"""A stage: one central store and one vehicle on this machine, made and run by the same commands a person types.

Decided here: which folders there are, in which order things are made and started, and what a restart means. What is
driven, shown and counted is `demo` and `report`.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.accelerometer import FOLDER
from simulator.demo_command import USER
from simulator.processes import Process
from vedette import cli, files
from vedette.clock import SystemClock
from vedette.daemon import read_status
from vedette.errors import NotFound, Refused

MARKER = ".vedette-demo"
MEMORY = Path("/dev/shm")
READY_WITHIN_S = 60.0
MOST_RESTARTS = 10
ON_START = "on-start"
START_AFTER_US = 5_000_000
SERVICES = ("uplink", "keeper", "reader", "recorder", "panel", "position")


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """What the vehicle's camera sees and how it is set: sections of `device.toml`, and the list it gets."""

    device: str
    camera: dict[str, Any]
    board: dict[str, Any]
    recorder: dict[str, Any]
    watchlist_csv: str


def vedette(*words: str | Path, typed: str | None = None) -> str:
    """Run one `vedette` command in this process; what it printed, or `Refused` with what it said."""
    said, complained = io.StringIO(), io.StringIO()
    typing = _typing(typed) if typed is not None else contextlib.nullcontext()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained), typing:
        try:
            code = cli.main([str(word) for word in words])
        except SystemExit as error:
            code = int(error.code or 0)
    if code != 0:
        raise Refused(f"`vedette {' '.join(map(str, words[:2]))}` refused: {complained.getvalue().strip()}")
    return said.getvalue()


@contextlib.contextmanager
def _typing(text: str) -> Any:
    import sys

    before, sys.stdin = sys.stdin, io.StringIO(text)
    try:
        yield
    finally:
        sys.stdin = before


class Stage:
    """The folders and processes of one run; `close` stops every process and frees the memory folder."""

    def __init__(self, folder: Path, scene: Scene) -> None:
        self.folder = folder
        self.scene = scene
        self.central = folder / "central"
        self.escrow = folder / "escrow"
        self.device = folder / "vehicle"
        self.logs = folder / "logs"
        self.password = secrets.token_urlsafe(12)
        self.run = _memory_folder()
        self.centre = Process("centre", ["central", "run", "--config", self._central_toml], self.logs / "centre.log")
        config = str(self.device / "device.toml")
        self.services = {name: Process(name, _command(name, config), self.logs / f"{name}.log") for name in SERVICES}

    @property
    def _central_toml(self) -> str:
        return str(self.central / "central.toml")

    def prepare(self) -> None:
        """Make the centre, its user, the signed list and the vehicle; `Refused` over a folder that is not a demo's."""
        empty(self.folder)
        self.logs.mkdir()
        vedette("central", "init", self.central, "--keys", self.escrow, "--origin", "vedette.demo/log")
        vedette("central", "user", "add", self.central, USER, "--role", "admin", typed=f"{self.password}\n")
        vedette("device", "init", self.device, "--id", self.scene.device)
        (self.device / "device.toml").write_text(self._device_toml())
        csv = self.folder / "watchlist.csv"
        csv.write_text(self.scene.watchlist_csv, encoding="utf-8")
        vedette("watchlist", "import", self.central, csv)

    def start_centre(self) -> None:
        """Start broker, ingest and pages, then enrol the vehicle with the broker's address."""
        self.centre.start()
        self._wait("the centre to listen", lambda: bool(self.ports().get("broker")) and bool(self.ports().get("web")))
        vedette("central", "enrol", self.central, self.scene.device, "--device", self.device)
        vedette("watchlist", "publish", self.central)

    def start_device(self) -> None:
        """Start the six services; the recorder once the reader is ready, so that nothing of a short clip is missed."""
        self._set_start()
        for name in ("uplink", "keeper", "reader"):
            self.services[name].start()
        self._wait("the watchlist on the device", lambda: (self.device / "watchlist" / "current.age").is_file())
        self._wait("the reader", lambda: bool(read_status(self.run, "reader")))
        self.services["recorder"].start()
        self._wait("the recorder", lambda: bool(read_status(self.run, "recorder")))
        for name in ("panel", "position"):
            self.services[name].start()

    def tend(self) -> None:
        """Restart what died, as systemd does on a device; `Refused` when one does nothing but die."""
        for process in (self.centre, *self.services.values()):
            process.tend()
            if process.restarts > MOST_RESTARTS:
                raise Refused(f"{process.name} died {process.restarts} times; it said last: {process.last_words()}")

    def ports(self) -> dict[str, int]:
        """The ports the centre listens on now."""
        try:
            found = json.loads((self.central / "run" / "ports.json").read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def page(self) -> str:
        """The address of the centre's page."""
        return f"http://127.0.0.1:{self.ports().get('web', 0)}/"

    def close(self) -> None:
        """Stop the services, then the centre; the folders stay, the memory folder goes."""
        try:
            for name in reversed(SERVICES):
                self.services[name].stop()
            self.centre.stop()
        finally:
            shutil.rmtree(self.run, ignore_errors=True)

    def _wait(self, what: str, ready: Any) -> None:
        until = time.monotonic() + READY_WITHIN_S
        while not ready():
            if time.monotonic() > until:
                dead = [one for one in (self.centre, *self.services.values()) if one.last_words()]
                words = "\n".join(f"{one.name}: {one.last_words()}" for one in dead)
                raise Refused(f"waited {READY_WITHIN_S:.0f} s for {what}; see {self.logs}\n{words}")
            self.tend()
            time.sleep(0.1)

    def _set_start(self) -> None:
        """Tell camera and board when a drawn drive begins, so that one that restarts finds its place in it."""
        path = self.device / "device.toml"
        begins_us = SystemClock().utc_us() + START_AFTER_US
        path.write_text(path.read_text().replace(f'"{ON_START}"', f'"{begins_us}"'))

    def _device_toml(self) -> str:
        sections: dict[str, dict[str, Any]] = {
            "device": {"id": self.scene.device, "data": ".", "run": str(self.run), "zone": "Africa/Casablanca"},
            "camera": self.scene.camera,
            "recorder": {"min_free_mib": 64, **self.scene.recorder},
            "board": self.scene.board,
            # The drawn street's own, or none: what this desk's computer feels is no part of the scene.
            "motion": {"sensor": str(self.run / FOLDER) if self.scene.board.get("adapter") == "sim" else "none"},
        }
        return "\n".join(f"[{name}]\n{_toml(values)}" for name, values in sections.items())


def empty(folder: Path) -> None:
    """Make `folder` new; an earlier demo's is removed, anything else is `Refused`."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARKER).is_file():
            raise Refused(f"{folder} is not empty and not an earlier demo's; name another folder with --folder")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files.write_new(folder / MARKER, b"made by vedette sim demo; a new demo replaces this folder\n")


def _memory_folder() -> Path:
    if not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK):
        raise NotFound(f"{MEMORY} is not there or not writable; the demo keeps pictures in memory, never on the disk")
    return Path(tempfile.mkdtemp(prefix="vedette-demo-", dir=MEMORY))


def _command(name: str, config: str) -> Sequence[str]:
    if name == "uplink":
        return ["uplink", "run", "--config", config]
    return ["device", "run", name, "--config", config]


def _toml(values: dict[str, Any]) -> str:
    return "".join(f"{name} = {_toml_value(value)}\n" for name, value in values.items())


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_toml_value(inner)}" for name, inner in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)
