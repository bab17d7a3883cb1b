"""Items that a device's verified custody names, and lines of custody that it signed for, that are not at the centre.

Decided here: whatever a line of custody is about is an item that there was, so a file that was taken from a device's
disk before it was sent is missed at the centre, with what its device had signed of it. Nobody can tell a file that
waits from one that is gone, so time does. Implements CS-17 and CS-23 of docs/spec/case-store.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from sync.central.rows import FURTHEST_HEAD
from sync.central.store import MAX_ROWS, Store
from vedette.custody_entry import Entry, parse_line

_SAID = (
    "segment.opened", "segment.closed", "segment.recovered", "segment.quarantined", "hit.raised", "hit.recovered",
    "item.deleted", "item.refused",
)  # fmt: skip
_MARKS = ("segment.checkpoint", "segment.closed", "segment.recovered")


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """An item that is not here: what custody says of it last and when (UTC in microseconds), and what it would hold.

    `media_us` is how much of it is proven, `sealed_size` its bytes; None where no line says so. `overdue` is whether it
    was named longer ago than what may take its time.
    """

    item: str
    device: str
    said: str
    said_us: int
    media_us: int | None
    sealed_size: int | None
    overdue: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class OwedLines:
    """Lines `first_seq` to `last_seq` of a service's journal, which its device signed for last at `signed_us` (UTC in
    microseconds, by the device's clock) and which are not here. `overdue`: nothing of them came for as long as that may
    take. `problem` says what shows already that they are lost.
    """

    device: str
    service: str
    first_seq: int
    last_seq: int
    signed_us: int
    overdue: bool
    problem: str | None


def owed_lines(store: Store, *, device: str | None = None, waits_us: int = 0, limit: int = MAX_ROWS) -> list[OwedLines]:
    """What each device has signed for and not delivered, by device and service, `limit` at most."""
    where, values = ("", []) if device is None else (" AND h.device = ?", [device])
    this = "n.device = h.device AND n.service = h.service"
    sql = (
        "SELECT h.device, h.service, coalesce(c.seq, 0) + 1, h.seq, h.told_us,"
        f" (SELECT min(n.first_us) FROM journal_heads n WHERE {this}),"
        " (SELECT i.stored_us FROM custody_lines n JOIN items i ON i.item = n.item"
        f" WHERE {this} AND n.seq = c.seq), c.problem FROM journal_heads h"
        " LEFT JOIN chains c ON c.device = h.device AND c.service = h.service"
        f" WHERE h.seq > coalesce(c.seq, 0) AND {FURTHEST_HEAD}{where} ORDER BY h.device, h.service LIMIT ?"
    )
    before_us = store.clock.utc_us() - waits_us
    return [
        OwedLines(
            device=owner,
            service=service,
            first_seq=first,
            last_seq=last,
            signed_us=signed_us,
            overdue=max(heard_us, came_us or 0) <= before_us,
            problem=problem,
        )
        for owner, service, first, last, signed_us, heard_us, came_us, problem in store.db.execute(
            sql, [*values, max(1, min(limit, MAX_ROWS))]
        ).fetchall()
    ]


def missing_items(
    store: Store, *, device: str | None = None, waits_us: int = 0, limit: int = MAX_ROWS
) -> list[Missing]:
    """The items that custody names and that are not here, the oldest id first, `limit` at most."""
    where, values = ("", []) if device is None else (" AND c.device = ?", [device])
    sql = (
        "SELECT DISTINCT c.subject, c.device FROM custody_lines c WHERE c.subject IS NOT NULL AND NOT EXISTS"
        f" (SELECT 1 FROM items i WHERE i.item = c.subject){where} ORDER BY c.subject, c.device LIMIT ?"
    )
    found = store.db.execute(sql, [*values, max(1, min(limit, MAX_ROWS))]).fetchall()
    before_us = store.clock.utc_us() - waits_us
    return [_missing(store, item, owner, before_us) for item, owner in found]


def _missing(store: Store, item: str, device: str, before_us: int) -> Missing:
    sql = "SELECT line FROM custody_lines WHERE subject = ? AND device = ? ORDER BY service, seq"
    entries = [parse_line(bytes(line)) for (line,) in store.db.execute(sql, [item, device]).fetchall()]
    last = max(
        (one for one in entries if one.event in _SAID), key=lambda one: (one.utc_us, one.seq), default=entries[-1]
    )
    marks = [one for one in entries if one.event in _MARKS]
    return Missing(
        item=item,
        device=device,
        said=last.event,
        said_us=last.utc_us,
        media_us=_number(marks, "media_us"),
        sealed_size=_number(marks, "sealed_size"),
        overdue=last.utc_us <= before_us,
    )


def _number(marks: list[Entry], name: str) -> int | None:
    values = [value for one in marks if isinstance(value := one.detail.get(name), int)]
    return values[-1] if values else None
