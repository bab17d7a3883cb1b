"""Who may have how much on its way to this centre: one budget of bytes, shared by devices and not by uploads.

Decided here: a device's share is the budget over the devices that have uploads under way, within its share the more
urgent upload goes first, and what a device claims (many uploads, every one urgent, asking again and again, sending more
than it was granted) gets it nothing beyond that share. Implements WI-25, WI-54 to WI-56 of docs/spec/wire.md.

An eighth of each share, and of the whole, is kept for what is urgent; beyond it a device may have one urgent part.
Devices that come by different brokers have a room each: what one broker's line is lent is shared by its own devices, so
that a slow one costs nobody else. What all rooms expose together, and a device's share, stay within the whole budget.
`exposed` is the most that may be on its way of an upload: a credit that was lowered still counts until its parts have
come, so the budget bounds memory and not only words. An upload that was told 0 waits in line; who waits longest gets
room first, so that none starves where a share is smaller than a part; each room has a line of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

URGENT_PRIORITY = 2
KEPT_FOR_URGENT = 8


@dataclass(slots=True)
class _Line:
    """One upload's account, in parts."""

    priority: int
    part_size: int
    left: int
    exposed: int = 0
    paused: bool = False

    @property
    def bytes(self) -> int:
        return self.exposed * self.part_size


