"""RabbitMQ 4, set up as the guide says: what the audit finds of it, and evidence through it and through its death."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sync.central import check_access
from sync.central.check import Broker, Verdict, passed
from sync.central.check_access import ACCESS, CENTRE
from sync.central.check_authority import AUTHORITY
from sync.central.check_session import SESSION
from vedette.clock import SystemClock

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
    pair.check_nothing_is_lost_when_it_is_killed(rabbitmq, 8 << 20)
    pair.check_revoked_device_is_cut(lambda: rabbitmq.read_revocations(centre.folder / "keys" / "crl.pem"))
