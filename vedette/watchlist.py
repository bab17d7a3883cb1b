"""The watchlist: signed by the centre, sealed on the device, verified again each time it is used.

Implements docs/spec/watchlist.md. A list is one signed head (`vedette/watchlist/1`: version, times, source, number and
SHA-256 of the entries) and then one canonical JSON object a line, so that a million entries are checked by one
signature and one hash and parsed one at a time. Not decided here: what a match does, and how a list travels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vedette import canonical, files, plates
from vedette.errors import Expired, Integrity, NotFound, NotTrusted, Refused
from vedette.fields import Fields
from vedette.keys import PublicKey, SigningKey
from vedette.records import WATCHLIST, open_record, sign_record
from vedette.sealed import Identity, open_sealed

MAX_ENTRIES = 1_000_000
MAX_HEAD_BYTES = 4096
MAX_ENTRY_BYTES = 2048
MAX_LIST_BYTES = 512 << 20
MAX_REASON = 200
MAX_SOURCE = 60
PRIORITIES = ("high", "normal", "low")
CLOCK_TOLERANCE_US = 300 * 1_000_000
MAX_FLOOR_BYTES = 64
PLATE_AT = len(b'{"plate":"')


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchEntry:
    """One wanted plate: why, how urgent, by whose word, and from when until when (UTC, the end excluded)."""

    plate: str
    region: str
    reason: str
    priority: str
    source: str
    valid_from_us: int
    valid_to_us: int

    @property
    def entry_id(self) -> str:
        """The same in every version of the list (WL-16); as secret as the plate, since it can be computed from it."""
        name = canonical.dumps([self.plate, self.region, self.source])
        return hashlib.sha256(name).hexdigest()[:32]

    @property
    def text_ascii(self) -> str:
        """The plate without bars and Arabic letters."""
        return plates.to_ascii(self.plate)

    def valid_at(self, utc_us: int) -> bool:
        """Whether a match at this time may raise a hit."""
        return self.valid_from_us <= utc_us < self.valid_to_us

    def to_body(self) -> dict[str, Any]:
        """The object that stands for this entry in a list's line."""
        return {name: getattr(self, name) for name in self.__slots__}


def parse_entry(line: bytes) -> WatchEntry:
    """The entry of one line of a list (without its newline); `Integrity` names the field that is wrong."""
    fields = Fields(canonical.loads(line, max_bytes=MAX_ENTRY_BYTES), "watchlist entry")
    entry = WatchEntry(
        plate=fields.text("plate"),
        region=fields.text("region"),
        reason=fields.text("reason", most=MAX_REASON),
        priority=fields.one_of("priority", PRIORITIES),
        source=fields.text("source", most=MAX_SOURCE),
        valid_from_us=fields.integer("valid_from_us"),
        valid_to_us=fields.integer("valid_to_us"),
    )
    fields.close()
    check_entry(entry)
    return entry


def check_entry(entry: WatchEntry) -> None:
    """`Integrity` when an entry's plate is not in its one written form or its validity is empty."""
    try:
        written = plates.normalise(entry.plate, plates.check_region(entry.region))
    except plates.PlateError as error:
        raise Integrity(f"watchlist entry: {error}") from None
    if (written.text, written.region) != (entry.plate, entry.region):
        raise Integrity("watchlist entry: the plate or region is not in its one written form")
    if entry.valid_to_us <= entry.valid_from_us:
        raise Integrity("watchlist entry: it ends before it begins")


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchList:
    """An opened list; from byte `start` on, `signed` holds its entries' lines, each with its newline."""

    version: int
    issued_us: int
    expires_us: int
    source: str
    count: int
    signed: bytes = field(repr=False)
    start: int

    def entries(self) -> Iterator[WatchEntry]:
        """Every entry, parsed strictly; `Integrity` at the first that is malformed."""
        at = self.start
        while at < len(self.signed):
            yield self.entry_at(at)
            at = self.signed.index(b"\n", at) + 1

    def entry_at(self, offset: int) -> WatchEntry:
        """The entry whose line begins at byte `offset` of `signed`."""
        return parse_entry(self.signed[offset : self.signed.index(b"\n", offset)])

    def expired(self, utc_us: int) -> bool:
        """Whether the list as a whole may no longer raise a hit."""
        return utc_us >= self.expires_us

    def age_us(self, utc_us: int) -> int:
        """How long ago the list was issued; zero where this clock is behind the centre's."""
        return max(0, utc_us - self.issued_us)


def make_list(
    entries: Iterable[WatchEntry], *, version: int, issued_us: int, expires_us: int, source: str, key: SigningKey
) -> bytes:
    """The bytes of a signed list; `Refused` for a repeated entry, too many, or an expiry that is not in the future."""
    if expires_us <= issued_us or version < 1:
        raise Refused("a watchlist has a version from 1 up and expires after it is issued")
    lines = sorted(canonical.dumps(entry.to_body()) + b"\n" for entry in entries)
    if len(lines) > MAX_ENTRIES:
        raise Refused(f"a watchlist of {len(lines)} entries is over the limit of {MAX_ENTRIES}")
    seen: set[str] = set()
    for line in lines:
        entry = parse_entry(line[:-1])
        if entry.entry_id in seen:
            raise Refused(f"watchlist: {entry.source} lists plate {entry.plate} ({entry.region}) twice")
        seen.add(entry.entry_id)
    blob = b"".join(lines)
    body = {
        "version": version,
        "issued_us": issued_us,
        "expires_us": expires_us,
        "source": source,
        "count": len(lines),
        "entries_sha256": hashlib.sha256(blob).hexdigest(),
    }
    return sign_record(WATCHLIST, body, key) + b"\n" + blob


