"""The live list of hits, one hit in full, and a person's decision about it.

Decided here: confirming asks for a tick that says the picture was compared by eye; the list refreshes by asking for
the fragment again with the revision it has.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import RedirectResponse, Response

from sync.central.rows import HIT_STATES, HitState
from sync.central.web.site import DECIDERS, CheckedForm, SignedIn, draw, field, safe_path, site_of
from vedette.errors import Refused

router = APIRouter()
PAGE_HITS = 40
After = Annotated[str | None, Query(max_length=36)]


@router.get("/")
def show_hits(request: Request, session: SignedIn, state: str = "", after: After = None) -> Response:
    """The newest hits, all or those in one state."""
    return draw(request, "hits.html", _list(request, state, after))


@router.get("/live/hits")
def live_hits(request: Request, session: SignedIn, state: str = "", revision: str = "") -> Response:
    """The list's inside when it differs from `revision`, else 204."""
    if _revision(request) == revision:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    return draw(request, "_hit_list.html", _list(request, state, None))


def _revision(request: Request) -> str:
    counts = site_of(request).store.counts()
    return f"{counts.devices}.{counts.online}.{counts.revision}"


def _list(request: Request, state: str, after: str | None) -> dict[str, object]:
    store = site_of(request).store
    wanted = _state(state) if state else None
    # The revision is read first: what arrives between the two reads is then drawn again, never missed.
    revision = _revision(request)
    rows = store.hits(limit=PAGE_HITS + 1, after=after, state=wanted)
    more = rows[PAGE_HITS - 1].hit if len(rows) > PAGE_HITS else None
    return {
        "revision": revision,
        "counts": store.counts(),
        "hits": rows[:PAGE_HITS],
        "wanted": state,
        "after": after,
        "more": more,
        "states": HIT_STATES,
    }


@router.get("/hits/{hit}")
def show_hit(request: Request, session: SignedIn, hit: str) -> Response:
    """Everything known about one hit."""
    store = site_of(request).store
    row = store.hit(hit)
    return draw(request, "hit.html", {"hit": row, "decisions": store.decisions(hit), "states": HIT_STATES})


@router.get("/hits/{hit}/pictures/{name}")
def show_picture(request: Request, session: SignedIn, hit: str, name: str) -> Response:
    """One JPEG of a hit, opened for this answer only."""
    return Response(site_of(request).store.picture(hit, name), media_type="image/jpeg")


@router.post("/hits/{hit}/decision")
def decide(request: Request, session: SignedIn, form: CheckedForm, hit: str) -> Response:
    """Move a hit to another state in the signed-in person's name."""
    if session.user.role not in DECIDERS:
        raise HTTPException(HTTPStatus.FORBIDDEN)
    state = _state(field(form, "state"))
    if state == "confirmed" and field(form, "compared") != "yes":
        raise Refused("a hit is confirmed only after its picture was compared with the plate by eye; tick the box")
    site_of(request).store.decide_hit(hit, state, session.user.name, field(form, "note").strip())
    return RedirectResponse(safe_path(field(form, "back")), HTTPStatus.SEE_OTHER)


def _state(text: str) -> HitState:
    if text not in HIT_STATES:
        raise HTTPException(HTTPStatus.BAD_REQUEST)
    return text
