"""What surrounds every answer: security headers, a limit on what may be sent in, which host names are answered, one
log line.

Decided here: the content policy (nothing inline, nothing from elsewhere), no caching outside /static, no log of a path
that no page has (a person may have typed a plate into it) and never of a query. Pure ASGI, outermost, so that even an
error page carries it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 64 * 1024
_LOG = logging.getLogger("vedette.web")

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}


class Shield:
    """Wraps the application. `hosts` are the names answered to (empty: any), `tls` says whether browsers may be told to
    insist.
    """

    def __init__(self, app: ASGIApp, *, hosts: frozenset[str], tls: bool) -> None:
        self._app = app
        self._hosts = hosts
        self._tls = tls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        started_s = time.monotonic()
        status = 500

        async def shielded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._add_headers(scope["path"], MutableHeaders(raw=message["headers"]))
            await send(message)

        try:
            await (self._refusal(scope) or self._app)(scope, receive, shielded)
        finally:
            route = getattr(scope.get("route"), "path", "(no such page)")
            _LOG.info("%s %s %d %d ms", scope["method"], route, status, (time.monotonic() - started_s) * 1000)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        headers = Headers(scope=scope)
        if self._hosts and _host_name(headers.get("host", "")) not in self._hosts:
            return PlainTextResponse("This server does not answer to that name.\n", 421)
        if scope["method"] in ("GET", "HEAD"):
            return None
        if scope["method"] != "POST":
            return PlainTextResponse("GET, HEAD and POST only.\n", 405, {"Allow": "GET, HEAD, POST"})
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return PlainTextResponse("Forms are taken from this site's own pages only.\n", 403)
        length = headers.get("content-length", "")
        if not length.isdecimal():
            return PlainTextResponse("A form must state its length.\n", 411)
        if int(length[:12]) > MAX_BODY_BYTES:
            return PlainTextResponse(f"A form has {MAX_BODY_BYTES} bytes at most.\n", 413)
        return None

    def _add_headers(self, path: str, headers: MutableHeaders) -> None:
        for name, value in HEADERS.items():
            headers[name] = value
        headers["Cache-Control"] = "public, max-age=300" if path.startswith("/static/") else "no-store"
        if self._tls:
            headers["Strict-Transport-Security"] = "max-age=31536000"


def _host_name(host: str) -> str:
    if host.startswith("["):
        return host[: host.find("]") + 1].lower()
    return host.rsplit(":", 1)[0].lower() if ":" in host else host.lower()