def open_list(data: bytes, keys: Mapping[str, PublicKey], *, now_us: int, newer_than: int | None) -> WatchList:
    """Verify a signed list and open it; its entries' own fields are checked when they are parsed.

    Raises `Integrity` (malformed or changed), `NotTrusted` (wrong signer, not newer than `newer_than`, from the future)
    or `Expired`.
    """
    if len(data) > MAX_LIST_BYTES:
        raise Integrity(f"a watchlist of {len(data)} bytes is over the limit of {MAX_LIST_BYTES}")
    end = data.find(b"\n", 0, MAX_HEAD_BYTES + 1)
    if end < 0:
        raise Integrity("watchlist: the signed head is cut off or too long")
    fields = Fields(open_record(WATCHLIST, data[:end], keys, max_bytes=MAX_HEAD_BYTES), "watchlist")
    opened = WatchList(
        version=fields.integer("version", least=1),
        issued_us=fields.integer("issued_us"),
        expires_us=fields.integer("expires_us"),
        source=fields.text("source"),
        count=fields.integer("count", most=MAX_ENTRIES),
        signed=data,
        start=end + 1,
    )
    digest = fields.sha256("entries_sha256")
    fields.close()
    _check_lines(opened, digest)
    _check_times(opened, now_us, newer_than)
    return opened


def _check_lines(opened: WatchList, digest: str) -> None:
    data, start = opened.signed, opened.start
    if hashlib.sha256(memoryview(data)[start:]).hexdigest() != digest:
        raise Integrity(f"watchlist version {opened.version}: the entries are not the ones that were signed")
    if data.count(b"\n", start) != opened.count or not data.endswith(b"\n"):
        raise Integrity(f"watchlist version {opened.version}: it does not hold the {opened.count} entries it claims")


def _check_times(opened: WatchList, now_us: int, newer_than: int | None) -> None:
    if newer_than is not None and opened.version <= newer_than:
        raise NotTrusted(
            f"watchlist version {opened.version} is not newer than version {newer_than}, which was here already"
        )
    if opened.issued_us > now_us + CLOCK_TOLERANCE_US:
        raise NotTrusted(f"watchlist version {opened.version} was issued in this machine's future; check its clock")
    if opened.expired(now_us):
        raise Expired(f"watchlist version {opened.version} has expired; no alerts until a newer list arrives")


def current_path(device_folder: Path) -> Path:
    """Where the sealed list of a device lies."""
    return device_folder / "watchlist" / "current.age"


def store(
    device_folder: Path,
    sealed: bytes,
    identities: Sequence[Identity],
    keys: Mapping[str, PublicKey],
    *,
    now_us: int,
) -> WatchList:
    """Open and verify a sealed list, then put its sealed bytes in place of the older one; raises as `open_list` does.

    The highest version ever stored is noted beside it, so that an older list stays refused when the file is gone; the
    same version is taken again, which repairs a damaged file.
    """
    current = current_path(device_folder)
    opened = open_list(_unseal(sealed, identities), keys, now_us=now_us, newer_than=floor(device_folder) - 1)
    current.parent.mkdir(parents=True, exist_ok=True)
    files.replace(current, sealed, mode=0o640)
    files.replace(_floor_path(device_folder), canonical.dumps({"version": opened.version}))
    return opened


def load(
    device_folder: Path, identities: Sequence[Identity], keys: Mapping[str, PublicKey], *, now_us: int
) -> WatchList:
    """The list of this device, verified anew; `NotFound` when none was stored, else raises as `open_list` does."""
    sealed = files.read(current_path(device_folder), max_bytes=2 * MAX_LIST_BYTES)
    return open_list(_unseal(sealed, identities), keys, now_us=now_us, newer_than=floor(device_folder) - 1)


def floor(device_folder: Path) -> int:
    """The highest version this device has stored; 0 when none. A damaged note counts as none and is written anew."""
    try:
        body = canonical.loads(files.read(_floor_path(device_folder), max_bytes=MAX_FLOOR_BYTES))
        return Fields(body, "watchlist floor").integer("version")
    except (NotFound, Integrity):
        return 0


def _floor_path(device_folder: Path) -> Path:
    return current_path(device_folder).with_name("floor.json")


def _unseal(sealed: bytes, identities: Sequence[Identity]) -> bytes:
    if len(sealed) > 2 * MAX_LIST_BYTES:
        raise Integrity(f"a sealed watchlist of {len(sealed)} bytes is over the limit")
    return open_sealed(sealed, identities)
