"""The case store as its readers see it: hits, items, devices, custody, users; and the few things a person may change.

Decided here: what is asked of the database and in which order it answers (newest first, because ids are UUIDv7).
Taking items in is receipts.py, the log is log.py, opening hits is triage.py. Each thread has its own connection.
Which database and which blobs these are is places.py.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sync.central.database import ALONE, BESIDE_OTHERS, COMMIT, Database
from sync.central.log import Log
from sync.central.places import DATABASE as DATABASE
from sync.central.places import places_of
from sync.central.rows import (
    CHAIN_SQL,
    COUNTS_SQL,
    DEVICE_SQL,
    HIT_SQL,
    HIT_STATES,
    ITEM_SQL,
    QUARANTINE_SQL,
    AccessRow,
    ChainRow,
    Counts,
    DecisionRow,
    DeviceRow,
    GapRow,
    HitRow,
    HitState,
    ItemRow,
    ListRow,
    QuarantineRow,
    RecordingRow,
    Role,
    User,
    device_row,
    hit_row,
    item_row,
)
from sync.central.tally import Tally
from sync.central.users import Users
from vedette import hitfile, sealed
from vedette.clock import Clock, SystemClock
from vedette.errors import NotFound, Refused

MAX_ROWS = 500
MAX_NOTE_CHARACTERS = 2000
MAX_HIT_BYTES = 16 << 20

_LAST_ID = "~"
_LAST_NUMBER = (1 << 63) - 1

Row = TypeVar("Row", DecisionRow, GapRow, ListRow, AccessRow)


class Store:
    """The central store in `folder` (the one that holds store.db, blobs/ and keys/)."""

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        self.folder = folder
        self.clock: Clock = clock or SystemClock()
        places = places_of(folder, self.clock)
        self.blobs = places.blobs
        self._connect = places.connect
        self._threads = threading.local()
        self.tally = Tally()
        places.migrate(self.db)

    @property
    def db(self) -> Database:
        """This thread's connection."""
        if not hasattr(self._threads, "db"):
            self._threads.db = self._connect()
        db: Database = self._threads.db
        return db

    def close(self) -> None:
        """Close this thread's connection."""
        db: Database | None = self._threads.__dict__.pop("db", None)
        if db is not None:
            db.close()

    @contextmanager
    def writing(self) -> Generator[Database, None, None]:
        """One transaction that no other `writing` runs beside; durable when the block ends, undone when it raises."""
        with self._transaction(ALONE) as db:
            yield db

    @contextmanager
    def adding(self) -> Generator[Database, None, None]:
        """The same for rows that nobody else writes: it waits for no other worker where the database allows it."""
        with self._transaction(BESIDE_OTHERS) as db:
            yield db

    @contextmanager
    def _transaction(self, begin: str) -> Generator[Database, None, None]:
        db = self.db
        db.execute(begin)
        try:
            yield db
            db.execute(COMMIT)
        except BaseException:
            db.rollback()
            raise

    def counts(self) -> Counts:
        """The figures of the front page."""
        row = self._rows(COUNTS_SQL)[0]
        known = dict(zip(Counts.__slots__[:-1], row, strict=False))
        return Counts(**known, revision=".".join(str(one) for one in row[2:]))

    def devices(self) -> list[DeviceRow]:
        """Every enrolled device, by id."""
        return [device_row(row) for row in self._rows(DEVICE_SQL + " ORDER BY d.device")]

    def device(self, device: str) -> DeviceRow:
        """One device; `NotFound` when it is not enrolled."""
        return device_row(self._one(DEVICE_SQL + " WHERE d.device = ?", device, "device"))

    def items(
        self,
        kind: str | None = None,
        device: str | None = None,
        recording: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> list[ItemRow]:
        """Items, newest first, `limit` at most (500); `after` is the last id of the page before."""
        where, values = _where({"i.kind": kind, "i.device": device, "i.recording": recording})
        rows = self._rows(
            f"{ITEM_SQL} WHERE i.item < ?{where} ORDER BY i.item DESC LIMIT ?", after or _LAST_ID, *values, _most(limit)
        )
        return [item_row(row) for row in rows]

    def item(self, item: str) -> ItemRow:
        """One item; `NotFound` when the centre has none of that id."""
        return item_row(self._one(ITEM_SQL + " WHERE i.item = ?", item, "item"))

    def segments(self, recording: str) -> list[ItemRow]:
        """All segments of a recording in the order they were recorded; `NotFound` when there are none."""
        rows = self._rows(
            ITEM_SQL + " WHERE i.recording = ? AND i.kind = 'segment' ORDER BY i.sequence, i.item", recording
        )
        if not rows:
            raise NotFound(f"the centre has no segment of recording {recording[:40]!r}")
        return [item_row(row) for row in rows]

    def recordings(self, limit: int = 100, device: str | None = None) -> list[RecordingRow]:
        """Recordings, the last started first."""
        where, values = _where({"device": device})
        rows = self._rows(
            "SELECT recording, min(device), count(*), sum(sealed_size), min(started_us), max(ended_us), min(complete)"
            f" FROM items WHERE recording IS NOT NULL AND kind = 'segment'{where}"
            " GROUP BY recording ORDER BY 5 DESC LIMIT ?",
            *values,
            _most(limit),
        )
        names = ("recording", "device", "segments", "sealed_bytes", "started_us", "ended_us")
        return [RecordingRow(**dict(zip(names, row, strict=False)), complete=bool(row[6])) for row in rows]

    def receipt(self, item: str) -> bytes:
        """The signed receipt record of a stored item."""
        return bytes(self._one("SELECT receipt FROM items WHERE item = ?", item, "item")[0])

    def manifest(self, item: str) -> bytes:
        """The signed manifest record of a stored item, as the device sent it."""
        return bytes(self._one("SELECT manifest FROM items WHERE item = ?", item, "item")[0])

    def enrolment(self, device: str) -> bytes:
        """The signed record that says which key is this device's."""
        return bytes(self._one("SELECT enrolment FROM devices WHERE device = ?", device, "device")[0])

    def log_size(self) -> int:
        """How many leaves the log has."""
        return Log(self.db).size

    def proof(self, item: str) -> str:
        """The item's inclusion in the log at the newest checkpoint, as a C2SP tlog-proof."""
        return Log(self.db).proof(self._one("SELECT log_index FROM items WHERE item = ?", item, "item")[0])

    def checkpoint(self) -> str:
        """The newest signed checkpoint of the log (C2SP tlog-checkpoint); `NotFound` while the log is empty."""
        return Log(self.db).checkpoint()

    def hits(
        self, limit: int = 100, after: str | None = None, state: HitState | None = None, device: str | None = None
    ) -> list[HitRow]:
        """Hits, newest first, `limit` at most (500); `after` is the last id of the page before."""
        where, values = _where({"h.state": state, "h.device": device})
        rows = self._rows(
            f"{HIT_SQL} WHERE h.hit < ?{where} ORDER BY h.hit DESC LIMIT ?", after or _LAST_ID, *values, _most(limit)
        )
        return [hit_row(row) for row in rows]

    def hit(self, hit: str) -> HitRow:
        """One hit; `NotFound` when there is none of that id."""
        return hit_row(self._one(HIT_SQL + " WHERE h.hit = ?", hit, "hit"))

    def picture(self, hit: str, name: str) -> bytes:
        """One JPEG of a hit, opened now with the triage key and kept nowhere; `NotFound` for a name it has not."""
        sha256 = self.item(self.hit(hit).item).sealed_sha256
        identities = sealed.load_identities(self.folder / "keys" / "triage.identity")
        payload = sealed.open_sealed(self.blobs.read(sha256, max_bytes=MAX_HIT_BYTES), identities)
        _, pictures = hitfile.unpack(payload)
        if name not in pictures:
            raise NotFound(f"hit {hit} has no picture {name[:40]!r}; it has {', '.join(sorted(pictures))}")
        return pictures[name]

    def decide_hit(self, hit: str, state: HitState, user: str, note: str = "") -> HitRow:
        """Move a hit to `state` in `user`'s name; the step is kept for ever beside the ones before it."""
        if state not in HIT_STATES:
            raise Refused(f"{state!r} is not a state of a hit; one of {', '.join(HIT_STATES)}")
        if len(note) > MAX_NOTE_CHARACTERS:
            raise Refused(f"a note has {MAX_NOTE_CHARACTERS} characters at most")
        with self.writing() as db:
            found = db.execute("SELECT state FROM hits WHERE hit = ?", [hit]).fetchone()
            if found is None:
                raise NotFound(f"there is no hit {hit[:40]!r}")
            step = [hit, self.clock.utc_us(), user, found[0], state, note]
            db.execute(
                "INSERT INTO decisions (hit, decided_us, user, previous, state, note) VALUES (?, ?, ?, ?, ?, ?)", step
            )
            db.execute("UPDATE hits SET state = ? WHERE hit = ?", [state, hit])
        return self.hit(hit)

    def decisions(self, hit: str) -> list[DecisionRow]:
        """Every step of a hit, oldest first."""
        return self._all(DecisionRow, "decisions WHERE hit = ? ORDER BY id", hit)

    def custody_lines(self, device: str, service: str) -> list[bytes]:
        """The verified journal lines of one service, in order, without their newline."""
        rows = self._rows(
            "SELECT line FROM custody_lines WHERE device = ? AND service = ? ORDER BY seq", device, service
        )
        return [bytes(row[0]) for row in rows]

    def chains(self, device: str | None = None) -> list[ChainRow]:
        """How far each service's custody chain is verified, and what is wrong with it."""
        where, values = _where({"c.device": device})
        rows = self._rows(f"{CHAIN_SQL} WHERE true{where} ORDER BY c.device, c.service", *values)
        return [ChainRow(**dict(zip(ChainRow.__slots__, row, strict=True))) for row in rows]

    def gaps(self, device: str | None = None, limit: int = 100) -> list[GapRow]:
        """Times that devices say they did not record, the latest first."""
        where, values = _where({"device": device})
        return self._all(GapRow, f"gaps WHERE true{where} ORDER BY from_us DESC LIMIT ?", *values, _most(limit))

    def quarantine(self, limit: int = 100, device: str | None = None, after: int | None = None) -> list[QuarantineRow]:
        """What came in and did not verify, the latest first; `after` is the last id of the page before."""
        where, values = _where({"device": device})
        last = _LAST_NUMBER if after is None else after
        rows = self._rows(f"{QUARANTINE_SQL} WHERE id < ?{where} ORDER BY id DESC LIMIT ?", last, *values, _most(limit))
        return [QuarantineRow(**dict(zip(QuarantineRow.__slots__, row, strict=True))) for row in rows]

    def lists(self) -> list[ListRow]:
        """Every watchlist version, the newest first."""
        return self._all(ListRow, "lists ORDER BY version DESC")

    def note_access(self, user: str, action: str, subject: str, reason: str = "") -> None:
        """Record that `user` did `action` (a word such as "open") to `subject` (an id), for `reason`."""
        self.db.execute(
            "INSERT INTO accesses (at_us, user, action, subject, reason) VALUES (?, ?, ?, ?, ?)",
            [self.clock.utc_us(), user, action[:40], subject[:200], reason[:MAX_NOTE_CHARACTERS]],
        )

    def accesses(self, subject: str | None = None, limit: int = 100) -> list[AccessRow]:
        """Who did what to which item or hit, the latest first."""
        where, values = _where({"subject": subject})
        return self._all(AccessRow, f"accesses WHERE true{where} ORDER BY id DESC LIMIT ?", *values, _most(limit))

    def add_user(self, name: str, password: str, role: Role) -> User:
        """Make a user; `Refused` for a bad name, a short password or a name that is taken."""
        return Users(self.db, self.clock).add(name, password, role)

    def check_password(self, name: str, password: str) -> User | None:
        """The user when the password is theirs and they are not locked out, else None; as slow either way."""
        return Users(self.db, self.clock).check(name, password)

    def users(self) -> list[User]:
        """Everybody who may sign in, by name."""
        return Users(self.db, self.clock).all()

    def _all(self, kind: type[Row], source: str, *values: object) -> list[Row]:
        """Rows of a type whose fields are the table's columns."""
        names = [field.name for field in dataclasses.fields(kind)]
        rows = self._rows(f"SELECT {', '.join(names)} FROM {source}", *values)
        return [kind(**dict(zip(names, row, strict=True))) for row in rows]

    def _rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        return self.db.execute(sql, list(values)).fetchall()

    def _one(self, sql: str, key: str, what: str) -> tuple[Any, ...]:
        rows = self._rows(sql, key)
        if not rows:
            raise NotFound(f"the centre has no {what} {key[:64]!r}")
        return rows[0]


def _most(limit: int) -> int:
    return max(1, min(limit, MAX_ROWS))


def _where(wanted: Mapping[str, str | None]) -> tuple[str, list[str]]:
    """` AND column = ?` for each wanted value that is not None, and the values."""
    given = {column: value for column, value in wanted.items() if value is not None}
    return "".join(f" AND {column} = ?" for column in given), list(given.values())
