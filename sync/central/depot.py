"""Serves the depot's HTTPS door: `python -m sync.central.depot --config CENTRAL/central.toml`.

Decided here: TLS 1.3 with a client certificate of the centre's authority only; the certificate's common name is the
device, put beside each request where no header can reach it. A process of its own, so that bulk video never holds up
the ingest of hits. SIGTERM ends it with code 0.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from sync.central.depot_app import DEVICE, make_app
from sync.central.depot_desk import Desk
from sync.central.receipts import Signer
from sync.central.store import Store
from vedette import files
from vedette.clock import SystemClock
from vedette.config import CentralConfig, load_central
from vedette.errors import NotFound, Refused, VedetteError
from vedette.keys import SigningKey

ADDRESS_FILE = "depot.json"
FAREWELL_S = 3
MAX_HEAD_BYTES = 256 << 10  # an init with its manifest travels in a header, in base64 twice over


class DeviceProtocol(H11Protocol):
    """uvicorn's HTTP with the client certificate's common name in each request's scope."""

    def connection_made(self, transport: Any) -> None:
        """Ask the finished handshake whom this connection belongs to."""
        super().connection_made(transport)
        device = common_name(transport.get_extra_info("peercert"))
        inner = self.app

        async def as_device(scope: Any, receive: Any, send: Any) -> None:
            await inner({**scope, DEVICE: device}, receive, send)

        self.app = as_device


def common_name(certificate: Any) -> str | None:
    """The one common name of a certificate as `ssl` tells it; None where there is none, or more than one."""
    subject = (certificate or {}).get("subject", ())
    names = [value for rdn in subject for key, value in rdn if key == "commonName"]
    return names[0] if len(names) == 1 else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m sync.central.depot", description="Serves the depot's HTTPS door.")
    parser.add_argument("--config", type=Path, required=True, help="the centre's central.toml")
    parsed = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(name)s: %(message)s")
    try:
        return serve(load_central(parsed.config))
    except VedetteError as error:
        print(f"vedette: {error}", file=sys.stderr)
        return error.exit_code


def serve(config: CentralConfig) -> int:
    """Serve the centre of `config`; `Refused` when the port is taken, `NotFound` without store or certificate."""
    store = Store(config.data)
    signer = Signer(origin=config.central.origin, key=SigningKey.load(config.keys / "centre.pem"))
    desk = Desk(store, signer, config.ingest, SystemClock())

    def receipt_of(device: str, item: str) -> bytes | None:
        try:
            return store.receipt(item) if store.item(item).device == device else None
        except NotFound:
            return None

    app = make_app(desk, receipt_of, max_item_bytes=config.ingest.max_item_mib << 20)
    server_config = uvicorn.Config(
        app,
        http=DeviceProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        timeout_graceful_shutdown=FAREWELL_S,
        timeout_keep_alive=60,
    )
    server_config.load()
    server_config.ssl = _tls(config)
    with _listen(config.depot.host, config.depot.port) as listener:
        address = {"host": config.depot.host, "port": int(listener.getsockname()[1]), "pid": os.getpid()}
        files.replace(config.run / ADDRESS_FILE, json.dumps(address).encode() + b"\n")
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
        # uvicorn raises the signal again once it has stopped; a stop that was asked for is no failure.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: None)
        uvicorn.Server(server_config).run(sockets=[listener])
    files.remove(config.run / ADDRESS_FILE)
    return 0


def _tls(config: CentralConfig) -> ssl.SSLContext:
    certificate, key, authority = (config.keys / name for name in ("server.crt", "server.key", "ca.crt"))
    for path in (certificate, key, authority):
        if not path.is_file():
            raise NotFound(f"{path} is not there; the depot's door needs it")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        reason = error.strerror or str(error)
        text = f"the depot's door cannot be opened on {host} port {port}: {reason}; change [depot] port in central.toml"
        raise Refused(text) from None


if __name__ == "__main__":
    sys.exit(main())
