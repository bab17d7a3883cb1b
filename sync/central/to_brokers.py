"""The connection of the centre's own processes (ingest, further workers) to every broker there is.

Decided here: the centre's own brokers are met at their Unix sockets, any other one by TLS with the process's
certificate (ADR 35).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sync.central import mosquitto, shards, succession
from sync.central.broker import broker_name, reachable
from sync.link import Link
from sync.paho_link import LinkConfig, PahoLink
from vedette.clock import Clock
from vedette.config import CentralConfig

LINK_WINDOW = 500


def link(config: CentralConfig, clock: Clock, *, identity: str, key: Path, subscriptions: Sequence[str]) -> Link:
    """One link over all brokers of `config`, as client `identity`; its certificate lies beside `key`, as `.crt`.

    NotFound or Refused where certificate, key or authorities cannot be used.
    """
    found = shards.addresses(config)
    locals_ = [
        mosquitto.local_socket(config.data, broker_name(number)) if config.broker.embedded else None
        for number in range(len(found))
    ]
    return shards.joined(
        [
            PahoLink(
                LinkConfig(
                    host=reachable(host),
                    port=port,
                    client_id=identity,
                    ca=succession.trusted(config.keys),
                    certificate=key.with_suffix(".crt"),
                    key=key,
                    subscriptions=tuple(subscriptions),
                    window=LINK_WINDOW,
                    version="3.1.1" if config.broker.mqtt == "3.1.1" else "5",
                    local=local,
                ),
                clock,
            )
            for (host, port), local in zip(found, locals_, strict=True)
        ]
    )
