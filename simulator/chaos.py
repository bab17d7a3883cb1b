"""`kill -9`, at random moments, of everything that moves evidence, and cut links; then a count of what is missing.

Decided here: which processes are killed how often (uplink, broker, ingest with its whole process tree, keeper, the
database where it is a server of its own, two at once now and then), what is sent meanwhile, and what counts as a loss:
an item that left the device, or has a receipt there, and is not at the centre with the same bytes, a receipt that holds
and one leaf in the log. The only help there is comes from a supervisor that starts dead processes again, as systemd
does. The seed fixes victims, pauses and sizes; where in a process a kill falls is the machine's own chance.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

from simulator.chaos_account import Account, account_for
from simulator.database import Database
from simulator.freight import Loader, Packed
from simulator.processes import Process
from simulator.relay import Relay, Relays
from simulator.stage import Scene, Stage, vedette
from sync.central.device_toml import with_uplink
from vedette import spool
from vedette.errors import Refused

VICTIMS = {"uplink": 9, "broker": 6, "centre": 4, "keeper": 2}
DATABASE = {"database": 5}
KEPT_WAITING = 8
MOST_SEGMENT_BYTES = 3 << 20
HIT_SHARE = 0.3
MEAN_PAUSE_S = 0.7
BREATH_S = 4.0
DRAIN_WITHIN_S = 1800.0
RESTART_AFTER_S = 0.2
START_WITHIN_S = 60.0
LIST = "plate,region,reason,priority,source,valid_from,valid_to\n"


@dataclass(kw_only=True, slots=True)
class Tally:
    """What was done and what came of it."""

    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    cuts: int = 0
    mutes: int = 0
    own_deaths: Counter[str] = field(default_factory=Counter)
    items: int = 0
    bytes: int = 0
    seconds: float = 0.0
    account: Account = field(default_factory=Account)

    @property
    def ok(self) -> bool:
        """Nothing lost, nothing twice, nothing that a person must look at."""
        return self.account.ok


class Chaos:
    """One centre, one device and a link between them, under fire; and the centre's database, where it has one."""

    def __init__(
        self, stage: Stage, link: Relay, chance: random.Random, tally: Tally, database: Database | None = None
    ) -> None:
        self._stage, self._link, self._chance, self._tally = stage, link, chance, tally
        self._database = database
        self._weights = VICTIMS if database is None else VICTIMS | DATABASE
        self._loader = Loader(stage.device / "device.toml")
        self._dead_since: dict[str, float] = {}
        self.made: list[Packed] = []

    def fire(self, kills: int, progress: Callable[[str], None]) -> None:
        """Kill until so many processes were killed."""
        while (done := self._tally.kills.total()) < kills:
            self._load()
            self._rest(self._pause_s())
            self._disturb()
            for victim in self._victims():
                if self._kill(victim):
                    self._tally.kills[victim] += 1
            progress(f"{done} of {kills} kills, {len(self.made)} items, {self._waiting()} wait")

    def drain(self, progress: Callable[[str], None]) -> None:
        """Leave all in peace until everything has left the device; `Refused` when it does not."""
        self._link.unmute()
        until = time.monotonic() + DRAIN_WITHIN_S
        while waiting := self._waiting():
            if time.monotonic() > until:
                raise Refused(f"{waiting} items are on the device {DRAIN_WITHIN_S:.0f} s after the last kill")
            self._rest(0.5)
            progress(f"draining: {waiting} wait")

    def _load(self) -> None:
        """Keep work waiting: segments of every size and hits."""
        for _ in range(KEPT_WAITING - self._waiting()):
            if self._chance.random() < HIT_SHARE:
                packed = self._loader.put_hit()
            else:
                size = int(MOST_SEGMENT_BYTES ** self._chance.uniform(0.3, 1.0))
                packed = self._loader.put(size, priority=self._chance.choice((3, 4)))
            self.made.append(packed)
            self._tally.items += 1
            self._tally.bytes += packed.size

    def _waiting(self) -> int:
        mine = {packed.item for packed in self.made}
        return sum(1 for _kind, item, _path in spool.item_ids(self._loader.config.spool) if item in mine)

    def _pause_s(self) -> float:
        """Mostly in the middle of something; now and then long enough to get something through."""
        if self._chance.random() < 0.1:
            return self._chance.uniform(0.5, 1.0) * BREATH_S
        return min(self._chance.expovariate(1 / MEAN_PAUSE_S), BREATH_S)

    def _victims(self) -> list[str]:
        count = 2 if self._chance.random() < 0.15 else 1
        return sorted(set(self._chance.choices(list(self._weights), list(self._weights.values()), k=count)))

    def _disturb(self) -> None:
        dice = self._chance.random()
        if dice < 0.15:
            self._link.cut()
            self._tally.cuts += 1
        elif dice < 0.2:
            self._link.mute()
            self._tally.mutes += 1
        else:
            self._link.unmute()

    def _kill(self, name: str) -> bool:
        """Whether there was something to kill."""
        if name == "broker":
            return _kill_broker(self._stage.central / "run" / "broker.pid.json")
        process = self._process(name)
        if not process.running:
            return False
        process.kill()
        self._dead_since[name] = time.monotonic()
        return True

    def _process(self, name: str) -> Process | Database:
        if name == "database" and self._database is not None:
            return self._database
        return self._stage.centre if name == "centre" else self._stage.services[name]

    def _rest(self, seconds: float) -> None:
        """Wait, and start again what is dead."""
        until = time.monotonic() + seconds
        while True:
            for name in self._weights.keys() - {"broker"}:
                self._revive(name)
            left_s = until - time.monotonic()
            if left_s <= 0:
                return
            time.sleep(min(left_s, 0.05))

    def _revive(self, name: str) -> None:
        process = self._process(name)
        if process.running:
            return
        now = time.monotonic()
        if name not in self._dead_since:
            self._tally.own_deaths[name] += 1
            self._dead_since[name] = now
        if now - self._dead_since[name] >= RESTART_AFTER_S:
            del self._dead_since[name]
            process.start()


