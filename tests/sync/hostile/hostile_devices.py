"""What hostile devices say to a worker of the centre: good messages, damaged ones, well formed and false ones, noise.

`Said` is drawn by hypothesis; `said_bytes` makes the topic and the payload of it in a world that has `items`, `devices`
and a recorder's journal (`lines`, of which the first `at_centre` came to the centre).
"""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from sync.central import fleet
from vedette.activation_messages import CommandAnswer, PeersWant
from vedette.custody_heads import HEADS, Head, Heads
from vedette.keys import SigningKey
from vedette.wire import Birth, Init, ListWant, Status

PART = 16 * 1024
BOOT = "01890000-0000-7000-8000-000000000001"
BOOTS = tuple(f"01890000-0000-7000-8000-0000000001{number:02x}" for number in range(40))
PATHS = ("../../../etc/passwd", "/etc/passwd", f"{BOOT}/../{BOOT}", f"{BOOT}\0", "..", "")
NASTY: tuple[Any, ...] = (
    *PATHS, None, True, -1, 0, 1 << 53, 1.5, "é" * 70_000, [], [[0, 65_535]], {"v": 1}, "0" * 64, BOOT
)  # fmt: skip
NAMES = ("init", "part", "fin", "birth", "status", "list-want", "peers-want", "answer", "renew", "heads")
TOPICS = (
    "", "devices", "devices/../init", "$SYS/x", "devices/car-1/part/../x", "devices/car-1/x", "cmd/car-1/ack"
)  # fmt: skip


@dataclass(frozen=True)
class Said:
    """One thing that comes over the line, said of the `item`-th item; `change` is what was done to it, `at` where."""

    speaker: str
    name: str
    item: int
    part: int
    change: str
    at: int


speakers = st.sampled_from(("car-1", "car-1", "car-1", "car-1.bulk", "car-3", "car-9"))
items = st.sampled_from((0, 1, 1, 1, 1, 2, 3, 4, 5))
changes = st.sampled_from(("", "", "", "", "false", "false", "flip", "cut", "more", "field", "topic", "other", "noise"))
saids = st.builds(
    Said, speakers, st.sampled_from((*NAMES, "init", "init", "part", "fin", "heads")), items, st.integers(0, 4),
    changes, st.integers(0, 1 << 16),
)  # fmt: skip


def said_bytes(world: Any, said: Said) -> tuple[str, bytes]:
    """Topic and payload of one message."""
    owner, name = said.speaker.removesuffix(".bulk"), said.name
    payload = good(world, said, world.items[said.item])
    worker = f"/{fleet.CENTRE_ID}" if name in ("part", "fin") else ""
    topic = f"devices/{said.speaker}/{name}{worker}"
    if said.change == "topic":
        topic = TOPICS[said.at % len(TOPICS)]
    elif said.change == "other":
        topic = f"devices/{owner}/{NAMES[said.at % len(NAMES)]}"
    elif said.change == "flip":
        at = said.at % len(payload)
        payload = payload[:at] + bytes([payload[at] ^ (1 << said.at % 8)]) + payload[at + 1 :]
    elif said.change in ("cut", "more"):
        payload = payload[: said.at % len(payload)] if said.change == "cut" else payload + os.urandom(said.at % 64 + 1)
    elif said.change == "noise":
        payload = os.urandom(said.at % 4000)
    elif said.change == "field" and name == "heads":
        payload = signed_anyhow(with_field(body_of(payload), said.at), world.devices[owner].key)
    elif said.change == "field" and name not in ("part", "renew"):
        payload = with_field(payload, said.at)
    return topic, payload


def body_of(record: bytes) -> bytes:
    """The body of a signed record, as bytes."""
    return json.dumps(json.loads(record)["body"], ensure_ascii=False).encode()


def signed_anyhow(body: bytes, key: SigningKey) -> bytes:
    """A record of heads with this as its body, whatever it is."""
    sig = base64.b64encode(key.sign(b"vedette-record\n" + HEADS.encode() + b"\n" + body)).decode()
    return b'{"body":%s,"key":"%s","kind":"%s","sig":"%s"}' % (
        body, key.public.key_id.encode(), HEADS.encode(), sig.encode(),
    )  # fmt: skip


