"""The messages device and centre exchange over MQTT: control messages and part framing (topics: `vedette.topics`).

Decided here: what each payload may contain and the largest it may be. Not decided here: when a message is sent and
what it does to an upload (`sync.sender`, `sync.receiver`). Implements docs/spec/wire.md (WI-n).

Every decoder takes bytes from the other side as hostile: it returns a value that cannot be wrong or raises `Integrity`.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, ClassVar

from zlib_ng import zlib_ng

from vedette import canonical
from vedette.activation_messages import CommandAnswer, PeersWant
from vedette.clock import check_uuid7
from vedette.errors import Integrity
from vedette.records import KINDS, PRIORITY_BULK
from vedette.topics import check_worker
from vedette.wire_fields import MAX_CONTROL_BYTES as MAX_CONTROL_BYTES
from vedette.wire_fields import MAX_COUNTERS as MAX_COUNTERS
from vedette.wire_fields import MAX_PARTS as MAX_PARTS
from vedette.wire_fields import MAX_RANGES as MAX_RANGES
from vedette.wire_fields import MAX_SIGNED_BYTES as MAX_SIGNED_BYTES
from vedette.wire_fields import VERSION as VERSION
from vedette.wire_fields import MessageFields, base64_text, bitmap_text
from vedette.wire_fields import Ranges as Ranges

MIN_PART_BYTES = 4 * 1024
DEFAULT_PART_BYTES = 256 * 1024
MAX_PART_BYTES = 1024 * 1024
MAX_PACKET_BYTES = 2 * 1024 * 1024
MAX_CREDIT = 1024
MAX_LEASE_S = 3600
MAX_TEXT = 500
MAX_LIST_BYTES = 512 * 1024 * 1024


class RefuseCode(Enum):
    """Why the centre did not take an item; only the first three are worth trying again soon."""

    UNKNOWN_ITEM = "unknown-item"
    BUSY = "busy"
    MISMATCH = "mismatch"
    INVALID = "invalid"
    CONFLICT = "conflict"
    REVOKED = "revoked"

    @property
    def temporary(self) -> bool:
        return self in (RefuseCode.UNKNOWN_ITEM, RefuseCode.BUSY, RefuseCode.MISMATCH)


class _Control:
    """A message whose fields are its canonical JSON, beside the version."""

    def encode(self) -> bytes:
        """The payload; Integrity when it is above MAX_CONTROL_BYTES."""
        return _encoded(vars(self))

    def pieces(self) -> tuple[bytes, bytes | memoryview]:
        """The message in two, as a part's, of which the second is empty."""
        return self.encode(), b""


def _encoded(fields: Mapping[str, Any]) -> bytes:
    encoded = canonical.dumps({"v": VERSION, **{name: _plain(value) for name, value in fields.items()}})
    if len(encoded) > MAX_CONTROL_BYTES:
        raise Integrity(f"control message of {len(encoded)} bytes; at most {MAX_CONTROL_BYTES} may be sent")
    return encoded


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64_text(value)
    if isinstance(value, tuple):
        return [list(pair) for pair in value[:MAX_RANGES]]
    return value.value if isinstance(value, RefuseCode) else value


@dataclass(frozen=True, kw_only=True)
class Birth(_Control):
    """Device → centre, retained: the device came or, as its will, went; `boot` is new at every start of the uplink."""

    name: ClassVar[str] = "birth"
    online: bool
    boot: str
    software: str
    list_version: int
    utc_us: int

    @staticmethod
    def read(f: MessageFields) -> Birth:
        return Birth(
            online=f.boolean("online"),
            boot=f.uuid7("boot"),
            software=f.text("software", most=100),
            list_version=f.integer("list_version"),
            utc_us=f.integer("utc_us"),
        )


@dataclass(frozen=True, kw_only=True)
class Status(_Control):
    """Device → centre, now and then: counters only; never a plate, a position or an officer."""

    name: ClassVar[str] = "status"
    utc_us: int
    counters: Mapping[str, int | str]

    @staticmethod
    def read(f: MessageFields) -> Status:
        return Status(utc_us=f.integer("utc_us"), counters=f.counters("counters"))


