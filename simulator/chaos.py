"""`kill -9`, at random moments, of everything that moves evidence, and cut links; then a count of what is missing.

Decided here: who starts what is dead again, when the trial is over, and what counts as a loss: an item that left its
device, or has a receipt there, and is not at the centre with the same bytes, a receipt that holds and one leaf in the
log. The only help there is comes from a supervisor that starts dead processes again, as systemd does. Whom a blow hits
is `chaos_plan`, what there is to hit `chaos_scene`, what is counted at the end `chaos_account`, and who may end though
nobody killed it `chaos_deaths`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from simulator import chaos_plan, chaos_scene
from simulator.chaos_account import Account, account_for
from simulator.chaos_deaths import Death
from simulator.chaos_plan import CENTRE, DATABASE, Strike, Trouble
from simulator.chaos_scene import Car, Cast, Identity, Scene, Way
from simulator.database import Database
from simulator.freight import Packed
from sync.outbox import refused_items

KEPT_WAITING = 4
DRAIN_LOOKS = 3600
DRAIN_LOOK_S = 0.5
REST_LOOK_S = 0.05
BREATH_LOOKS = 1200
RESTART_AFTER_S = 0.2


@dataclass(kw_only=True, slots=True)
class Tally:
    """What was done and what came of it.

    `stuck`: what a person would have to mend when all was left in peace. `own_deaths`: who ended by itself, and how
    often; `deaths`: those that should not have. `stored_by`: which process took how many in.
    """

    seed: int
    cast: Cast
    kills: Counter[str] = field(default_factory=Counter)
    cuts: int = 0
    mutes: int = 0
    own_deaths: Counter[str] = field(default_factory=Counter)
    deaths: list[str] = field(default_factory=list)
    stored_by: dict[str, int] = field(default_factory=dict)
    items: int = 0
    bytes: int = 0
    seconds: float = 0.0
    stuck: list[str] = field(default_factory=list)
    account: Account = field(default_factory=Account)

    @property
    def ok(self) -> bool:
        """Nothing lost, nothing twice, nothing that a person must look at, and nobody ended who should not have."""
        return self.account.ok and not self.stuck and not self.deaths


class Chaos:
    """The scene under fire, and its supervisor."""

    def __init__(self, scene: Scene, plan: Iterator[Strike], tally: Tally) -> None:
        self._scene, self._plan, self._tally = scene, plan, tally
        self._dead_since: dict[str, float] = {}
        self._children: dict[str, tuple[Identity, int]] = {}
        self._killed: set[Identity] = set()
        self._database_away_at: float | None = None

    def fire(self, kills: int, progress: Callable[[str], None]) -> None:
        """Kill until so many processes were killed."""
        while (done := self._tally.kills.total()) < kills:
            for car in self._scene.cars:
                self._load(car)
            strike = next(self._plan)
            way = self._scene.ways[strike.link]
            self._rest(strike.pause_s)
            if strike.breath:
                self._breathe(way)
            self._disturb(way, strike.trouble)
            for victim in strike.victims:
                if self._kill(victim):
                    self._tally.kills[victim] += 1
            progress(f"{done} of {kills} kills, {self._tally.items} items, {len(self._waiting())} wait")

    def drain(self, progress: Callable[[str], None]) -> None:
        """Leave all in peace until everything has left its device; `tally.stuck` says what does not."""
        self._unmute()
        for _ in range(DRAIN_LOOKS):
            if not (waiting := self._waiting()):
                return
            self._rest(DRAIN_LOOK_S)
            progress(f"draining: {len(waiting)} wait")
        for car in self._scene.cars:
            refused = {one.item_id: f": {one.refused}, {one.why}" for one in refused_items(car.folder / "outbox.db")}
            self._tally.stuck += [f"item {one} is on {car.name} still{refused.get(one, '')}" for one in car.waiting()]

    def _load(self, car: Car) -> None:
        """Keep work waiting: segments of every size and hits."""
        for _ in range(KEPT_WAITING - len(car.waiting())):
            packed = car.put()
            self._tally.items += 1
            self._tally.bytes += packed.size

    def _breathe(self, way: Way) -> None:
        """Wait until an item that may go that way has left its car; not for ever, as what is silent stays so."""
        before = len(way.waiting())
        for _ in range(BREATH_LOOKS):
            if not before or len(way.waiting()) < before:
                return
            self._rest(REST_LOOK_S)

    def _waiting(self) -> list[str]:
        return [item for car in self._scene.cars for item in car.waiting()]

    def _disturb(self, way: Way, trouble: Trouble) -> None:
        if trouble == "cut":
            way.link.cut()
            self._tally.cuts += 1
        elif trouble == "mute":
            way.link.mute()
            self._tally.mutes += 1
        else:
            self._unmute()

    def _unmute(self) -> None:
        for way in self._scene.ways:
            way.link.unmute()

    def _kill(self, name: str) -> bool:
        """Whether there was something to kill."""
        if name in self._scene.children:
            killed = self._scene.kill_child(name)
            self._killed |= set() if killed is None else {killed}
            return killed is not None
        process = self._scene.own[name]
        if not process.running:
            return False
        process.kill()
        self._dead_since[name] = time.monotonic()
        return True

    def _rest(self, seconds: float) -> None:
        """Wait, and start again what is dead."""
        until = time.monotonic() + seconds
        while True:
            if DATABASE in self._scene.own and not self._scene.own[DATABASE].running:
                self._database_away_at = time.monotonic()
            for name in self._scene.own:
                self._revive(name)
            for name in self._scene.watched:
                self._look_at(name)
            left_s = until - time.monotonic()
            if left_s <= 0:
                return
            time.sleep(min(left_s, REST_LOOK_S))

    def _revive(self, name: str) -> None:
        process = self._scene.own[name]
        if process.running:
            return
        now = time.monotonic()
        if name not in self._dead_since:
            self._note_death(name)
            self._dead_since[name] = now
        if now - self._dead_since[name] >= RESTART_AFTER_S:
            del self._dead_since[name]
            process.start()

    def _look_at(self, name: str) -> None:
        """Count a child of the centre that ended by itself: there is another now, and the centre is the same.

        What a dead centre has left is no child of the next: it may live on for a moment.
        """
        found = self._scene.child_of_centre(name)
        if found is None:
            return
        centre = self._scene.centre.pid
        before, of_centre = self._children.get(name, (found, centre))
        if before != found and of_centre == centre and before not in self._killed:
            self._note_death(name)
        self._children[name] = found, centre

    def _note_death(self, name: str) -> None:
        self._tally.own_deaths[name] += 1
        death = Death(name=name, words=self._scene.last_words(name))
        away_at, is_of_centre = self._database_away_at, name in (CENTRE, *self._scene.watched)
        away_s = None if away_at is None else time.monotonic() - away_at
        if not death.may_be(is_of_centre=is_of_centre, database_away_s=away_s):
            self._tally.deaths.append(death.text)


def run(
    folder: Path,
    *,
    seed: int,
    kills: int,
    cast: Cast | None = None,
    progress: Callable[[str], None] = lambda _text: None,
) -> Tally:
    """Play `cast` in `folder`, kill `kills` processes, wait until all is through, and count.

    Where the rows are in a PostgreSQL it is killed as well; `NotFound` where there is none on this machine.
    """
    cast = Cast() if cast is None else cast
    tally, began = Tally(seed=seed, cast=cast), time.monotonic()
    made: list[Packed] = []
    with Database() if cast.on_postgres else nullcontext() as database:
        with chaos_scene.play(folder, cast, seed, database) as scene:
            chaos = Chaos(scene, chaos_plan.strikes(seed, cast.shares, len(scene.ways)), tally)
            chaos.fire(kills, progress)
            chaos.drain(progress)
            # The last journals are no one's loss; what is asked for is that each process ends as it is told.
            tally.stuck += scene.stop()
            tally.stored_by = scene.stored_by()
            made = [packed for car in scene.cars for packed in car.made]
        tally.account = account_for(folder / "central", made, database)
    tally.seconds = time.monotonic() - began
    return tally
