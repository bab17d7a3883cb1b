"""The broker's process: which Mosquitto it is, where it listens, and how it comes back."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from sync.central import mosquitto
from sync.central.broker import Broker, broker_port
from vedette.errors import Integrity, NotFound, Refused

pytestmark = [
    pytest.mark.skipif(mosquitto.find_mosquitto() is None, reason="mosquitto is not installed"),
    pytest.mark.usefixtures("program"),
]
WAIT_S = 10.0


def until(fact: Callable[[], object], wait_s: float = WAIT_S) -> bool:
    end = time.monotonic() + wait_s
    while not fact() and time.monotonic() < end:
        time.sleep(0.01)
    return bool(fact())


def test_dialect_is_the_installed_versions(program: mosquitto.Mosquitto, own_broker: Broker, centre: Any) -> None:
    """From 2.1 on the access list is the plugin's, in 2.0 there is none; test_broker.py holds in both."""
    text = (centre.folder / "broker" / "broker.conf").read_text()

    assert ("plugin_opt_acl_file" in text, "\nacl_file" in text) == (
        program.version >= (2, 1),
        program.version < (2, 1),
    )


@pytest.mark.parametrize("said", ["", "mosquitto version 1.6.12\n", "some other program 2.1"])
def test_mosquitto_is_refused_when_it_is_too_old_or_none(said: str) -> None:
    with pytest.raises(Refused, match=r"2\.0 or newer"):
        mosquitto.parse_version(said)


def test_broker_comes_back_when_it_is_killed(own_broker: Broker) -> None:
    pid = own_broker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert until(lambda: own_broker.pid is None)

    own_broker.tend(10_000_000)

    assert until(lambda: _is_open(own_broker.port))
    assert own_broker.pid not in (None, pid)


@pytest.mark.parametrize("kills", [1, 2])
def test_broker_that_is_killed_while_it_starts_is_started_again(centre: Any, kills: int) -> None:
    """The centre does not end for it: it would take all its other processes with it."""
    killed: list[int] = []

    class Hurt(Broker):
        def _answers(self) -> bool:
            if len(killed) < kills and self.pid not in (None, *killed):
                killed.append(self.pid or 0)
                os.kill(killed[-1], signal.SIGKILL)
                os.waitid(os.P_PID, killed[-1], os.WEXITED | os.WNOWAIT)
            return super()._answers()

    child = Hurt(centre.folder, "127.0.0.1", broker_port(centre.folder, "127.0.0.1", 0))

    child.start(0)

    assert len(killed) == kills
    assert child.starts == kills + 1
    assert _is_open(child.port)
    child.stop()


def test_orphan_is_ended_when_a_new_broker_starts(centre: Any, own_broker: Broker) -> None:
    orphan = own_broker.pid
    successor = Broker(centre.folder, "127.0.0.1", own_broker.port)

    successor.start(0)

    assert successor.pid not in (None, orphan)
    assert until(lambda: own_broker.pid is None)
    successor.stop()


def test_stranger_is_not_ended_when_it_has_an_old_brokers_process_id(centre: Any) -> None:
    (centre.folder / "run" / "broker.pid.json").write_text(f'{{"pid": {os.getpid()}, "started": "another boot/12"}}')
    child = Broker(centre.folder, "127.0.0.1", broker_port(centre.folder, "127.0.0.1", 0))

    child.start(0)

    child.stop()


def test_broker_is_refused_when_the_port_is_busy(centre: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]

        with pytest.raises(Refused, match=f"port {port}"):
            Broker(centre.folder, "127.0.0.1", port).start(0)


def test_broker_is_refused_when_mosquitto_does_not_start(centre: Any) -> None:
    """Its own words are in the message."""
    (centre.folder / "keys" / "server.key").write_text("no key")

    with pytest.raises(Refused, match=r"key file|Unable to load"):
        Broker(centre.folder, "127.0.0.1", broker_port(centre.folder, "127.0.0.1", 0)).start(0)


def test_broker_is_not_found_when_mosquitto_is_missing(centre: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_args, **_more: None)

    with pytest.raises(NotFound, match="apt-get install mosquitto"):
        Broker(centre.folder, "127.0.0.1", 1)


def test_port_is_refused_when_the_host_is_not_this_machine(centre: Any) -> None:
    with pytest.raises(Refused, match=r"\[broker\] cannot listen on 192\.0\.2\.1"):
        broker_port(centre.folder, "192.0.2.1", 0)


def test_port_is_no_port_when_its_file_was_damaged(centre: Any) -> None:
    (centre.folder / "broker" / "port").write_text("x\n")
    with pytest.raises(Integrity, match="holds no port"):
        broker_port(centre.folder, "127.0.0.1", 0)


def test_port_is_kept_when_it_was_chosen_once(centre: Any) -> None:
    port = broker_port(centre.folder, "127.0.0.1", 0)

    assert broker_port(centre.folder, "127.0.0.1", 0) == port
    assert broker_port(centre.folder, "127.0.0.1", 8883) == 8883


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
