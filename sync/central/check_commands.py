"""`vedette central check`: try whether a broker, own or foreign, is set up as Vedette needs it, and say what to do."""

from __future__ import annotations

import argparse
import socket
from pathlib import Path

from sync.central import fleet
from sync.central.broker import broker_port, reachable
from sync.central.children import is_running
from vedette import cli, config
from vedette.clock import SystemClock
from vedette.errors import NotFound

TIMEOUT_S = 5.0


def register(nouns: cli.Nouns) -> None:
    """Add `check` to the noun `central`."""
    verbs = cli.noun(nouns, "central", help="the central store: make it, run it, enrol devices")
    check = verbs.add_parser("check", help="audit a broker's configuration by trying it, also beside a running centre")
    check.add_argument("central", type=Path, metavar="CENTRAL", help="the centre's folder")
    check.add_argument("--host", help="the broker's address (central.toml's)")
    check.add_argument("--port", type=int, help="the broker's port (central.toml's)")
    cli.add_json(check)
    check.set_defaults(run=_check)


def _check(args: argparse.Namespace) -> int:
    from sync.central.check import Broker, audit, passed  # paho is only needed to try
    from sync.central.check_access import ACCESS, CENTRE
    from sync.central.check_authority import AUTHORITY
    from sync.central.check_session import session_trials
    from sync.central.check_socket import socket_trials
    from sync.central.greeting import level

    central = config.load_central(args.central / fleet.CONFIG)
    host = args.host or reachable(central.broker.host)
    port = args.port or broker_port(central.data, central.broker.host, central.broker.port)
    _check_reachable(host, port)
    broker = Broker.of(host, port, central.keys, SystemClock(), level(central.broker.mqtt))
    is_alone = not is_running(central.run)
    alone = (CENTRE,) if is_alone else ()
    sockets = socket_trials(central, broker, is_alone=is_alone)
    trials = (*ACCESS, *alone, *session_trials(broker.version), *AUTHORITY, *sockets)
    findings = list(audit(broker, trials))
    rows = [(one.verdict.value, one.asked, one.seen) for one in findings]
    advice = [f"{one.name}: {one.advice}" for one in findings if one.advice]
    text = cli.table(rows, heads=("verdict", "asked", "seen"))
    text += "\n\nwhat to do\n  " + "\n  ".join(advice) if advice else ""
    text += f"\n\n{host}:{port} " + ("is set up as Vedette needs it" if passed(findings) else "is NOT fit as it is")
    listed = [
        {"name": one.name, "asked": one.asked, "verdict": one.verdict.value, "seen": one.seen, "advice": one.advice}
        for one in findings
    ]
    cli.show(args, {"broker": f"{host}:{port}", "passed": passed(findings), "findings": listed}, text)
    return 0 if passed(findings) else 1


def _check_reachable(host: str, port: int) -> None:
    try:
        socket.create_connection((host, port), timeout=TIMEOUT_S).close()
    except OSError as error:
        raise NotFound(
            f"no broker answers at {host}:{port}: {error}; start it, or name it with --host and --port"
        ) from None
