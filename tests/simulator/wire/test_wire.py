"""A whole drive as others see it: whoever taps the network sees TLS 1.3, the broker sees ciphertext and routing.

What was said and is not TLS is accounted for here, each with its reason: the pages, which the machine that serves them
says to itself alone (`pages on the loopback`), and what cameras nearby are told (`peers`).
"""

from __future__ import annotations

import base64
import gzip
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from simulator.overheard import Connection, Overheard, tls_records
from simulator.readable import EVERY, holding, placed, shown, spelled
from sync.central.store import Store
from vedette.activation_record import open_activation
from vedette.enrolment import Enrolment
from vedette.keys import SigningKey
from vedette.topics import parse_topic

pytestmark = pytest.mark.timeout(600)  # the first of them waits for the drive

MIN_BYTES = 1 << 20
LOOPBACK = "127.0.0.1"
TLS = ("broker", "door", "page for others")
LEAST_BULK_BYTES = 1 << 18
TAP_WAKES_ITSELF = (b"", b"0")  # the listening client's library has a connection to itself, and says nothing else on it
NO_SPEECH = 2  # IGMP: the kernel says which groups are heard

WRAPPINGS: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda plain: plain,
    "base64": lambda plain: b'{"payload":"' + base64.b64encode(plain) + b'"}',
    "base64 for URLs": base64.urlsafe_b64encode,
    "base64 in base64": lambda plain: base64.b64encode(b'{"manifest":"' + base64.b64encode(plain) + b'"}'),
    "hexadecimal": lambda plain: b"item " + plain.hex().encode(),
    "gzip": lambda plain: b"part" + gzip.compress(plain, 1),
    "zlib in base64": lambda plain: base64.b64encode(zlib.compress(plain, 9)),
}


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS)
def test_search_finds_plates_places_and_pictures_in_what_who_has_the_keys_can_open(
    seen: Any, wrap: Callable[[bytes], bytes]
) -> None:
    """What the two tests below are measured against: the evidence of this very drive, opened and wrapped."""
    opened_hits = [plain for kind, plain in seen.opened if kind == "hit"]
    videos = [plain for kind, plain in seen.opened if kind == "segment"]
    journals = [plain for kind, plain in seen.opened if kind == "custody"]

    assert opened_hits and videos and journals
    for plain, hit in zip(opened_hits, seen.hits, strict=True):
        assert {hit["text"].encode(), hit["text_ascii"].encode()} <= shown(wrap(plain), seen.plates())
        assert shown(wrap(plain), seen.people()) >= {hit["entry"]["reason"].encode()} - {b"fine"}
        assert len(shown(wrap(plain), seen.pictures())) > len(plain) // EVERY // 2
        where = hit["position"] or {}
        assert shown(wrap(plain), seen.places()) >= {str(abs(where[one])).encode() for one in where if "_e7" in one}
    for plain in videos:
        piece = plain[: 16 * EVERY]
        assert len(shown(wrap(piece), seen.pictures())) > len(piece) // EVERY // 2
    assert all(b'"event":' in shown(wrap(plain), {b'"event":'}) for plain in journals)


def test_search_finds_people_in_what_the_centre_keeps(seen: Any) -> None:
    """What the two tests below are measured against: the device is told of no person, the centre's rows name them."""
    store = Store(seen.stage.central)
    try:
        rows = store.db.execute("SELECT reason FROM remote_commands UNION SELECT name FROM users").fetchall()
    finally:
        store.close()

    found = shown(base64.b64encode(json.dumps(rows).encode()), seen.people())

    assert {one.encode() for one in seen.named} <= found


@pytest.mark.parametrize(
    "text",
    [
        b'{"lat":34.0021605,"lon":-6.8478509}',
        b"34.00216 N 6.84785 W",
        b'"lat_e7":340021605',
        b"$GPGLL,3400.1296,N,00650.8710,W",
        "34\N{DEGREE SIGN} 00.13 N".encode(),
        struct.pack("<2i", 340021605, -68478509),
        struct.pack(">d", 34.0021605),
    ],
)
def test_search_finds_a_place_when_it_is_spelled_in_another_way(text: bytes) -> None:
    assert shown(base64.b64encode(b"the car is at " + text), placed(340021605, -68478509))


def test_search_takes_no_time_for_the_place_whose_digits_it_has() -> None:
    place, time = b"68477260", b'"sent_us":1795806847726056'
    assert place in time and shown(time, {place}) == set()
    assert shown(b'"lon_e7":-68477260', {place}) == {place}


@pytest.mark.parametrize("text", ["73041|\u0628|48", "73041\u062848", "3163tlh", "3163-TLH", "73041%7C%D8%A8%7C48"])
def test_search_finds_a_plate_when_it_is_spelled_in_another_way(text: str) -> None:
    wanted = spelled("73041|\u0628|48") | spelled("3163TLH") | spelled("3163-TLH")

    assert shown(text.encode(), wanted) and shown(text.encode("utf-16-le"), wanted | {text.encode("utf-16-le")})
    assert shown(json.dumps({"plate": text}).encode(), wanted)


