"""The real recorder under `kill -9` at random moments: at most a second is missing, no earlier byte, all verifies."""

import dataclasses
import os
from pathlib import Path

import pytest

from simulator import recorder_kills
from simulator.killed_cameras import CopiedClip
from simulator.recorder_kills import MOST_LOST_US, Tally, Trial
from simulator.reel import Vehicle, make_clip
from vedette import spool
from vedette.cli import main
from vedette.errors import Refused

KILLS = int(os.environ.get("VEDETTE_KILLS", "6"))


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tally]:
    """A folder in which a recorder was killed, and what the account says of it."""
    folder = tmp_path_factory.mktemp("kills")
    return folder, recorder_kills.run(folder / "stage", kills=KILLS, seed=20261126)


@pytest.mark.timeout(120 + 20 * KILLS)
def test_at_most_a_second_is_missing_when_the_recorder_is_killed_at_any_moment(ended: tuple[Path, Tally]) -> None:
    """SG-9, SP-2, CJ-21: 200 kills with VEDETTE_KILLS=200 or `vedette sim kills`."""
    _folder, tally = ended
    assert tally.faults == []
    assert len(tally.trials) == KILLS
    assert tally.worst_us <= MOST_LOST_US
    assert tally.cut_items >= KILLS // 3
    assert tally.pictures > 0


def bench_of(folder: Path) -> recorder_kills.Bench:
    """The bench of a run that has ended, for its checks alone."""
    loaded = recorder_kills.config.load_device(folder / "stage" / "vehicle" / "device.toml")
    process = recorder_kills.Recorder("recorder", [], folder / "log")
    maker = recorder_kills.new_maker()
    camera = CopiedClip.of(folder / "stage" / "street.mp4", begins_us=0)
    return recorder_kills.Bench(config=loaded, maker=maker, process=process, bus=folder / "bus", camera=camera)


def trial(**values: int) -> Trial:
    made = {"number": 1, "started_us": 0, "killed_us": 0, "first_us": 0, "taken_us": 0, **values}
    return Trial(**made)


@pytest.mark.timeout(120 + 20 * KILLS)
@pytest.mark.parametrize("damage", ["none", "shorter", "changed", "gone"])
def test_account_finds_a_byte_that_was_there_at_the_kill_and_is_not_any_more(
    ended: tuple[Path, Tally], damage: str
) -> None:
    """The trial itself can fail."""
    bench = bench_of(ended[0])
    item = max((one for one in spool.scan(bench.config.spool)[0] if one.kind == "segment"), key=_size)
    whole = item.path.read_bytes()
    kill = trial()
    name = {"none": item.path.name, "gone": f"x{item.path.name}"}.get(damage, item.path.name)
    kill.left[f"{name}.part"] = whole
    try:
        if damage == "shorter":
            item.path.write_bytes(whole[: -1 - len(whole) // 3])
        elif damage == "changed":
            item.path.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
        faults = bench.check_left([kill])
    finally:
        item.path.write_bytes(whole)
    assert (faults == []) == (damage == "none")
    assert kill.left == {}


def _size(item: spool.Item) -> int:
    return item.manifest.sealed_size


@pytest.mark.timeout(120 + 20 * KILLS)
def test_account_counts_what_a_recorder_took_and_did_not_keep(ended: tuple[Path, Tally]) -> None:
    """A picture on the frame bus two seconds behind the last one kept is a fault; so is an item that does not open."""
    bench = bench_of(ended[0])
    items = [one for one in spool.scan(bench.config.spool)[0] if one.kind == "segment"]
    last = max(items, key=lambda one: one.manifest.started_us).manifest
    tally = Tally(trials=[trial(first_us=last.started_us, taken_us=last.started_us + 30_000_000)])
    bench.account(tally)
    assert any("s of pictures are missing" in one for one in tally.faults)
    assert any("opens" in one or "pictures decode" in one or "open it" in one for one in tally.faults)


@pytest.fixture
def filmed(tmp_path: Path) -> tuple[recorder_kills.Bench, spool.Item]:
    """A bench, and an item that its recorder filed in order."""
    maker, clip = recorder_kills.new_maker(), tmp_path / "street.mp4"
    make_clip(clip, width=160, height=120, seconds=2, bitrate=400_000)
    vehicle = Vehicle(
        folder=tmp_path / "car", name="car-1", key=maker.device, trust=maker.trust, clip=clip, seconds=2, segment_s=2
    )
    (item,), _lines = vehicle.drive(maker.clock)
    bench = recorder_kills.Bench(
        config=recorder_kills.config.load_device(tmp_path / "car" / "device.toml"),
        maker=maker,
        process=recorder_kills.Recorder("recorder", [], tmp_path / "log"),
        bus=tmp_path / "bus",
        camera=CopiedClip.of(clip, begins_us=item.manifest.started_us),
    )
    return bench, item


def test_account_holds_each_picture_against_what_the_camera_gave(
    filmed: tuple[recorder_kills.Bench, spool.Item],
) -> None:
    """SG-2: another picture, or one picture left out, is a fault though all decode."""
    bench, item = filmed
    found, faults = bench._played(item)
    assert (found.film.decoded, faults) == (50, [])
    bench.camera.pictures = (*bench.camera.pictures[:7], *bench.camera.pictures[8:], bench.camera.pictures[7])
    assert bench._played(item)[1] == ["picture 7 is not the one that the camera gave at 0.280 s"]


def test_account_finds_a_promise_that_a_player_does_not_keep(filmed: tuple[recorder_kills.Bench, spool.Item]) -> None:
    """SP-9: fewer pictures than the manifest says, and a whole file that is said to be cut."""
    bench, item = filmed
    media = dataclasses.replace(item.manifest.media, frames=51)
    more = dataclasses.replace(item, manifest=dataclasses.replace(item.manifest, media=media))
    assert bench._played(more)[1] == ["50 of 50 pictures decode, 51 are promised"]
    cut = dataclasses.replace(item, manifest=dataclasses.replace(item.manifest, complete=False))
    assert bench._played(cut)[1] == ["it is whole and its manifest says that it is cut, or the other way round"]


def test_kills_are_refused_over_a_folder_that_holds_something(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(Refused, match="is not empty"):
        recorder_kills.run(tmp_path, kills=1, seed=1)
    assert main(["sim", "kills", "--count", "0"]) == 2
    assert "must be at least 1" in capsys.readouterr().err
