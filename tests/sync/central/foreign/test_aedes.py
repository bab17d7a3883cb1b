"""Aedes, which speaks plain MQTT 3.1.1 and nothing newer: the audit, and the whole way of evidence over it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from sync.central import check_access, fleet
from sync.central.check import Broker, Verdict, passed
from sync.central.check_access import ACCESS, CENTRE
from sync.central.check_authority import AUTHORITY
from sync.central.check_session import session_trials
from sync.central.greeting import MQTT_311
from vedette.clock import SystemClock
from vedette.errors import Usage

WAIT_S = 60.0
OLD = 'mqtt = "3.1.1"\n'
PAIRS = [("both connections", ""), ("one connection", "bulk_connection = false\n")]


def test_aedes_is_fit_when_3_1_1_is_asked_of_it(
    centre: Any, aedes: Any, findings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WI-2, WI-10, WI-19. Every trial that 3.1.1 has an answer to."""
    monkeypatch.setattr(check_access, "PLAIN_PORT", 1)
    broker = Broker.of("127.0.0.1", aedes.port, centre.folder / "keys", SystemClock(), MQTT_311)

    found = findings(broker, (*ACCESS, CENTRE, *session_trials(broker.version), *AUTHORITY))

    assert {one.name: one.seen for one in found.values() if one.verdict in (Verdict.WRONG, Verdict.UNKNOWN)} == {}
    assert {one.name for one in found.values() if one.verdict is Verdict.NOTE} <= {"shared"}
    assert passed(list(found.values()))


@pytest.mark.parametrize("uplink_toml", [one for _, one in PAIRS], ids=[name for name, _ in PAIRS])
def test_evidence_arrives_over_plain_3_1_1_when_the_broker_is_killed_in_the_midst(
    centre: Any, aedes: Any, elsewhere: Callable[..., Any], uplink_toml: str
) -> None:
    """WI-10, WI-18, WI-21. Centre and device speak 3.1.1; nothing is told, and nothing is lost."""
    pair = elsewhere(aedes.port, OLD + uplink_toml, OLD)
    pair.check_nothing_is_lost_when_it_is_killed(aedes, 4 << 20)
    pair.check_revoked_device_is_cut(aedes.read_revocations)


def test_centre_is_refused_when_3_1_1_is_to_be_shared_by_several_workers(centre: Any, aedes: Any) -> None:
    """WI-10: each of them would get every init."""
    path = centre.folder / fleet.CONFIG
    text = path.read_text().replace("embedded = true", "embedded = false")
    path.write_text(text.replace("port = 0", f"port = {aedes.port}\n{OLD}") + "\n[ingest]\nworkers = 2\n")

    done = subprocess.run(
        [sys.executable, "-m", "vedette.cli", "central", "run", "--config", str(path)],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )

    assert done.returncode == Usage.exit_code
    assert "[ingest] workers: MQTT 3.1.1 shares no subscriptions" in done.stderr
