"""The append-only log: its checkpoint, to be compared with what others have seen, and its tiles."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from sync.central.log import Log
from sync.central.web.site import SignedIn, draw, site_of
from vedette import tiles
from vedette.errors import NotFound

router = APIRouter()
SHOWN_COMPLAINTS = 10


@router.get("/log")
def show_log(request: Request, session: SignedIn) -> Response:
    """The checkpoint, the last complaints (all are on their own page), and the last things people did."""
    store = site_of(request).store
    try:
        checkpoint = store.checkpoint()
    except NotFound:
        checkpoint = ""
    values = {
        "checkpoint": checkpoint,
        "chains": store.chains(),
        "counts": store.counts(),
        "quarantine": store.quarantine(limit=SHOWN_COMPLAINTS),
        "accesses": store.accesses(limit=50) if session.user.role == "admin" else [],
    }
    return draw(request, "log.html", values)


@router.get("/log/checkpoint")
def checkpoint_text(request: Request, session: SignedIn) -> Response:
    """The checkpoint as C2SP tlog-checkpoint text."""
    return PlainTextResponse(site_of(request).store.checkpoint())


@router.get("/log/tile/{path:path}")
def tile(request: Request, session: SignedIn, path: str) -> Response:
    """One tile or entry bundle (C2SP tlog-tiles), the same bytes for ever."""
    wanted = tiles.parse_path(f"tile/{path}")
    log = Log(site_of(request).store.db)
    return Response(log.tile(wanted, log.size), media_type="application/octet-stream")
