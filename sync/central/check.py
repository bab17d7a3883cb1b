"""The audit of a broker, own or foreign: is it set up so that Vedette's promises hold? Found out by trying.

Decided here: what is tried, what counts as right, what to do where it is not. Real clients with real certificates of
this centre's authority try what a thief, a wrong configuration or another broker's habits would; nothing reads the
broker's configuration. It may run beside a running centre: its clients use names and a topic (`…/check`) of their own.
What each trial does is check_access.py and check_session.py. See docs/guide/another-broker.md.
"""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from paho.mqtt.enums import MQTTProtocolVersion

from sync.central import succession
from sync.central.authority import Authority
from sync.central.greeting import MQTT_5, Answer, context_for, greet
from sync.central.mosquitto import CHECK_DEVICES, CHECK_IDS
from sync.central.probe import Probe
from vedette.clock import Clock
from vedette.errors import VedetteError

LASTS = datetime.timedelta(hours=1)
NAME = "check"


class Verdict(Enum):
    """What a trial showed."""

    RIGHT = "right"
    WRONG = "wrong"
    NOTE = "note"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One row of the audit; `advice` is what to do, empty where all is right."""

    name: str
    asked: str
    verdict: Verdict
    seen: str
    advice: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Broker:
    """The broker under audit and the identities of the audit: two devices that exist nowhere else, two listeners.

    `version` is the protocol's number of what is spoken to it.
    """

    host: str
    port: int
    keys: Path
    clock: Clock
    device: str
    other: str
    version: int = MQTT_5

    @staticmethod
    def of(host: str, port: int, keys: Path, clock: Clock, version: int = MQTT_5) -> Broker:
        """With the device ids that are the audit's, which a broker that wants to know its users is told of."""
        device, other = CHECK_DEVICES
        return Broker(host=host, port=port, keys=keys, clock=clock, device=device, other=other, version=version)

    def context(self, name: str) -> ssl.SSLContext:
        """TLS with a new certificate for `name`, valid an hour, its key in memory only."""
        issued = Authority(self.keys).issue_client(name, self.clock.utc_us(), lasts=LASTS)
        return context_for(succession.trusted(self.keys), issued)

    def client(self, name: str, **more: Any) -> Probe:
        """A client with the certificate of `name`."""
        return self.probe(self.context(name), more.pop("client_id", name), **more)

    def probe(self, context: ssl.SSLContext, client_id: str, **more: Any) -> Probe:
        """A client of this name with that certificate."""
        return Probe(self.host, self.port, context, client_id, version=MQTTProtocolVersion(self.version), **more)

    def greet(self, context: ssl.SSLContext | None, client_id: str) -> Answer:
        """What the broker says to this name with that certificate."""
        return greet(self.host, self.port, context, client_id, version=self.version)

    def listener(self, which: int = 0) -> Probe:
        """One of the audit's own clients that may hear every device's `check`."""
        return self.client(CHECK_IDS[which])

    def said_by(self, device: str) -> str:
        """The audit's topic of what this device says."""
        return f"devices/{device}/{NAME}"

    def said_to(self, device: str) -> str:
        """The audit's topic of what is said to this device."""
        return f"cmd/{device}/{NAME}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """Something to try; `run` says whether it went as it must and what was seen. `is_must` false: only a note."""

    name: str
    asked: str
    advice: str
    run: Callable[[Broker], tuple[bool, str]]
    is_must: bool = True


def audit(broker: Broker, trials: tuple[Trial, ...]) -> Iterator[Finding]:
    """Try one after the other; what cannot be tried is unknown, which is no pass."""
    for trial in trials:
        try:
            holds, seen = trial.run(broker)
        except (VedetteError, OSError) as error:
            yield Finding(
                name=trial.name, asked=trial.asked, verdict=Verdict.UNKNOWN, seen=str(error), advice=trial.advice
            )
            continue
        verdict = Verdict.RIGHT if holds else Verdict.WRONG if trial.is_must else Verdict.NOTE
        yield Finding(
            name=trial.name, asked=trial.asked, verdict=verdict, seen=seen, advice="" if holds else trial.advice
        )


def passed(findings: list[Finding]) -> bool:
    """Whether nothing is wrong or unknown."""
    return all(one.verdict in (Verdict.RIGHT, Verdict.NOTE) for one in findings)
