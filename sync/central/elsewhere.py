"""The folder with which an ingest worker runs on another machine, sharing rows, blobs and brokers and no disk.

Decided here: what such a worker gets. It is the centre's key that signs receipts, the authorities it trusts, a
certificate of its own and the words that open database and bucket; never an authority's key, nor one that opens hits or
signs lists. A centre whose rows, blobs or broker only its own machine reaches cannot have one. Implements CS-16 of
docs/spec/case-store.md.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography import x509

from sync.central import shards, succession
from sync.central.authority import Authority
from sync.central.places import CONFIG, CREDENTIALS, PASSFILE
from vedette import files
from vedette.clock import Clock
from vedette.config import CentralConfig, load_central
from vedette.errors import Refused

ENVIRONMENT = "worker.env"
MAX_WORD_BYTES = 1 << 16
_HERE = frozenset({"", "localhost", "127.0.0.1", "::1"})
_EVERYWHERE = frozenset({"0.0.0.0", "::"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """A worker's folder that was made; its certificate ends at `ends_us` (UTC)."""

    name: str
    folder: Path
    brokers: tuple[shards.Address, ...]
    ends_us: int


def make(central: Path, name: str, folder: Path, clock: Clock, *, host: str = "") -> Worker:
    """Make `folder` for the worker `name` of the centre in `central`; `Refused` over anything that is there.

    `host` is the first broker's name for other machines, empty: the one in central.toml.
    """
    config = load_central(central / CONFIG)
    _check(config, name)
    brokers = _brokers(config, host)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"{folder} is not empty; a worker's folder is made anew, also when its certificate is to be new")
    keys, now_us = folder / "keys", clock.utc_us()
    for path, mode in ((folder, 0o750), (keys, 0o700), (folder / "incoming", 0o750), (folder / "run", 0o750)):
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
    issued = Authority(config.keys).issue_client(name, now_us)
    files.write_new(keys / f"{name}.key", issued.key, mode=0o600)
    files.write_new(keys / f"{name}.crt", issued.certificate)
    trusted = succession.trusted(config.keys)
    for source in (trusted, *(config.keys / word for word in ("centre.pem", PASSFILE, CREDENTIALS))):
        if source.is_file():
            files.write_new(keys / source.name, files.read(source, max_bytes=MAX_WORD_BYTES), mode=0o600)
    files.write_new(folder / ENVIRONMENT, f"WORKER={name}\n".encode())
    files.write_new(folder / CONFIG, _toml(_sections(config, brokers)).encode())
    load_central(folder / CONFIG)
    return Worker(name=name, folder=folder, brokers=brokers, ends_us=_end_us(issued.certificate))


def _end_us(certificate: bytes) -> int:
    return int(x509.load_pem_x509_certificate(certificate).not_valid_after_utc.timestamp()) * 1_000_000


def _check(config: CentralConfig, name: str) -> None:
    """Return when a worker of that name can run elsewhere."""
    from sync.central.worker import names  # its connection needs paho, which `central --help` does not

    if name in names(config.ingest.workers):
        raise Refused(f"the centre runs {name} itself ([ingest] workers = {config.ingest.workers}); take another name")
    if config.broker.mqtt != "5":
        raise Refused(f"[broker] mqtt is {config.broker.mqtt}, which shares no subscriptions: there is one worker")
    for key, url in (("[store] url", config.store.url), ("[blobs] url", config.blobs.url)):
        if not url:
            raise Refused(f"{key} is not set: a worker elsewhere needs rows in PostgreSQL and blobs in S3")
    address = urlsplit(config.store.url)
    for host in parse_qs(address.query).get("host", [address.hostname or ""]):
        if host in _HERE or host.startswith("/"):
            raise Refused(f"[store] url names this machine ({host or 'a socket'}); another one needs its address")
    if config.blobs.endpoint and (urlsplit(config.blobs.endpoint).hostname or "") in _HERE:
        raise Refused(f"[blobs] endpoint is {config.blobs.endpoint}, this machine's; another one needs its address")


def _brokers(config: CentralConfig, host: str) -> tuple[shards.Address, ...]:
    """Where the worker finds every broker, the first by `host`."""
    (first, port), *others = shards.addresses(config)
    named = host or (socket.gethostname() if first in _EVERYWHERE else first)
    found = ((named, port), *others)
    for one, _ in found:
        if one in _HERE:
            raise Refused(
                f"the broker listens on {one} only, which another machine does not reach; see docs/guide/scale.md"
            )
    return found


def _sections(
    config: CentralConfig, brokers: tuple[shards.Address, ...]
) -> Mapping[str, Mapping[str, str | int | bool]]:
    (host, port), ingest, blobs = brokers[0], config.ingest, config.blobs
    return {
        "central": {"data": ".", "origin": config.central.origin},
        "broker": {
            "embedded": False,
            "host": host,
            "port": port,
            "shards": config.broker.shards,
            "mqtt": config.broker.mqtt,
        },
        "ingest": {
            "credit_mib": ingest.credit_mib,
            "part_kib": ingest.part_kib,
            "max_item_mib": ingest.max_item_mib,
        },
        "store": {"url": config.store.url},
        "blobs": {
            "url": blobs.url,
            "endpoint": blobs.endpoint,
            "region": blobs.region,
            "lock_days": blobs.lock_days,
            "lock_mode": blobs.lock_mode,
        },
    }


def _toml(sections: Mapping[str, Mapping[str, str | int | bool]]) -> str:
    """TOML of plain values; a JSON string of these is a TOML string."""
    return "\n".join(
        "".join([f"[{name}]\n", *(f"{key} = {json.dumps(value)}\n" for key, value in values.items())])
        for name, values in sections.items()
    )
