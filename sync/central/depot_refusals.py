"""What the depot's door says when it takes nothing, and what it keeps of a request that no honest client makes.

Decided here: which refusal is put into quarantine. Whether a certificate still holds is asked before anything else. The
engine puts down what does not verify; what never comes to it, because it is no message of the wire and no request of
tus, is put down here with its head. That an upload is not there, stands elsewhere, or must wait is no complaint.
Implements DE-17 and DE-18 of docs/spec/depot.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from sync.central.depot_desk import LISTED, Desk
from vedette import wire
from vedette.clock import check_uuid7
from vedette.errors import Integrity, Refused, VedetteError
from vedette.wire import Refuse, RefuseCode

TUS = "1.0.0"
DEVICE, SERIAL = "vedette.device", "vedette.certificate"
ANSWER_HEADER = "Vedette-Answer"
STATUS = {
    RefuseCode.UNKNOWN_ITEM: 404,
    RefuseCode.BUSY: 503,
    RefuseCode.MISMATCH: 409,
    RefuseCode.INVALID: 422,
    RefuseCode.CONFLICT: 409,
    RefuseCode.REVOKED: 403,
}
NO_ITEM = "00000000-0000-7000-8000-000000000000"
Answer = Callable[[Request], Awaitable[Response]]


class Failed(Exception):
    """A request ends with this response."""

    def __init__(self, status: int, refuse: Refuse, offset: int | None = None) -> None:
        super().__init__(refuse.text)
        self.status = status
        self.refuse = refuse
        self.offset = offset


class Malformed(Failed):
    """The request is none that an honest client makes: it is refused, and put into quarantine."""

    def __init__(self, request: Request, status: int, text: str, offset: int | None = None) -> None:
        super().__init__(status, refuse(request, RefuseCode.INVALID, text), offset)


def guarded(desk: Desk, work: Answer) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    """`work` with its refusals as responses, what is malformed in quarantine, and what tus wants of each."""

    async def handle(request: Request) -> Response:
        try:
            await check_certificate(desk, request)
            told = request.headers.get("Tus-Resumable", TUS)
            if told != TUS:
                raise Malformed(request, 412, f"tus {told[:20]} is not spoken here, {TUS} is")
            response = await work(request)
        except Malformed as failed:
            await complain(desk, request, failed.refuse.text)
            response = _response(failed)
        except Failed as failed:
            response = _response(failed)
        except Refused as error:
            response = _response(Failed(503, refuse(request, RefuseCode.BUSY, str(error))))
        except VedetteError as error:
            await complain(desk, request, str(error))
            response = _response(Malformed(request, 422, str(error)))
        response.headers["Tus-Resumable"] = TUS
        response.headers["Cache-Control"] = "no-store"
        return response

    return handle


async def check_certificate(desk: Desk, request: Request) -> None:
    """Raises Failed where the certificate of the request's connection is on the revocation list now."""
    device, serial = request.scope.get(DEVICE), request.scope.get(SERIAL)
    if isinstance(device, str) and isinstance(serial, int) and desk.is_revoked(serial):
        code = await desk.turn_away(device)
        raise Failed(STATUS[code], refuse(request, code, LISTED))


def no_request(desk: Desk) -> Callable[[Request, Exception], Coroutine[Any, Any, Response]]:
    """What is answered to another path than the door's, or another method: Starlette raises HTTPException for them."""

    async def handle(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)

        async def fail(request: Request) -> Response:
            what = f"{request.method[:20]} {request.url.path[:100]}"
            raise Malformed(request, error.status_code, f"{what} is no request of the depot's door")

        response = await guarded(desk, fail)(request)
        response.headers.update(error.headers or {})
        return response

    return handle


def refuse(request: Request, code: RefuseCode, text: str) -> Refuse:
    """A refusal about the item in the request's path."""
    return Refuse(item=_item(request) or NO_ITEM, code=code, text=text[: wire.MAX_TEXT])


async def complain(desk: Desk, request: Request, text: str) -> None:
    """Put the head of a request into quarantine, as its device's."""
    device = request.scope.get(DEVICE)
    if isinstance(device, str):
        head = [request.method.encode(), b" ", request.scope.get("raw_path", b""), b"\n"]
        head += [part for name, value in request.headers.raw for part in (name, b": ", value, b"\n")]
        await desk.complain(device, _item(request), text, b"".join(head))


def _item(request: Request) -> str | None:
    try:
        return check_uuid7(str(request.path_params.get("item", "")))
    except Integrity:
        return None


def _response(failed: Failed) -> Response:
    response = Response(failed.refuse.encode(), failed.status, media_type="application/json")
    response.headers[ANSWER_HEADER] = Refuse.name
    if failed.offset is not None:
        response.headers["Upload-Offset"] = str(failed.offset)
    if failed.status == 412:
        response.headers["Tus-Version"] = TUS
    return response
