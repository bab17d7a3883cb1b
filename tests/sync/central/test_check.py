"""`vedette central check` against real Mosquittos: the product's own configuration, and each way to get it wrong."""

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

from sync.central import check, check_access, check_commands, mosquitto
from sync.central.check import Broker, Finding, Trial, Verdict, audit, passed
from sync.central.check_access import ACCESS, CENTRE
from sync.central.check_session import SESSION
from sync.central.greeting import context_of, greet
from vedette import cli
from vedette.clock import SystemClock
from vedette.errors import Refused

pytestmark = pytest.mark.skipif(mosquitto.find_mosquitto() is None, reason="mosquitto is not installed")

WAIT_S = 15.0
QUEUE_BYTES = 1 << 27
OPEN_ACCESS = "user centre\ntopic readwrite #\npattern readwrite #\n"

Change = Callable[[str], str]


def without(line: str) -> Change:
    return lambda text: "".join(one for one in text.splitlines(keepends=True) if not one.startswith(line))


def instead(line: str, *others: str) -> Change:
    return lambda text: without(line)(text) + "".join(f"{other}\n" for other in others)


class Running:
    """One Mosquitto with a configuration that was changed on purpose."""

    def __init__(self, centre: Any, change: Change = lambda text: text, access: str | None = None) -> None:
        self.folder = centre.folder
        self.port, self.plain_port = free_port(), free_port()
        path = centre.folder / "broker" / "tried.conf"
        program = mosquitto.installed()
        mosquitto.write_configuration(centre.folder, path, program, "127.0.0.1", self.port, QUEUE_BYTES)
        path.write_text(change(path.read_text()).replace("PLAIN", str(self.plain_port)))
        if access is not None:
            (centre.folder / "broker" / "acl").write_text(access)
        self.process = subprocess.Popen([program.program, "-c", str(path)], stderr=subprocess.DEVNULL, cwd=path.parent)
        end = time.monotonic() + WAIT_S
        context = context_of(self.folder / "keys" / "ca.crt", self.folder / "keys" / "ingest.crt", self._key)
        while greet("127.0.0.1", self.port, context, "centre").code is None and time.monotonic() < end:
            time.sleep(0.05)

    @property
    def _key(self) -> Path:
        return self.folder / "keys" / "ingest.key"

    def audit(self, trials: tuple[Trial, ...] = (*ACCESS, CENTRE, *SESSION)) -> dict[str, Finding]:
        broker = Broker.of("127.0.0.1", self.port, self.folder / "keys", SystemClock())
        return {one.name: one for one in audit(broker, trials)}

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(WAIT_S)


def named(*names: str) -> tuple[Trial, ...]:
    return tuple(one for one in (*ACCESS, *SESSION) if one.name in names)


@pytest.fixture
def start(centre: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Running]]:
    """Starts Mosquittos that end with the test; the audit looks for plain MQTT on a port of the test's own."""
    started: list[Running] = []

    def begin(*arguments: Any) -> Running:
        started.append(Running(centre, *arguments))
        monkeypatch.setattr(check_access, "PLAIN_PORT", started[-1].plain_port)
        return started[-1]

    yield begin
    for one in started:
        one.stop()


