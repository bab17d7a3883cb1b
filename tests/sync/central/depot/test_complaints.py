"""A request that no honest client makes is refused, and is put where a person sees it: docs/spec/depot.md, DE-17."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

import pytest

from sync.central import depot_desk
from sync.central.database import StoreAway
from sync.central.quarantine import MAX_PER_DEVICE, all_counts, complaints, kept_bytes, kept_rows, write_counts
from vedette.wire import RefuseCode, decode

OCTETS = b"application/offset+octet-stream"
PART = 16 * 1024
WAIT_S = 20.0


def created(item: Any, **changes: Any) -> list[tuple[bytes, bytes]]:
    init = item.init(**changes)
    said = b"init " + base64.b64encode(init.encode())
    return [(b"Upload-Length", str(init.size).encode()), (b"Upload-Metadata", said)]


def appended(offset: object = 0, *more: tuple[bytes, bytes], kind: bytes = OCTETS) -> list[tuple[bytes, bytes]]:
    return [(b"Content-Type", kind), (b"Upload-Offset", str(offset).encode()), *more]


def checked(text: str) -> tuple[bytes, bytes]:
    return b"Upload-Checksum", text.encode()


def sums(store: Any) -> tuple[int, int]:
    """(rows, counted)."""
    return kept_rows(store), sum(one.times for one in all_counts(store))


TWO = base64.b64encode(hashlib.sha256(bytes(2 * PART)).digest()).decode()
WRONG = base64.b64encode(bytes(32)).decode()
Make = Callable[[Any, Any], Any]
MALFORMED: dict[str, tuple[int, Make]] = {
    "no metadata": (422, lambda item, ask: ask("POST")),
    "no base64": (422, lambda item, ask: ask("POST", headers=[(b"Upload-Metadata", b"init ????")])),
    "no message": (422, lambda item, ask: ask("POST", headers=[(b"Upload-Metadata", b"init AAAA")])),
    "another length": (422, lambda item, ask: ask("POST", headers=[*created(item), (b"Upload-Length", b"1")][1:])),
    "no id": (422, lambda item, ask: ask("GET", b"/files/..keys")),
    "another version": (412, lambda item, ask: ask("OPTIONS", headers=[(b"Tus-Resumable", b"0.2.2")])),
    "another path": (404, lambda item, ask: ask("GET", b"/files/..%2f..%2fkeys")),
    "another method": (405, lambda item, ask: ask("DELETE", b"/files/" + item.id.encode())),
    "another content": (415, lambda item, ask: patch(item, ask, appended(kind=b"text/plain"))),
    "no offset": (409, lambda item, ask: patch(item, ask, appended("x"))),
    "no checksum": (400, lambda item, ask: patch(item, ask, appended(0, checked("md5 AAAA")))),
    "two parts": (400, lambda item, ask: patch(item, ask, appended(0, checked(f"sha256 {TWO}")), bytes(2 * PART))),
    "another checksum": (460, lambda item, ask: patch(item, ask, appended(0, checked(f"sha256 {WRONG}")), bytes(9))),
    "past the end": (413, lambda item, ask: patch(item, ask, appended(), bytes(len(item.sealed_bytes) + 1))),
}


def patch(item: Any, ask: Any, headers: Any, body: bytes = b"") -> Any:
    return ask("PATCH", b"/files/" + item.id.encode(), headers, [body])


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_request_is_a_row_in_quarantine(
    centre: Any, device: Any, asgi: Any, asked: Any, item: Any, name: str
) -> None:
    """DE-17, RC-7, CS-18. With its head; the same again is counted, and nothing is stored of it."""
    asgi(device.id, asked("POST", headers=created(item)))
    status, make = MALFORMED[name]
    request = make(item, asked)

    answers = [asgi(device.id, make(item, asked)) for _ in range(3)]

    assert [one[0] for one in answers] == [status] * 3
    write_counts(centre.store)
    assert sums(centre.store) == (1, 2)
    (row,) = complaints(centre.store)
    assert (row.device, row.code) == (device.id, "invalid")
    assert row.item in (None, item.id)
    assert (kept_bytes(centre.store, row.id) or b"").startswith(request.method.encode() + b" " + request.path)


ORDINARY: dict[str, tuple[int, Make]] = {
    "not there": (404, lambda item, ask: ask("HEAD", b"/files/" + b"0192a000-0000-7000-8000-000000000001")),
    "another offset": (409, lambda item, ask: patch(item, ask, appended(PART))),
    "not whole": (409, lambda item, ask: ask("GET", b"/files/" + item.id.encode())),
    "options": (204, lambda item, ask: ask("OPTIONS")),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_what_an_honest_client_may_ask_is_no_complaint(
    centre: Any, device: Any, asgi: Any, asked: Any, item: Any, name: str
) -> None:
    """DE-17. An upload that is not there, stands elsewhere or is not whole: as the wire's `unknown-item`."""
    asgi(device.id, asked("POST", headers=created(item)))
    status, make = ORDINARY[name]

    assert asgi(device.id, make(item, asked))[0] == status

    assert sums(centre.store) == (0, 0)


