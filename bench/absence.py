"""Nobody takes evidence in while two hundred devices fill up: the broker's memory, then the order in which they empty.

The broker runs on its own, the centre is away. What a day makes waits in the spools, scaled down to what this disk
takes: the broker sees questions, never evidence, so its memory does not depend on how much that is. Two figures of
memory, one in the middle and one at the end, show whether it grows with time.
"""

from __future__ import annotations

import time

from bench.depot import Site, devices, memory_bytes, site
from bench.harness import Fact
from sync.central.broker import Broker

DEVICES, SEGMENTS, SEGMENT_BYTES = 200, 6, 256 * 1024
ABSENT_S = 60.0
EMBEDDED = "embedded = true"
MIB = 1 << 20


def absence() -> list[Fact]:
    """A minute of absence, then everything."""
    with site() as where:
        paths = where.enrol(DEVICES)
        broker = _broker_alone(where)
        try:
            with devices(where, paths) as fleet:
                fleet.tell("fill", SEGMENTS, SEGMENT_BYTES)
                time.sleep(ABSENT_S / 2)
                middle = memory_bytes(broker.pid or 0)
                time.sleep(ABSENT_S / 2)
                last = memory_bytes(broker.pid or 0)
                where.stage.centre.start()
                answers = fleet.tell("drain")
                most = memory_bytes(broker.pid or 0)
        finally:
            where.stage.centre.stop()
            broker.stop()
    in_order = sum(int(answer["in_order"]) for answer in answers)
    hits_s, all_s = (max(float(answer[name]) for answer in answers) for name in ("hits_s", "all_s"))
    return [
        Fact(
            name=f"the broker's memory while nobody takes in, {DEVICES} devices, {ABSENT_S:.0f} s",
            figure=f"{middle / MIB:.1f} MiB in the middle, {last / MIB:.1f} at its end, {most / MIB:.1f} when drained",
            bound="150 MiB",
        ),
        Fact(
            name=f"then {DEVICES * (SEGMENTS + 1)} items are taken in",
            figure=f"{in_order} devices' hit first; hits through after {hits_s:.1f} s, all after {all_s:.1f} s",
            bound=f"{DEVICES} devices' hit first",
        ),
    ]


def _broker_alone(where: Site) -> Broker:
    """Stop the centre and start its broker outside of it, on the port that devices know."""
    host, port = where.broker
    where.stage.centre.stop()
    path = where.stage.central / "central.toml"
    text = path.read_text()
    path.write_text(text.replace(EMBEDDED, "embedded = false").replace("port = 0", f"port = {port}", 1))
    broker = Broker(where.stage.central, host, port, name="alone")
    broker.start(0)
    return broker