@dataclass(frozen=True, kw_only=True)
class Init(_Control):
    """Device → centre: "I hold this item"; also asked again whenever the device is unsure where it stands."""

    name: ClassVar[str] = "init"
    item: str
    kind: str
    size: int
    sha256: str
    priority: int
    part_size: int
    manifest: bytes

    @staticmethod
    def read(f: MessageFields) -> Init:
        return Init(
            item=f.uuid7("item"),
            kind=f.one_of("kind", KINDS),
            size=f.integer("size", least=1, most=MAX_PARTS * MAX_PART_BYTES),
            sha256=f.sha256("sha256"),
            priority=f.integer("priority", most=PRIORITY_BULK),
            part_size=f.integer("part_size", least=MIN_PART_BYTES, most=MAX_PART_BYTES),
            manifest=f.signed("manifest"),
        )


@dataclass(frozen=True, kw_only=True)
class Fin(_Control):
    """Device → centre: every part is acknowledged, seal the item."""

    name: ClassVar[str] = "fin"
    item: str
    sha256: str

    @staticmethod
    def read(f: MessageFields) -> Fin:
        return Fin(item=f.uuid7("item"), sha256=f.sha256("sha256"))


@dataclass(frozen=True, kw_only=True)
class Grant(_Control):
    """Centre → device: send parts of `part_size` to `worker`, which has `have` on its disk; `credit` as in Ack.

    On the wire `have` is a bitmap, so that it can say every gap of an item, and not only the first ones.
    """

    name: ClassVar[str] = "grant"
    item: str
    worker: str
    part_size: int
    have: Ranges
    credit: int
    lease_s: int

    @staticmethod
    def read(f: MessageFields) -> Grant:
        return Grant(
            item=f.uuid7("item"),
            worker=check_worker(f.text("worker")),
            part_size=f.integer("part_size", least=MIN_PART_BYTES, most=MAX_PART_BYTES),
            have=f.bitmap("have"),
            credit=f.integer("credit", least=0, most=MAX_CREDIT),
            lease_s=f.integer("lease_s", least=1, most=MAX_LEASE_S),
        )

    def encode(self) -> bytes:
        return _encoded({**vars(self), "have": bitmap_text(self.have)})


@dataclass(frozen=True, kw_only=True)
class Ack(_Control):
    """Centre → device: these parts are on the centre's disk, fsynced; `credit` more may be unacknowledged at any time.

    It says nothing about the item; MQTT's own PUBACK says nothing at all.
    """

    name: ClassVar[str] = "ack"
    item: str
    ranges: Ranges
    credit: int

    @staticmethod
    def read(f: MessageFields) -> Ack:
        return Ack(
            item=f.uuid7("item"), ranges=f.ranges("ranges"), credit=f.integer("credit", least=0, most=MAX_CREDIT)
        )


@dataclass(frozen=True, kw_only=True)
class Sealed(_Control):
    """Centre → device: the item is stored; `receipt` is a signed record, worth nothing until it is verified."""

    name: ClassVar[str] = "sealed"
    item: str
    receipt: bytes

    @staticmethod
    def read(f: MessageFields) -> Sealed:
        return Sealed(item=f.uuid7("item"), receipt=f.signed("receipt"))


@dataclass(frozen=True, kw_only=True)
class Refuse(_Control):
    """Centre → device: not taken, and why."""

    name: ClassVar[str] = "refuse"
    item: str
    code: RefuseCode
    text: str

    @staticmethod
    def read(f: MessageFields) -> Refuse:
        code = f.one_of("code", [known.value for known in RefuseCode])
        return Refuse(item=f.uuid7("item"), code=RefuseCode(code), text=f.text("text", most=MAX_TEXT))


@dataclass(frozen=True, kw_only=True)
class ListOffer(_Control):
    """Centre → device, may be retained: a watchlist of this version, `size` bytes sealed, is to be had."""

    name: ClassVar[str] = "list"
    version: int
    size: int
    sha256: str

    @staticmethod
    def read(f: MessageFields) -> ListOffer:
        return ListOffer(
            version=f.integer("version", least=1),
            size=f.integer("size", least=1, most=MAX_LIST_BYTES),
            sha256=f.sha256("sha256"),
        )


@dataclass(frozen=True, kw_only=True)
class ListWant(_Control):
    """Device → centre: send one list part of that version from `offset`."""

    name: ClassVar[str] = "list-want"
    version: int
    offset: int

    @staticmethod
    def read(f: MessageFields) -> ListWant:
        return ListWant(
            version=f.integer("version", least=1), offset=f.integer("offset", least=0, most=MAX_LIST_BYTES - 1)
        )