def with_field(payload: bytes, at: int) -> bytes:
    """One field replaced, taken away or added, in the form that is signed."""
    fields = json.loads(payload)
    name = sorted(fields)[at % len(fields)]
    if at % 11 == 0:
        del fields[name]
    else:
        fields["more" if at % 13 == 0 else name] = NASTY[at % len(NASTY)]
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def good(world: Any, said: Said, item: Any) -> bytes:
    """A good message, or one that is well formed and false."""
    false = said.at if said.change == "false" else 0
    if said.name == "init":
        return false_init(world, item, false).encode()
    if said.name == "part":
        parts = item.parts()
        part = parts[said.part % len(parts)]
        if false:
            index = (said.part, 65_535, part.index)[false % 3]
            part = replace(part, index=index, payload=bytes((1, PART, len(part.payload))[false % 3]))
        return bytes(part.encode())
    if said.name == "fin":
        return (replace(item.fin(), sha256="0" * 64) if false else item.fin()).encode()  # type: ignore[no-any-return]
    if said.name == "heads":
        return heads(world, said)
    if said.name == "renew":
        return bytes(world.devices["car-1"].key.sign(b"x" * (said.at % 99)))
    number = false or 1
    others: dict[str, Any] = {
        "birth": Birth(online=bool(number % 2), boot=BOOT, software="x", list_version=number, utc_us=number),
        "status": Status(utc_us=number, counters={"\0a": number, "b": "\0"}),
        "list-want": ListWant(version=1 + number % 2, offset=number),
        "peers-want": PeersWant(version=number),
        "answer": CommandAnswer(id=BOOT, outcome="taken", why="\0é" * (number % 100)),
    }
    return others[said.name].encode()  # type: ignore[no-any-return]


def false_init(world: Any, item: Any, false: int) -> Init:
    other = world.items[(false + 1) % len(world.items)]
    lies: tuple[dict[str, Any], ...] = (
        {}, {"size": item.manifest.sealed_size + 1}, {"size": 1 << 36}, {"sha256": "0" * 64}, {"kind": "hit"},
        {"priority": false % 5}, {"part_size": 4096}, {"part_size": 1 << 20}, {"manifest": other.manifest_bytes},
        {"manifest": b"x"},
    )  # fmt: skip
    if false and false % 3 == 0 and item.manifest.device == "car-1":
        return world.devices["car-1"].resign(item, software=f"{false}").init()  # type: ignore[no-any-return]
    return item.init(**lies[false % len(lies)])  # type: ignore[no-any-return]


def heads(world: Any, said: Said) -> bytes:
    """What a device says of its journals: how far they have come, or something well formed that is not so."""
    owner = said.speaker.removesuffix(".bulk")
    entry = world.lines[said.part % len(world.lines)]
    head = Head.of(entry)
    other = replace(head, head=f"{said.at:064x}")
    told: tuple[Head, ...] = (Head.of(world.lines[min(world.at_centre + said.part, len(world.lines) - 1)]),)
    by, device, kind = world.devices[owner].key, owner, said.at % 9 if said.change == "false" else -1
    if kind in (0, 1):  # shorter than before, and of another chain: where lines are here, and where none is
        told = ((head,), (replace(other, seq=1 + said.at % 12),))[kind]
    elif kind in (2, 3):  # another start wrote it, on lines that are here and that are not
        told = (replace((head, other)[kind - 2], boot=BOOTS[said.at % len(BOOTS)]),)
    elif kind == 4:
        by = world.devices["car-3" if owner == "car-1" else "car-1"].key
    elif kind == 5:
        device = "car-2"
    elif kind == 6:  # journals that are none
        told = tuple(Head(service=f"s{said.at % 7}{number:x}", boot=BOOT, seq=9, head="0" * 64) for number in range(16))
    elif kind == 7:
        told = (head, head)
    elif kind == 8:
        told = (replace(head, seq=(1 << 53) - 1),)
    number = said.at if said.change == "false" else 1
    return Heads(device=device, told_us=number, time_source="x", time_error_us=None, heads=told).sign(by)
