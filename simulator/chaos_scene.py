"""Where the chaos trial plays: a centre with its workers and its depot's door, cars with uplink and keeper, and links.

Decided here: the folders and what their configuration says; that every car reaches the broker, and a parked one the
door, by a link of its own; which process is whose child. A child of the centre is killed by the id in the centre's own
file, and only while the process of that id is the one that began when the file says; everything else is our own child.
Waits are counted in looks, not in seconds, so that one who stops this whole trial for minutes breaks nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from simulator import chaos_plan
from simulator.chaos_plan import BROKER, CENTRE, DATABASE, DOOR, KEEPER, UPLINK, Freight, of_car
from simulator.database import Database
from simulator.freight import Loader, Packed
from simulator.processes import Process
from simulator.relay import Relay, Relays
from simulator.stage import MEMORY, empty, vedette
from sync.central.children import process_start
from sync.central.device_toml import with_uplink
from sync.central.worker import names
from vedette import spool
from vedette.errors import Refused
from vedette.records import PRIORITY_BULK, PRIORITY_HIT

LOOK_S = 0.1
READY_LOOKS = 3000
END_WITHIN_S = 600.0
LAST_LINES = 8
WEB = "web"
PARKED_EVERY = 3
MAX_DEVICES = 32
HOST = "127.0.0.1"
STORED = b"vedette.ingest: stored "
LIST = "plate,region,reason,priority,source,valid_from,valid_to\n"

Identity = tuple[int, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cast:
    """How many cars, of which the first of every three is parked, how many ingest workers, and where the rows are."""

    devices: int = 3
    workers: int = 2
    on_postgres: bool = False

    @property
    def cars(self) -> tuple[str, ...]:
        """The devices' ids."""
        return tuple(f"car-{number}" for number in range(1, self.devices + 1))

    @property
    def children(self) -> tuple[str, ...]:
        """The processes that the centre starts again itself."""
        return (BROKER, DOOR, *names(self.workers))

    @property
    def shares(self) -> dict[str, float]:
        """Whom the trial kills, and how often in proportion."""
        return chaos_plan.cast(self.cars, names(self.workers), database=self.on_postgres)


@dataclass(kw_only=True, slots=True)
class Car:
    """A device without a camera: its spool, and what was put there."""

    name: str
    folder: Path
    loader: Loader
    freight: Iterator[Freight]
    made: list[Packed] = field(default_factory=list)
    bulk: set[str] = field(default_factory=set)

    def put(self) -> Packed:
        """Commit the next item of its freight."""
        load = next(self.freight)
        is_hit = load.priority == PRIORITY_HIT
        packed = self.loader.put_hit() if is_hit else self.loader.put(load.size, priority=load.priority)
        self.made.append(packed)
        self.bulk |= {packed.item} if load.priority == PRIORITY_BULK else set()
        return packed

    def waiting(self) -> list[str]:
        """The items that are on the device still, of those that were put there."""
        mine = {packed.item for packed in self.made}
        return [item for _kind, item, _path in spool.item_ids(self.loader.config.spool) if item in mine]


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """One link of a car: to the broker, or to the depot's door, which takes bulk only."""

    car: Car
    link: Relay
    is_to_door: bool

    def waiting(self) -> list[str]:
        """The items that are on the car still and may go this way."""
        return [item for item in self.car.waiting() if not self.is_to_door or item in self.car.bulk]