@pytest.mark.parametrize("version", ["2.0", "2.1"])
def test_own_configuration_passes_whole(
    start: Any, version: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WI-2, WI-10, WI-19."""
    if version == "2.1":
        monkeypatch.setenv("PATH", f"{request.getfixturevalue('newer_mosquitto')}:{os.environ['PATH']}")

    found = start().audit()

    assert {name: one.seen for name, one in found.items() if one.verdict is not Verdict.RIGHT} == {}
    assert len(found) == len(ACCESS) + 1 + len(SESSION)
    assert {one.advice for one in found.values()} == {""}


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (instead("tls_version", "tls_version tlsv1.2"), {"tls-1.2"}),
        (without("crlfile"), {"revoked-new"}),
        (without("use_username_as_clientid"), {"client-id"}),
        (instead("max_packet_size", "max_packet_size 500000"), {"limits", "largest-part"}),
        (instead("max_inflight_messages", "max_inflight_messages 4"), {"limits"}),
        (instead("retain", "retain_available false"), {"mqtt-5", "retained"}),
        (instead("nothing", "listener PLAIN 127.0.0.1", "allow_anonymous true"), {"plain-port"}),
    ],
    ids=["old-tls", "no-crl", "free-client-id", "packets", "window", "no-retain", "plain-listener"],
)
def test_wrong_setting_is_found_and_nothing_else(start: Any, change: Change, wrong: set[str]) -> None:
    """WI-19. Each with what to do."""
    found = start(change).audit()

    assert {name for name, one in found.items() if one.verdict in (Verdict.WRONG, Verdict.UNKNOWN)} == wrong
    assert all(found[name].advice for name in wrong)
    assert not passed(list(found.values()))


def test_access_for_everybody_is_found(start: Any) -> None:
    """WI-19."""
    found = start(lambda text: text, OPEN_ACCESS).audit()

    wrong = {name for name, one in found.items() if one.verdict is Verdict.WRONG}
    assert wrong == {"publish", "dotted-id", "subscribe", "will"}


def test_clients_without_certificate_are_found(start: Any) -> None:
    """WI-19."""

    def anonymous(text: str) -> str:
        return instead("require_certificate", "require_certificate false")(
            instead("allow_anonymous", "allow_anonymous true")(
                without("use_identity_as_username")(without("use_username_as_clientid")(text))
            )
        )

    found = start(anonymous).audit(named("no-certificate", "client-id"))

    assert {one.verdict for one in found.values()} == {Verdict.WRONG}


@pytest.mark.parametrize(
    ("change", "name"),
    [
        # The user name is "CN=…", which is in no access list.
        (instead("use_identity_as_username", "use_subject_as_username true"), "own-topics"),
        # The user name is what the client says, and nothing proves it.
        (
            lambda text: instead("use_username_as_clientid", "allow_anonymous true")(
                without("allow_anonymous")(without("use_identity_as_username")(without("password_file")(text)))
            ),
            "user-name",
        ),
    ],
    ids=["whole-subject", "claimed"],
)
def test_user_name_that_is_not_the_certificates_is_found(start: Any, change: Change, name: str) -> None:
    """WI-19."""
    assert start(change).audit(named(name))[name].verdict is Verdict.WRONG


def test_what_cannot_be_tried_is_no_pass(start: Any) -> None:
    running = start()

    def fails(_broker: Broker) -> tuple[bool, str]:
        raise Refused("not today")

    trial = Trial(name="x", asked="x", advice="do y", run=fails)
    found = running.audit((trial,))

    assert (found["x"].verdict, found["x"].seen, found["x"].advice) == (Verdict.UNKNOWN, "not today", "do y")
    assert not passed([found["x"]])


def test_a_note_is_a_pass() -> None:
    trial = Trial(name="x", asked="x", advice="do y", run=lambda _broker: (False, "seen"), is_must=False)
    broker = Broker.of("127.0.0.1", 1, Path(), SystemClock())

    findings = list(check.audit(broker, (trial,)))

    assert (findings[0].verdict, findings[0].advice, passed(findings)) == (Verdict.NOTE, "do y", True)


def test_command_says_what_is_wrong_and_what_to_do(
    start: Any, centre: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """WI-19. Exit code 1, a table for people, `--json` for programs."""
    running = start(without("crlfile"))
    monkeypatch.setattr(check_commands, "is_running", lambda _run: False)
    words = ["central", "check", str(centre.folder), "--host", "127.0.0.1", "--port", str(running.port)]

    assert cli.main(words) == 1
    text = capsys.readouterr().out
    assert cli.main([*words, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)

    assert "revoked-new: give the broker keys/crl.pem" in text
    assert f"127.0.0.1:{running.port} is NOT fit as it is" in text
    assert [one["name"] for one in told["findings"] if one["verdict"] == "wrong"] == ["revoked-new"]
    assert (told["passed"], told["broker"]) == (False, f"127.0.0.1:{running.port}")


def test_command_finds_no_broker_when_none_answers(centre: Any, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()

    assert cli.main(["central", "check", str(centre.folder), "--port", str(port)]) == 3
    assert f"no broker answers at 127.0.0.1:{port}" in capsys.readouterr().err
