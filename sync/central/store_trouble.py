"""What becomes of work whose disk, database or store of objects does not take it: it is as a message that was lost.

Decided here: which errors are the store's trouble and not ours. Nothing was acknowledged, so it is asked for again. A
process that it keeps from starting says so in a line and ends; whoever started it starts it again.
"""

from __future__ import annotations

import logging
import sqlite3
import sys
from collections.abc import Callable

from vedette.errors import Refused, VedetteError

DISK_TROUBLE = (OSError, sqlite3.OperationalError)

_log = logging.getLogger("vedette.store")


class lost_when_not_written:  # noqa: N801  (a context manager; several are entered for each message)
    """Log the store's trouble and go on; every other error is raised."""

    def __enter__(self) -> None:
        """Nothing is prepared."""

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> bool:
        """Whether `error` was the store's trouble, which is logged."""
        if not isinstance(error, DISK_TROUBLE):
            return False
        _log.error("the store cannot be written: %s", error)
        return True


def in_a_line(serve: Callable[[], int]) -> int:
    """The exit code of a process that does `serve`; trouble that was to be expected is one line and no traceback."""
    try:
        return serve()
    except VedetteError as error:
        code, text = error.exit_code, str(error)
    except DISK_TROUBLE as error:
        code, text = Refused.exit_code, str(error)
    print(f"vedette: {text}", file=sys.stderr)
    return code
