"""Serves the depot's HTTPS door: `python -m sync.central.depot --config CENTRAL/central.toml`.

Decided here: TLS 1.3 with a client certificate of the centre's authority only; the certificate's common name is the
device, put beside each request, with its serial number, where no header can reach them. A process of its own, so that
bulk video never holds up the ingest of hits. SIGTERM ends it with code 0.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
from collections.abc import Sequence
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from sync.central import serving, succession
from sync.central.certificates import REVOCATIONS
from sync.central.depot_app import DEVICE, make_app
from sync.central.depot_desk import Desk
from sync.central.depot_refusals import SERIAL
from sync.central.receipts import Signer
from sync.central.revoked import Revoked
from sync.central.store import Store
from vedette import files
from vedette.clock import SystemClock
from vedette.config import CentralConfig
from vedette.errors import NotFound
from vedette.keys import SigningKey

ADDRESS_FILE = "depot.json"
MAX_HEAD_BYTES = 256 << 10  # an init with its manifest travels in a header, in base64 twice over


class DeviceProtocol(H11Protocol):
    """uvicorn's HTTP with the client certificate's common name and serial number in each request's scope."""

    device: str | None = None
    _said = b""

    def connection_made(self, transport: Any) -> None:
        """Ask the finished handshake whom this connection belongs to."""
        super().connection_made(transport)
        certificate = transport.get_extra_info("peercert") or {}
        self.device = device = common_name(certificate)
        serial, inner = int(certificate.get("serialNumber", "0"), 16), self.app

        async def as_device(scope: Any, receive: Any, send: Any) -> None:
            await inner({**scope, DEVICE: device, SERIAL: serial}, receive, send)

        self.app = as_device

    def data_received(self, data: bytes) -> None:
        """As uvicorn's; what came is at hand while it is read."""
        self._said = data
        super().data_received(data)
        self._said = b""

    def send_400_response(self, msg: str) -> None:
        """Put what is no HTTP into quarantine, and say so (DE-17): the application never hears of it."""
        if self.device is not None:
            told = self.config.app.state.desk.complain(self.device, None, "this is no HTTP", self._said)  # type: ignore[union-attr]
            task = self.loop.create_task(told)
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        super().send_400_response(msg)


def common_name(certificate: Any) -> str | None:
    """The one common name of a certificate as `ssl` tells it; None where there is none, or more than one."""
    subject = (certificate or {}).get("subject", ())
    names = [value for rdn in subject for key, value in rdn if key == "commonName"]
    return names[0] if len(names) == 1 else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and serve until SIGTERM or SIGINT."""
    about = "Serves the depot's HTTPS door."
    return serving.main(serve, module="sync.central.depot", about=about, arguments=arguments)


def serve(config: CentralConfig) -> int:
    """Serve the centre of `config`; `Refused` when the port is taken, `NotFound` without store or certificate."""
    store = Store(config.data)
    signer = Signer(origin=config.central.origin, key=SigningKey.load(config.keys / "centre.pem"))
    revoked = Revoked(config.keys / REVOCATIONS)
    desk = Desk(store, signer, config.ingest, SystemClock(), is_revoked=revoked.names)

    def receipt_of(device: str, item: str) -> bytes | None:
        try:
            return store.receipt(item) if store.item(item).device == device else None
        except NotFound:
            return None

    app = make_app(desk, receipt_of, max_item_bytes=config.ingest.max_item_mib << 20)
    app.state.desk = desk
    settings = serving.settings(
        app, http=DeviceProtocol, h11_max_incomplete_event_size=MAX_HEAD_BYTES, timeout_keep_alive=60
    )
    settings.load()
    settings.ssl = _tls(config)
    host = config.depot.host
    with serving.listen(host, config.depot.port, what="the depot's door", section="depot") as listener:
        address = {"host": host, "port": int(listener.getsockname()[1]), "pid": os.getpid()}
        files.replace(config.run / ADDRESS_FILE, json.dumps(address).encode() + b"\n")
        serving.run(settings, listener)
    files.remove(config.run / ADDRESS_FILE)
    return 0


def _tls(config: CentralConfig) -> ssl.SSLContext:
    certificate, key, authority = (
        config.keys / "server.crt",
        config.keys / "server.key",
        succession.trusted(config.keys),
    )
    for path in (certificate, key, authority):
        if not path.is_file():
            raise NotFound(f"{path} is not there; the depot's door needs it")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


if __name__ == "__main__":
    sys.exit(main())
