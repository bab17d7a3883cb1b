"""The demo: one patrol car end to end on this machine, with the real parts.

Decided here: what is driven (a clip or the drawn street), when a drive is over, and what has to be finished before the
figures are taken: the open segment and journals are sealed, everything in the spool is sent, receipted and deleted.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge.camera import open_camera
from simulator import world
from simulator.report import Figures, Progress, gather
from simulator.stage import ON_START, Scene, Stage, vedette
from vedette import spool
from vedette.clock import SystemClock, iso
from vedette.config import CameraSection
from vedette.daemon import read_status
from vedette.errors import NotFound, Refused

DEVICE = "car-1"
DRAIN_WITHIN_S = 120.0
TICK_S = 0.5
DRIVE_S = 66
MOST_S = 3700.0
ASK_AFTER_S = 8.0
REASON = "demo: keep what the vehicle sees now"
_DAY_US = 86_400_000_000
_COLUMNS = ("plate", "region", "reason", "priority", "source", "valid_from", "valid_to")

Tell = Callable[[Progress], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What the caller chose; `seconds` None plays a clip once, to its end."""

    folder: Path
    seconds: int | None
    seed: int
    video: Path | None
    plates: tuple[tuple[str, str], ...]
    watchlist: Path | None


def run(options: Options, tell: Tell, leave: Callable[[Stage], None]) -> Figures:
    """Prepare a stage, drive, finish, count; `leave` is called while the centre still runs."""
    stage = Stage(options.folder, scene(options))
    try:
        figures = drive_through(stage, options, tell)
        leave(stage)
        return figures
    finally:
        stage.close()


def drive_through(stage: Stage, options: Options, tell: Tell) -> Figures:
    """One drive from an empty folder to its figures; the centre, uplink and keeper still run on return."""
    tell(Progress(stage="making the central store, its keys and the vehicle"))
    stage.prepare()
    stage.start_centre()
    tell(Progress(stage="starting recorder, reader, panel, position, uplink and keeper"))
    stage.start_device()
    drive(stage, options.seconds if options.video is not None else None, tell)
    finish(stage, tell)
    figures = gather(stage)
    (stage.folder / "figures.json").write_bytes(figures.to_bytes())
    return figures


def scene(options: Options) -> Scene:
    """The camera, board and list of this demo; `NotFound` or `Refused` when the clip cannot be played."""
    now_us = SystemClock().utc_us()
    if options.video is not None:
        camera = _clip(options)
        board: dict[str, object] = {"adapter": "null"}
        rows = [] if options.plates else world.watchlist_rows(world.plan(options.seed, 60), now_us=now_us)
    else:
        seconds = options.seconds or DRIVE_S
        start = {"seed": str(options.seed), "seconds": str(seconds), "start_utc_us": ON_START}
        camera = {"adapter": "street", "rate": 25, "bitrate_kbps": 3000, "options": start}
        board = {"adapter": "sim", "options": start}
        rows = world.watchlist_rows(world.plan(options.seed, seconds), now_us=now_us)
    recorder = {"mode": "continuous", "segment_s": 10, "pre_event_s": 10, "post_event_s": 10}
    return Scene(
        device=DEVICE,
        camera=camera,
        board=board,
        recorder=recorder,
        watchlist_csv=_csv(rows, options),
    )


def drive(stage: Stage, seconds: int | None, tell: Tell) -> None:
    """Watch until the camera has ended, or `seconds` of a looping clip are recorded; restart what dies."""
    started, is_asked = time.monotonic(), False
    while True:
        stage.tend()
        status = read_status(stage.run, "recorder")
        elapsed_s = time.monotonic() - started
        tell(Progress.of(stage, "driving", elapsed_s))
        recorded_ms = status.get("recorded_ms", 0)
        if not is_asked and elapsed_s >= ASK_AFTER_S:
            is_asked = True
            ask(stage)
        if status.get("state") == "ended":
            return
        if seconds is not None and isinstance(recorded_ms, int) and recorded_ms >= seconds * 1000:
            return
        if elapsed_s > MOST_S:
            raise Refused(f"the camera did not end within {MOST_S:.0f} s; see {stage.logs}")
        time.sleep(TICK_S)


def ask(stage: Stage) -> None:
    """Have the centre ask the vehicle to keep what it records now, as an investigator does on a page."""
    vedette("central", "command", stage.central, stage.scene.device, "mark", "--reason", REASON)


def finish(stage: Stage, tell: Tell) -> None:
    """End who records and journals, so that their last files are sealed; wait until each item is receipted and gone."""
    started = time.monotonic()
    for name in ("recorder", "reader", "position"):
        stage.services[name].stop()
    while any(True for _ in spool.item_ids(stage.device / "spool")):
        if time.monotonic() - started > DRAIN_WITHIN_S:
            break
        for process in (stage.centre, stage.services["uplink"], stage.services["keeper"]):
            process.tend()
        tell(Progress.of(stage, "sending the rest", time.monotonic() - started))
        time.sleep(TICK_S)


def _clip(options: Options) -> dict[str, object]:
    video = options.video
    if video is None or not video.is_file():
        raise NotFound(f"the clip {video} is not there")
    camera = open_camera(CameraSection(adapter="clip", source=str(video.resolve())), SystemClock())
    try:
        camera.open()
    finally:
        camera.close()
    camera = open_camera(CameraSection(adapter="clip", source=str(video)))
    try:
        camera.open()
    finally:
        camera.close()
    return {"adapter": "clip", "source": str(video.resolve()), "loop": options.seconds is not None}


def _csv(rows: list[dict[str, str]], options: Options) -> str:
    if options.watchlist is not None:
        try:
            return options.watchlist.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise NotFound(f"the watchlist {options.watchlist} cannot be read: {error}") from None
    now_us = SystemClock().utc_us()
    dates = {"valid_from": iso(now_us - _DAY_US)[:10], "valid_to": iso(now_us + 30 * _DAY_US)[:10]}
    named = [
        {
            "plate": plate,
            "region": region,
            "reason": "named for this demo",
            "priority": "high",
            "source": "demo",
            **dates,
        }
        for plate, region in options.plates
    ]
    out = io.StringIO()
    writer = csv.DictWriter(out, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows([*rows, *named])
    return out.getvalue()
