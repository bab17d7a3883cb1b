"""Asks a witness for its cosignature over HTTP (C2SP tlog-witness), and reads what it cosigned last.

Decided here: time-out, size of an answer, no redirects and no proxy of the environment. What to ask is
`sync.central.cosigning`.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable
from urllib.parse import quote, urlsplit

from vedette.errors import NotTrusted, Refused, Usage
from vedette.note import MAX_NOTE_BYTES
from vedette.witness import CONFLICT, SIZE_TYPE, Rejected, Request

TIMEOUT_S = 10.0
Ask = Callable[[str, Request], str]


def ask(url: str, request: Request) -> str:
    """The signature lines with which the witness at `url` (its submission prefix) answers.

    Raises Rejected where it refuses (with its size where the old size was wrong), Refused where it cannot be reached.
    """
    status, kind, text = _call(url, "POST", "/add-checkpoint", request.to_text().encode())
    if status == 200:
        return text
    size = text.strip()
    if status == CONFLICT and kind == SIZE_TYPE and size.isascii() and size.isdigit() and len(size) <= 16:
        raise Rejected(status, f"the witness has {size} leaves", size=int(size))
    raise Rejected(status, f"the witness refused ({status}): {' '.join(text.split())[:300]}")


def last_cosigned(url: str, origin: str) -> str:
    """The last checkpoint of log `origin` that the witness at `url` cosigned, as the log signed it."""
    status, _kind, text = _call(url, "GET", f"/logs/{quote(origin, safe='')}", None)
    if status != 200:
        raise Refused(f"the witness at {url} has no checkpoint of {origin} ({status})")
    return text


def _call(url: str, method: str, path: str, body: bytes | None) -> tuple[int, str, str]:
    parts = urlsplit(url)
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    if parts.scheme not in kinds or not parts.hostname:
        raise Usage(f"{url[:80]!r} is not an http or https address")
    try:
        connection = kinds[parts.scheme](parts.hostname, parts.port, timeout=TIMEOUT_S)
        try:
            connection.request(method, parts.path.rstrip("/") + path, body=body)
            answer = connection.getresponse()
            data = answer.read(MAX_NOTE_BYTES + 1)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Refused(f"the witness at {url} cannot be asked: {error}") from None
    if len(data) > MAX_NOTE_BYTES:
        raise NotTrusted(f"the witness at {url} answered with over {MAX_NOTE_BYTES} bytes")
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return answer.status, kind, data.decode("utf-8", "replace")
