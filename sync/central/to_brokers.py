"""The connection of the centre's own processes (ingest, further workers) to every broker there is.

Decided here: each comes by TLS with a certificate of its own, also to the centre's own broker (ADR 35).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sync.central import shards, succession
from sync.central.broker import reachable
from sync.link import Link
from sync.paho_link import LinkConfig, PahoLink
from vedette.clock import Clock
from vedette.config import CentralConfig

LINK_WINDOW = 500


def link(config: CentralConfig, clock: Clock, *, identity: str, key: Path, subscriptions: Sequence[str]) -> Link:
    """One link over all brokers of `config`, as client `identity`; its certificate lies beside `key`, as `.crt`.

    NotFound or Refused where certificate, key or authorities cannot be used.
    """
    links = [
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
            ),
            clock,
        )
        for host, port in shards.addresses(config)
    ]
    return shards.joined(links)
