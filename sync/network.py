"""What the network at hand may be used for: the rule, from what was seen of it, the policy and the time of the week.

Decided here: when bulk video may go. Not decided here: who looks (`sync.network_sources`), and what happens to uploads
when the answer changes (`sync.uplink`). A network of which nothing is known is taken for a metered one, since a bill
cannot be taken back and evidence can wait; without a source there is nothing to know, and `allow_bulk` decides alone.
Implements WI-32, WI-60 and WI-63 of docs/spec/wire.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vedette.config import NetworkSection
from vedette.errors import Usage
from vedette.records import PRIORITY_BULK
from vedette.schedule import Schedule, parse_schedule

Wait = Literal["", "switched off", "quiet hours", "not a depot", "metered", "network unknown"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sighting:
    """What a source saw: whether the network is metered (None: it cannot tell) and the Wi-Fi's name, if it is one."""

    metered: bool | None = None
    ssid: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """What the network at hand may be used for; `why` says what bulk waits for."""

    allow_bulk: bool = True
    why: Wait = ""

    def allows_priority(self, priority: int) -> bool:
        """Whether items of that priority, by their manifest, may go over it."""
        return self.allow_bulk or priority < PRIORITY_BULK


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkPolicy:
    """`[network]` and `allow_bulk` of device.toml, parsed."""

    allow_bulk: bool
    bulk_on: str
    depots: frozenset[str]
    quiet: Schedule
    sees: bool


def policy_of(section: NetworkSection, *, allow_bulk: bool, zone: str = "UTC") -> NetworkPolicy:
    """The policy as device.toml says it, with quiet hours by the clock of `zone`.

    `Usage` names quiet hours that are none, and depots that nobody would see.
    """
    depots = frozenset(name.strip() for name in section.depots.split(",") if name.strip())
    if section.bulk_on == "depot" and not depots:
        raise Usage("network.bulk_on is 'depot', and network.depots names no Wi-Fi network")
    if depots and section.source in ("none", "route"):
        raise Usage(f"network.depots names Wi-Fi networks, and network.source {section.source!r} sees no names")
    return NetworkPolicy(
        allow_bulk=allow_bulk,
        bulk_on=section.bulk_on,
        depots=depots,
        quiet=parse_schedule(section.quiet, zone, key="network.quiet"),
        sees=section.source != "none",
    )


def judge(policy: NetworkPolicy, sighting: Sighting, utc_us: int) -> Network:
    """What may go now."""
    why = _waits_for(policy, sighting, utc_us)
    return Network(allow_bulk=not why, why=why)


def _waits_for(policy: NetworkPolicy, sighting: Sighting, utc_us: int) -> Wait:
    if not policy.allow_bulk:
        return "switched off"
    if policy.quiet.is_on(utc_us):
        return "quiet hours"
    if not policy.sees or policy.bulk_on == "any" or sighting.ssid in policy.depots:
        return ""
    if policy.bulk_on == "depot":
        return "not a depot"
    if sighting.metered is None:
        return "network unknown"
    return "metered" if sighting.metered else ""
