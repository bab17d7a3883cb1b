"""Signing in and out, and the choice of language."""

from __future__ import annotations

import logging
import threading
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import FormData

from sync.central.rows import User
from sync.central.web.auth import same
from sync.central.web.language import LANGUAGES
from sync.central.web.site import (
    DOOR_COOKIE,
    LANGUAGE_COOKIE,
    CheckedForm,
    SignedIn,
    draw,
    field,
    read_form,
    safe_path,
    session_of,
    site_of,
)

router = APIRouter()
_LOG = logging.getLogger("vedette.web")
MAX_CHECKS = 2
LANGUAGE_LASTS_S = 365 * 86_400
# Each password check takes 32 MiB for a while; strangers may not make us take that many times at once.
_CHECKS = threading.BoundedSemaphore(MAX_CHECKS)


@router.get("/login")
def show_sign_in(request: Request, back: str = "/") -> Response:
    """The form, with a token tied to a cookie of this browser."""
    if session_of(request) is not None:
        return RedirectResponse(safe_path(back), HTTPStatus.SEE_OTHER)
    return _form(request, back=back, problem="", status=200)


def _form(request: Request, *, back: str, problem: str, status: int, wait_s: int = 0, name: str = "") -> Response:
    site = site_of(request)
    cookie = request.cookies.get(DOOR_COOKIE) or site.door.new_cookie()
    values = {"goal": safe_path(back), "problem": problem, "wait_s": wait_s, "name": name}
    token = site.door.form_token(cookie)
    response = draw(request, "login.html", {**values, "door_token": token}, status=status)
    response.set_cookie(DOOR_COOKIE, cookie, httponly=True, samesite="strict", secure=site.tls)
    return response


async def _door_form(request: Request) -> FormData:
    form = await read_form(request)
    cookie = request.cookies.get(DOOR_COOKIE, "")
    if not cookie or not same(field(form, "door_token"), site_of(request).door.form_token(cookie)):
        raise HTTPException(403, "form")
    return form


@router.post("/login")
def sign_in(request: Request, form: Annotated[FormData, Depends(_door_form)]) -> Response:
    """Check name and password; the same answer for an unknown name, a wrong password and a locked account."""
    site, address = site_of(request), request.client.host if request.client else ""
    name, back = field(form, "name").strip().lower()[:64], field(form, "back")
    wait_s = site.patience.wait_s(address)
    if wait_s:
        return _form(request, back=back, problem="wait", status=429, wait_s=wait_s, name=name)
    with _CHECKS:
        user = site.store.check_password(name, field(form, "password"))
    if user is None:
        site.patience.failed(address)
        _LOG.warning("a sign-in from %s failed", address)
        return _form(request, back=back, problem="wrong", status=403, name=name)
    site.patience.forget(address)
    return _welcome(request, user, back)


def _welcome(request: Request, user: User, back: str) -> Response:
    site = site_of(request)
    earlier = session_of(request)
    if earlier is not None:
        site.sessions.close(earlier)
        site.keyring.lock(earlier.name)
    site.store.note_access(user.name, "sign-in", "web")
    response = RedirectResponse(safe_path(back), HTTPStatus.SEE_OTHER)
    token = site.sessions.open(user)
    response.set_cookie(site.session_cookie, token, httponly=True, samesite="strict", secure=site.tls, path="/")
    response.delete_cookie(DOOR_COOKIE)
    return response


@router.post("/logout")
def sign_out(request: Request, session: SignedIn, form: CheckedForm) -> Response:
    """End the session and drop the keys it was lent."""
    site = site_of(request)
    site.keyring.lock(session.name)
    site.sessions.close(session)
    response = RedirectResponse("/login", HTTPStatus.SEE_OTHER)
    response.delete_cookie(site.session_cookie, path="/", secure=site.tls, httponly=True, samesite="strict")
    return response


@router.get("/language/{code}")
def choose_language(request: Request, code: str, back: str = "/") -> Response:
    """Remember French or English for this browser."""
    if code not in LANGUAGES:
        raise HTTPException(404)
    response = RedirectResponse(safe_path(back), HTTPStatus.SEE_OTHER)
    response.set_cookie(
        LANGUAGE_COOKIE, code, max_age=LANGUAGE_LASTS_S, httponly=True, samesite="strict", secure=site_of(request).tls
    )
    return response
