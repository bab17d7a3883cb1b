"""The depot's HTTPS door as tus 1.0 (creation, checksum): where cars on the depot's network leave their bulk video.

Decided here: how the wire's init, parts and fin read as requests and its answers as responses; the bytes at rest and
the receipts are those of the MQTT way, the engine is `sync.central.depot_desk`. The device is the common name of the
client certificate, never anything a request says. What is refused here, and not by the engine, because it is no message
is put into quarantine. Implements DE-1 to DE-5 and DE-17 of docs/spec/depot.md.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from sync.central.depot_desk import Desk, Late, Talk
from sync.central.depot_refusals import (
    ANSWER_HEADER,
    STATUS,
    TUS,
    Failed,
    Malformed,
    check_certificate,
    complain,
    guarded,
    no_request,
    refuse,
)
from sync.central.depot_refusals import DEVICE as DEVICE
from sync.parts import PartSet
from sync.receiver import MAX_UPLOADS_PER_DEVICE
from vedette import wire
from vedette.clock import check_uuid7
from vedette.errors import Integrity
from vedette.wire import Ack, Fin, FromCentre, Grant, Init, Part, Refuse, RefuseCode, Sealed, parts_of

OCTETS = "application/offset+octet-stream"
MOST_IN_FLIGHT = 16
MAX_KNOWN = 2 * MAX_UPLOADS_PER_DEVICE
ROOM_S = 10.0
BAD_OFFSET, BAD_CHECKSUM = 409, 460
_CHECKSUMS: dict[str, Callable[..., Any]] = {
    "sha256": hashlib.sha256,
    "sha1": partial(hashlib.sha1, usedforsecurity=False),
}  # tus demands sha1


@dataclass(kw_only=True, slots=True)
class _Upload:
    """What this process knows of an upload under way: how it is cut, and which parts are durable."""

    init: Init
    part_size: int
    credit: int
    durable: PartSet = field(default_factory=lambda: PartSet(0))

    @property
    def next_part(self) -> int:
        """The first part that is not durable; how many there are, when all are."""
        return next(self.durable.missing(), self.durable.total)

    @property
    def offset(self) -> int:
        """Bytes from the beginning that are durable without a gap."""
        return min(self.init.size, self.next_part * self.part_size)

    def part(self, index: int, payload: bytes) -> Part:
        return Part(item=self.init.item, index=index, payload=payload)

    def size_of(self, index: int) -> int:
        return min(self.part_size, self.init.size - index * self.part_size)

    def heard(self, ranges: wire.Ranges, credit: int) -> None:
        for first, last in ranges:
            self.durable.add(first, last)
        self.credit = credit


class _Known:
    """The uploads of all devices; of each the MAX_KNOWN that it last spoke of, twice what the engine has under way."""

    def __init__(self) -> None:
        self._of: dict[str, dict[str, _Upload]] = {}

    def get(self, device: str, item: str) -> _Upload | None:
        """What is known of that upload, which is the last to be forgotten from now on."""
        mine = self._of.get(device, {})
        upload = mine.pop(item, None)
        if upload is not None:
            mine[item] = upload
        return upload

    def keep(self, device: str, upload: _Upload) -> None:
        """Know this upload; where there are too many, the one that was not spoken of for longest is not known more."""
        mine = self._of.setdefault(device, {})
        mine[upload.init.item] = upload
        while len(mine) > MAX_KNOWN:
            del mine[next(iter(mine))]

    def forget(self, device: str, item: str) -> None:
        """It is over."""
        mine = self._of.get(device, {})
        mine.pop(item, None)
        if not mine:
            self._of.pop(device, None)


def make_app(desk: Desk, receipt_of: Callable[[str, str], bytes | None], *, max_item_bytes: int) -> Starlette:
    """The application; `receipt_of(device, item)` is the stored receipt of an item that is that device's, or None."""
    door = _Door(desk, receipt_of, max_item_bytes)

    @asynccontextmanager
    async def life(_app: Starlette) -> AsyncIterator[None]:
        desk.start()
        try:
            yield
        finally:
            desk.stop()

    routes = [
        Route("/files", guarded(desk, door.options), methods=["OPTIONS"]),
        Route("/files", guarded(desk, door.create), methods=["POST"]),
        Route("/files/{item}", guarded(desk, door.look), methods=["HEAD"]),
        Route("/files/{item}", guarded(desk, door.append), methods=["PATCH"]),
        Route("/files/{item}", guarded(desk, door.finish), methods=["GET"]),
    ]
    return Starlette(routes=routes, lifespan=life, exception_handlers={HTTPException: no_request(desk)})


