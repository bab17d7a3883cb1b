"""A device's shift as the centre has it: the rows of its journals for a time, its key, and what it had signed besides.

Decided here: which rows a time needs. Rows have no time of their own, and a device's clock may have been wrong, so
it is whole files: from the last one that was stored an hour before the time begins (what came before that was written
before it, whatever a clock said; where the files' own times are in order, from the last one that ended so early) to one
file behind the last that begins before an hour after it, all between included. What rows mean, and that each is
verified again, is `vedette.timeline_account`. Implements TI-35 to TI-37 of docs/spec/timeline.md.
"""

from __future__ import annotations

import getpass
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sync.central import chains, fleet
from sync.central.store import Store
from vedette.custody_entry import reread_line
from vedette.enrolment import open_enrolment
from vedette.errors import NotTrusted, Refused, Usage
from vedette.records import keyring
from vedette.timeline_keys import FoundKey, Vouched
from vedette.timeline_source import Lines, Wanted

MARGIN_US = 3_600_000_000
MAX_LINES = 500_000
BESIDE = ("position",)
KEEPER = "keeper"
RING_OPENED = b'"event":"ring.opened"'
_SOME, _NO_END = 200, 1 << 53

# A file of a journal whose lines are believed: its first line is a row of its own.
_FILE = (
    "FROM items i WHERE i.device = ? AND i.kind = 'custody' AND {which} AND EXISTS"
    " (SELECT 1 FROM custody_lines l WHERE l.device = i.device AND l.service = ? AND l.seq = i.sequence"
    " AND l.item = i.item) ORDER BY i.sequence"
)
_LAST = f"SELECT i.sequence {_FILE} DESC LIMIT 1"
_FILES = f"SELECT i.sequence, i.started_us, i.stored_us {_FILE} LIMIT ?"
_BEHIND = 3  # so many of the files that begin later than asked for are looked at
_PLACE = "FROM custody_lines WHERE device = ? AND service = ?"


