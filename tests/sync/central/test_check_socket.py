"""`vedette central check` at the Unix sockets of real Mosquittos: the product's own, and ones that were left open."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ports import free_port

from sync.central import check_access, fleet, mosquitto, to_brokers
from sync.central.broker import broker_port
from sync.central.check import Broker, Finding, Verdict, audit, passed
from sync.central.check_access import ACCESS, CENTRE
from sync.central.check_session import SESSION
from sync.central.check_socket import socket_trials
from sync.central.greeting import greet_local
from sync.link import Connected, Disconnected
from vedette import cli
from vedette.clock import SystemClock
from vedette.config import CentralConfig, load_central
from vedette.errors import NotFound

pytestmark = [
    pytest.mark.skipif(mosquitto.find_mosquitto() is None, reason="mosquitto is not installed"),
    pytest.mark.usefixtures("program"),
]
WAIT_S = 20.0
HOST = "127.0.0.1"
REFUSALS = {"no-user", "password", "no-password", "device"}
EVERY = REFUSALS | {"file", "centre"}
FAR = '\n[store]\nurl = "postgresql://db.example/v"\n\n[blobs]\nurl = "s3://evidence"\n'

Change = Callable[[str], str]
Starter = Callable[..., Path]
Found = dict[str, Finding]


def without(*lines: str) -> Change:
    return lambda text: "".join(one for one in text.splitlines(keepends=True) if not one.startswith(lines))


def anonymous(text: str) -> str:
    """Whoever comes is let in; at the TLS listener a certificate still says who that is."""
    return without("allow_anonymous", "password_file")(text) + "allow_anonymous true\n"


def anonymous_as_anybody(text: str) -> str:
    """The same, and at the socket the client's id is what it says."""
    return anonymous(text.replace("use_username_as_clientid true\n", "", 1))


def config(centre: Any) -> CentralConfig:
    return load_central(centre.folder / fleet.CONFIG)


def sockets_of(centre: Any, *, is_alone: bool = True) -> Found:
    """What the audit says of the sockets, by the trial's name without the first socket's."""
    central = config(centre)
    port = broker_port(central.data, HOST, central.broker.port)
    broker = Broker.of(HOST, port, centre.folder / "keys", SystemClock())
    found = audit(broker, socket_trials(central, broker, is_alone=is_alone))
    return {one.name.removeprefix("broker-socket-"): one for one in found}


def wrong(found: Found) -> set[str]:
    return {name for name, one in found.items() if one.verdict is Verdict.WRONG}


@pytest.fixture
def start(centre: Any) -> Iterator[Starter]:
    """Starts Mosquittos that end with the test, at the socket of that name, with a configuration changed on purpose."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(change: Change = lambda text: text, *, name: str = "broker", passwords: str | None = None) -> Path:
        port = broker_port(centre.folder, HOST, 0) if name == "broker" else free_port()
        path, program = centre.folder / "broker" / f"{name}.conf", mosquitto.installed()
        mosquitto.write_configuration(centre.folder, path, program, HOST, port, 1 << 27)
        path.write_text(change(path.read_text()))
        if passwords is not None:
            path.with_name("passwords").write_text(passwords)
        started.append(subprocess.Popen([program.program, "-c", str(path)], stderr=subprocess.DEVNULL, cwd=path.parent))
        end = time.monotonic() + WAIT_S
        while not answers(path.with_suffix(".sock")) and time.monotonic() < end:
            time.sleep(0.02)
        return path.with_suffix(".sock")

    yield begin
    for one in started:
        one.terminate()
        one.wait(WAIT_S)


def answers(socket: Path) -> bool:
    try:
        greet_local(socket, "x")
    except NotFound:
        return False
    return True


def test_own_socket_passes_whole(centre: Any, start: Starter) -> None:
    """WI-71, WI-75."""
    start()

    found = sockets_of(centre)

    assert {name: one.seen for name, one in found.items() if one.verdict is not Verdict.RIGHT} == {}
    assert set(found) == EVERY
    assert {one.advice for one in found.values()} == {""}
    assert found["centre"].seen == "let in as centre"


def test_open_socket_is_found_where_all_that_comes_by_tls_is_right(
    centre: Any, start: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WI-75. Each with what to do."""
    start(anonymous)
    monkeypatch.setattr(check_access, "PLAIN_PORT", free_port())
    broker = Broker.of(HOST, broker_port(centre.folder, HOST, 0), centre.folder / "keys", SystemClock())

    by_tls = list(audit(broker, (*ACCESS, CENTRE, *SESSION)))
    found = sockets_of(centre)

    assert passed(by_tls)
    assert wrong(found) == {"password", "no-password", "device"}
    assert all("allow_anonymous false" in found[name].advice for name in wrong(found))
    assert found["password"].seen == "let in with a wrong password"
    assert not passed(list(found.values()))


