"""How full a device's disk is, as its status says it to the officer's page and to the centre.

Decided here: four steps and their numbers. When each is reached is decided in `edge/recorder/storage.py`. Implements
ST-5 of docs/spec/storage.md.
"""

from __future__ import annotations

from enum import IntEnum


class Storage(IntEnum):
    """What a recorder's status says under `storage`; each is worse than the one before."""

    ENOUGH = 0
    LOW = 1
    CONTINUOUS_STOPPED = 2
    FULL = 3


def parse_storage(value: object) -> Storage:
    """The step that a status says; `ENOUGH` where it says none that is known here."""
    is_known = isinstance(value, int) and not isinstance(value, bool) and value in {one.value for one in Storage}
    return Storage(value) if is_known else Storage.ENOUGH  # type: ignore[arg-type]
