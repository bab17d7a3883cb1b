"""A depot's door that means harm, with the right certificate: nothing is believed, written or deleted."""

from __future__ import annotations

import base64
import hashlib
import http.server
import resource
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sync.https_link import MAX_ANSWER_BYTES
from sync.uplink_commands import make_uplink
from vedette import spool
from vedette.clock import SystemClock
from vedette.config import load_device
from vedette.keys import SigningKey
from vedette.records import RECEIPT, Receipt, sign_record
from vedette.wire import MAX_CREDIT, MAX_LEASE_S, Ack, Grant, Refuse, RefuseCode, Sealed, parts_of

PART = 16 * 1024
SIZE = 3 * PART + 1
WAIT_S = 30.0
LIES_FOR_S = 1.0
MOST_GROWTH_KIB = 64 << 10
DEPOT = "depot"

Answer = tuple[int, dict[str, str], bytes]
Say = Callable[["Liar", str, Any], Answer]


@dataclass
class Liar:
    """What it was asked, and by what it answers; it stores nothing."""

    say: Say
    asked: list[str] = field(default_factory=list)
    item: Any = None
    port: int = 0


def in_header(message: Any, status: int = 200) -> Answer:
    """An answer as the door gives it where the body is tus's."""
    said = base64.b64encode(message.encode()).decode()
    return status, {"Vedette-Answer": f"{message.name} {said}"}, b""


def granted(liar: Liar, **changes: Any) -> Answer:
    grant = {"item": liar.item.id, "worker": DEPOT, "part_size": PART, "have": (), "credit": 8, "lease_s": 60}
    return in_header(Grant(**{**grant, **changes}), 201)


def acknowledged(liar: Liar) -> Answer:
    last = parts_of(liar.item.manifest.sealed_size, PART) - 1
    return in_header(Ack(item=liar.item.id, ranges=((0, last),), credit=8), 204)


def ending(end: Callable[[Liar], Answer]) -> Say:
    """Grants and acknowledges all; what it says at the end is `end`."""

    def say(liar: Liar, method: str, _request: Any) -> Answer:
        return {"POST": granted, "PATCH": acknowledged, "GET": end}[method](liar)

    return say


def receipt_of(liar: Liar, key: SigningKey, **changes: Any) -> Answer:
    """A receipt with something wrong, well formed and well signed by `key`."""
    manifest = liar.item.manifest
    body = {
        "item": manifest.item,
        "device": manifest.device,
        "sealed_sha256": manifest.sealed_sha256,
        "sealed_size": manifest.sealed_size,
        "manifest_sha256": hashlib.sha256(liar.item.manifest_bytes).hexdigest(),
        "stored_us": 1,
        "log_index": 0,
        "log_checkpoint": "checkpoint",
    }
    record = sign_record(RECEIPT, Receipt(**{**body, **changes}).to_body(), key)
    return in_header(Sealed(item=manifest.item, receipt=record))


def of_centre(centre: Any, **changes: Any) -> Say:
    return ending(lambda liar: receipt_of(liar, centre.signer.key, **changes))


def greedy(liar: Liar, method: str, _request: Any) -> Answer:
    """Grants more than there is."""
    if method == "POST":
        return granted(liar, part_size=1 << 20, credit=MAX_CREDIT, lease_s=MAX_LEASE_S, have=((0, 65_535),))
    return acknowledged(liar)


RECEIPTS: dict[str, Callable[[Any], Say]] = {
    "another key": lambda centre: ending(lambda liar: receipt_of(liar, SigningKey.generate())),
    "another hash": lambda centre: of_centre(centre, sealed_sha256="0" * 64),
    "another size": lambda centre: of_centre(centre, sealed_size=1),
    "another item": lambda centre: of_centre(centre, item="0192f1c5-0000-7000-8000-000000000000"),
    "another device": lambda centre: of_centre(centre, device="car-2"),
    "another manifest": lambda centre: of_centre(centre, manifest_sha256="0" * 64),
    "no record": lambda centre: ending(lambda liar: in_header(Sealed(item=liar.item.id, receipt=b"receipt"))),
}
OTHERS: dict[str, Say] = {
    "200 and nothing else": lambda liar, method, request: (200, {}, b"stored"),
    "stored, and no receipt": ending(lambda liar: (200, {}, b"")),
    "acknowledged at the end": ending(acknowledged),
    "no message": ending(lambda liar: (200, {"Vedette-Answer": "sealed e30="}, b"")),
    "no name of a message": ending(lambda liar: (200, {"Vedette-Answer": "../x AAAA"}, b"")),
    "an endless answer": ending(lambda liar: (200, {"Vedette-Answer": "sealed"}, bytes(MAX_ANSWER_BYTES + 1))),
    "granted beyond all": greedy,
    "refused for good": lambda liar, method, request: in_header(
        Refuse(item=liar.item.id, code=RefuseCode.INVALID, text="never"), 422
    ),
    "sent elsewhere": lambda liar, method, request: (302, {"Location": "https://127.0.0.1:1/"}, b""),
}


