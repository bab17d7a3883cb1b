"""The enrolled devices: last seen, list version, what waits on them, what their readers read and what they refused,
whether sound is missing or muted (SG-19 of docs/spec/segment.md), and the times they did not record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import Response

from sync.central.web.site import SignedIn, draw, site_of

router = APIRouter()
MAX_GAPS_SHOWN = 200
REJECTED = ("too_small", "unsure", "no_text", "no_consensus")


@dataclass(frozen=True, kw_only=True, slots=True)
class Plates:
    """What a reader told of plates since it started: how many it read, and how many it did not by why."""

    read: int
    rejected: Mapping[str, int]

    @property
    def not_read(self) -> int:
        """How many plates went without a read, for whatever reason."""
        return sum(self.rejected.values())


@router.get("/devices")
def show_devices(request: Request, session: SignedIn) -> Response:
    """Every enrolled device."""
    return draw(request, "devices.html", _list(request))


@router.get("/live/devices")
def live_devices(request: Request, session: SignedIn, revision: str = "") -> Response:
    """The list's inside when it differs from `revision`, else 204."""
    values = _list(request)
    if values["revision"] == revision:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    return draw(request, "_device_list.html", values)


def _list(request: Request) -> dict[str, object]:
    store = site_of(request).store
    devices = store.devices()
    published = [one.version for one in store.lists() if one.published_us is not None]
    chains = store.chains()
    counts = store.counts()
    return {
        "devices": devices,
        "chains": {one.device: [chain for chain in chains if chain.device == one.device] for one in devices},
        "gaps": {one.device: store.gaps(device=one.device, limit=MAX_GAPS_SHOWN) for one in devices},
        "plates": {one.device: plates_of(one.status) for one in devices},
        "newest_list": max(published, default=None),
        "counts": counts,
        "revision": f"{counts.devices}.{counts.online}.{counts.revision}.{len(published)}",
    }


def plates_of(status: Mapping[str, int | str]) -> Plates | None:
    """The reader's counts in a device's last status; None where it has told none."""
    read = status.get("reader.plates_read")
    if not isinstance(read, int):
        return None
    told = {why: status.get(f"reader.rejected_{why}") for why in REJECTED}
    return Plates(read=read, rejected={why: count for why, count in told.items() if isinstance(count, int)})
