"""Messages between the device's services: one small JSON file each, in the run folder (memory, never the disk).

A file appears whole by rename and is taken by its one consumer, in the order of the machine's monotonic clock, which no
setting of the wall clock turns round. One that its consumer dies over is there for the next one, once (`each`). Who may
command what is the consumer's rule. An inbox holds `MAX_INBOX` messages:
where nobody takes them, the oldest goes for the newest, so that memory cannot fill up.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vedette import canonical
from vedette.clock import Clock, uuid7
from vedette.errors import Integrity

MAX_COMMAND_BYTES = 16 * 1024
MAX_WAITING = 256
MAX_INBOX = 1024
AGAIN = ".again.json"
_SERVICE = re.compile(r"^[a-z][a-z0-9-]{1,31}$")


def folder(run_dir: Path, service: str) -> Path:
    """Where commands for `service` wait."""
    if not _SERVICE.fullmatch(service):
        raise Integrity(f"{service[:40]!r} is not a service's name")
    return run_dir / "commands" / service


def post(run_dir: Path, service: str, body: dict[str, Any], *, clock: Clock) -> Path:
    """Leave a command for `service`; it is seen whole or not at all."""
    inbox = folder(run_dir, service)
    inbox.mkdir(parents=True, exist_ok=True)
    for name in _waiting(inbox)[: 1 - MAX_INBOX]:
        (inbox / name).unlink(missing_ok=True)
    name = f"{clock.mono_us():016d}-{uuid7(clock)}"
    beside = inbox / f".{name}.tmp"
    beside.write_bytes(canonical.dumps(body))
    path = inbox / f"{name}.json"
    os.replace(beside, path)
    return path


def take(run_dir: Path, service: str) -> list[dict[str, Any]]:
    """Take the waiting commands, oldest first, `MAX_WAITING` at most; what is not one is removed and left out."""
    inbox = folder(run_dir, service)
    found = []
    for name in _waiting(inbox)[:MAX_WAITING]:
        body = _read(inbox / name)
        (inbox / name).unlink(missing_ok=True)
        if body is not None:
            found.append(body)
    return found


def each(run_dir: Path, service: str) -> Iterator[dict[str, Any]]:
    """The waiting commands, oldest first, `MAX_WAITING` at most; each is removed when the next is asked for.

    A consumer that dies over one finds it again when it is back, and not a third time: one that makes its consumer
    crash must not do so for ever. What is no command is removed and left out.
    """
    inbox = folder(run_dir, service)
    for name in _waiting(inbox)[:MAX_WAITING]:
        path, body = inbox / name, _read(inbox / name)
        if body is None or name.endswith(AGAIN):
            path.unlink(missing_ok=True)
        else:
            path = path.replace(path.with_suffix(AGAIN))
        if body is not None:
            yield body
            path.unlink(missing_ok=True)


def _waiting(inbox: Path) -> list[str]:
    """The names of the messages that wait, oldest first."""
    try:
        return sorted(entry.name for entry in os.scandir(inbox) if entry.name.endswith(".json"))
    except FileNotFoundError:
        return []


def _read(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            body = canonical.loads(file.read(MAX_COMMAND_BYTES + 1), max_bytes=MAX_COMMAND_BYTES)
    except (OSError, Integrity):
        return None
    return body if isinstance(body, dict) else None
