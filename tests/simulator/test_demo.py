"""The demo as its user runs it: figures, what is on the disks, and what anybody can check afterwards."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator import world
from simulator.checks import TOLERANCE_US, account_for, stored_items
from simulator.report import Figures
from simulator.stage import SERVICES, Stage, vedette
from sync.central.remote_commands import commands_to
from sync.central.store import Store
from vedette.config import load_device
from vedette.custody_entry import parse_line
from vedette.daemon import read_status
from vedette.errors import NotTrusted, Refused
from vedette.timeline import State
from vedette.timeline_layers import read_timeline

SEED, SECONDS = 1, 30
OPEN_JS = """
import { Decrypter } from "age-encryption";
import { readFileSync, writeFileSync } from "node:fs";
const [identity, from, to] = process.argv.slice(1);
const decrypter = new Decrypter();
decrypter.addIdentity(identity);
writeFileSync(to, await decrypter.decrypt(readFileSync(from)));
"""


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vedette.cli", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def device_files(stage: Stage) -> Iterator[Path]:
    return (path for path in stage.device.rglob("*") if path.is_file())


def test_demo_records_reads_and_lands_everything_at_the_centre(driven: tuple[Stage, Figures]) -> None:
    stage, figures = driven
    assert figures.items_on_device == 0
    assert figures.receipts == figures.items_at_centre == figures.files_deleted
    assert figures.restarts == figures.quarantined == 0
    found = account_for(stage)
    assert (found.unexplained, found.twice) == ((), ())


def test_demo_records_each_second_of_its_drive_or_custody_says_why_not(driven: tuple[Stage, Figures]) -> None:
    """TI-3. How much a machine can draw and encode is its own: no picture that the camera gave is missing, and where it
    gave none, custody says so. On an idle machine that is nothing.
    """
    stage, figures = driven
    store = Store(stage.central)
    lines = [parse_line(line) for line in store.custody_lines(stage.scene.device, "recorder")]
    segments = [row.manifest for row in stored_items(store) if row.kind == "segment"]
    store.close()
    shift = read_timeline(lines)
    meant_us = int(load_device(stage.device / "device.toml").camera.options["start_utc_us"])
    first = next(entry.detail["started_us"] for entry in lines if entry.event == "segment.opened")
    assert isinstance(first, int)
    begins_us = min(meant_us, first)  # a camera that opens before the time that is meant begins at once
    drive = shift.between(max(begins_us, shift.from_us), begins_us + SECONDS * 1_000_000)

    assert drive.unexplained_us == 0, (begins_us, meant_us, first, shift.stretches)
    assert {one.state for one in drive.stretches} <= {State.RECORDED, State.STARTING, State.CAMERA}
    assert {one.why for one in drive.stretches if one.state is State.CAMERA} <= {
        "ended",
        "camera_stalled",
        "short_stall",
    }
    assert sum(drive.totals.values()) == drive.to_us - drive.from_us
    assert abs(drive.totals[State.RECORDED] - figures.recorded_ms * 1000) <= TOLERANCE_US * len(segments)
    given = read_status(stage.run, "recorder")["frames"]
    assert sum(one.media.frames for one in segments if one.media) == given
    assert isinstance(given, int)
    assert given > 0


def test_demo_marks_for_the_centre_and_all_six_services_run(driven: tuple[Stage, Figures]) -> None:
    """AC-28, AC-33. The recorder's custody says why, and under which id."""
    stage, figures = driven
    assert (figures.commands, figures.commands_taken) == (1, 1)
    assert "1 of 1 commands taken" in figures.table()
    store = Store(stage.central)
    (asked,) = commands_to(store)
    lines = [parse_line(line) for line in store.custody_lines(stage.scene.device, "recorder")]
    store.close()
    received = [dict(entry.detail) for entry in lines if entry.event == "activation.received"]
    assert {"command": "mark", "activation": "remote", "id": asked.id} in received
    assert all(read_status(stage.run, name) for name in SERVICES)


