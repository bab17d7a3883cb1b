"""What becomes of work whose disk, database or store of objects does not take it: it is as a message that was lost.

Decided here: which errors are the store's trouble and not ours. Nothing was acknowledged, so it is asked for again.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

DISK_TROUBLE = (OSError, sqlite3.OperationalError)

_log = logging.getLogger("vedette.store")


@contextmanager
def lost_when_not_written() -> Iterator[None]:
    """Log the store's trouble and go on; every other error is raised."""
    try:
        yield
    except DISK_TROUBLE as error:
        _log.error("the store cannot be written: %s", error)