class _Door:
    """The requests. All of them run in one event loop; the uploads known are forgotten with the process."""

    def __init__(self, desk: Desk, receipt_of: Callable[[str, str], bytes | None], max_item_bytes: int) -> None:
        self.desk = desk
        self._receipt_of = receipt_of
        self._max_item_bytes = max_item_bytes
        self._uploads = _Known()

    async def options(self, request: Request) -> Response:
        """What this server speaks."""
        headers = {
            "Tus-Version": TUS,
            "Tus-Extension": "creation,checksum",
            "Tus-Checksum-Algorithm": ",".join(_CHECKSUMS),
            "Tus-Max-Size": str(self._max_item_bytes),
        }
        return Response(status_code=204, headers=headers)

    async def create(self, request: Request) -> Response:
        """POST: init. The answer's offset is what of the item is durable here already."""
        device, init = _device(request), _init(request)
        async with self.desk.talk(device, init.item) as talk:
            answer = await talk.ask(init)
            self._note(device, init, answer)
            upload = self._uploads.get(device, init.item)
            if isinstance(answer, Grant) and upload is not None:
                await self._until_room(device, upload, talk)
                answer = replace(answer, have=upload.durable.ranges, credit=upload.credit)
        offset = init.size if upload is None else upload.offset
        body = answer.encode()
        headers = {
            "Location": f"/files/{init.item}",
            "Upload-Offset": str(offset),
            ANSWER_HEADER: answer.name,
        }
        return Response(body, 201, headers=headers, media_type="application/json")

    async def look(self, request: Request) -> Response:
        """HEAD: how much is durable."""
        upload = self._known(request)
        return Response(headers={"Upload-Offset": str(upload.offset), "Upload-Length": str(upload.init.size)})

    async def append(self, request: Request) -> Response:
        """PATCH: parts. What is durable when the request ends, or breaks off, stays."""
        upload, device = self._known(request), _device(request)
        kind, offset = request.headers.get("Content-Type"), request.headers.get("Upload-Offset", "")
        if kind != OCTETS:
            raise Malformed(request, 415, f"the content type must be {OCTETS}")
        async with self.desk.talk(device, upload.init.item) as talk:
            if offset != str(upload.offset):
                text = f"Upload-Offset must be {upload.offset}"
                if not re.fullmatch(r"\d{1,20}", offset, re.ASCII):
                    await complain(self.desk, request, "Upload-Offset must be a number")
                raise Failed(BAD_OFFSET, refuse(request, RefuseCode.UNKNOWN_ITEM, text), upload.offset)
            await _Pump(self, device, upload, talk, request).run()
            await self._until_room(device, upload, talk)
        answer = Ack(item=upload.init.item, ranges=upload.durable.ranges, credit=upload.credit)
        value = base64.b64encode(answer.encode()).decode()
        return Response(
            status_code=204,
            headers={"Upload-Offset": str(upload.offset), ANSWER_HEADER: f"{Ack.name} {value}"},
        )

    async def finish(self, request: Request) -> Response:
        """GET: fin. The receipt, once every byte is durable, hashed, logged and signed for."""
        device, item = _device(request), check_uuid7(str(request.path_params["item"]))
        upload = self._uploads.get(device, item)
        if upload is None:
            receipt = self._receipt_of(device, item)
            if receipt is None:
                raise Failed(404, refuse(request, RefuseCode.UNKNOWN_ITEM, "the item is not here and not under way"))
            answer: FromCentre = Sealed(item=item, receipt=receipt)
        else:
            async with self.desk.talk(device, item) as talk:
                answer = await talk.ask(Fin(item=item, sha256=upload.init.sha256))
                self._note(device, upload.init, answer)
                while isinstance(answer, Ack) and upload.durable.complete:  # it was on its way when fin was said
                    answer = await talk.hear()
                    self._note(device, upload.init, answer)
            if not isinstance(answer, Sealed):
                text = f"{upload.offset} of {upload.init.size} bytes are here"
                raise Failed(BAD_OFFSET, refuse(request, RefuseCode.UNKNOWN_ITEM, text), upload.offset)
        return Response(answer.encode(), headers={ANSWER_HEADER: answer.name}, media_type="application/json")

    async def _until_room(self, device: str, upload: _Upload, talk: Talk) -> None:
        """Keep the answer back while there is no credit: nothing else could tell the client when there is."""
        while not upload.credit and not upload.durable.complete:
            try:
                self._note(device, upload.init, await talk.hear(ROOM_S))
            except Late:
                return

    def _known(self, request: Request) -> _Upload:
        upload = self._uploads.get(_device(request), str(request.path_params["item"]))
        if upload is None:
            raise Failed(404, refuse(request, RefuseCode.UNKNOWN_ITEM, "no such upload is under way; create it"))
        return upload

    def _note(self, device: str, init: Init, answer: FromCentre) -> None:
        """Remember where the upload stands; a refusal forgets it and ends the request."""
        known = self._uploads.get(device, init.item)
        if isinstance(answer, Refuse):
            self._uploads.forget(device, init.item)
            raise Failed(STATUS[answer.code], answer)
        if isinstance(answer, Sealed):
            self._uploads.forget(device, init.item)
            if known is not None:  # a fin that came before the last part was remembered
                known.heard(((0, known.durable.total - 1),), known.credit)
        elif isinstance(answer, Grant) and known is not None and known.part_size == answer.part_size:
            known.init, known.credit = init, answer.credit
            known.durable = PartSet(known.durable.total, answer.have)  # it may be less: what rested too long is gone
        elif isinstance(answer, Grant):
            durable = PartSet(parts_of(init.size, answer.part_size), answer.have)
            new = _Upload(init=init, part_size=answer.part_size, credit=answer.credit, durable=durable)
            self._uploads.keep(device, new)
        elif isinstance(answer, Ack) and known is not None:
            known.heard(answer.ranges, answer.credit)

    def heard(self, device: str, upload: _Upload, answer: FromCentre) -> None:
        """Take an answer to a part."""
        self._note(device, upload.init, answer)