def test_demo_raises_each_watched_plate_once_and_no_other(driven: tuple[Stage, Figures]) -> None:
    _stage, figures = driven
    drive = world.plan(SEED, SECONDS)
    watched = sorted(one.text for one in drive.plates if one.on_watchlist)
    assert len(watched) >= 1
    assert sorted(hit.text for hit in figures.seen) == watched
    assert figures.plates_read > len(watched)
    assert min(hit.looks for hit in figures.seen) >= 2


def test_devices_disk_holds_no_picture_no_video_and_no_plate(driven: tuple[Stage, Figures]) -> None:
    """SP-5."""
    stage, _figures = driven
    drive = world.plan(SEED, SECONDS)
    texts = [one.text for one in drive.plates] + [re.sub(r"\W", "", one.text) for one in drive.plates]
    # Long enough that ciphertext does not hold one by chance.
    jpeg, mp4 = b"\xff\xd8\xff\xe0\x00\x10JFIF", (b"ftypiso5", b"\x00\x00\x00\x10mfhd", b"VideoHandler")
    needles = [*(text.encode() for text in texts), jpeg, *mp4]
    found = [
        (path.name, needle)
        for path in device_files(stage)
        for data in [path.read_bytes()]
        for needle in needles
        if needle in data
    ]
    assert found == []


def test_centres_disk_holds_no_picture_and_no_video(driven: tuple[Stage, Figures]) -> None:
    stage, _figures = driven
    blobs = [path for path in (stage.central / "blobs").rglob("*") if path.is_file()]
    assert [path for path in blobs if not path.read_bytes().startswith(b"age-encryption.org/v1\n")] == []
    everything = b"".join(path.read_bytes() for path in stage.central.rglob("*") if path.is_file())
    assert b"\xff\xd8\xff\xe0\x00\x10JFIF" not in everything
    assert b"VideoHandler" not in everything