class Scene:
    """The parts, running; `own` are those that the trial itself must start again, `children` the centre's.

    `watched`: the centre's children that it must not lose by themselves, whether they are killed here or not.
    """

    def __init__(self, folder: Path, cast: Cast, seed: int, memory: Path) -> None:
        self.folder = folder
        self.central = folder / "central"
        self.children = cast.children
        self.watched: tuple[str, ...] = (*cast.children, WEB)
        self.own: dict[str, Process | Database] = {}
        self.cars: list[Car] = []
        self.ways: list[Way] = []
        self._seed = seed
        self._memory = memory

    @property
    def centre(self) -> Process:
        """The centre's own process, which ingests and is the parent of its children."""
        found = self.own[CENTRE]
        assert isinstance(found, Process)
        return found

    def child(self, name: str) -> Identity | None:
        """The centre's child of that name, if it lives: its process id and what tells it from a later one."""
        try:
            said = json.loads((self.central / "run" / f"{name}.pid.json").read_bytes())
            found = int(said["pid"]), str(said["started"])
        except (OSError, ValueError, KeyError):
            return None
        return found if found[1] and process_start(found[0]) == found[1] else None

    def child_of_centre(self, name: str) -> Identity | None:
        """As `child`, if it is one of the centre that runs now."""
        found = self.child(name)
        return found if found is not None and parent_of(found[0]) == self.centre.pid else None

    def last_words(self, name: str) -> str:
        """The last lines of the log of a process, of the trial's own or of the centre's."""
        if name in self.own:
            return self.own[name].last_words()
        try:
            text = (self.central / "run" / f"{name}.log").read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-LAST_LINES:])

    def kill_child(self, name: str) -> Identity | None:
        """`kill -9` of that child, and no other process; which it was, None while there is none."""
        found = self.child(name)
        if found is None:
            return None
        try:
            handle = os.pidfd_open(found[0])
        except ProcessLookupError:
            return None
        try:
            if process_start(found[0]) != found[1]:
                return None
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        except ProcessLookupError:
            return None
        finally:
            os.close(handle)
        return found

    def stop(self) -> list[str]:
        """End all in order, cars first; what did not end as it was told."""
        found = []
        for name, process in reversed(self.own.items()):
            if not isinstance(process, Process):
                continue
            try:
                code = process.stop(END_WITHIN_S)
            except Refused as error:
                found.append(str(error))
            else:
                found += [f"{name} ended with {code}"] if code not in (0, -signal.SIGTERM) else []
        return found

    def start_centre(self) -> int:
        """Start it; the port of its broker, once broker and pages are there."""
        command = ["central", "run", "--config", str(self.central / "central.toml")]
        self.own[CENTRE] = self._process(CENTRE, command, CENTRE)
        _wait("the centre to listen", self.centre, lambda: {"broker", "web"} <= _ports(self.central).keys())
        return _ports(self.central)["broker"]

    def start_car(self, name: str, *, link: Relay, door: Relay | None) -> None:
        """Enrol a car whose broker, and whose depot's door if it is parked, are at its own links, and start it."""
        path, memory = self.folder / name / "device.toml", self._memory / name
        memory.mkdir()
        vedette("device", "init", path.parent, "--id", name)
        text = f'[device]\nid = "{name}"\ndata = "."\nrun = "{memory}"\n\n[motion]\nsensor = "none"\n\n[uplink]\n'
        path.write_text(text if door is None else f'{text}depot_host = "{HOST}"\ndepot_port = {door.port}\n')
        vedette("central", "enrol", self.central, name, "--device", path.parent)
        path.write_text(with_uplink(path.read_text(), host=HOST, port=link.port))
        freight = chaos_plan.freight(self._seed, name, parked=door is not None)
        self.cars.append(Car(name=name, folder=path.parent, loader=Loader(path), freight=freight))
        self.ways.append(Way(car=self.cars[-1], link=link, is_to_door=False))
        self.ways += [] if door is None else [Way(car=self.cars[-1], link=door, is_to_door=True)]
        for service, words in ((UPLINK, ["uplink", "run"]), (KEEPER, ["device", "run", KEEPER])):
            command = [*words, "--config", str(path)]
            self.own[of_car(name, service)] = self._process(service, command, f"{name}-{service}")

    def stored_by(self) -> dict[str, int]:
        """How many items each process of the centre says it stored: which ways were used, and no proof of anything."""
        run = self.central / "run"
        logs = {CENTRE: [self._log(CENTRE)]} | {
            name: [run / f"{name}.log.1", run / f"{name}.log"] for name in self.children if name != BROKER
        }
        return {
            name: sum(path.read_bytes().count(STORED) for path in paths if path.is_file())
            for name, paths in logs.items()
        }

    def _process(self, name: str, command: list[str], log: str) -> Process:
        found = Process(name, command, self._log(log))
        found.start()
        return found

    def _log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"


@contextmanager
def play(folder: Path, cast: Cast, seed: int, database: Database | None) -> Iterator[Scene]:
    """Make everything in `folder`, which must be new, empty or a demo's, and run it until the end of the `with`."""
    empty(folder)
    (folder / "logs").mkdir()
    door_port = _make_centre(folder, cast, database)
    with ExitStack() as stack:
        memory = Path(tempfile.mkdtemp(prefix="vedette-chaos-", dir=MEMORY))
        stack.callback(shutil.rmtree, memory, ignore_errors=True)
        scene = Scene(folder, cast, seed, memory)
        stack.callback(scene.stop)
        if database is not None:
            scene.own[DATABASE] = database
        to_broker = stack.enter_context(Relays(HOST, scene.start_centre()))
        to_door = stack.enter_context(Relays(HOST, door_port))
        for number, name in enumerate(cast.cars):
            parked = number % PARKED_EVERY == 0
            scene.start_car(name, link=to_broker.add(), door=to_door.add() if parked else None)
        vedette("watchlist", "publish", scene.central)
        yield scene


def _make_centre(folder: Path, cast: Cast, database: Database | None) -> int:
    """The centre in `folder`, not running; the port of its door, which stays the same however often it dies."""
    central = folder / "central"
    vedette("central", "init", central, "--keys", folder / "escrow", "--origin", "vedette.demo/log")
    with socket.create_server((HOST, 0)) as probe:
        port = int(probe.getsockname()[1])
    text = f"\n[depot]\nenabled = true\nport = {port}\n\n[ingest]\nworkers = {cast.workers}\n"
    if database is not None:
        text += f'\n[store]\nurl = "{database.url}"\n'
    with (central / "central.toml").open("a") as config:
        config.write(text)
    if database is not None:
        vedette("central", "move", central)
    csv = folder / "watchlist.csv"
    csv.write_text(LIST, encoding="utf-8")
    vedette("watchlist", "import", central, csv)
    return port


def parent_of(pid: int) -> int:
    """The process id of the parent; 0 where there is no such process."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _ports(central: Path) -> dict[str, int]:
    try:
        found = json.loads((central / "run" / "ports.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _wait(what: str, process: Process, ready: Callable[[], bool]) -> None:
    for _ in range(READY_LOOKS):
        if ready():
            return
        if not process.running:
            break
        time.sleep(LOOK_S)
    raise Refused(f"waited for {what} in vain; {process.name} said last:\n{process.last_words()}")
