"""RabbitMQ 4, set up as the guide says: what the audit finds of it, and evidence through it and through its death."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sync.central import check_access, fleet
from sync.central.check import Broker, Verdict, passed
from sync.central.check_access import ACCESS, CENTRE
from sync.central.check_authority import AUTHORITY
from sync.central.check_session import SESSION
from vedette.clock import SystemClock

WAIT_S = 60.0
# The guide tells of both: no shared subscriptions, and of retained messages none for a subscription by wildcard.
NOTED = {"shared", "retained-for-all"}


def test_rabbitmq_is_fit_when_it_is_set_up_as_the_guide_says(
    centre: Any, rabbitmq: Any, findings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WI-2, WI-19. Every trial of the audit; nothing is wrong, nothing could not be tried."""
    monkeypatch.setattr(check_access, "PLAIN_PORT", 1)
    broker = Broker.of("127.0.0.1", rabbitmq.port, centre.folder / "keys", SystemClock())

    found = findings(broker, (*ACCESS, CENTRE, *SESSION, *AUTHORITY))

    assert {one.name: one.seen for one in found.values() if one.verdict in (Verdict.WRONG, Verdict.UNKNOWN)} == {}
    assert {one.name for one in found.values() if one.verdict is Verdict.NOTE} == NOTED
    assert passed(list(found.values()))


def test_evidence_arrives_when_rabbitmq_is_killed_in_the_midst(
    centre: Any, rabbitmq: Any, elsewhere: Callable[..., Any]
) -> None:
    """WI-14, WI-18, WI-21. What it acknowledged and lost is sent again; a revoked device is cut."""
    pair = elsewhere(rabbitmq.port, "bulk_connection = false\n")
    first, second = pair.send(300_000), pair.send(0, "hit")
    assert pair.drive(lambda: first.is_file() and second.is_file()), pair.said

    waiting = [pair.send(8 << 20) for _ in range(4)]
    parts = centre.folder / "incoming" / fleet.CENTRE_ID
    assert pair.drive(lambda: any(path.stat().st_blocks for path in parts.iterdir()))
    rabbitmq.kill()
    waiting.append(pair.send(0, "hit"))
    assert not pair.drive(waiting[-1].is_file, 2.0)
    rabbitmq.start()
    assert pair.drive(lambda: all(path.is_file() for path in waiting), 2 * WAIT_S), pair.said
    assert len(centre.store.items()) == 2 + len(waiting)
    assert centre.store.quarantine() == []

    fleet.revoke(centre.store, "car-1")
    rabbitmq.read_revocations(centre.folder / "keys" / "crl.pem")
    assert pair.drive(lambda: not pair.uplink._parts.link.connected)
    never = pair.send(10_000)
    assert not pair.drive(never.is_file, 3.0)