def test_refusal_of_the_engine_is_put_down_once(centre: Any, device: Any, asgi: Any, asked: Any, item: Any) -> None:
    """DE-17, RC-7. By the engine, in the same words as those of the MQTT way."""
    asgi(device.id, asked("POST", headers=created(item)))

    status, _, body = asgi(device.id, asked("POST", headers=created(item, sha256="0" * 64)))

    refuse: Any = decode("refuse", body)
    assert (status, refuse.code) == (409, RefuseCode.CONFLICT)
    assert [(row.code, row.item) for row in complaints(centre.store)] == [("conflict", item.id)]
    assert sums(centre.store) == (1, 0)


def test_stranger_s_malformed_request_is_a_stranger_s_row(centre: Any, asgi: Any, asked: Any) -> None:
    """DE-7, RC-9. Whoever is not enrolled, or is so no more, gets one row whatever is sent."""
    for number in range(3):
        asgi("car-9", asked("POST", headers=[(b"Upload-Metadata", b"x%d" % number)]))

    assert [(row.device, row.code) for row in complaints(centre.store)] == [("car-9", "revoked")]
    write_counts(centre.store)
    assert sums(centre.store) == (1, 2)


def test_flood_of_malformed_requests_fills_no_store(
    centre: Any, device: Any, asgi: Any, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DE-17, CS-18. Many connections at once: a thousand rows, no more wait than MAX_COMPLAINTS, none is lost."""
    monkeypatch.setattr(depot_desk, "MAX_COMPLAINTS", 8)
    waiting: list[int] = []
    put = asgi.desk._work.put

    def counted(work: Any) -> None:
        waiting.append(asgi.desk._complaints)
        put(work)

    monkeypatch.setattr(asgi.desk._work, "put", counted)

    async def flood() -> None:
        requests = (
            asked("POST", headers=[(b"Tus-Resumable", b"%d" % number)]) for number in range(MAX_PER_DEVICE + 90)
        )
        for number, request in enumerate(requests):
            tasks.append(asyncio.create_task(asgi.ask(device.id, request)))
            if number % 8 == 7:
                await asyncio.gather(*tasks)
        more = (asked("POST", headers=[(b"Tus-Resumable", b"m%d" % number)]) for number in range(40))
        await asyncio.gather(*tasks, *(asgi.ask(device.id, one) for one in more))

    tasks: list[Any] = []
    asgi.run(flood())
    write_counts(centre.store)

    rows, counted_too = sums(centre.store)
    assert (rows, rows + counted_too) == (MAX_PER_DEVICE, MAX_PER_DEVICE + 90 + 40)
    assert max(waiting) == 8


def test_request_is_answered_and_counted_when_the_store_is_away(
    centre: Any, device: Any, asgi: Any, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DE-17, CS-18."""

    def away() -> Any:
        raise StoreAway("the database is away")

    with monkeypatch.context() as gone:
        gone.setattr(centre.store, "writing", away)
        assert asgi(device.id, asked("POST"))[0] == 422
    end = time.monotonic() + 10
    while sums(centre.store) == (0, 0) and time.monotonic() < end:
        write_counts(centre.store)  # the desk's own thread may just be trying to

    assert sums(centre.store) == (0, 1)
    assert asgi(device.id, asked("POST"))[0] == 422
    assert sums(centre.store) == (1, 1)


def test_bytes_past_the_end_are_refused_when_all_are_there(
    centre: Any, device: Any, asgi: Any, asked: Any, item: Any
) -> None:
    """DE-2, DE-17. Also where they would do for the last part, which is shorter than the others."""
    asgi(device.id, asked("POST", headers=created(item)))
    size = len(item.sealed_bytes)
    assert asgi(device.id, patch(item, asked, appended(), item.sealed_bytes))[1]["upload-offset"] == str(size)

    answers = [asgi(device.id, patch(item, asked, appended(size), bytes(more)))[0] for more in (0, 1, size % PART)]

    assert answers == [204, 413, 413]
    assert decode("sealed", asgi(device.id, asked("GET", b"/files/" + item.id.encode()))[2])
    write_counts(centre.store)
    assert sums(centre.store) == (1, 1)


def test_upload_goes_on_at_what_the_grant_names_when_the_centre_has_less(
    device: Any, asgi: Any, asked: Any, item: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DE-2, DE-3, RC-10. A device's oldest unfinished uploads go when it leaves too many: they begin anew."""
    monkeypatch.setattr("sync.central.incoming.MAX_AT_REST_PER_DEVICE", 2)
    asgi(device.id, asked("POST", headers=created(item)))
    asgi(device.id, patch(item, asked, appended(), item.sealed_bytes[: 2 * PART]))
    asgi.lapse(device.id)
    for _ in range(3):
        other = device.item(b"v" * 3 * PART)
        asgi(device.id, asked("POST", headers=created(other)))
        asgi(device.id, patch(other, asked, appended(), other.sealed_bytes[:PART]))
        asgi.lapse(device.id)

    _, headers, _ = asgi(device.id, asked("POST", headers=created(item)))
    assert headers["upload-offset"] == "0"
    assert asgi(device.id, patch(item, asked, appended(), item.sealed_bytes))[0] == 204

    assert asgi(device.id, asked("GET", b"/files/" + item.id.encode()))[0] == 200


def test_endless_uploads_are_forgotten_again(
    centre: Any, device: Any, asgi: Any, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DE-5. What the door knows of uploads is bounded for a device, whose uploads lapse and are followed by others."""
    monkeypatch.setattr("sync.receiver.MAX_UPLOADS_PER_DEVICE", 1000)
    monkeypatch.setattr("sync.central.depot_app.ROOM_S", 0.001)
    inits = [device.item(b"v" * 9) for _ in range(70)]
    statuses = {asgi(device.id, asked("POST", headers=created(one)))[0] for one in inits}

    found = [asgi(device.id, asked("HEAD", b"/files/" + one.id.encode()))[0] for one in inits]

    assert statuses == {201}
    assert found == [404] * 6 + [200] * 64


@pytest.mark.parametrize(
    "said", [b"\x16\x03\x01\x00\r\n\r\n", b"GET  / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nA\r\n\r\n"]
)
def test_what_is_no_http_is_a_row_too(centre: Any, device: Any, door: Any, said: bytes) -> None:
    """DE-17, RC-7. Through the real web server; the device is the connection's."""
    keys = device.folder / "keys"
    context = ssl.create_default_context(cafile=str(keys / "ca.crt"))
    context.load_cert_chain(keys / "tls.crt", keys / "tls.key")
    plain = socket.create_connection(("127.0.0.1", door.port), WAIT_S)
    with context.wrap_socket(plain, server_hostname="127.0.0.1") as line:
        line.sendall(said)
        assert line.recv(100).startswith(b"HTTP/1.1 400")

    end = time.monotonic() + WAIT_S
    while not (rows := complaints(centre.store)):
        assert time.monotonic() < end
    assert [(row.device, row.item, row.code) for row in rows] == [(device.id, None, "invalid")]
    assert (kept_bytes(centre.store, rows[0].id) or b"").startswith(said)
