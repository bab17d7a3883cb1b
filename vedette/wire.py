"""The messages device and centre exchange over MQTT: control messages and part framing (topics: `vedette.topics`).

Decided here: what each payload may contain and the largest it may be. Not decided here: when a message is sent and
what it does to an upload (`sync.sender`, `sync.receiver`). Implements docs/spec/wire.md (WI-n).

Every decoder takes bytes from the other side as hostile: it returns a value that cannot be wrong or raises `Integrity`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

from vedette import canonical
from vedette.clock import check_uuid7
from vedette.errors import Integrity
from vedette.fields import Fields
from vedette.records import KINDS, PRIORITY_BULK
from vedette.topics import check_worker

VERSION = 1
MIN_PART_BYTES = 4 * 1024
DEFAULT_PART_BYTES = 256 * 1024
MAX_PART_BYTES = 1024 * 1024
MAX_PACKET_BYTES = 2 * 1024 * 1024
MAX_CONTROL_BYTES = 128 * 1024
MAX_SIGNED_BYTES = 64 * 1024
MAX_PARTS = 65_536
MAX_RANGES = 64
MAX_CREDIT = 1024
MAX_LEASE_S = 3600
MAX_TEXT = 500
MAX_COUNTERS = 64
MAX_COUNTER_TEXT = 200
MAX_LIST_BYTES = 512 * 1024 * 1024

Ranges = tuple[tuple[int, int], ...]


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


class _Fields(Fields):
    """The fields of one control message; adds the three forms only messages have."""

    def __init__(self, name: str, data: bytes) -> None:
        super().__init__(canonical.loads(data, max_bytes=MAX_CONTROL_BYTES), f"{name} message")
        if self.integer("v") != VERSION:
            raise Integrity(f"{name} message: another version than {VERSION}; update this side")

    def signed(self, name: str) -> bytes:
        """The bytes of a signed record, in base64."""
        text = self.text(name, most=MAX_CONTROL_BYTES)
        try:
            value = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise self._wrong(name, "base64") from None
        if not 0 < len(value) <= MAX_SIGNED_BYTES or _base64(value) != text:
            raise self._wrong(name, f"canonical base64 of 1 to {MAX_SIGNED_BYTES} bytes")
        return value

    def ranges(self, name: str) -> Ranges:
        """Part indexes as rising, separate `[first, last]` pairs."""
        value = self._get(name)
        if not isinstance(value, list) or len(value) > MAX_RANGES:
            raise self._wrong(name, f"a list of at most {MAX_RANGES} ranges")
        least = 0
        for pair in value:
            if not (isinstance(pair, list) and len(pair) == 2 and all(type(n) is int for n in pair)):
                raise self._wrong(name, "made of [first, last] pairs")
            if not least <= pair[0] <= pair[1] < MAX_PARTS:
                raise self._wrong(name, "rising, apart and within an item")
            least = pair[1] + 2
        return tuple((first, last) for first, last in value)

    def counters(self, name: str) -> dict[str, int | str]:
        """Counters by name: integers, or short texts."""
        value = self._get(name)
        if not isinstance(value, dict) or len(value) > MAX_COUNTERS:
            raise self._wrong(name, f"an object of at most {MAX_COUNTERS} counters")
        for key, count in value.items():
            fits = type(count) is int or (isinstance(count, str) and len(count) <= MAX_COUNTER_TEXT)
            if not fits or not 0 < len(key) <= MAX_COUNTER_TEXT:
                raise self._wrong(name, "made of integers and short texts")
        return dict(value)


class _Control:
    """A message whose fields are its canonical JSON, beside the version."""

    def encode(self) -> bytes:
        """The payload; Integrity when it is above MAX_CONTROL_BYTES."""
        encoded = canonical.dumps({"v": VERSION, **{name: _plain(value) for name, value in vars(self).items()}})
        if len(encoded) > MAX_CONTROL_BYTES:
            raise Integrity(f"control message of {len(encoded)} bytes; at most {MAX_CONTROL_BYTES} may be sent")
        return encoded


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return _base64(value)
    if isinstance(value, tuple):
        return [list(pair) for pair in value[:MAX_RANGES]]
    return value.value if isinstance(value, RefuseCode) else value


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


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
    def read(f: _Fields) -> Birth:
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
    def read(f: _Fields) -> Status:
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
    def read(f: _Fields) -> Init:
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
    def read(f: _Fields) -> Fin:
        return Fin(item=f.uuid7("item"), sha256=f.sha256("sha256"))


@dataclass(frozen=True, kw_only=True)
class Grant(_Control):
    """Centre → device: send parts of `part_size` to `worker`, which has `have` on its disk; `credit` as in Ack."""

    name: ClassVar[str] = "grant"
    item: str
    worker: str
    part_size: int
    have: Ranges
    credit: int
    lease_s: int

    @staticmethod
    def read(f: _Fields) -> Grant:
        return Grant(
            item=f.uuid7("item"),
            worker=check_worker(f.text("worker")),
            part_size=f.integer("part_size", least=MIN_PART_BYTES, most=MAX_PART_BYTES),
            have=f.ranges("have"),
            credit=f.integer("credit", least=0, most=MAX_CREDIT),
            lease_s=f.integer("lease_s", least=1, most=MAX_LEASE_S),
        )


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
    def read(f: _Fields) -> Ack:
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
    def read(f: _Fields) -> Sealed:
        return Sealed(item=f.uuid7("item"), receipt=f.signed("receipt"))


@dataclass(frozen=True, kw_only=True)
class Refuse(_Control):
    """Centre → device: not taken, and why."""

    name: ClassVar[str] = "refuse"
    item: str
    code: RefuseCode
    text: str

    @staticmethod
    def read(f: _Fields) -> Refuse:
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
    def read(f: _Fields) -> ListOffer:
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
    def read(f: _Fields) -> ListWant:
        return ListWant(
            version=f.integer("version", least=1), offset=f.integer("offset", least=0, most=MAX_LIST_BYTES - 1)
        )


@dataclass(frozen=True, kw_only=True)
class Part:
    """Device → centre: the bytes of one part; `decode` has checked that they are the bytes the device read."""

    name: ClassVar[str] = "part"
    item: str
    index: int
    payload: bytes

    FORM: ClassVar[struct.Struct] = struct.Struct(">4s16sI32s")
    MAGIC: ClassVar[bytes] = b"VDP1"

    def encode(self) -> bytes:
        digest = hashlib.sha256(self.payload).digest()
        return self.FORM.pack(self.MAGIC, uuid.UUID(self.item).bytes, self.index, digest) + self.payload

    @staticmethod
    def decode(data: bytes) -> Part:
        size = len(data) - Part.FORM.size
        if not 0 < size <= MAX_PART_BYTES or data[:4] != Part.MAGIC:
            raise Integrity(f"part message: {len(data)} bytes that are not a VDP1 part of 1 to {MAX_PART_BYTES} bytes")
        _magic, raw_item, index, digest = Part.FORM.unpack_from(data)
        item = check_uuid7(str(uuid.UUID(bytes=raw_item)), "part message: item")
        payload = data[Part.FORM.size :]
        if index >= MAX_PARTS:
            raise Integrity(f"part message: index {index} is above {MAX_PARTS - 1}")
        if hashlib.sha256(payload).digest() != digest:
            raise Integrity(f"part message: part {index} of item {item} was changed on the way")
        return Part(item=item, index=index, payload=payload)


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
    def decode(data: bytes) -> ListPart:
        size = len(data) - ListPart.FORM.size
        if not 0 < size <= MAX_PART_BYTES or data[:4] != ListPart.MAGIC:
            raise Integrity(
                f"list-part message: {len(data)} bytes that are not a VDL1 part of 1 to {MAX_PART_BYTES} bytes"
            )
        _magic, version, offset = ListPart.FORM.unpack_from(data)
        if version > canonical.MAX_INTEGER or offset >= MAX_LIST_BYTES:
            raise Integrity("list-part message: version or offset out of bounds")
        return ListPart(version=version, offset=offset, payload=data[ListPart.FORM.size :])


Control = Birth | Status | Init | Fin | Grant | Ack | Sealed | Refuse | ListOffer | ListWant
Message = Control | Part | ListPart
FromDevice = Birth | Status | Init | Part | Fin | ListWant
FromCentre = Grant | Ack | Sealed | Refuse | ListOffer | ListPart

_CONTROL = (Birth, Status, Init, Fin, Grant, Ack, Sealed, Refuse, ListOffer, ListWant)
_READERS: dict[str, Callable[[_Fields], Control]] = {kind.name: kind.read for kind in _CONTROL}
_BINARY: dict[str, Callable[[bytes], Part | ListPart]] = {Part.name: Part.decode, ListPart.name: ListPart.decode}


def decode(name: str, data: bytes) -> Message:
    """The message of that topic name; raises Integrity for anything that is not exactly one."""
    if name in _BINARY:
        return _BINARY[name](data)
    if name not in _READERS:
        raise Integrity(f"no message is called {name[:40]!r}")
    fields = _Fields(name, data)
    message = _READERS[name](fields)
    fields.close()
    return message


def parts_of(size: int, part_size: int) -> int:
    """How many parts an item of `size` bytes has."""
    return -(-size // part_size)