def run(
    folder: Path,
    *,
    seed: int,
    kills: int,
    progress: Callable[[str], None] = lambda _text: None,
    on_postgres: bool = False,
) -> Tally:
    """Make a centre and a device in `folder`, kill `kills` processes, wait until all is through, and count.

    `on_postgres`: the centre's rows are in a PostgreSQL, which is killed as well; `NotFound` where there is none.
    """
    tally, began = Tally(seed=seed), time.monotonic()
    with Database() if on_postgres else nullcontext() as database:
        with _staged(folder, database) as (stage, link):
            chaos = Chaos(stage, link, random.Random(seed), tally, database)
            chaos.fire(kills, progress)
            chaos.drain(progress)
            made = chaos.made
        tally.account = account_for(stage.central, made, database)
    tally.seconds = time.monotonic() - began
    return tally


@contextmanager
def _staged(folder: Path, database: Database | None) -> Iterator[tuple[Stage, Relay]]:
    scene = Scene(device="car-1", camera={}, board={}, recorder={}, watchlist_csv=LIST)
    stage = Stage(folder, scene)
    try:
        stage.prepare()
        if database is not None:
            with (stage.central / "central.toml").open("a") as config:
                config.write(f'\n[store]\nurl = "{database.url}"\n')
            vedette("central", "move", stage.central)
        stage.start_centre()
        with Relays("127.0.0.1", stage.ports()["broker"]) as relays:
            link = relays.add()
            path = stage.device / "device.toml"
            path.write_text(with_uplink(path.read_text(), host="127.0.0.1", port=link.port))
            for name in ("uplink", "keeper"):
                stage.services[name].start()
            yield stage, link
            # The last journals are no one's loss; what is asked for is that each process ends as it is told.
            stage.close()
    finally:
        with suppress(Refused):
            stage.close()


def _kill_broker(pid_file: Path) -> bool:
    """Kill the centre's own broker; False while it has none."""
    try:
        pid = int(json.loads(pid_file.read_text())["pid"])
        if b"mosquitto" not in Path(f"/proc/{pid}/cmdline").read_bytes():
            return False
        os.kill(pid, signal.SIGKILL)
    except (OSError, ValueError, KeyError):
        return False
    return True
