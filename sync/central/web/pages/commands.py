"""Asking a device to record or to mark, and what came of each command.

Decided here: who may decide about hits may ask, with a reason; everybody signed in sees who asked what. The page leaves
a row, signed and sent by the ingest process: this one has no key (docs/spec/activation.md, AC-32).
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta, timezone
from http import HTTPStatus

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from sync.central import remote_commands
from sync.central.remote_commands import USUAL_VALID_S
from sync.central.web.site import DECIDERS, CheckedForm, SignedIn, draw, field, site_of
from vedette.activation_record import MAX_REASON, RECOVER, VERBS

router = APIRouter()
SHOWN = 50
LIVES_S = (30, USUAL_VALID_S, 300, 600)


@router.get("/commands")
def show_commands(request: Request, session: SignedIn, device: str = "") -> Response:
    """The form, for those who may ask, and the newest commands."""
    devices = [one for one in site_of(request).store.devices() if one.revoked_us is None]
    form = {
        "devices": devices,
        "chosen": device,
        "verbs": VERBS,
        "recover": RECOVER,
        "lives_s": LIVES_S,
        "usual_s": USUAL_VALID_S,
        "max_reason": MAX_REASON,
    }
    return draw(request, "commands.html", {**_list(request), **form})


@router.get("/live/commands")
def live_commands(request: Request, session: SignedIn, revision: str = "") -> Response:
    """The list's inside when it differs from `revision`, else 204."""
    values = _list(request)
    if values["revision"] == revision:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    return draw(request, "_command_list.html", values)


@router.post("/commands")
def ask(request: Request, session: SignedIn, form: CheckedForm) -> Response:
    """Ask a device in the signed-in person's name."""
    if session.user.role not in DECIDERS:
        raise HTTPException(HTTPStatus.FORBIDDEN)
    valid_s = field(form, "valid_s")
    if not (valid_s.isascii() and valid_s.isdigit() and len(valid_s) <= 4):
        raise HTTPException(HTTPStatus.BAD_REQUEST)
    command = field(form, "command")
    remote_commands.ask(
        site_of(request).store,
        field(form, "device"),
        command,
        user=session.user.name,
        reason=field(form, "reason"),
        valid_s=int(valid_s),
        span=(_moment_us(field(form, "begin")), _moment_us(field(form, "end"))) if command == RECOVER else None,
    )
    return RedirectResponse("/commands", HTTPStatus.SEE_OTHER)


def _moment_us(text: str) -> int:
    """UTC µs of what a browser's field for day and time says, in the centre's own zone, as the pages show times."""
    try:
        moment = datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise HTTPException(HTTPStatus.BAD_REQUEST) from None
    return (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1)


def _list(request: Request) -> dict[str, object]:
    site = site_of(request)
    now_us = site.clock.utc_us()
    rows = [(one, one.state(now_us)) for one in remote_commands.commands_to(site.store, limit=SHOWN)]
    shown = "\n".join(f"{one.id} {state} {one.custody_seq} {one.why}" for one, state in rows)
    return {"commands": rows, "revision": hashlib.sha256(shown.encode()).hexdigest()[:16]}