def test_socket_that_asks_for_no_name_is_found(centre: Any, start: Starter) -> None:
    """WI-75."""
    start(anonymous_as_anybody)

    assert wrong(sockets_of(centre)) == REFUSALS


def test_device_with_a_password_is_found(centre: Any, start: Starter) -> None:
    """WI-75. Only that."""
    password = mosquitto.local_socket(centre.folder, "broker").password
    both = mosquitto.password_list(password)
    start(passwords=both + both.replace("centre:", "check-a:").partition("\n")[0] + "\n")

    found = sockets_of(centre)

    assert wrong(found) == {"device"}
    assert found["device"].seen == "let in with the centre's password"


def test_other_password_than_the_centres_is_found(centre: Any, start: Starter) -> None:
    """WI-75. The centre itself is kept out."""
    start(passwords=mosquitto.password_list("another"))

    found = sockets_of(centre)

    assert wrong(found) == {"centre"}
    assert found["centre"].seen.startswith("refused as centre: reason")
    assert "keys/broker.password" in found["centre"].advice


@pytest.mark.parametrize(
    ("name", "mode", "is_wrong"),
    [
        ("broker", 0o750, False),
        ("broker", 0o751, True),
        ("broker", 0o770, True),
        ("broker/broker.sock", 0o775, False),
        ("broker/broker.sock", 0o772, True),
    ],
)
def test_socket_that_others_reach_is_found(centre: Any, start: Starter, name: str, mode: int, is_wrong: bool) -> None:
    """WI-75. Nobody connects to a socket who may not write to it."""
    start()
    (centre.folder / name).chmod(mode)

    found = sockets_of(centre)

    assert wrong(found) == ({"file"} if is_wrong else set())
    assert f"{mode:04o}" in found["file"].seen


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("name", ["broker", "broker/broker.sock"])
def test_socket_of_somebody_else_is_found(centre: Any, start: Starter, name: str) -> None:
    """WI-75."""
    start()
    os.chown(centre.folder / name, 1, -1)

    found = sockets_of(centre)

    assert wrong(found) == {"file"}
    assert "is user 1's, the keys are 0's" in found["file"].seen


def test_link_in_the_sockets_place_is_found(centre: Any, start: Starter) -> None:
    """WI-75. What the broker made is elsewhere, for whoever reads there."""
    socket = start()
    socket.rename(centre.folder / "moved.sock")
    socket.symlink_to(centre.folder / "moved.sock")

    found = sockets_of(centre)

    assert wrong(found) == {"file"}
    assert "it is no socket" in found["file"].seen


def test_socket_that_is_not_there_is_no_pass(centre: Any) -> None:
    """WI-19, WI-75."""
    found = sockets_of(centre)

    assert {one.verdict for one in found.values()} == {Verdict.UNKNOWN}
    assert "nobody is to be met at" in found["no-user"].seen


def test_other_broker_that_listens_in_the_folder_is_tried_and_not_told_the_password(
    centre: Any, start: Starter
) -> None:
    """WI-75."""
    start()
    start(anonymous, name="broker-1")

    found = sockets_of(centre)

    assert wrong(found) == {f"broker-1-socket-{name}" for name in ("password", "no-password", "device")}
    assert "broker-1-socket-centre" not in found
    assert found["broker-1-socket-device"].seen == "let in with no password"


