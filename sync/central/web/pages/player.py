"""Unlocking with a person's own evidence key, locking again, and the opened video.

Decided here: a key is taken only if it opens the item it was offered for, with a reason that is kept beside every
later viewing; a request for video without an unlocked key is refused, never answered with sealed bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, HTTPException, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse
from starlette.datastructures import FormData, UploadFile

from sync.central.rows import ItemRow
from sync.central.web.auth import Session
from sync.central.web.playback import MAX_IDENTITY_BYTES, Opened, Span, open_item, read_identities, span_of
from sync.central.web.site import DECIDERS, CheckedForm, SignedIn, Site, field, safe_path, site_of
from vedette.errors import Refused
from vedette.sealed import NoMatch

router = APIRouter()
MIN_REASON_CHARACTERS = 3
MAX_REASON_CHARACTERS = 500


@router.post("/key/unlock")
def unlock(request: Request, session: SignedIn, form: CheckedForm) -> Response:
    """Lend the identities of the uploaded file to this session, once they have opened the item they are meant for."""
    _may_open(session)
    site, reason = site_of(request), field(form, "reason").strip()
    if not MIN_REASON_CHARACTERS <= len(reason) <= MAX_REASON_CHARACTERS:
        raise Refused(
            f"say why you open this evidence, in {MIN_REASON_CHARACTERS} to {MAX_REASON_CHARACTERS} characters"
        )
    row = site.store.item(field(form, "item"))
    identities = read_identities(_uploaded(form))
    try:
        open_item(site.store.blobs.open(row.sealed_sha256), identities, complete=row.complete).close()
    except NoMatch:
        site.store.note_access(session.user.name, "unlock refused", row.item, reason)
        raise Refused("this key does not open this item: it was sealed to other keys") from None
    site.keyring.lend(session.name, identities, reason)
    site.store.note_access(session.user.name, "unlock", row.item, reason)
    return RedirectResponse(f"/evidence/{row.item}", HTTPStatus.SEE_OTHER)


def _uploaded(form: FormData) -> bytes:
    upload = form.get("identity")
    return upload.file.read(MAX_IDENTITY_BYTES + 1) if isinstance(upload, UploadFile) else b""


@router.post("/key/lock")
def lock(request: Request, session: SignedIn, form: CheckedForm) -> Response:
    """Drop this session's identities now."""
    site_of(request).keyring.lock(session.name)
    return RedirectResponse(safe_path(field(form, "back")), HTTPStatus.SEE_OTHER)


@router.get("/evidence/{item}/video")
def stream_video(
    request: Request,
    session: SignedIn,
    item: str,
    wanted: Annotated[str | None, Header(alias="range")] = None,
) -> Response:
    """The opened MP4, whole (200) or one range of it (206); 403 while locked, 416 for a range outside it."""
    _may_open(session)
    site = site_of(request)
    row = site.store.item(item)
    if row.kind != "segment":
        raise HTTPException(HTTPStatus.NOT_FOUND)
    opened = _open(site, session, row)
    span = span_of(wanted, opened.size)
    if span is None:
        opened.close()
        return Response(status_code=416, headers={"Content-Range": f"bytes */{opened.size}"})
    return _video(opened, span)


def _may_open(session: Session) -> None:
    if session.user.role not in DECIDERS:
        raise HTTPException(HTTPStatus.FORBIDDEN)


def _open(site: Site, session: Session, row: ItemRow) -> Opened:
    identities = site.keyring.use(session.name)
    if not identities:
        raise HTTPException(HTTPStatus.FORBIDDEN, "locked")
    opened = open_item(site.store.blobs.open(row.sealed_sha256), identities, complete=row.complete)
    reason = site.keyring.first_look(session.name, row.item)
    if reason is not None:
        site.store.note_access(session.user.name, "play", row.item, reason)
    return opened


def _video(opened: Opened, span: Span) -> Response:
    headers = {"Accept-Ranges": "bytes", "Content-Length": str(span.length)}
    if span.partial:
        headers["Content-Range"] = f"bytes {span.first}-{span.last}/{span.size}"
    status = HTTPStatus.PARTIAL_CONTENT if span.partial else HTTPStatus.OK
    return StreamingResponse(_sent(opened, span), status, headers, media_type="video/mp4")


def _sent(opened: Opened, span: Span) -> Iterator[bytes]:
    try:
        yield from opened.pieces(span)
    finally:
        opened.close()
