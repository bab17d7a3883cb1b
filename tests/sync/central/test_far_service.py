"""The whole centre as a process on PostgreSQL and S3 while the database is away: it stays, and so do all sessions."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sync.central import mosquitto
from sync.uplink_commands import make_uplink
from vedette.clock import SystemClock
from vedette.daemon import read_status
from vedette.errors import Refused

pytestmark = pytest.mark.skipif(mosquitto.find_mosquitto() is None, reason="mosquitto is not installed")

WAIT_S = 60.0
AWAY_FOR_S = 3.0


class Whole:
    """`vedette central run` and one device's uplink, driven by this thread."""

    def __init__(self, centre: Any) -> None:
        centre.clock.jump(time.time_ns() // 1000 - centre.clock.utc_us())  # Mosquitto lives by the real clock
        self.centre, self.device = centre, centre.stranger("car-1")
        self.log = centre.folder / "run" / "test.log"
        self.process = centre.start()
        self.uplink: Any = None

    def begin(self) -> None:
        """Wait until all children work, enrol the device where the centre listens, and start its uplink."""
        run = self.centre.folder / "run"
        end = time.monotonic() + WAIT_S
        while not (self.has_pages and (run / "depot.json").is_file() and read_status(run, "w2")):
            assert self.process.poll() is None and time.monotonic() < end, self.log.read_text()
            time.sleep(0.05)
        self.place = self.device.join()
        self.uplink = make_uplink(self.place, SystemClock())

    def send(self) -> Path:
        """Put a hit into the spool; where its receipt will be."""
        item = self.device.hit()
        item.commit(self.place.spool)
        return Path(self.place.receipts / f"{item.id}.receipt")

    def drive(self, fact: Callable[[], object], within_s: float = WAIT_S) -> bool:
        end = time.monotonic() + within_s
        while not fact() and time.monotonic() < end:
            self.uplink.step(SystemClock().mono_us())
        return bool(fact())

    @property
    def has_pages(self) -> bool:
        """Broker and pages listen; the centre writes the ports of what does."""
        path = self.centre.folder / "run" / "ports.json"
        return path.is_file() and "web" in json.loads(path.read_bytes())

    @property
    def children(self) -> dict[str, int]:
        """The process ids of the centre's children."""
        paths = (self.centre.folder / "run").glob("*.pid.json")
        return {path.name: int(json.loads(path.read_bytes())["pid"]) for path in paths}

    def close(self) -> None:
        if self.uplink is not None:
            self.uplink.close()
        self.process.terminate()
        self.process.wait(WAIT_S)


@pytest.fixture
def whole(far: Any) -> Iterator[Whole]:
    with (far.folder / "central.toml").open("a") as toml:
        toml.write("\n[ingest]\nworkers = 2\n\n[depot]\nenabled = true\nport = 0\n")
    made = Whole(far)
    yield made
    made.close()


def test_centre_and_its_sessions_stay_when_the_database_is_away(whole: Whole, postgres: Any) -> None:
    """CS-5. Nothing is receipted meanwhile, nobody is cut, and all goes on by itself."""
    whole.begin()
    first = whole.send()
    assert whole.drive(first.is_file), whole.log.read_text()
    children = whole.children

    postgres.stop()
    try:
        late = whole.send()
        whole.drive(lambda: False, AWAY_FOR_S)
        stayed = whole.process.poll() is None
        kept = whole.uplink._parts.link.connected
    finally:
        postgres.start()

    assert (stayed, kept, late.is_file()) == (True, True, False), whole.log.read_text()
    assert whole.drive(late.is_file), whole.log.read_text()
    assert whole.children == children and {"broker.pid.json", "web.pid.json", "w2.pid.json"} <= set(children)


@pytest.mark.parametrize(
    "words", [("worker", "--name", "w2"), ("depot",), ("web",), ("cosigning",)], ids=lambda words: words[0]
)
def test_process_that_is_started_while_the_database_is_away_says_so_in_a_line(
    far: Any, postgres: Any, words: tuple[str, ...]
) -> None:
    """CS-5. It ends, and is started again by whoever started it; there is nothing to look into."""
    config = str(far.folder / "central.toml")
    command = [sys.executable, "-m", f"sync.central.{words[0]}", "--config", config, *words[1:]]

    postgres.stop()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
    finally:
        postgres.start()

    said = [line for line in done.stderr.splitlines() if not line.startswith("botocore.")]
    assert (done.returncode, len(said)) == (Refused.exit_code, 1), done.stderr
    assert said[0].startswith("vedette: the database on 127.0.0.1 says: ")
