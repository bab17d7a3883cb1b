"""The enrolled devices: last seen, list version, what waits on them, what their readers read and what they refused,
whether sound is missing or muted (SG-19 of docs/spec/segment.md), how full their storage is (ST-10 of
docs/spec/storage.md), and the times they did not record.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from sync.central.rows import DeviceRow
from sync.central.web.site import SignedIn, draw, site_of
from vedette.storage import Storage, parse_storage

router = APIRouter()
MAX_GAPS_SHOWN = 200
REJECTED = ("too_small", "unsure", "no_text", "no_consensus")
SHORT = "short"
# What a device cannot mean (100 hours left, the year 2100) is not shown: a page must not fail for what one tells.
MOST_LEFT_S, MOST_SINCE_US = 100 * 3600, 4_102_444_800_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Plates:
    """What a reader told of plates since it started: how many it read, and how many it did not by why."""

    read: int
    rejected: Mapping[str, int]

    @property
    def not_read(self) -> int:
        """How many plates went without a read, for whatever reason."""
        return sum(self.rejected.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """What a device told of its storage: the step, the whole minutes of recording left, and since when (UTC µs).

    Minutes and time are None where it told none.
    """

    step: Storage
    left_min: int | None
    since_us: int | None


@router.get("/devices")
def show_devices(request: Request, session: SignedIn, storage: str = "") -> Response:
    """Every enrolled device, or (`storage=short`) those whose storage is low or full, the worst first."""
    return draw(request, "devices.html", _list(request, storage))


@router.get("/live/devices")
def live_devices(request: Request, session: SignedIn, storage: str = "", revision: str = "") -> Response:
    """The list's inside when it differs from `revision`, else 204."""
    values = _list(request, storage)
    if values["revision"] == revision:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    return draw(request, "_device_list.html", values)


def _list(request: Request, storage: str) -> dict[str, object]:
    if storage not in ("", SHORT):
        raise HTTPException(HTTPStatus.BAD_REQUEST)
    store = site_of(request).store
    everyone = store.devices()
    rooms = {one.device: room_of(one.status) for one in everyone}
    short = [one for one in everyone if rooms[one.device].step and one.revoked_us is None]
    devices = _worst_first(short, rooms) if storage else everyone
    published = [one.version for one in store.lists() if one.published_us is not None]
    chains = store.chains()
    counts = store.counts()
    told = zlib.crc32(repr([(one.device, rooms[one.device]) for one in short]).encode())
    return {
        "devices": devices,
        "rooms": rooms,
        "short": len(short),
        "wanted": storage,
        "chains": {one.device: [chain for chain in chains if chain.device == one.device] for one in devices},
        "gaps": {one.device: store.gaps(device=one.device, limit=MAX_GAPS_SHOWN) for one in devices},
        "plates": {one.device: plates_of(one.status) for one in devices},
        "newest_list": max(published, default=None),
        "counts": counts,
        "revision": f"{counts.devices}.{counts.online}.{counts.revision}.{len(published)}.{told:x}",
    }


def _worst_first(devices: Sequence[DeviceRow], rooms: Mapping[str, Room]) -> list[DeviceRow]:
    """Full before low, and of those of one step the one with the least time left."""
    return sorted(devices, key=lambda one: (-rooms[one.device].step, rooms[one.device].left_min or 0, one.device))


def room_of(status: Mapping[str, int | str]) -> Room:
    """What a device's last status says of its storage."""
    left_s, since_us = status.get("recorder.room_left_s"), status.get("recorder.storage_since_us")
    return Room(
        step=parse_storage(status.get("recorder.storage")),
        left_min=left_s // 60 if isinstance(left_s, int) and 0 <= left_s <= MOST_LEFT_S else None,
        since_us=since_us if isinstance(since_us, int) and 0 <= since_us <= MOST_SINCE_US else None,
    )


def plates_of(status: Mapping[str, int | str]) -> Plates | None:
    """The reader's counts in a device's last status; None where it has told none."""
    read = status.get("reader.plates_read")
    if not isinstance(read, int):
        return None
    told = {why: status.get(f"reader.rejected_{why}") for why in REJECTED}
    return Plates(read=read, rejected={why: count for why, count in told.items() if isinstance(count, int)})