@dataclass(frozen=True, kw_only=True)
class Part:
    """Device → centre: the bytes of one part; `decode` has checked that they were not damaged on the way (CRC-32).

    What `decode` gives is a view into the message.
    """

    name: ClassVar[str] = "part"
    item: str
    index: int
    payload: bytes | memoryview

    FORM: ClassVar[struct.Struct] = struct.Struct(">4s16sII")
    MAGIC: ClassVar[bytes] = b"VDP2"

    def pieces(self) -> tuple[bytes, bytes | memoryview]:
        """The message in two, of which the second is the payload itself."""
        check = zlib_ng.crc32(self.payload)
        return self.FORM.pack(self.MAGIC, bytes.fromhex(self.item.replace("-", "")), self.index, check), self.payload

    def encode(self) -> bytes:
        return b"".join(self.pieces())

    @staticmethod
    def decode(data: bytes | memoryview) -> Part:
        size = len(data) - Part.FORM.size
        if not 0 < size <= MAX_PART_BYTES or data[:4] != Part.MAGIC:
            raise Integrity(f"part message: {len(data)} bytes that are not a VDP2 part of 1 to {MAX_PART_BYTES} bytes")
        _magic, raw_item, index, check = Part.FORM.unpack_from(data)
        item = _item_of(raw_item)
        payload = memoryview(data)[Part.FORM.size :]
        if index >= MAX_PARTS:
            raise Integrity(f"part message: index {index} is above {MAX_PARTS - 1}")
        if zlib_ng.crc32(payload) != check:
            raise Integrity(f"part message: part {index} of item {item} was changed on the way")
        return Part(item=item, index=index, payload=payload)


@lru_cache(maxsize=4096)
def _item_of(raw: bytes) -> str:
    return check_uuid7(str(uuid.UUID(bytes=raw)), "part message: item")


@dataclass(frozen=True, kw_only=True)
class ListPart:
    """Centre → device: bytes of a sealed watchlist, worth nothing before the whole file's hash and signature."""

    name: ClassVar[str] = "list-part"
    version: int
    offset: int
    payload: bytes

    FORM: ClassVar[struct.Struct] = struct.Struct(">4sQQ")
    MAGIC: ClassVar[bytes] = b"VDL1"

    def encode(self) -> bytes:
        return self.FORM.pack(self.MAGIC, self.version, self.offset) + self.payload

    @staticmethod
    def decode(data: bytes | memoryview) -> ListPart:
        size = len(data) - ListPart.FORM.size
        if not 0 < size <= MAX_PART_BYTES or data[:4] != ListPart.MAGIC:
            raise Integrity(
                f"list-part message: {len(data)} bytes that are not a VDL1 part of 1 to {MAX_PART_BYTES} bytes"
            )
        _magic, version, offset = ListPart.FORM.unpack_from(data)
        if version > canonical.MAX_INTEGER or offset >= MAX_LIST_BYTES:
            raise Integrity("list-part message: version or offset out of bounds")
        return ListPart(version=version, offset=offset, payload=bytes(data[ListPart.FORM.size :]))


Control = Birth | Status | Init | Fin | Grant | Ack | Sealed | Refuse | ListOffer | ListWant | PeersWant | CommandAnswer
Message = Control | Part | ListPart
FromDevice = Birth | Status | Init | Part | Fin | ListWant | PeersWant | CommandAnswer
FromCentre = Grant | Ack | Sealed | Refuse | ListOffer | ListPart

_CONTROL = (Birth, Status, Init, Fin, Grant, Ack, Sealed, Refuse, ListOffer, ListWant, PeersWant, CommandAnswer)
_READERS: dict[str, Callable[[MessageFields], Control]] = {kind.name: kind.read for kind in _CONTROL}
_BINARY: dict[str, Callable[[bytes | memoryview], Part | ListPart]] = {
    Part.name: Part.decode,
    ListPart.name: ListPart.decode,
}


def decode(name: str, data: bytes | memoryview) -> Message:
    """The message of that topic name; raises Integrity for anything that is not exactly one."""
    if name in _BINARY:
        return _BINARY[name](data)
    if name not in _READERS:
        raise Integrity(f"no message is called {name[:40]!r}")
    fields = MessageFields(name, bytes(data))
    message = _READERS[name](fields)
    fields.close()
    return message


def parts_of(size: int, part_size: int) -> int:
    """How many parts an item of `size` bytes has."""
    return -(-size // part_size)
