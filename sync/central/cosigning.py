"""Gets the witnesses of `log.policy` to cosign the log's newest checkpoint, and keeps their signature lines.

Decided here: whom to ask (every witness of the policy that has an URL and has not cosigned this checkpoint), from which
size the proof goes, and that a witness which has seen more than this log holds is an alarm: the store was restored from
an old copy, or somebody else signs with its key. A child process of its own (`python -m sync.central.cosigning`), so
that a slow witness never holds up ingest. Implements TL-32 of docs/spec/log.md.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sync import witness_client
from sync.central.log import Log
from sync.central.store import Store
from sync.central.store_trouble import in_a_line
from sync.witness_client import Ask
from vedette import cosignature, daemon, log_policy, note
from vedette.clock import SystemClock
from vedette.config import load_central
from vedette.errors import NotFound, NotTrusted, VedetteError
from vedette.log_policy import Policy, Witness
from vedette.witness import CONFLICT, Rejected, Request

POLICY = "log.policy"
PERIOD_S = 30.0

_log = logging.getLogger("vedette.cosigning")


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of one witness: whether it has cosigned the newest checkpoint, and a sentence."""

    witness: str
    ok: bool
    message: str


def load(central: Path) -> Policy:
    """The centre's policy; one without witnesses where there is no file."""
    path = central / POLICY
    return log_policy.load_policy(path) if path.exists() else Policy()


def collect(store: Store, policy: Policy, ask: Ask = witness_client.ask) -> list[Outcome]:
    """Ask every witness once; what they signed is stored when this returns. `NotFound` while the log is empty."""
    size = Log(store.db).size  # one size for all, or the log would outgrow every quorum
    if not size:
        raise NotFound("the log is empty: there is nothing to cosign yet")
    return [_collect_one(store, size, name, one, ask) for name, one in policy.witnesses.items() if one.url]


def _collect_one(store: Store, size: int, name: str, witness: Witness, ask: Ask) -> Outcome:
    log = Log(store.db)
    last = log.witnessed().get(witness.key.name, 0)
    if last >= size:
        return Outcome(witness=name, ok=True, message=f"has cosigned all {size} leaves")
    try:
        lines = _ask(log, witness, ask, last, size)
        time_s = keep(store, size, lines, witness)
    except VedetteError as error:
        return Outcome(witness=name, ok=False, message=str(error))
    return Outcome(witness=name, ok=True, message=f"cosigned {size} leaves at {time_s}")


def request_for(log: Log, old: int, size: int) -> Request:
    """The request that a witness which has seen `old` leaves gets for the checkpoint of `size` leaves."""
    proof = log.consistency(old, size) if 0 < old < size else []
    signed = log.checkpoint(size)
    return Request(old=old, proof=proof, signed=signed)


def _ask(log: Log, witness: Witness, ask: Ask, old: int, size: int) -> str:
    try:
        return ask(witness.url, request_for(log, old, size))
    except Rejected as error:
        if error.status != CONFLICT or error.size is None or error.size == old:
            raise
        if error.size > log.size:
            raise NotTrusted(
                f"ALARM: the witness has seen {error.size} leaves, this log has {size}: the store was restored from an"
                " old copy, or another centre signs with this log's key"
            ) from None
        if error.size > size:
            raise  # somebody asked for more in between; the next round asks for all
        return ask(witness.url, request_for(log, error.size, size))


def keep(store: Store, size: int, lines: str, witness: Witness) -> int:
    """Store the witness's signature line of the checkpoint of `size` leaves; its time. NotTrusted where none is its."""
    checkpoint = Log(store.db).checkpoint(size)
    for line in lines.splitlines(keepends=True):
        text, _ = note.split_note(checkpoint)
        times = cosignature.cosignatures(f"{text}\n{line}", [witness.key])
        if witness.key.name in times:
            with store.writing() as db:
                Log(db).add_cosignature(size, witness.key.name, times[witness.key.name], line)
            return times[witness.key.name]
    raise NotTrusted(f"no signature of {witness.key.name} is among what the witness answered")


class Cosigning:
    """The child process: asks again whenever the log has grown."""

    name = "witnesses"

    def __init__(self, store: Store) -> None:
        self._store = store
        self._said: dict[str, str] = {}

    def step(self, now_us: int) -> float:
        """One round; what has changed is logged."""
        try:
            outcomes = collect(self._store, load(self._store.folder))
        except NotFound:
            return PERIOD_S
        for one in outcomes:
            if not one.ok and self._said.get(one.witness) != one.message:
                _log.error("witness %s: %s", one.witness, one.message)
            self._said[one.witness] = one.message
        return PERIOD_S

    def close(self) -> None:
        """Close the store."""
        self._store.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask the witnesses until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m sync.central.cosigning", description="Asks the log's witnesses.")
    parser.add_argument("--config", type=Path, required=True, help="the centre's central.toml")
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    config, clock = parser.parse_args(arguments).config, SystemClock()
    return in_a_line(lambda: daemon.run(Cosigning(Store(load_central(config).data, clock)), clock=clock))


if __name__ == "__main__":
    sys.exit(main())