class _Pump:
    """Cuts a request's body into parts and keeps as many on their way as the engine gives credit for."""

    def __init__(self, door: _Door, device: str, upload: _Upload, talk: Talk, request: Request) -> None:
        self._door = door
        self._device = device
        self._upload = upload
        self._talk = talk
        self._request = request
        self._waiting: set[int] = set()

    async def run(self) -> None:
        """Until the body ends or breaks off; an incomplete part at its end is not kept."""
        wanted = _checksum(self._request)
        index, buffer = self._upload.next_part, bytearray()
        try:
            async for piece in self._request.stream():
                buffer += piece
                while index < self._upload.durable.total and len(buffer) >= self._upload.size_of(index):
                    if wanted is None:
                        await self._send(index, buffer)
                        index += 1
                    elif len(buffer) > self._upload.size_of(index):
                        raise self._wrong(400, "a body with Upload-Checksum holds one part at most")
                    else:
                        break
                if index == self._upload.durable.total and buffer:
                    raise self._wrong(413, "the body goes past Upload-Length")
        except ClientDisconnect:
            wanted = None
        if wanted is not None:
            name, digest = wanted
            if _CHECKSUMS[name](buffer).digest() != digest:
                raise self._wrong(BAD_CHECKSUM, f"the body's {name} is another than Upload-Checksum")
            if buffer and len(buffer) == self._upload.size_of(index):
                await self._send(index, buffer)
        while self._waiting:
            await self._hear()

    async def _send(self, index: int, buffer: bytearray) -> None:
        await check_certificate(self._door.desk, self._request)
        size = self._upload.size_of(index)
        while len(self._waiting) >= min(MOST_IN_FLIGHT, self._upload.credit):
            await self._hear()
        if index not in self._upload.durable:
            self._waiting.add(index)
            self._talk.tell(self._upload.part(index, bytes(buffer[:size])))
        del buffer[:size]

    async def _hear(self) -> None:
        self._door.heard(self._device, self._upload, await self._talk.hear())
        self._waiting = {index for index in self._waiting if index not in self._upload.durable}

    def _wrong(self, status: int, text: str) -> Malformed:
        return Malformed(self._request, status, text, self._upload.offset)


def _device(request: Request) -> str:
    device: Any = request.scope.get(DEVICE)
    if not isinstance(device, str):
        raise Failed(403, refuse(request, RefuseCode.REVOKED, "there is no client certificate"))
    return device


def _init(request: Request) -> Init:
    """The init in `Upload-Metadata: init <base64>`, of the size that `Upload-Length` says; raises Integrity."""
    pairs = [pair.strip().split(" ") for pair in request.headers.get("Upload-Metadata", "").split(",")]
    values = [pair[1] for pair in pairs if len(pair) == 2 and pair[0] == Init.name]
    if len(values) != 1:
        raise Integrity("Upload-Metadata must hold `init` and the message in base64")
    try:
        message = wire.decode(Init.name, base64.b64decode(values[0], validate=True))
    except (binascii.Error, ValueError):
        raise Integrity("Upload-Metadata: init is not base64") from None
    if not isinstance(message, Init) or request.headers.get("Upload-Length") != str(message.size):
        raise Integrity("Upload-Length must be the size that init names")
    return message


def _checksum(request: Request) -> tuple[str, bytes] | None:
    text = request.headers.get("Upload-Checksum")
    if text is None:
        return None
    name, _, value = text.partition(" ")
    try:
        digest = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if name not in _CHECKSUMS or len(digest) != _CHECKSUMS[name]().digest_size:
        said = f"Upload-Checksum must be one of {', '.join(_CHECKSUMS)} and its base64"
        raise Malformed(request, 400, said)
    return name, digest