@pytest.fixture
def open_door(centre: Any, device: Any) -> Iterator[Callable[[Say], Liar]]:
    """A door with the centre's own certificate that answers as it is told to."""
    servers: list[http.server.HTTPServer] = []

    def make(say: Say) -> Liar:
        liar = Liar(say)

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                liar.asked.append(self.command)
                status, headers, body = (
                    (204, {}, b"") if self.command == "OPTIONS" else liar.say(liar, self.command, self)
                )
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if status != 204:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_OPTIONS = do_POST = do_PATCH = do_GET = answer  # noqa: N815 (http.server's names)

            def log_message(self, *_: Any) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        keys = centre.folder / "keys"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(keys / "server.crt", keys / "server.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        liar.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return liar

    yield make
    for one in servers:
        one.shutdown()
        one.server_close()


@dataclass
class Knocking:
    """A device with one recording to send, and its uplink at the door of `liar`."""

    place: Any
    item: Any
    liar: Liar
    uplink: Any

    @property
    def receipts(self) -> list[Path]:
        return list(self.place.receipts.iterdir())

    @property
    def is_untouched(self) -> bool:
        """The sealed file is there as it was, and is still to be sent."""
        waiting = {one.item_id for one in spool.scan(self.place.spool)[0]}
        path = spool.final_path(self.place.spool, "segment", self.item.id)
        return path.read_bytes() == self.item.sealed_bytes and self.item.id in waiting

    def drive(self, fact: Callable[[], object]) -> bool:
        end = time.monotonic() + WAIT_S
        while not fact() and time.monotonic() < end:
            self.uplink.step(SystemClock().mono_us())
        return bool(fact())


@pytest.fixture
def knock(device: Any, open_door: Any, tmp_path: Path) -> Iterator[Callable[[Say], Knocking]]:
    made: list[Knocking] = []

    def make(say: Say) -> Knocking:
        liar = open_door(say)
        toml = device.folder / "device.toml"
        text = toml.read_text().replace('data = "."\n', f'data = "."\nrun = "{tmp_path}"\n')
        toml.write_text(f'{text}depot_host = "127.0.0.1"\ndepot_port = {liar.port}\npart_kib = 16\n')
        place = load_device(toml)
        spool.make_folders(place.spool)
        item = liar.item = device.item(bytes(SIZE))
        spool.part_path(place.spool, "segment", item.id).write_bytes(item.sealed_bytes)
        spool.commit(place.spool, "segment", item.id, item.manifest_bytes)
        made.append(Knocking(place, item, liar, make_uplink(place, SystemClock())))
        return made[-1]

    yield make
    for one in made:
        one.uplink.close()


@pytest.mark.embedded
def test_receipt_is_kept_when_the_door_does_not_lie(centre: Any, knock: Any) -> None:
    """DE-10: what the lies below are measured against."""
    knocking = knock(of_centre(centre))

    assert knocking.drive(lambda: knocking.receipts)


@pytest.mark.embedded
def test_each_connection_of_a_session_is_marked_when_the_door_closes_behind_every_answer(
    centre: Any, knock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DE-10, DE-16: as HTTP allows it to; the session goes on by a connection that is like the first."""
    made: list[int] = []
    monkeypatch.setattr("sync.https_session.mark", lambda _connection, dscp: made.append(dscp))
    answer = of_centre(centre)

    def closing(liar: Liar, method: str, request: Any) -> Answer:
        status, headers, body = answer(liar, method, request)
        request.close_connection = True
        return status, {**headers, "Connection": "close"}, body

    knocking = knock(closing)

    assert knocking.drive(lambda: knocking.receipts)
    assert knocking.liar.asked.count("OPTIONS") == 1
    assert len(made) > 1 and set(made) == {8}


@pytest.mark.embedded
@pytest.mark.parametrize("lie", RECEIPTS.values(), ids=RECEIPTS)
def test_receipt_of_a_door_is_counted_and_not_kept_when_it_is_wrong(
    centre: Any, knock: Any, lie: Callable[[Any], Say]
) -> None:
    """DE-10, WI-26: whoever the door is, only the centre's word about these bytes deletes them."""
    knocking = knock(lie(centre))

    assert knocking.drive(lambda: knocking.uplink._parts.report.receipts_refused)

    assert knocking.receipts == []
    assert knocking.is_untouched


@pytest.mark.embedded
@pytest.mark.parametrize("lie", OTHERS.values(), ids=OTHERS)
def test_item_stays_when_the_door_says_anything_but_a_receipt(knock: Any, lie: Say) -> None:
    """DE-10, WI-26: an HTTP status is no receipt, and no more is an acknowledgement; memory is bounded."""
    knocking = knock(lie)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    assert knocking.drive(lambda: "POST" in knocking.liar.asked)
    end = time.monotonic() + LIES_FOR_S
    knocking.drive(lambda: time.monotonic() > end)

    assert knocking.receipts == []
    assert knocking.is_untouched
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < MOST_GROWTH_KIB
