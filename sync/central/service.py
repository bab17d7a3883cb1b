"""`vedette central run`: one process tree of broker, ingest (this process), pages, the depot's door and the asking of
witnesses.

Decided here: one centre per folder (a lock), where its ports are told (`run/ports.json`, there only while they
are served), that a dead child is started again, and that a stop ends the children before it returns. What
ingest does is ingest.py.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from pathlib import Path

from sync.central import fleet, shards, succession, to_brokers, worker
from sync.central.broker import Broker, broker_name, check_port, reachable
from sync.central.certificates import renew_own
from sync.central.children import Child, take_lock
from sync.central.cosigning import POLICY
from sync.central.cutting import Cutting
from sync.central.greeting import level
from sync.central.ingest import Ingest
from sync.central.receipts import Signer
from sync.central.store import Store
from sync.central.store_trouble import lost_when_not_written
from vedette import daemon, files, topics
from vedette.clock import Clock, SystemClock
from vedette.config import CentralConfig
from vedette.errors import Usage, VedetteError
from vedette.keys import SigningKey

PORTS = "ports.json"
WEB_ADDRESS = "web.json"
TEND_US = 200_000
STATUS_US = 1_000_000

_log = logging.getLogger("vedette.central")


class Central:
    """The running centre: tends its children and steps ingest; `close` ends all of it."""

    name = "central"

    def __init__(self, config: CentralConfig, clock: Clock) -> None:
        """Take the folder's lock and start broker and pages; `Refused` when another centre has it or a port is busy."""
        self._config = config
        self._lock = take_lock(config.run)
        self._clock = clock
        self._tend_at_us = 0
        self._status_at_us = 0
        self._ports: dict[str, int] = {}
        (config.run / PORTS).unlink(missing_ok=True)
        self._store = Store(config.data, clock)
        succession.write_trusted(config.keys, clock.utc_us())
        fleet.write_revocations(self._store)
        renewed = renew_own(config.keys, config.broker.host, fleet.CENTRE_ID, clock.utc_us())
        if renewed:
            _log.info("renewed the centre's certificates: %s", ", ".join(renewed))
        self._web = Child(
            "web", [sys.executable, "-m", "sync.central.web", "--config", str(config.data / fleet.CONFIG)], config.run
        )
        self._web.end_orphan()
        (config.run / WEB_ADDRESS).unlink(missing_ok=True)
        check_port("web", config.web.host, config.web.port)
        if config.broker.mqtt != "5" and config.ingest.workers > 1:
            raise Usage(f"[ingest] workers: MQTT {config.broker.mqtt} shares no subscriptions; leave it at 1")
        self._addresses = shards.addresses(config)
        self._brokers = self._start_brokers()
        self._web.start(clock.mono_us())
        self._witnesses = Child(
            "witnesses",
            [sys.executable, "-m", "sync.central.cosigning", "--config", str(config.data / fleet.CONFIG)],
            config.run,
        )
        self._witnesses.end_orphan()
        door = [sys.executable, "-m", "sync.central.depot", "--config", str(config.data / fleet.CONFIG)]
        self._depot = Child("depot", door, config.run)
        self._depot.end_orphan()
        if config.depot.enabled:
            check_port("depot", config.depot.host, config.depot.port)
            self._depot.start(clock.mono_us())
        if (config.data / POLICY).exists():
            self._witnesses.start(clock.mono_us())
        signer = Signer(origin=config.central.origin, key=SigningKey.load(config.keys / "centre.pem"))
        self._workers = self._start_workers()
        heard = topics.worker_subscriptions(fleet.CENTRE_ID)
        link = to_brokers.link(
            config, clock, identity=fleet.CENTRE_ID, key=config.keys / "ingest.key", subscriptions=heard
        )
        self._ingest = Ingest(self._store, link, signer, config.ingest)
        self._cutting = Cutting(
            self._store, [(reachable(host), port) for host, port in self._addresses], level(config.broker.mqtt)
        )

    def step(self, now_us: int) -> float:
        """One round of ingest; children and files now and then."""
        if now_us >= self._tend_at_us:
            self._tend_at_us = now_us + TEND_US
            self._tend(now_us)
        if now_us >= self._status_at_us:
            self._status_at_us = now_us + STATUS_US
            daemon.write_status(self._config.run, self.name, self._ingest.counters)
        return self._ingest.step(now_us)

    def close(self) -> None:
        """End pages, ingest and broker, in this order; unfinished uploads rest on the disk."""
        (self._config.run / PORTS).unlink(missing_ok=True)
        self._witnesses.stop()
        self._depot.stop()
        for child in self._workers:
            child.stop()
        self._web.stop()
        self._ingest.close()
        for broker in self._brokers:
            broker.stop()
        self._store.close()
        self._lock.close()

    def _start_brokers(self) -> list[Broker]:
        config = self._config.broker
        brokers: list[Broker] = []
        if not config.embedded:
            return brokers
        queue_bytes = 2 * self._config.ingest.credit_mib << 20
        try:
            for number, (host, port) in enumerate(self._addresses):
                name = broker_name(number)
                brokers.append(Broker(self._config.data, host, port, queue_bytes=queue_bytes, name=name))
                brokers[-1].start(self._clock.mono_us())
        except VedetteError:
            for broker in brokers:
                broker.stop()
            raise
        return brokers

    def _start_workers(self) -> list[Child]:
        """The ingest workers beside this one."""
        children = []
        for name in worker.names(self._config.ingest.workers):
            worker.issue(self._config.keys, name, self._clock.utc_us())
            words = ["-m", "sync.central.worker", "--config", str(self._config.data / fleet.CONFIG), "--name", name]
            children.append(Child(name, [sys.executable, *words], self._config.run))
            children[-1].start(self._clock.mono_us())
        return children

    def _tend(self, now_us: int) -> None:
        for broker in self._brokers:
            broker.tend(now_us)
        self._cutting.heard(self._ingest.turned_away(), now_us)
        with lost_when_not_written():  # a database that is away is asked again; the sessions and the broker stay
            self._cutting.step(now_us)
        self._web.tend(now_us)
        self._witnesses.tend(now_us)
        self._depot.tend(now_us)
        for child in self._workers:
            child.tend(now_us)
        ports = {"broker": self._addresses[0][1]}
        web = _web_port(self._config.run, self._web.pid)
        if web is not None:
            ports["web"] = web
        if ports != self._ports:
            with contextlib.suppress(OSError):  # a full disk; it is tried again
                files.replace(self._config.run / PORTS, json.dumps(ports, sort_keys=True).encode())
                self._ports = ports
                _log.info("broker on port %s, pages at %s", ports.get("broker"), _page(self._config.run))


def run(config: CentralConfig) -> int:
    """Run the centre until SIGTERM; the process's exit code."""
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    clock = SystemClock()
    return daemon.run(Central(config, clock), clock=clock)


def _page(run: Path) -> str:
    try:
        return str(json.loads((run / WEB_ADDRESS).read_bytes())["url"])
    except (OSError, ValueError, KeyError):
        return "no address yet"


def _web_port(run: Path, pid: int | None) -> int | None:
    try:
        address = json.loads((run / WEB_ADDRESS).read_bytes())
    except (OSError, ValueError):
        return None
    return int(address["port"]) if address.get("pid") == pid else None