@dataclass(slots=True)
class _Room:
    """What may be on its way by one broker, and who waits for more of it."""

    budget: int
    total: int = 0
    bulk: int = 0
    devices: int = 0
    waiting: dict[tuple[str, str], None] = field(default_factory=dict)

    @property
    def free(self) -> int:
        """Bytes that less urgent uploads may still be granted."""
        return min(self.budget - self.total, self.budget - self.budget // KEPT_FOR_URGENT - self.bulk)


@dataclass(slots=True)
class _Device:
    room: _Room
    lines: dict[str, _Line] = field(default_factory=dict)
    bytes: int = 0


class Credit:
    """The accounts of one ingest worker at its `brokers`."""

    def __init__(self, *, budget_bytes: int, window: int, brokers: int = 1) -> None:
        self._window = window
        self._devices: dict[str, _Device] = {}
        self._all = _Room(budget_bytes)  # what they share; nobody waits in it
        self._rooms = [_Room(budget_bytes) for _ in range(brokers)]
        self._first = 0
        self._changed: set[str] = set()

    @property
    def devices(self) -> int:
        """How many devices share the budget."""
        return len(self._devices)

    @property
    def exposed_bytes(self) -> int:
        """The most that may be on its way by what was granted."""
        return self._all.total

    @property
    def share(self) -> int:
        """Bytes that one device may have on their way by the first broker."""
        return self._share(self._rooms[0])

    @property
    def fair_part(self) -> int:
        """The largest part that a share of the whole budget holds, also while less of it is granted."""
        return self._all.budget // max(1, len(self._devices))

    def exposed_at(self, broker: int) -> int:
        """As `exposed_bytes`, by that broker."""
        return self._rooms[broker].total

    def lend(self, budget_bytes: int, broker: int = 0) -> None:
        """Grant within this budget there from now on; what was granted stays so. More than the whole is not lent."""
        room, budget = self._rooms[broker], min(budget_bytes, self._all.budget)
        if budget > room.budget:
            self._changed.update(self._devices)
        room.budget = budget

    def uploads_of(self, device: str) -> int:
        """How many uploads of `device` are under way."""
        known = self._devices.get(device)
        return len(known.lines) if known is not None else 0

    def join(self, device: str, item: str, *, priority: int, part_size: int, left: int, broker: int = 0) -> None:
        """An upload begins (again) that still needs `left` parts; nothing of it is on its way. A device that has
        others under way keeps the room it has.
        """
        self.leave(device, item)
        known = self._devices.get(device)
        if known is None:
            known = self._devices[device] = _Device(self._rooms[broker])
            known.room.devices += 1
        known.lines[item] = _Line(priority, part_size, left)

    def leave(self, device: str, item: str) -> None:
        """An upload is over, or forgotten."""
        known = self._devices.get(device)
        line = known.lines.pop(item, None) if known is not None else None
        if known is None or line is None:
            return
        self._expose(known, line, 0)
        known.room.waiting.pop((device, item), None)
        self._changed.add(device)
        if not known.lines:
            del self._devices[device]
            known.room.devices -= 1

    def taken(self, device: str, item: str, parts: int) -> None:
        """`parts` more of an upload are durable, so they are not on their way any more."""
        known = self._devices[device]
        line = known.lines[item]
        line.left -= parts
        self._changed.add(device)
        self._expose(known, line, max(0, line.exposed - parts))

    def asked(self, device: str, item: str) -> None:
        """The device has begun anew with this upload: nothing that it sent before counts as on its way."""
        known = self._devices[device]
        self._expose(known, known.lines[item], 0)

    def exposed(self, device: str, item: str) -> int:
        """Parts of an upload that may come before the next word; more is more than was granted."""
        return self._devices[device].lines[item].exposed

    def allot(self, device: str, item: str, *, its_turn: bool = False) -> int:
        """Parts that this upload may have unacknowledged from now on; `its_turn` when `relieved` has named it."""
        known = self._devices[device]
        line = known.lines[item]
        room, share, total = known.room, self._share_left(known, item), self._total_left(known.room, line)
        credit = max(0, min(self._window, line.left, share // line.part_size, total // line.part_size))
        waits = False
        if credit == 0 and line.left:
            alone = known.bytes == line.bytes
            if line.priority <= URGENT_PRIORITY:
                credit = self._urgent_part(known, line)
            elif share >= line.part_size or alone:
                fits = total >= line.part_size or self._is_alone(room, line)
                credit = 1 if fits and (its_turn or not room.waiting) else 0
                waits = credit == 0
        self._expose(known, line, max(credit, line.exposed))
        line.paused = credit == 0 and line.left > 0
        if waits:
            room.waiting.setdefault((device, item))
        else:
            room.waiting.pop((device, item), None)
        return credit

    def relieved(self) -> list[tuple[str, str]]:
        """Uploads that were told 0 and would be told more now: by their own device's room, then by the line."""
        if not self._changed and not any(room.waiting for room in self._rooms):
            return []
        found = [key for device in self._changed for key in self._resumable(device)]
        self._changed.clear()
        free = self._all.free
        self._first = (self._first + 1) % len(self._rooms)  # or the first room had what is left of all each time
        for room in (*self._rooms[self._first :], *self._rooms[: self._first]):
            free -= self._relieve(room, free, found)
        return found

    def _relieve(self, room: _Room, all_free: int, found: list[tuple[str, str]]) -> int:
        """Put into `found` who waits in `room` and would be told more, and return how many bytes that takes."""
        free, taken = min(room.free, all_free), 0
        for device, item in room.waiting:
            known = self._devices[device]
            line = known.lines[item]
            if line.part_size > free - taken and (room.total or not self._is_alone(room, line)):
                break
            if known.bytes == 0 or self._share_left(known, item) >= line.part_size:
                taken += line.part_size
                found.append((device, item))
        return taken

    def _is_alone(self, room: _Room, line: _Line) -> bool:
        """Whether nothing else is on its way by this broker, and a part of it fits the whole budget or is all of it."""
        fits = self._all.total - line.bytes + line.part_size <= self._all.budget
        return room.total == line.bytes and (fits or self._all.total == line.bytes)

    def _resumable(self, device: str) -> list[tuple[str, str]]:
        known = self._devices.get(device)
        if known is None:
            return []
        waiting = known.room.waiting
        paused = [item for item, line in known.lines.items() if line.paused and (device, item) not in waiting]
        return [(device, item) for item in paused if self._may_resume(known, item)]

    def _may_resume(self, known: _Device, item: str) -> bool:
        line = known.lines[item]
        if line.priority <= URGENT_PRIORITY and self._urgent_part(known, line):
            return True
        return known.bytes == 0 or self._share_left(known, item) >= line.part_size

    def _share_left(self, known: _Device, item: str) -> int:
        """Bytes of the device's share for this upload: what its others have, or will want first, is not its own."""
        line = known.lines[item]
        others = known.bytes - line.bytes
        for name, other in known.lines.items():
            if (other.priority, name) < (line.priority, item):
                others += max(0, min(self._window, other.left) * other.part_size - other.bytes)
        return _for(line, self._share(known.room)) - others

    def _share(self, room: _Room) -> int:
        """Bytes that one device may have on their way."""
        return min(room.budget // max(1, room.devices), self.fair_part)

    def _total_left(self, room: _Room, line: _Line) -> int:
        """Bytes of the room's budget, and of the whole one, that are nobody's."""
        left = min(room.budget - room.total, self._all.budget - self._all.total) + line.bytes
        if line.priority <= URGENT_PRIORITY:
            return left
        bulk = min(_for(line, room.budget) - room.bulk, _for(line, self._all.budget) - self._all.bulk)
        return min(left, bulk + line.bytes)

    def _urgent_part(self, known: _Device, line: _Line) -> int:
        """One part beyond every share, where no other urgent one of this device is on its way."""
        urgent = [one for one in known.lines.values() if one is not line and one.priority <= URGENT_PRIORITY]
        return 0 if any(one.exposed for one in urgent) else min(1, line.left)

    def _expose(self, known: _Device, line: _Line, parts: int) -> None:
        change = (parts - line.exposed) * line.part_size
        line.exposed = parts
        known.bytes += change
        for room in (known.room, self._all):
            room.total += change
            room.bulk += change if line.priority > URGENT_PRIORITY else 0


def _for(line: _Line, room: int) -> int:
    """What of a share or budget is for an upload of this urgency."""
    return room if line.priority <= URGENT_PRIORITY else room - room // KEPT_FOR_URGENT