def test_evidence_of_a_drive_opens_and_verifies_as_anybody_can(driven: tuple[Stage, Figures], tmp_path: Path) -> None:
    stage, _figures = driven
    listed = json.loads(vedette("evidence", "list", stage.central, "--json"))
    segment = next(one["item"] for one in listed if one["kind"] == "segment")
    bundle = tmp_path / "case.zip"
    identity = stage.escrow / "evidence.identity"
    vedette("evidence", "export", stage.central, segment, "-o", bundle, "--identity", identity)
    report = run("evidence", "verify", bundle, "--json")
    assert report.returncode == 0, report.stderr
    assert json.loads(report.stdout)["ok"] is True
    changed = bytearray(bundle.read_bytes())
    changed[len(changed) // 2] ^= 1
    (tmp_path / "changed.zip").write_bytes(changed)
    damaged = run("evidence", "verify", tmp_path / "changed.zip")
    assert damaged.returncode == 10
    assert segment in damaged.stdout + damaged.stderr


def test_evidence_stays_shut_for_another_key(driven: tuple[Stage, Figures], tmp_path: Path) -> None:
    stage, _figures = driven
    sealed = sealed_segment(stage, tmp_path)
    vedette("key", "generate", tmp_path / "other.identity")
    refused = run("evidence", "open", sealed, "--identity", tmp_path / "other.identity", "-o", tmp_path / "out.mp4")
    assert refused.returncode == NotTrusted.exit_code
    assert not (tmp_path / "out.mp4").exists()


def sealed_segment(stage: Stage, to: Path) -> Path:
    store = Store(stage.central)
    try:
        row = store.items(kind="segment", limit=1)[0]
        with store.blobs.open(row.sealed_sha256) as blob:
            path = to / f"{row.item}.segment.age"
            path.write_bytes(blob.read())
    finally:
        store.close()
    return path


def test_recorders_segment_opens_in_another_age_tool_to_the_same_bytes(
    driven: tuple[Stage, Figures], npm_age: Path, tmp_path: Path
) -> None:
    """SF-1."""
    stage, _figures = driven
    sealed, identity = sealed_segment(stage, tmp_path), stage.escrow / "evidence.identity"
    secret = next(line for line in identity.read_text().splitlines() if not line.startswith("#"))
    command = ["node", "--input-type=module", "-e", OPEN_JS, "--", secret, str(sealed), str(tmp_path / "theirs.mp4")]
    subprocess.run(command, cwd=npm_age, capture_output=True, timeout=60, check=True)
    vedette("evidence", "open", sealed, "--identity", identity, "-o", tmp_path / "ours.mp4")
    assert (tmp_path / "theirs.mp4").read_bytes() == (tmp_path / "ours.mp4").read_bytes()


def test_opened_segment_is_an_ordinary_mp4(driven: tuple[Stage, Figures], tmp_path: Path) -> None:
    if shutil.which("ffprobe") is None:
        pytest.skip("ffprobe is not installed (apt install ffmpeg)")
    stage, _figures = driven
    sealed = sealed_segment(stage, tmp_path)
    vedette("evidence", "open", sealed, "--identity", stage.escrow / "oversight.identity", "-o", tmp_path / "out.mp4")
    probe = [
        "ffprobe",
        "-v",
        "error",
        "-count_frames",
        "-show_entries",
        "stream=codec_name,width,height,nb_read_frames",
    ]
    done = subprocess.run([*probe, "-of", "json", tmp_path / "out.mp4"], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    stream = json.loads(done.stdout)["streams"][0]
    assert (stream["codec_name"], stream["width"], stream["height"]) == ("h264", 1280, 720)
    assert int(stream["nb_read_frames"]) > 25


def test_hit_on_a_real_clip_is_one_hit_at_the_centre(data: Path, tmp_path: Path) -> None:
    clip = data / "video" / "uk_street_one_car.mp4"
    if not clip.is_file():
        pytest.skip(f"the clip {clip.name} is not here (set VEDETTE_DATA)")
    done = run(
        "sim", "demo", "--video", clip, "--plate", "LS15EBC:GB", "--folder", tmp_path / "d", "--headless", "--json"
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert [hit["text"] for hit in figures["seen"]] == ["LS15EBC"]
    assert figures["items_on_device"] == 0
    assert 4_500 <= figures["recorded_ms"] <= 4_800


@pytest.mark.parametrize("content", [None, b"", b"this is no video at all\n" * 100])
def test_demo_says_what_is_wrong_when_the_clip_is_none(tmp_path: Path, content: bytes | None) -> None:
    clip = tmp_path / "clip.mp4"
    if content is not None:
        clip.write_bytes(content)
    done = run("sim", "demo", "--video", clip, "--folder", tmp_path / "d", "--headless", "--json")
    assert done.returncode == (3 if content is None else 1)
    assert "clip.mp4" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_demo_publishes_nothing_when_a_row_of_the_list_is_broken(tmp_path: Path) -> None:
    broken = tmp_path / "list.csv"
    broken.write_text(
        "plate,region,reason,priority,source,valid_from,valid_to\n"
        "12345|أ|6,MA,stolen,high,test,2026-01-01,2027-01-01\n"
        "12345|أ|600,MA,stolen,high,test,2026-01-01,2027-01-01\n"
    )
    done = run("sim", "demo", "--watchlist", broken, "--folder", tmp_path / "d", "--headless", "--json")
    assert done.returncode == Refused.exit_code
    assert "row 3" in done.stderr
    assert "prefecture" in done.stderr


def test_demo_refuses_a_folder_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("keep me")
    done = run("sim", "demo", "--folder", tmp_path, "--headless", "--json")
    assert done.returncode == Refused.exit_code
    assert (tmp_path / "precious.txt").read_text() == "keep me"
