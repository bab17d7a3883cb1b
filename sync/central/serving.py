"""A process of the centre that answers HTTP: its command line, its port, its end; the same for pages and depot's door.

Decided here: one line of trouble and its exit code; nothing of a request is logged or told; what stops the process is
SIGTERM or SIGINT, which ends it with code 0 and lets running answers finish for a few seconds.
"""

from __future__ import annotations

import argparse
import logging
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import uvicorn

from sync.central.store_trouble import in_a_line
from vedette.config import CentralConfig, load_central
from vedette.errors import Refused

BACKLOG = 256
FAREWELL_S = 3


def main(
    serve: Callable[[CentralConfig], int], *, module: str, about: str, arguments: Sequence[str] | None = None
) -> int:
    """Parse `--config` and serve that centre; the exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=about)
    parser.add_argument("--config", type=Path, required=True, help="the centre's central.toml")
    parsed = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(name)s: %(message)s")
    return in_a_line(lambda: serve(load_central(parsed.config)))


def listen(host: str, port: int, *, what: str, section: str) -> socket.socket:
    """A listening socket; `Refused` says that `what` cannot be served and which section of central.toml to change."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = error.strerror or str(error)
        text = f"{what} cannot be served on {host} port {port}: {reason}; change [{section}] port in central.toml"
        raise Refused(text) from None


def settings(app: Any, **more: Any) -> uvicorn.Config:
    """How uvicorn serves `app`; `more` is what this one needs besides."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=FAREWELL_S,
        **more,
    )


def run(config: uvicorn.Config, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT."""
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    # uvicorn raises the signal again once it has stopped; a stop that was asked for is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: None)
    uvicorn.Server(config).run(sockets=[listener])
