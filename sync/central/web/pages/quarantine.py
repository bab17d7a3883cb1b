"""What came in and did not verify, and what of it was counted without being kept.

Decided here: everybody who is signed in sees it, page by page, of all devices or of one; the kept bytes are taken out
on the centre's machine (`vedette central quarantine --save`) and not by a browser. Implements CS-19 of
docs/spec/case-store.md.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from sync.central.quarantine import MAX_PER_DEVICE, complaints, counts
from sync.central.web.site import SignedIn, draw, site_of
from vedette.fields import MAX_DEVICE_ID

router = APIRouter()
PAGE_COMPLAINTS = 50
PAGE_COUNTS = 20
_LAST_NUMBER = (1 << 63) - 1


@router.get("/log/quarantine")
def show_quarantine(
    request: Request,
    session: SignedIn,
    device: Annotated[str, Query(max_length=MAX_DEVICE_ID)] = "",
    after: Annotated[int | None, Query(ge=1, le=_LAST_NUMBER)] = None,
    skip: Annotated[int, Query(ge=0, le=_LAST_NUMBER)] = 0,
) -> Response:
    """Complaints, newest first, and counts, the most often counted first; `skip` counts are on the pages before."""
    store = site_of(request).store
    rows = complaints(store, device=device or None, limit=PAGE_COMPLAINTS + 1, after=after)
    counted = counts(store, device=device or None, limit=PAGE_COUNTS + 1, skip=skip)
    values = {
        "counts": store.counts(),
        "complaints": rows[:PAGE_COMPLAINTS],
        "more": rows[PAGE_COMPLAINTS - 1].id if len(rows) > PAGE_COMPLAINTS else None,
        "after": after,
        "counted": counted[:PAGE_COUNTS],
        "more_counts": skip + PAGE_COUNTS if len(counted) > PAGE_COUNTS else None,
        "skip": skip,
        "device": device,
        "devices": [one.device for one in store.devices()],
        "most": MAX_PER_DEVICE,
    }
    return draw(request, "quarantine.html", values)
