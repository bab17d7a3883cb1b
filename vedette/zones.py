"""Time zones by their name in the system's tz database.

Decided here: what a name that is none is called. A device has one zone (`device.zone`), in which schedules are read
and its times are shown; what is signed or hashed counts microseconds in UTC and never asks for one.
"""

from __future__ import annotations

import datetime
import zoneinfo

from vedette.errors import Usage


def find_zone(name: str, *, key: str = "device.zone") -> datetime.tzinfo:
    """The time zone of that name, such as `Africa/Casablanca`; Usage names `key` where this machine knows none."""
    if name == "UTC":
        return datetime.timezone.utc
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise Usage(f"{key}: {name!r} is no time zone here, as Africa/Casablanca is") from None
