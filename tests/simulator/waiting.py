"""Waiting for what other processes and threads do."""

import time
from collections.abc import Callable
from typing import Any


def until(fact: Callable[[], Any], what: str, within_s: float = 60.0, *, every_s: float = 0.05) -> Any:
    """What `fact` returns once that is true; `what` says in the failure for what was waited."""
    end = time.monotonic() + within_s
    while not (found := fact()):
        assert time.monotonic() < end, f"waited {within_s:.0f} s for {what}"
        time.sleep(every_s)
    return found
