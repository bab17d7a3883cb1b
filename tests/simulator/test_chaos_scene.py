"""The parts of the chaos trial that a whole run does not show: whom it may kill, what it counts, what it tells."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from simulator import chaos, chaos_scene
from simulator.chaos import Chaos, Tally
from simulator.chaos_account import account_for
from simulator.chaos_deaths import RECOVERS_S, Death
from simulator.chaos_plan import CENTRE, Strike, freight
from simulator.chaos_scene import HOST, Car, Cast, Scene, Way
from simulator.freight import Loader
from simulator.processes import Process
from simulator.relay import Relays
from simulator.specimen import new_maker
from simulator.stage import vedette
from sync.central.children import process_start
from sync.outbox import Outbox
from vedette import cli
from vedette.config import load_device
from vedette.errors import Integrity, Usage
from vedette.records import PRIORITY_BULK, peek_manifest

ROUNDS = 40
NOBODY = 2**22 + 1  # above the largest process id of Linux
NOTHING = Strike(pause_s=0.0, breath=False, link=0, trouble="", victims=())
BLOW = Strike(pause_s=0.0, breath=False, link=0, trouble="", victims=("w2",))


class Standing(Process):
    """A process of the trial's own that never dies, or has when `lives` is False; this test's unless it is told."""

    number = os.getpid()
    lives = True

    def __init__(self) -> None:
        super().__init__(CENTRE, [], Path())

    @property
    def pid(self) -> int:
        return self.number

    @property
    def running(self) -> bool:
        return self.lives

    def start(self) -> None:
        self.lives = True

    def last_words(self) -> str:
        return "Traceback (most recent call last):\nKeyError: 7"


@pytest.fixture
def begin() -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts processes that do nothing."""
    begun: list[subprocess.Popen[bytes]] = []

    def make() -> subprocess.Popen[bytes]:
        begun.append(subprocess.Popen(["sleep", "600"]))
        return begun[-1]

    yield make
    for one in begun:
        one.kill()
        one.wait()


@pytest.fixture
def car(tmp_path: Path) -> Car:
    """A device that belongs to some centre; nothing of it runs."""
    path = tmp_path / "car-1" / "device.toml"
    vedette("device", "init", path.parent, "--id", "car-1")
    load_device(path).trust.write_bytes(new_maker().trust.to_bytes())
    return Car(name="car-1", folder=path.parent, loader=Loader(path), freight=freight(1, "car-1", parked=True))


@pytest.fixture
def scene(tmp_path: Path, car: Car) -> Iterator[Scene]:
    """A centre's folder without a centre, no car, and the link of one."""
    made = Scene(tmp_path, Cast(), 1, tmp_path)
    (made.central / "run").mkdir(parents=True)
    made.children = made.watched = ("w2",)
    made.own[CENTRE] = Standing()
    with Relays(HOST, 1) as relays:
        made.ways.append(Way(car=car, link=relays.add(), is_to_door=False))
        yield made


def say(scene: Scene, pid: int, started: str | None = None) -> None:
    """What the centre leaves of its child w2."""
    said = {"pid": pid, "started": process_start(pid) if started is None else started}
    (scene.central / "run" / "w2.pid.json").write_text(json.dumps(said))


def test_a_child_of_the_centre_is_killed_by_its_own_id(
    scene: Scene, begin: Callable[[], subprocess.Popen[bytes]]
) -> None:
    child = begin()
    identity = child.pid, process_start(child.pid)
    say(scene, *identity)
    assert scene.child("w2") == scene.kill_child("w2") == identity
    assert child.wait() == -signal.SIGKILL
    assert scene.child("w2") is scene.kill_child("w2") is None


@pytest.mark.parametrize("started", ["", "another boot/1"])
def test_a_process_that_began_at_another_time_than_the_child_is_never_killed(
    scene: Scene, begin: Callable[[], subprocess.Popen[bytes]], started: str
) -> None:
    """Its id was given again."""
    stranger = begin()
    say(scene, stranger.pid, started)
    assert scene.kill_child("w2") is None
    assert stranger.poll() is None


