"""The application: its routes, its static files and what a person sees when something is wrong.

Decided here: which error becomes which page. Every answer passes through `Shield`.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from sync.central.store import Store
from sync.central.web.pages import commands, devices, evidence, hits, log, player, quarantine, shift, sign_in
from sync.central.web.shield import Shield
from sync.central.web.site import SignInNeeded, draw, language_of, make_site
from vedette.clock import Clock, SystemClock
from vedette.config import WebSection
from vedette.errors import Integrity, NotFound, NotTrusted, Refused, Usage, VedetteError
from vedette.trust import Trust

_STATUS: tuple[tuple[type[VedetteError], int], ...] = (
    (NotFound, HTTPStatus.NOT_FOUND),
    (Refused, HTTPStatus.CONFLICT),
    (Usage, HTTPStatus.BAD_REQUEST),
    (NotTrusted, HTTPStatus.CONFLICT),
    (Integrity, HTTPStatus.CONFLICT),
)
_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]", "testserver"})
_LOG = logging.getLogger("vedette.web")


def create_app(store: Store, web: WebSection, trust: Trust, clock: Clock | None = None) -> ASGIApp:
    """The pages over `store`; with TLS cookies unless `web.host` is the loopback."""
    app = FastAPI(title="Vedette", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.site = make_site(store, web, trust, clock or SystemClock())
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
    for page in (sign_in, hits, devices, shift, commands, evidence, player, log, quarantine):
        app.include_router(page.router)
    app.add_exception_handler(SignInNeeded, _to_sign_in)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(VedetteError, _vedette_error)
    app.add_exception_handler(Exception, _broken)
    tls: bool = app.state.site.tls
    # A page on the loopback answers to loopback names only, so that no site elsewhere can rebind its own name to it.
    return Shield(app, hosts=frozenset() if tls else _LOOPBACK_NAMES, tls=tls)


async def _to_sign_in(request: Request, error: Exception) -> Response:
    wants_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
    if request.url.path.startswith("/live/") or not wants_page:
        return Response("sign in first\n", HTTPStatus.UNAUTHORIZED, media_type="text/plain")
    return RedirectResponse(f"/login?back={quote(request.url.path)}", HTTPStatus.SEE_OTHER)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    key = error.detail if error.detail in ("form", "locked") else str(error.status_code)
    return _error_page(request, error.status_code, key, "")


async def _vedette_error(request: Request, error: Exception) -> Response:
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
    return _error_page(
        request, status, type(error).__name__ if status == HTTPStatus.CONFLICT else str(int(status)), str(error)
    )


async def _broken(request: Request, error: Exception) -> Response:
    _LOG.error("%s failed", getattr(request.scope.get("route"), "path", "(no such page)"), exc_info=error)
    return _error_page(request, HTTPStatus.INTERNAL_SERVER_ERROR, "500", "")


def _error_page(request: Request, status: int, key: str, detail: str) -> Response:
    language = language_of(request)
    known = key if language.has(f"error.{key}") else "other"
    return draw(request, "error.html", {"key": f"error.{known}", "code": int(status), "detail": detail}, status=status)