@dataclass(frozen=True, slots=True)
class JournalFile:
    """A journal's file at the centre: its first line's number, when that was written by the device's clock, and when
    the file was stored by the centre's (UTC in microseconds).
    """

    first_seq: int
    started_us: int
    stored_us: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """What the centre has of a device's shift: the lines of its journals by service, its key, the device's word of
    their length (each record with the last line that is here), what was found wrong.
    """

    device: str
    key: FoundKey
    journals: dict[str, list[bytes]] = field(default_factory=dict)
    told: list[tuple[bytes, int]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def sha256(self) -> str:
        """The hash of all of it: another one where a byte is another."""
        running = hashlib.sha256(self.key.key.raw)
        words = [f"{held_to}".encode() for _, held_to in self.told], [one.encode() for one in self.problems]
        for part in (*self.journals.values(), [record for record, _ in self.told], *words):
            running.update(b"%d\n" % len(part))
            for one in part:
                running.update(b"%d\n" % len(one))
                running.update(one)
        return running.hexdigest()

    def add_to(self, into: Lines) -> None:
        """Put all of it to the other lines."""
        into.keys.append(self.key)
        into.told += self.told
        into.problems += self.problems
        for service, lines in self.journals.items():
            into.add_arrived(f"{service}'s journal at the centre", self.device, service, lines)


def read_centre(folder: Path, wanted: Wanted, into: Lines) -> None:
    """Take what the centre in `folder` has of the device's shift; Usage where it has to be said of which device."""
    store = Store(folder)
    try:
        devices = [one.device for one in store.devices()]
        if wanted.device is None and len(devices) != 1:
            raise Usage(f"this centre has {len(devices)} devices: say of which with --device")
        device = wanted.device or devices[0]
        take(store, replace(wanted, device=device), into)
        store.note_access(getpass.getuser(), "shift.show", device)
    finally:
        store.close()


def take(store: Store, wanted: Wanted, into: Lines) -> None:
    """Take lines, key, heads and what is wrong with the journal; NotFound for an unknown device, Refused where a
    journal has more than MAX_LINES lines of that time.
    """
    rows_of(store, wanted, MAX_LINES).add_to(into)


def rows_of(store: Store, wanted: Wanted, most: int) -> Rows:
    """The rows, unchecked; NotFound for an unknown device, Refused where a journal has more than `most` lines of that
    time.
    """
    device = store.device(wanted.device or "").device
    rows = Rows(device=device, key=_key(store, device, wanted))
    for service in dict.fromkeys((wanted.service, *BESIDE)):
        first, last = seqs_of(_files(store, device, service, wanted), wanted.from_us, wanted.to_us)
        rows.journals[service] = _rows(store, device, service, (first, last), most)
    _add_word(store, rows, wanted.service)
    rows.journals[KEEPER] = list(_about(store, device, _kept(rows.journals[wanted.service])))
    return rows


def _kept(lines: Sequence[bytes]) -> list[str]:
    """The segments that these lines say were kept though nobody had activated anything."""
    opened = [reread_line(line) for line in lines if RING_OPENED in line]
    return sorted({str(one.detail.get("segment")) for one in opened if one.event == "ring.opened"})


def seqs_of(files: Sequence[JournalFile], from_us: int | None, to_us: int | None) -> tuple[int, int | None]:
    """The numbers of the first and the last line (None: there is no end) that a stretch of time needs; all of them
    where it has no end. `files` are in the order of their lines.
    """
    first, last = 0, len(files)
    if from_us is not None:
        before = [index for index, one in enumerate(files) if one.stored_us < from_us - MARGIN_US]
        first = max(before, default=0)
    if to_us is not None:
        within = [index for index, one in enumerate(files) if one.started_us <= to_us + MARGIN_US]
        last = max(first, max(within, default=0)) + 2
    times = [one.started_us for one in files[first:last]]
    if from_us is not None and times == sorted(times):
        first += max((index for index, one in enumerate(times[1:]) if one < from_us - MARGIN_US), default=-1) + 1
    return files[first].first_seq if files else 1, files[last].first_seq - 1 if last < len(files) else None


def _files(store: Store, device: str, service: str, wanted: Wanted) -> list[JournalFile]:
    """The files among which `seqs_of` finds those that a time needs, of a journal of years too."""

    def last(which: str, at_us: int) -> int:
        found = store.db.execute(_LAST.format(which=which), [device, at_us, service]).fetchone()
        return int(found[0]) if found else 0

    def files(which: str, seqs: list[int], most: int) -> list[JournalFile]:
        found = store.db.execute(_FILES.format(which=which), [device, *seqs, service, most]).fetchall()
        return [JournalFile(*row) for row in found]

    first = last("i.stored_us < ?", wanted.from_us - MARGIN_US) if wanted.from_us is not None else 0
    if wanted.to_us is None:
        return files("i.sequence >= ?", [first], _NO_END)
    end = max(first, last("i.started_us <= ?", wanted.to_us + MARGIN_US))
    within = files("i.sequence BETWEEN ? AND ?", [first, end], _NO_END)
    return within + files("i.sequence > ?", [end], _BEHIND)


def _rows(store: Store, device: str, service: str, seqs: tuple[int, int | None], most: int) -> list[bytes]:
    span = [device, service, seqs[0], _NO_END if seqs[1] is None else seqs[1]]
    where = f"{_PLACE} AND seq >= ? AND seq <= ?"
    count = int(store.db.execute(f"SELECT count(*) {where}", span).fetchone()[0])
    if count > most:
        raise Refused(f"{count} lines of {device} are of that time, {most} can be drawn at once: ask for less of it")
    return [bytes(row[0]) for row in store.db.execute(f"SELECT line {where} ORDER BY seq", span).fetchall()]


def _about(store: Store, device: str, segments: Sequence[str]) -> Iterator[bytes]:
    """The keeper's lines about these segments, whenever they were written."""
    for start in range(0, len(segments), _SOME):
        some = segments[start : start + _SOME]
        sql = f"SELECT line {_PLACE} AND subject IN ({', '.join('?' * len(some))}) ORDER BY seq"
        yield from (bytes(row[0]) for row in store.db.execute(sql, [device, KEEPER, *some]).fetchall())


def _add_word(store: Store, rows: Rows, service: str) -> None:
    """Up to where the device had signed, up to where the lines are here, and what was found wrong with them."""
    chain = chains.read(store.db, rows.device, service)
    if chain.problem is not None:
        rows.problems.append(chain.problem)
    sql = "SELECT record FROM journal_heads WHERE device = ? AND service = ? ORDER BY seq DESC"
    waiting = store.db.execute(sql, [rows.device, service]).fetchall()
    newest = store.db.execute("SELECT record FROM told_heads WHERE device = ?", [rows.device]).fetchall()
    held_to = int(store.db.execute(f"SELECT max(seq) {_PLACE}", [rows.device, service]).fetchone()[0] or 0)
    records = dict.fromkeys(bytes(row[0]) for row in (*newest, *waiting))
    rows.told.extend((record, held_to) for record in records)


def _key(store: Store, device: str, wanted: Wanted) -> FoundKey:
    """The device's key by the centre's enrolment: the centre in the trust file, else the one whose store it is."""
    own = fleet.centre_trust(store.folder)
    theirs = wanted.trust or own
    if (theirs.centre, theirs.log_origin) != (own.centre, own.log_origin):
        raise NotTrusted(f"{store.folder} is of another centre than your trust file: its key is {own.centre.text}")
    enrolment = open_enrolment(store.enrolment(device), keyring(own.centre))
    vouched = Vouched.CENTRE if wanted.trust is None else Vouched.TRUST
    return FoundKey(device=device, key=enrolment.key, vouched=vouched, name=str(store.folder))
