"""The centre asks a real device for what nobody had activated: from the command to evidence that anybody can check."""

from __future__ import annotations

import io
import json
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import av
import pytest
import waiting

from edge import ring
from edge.ring import load_kept
from simulator import demo
from simulator.stage import Stage, vedette
from sync.central.rows import ItemRow
from sync.central.store import Store
from vedette import spool
from vedette.clock import SystemClock, iso
from vedette.custody_entry import Entry, parse_line
from vedette.custody_tail import journal_files
from vedette.keys import SigningKey

until = partial(waiting.until, within_s=120)
REASON = "call 4712: shots heard at the corner"
NOTHING_ON_THE_LIST = (
    "plate,region,reason,priority,source,valid_from,valid_to\nZZ99ZZZ,GB,test,high,test,2026-01-01,2030-01-01\n"
)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "street.mp4"
    source = ["-f", "lavfi", "-i", "testsrc2=size=640x480:rate=25:duration=4"]
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p"]
    subprocess.run(["ffmpeg", "-v", "error", *source, *coding, str(path)], check=True)
    return path


@pytest.fixture
def stage(staged: Callable[[demo.Options], Stage], tmp_path: Path, clip: Path) -> Stage:
    """A vehicle in standby with a camera that plays a clip, which keeps for an hour what nobody activates."""
    options = demo.Options(folder=tmp_path, seconds=600, seed=3, video=None, plates=(), watchlist=None)
    made = staged(options)
    start = {"start_utc_us": str(SystemClock().utc_us())}
    camera = {"adapter": "clip", "source": str(clip), "loop": True, "options": start}
    recorder = {"mode": "standby", "pre_event_s": 0, "segment_s": 2, "retroactive_h": 1}
    made.scene = replace(made.scene, camera=camera, recorder=recorder, watchlist_csv=NOTHING_ON_THE_LIST)
    made.prepare()
    with (made.device / "device.toml").open("a") as toml:
        toml.write("\n[keeper]\nlow_free_mib = 0\n")
    made.start_centre()
    made.start_device()
    return made


def kept_in(stage: Stage) -> list[ring.Kept]:
    """What lies whole in the ring, oldest first."""
    public = SigningKey.load(stage.device / "keys" / "sign.pem").public
    folder = ring.folder_of(stage.device / "spool")
    found = [load_kept(folder / f"{item}{ring.KEPT}", public) for item in ring.named(folder, ring.KEPT)]
    return sorted(found, key=lambda one: one.facts.started_us)


def at_centre(stage: Stage) -> list[ItemRow]:
    store = Store(stage.central)
    try:
        return store.items(kind="segment", limit=100)
    finally:
        store.close()


def custody_at_centre(stage: Stage) -> list[Entry]:
    store = Store(stage.central)
    try:
        return [parse_line(line) for line in store.custody_lines(stage.scene.device, "recorder")]
    finally:
        store.close()


def custody_on_device(stage: Stage) -> list[Entry]:
    paths = journal_files(stage.device / "journal" / "recorder")
    return [parse_line(line) for path in paths for line in path.read_bytes().splitlines()]


@pytest.mark.timeout(400)
def test_centre_recovers_what_nobody_activated_and_it_opens_and_verifies(stage: Stage, tmp_path: Path) -> None:
    """RI-12, RI-15, RI-18, RI-19, AC-28: nothing else of the ring leaves the device, and a receipt deletes what did."""
    kept = until(lambda: kept[1:3] if len(kept := kept_in(stage)) >= 4 else None, "four whole segments in the ring")
    assert at_centre(stage) == []
    wanted = {one.item: one.ending.sealed_sha256 for one in kept}
    # A moment inside the first and one inside the last: both are wanted whole.
    span = ["--from", iso(kept[0].facts.started_us + 500_000), "--to", iso(kept[-1].ended_us - 500_000)]
    vedette("central", "command", stage.central, stage.scene.device, "recover", "--reason", REASON, *span)

    rows = until(lambda: found if len(found := at_centre(stage)) >= len(wanted) else None, "the items at the centre")
    assert {row.item: row.sealed_sha256 for row in rows} == wanted
    assert {(row.manifest.activation, row.manifest.complete) for row in rows} == {("retroactive", True)}
    until(lambda: not wanted.keys() & {one for _kind, one, _path in spool.item_ids(stage.device / "spool")}, "receipts")
    assert len(kept_in(stage)) >= 2
    assert len(at_centre(stage)) == len(wanted)

    (asked,) = json.loads(vedette("central", "commands", stage.central, "--json"))
    assert (asked["state"], asked["reason"]) == ("taken", REASON)
    lines = custody_on_device(stage)
    (claimed,) = [one for one in lines if one.event == "ring.claimed"]
    assert (claimed.detail["id"], claimed.detail["by"]) == (asked["id"], ring.REMOTE)
    assert REASON not in str([one.detail for one in lines])
    settled = until(
        lambda: next((one for one in custody_on_device(stage) if one.event == "ring.settled"), None),
        "the claim settled",
    )
    assert settled.detail["segments"] == len(wanted)
    # Its end makes the recorder's journal an item, and only then does the centre have the lines.
    stage.services["recorder"].stop()
    until(lambda: any(one.event == "ring.settled" for one in custody_at_centre(stage)), "the recorder's custody")
    for row in rows:
        check(stage, row, tmp_path)


def check(stage: Stage, row: ItemRow, folder: Path) -> None:
    """Export the item, verify the bundle against the device's trust file, and play the opened file."""
    bundle = folder / f"{row.item}.zip"
    identity, trust = stage.escrow / "evidence.identity", stage.device / "trust.json"
    vedette("evidence", "export", stage.central, row.item, "-o", bundle, "--identity", identity)
    report = json.loads(vedette("evidence", "verify", bundle, "--trust", trust, "--identity", identity, "--json"))
    assert report["ok"] is True
    said = {one["what"]: one for one in report["findings"]}
    assert "unbroken" in said["custody chain"]["message"]
    assert "to its end" in said["checkpoints"]["message"]
    with zipfile.ZipFile(bundle) as archive, av.open(io.BytesIO(archive.read(f"{row.item}.mp4")), "r") as mp4:
        pictures = len(list(mp4.decode(video=0)))
    assert row.manifest.media is not None
    assert pictures == row.manifest.media.frames > 25
