"""`python -m bench.vehicles DEVICE.TOML…`: uplinks of many devices in one process, driven line by line over its pipe.

Decided here: each device is the real uplink on its own thread, with its own spool, connections and receipts; only the
process around it is shared. Its threads hand Python's lock on soon, as processes of their own would need none, and what
a crowd sends is sealed before the time is taken, as recorders and readers elsewhere would have done. Words on standard
input, one JSON line answers each:

    pack COUNT BYTES   seal so many segments for each device and leave them uncommitted
    go                 commit them and wait until each has its receipt
    ready SECONDS EVERY  seal a segment and the hits of so many seconds for each device, one every so often (0: none)
    crowd SECONDS      keep two segments waiting on each device, put the hits, tell how long each took
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from simulator.freight import Loader, Packed
from sync.uplink import Uplink
from sync.uplink_commands import make_uplink
from vedette import spool
from vedette.clock import SystemClock
from vedette.errors import NotFound

LOOK_S = 0.005
# While the uplink works at full speed, beside it in the same process: looking often would be measured with it.
REST_S = 0.05
SWITCH_S = 0.0005
GIVE_UP_S = 900.0
SEGMENT_BYTES = 4 << 20
WAITING = 2


@dataclass(slots=True)
class Vehicle:
    """One device: its uplink on a thread, and what it was given to send."""

    loader: Loader
    packed: list[Packed] = field(default_factory=list)
    sent: list[Packed] = field(default_factory=list)
    next_hit_s: float = 0.0
    receipts: str = ""
    cargo: Packed | None = None
    leads: list[Packed] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def start(self) -> Vehicle:
        """Begin to send what lies in the spool."""
        self.receipts = str(self.loader.config.receipts)
        threading.Thread(target=self._run, daemon=True).start()
        return self

    def stop(self) -> None:
        """End the uplink's thread soon."""
        self._over.set()

    def _run(self) -> None:
        clock = SystemClock()
        uplink: Uplink = make_uplink(self.loader.config, clock)
        while not self._over.is_set():
            time.sleep(uplink.step(clock.mono_us()))
        uplink.close()

    def commit(self) -> None:
        """Let what is packed be sent."""
        self.sent += [self.loader.commit(one) for one in self.packed]
        self.packed.clear()

    def is_through(self, packed: Packed) -> bool:
        """Whether its receipt is on the disk; asked often beside what is measured, so by one call of the kernel's."""
        return os.path.exists(f"{self.receipts}/{packed.item}.receipt")  # noqa: PTH110

    def forget(self, packed: Packed) -> None:
        """Do as the keeper does with what has its receipt."""
        spool.manifest_path(self.loader.config.spool, packed.kind, packed.item).unlink()
        spool.final_path(self.loader.config.spool, packed.kind, packed.item).unlink()


class Yard:
    """All devices of this process and the words it understands."""

    def __init__(self, paths: list[Path]) -> None:
        self._vehicles = [Vehicle(Loader(path)).start() for path in paths]
        self._carried = 0
        self._every = 0.0

    def pack(self, count: int, size: int) -> dict[str, object]:
        """Seal segments for later."""
        for one in self._vehicles:
            one.packed += [one.loader.pack(size) for _ in range(count)]
        return {"items": count * len(self._vehicles)}

    def go(self) -> dict[str, object]:
        """Send what is packed; seconds until the last receipt, by the time of its file."""
        began, began_ns = time.monotonic(), time.time_ns()
        for one in self._vehicles:
            one.commit()
        self._until_through(began)
        last_ns = max(self._received_ns(one, packed) for one in self._vehicles for packed in one.sent)
        for one in self._vehicles:
            for packed in one.sent:
                one.forget(packed)
            one.sent.clear()
        return {"seconds": (last_ns - began_ns) / 1e9}

    def _received_ns(self, vehicle: Vehicle, packed: Packed) -> int:
        return (vehicle.loader.config.receipts / f"{packed.item}.receipt").stat().st_mtime_ns

    def ready(self, seconds: float, every: float) -> dict[str, object]:
        """Seal what `crowd` will send: a segment, sent again and again, and a hit for every so many seconds."""
        self._every = every
        for one in self._vehicles:
            one.cargo = one.loader.pack(SEGMENT_BYTES)
            one.leads = [one.loader.pack_hit() for _ in range(int(seconds / every) + 1)] if every else []
        return {"items": sum(1 + len(one.leads) for one in self._vehicles)}

    def crowd(self, seconds: float) -> dict[str, object]:
        """Seconds from a hit's commit to its receipt, and the bulk bytes that came through meanwhile."""
        over = threading.Event()
        for one in self._vehicles:  # no two cars see a stolen one at the same instant
            one.next_hit_s = time.monotonic() + self._every * random.Random(one.receipts).random()
        self._top_up()
        began = time.monotonic()
        filling = threading.Thread(target=self._keep_full, args=(over,))
        filling.start()
        hits = self._hits(began + seconds)
        over.set()
        filling.join()
        return {"hits": hits, "bytes": self._carried, "seconds": time.monotonic() - began}

    def _hits(self, until: float) -> list[float]:
        """Put hits in turn until then; the seconds that each took, by the times of commit and of its receipt's file."""
        put: list[tuple[Vehicle, Packed, int]] = []
        while (now := time.monotonic()) < until:
            for one in self._vehicles:
                if now >= one.next_hit_s and one.leads:
                    one.next_hit_s = now + self._every
                    put.append((one, one.loader.commit(one.leads.pop()), time.time_ns()))
            due = min((one.next_hit_s for one in self._vehicles if one.leads), default=until)
            time.sleep(max(0.0, min(due, until) - time.monotonic()))
        for one, packed, _ in put:
            while not one.is_through(packed):
                self._look(until)
        return [(self._received_ns(one, packed) - put_ns) / 1e9 for one, packed, put_ns in put]

    def _keep_full(self, over: threading.Event) -> None:
        while not over.wait(REST_S):
            self._top_up()

    def _top_up(self) -> None:
        """Keep segments waiting on each device; count those that got their receipt."""
        for one in self._vehicles:
            for sent in [sent for sent in one.sent if one.is_through(sent)]:
                self._carried += sent.size
                one.forget(sent)
                one.sent.remove(sent)
            while one.cargo is not None and len(one.sent) < WAITING:
                one.sent.append(one.loader.commit(one.loader.pack_again(one.cargo)))

    def _until_through(self, began: float) -> None:
        for one in self._vehicles:
            for packed in one.sent:
                while not one.is_through(packed):
                    self._look(began, REST_S)

    def _look(self, began: float, pause_s: float = LOOK_S) -> None:
        if time.monotonic() - began > GIVE_UP_S:
            raise NotFound(f"no receipt for every item within {GIVE_UP_S:.0f} s")
        time.sleep(pause_s)

    def close(self) -> None:
        """End every uplink."""
        for one in self._vehicles:
            one.stop()


def main(paths: list[str]) -> int:
    """Serve the words until standard input ends."""
    sys.setswitchinterval(SWITCH_S)
    yard = Yard([Path(path) for path in paths])
    print(json.dumps({"devices": len(paths)}), flush=True)
    for line in sys.stdin:
        word, *numbers = line.split()
        values = [float(number) if word in ("ready", "crowd") else int(number) for number in numbers]
        print(json.dumps(getattr(yard, word)(*values)), flush=True)
    yard.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
