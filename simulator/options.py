"""The options that camera and board of the drawn street share in `device.toml`: seed, seconds, start_utc_us.

Both must be given the same ones, so that the board's position is that of the car whose pictures the camera draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from simulator.world import MAX_SECONDS
from vedette.errors import Usage

_BOUNDS = {"seed": (0, 2**31 - 1), "seconds": (1, MAX_SECONDS), "start_utc_us": (0, 2**53 - 1)}


@dataclass(frozen=True, kw_only=True, slots=True)
class StreetOptions:
    """Which drive, how long, and when it began (None: when the adapter is opened)."""

    seed: int
    seconds: int
    start_utc_us: int | None


def parse_options(options: Mapping[str, str], section: str, *, others: tuple[str, ...] = ()) -> StreetOptions:
    """The options of `[section] options`; `Usage` names one that is unknown, no whole number or out of its bounds."""
    known = (*_BOUNDS, *others)
    for name in options:
        if name not in known:
            raise Usage(f"[{section}] options: {name!r} is not known; known: {', '.join(known)}")
    start = _number(options, "start_utc_us", section)
    return StreetOptions(
        seed=_number(options, "seed", section) or 0,
        seconds=_number(options, "seconds", section) or MAX_SECONDS,
        start_utc_us=start,
    )


def _number(options: Mapping[str, str], name: str, section: str) -> int | None:
    text = options.get(name)
    if text is None:
        return None
    least, most = _BOUNDS[name]
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise Usage(f"[{section}] options: {name} is {text!r}; a whole number from {least} to {most} is expected")
    return int(text)
