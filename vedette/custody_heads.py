"""How far the custody journals of a device have come: read beside their writers, signed, opened at the centre.

A journal whose tail is cut off is whole in itself; a head that left the device before shows what is gone. Decided here:
what counts as a line's being durable for somebody who did not write it, and what a record of heads holds. Not decided
here: when heads are told (`sync.head_post`) and what the centre makes of them (`sync.central.heads`). Implements CJ-26
to CJ-28 of docs/spec/custody-journal.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from vedette import files
from vedette.custody_entry import MAX_LINE_BYTES, SERVICE, Entry, parse_line
from vedette.custody_tail import FILE_NAME, HEAD_NAME
from vedette.errors import Integrity, VedetteError
from vedette.fields import Fields
from vedette.keys import PublicKey, SigningKey
from vedette.records import Body, keyring, open_record, sign_record

HEADS = "vedette/heads/1"
MAX_HEADS = 16
MAX_HEADS_BYTES = 8 * 1024
_TAIL_BYTES = 3 * (MAX_LINE_BYTES + 1)  # the first line of them is cut

_Seen = tuple[str, int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """A durable line of a service's journal: its number, its SHA-256 (hex), and the start (`boot`) that wrote it."""

    service: str
    boot: str
    seq: int
    head: str

    @staticmethod
    def of(entry: Entry) -> Head:
        """The head that this line is."""
        return Head(service=entry.service, boot=entry.boot, seq=entry.seq, head=entry.sha256)

    @staticmethod
    def read(fields: Fields) -> Head:
        """One head of a record's body; Integrity names the field that is wrong."""
        head = Head(
            service=fields.text("service", most=32),
            boot=fields.uuid7("boot"),
            seq=fields.integer("seq", least=1),
            head=fields.sha256("head"),
        )
        fields.close()
        if not SERVICE.fullmatch(head.service):
            raise Integrity(f"heads: {head.service!r} is no service")
        return head


@dataclass(frozen=True, kw_only=True, slots=True)
class Heads:
    """What a device says at `told_us` (UTC in microseconds, by a clock of this quality) of its journals, one head for
    a service, by service.
    """

    device: str
    told_us: int
    time_source: str
    time_error_us: int | None
    heads: tuple[Head, ...]

    def sign(self, key: SigningKey) -> bytes:
        """The signed record's bytes."""
        body: Body = {
            "device": self.device,
            "told_us": self.told_us,
            "time": {"source": self.time_source, "error_us": self.time_error_us},
            "heads": [{name: getattr(one, name) for name in Head.__slots__} for one in self.heads],
        }
        return sign_record(HEADS, body, key)


def open_heads(record: bytes, device: str, key: PublicKey) -> Heads:
    """The heads of `device` in a record signed by its `key`; raises Integrity or NotTrusted."""
    fields = Fields(open_record(HEADS, record, keyring(key), max_bytes=MAX_HEADS_BYTES), "heads")
    time = fields.object("time")
    told = Heads(
        device=fields.device("device"),
        told_us=fields.integer("told_us"),
        time_source=time.text("source", most=32),
        time_error_us=time.optional("error_us", time.integer),
        heads=tuple(Head.read(one) for one in fields.objects("heads", most=MAX_HEADS)),
    )
    time.close()
    fields.close()
    services = [one.service for one in told.heads]
    if services != sorted(set(services)):
        raise Integrity("heads: not one for each service, by service")
    if told.device != device:
        raise Integrity(f"heads of {device} name {told.device[:80]!r}")
    return told


@dataclass(kw_only=True)
class JournalWatch:
    """The journals below `root` as a process sees them that does not write them; a look reads no more than the last
    lines of files that have changed.
    """

    root: Path
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _read: dict[str, _Seen] = field(default_factory=dict)
    _heads: dict[str, Head] = field(default_factory=dict)

    def look(self) -> tuple[Head, ...]:
        """The last line of each journal that is known to be durable, by service, MAX_HEADS at most.

        It is one that another line follows, or one that has stood since the look before; looks are seconds apart. A
        journal that cannot be read now, or that does not tell, is said to be where it was.
        """
        for service in self._services():
            try:
                head = self._look(service)
            except (VedetteError, OSError):
                continue
            if head is not None and head.service == service:
                self._heads[service] = head
        return tuple(self._heads[service] for service in sorted(self._heads)[:MAX_HEADS])

    def _services(self) -> Iterable[str]:
        try:
            return sorted(name for name in os.listdir(self.root) if SERVICE.fullmatch(name))[:MAX_HEADS]
        except OSError:
            return ()

    def _look(self, service: str) -> Head | None:
        """Where this journal stands; None where nothing is new or sure."""
        folder = self.root / service
        newest = max((name for name in os.listdir(folder) if FILE_NAME.match(name)), default=None)
        kept = _kept(folder / HEAD_NAME)
        if newest is None:
            return kept
        status = (folder / newest).stat()
        before, seen = self._seen.get(service), (newest, status.st_size, status.st_mtime_ns)
        self._seen[service] = seen
        if self._read.get(service) == seen:
            return None
        lines = _last_lines(folder / newest)
        stands = seen == before
        if len(lines) < (1 if stands else 2):
            return None
        head = Head.of(parse_line(lines[-1] if stands else lines[-2]))
        if stands:
            self._read[service] = seen
        return head if kept is None or kept.seq < head.seq else kept


def _kept(path: Path) -> Head | None:
    """The line that the keeper left of a newest file that it deleted."""
    if not path.exists():
        return None
    return Head.of(parse_line(files.read(path, max_bytes=MAX_LINE_BYTES + 1).removesuffix(b"\n")))


def _last_lines(path: Path) -> list[bytes]:
    """The last whole lines of a file, two at least where there are so many."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL_BYTES))
        lines = file.read(_TAIL_BYTES).split(b"\n")
    return lines[:-1] if size <= _TAIL_BYTES else lines[1:-1]
