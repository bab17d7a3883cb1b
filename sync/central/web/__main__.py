"""Serves the pages: `python -m sync.central.web --config CENTRAL/central.toml`.

Decided here: plain HTTP on the loopback only, everywhere else HTTPS with the centre's certificate; the address in use
is written to `run/web.json` before the first request is answered; SIGTERM ends it with code 0 and lets running answers
finish for a few seconds.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from sync.central import serving
from sync.central.fleet import centre_trust
from sync.central.store import Store
from sync.central.web.app import create_app
from sync.central.web.site import uses_tls
from vedette import files
from vedette.config import CentralConfig
from vedette.errors import NotFound

ADDRESS_FILE = "web.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class WebAddress:
    """Where the pages are: `url` for people; `pid` of the process that serves them."""

    url: str
    host: str
    port: int
    pid: int

    def to_bytes(self) -> bytes:
        """The contents of `run/web.json`."""
        return json.dumps({"url": self.url, "host": self.host, "port": self.port, "pid": self.pid}).encode() + b"\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and serve until SIGTERM or SIGINT."""
    about = "Serves the centre's pages."
    return serving.main(serve, module="sync.central.web", about=about, arguments=arguments)


def serve(config: CentralConfig) -> int:
    """Serve the centre of `config`; `Refused` when the port is taken, `NotFound` without store or certificate."""
    store = Store(config.data)
    app = create_app(store, config.web, centre_trust(config.data))
    certificate, key = _certificate(config)
    settings = serving.settings(app, ssl_certfile=certificate, ssl_keyfile=key, timeout_keep_alive=15)
    with serving.listen(config.web.host, config.web.port, what="the pages", section="web") as listener:
        files.replace(config.run / ADDRESS_FILE, _address(config.web.host, listener).to_bytes())
        serving.run(settings, listener)
    files.remove(config.run / ADDRESS_FILE)
    return 0


def _certificate(config: CentralConfig) -> tuple[str | None, str | None]:
    if not uses_tls(config.web.host):
        return None, None
    certificate, key = config.keys / "server.crt", config.keys / "server.key"
    for path in (certificate, key):
        if not path.is_file():
            raise NotFound(f"{path} is not there; pages on {config.web.host} need it (only the loopback goes without)")
    return str(certificate), str(key)


def _address(host: str, listener: socket.socket) -> WebAddress:
    port = int(listener.getsockname()[1])
    shown = socket.gethostname() if host in ("0.0.0.0", "::") else host
    shown = f"[{shown}]" if ":" in shown else shown
    url = f"{'https' if uses_tls(host) else 'http'}://{shown}:{port}/"
    return WebAddress(url=url, host=host, port=port, pid=os.getpid())


if __name__ == "__main__":
    sys.exit(main())
