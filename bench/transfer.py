"""Sealed items from four spools to the centre's receipts, over a real Mosquitto with TLS, against two references.

The references move the same bytes between as many processes: QoS 1 with nobody in control over a Mosquitto of the same
configuration (nothing is hashed, written or promised there), and an HTTPS PUT that hashes and fsyncs. The three are run
in turn, each round beginning with another, so that a machine that gets slower slows all of them, and none always
follows the same.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bench.depot import Devices, Site, devices, end, hear, site, start, together
from bench.harness import Row, warm_pages
from sync.central.broker import Broker

DEVICES, ITEMS, ITEM_BYTES = 4, 4, 16 << 20
ROUNDS = 8
HOST = "127.0.0.1"
MIB = 1 << 20


def transfer() -> list[Row]:
    """256 MiB from four devices to receipts, in parts of 256 KiB at most, by the broker and by the depot's door."""
    with site(door=True) as where:
        paths, parked = where.enrol(DEVICES), where.enrol(DEVICES, first=DEVICES)
        where.park(parked)
        with devices(where, paths, each=1) as fleet, devices(where, parked, each=1) as depot:
            return _rows(where, fleet, depot, paths)


def _rows(where: Site, fleet: Devices, depot: Devices, paths: Sequence[Path]) -> list[Row]:
    flood, end_flood = _flood(where, paths)
    shelf, end_shelf = _shelf(where)
    times: list[tuple[float, ...]] = []
    try:
        works = [partial(_sent_s, fleet), partial(_sent_s, depot), partial(_timed, flood), partial(_timed, shelf)]
        for number in range(ROUNDS + 1):
            for one in (fleet, depot):
                one.tell("pack", ITEMS, ITEM_BYTES)
            first = number % len(works)
            turns = [*range(first, len(works)), *range(first)]
            took = {turn: _measured(where, works[turn]) for turn in turns}
            times.append(tuple(took[turn] for turn in range(len(works))))
    finally:
        end_flood()
        end_shelf()
    ours, door, flooded, put = zip(*times[1:], strict=True)
    https = "the same bytes by HTTPS PUT, hashed and fsynced"
    return [
        _row("by MQTT", "the same bytes by QoS 1 without control", ours, flooded),
        _row("by MQTT", https, ours, put),
        _row("by the depot's door", https, door, put),
    ]


def _measured(where: Site, work: Callable[[], float]) -> float:
    os.sync()  # what the work before left to the disk is none of this one's
    warm_pages(where.stage.folder, 3 * DEVICES * ITEMS * ITEM_BYTES)
    return work()


def _sent_s(fleet: Devices) -> float:
    """Seconds from the spools, where all is packed, to the last receipt."""
    return max(float(answer["seconds"]) for answer in fleet.tell("go"))


def _row(way: str, reference: str, ours: Sequence[float], theirs: Sequence[float]) -> Row:
    ratio = statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
    return Row(
        name=f"{DEVICES} devices, {ITEMS} items of {ITEM_BYTES // MIB} MiB each, to receipts {way}",
        amount=DEVICES * ITEMS * ITEM_BYTES / MIB,
        unit="MiB",
        median_s=statistics.median(ours),
        reference=reference,
        reference_s=statistics.median(theirs),
        ratio=ratio,
        note=f"goodput {1 / ratio:.2f} of the reference's; socket buffers of {_socket_kib()} KiB",
    )


def _socket_kib() -> int:
    """What a Unix socket holds here; an installed centre's are of 1024 KiB (WI-77)."""
    return int(Path("/proc/sys/net/core/wmem_default").read_text(encoding="utf-8")) >> 10


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _flood(where: Site, paths: Sequence[Path]) -> tuple[Callable[[], object], Callable[[], None]]:
    """Four publishers, a second broker of the same configuration, and one subscriber that counts."""
    central, log = where.stage.central, where.stage.logs / "carriers.log"
    broker = Broker(central, HOST, _free_port(), queue_bytes=1 << 30, name="reference")
    broker.start(0)
    address = HOST, str(broker.port)
    sink = start("bench.carriers", ["sink", *address, str(central / "keys")], log)
    sources = [
        start("bench.carriers", ["flood", *address, str(path.parent / "keys"), path.parent.name], log) for path in paths
    ]
    total = DEVICES * ITEMS * ITEM_BYTES

    def run() -> None:
        works = [partial(_say, child, "go", ITEMS, ITEM_BYTES) for child in sources]
        together([*works, partial(_say, sink, "until", total)])

    def close() -> None:
        for child in (*sources, sink):
            end(child)
        broker.stop()

    return run, close


def _shelf(where: Site) -> tuple[Callable[[], object], Callable[[], None]]:
    """Four clients and one HTTPS server."""
    keys, log, folder = where.stage.central / "keys", where.stage.logs / "carriers.log", where.stage.folder / "shelf"
    folder.mkdir()
    server = start("bench.carriers", ["shelf", HOST, str(keys), str(folder)], log)
    port = str(_say(server, "port")["port"])
    clients = [start("bench.carriers", ["put", HOST, port, str(keys / "ca.crt")], log) for _ in range(DEVICES)]

    def run() -> None:
        together([partial(_say, child, "go", ITEMS, ITEM_BYTES) for child in clients])

    def close() -> None:
        for child in (*clients, server):
            end(child)

    return run, close


def _say(child: subprocess.Popen[str], *words: object) -> dict[str, object]:
    assert child.stdin is not None
    child.stdin.write(" ".join(str(word) for word in words) + "\n")
    child.stdin.flush()
    return hear(child)


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])
