"""`kill -9` of every process in the middle of a drive: nothing lost, nothing twice, every missing second named."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from simulator import demo
from simulator.checks import account_for
from simulator.report import gather
from simulator.stage import Stage, vedette
from sync.central.store import Store
from vedette.daemon import read_status

SECONDS = 36


def drive_until(stage: Stage, recorded_s: float) -> None:
    """Go on until the recorder has recorded so much since its last start, or its camera ended."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        stage.tend()
        status = read_status(stage.run, "recorder")
        recorded_ms = status.get("recorded_ms")
        if status.get("state") == "ended" or (isinstance(recorded_ms, int) and recorded_ms >= recorded_s * 1000):
            return
        time.sleep(0.1)
    raise AssertionError(f"the recorder did not record {recorded_s} s")


def kill_broker(stage: Stage) -> None:
    identity = json.loads((stage.central / "run" / "broker.pid.json").read_text())
    os.kill(identity["pid"], signal.SIGKILL)


def test_every_second_is_accounted_for_when_every_process_is_killed(
    staged: Callable[[demo.Options], Stage], tmp_path: Path
) -> None:
    options = demo.Options(folder=tmp_path, seconds=SECONDS, seed=3, video=None, plates=(), watchlist=None)
    stage = staged(options)
    stage.prepare()
    stage.start_centre()
    stage.start_device()
    drive_until(stage, 4)
    stage.services["reader"].kill()
    drive_until(stage, 6)
    stage.services["recorder"].kill()
    time.sleep(1.2)
    stage.tend()
    drive_until(stage, 3)
    stage.services["uplink"].kill()
    drive_until(stage, 5)
    stage.services["keeper"].kill()
    drive_until(stage, 7)
    kill_broker(stage)
    drive_until(stage, 11)
    stage.centre.kill()
    demo.drive(stage, None, lambda _progress: None)
    demo.finish(stage, lambda _progress: None)

    figures, found = gather(stage), account_for(stage)
    assert found.unexplained == ()
    assert found.twice == ()
    assert found.gap_us > 0
    assert found.recorded_us + found.gap_us >= (SECONDS - 3) * 1_000_000
    assert figures.items_on_device == 0
    assert figures.quarantined == 0
    assert figures.restarts == 5
    store = Store(stage.central)
    try:
        items = store.items(limit=500)
        assert len({row.item for row in items}) == len(items)
        assert len({row.log_index for row in items}) == len(items)
        assert [chain.problem for chain in store.chains()] == [None] * len(store.chains())
        hits = store.hits(limit=500)
        assert len({hit.text for hit in hits}) == len(hits)
        cut = [row.item for row in items if not row.complete]
    finally:
        store.close()
    assert len(cut) == 1
    bundle = tmp_path / "cut.zip"
    vedette("evidence", "export", stage.central, cut[0], "-o", bundle, "--identity", stage.escrow / "evidence.identity")
    assert json.loads(vedette("evidence", "verify", bundle, "--json"))["ok"] is True