def test_nothing_is_killed_where_there_is_no_child_or_its_file_says_nothing(scene: Scene) -> None:
    assert scene.kill_child("w2") is None
    say(scene, NOBODY, "")
    assert scene.kill_child("w2") is None
    (scene.central / "run" / "w2.pid.json").write_text("{}")
    assert scene.kill_child("w2") is None
    (scene.central / "run" / "w2.pid.json").write_text("")
    assert scene.kill_child("w2") is None


def test_a_child_that_ends_by_itself_is_counted_and_one_that_was_killed_is_not(
    scene: Scene, begin: Callable[[], subprocess.Popen[bytes]]
) -> None:
    tally = Tally(seed=1, cast=Cast())

    def plan() -> Iterator[Strike]:
        for strike, is_new in ((NOTHING, True), (NOTHING, True), (BLOW, False), (NOTHING, True), (BLOW, False)):
            if is_new:
                say(scene, begin().pid)
            yield strike

    Chaos(scene, plan(), tally).fire(2, lambda _text: None)

    assert tally.kills == {"w2": 2}
    assert tally.own_deaths == {"w2": 1}
    assert [text.splitlines()[0] for text in tally.deaths] == ["w2 ended by itself; its log ends so:"]
    assert not tally.ok


def test_children_that_end_with_their_centre_are_no_deaths_of_their_own(
    scene: Scene, begin: Callable[[], subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tally, centre = Tally(seed=1, cast=Cast()), Standing()
    scene.own[CENTRE] = centre
    monkeypatch.setattr(chaos_scene, "parent_of", lambda _pid: centre.number)

    def plan() -> Iterator[Strike]:
        for strike in (NOTHING, NOTHING, BLOW):
            centre.number += 1
            say(scene, begin().pid)
            yield strike

    Chaos(scene, plan(), tally).fire(1, lambda _text: None)

    assert (tally.own_deaths, tally.deaths) == ({}, [])


def test_child_that_outlives_its_centre_for_a_moment_is_none_of_the_next_one(
    scene: Scene, begin: Callable[[], subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for a disk, or is not tied to its parent yet, and its file names it until the next centre has one."""
    tally, centre = Tally(seed=1, cast=Cast()), Standing()
    parents: dict[int, int] = {}
    scene.own[CENTRE] = centre
    monkeypatch.setattr(chaos_scene, "parent_of", lambda pid: parents[pid])

    def child() -> None:
        pid = begin().pid
        parents[pid] = centre.number
        say(scene, pid)

    def plan() -> Iterator[Strike]:
        child()
        yield NOTHING
        centre.number += 1
        yield NOTHING
        child()
        yield NOTHING
        yield BLOW

    Chaos(scene, plan(), tally).fire(1, lambda _text: None)

    assert (tally.own_deaths, tally.deaths) == ({}, [])


def test_process_of_the_trials_own_that_ends_by_itself_is_a_fault_with_its_last_words(scene: Scene) -> None:
    tally, centre = Tally(seed=1, cast=Cast()), Standing()
    scene.own[CENTRE], scene.watched = centre, ()
    centre.lives = False

    Chaos(scene, iter(()), tally)._rest(0.0)

    assert tally.own_deaths == {CENTRE: 1}
    assert "KeyError: 7" in tally.deaths[0]
    assert not tally.ok


REFUSED = "vedette: connection to server failed: Connection refused\n\tIs the server running?"


@pytest.mark.parametrize(
    ("words", "is_of_centre", "database_away_s", "may_be"),
    [
        (REFUSED, True, 0.0, True),
        (REFUSED, True, RECOVERS_S, True),
        (REFUSED, True, RECOVERS_S + 1, False),
        (REFUSED, True, None, False),
        (REFUSED, False, 0.0, False),
        (f"Traceback (most recent call last):\n{REFUSED}", True, 0.0, False),
        ("", True, 0.0, False),
    ],
)
def test_only_a_process_that_starts_while_the_database_is_away_may_end_by_itself(
    words: str, is_of_centre: bool, database_away_s: float | None, may_be: bool
) -> None:
    death = Death(name="w2", words=words)
    assert death.may_be(is_of_centre=is_of_centre, database_away_s=database_away_s) is may_be


def test_what_does_not_leave_a_device_in_peace_is_told_with_the_reason_that_it_was_refused_for(
    scene: Scene, car: Car, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chaos, "DRAIN_LOOKS", 1)
    monkeypatch.setattr(chaos, "DRAIN_LOOK_S", 0.0)
    scene.cars.append(car)
    waits, refused = car.put(), car.put()
    outbox = Outbox(car.folder / "outbox.db", car.loader.config.spool)
    outbox.refresh(0)
    outbox.fail(refused.item, now_us=0, code="conflict", temporary=False, why="other bytes are here")
    outbox.close()
    tally = Tally(seed=1, cast=Cast())

    Chaos(scene, iter(()), tally).drain(lambda _text: None)

    assert sorted(tally.stuck) == sorted(
        [
            f"item {waits.item} is on car-1 still",
            f"item {refused.item} is on car-1 still: conflict, other bytes are here",
        ]
    )
    assert not tally.ok


def test_an_item_waits_at_the_door_only_if_it_is_bulk(scene: Scene, car: Car) -> None:
    packed = [car.put() for _ in range(30)]
    bulk = [one.item for one in packed if peek_manifest(one.record).priority == PRIORITY_BULK]
    at_broker = scene.ways[0]
    at_door = Way(car=car, link=at_broker.link, is_to_door=True)
    assert 0 < len(bulk) < len(packed)
    assert sorted(at_broker.waiting()) == sorted(one.item for one in packed)
    assert sorted(at_door.waiting()) == sorted(bulk)


def test_a_parked_cars_bulk_goes_by_the_door_and_the_others_items_by_every_worker(tmp_path: Path) -> None:
    """The trial's own scene in peace: so long as cars put items there, all ways get some."""
    cast = Cast(devices=2, workers=2)
    with chaos_scene.play(tmp_path / "stage", cast, 1, None) as scene:
        tally = Tally(seed=1, cast=cast)
        calm = Chaos(scene, iter(()), tally)
        for _ in range(ROUNDS):
            for car in scene.cars:
                car.put()
            calm.drain(lambda _text: None)
            if min(scene.stored_by().values()) > 0:
                break
        stored, stopped = scene.stored_by(), scene.stop()
        made = [packed for car in scene.cars for packed in car.made]
    assert min(stored.values()) > 0, stored
    assert set(stored) == {"centre", "w2", "depot"}
    assert (stopped, tally.stuck, tally.deaths) == ([], [], [])
    assert account_for(tmp_path / "stage" / "central", made).ok


def test_command_fails_and_names_the_process_that_ended_by_itself_with_its_last_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def played(_folder: Path, *, seed: int, kills: int, cast: Cast, **_more: object) -> Tally:
        tally = Tally(seed=seed, cast=cast)
        tally.own_deaths.update({"w2": 1, "centre": 1})
        tally.deaths.append(Death(name="w2", words="KeyError: 7").text)
        return tally

    monkeypatch.setattr(chaos, "run", played)

    assert cli.main(["sim", "chaos", "--folder", str(tmp_path / "stage")]) == Integrity.exit_code

    said = capsys.readouterr().out
    assert "1 ended by themselves that should not have" in said
    assert "1 ended, as they should, because they started while the database was away" in said
    assert "FAULT  w2 ended by itself; its log ends so:\n    KeyError: 7" in said


@pytest.mark.parametrize(
    "words", [("--kills", "0"), ("--devices", "0"), ("--devices", "33"), ("--workers", "0"), ("--workers", "10")]
)
def test_numbers_that_cannot_be_are_refused_before_anything_is_made(
    words: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["sim", "chaos", "--folder", str(tmp_path / "stage"), *words]) == Usage.exit_code
    assert words[0] in capsys.readouterr().err
    assert not (tmp_path / "stage").exists()
