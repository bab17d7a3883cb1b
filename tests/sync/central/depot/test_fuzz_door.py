"""The real application of the depot's door over a real store, asked anything at all, beside a device that is honest.

Requests are good ones in any order, good ones with damage, and tricks of tus and of HTTP; several come at once, bodies
come in pieces and break off, and the door is started anew in between. A bounded number of examples here;
`HYPOTHESIS_PROFILE=long` (and `make fuzz`) tries many more.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync.central import depot_desk, quarantine
from sync.central.incoming import MAX_AT_REST_PER_DEVICE
from vedette import wire
from vedette.records import check_receipt, keyring, open_receipt
from vedette.wire import Refuse, RefuseCode, Sealed

EXAMPLES = settings().max_examples if settings().max_examples > 100 else 60
QUIET = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
FUZZ = settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=QUIET)
OCTETS = b"application/offset+octet-stream"
PART = 16 * 1024
TRIES = 60
MOST_GROWTH_KIB = 96 << 10
KNOWN = {200, 201, 204, 307, 400, 403, 404, 405, 409, 412, 413, 415, 422, 460, 503}
HARD = (RefuseCode.INVALID, RefuseCode.CONFLICT, RefuseCode.MISMATCH, RefuseCode.REVOKED)
UUID = b"0192a000-0000-7000-8000-000000000001"
PATHS = (
    b"/", b"/files/", b"/files//", b"/files/../../etc/passwd", b"/files/%2e%2e%2fkeys", b"/files/..", b"/files/%00",
    b"/files/" + UUID + b"/x", b"/files/" + UUID.upper(), b"/files/" + UUID + b"%0a", b"/files/%ff", b"/" + b"x" * 999,
)  # fmt: skip
OFFSETS = (b"", b"-1", b"x", b"0x10", b"1e3", b" 0", b"\xb2", b"00", b"9" * 19, b"9" * 5000, str(PART).encode(), b"1")
TYPES = (b"", b"text/plain", OCTETS + b";x", OCTETS.upper(), b"\xff")
CHECKSUMS = (b"", b"x", b"md5 AAAA", b"sha256", b"sha256 AAAA", b"sha1 \xff", b"sha256 " + base64.b64encode(bytes(32)))
METADATA = (b"", b"init", b"init ????", b"init AAAA", b"init e30=, init e30=", b"x AAAA", b"," * 5000, b"init \xff")
LENGTHS = (b"", b"0", b"-1", b"x", b"9" * 40)


@dataclass(frozen=True)
class Wish:
    """One request: who asks what of which item; `change` is what is wrong with it, `at` where; `pieces` of its body."""

    speaker: str
    verb: str
    item: int
    change: str
    at: int
    pieces: int
    cut: bool


speakers = st.sampled_from(("car-1", "car-1", "car-1", "car-3", "car-9"))
verbs = st.sampled_from(("POST", "POST", "PATCH", "PATCH", "PATCH", "PATCH", "GET", "GET", "HEAD", "OPTIONS", "DELETE"))
changes = st.sampled_from(
    ("", "", "", "", "", "head", "head", "path", "short", "long", "wrong", "flip", "checked", "tus")
)
wishes = st.builds(
    Wish, speakers, verbs, st.sampled_from((0, 1, 1, 1, 2, 3, 4)), changes, st.integers(0, 1 << 16), st.integers(1, 5),
    st.sampled_from((False, False, False, True)),
)  # fmt: skip
batches = st.one_of(
    st.just("again"),
    st.just("lapse"),
    st.just("create"),
    st.just("send"),
    *[st.lists(wishes, min_size=1, max_size=5)] * 6,
)
plans = st.lists(batches, min_size=1, max_size=7)


class Door:
    """One centre's store, the door of one example, and the account of what was asked, refused and promised."""

    def __init__(self, centre: Any, open_door: Callable[[], Any], asked: Any, written: Any) -> None:
        self.centre, self.open_door, self.asked, self.written = centre, open_door, asked, written
        self.devices = {name: centre.device(name) for name in ("car-1", "car-2", "car-3")}
        self.devices["car-9"] = centre.stranger()
        self.asgi: Any = None

    def begin(self) -> None:
        one, other = self.devices["car-1"], self.devices["car-3"]
        self.items = [one.item(b"v" * 50), one.item(bytes(2 * PART + 5)), one.hit(), one.item(bytes(3 * PART))]
        self.items.append(other.item(bytes(PART)))
        self.honest = self.devices["car-2"].item(bytes(3 * PART + 9))
        self.offsets: dict[tuple[str, str], int] = {}
        self.sealed: dict[str, bytes] = {}
        self.expected, self.before = 0, self.complaints()
        self.again()

    def again(self) -> None:
        if self.asgi is not None:
            self.asgi.close()
        self.asgi = self.open_door()

    def complaints(self) -> int:
        quarantine.write_counts(self.centre.store)
        counted = sum(one.times for one in quarantine.all_counts(self.centre.store))
        return quarantine.kept_rows(self.centre.store) + counted

    def serve(self, batch: list[Wish]) -> None:
        """All of a batch at once, and one request of the honest device among them."""
        with self.written.watched():
            self.asgi.run(self.all(batch))
        assert self.asgi.desk._thread.is_alive()

    async def all(self, batch: list[Wish]) -> None:
        await asyncio.gather(*(self.wish(one) for one in batch), self.honest_step())

    async def wish(self, wish: Wish) -> None:
        item = self.items[wish.item]
        request = self.request(wish, item)
        device = wish.speaker
        status, headers, body = await self.asgi.ask(device, request)
        self.answered(device, item.id, request, status, headers, body)

    async def honest_step(self) -> bool:
        """Whatever comes next of POST, PATCH and GET; whether the honest device has its receipt."""
        key, size = ("car-2", self.honest.id), len(self.honest.sealed_bytes)
        if self.honest.id in self.sealed:
            return True
        offset = self.offsets.get(key)
        if offset is None:
            request = self.asked("POST", headers=created(self.honest.init()))
        elif offset < size:
            body = self.honest.sealed_bytes[offset : offset + 2 * PART]
            request = self.asked("PATCH", path_of(self.honest), appended(offset), [body[:7], body[7:]])
        else:
            request = self.asked("GET", path_of(self.honest))
        status, headers, body = await self.asgi.ask("car-2", request)
        self.answered(*key, request, status, headers, body)
        if status == 404:  # the door was opened anew: create it again
            self.offsets.pop(key, None)
        return self.honest.id in self.sealed

    def answered(self, device: str, item: str, request: Any, status: int, headers: Any, body: bytes) -> None:
        assert status in KNOWN, (status, body)
        name = headers.get("vedette-answer", "").split(" ")[0]
        if name == Refuse.name:
            refuse: Any = wire.decode(name, body)
            self.expected += refuse.code in HARD
            if refuse.code is RefuseCode.MISMATCH:
                self.offsets.pop((device, refuse.item), None)
            if refuse.code is RefuseCode.UNKNOWN_ITEM and status == 409 and request.method == "PATCH":
                said = dict(request.headers).get(b"Upload-Offset", b"")
                self.expected += not (said.isdigit() and len(said) <= 20)
        elif name == Sealed.name:
            self.receipted(body)
        if request.method == "PATCH" and status == 204 and not request.cut:
            said = int(dict(request.headers)[b"Upload-Offset"])
            assert said + sum(map(len, request.body)) <= len(self.known(item).sealed_bytes)
        if "upload-offset" in headers and status in (201, 204):
            self.offsets[device, item] = int(headers["upload-offset"])

    def receipted(self, body: bytes) -> None:
        """A receipt of the centre's for exactly what its device has, and always the same."""
        sealed: Any = wire.decode(Sealed.name, body)
        known = self.known(sealed.item)
        receipt = open_receipt(sealed.receipt, keyring(self.centre.signer.key.public))
        check_receipt(receipt, known.manifest, receipt.manifest_sha256)
        assert self.sealed.setdefault(sealed.item, sealed.receipt) == sealed.receipt

    def known(self, item: str) -> Any:
        return next(one for one in (*self.items, self.honest) if one.id == item)

    def finish(self) -> None:
        """Let the honest device come to its end, open the door anew, and hold the account against what is there."""
        for _ in range(TRIES):
            if self.asgi.run(self.honest_step()):
                break
        assert self.honest.id in self.sealed, "an honest device's item did not come through"
        self.again()
        self.asgi.run(self.look_again())
        assert self.complaints() - self.before == self.expected
        for item, receipt in self.sealed.items():
            assert self.centre.store.receipt(item) == receipt
            with self.centre.store.blobs.open(self.known(item).manifest.sealed_sha256) as blob:
                assert blob.read() == self.known(item).sealed_bytes

    async def look_again(self) -> None:
        """What was acknowledged is there when its device goes on, whatever came in between."""
        for (device, item), offset in list(self.offsets.items()):
            if device == self.known(item).manifest.device:
                request = self.asked("POST", headers=created(self.known(item).init()))
                status, headers, body = await self.asgi.ask(device, request)
                self.answered(device, item, request, status, headers, body)
                assert status == 201 and int(headers["upload-offset"]) >= offset

    def request(self, wish: Wish, item: Any) -> Any:
        """The request of a wish."""
        path = b"/files" if wish.verb in ("POST", "OPTIONS") else path_of(item)
        headers, body = [], b""
        if wish.verb == "POST":
            headers = created(item.init(**(lie(wish.at, item, self.items) if wish.change == "wrong" else {})))
        elif wish.verb == "PATCH":
            offset = self.offsets.get((wish.speaker, item.id), 0)
            body = body_of(wish, item, offset)
            headers = appended(offset, *checked(wish, body))
        if wish.change == "head" and headers:
            headers = damaged(headers, wish.at)
        elif wish.change == "flip" and headers:
            headers = flipped(headers, wish.at)
        elif wish.change == "tus":
            headers = [*headers, (b"Tus-Resumable", (b"1.0.0", b"0.2.2", b"\xff" * 90)[wish.at % 3])]
        elif wish.change == "path":
            path = PATHS[wish.at % len(PATHS)]
        step = max(1, -(-len(body) // wish.pieces))
        pieces = [body[at : at + step] for at in range(0, len(body), step)]
        return self.asked(wish.verb, path, headers, pieces[:-1] if wish.cut else pieces, wish.cut)


def good(verb: str) -> list[Wish]:
    """That of each item of one device, as an honest one asks it."""
    return [Wish("car-1", verb, item, "", 0, 3, False) for item in range(4)]


def path_of(item: Any) -> bytes:
    return b"/files/" + item.id.encode()  # type: ignore[no-any-return]


def created(init: Any) -> list[tuple[bytes, bytes]]:
    said = b"init " + base64.b64encode(init.encode())
    return [(b"Upload-Length", str(init.size).encode()), (b"Upload-Metadata", said)]


def appended(offset: int, *more: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return [(b"Content-Type", OCTETS), (b"Upload-Offset", str(offset).encode()), *more]


def body_of(wish: Wish, item: Any, offset: int) -> bytes:
    rest: bytes = item.sealed_bytes[offset:]
    if wish.change == "short":
        return rest[: wish.at % (len(rest) + 1)]
    if wish.change == "checked":
        return rest[:PART]
    return rest + bytes(wish.at % PART + 1) if wish.change == "long" else rest


def checked(wish: Wish, body: bytes) -> list[tuple[bytes, bytes]]:
    if wish.change != "checked":
        return []
    name = ("sha256", "sha1")[wish.at % 2]
    digest = hashlib.new(name, body if wish.at % 3 else body + b"x").digest()
    return [(b"Upload-Checksum", name.encode() + b" " + base64.b64encode(digest))]


def lie(at: int, item: Any, items: list[Any]) -> dict[str, Any]:
    other = items[at % len(items)]
    lies = (
        {"size": item.manifest.sealed_size + 1}, {"size": 1 << 36}, {"sha256": "0" * 64}, {"kind": "hit"},
        {"priority": 0}, {"part_size": 4096}, {"part_size": 1 << 20}, {"manifest": other.manifest_bytes},
        {"manifest": b"x"},
    )  # fmt: skip
    return lies[at % len(lies)]


def damaged(headers: list[tuple[bytes, bytes]], at: int) -> list[tuple[bytes, bytes]]:
    """One header gone, twice, or with a value that cannot be."""
    place = at % len(headers)
    name, value = headers[place]
    values = {
        b"Upload-Length": LENGTHS, b"Upload-Metadata": METADATA, b"Content-Type": TYPES, b"Upload-Offset": OFFSETS,
    }.get(name, CHECKSUMS)  # fmt: skip
    others = [one for one in headers if one[0] != name]
    if at % 7 == 0:
        return others
    if at % 7 == 1:
        return [*headers, (name, value)]
    return [*others, (name, values[at // 7 % len(values)])]


def flipped(headers: list[tuple[bytes, bytes]], at: int) -> list[tuple[bytes, bytes]]:
    """One bit of one value is another; what HTTP lets through."""
    name, value = headers[at % len(headers)]
    place = at // 3 % len(value)
    byte = value[place] ^ (1 << at % 7)
    new = value[:place] + bytes([byte if byte > 0x20 else 0x21]) + value[place + 1 :]
    return [*(one for one in headers if one[0] != name), (name, new)]


@pytest.fixture
def tmp_path(folder_in_memory: Path) -> Path:
    """No power is cut here, and a disk would make a hundred examples of a thousand."""
    return folder_in_memory


def test_door_survives_hostile_devices_and_serves_an_honest_one(
    centre: Any, open_door: Callable[[], Any], asked: Any, written: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DE-1 to DE-6, DE-17, RC-6 to RC-8, CS-18: no exception, every refusal is a row or a count, nothing is written
    elsewhere, what was acknowledged stays, and what was receipted is what was sent.
    """
    monkeypatch.setattr("sync.central.depot_app.ROOM_S", 0.02)
    door = Door(centre, open_door, asked, written)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @FUZZ
    @given(plans)
    def tell(plan: list[list[Wish] | str]) -> None:
        door.begin()
        for batch in plan:
            if batch == "again":
                door.again()
            elif batch in ("create", "send"):
                door.serve(good("POST"))
                door.serve(good("PATCH") if batch == "send" else [])
            elif batch == "lapse":
                door.asgi.lapse("car-1")
            elif not isinstance(batch, str):
                door.serve(batch)
        door.finish()

    tell()
    door.asgi.close()
    rows = quarantine.kept_rows(centre.store, "car-1")
    assert 0 < rows <= quarantine.MAX_PER_DEVICE
    assert len(list((centre.folder / "incoming" / depot_desk.WORKER).iterdir())) <= MAX_AT_REST_PER_DEVICE * 3
    assert written.outside(centre.folder) == []
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < MOST_GROWTH_KIB
