"""The MQTT topics of device and centre; who may write where is decided by these names (docs/spec/wire.md).

`devices/<device>/…` is written by that device only, `cmd/<device>/…` is read by that device only; the broker's access
list enforces both. Parts and fin carry the ingest worker's name, so that an upload stays with the worker that granted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from vedette.errors import Integrity
from vedette.fields import check_device_id

COMMAND = "command"
RENEW, CERTIFICATE, AUTHORITY = "renew", "certificate", "authority"
PEERS, PEERS_WANT, ANSWER = "peers", "peers-want", "answer"
HEADS = "heads"
BULK_ENDING = ".bulk"
_FROM_DEVICE = frozenset({"birth", "status", "init", "part", "fin", "list-want", RENEW, PEERS_WANT, ANSWER, HEADS})
_FROM_CENTRE = frozenset(
    {"grant", "ack", "sealed", "refuse", "list", "list-part", COMMAND, CERTIFICATE, AUTHORITY, PEERS}
)
_PINNED = frozenset({"part", "fin"})
_ON_BULK = "part"
_WORKER = re.compile(r"[a-z0-9-]{1,32}")
SPELT_MOST = 8192  # topics that are remembered: every part of an upload goes to the same one


class Named(Protocol):
    """A message, or its class: all this module needs is what it is called."""

    @property
    def name(self) -> str:
        """The topic name, for example `init`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """Where a message goes: `devices/<device>/<name>[/<worker>]` or `cmd/<device>/<name>`.

    `bulk`: on the device's second connection, whose identity is `<device>.bulk` and which carries parts only.
    """

    device: str
    name: str
    worker: str | None = None
    bulk: bool = False

    @property
    def topic(self) -> str:
        """The topic's text."""
        root = "devices" if self.name in _FROM_DEVICE else "cmd"
        device = self.device + BULK_ENDING if self.bulk else self.device
        return "/".join(filter(None, (root, device, self.name, self.worker)))


@lru_cache(maxsize=SPELT_MOST)
def parse_topic(text: str) -> Address:
    """The address a topic spells; raises Integrity where it is none of ours."""
    root, device, name, worker, *rest = [*text.split("/", 4), "", "", ""]
    names = {"devices": _FROM_DEVICE, "cmd": _FROM_CENTRE}.get(root, frozenset())
    if name not in names or any(rest) or (text.count("/") == 3) != (name in _PINNED):
        raise Integrity(f"not a topic of this protocol: {text[:120]!r}")
    bulk = device.endswith(BULK_ENDING)
    if device.endswith("\n") or (bulk and name != _ON_BULK):
        raise Integrity(f"not a topic of this protocol: {text[:120]!r}")
    pinned = check_worker(worker) if name in _PINNED else None
    device = check_device_id(device.removesuffix(BULK_ENDING))
    if device.endswith(BULK_ENDING):
        raise Integrity(f"not a topic of this protocol: {text[:120]!r}")
    return Address(device=device, name=name, worker=pinned, bulk=bulk)


def topic(device: str, message: Named, worker: str | None = None, *, bulk: bool = False) -> str:
    """The topic `message` travels on to or from `device`; parts and fin need the worker their grant named."""
    return _spelt(device, message.name, worker, bulk)


@lru_cache(maxsize=SPELT_MOST)
def _spelt(device: str, name: str, worker: str | None, bulk: bool) -> str:
    if (worker is not None) != (name in _PINNED):
        raise ValueError(f"{name} goes to a worker: {name in _PINNED}")
    return Address(device=device, name=name, worker=worker, bulk=bulk).topic


def check_worker(worker: str) -> str:
    """`worker` when it is the name of an ingest worker (`[a-z0-9-]`, 1 to 32), else Integrity."""
    if not _WORKER.fullmatch(worker):
        raise Integrity(f"{worker[:40]!r} is not the name of an ingest worker: 1 to 32 of a-z, 0-9 and dash")
    return worker


def device_subscriptions(device: str) -> tuple[str, ...]:
    """What a device subscribes to: its own commands, nothing else."""
    return (f"cmd/{device}/#",)


def worker_subscriptions(worker: str) -> tuple[str, ...]:
    """What one ingest worker subscribes to; inits and list wants are shared by all, parts and fin are its own."""
    shared = tuple(
        f"$share/ingest/devices/+/{name}" for name in ("init", "list-want", RENEW, PEERS_WANT, ANSWER, HEADS)
    )
    own = tuple(f"devices/+/{name}/{worker}" for name in sorted(_PINNED))
    return (*shared, *own, "devices/+/birth", "devices/+/status")


def written_by_devices(workers: Sequence[str]) -> tuple[str, ...]:
    """What may follow `devices/<device>/`, where these are the ingest workers: everything a device ever says."""
    pinned = tuple(f"{name}/{worker}" for name in sorted(_PINNED, reverse=True) for worker in workers)
    return (*pinned, *sorted(_FROM_DEVICE - _PINNED))


def bulk_identity(device: str) -> str:
    """The common name of a device's connection for bulk; a device's id is short enough to have one (WI-1)."""
    return device + BULK_ENDING


def bulk_subscriptions(device: str) -> tuple[str, ...]:
    """What the connection for bulk subscribes to: nothing is ever said there, but a session wants one."""
    return (f"cmd/{device}{BULK_ENDING}/#",)