def test_file_at_which_nobody_listens_is_left_out(centre: Any, start: Starter) -> None:
    """WI-75."""
    start()
    os.mknod(centre.folder / "broker" / "left.sock", 0o140600)

    assert set(sockets_of(centre)) == EVERY


def test_every_broker_of_the_centre_is_tried(centre: Any, start: Starter) -> None:
    """WI-75."""
    path = centre.folder / fleet.CONFIG
    path.write_text(path.read_text().replace("port = 0", f'port = 0\nshards = "{HOST}:{free_port()}"', 1))
    start()
    start(name="broker-1")

    found = sockets_of(centre)

    assert set(found) == EVERY | {f"broker-1-socket-{name}" for name in EVERY}
    assert wrong(found) == set()


def test_broker_that_is_none_of_the_centres_has_no_socket(centre: Any) -> None:
    """WI-75."""
    elsewhere = Broker.of(HOST, 1, centre.folder / "keys", SystemClock())

    assert socket_trials(config(centre), elsewhere, is_alone=True) == ()


@pytest.mark.parametrize(
    ("toml", "seen"),
    [
        ("", "let in as w9"),
        ("\n[ingest]\nworkers = 8\n", "let in as w9"),
        ("\n[ingest]\nworkers = 9\n", None),
        (FAR, None),
    ],
    ids=["one worker", "eight", "all names taken", "workers elsewhere"],
)
def test_right_password_is_tried_under_a_name_that_no_worker_has(
    centre: Any, start: Starter, toml: str, seen: str | None
) -> None:
    """WI-75. The session of whoever had it would end."""
    with (centre.folder / fleet.CONFIG).open("a") as file:
        file.write(toml)
    start()

    found = sockets_of(centre, is_alone=False)

    assert (found["centre"].seen if "centre" in found else None) == seen


@pytest.mark.parametrize("change", [lambda text: text, anonymous_as_anybody], ids=["own", "left open"])
def test_ingest_keeps_its_session_while_the_socket_is_tried(centre: Any, start: Starter, change: Change) -> None:
    """WI-75."""
    start(change)
    central = config(centre)
    link = to_brokers.link(
        central, SystemClock(), identity=fleet.CENTRE_ID, key=central.keys / "ingest.key", subscriptions=("cmd/x/#",)
    )
    try:
        assert any(isinstance(event, Connected) for event in heard(link))
        sockets_of(centre, is_alone=False)
        assert not [event for event in heard(link, 0.5) if isinstance(event, Disconnected)]
        assert link.connected
    finally:
        link.close()


def heard(link: Any, most_s: float = WAIT_S) -> list[Any]:
    """What the link tells until it tells something."""
    end, events = time.monotonic() + most_s, []
    while not events and time.monotonic() < end:
        events = link.poll(0.05)
    return events


def test_command_tries_the_sockets_of_a_running_centre(centre: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """WI-75. Exit code 1 where one of them is not as it must be."""
    words = ["central", "check", str(centre.folder), "--json"]
    process = centre.start()
    try:
        end = time.monotonic() + WAIT_S
        while not answers(centre.folder / "broker" / "broker.sock") and time.monotonic() < end:
            time.sleep(0.05)
        first = cli.main(words), json.loads(capsys.readouterr().out)
        (centre.folder / "broker").chmod(0o755)
        second = cli.main(words), json.loads(capsys.readouterr().out)
    finally:
        process.terminate()
        process.wait(WAIT_S)

    sockets = {one["name"]: one["seen"] for one in first[1]["findings"] if "-socket-" in one["name"]}
    assert (first[0], first[1]["passed"]) == (0, True)
    assert set(sockets) == {f"broker-socket-{name}" for name in EVERY}
    assert sockets["broker-socket-centre"] == "let in as w9"
    assert (second[0], second[1]["passed"]) == (1, False)
    assert [one["name"] for one in second[1]["findings"] if one["verdict"] == "wrong"] == ["broker-socket-file"]