def test_broker_sees_ciphertext_and_routing_only(seen: Any) -> None:
    """WI-16, WI-46. Every message of a drive, as the broker has it."""
    messages = [one for one in seen.heard if parse_topic(one.topic)]
    names = {parse_topic(one.topic).name for one in messages}
    parts = [one.payload for one in messages if parse_topic(one.topic).name == "part"]

    assert {"birth", "init", "part", "fin", "grant", "ack", "sealed", "list", "command", "answer", "status"} <= names
    assert sum(map(len, parts)) > MIN_BYTES
    assert holding(((one.topic, one.topic.encode() + one.payload) for one in messages), seen.marks()) == set()


def test_network_sees_tls_13_and_two_things_that_are_accounted_for(seen: Any, said: Overheard) -> None:
    """WI-10, WI-46, DE-1. Every connection, to its last byte; tshark knows the version and finds no MQTT."""
    served = {name: list(connections_to(seen, said, name)) for name in (*TLS, "page")}
    others = [one for one in said.connections if one.server not in seen.servers and (one.said or one.heard)]

    assert {(bytes(one.said), bytes(set(one.heard))) for one in others} <= {TAP_WAKES_ITSELF}
    for name in TLS:
        assert sum(tls_records(one.said) and tls_records(one.heard) for one in served[name]) > 0, name
    assert sum(len(one.said) for one in served["broker"]) > MIN_BYTES
    assert seen.unmarked_bytes > LEAST_BULK_BYTES  # or there is nothing for the door
    assert sum(len(one.said) for one in served["door"]) > LEAST_BULK_BYTES
    hellos = seen.tshark("tls.handshake.type == 2", "tls.handshake.extensions.supported_version")
    answered = [one for name in TLS for one in served[name] if one.heard]
    assert set(hellos) == {"0x0304"} and len(hellos) >= len(answered)
    assert seen.tshark("mqtt || http2", "frame.number") == []
    assert seen.tshark("tls.handshake.type == 11", "frame.number") == []  # certificates name the device: encrypted


def test_network_says_nothing_readable_but_the_pages_that_a_machine_shows_itself(seen: Any, said: Overheard) -> None:
    """WI-46. In every byte of every connection, datagram and packet of another kind."""
    streams = [(f"to {one.server}", bytes(way)) for one in said.connections for way in (one.said, one.heard)]
    own = {f"to {one.server}" for one in connections_to(seen, said, "page")}
    streams += [(f"datagram to {one.to}", one.payload) for one in said.datagrams]
    streams += [(f"packet to {where}", packet) for where, packet in said.others]

    found = holding(streams, seen.marks())

    assert {name for name, _mark in found} == own
    assert {mark for _name, mark in found} & seen.plates()  # or a search of a capture would find nothing at all


def test_page_without_tls_is_one_that_no_other_machine_reaches(seen: Any, said: Overheard) -> None:
    """What is served to others is the same, and only TLS: it was looked at as well, and had a plate on it."""
    (port,) = (port for (_host, port), name in seen.servers.items() if name == "page")

    assert seen.is_page_elsewhere is False
    assert {host for host, _port in seen.listening} == {LOOPBACK}
    assert seen.listening == {at for at, name in seen.servers.items() if name in ("broker", "door", "page")}
    assert {at[0] for one in connections_to(seen, said, "page") for at in (one.client, one.server)} == {LOOPBACK}
    assert all(shown(b"".join(shows), seen.plates()) for shows in seen.pages.values())
    assert set(seen.pages) == {"page", "page for others"} and port


def test_peers_are_told_that_a_camera_was_activated_and_nothing_else(seen: Any, said: Overheard) -> None:
    """AC-20, AC-21. A record with five fields, signed: an id, the camera, why, when, and when it says so."""
    key = SigningKey.load(seen.stage.device / "keys" / "sign.pem").public
    device = seen.stage.scene.device
    peers = {key.key_id: Enrolment(device=device, key=key, certificate_serial="", enrolled_us=0)}

    assert said.datagrams and {seen.servers.get(one.to) for one in said.datagrams} == {"peers"}
    for one in said.datagrams:
        told = open_activation(one.payload, peers)
        assert (told.device, told.activation) == (device, "button")
        assert set(json.loads(one.payload)["body"]) == {"id", "device", "activation", "at_us", "sent_us"}


def test_nothing_else_is_sent_anywhere(seen: Any, said: Overheard) -> None:
    """Whatever goes to another address goes over this loopback too: no name is asked for, nobody is called."""
    spoken_to = {one.server[0] for one in said.connections} | {one.to[0] for one in said.datagrams}

    assert spoken_to == {host for host, _port in seen.servers}
    assert {packet[14 + 9] for _where, packet in said.others} <= {NO_SPEECH}


def connections_to(seen: Any, said: Overheard, name: str) -> Iterator[Connection]:
    return (one for one in said.connections if seen.servers.get(one.server) == name)
