"""What a dead run left behind: made whole, cut, or put where a person sees it; never lost, never twice."""

import hashlib
import io
from pathlib import Path

import av
import pytest

from edge.recorder.recovery import recover as recover_spool
from vedette import spool
from vedette.custody import drop_sealed
from vedette.custody_entry import parse_line
from vedette.custody_verify import check_segment
from vedette.records import PRIORITY_MARKED
from vedette.sealed import recover


def died(one, *, after: int) -> Path:
    """Let the recorder take `after` pictures and die without a word; the path of the segment it was writing."""
    one.steps(after)
    one.service._keeping.recording.abandon()
    one.service._keeping._opened.journal.close()
    one.is_closed = True
    (part,) = (one.device.folder / "spool" / "segment").glob("*.part")
    return part


def frames_in(sealed: Path, identity: object) -> int:
    frames = 0
    with sealed.open("rb") as file:
        plain = b"".join(recover(file, [identity]))
    try:
        with av.open(io.BytesIO(plain)) as mp4:
            for _ in mp4.decode(video=0):
                frames += 1
    except av.FFmpegError:
        pass
    return frames


def test_cut_segment_becomes_an_incomplete_item_when_the_recorder_starts_again(device, bench, identity):
    """SP-9. RE-12."""
    part = died(bench(segment_s=60), after=55)
    two = bench(segment_s=60)
    (item,) = device.items()
    assert item.path.name == part.name.removesuffix(".part")
    assert (item.manifest.complete, item.manifest.plain_sha256) == (False, None)
    assert 3_500_000 <= item.manifest.media.duration_us <= 5_500_000
    assert frames_in(item.path, identity) >= item.manifest.media.frames
    assert two.status()["recovered_cut"] == 1


def test_cut_segments_item_agrees_with_custody_when_it_was_recovered(device, bench):
    """CJ-21."""
    died(bench(segment_s=60), after=55)
    bench(segment_s=60).close()
    (item,) = device.items()
    with item.path.open("rb") as file:
        check = check_segment([parse_line(line) for line in device.lines()], item.item_id, file)
    assert (check.fault, check.is_closed, check.proven_bytes) == (None, True, item.manifest.sealed_size)
    assert hashlib.sha256(item.path.read_bytes()).hexdigest() == item.manifest.sealed_sha256


def test_gap_reaches_from_the_last_proven_moment_when_recording_begins_again(device, bench):
    """SP-9."""
    one = bench(segment_s=60)
    died(one, after=55)
    one.clock.advance(4_000_000)
    two = bench(segment_s=60)
    two.steps(30)
    two.close()
    first, second = device.items()
    (gap,) = device.entries("gap")
    opened = device.entries("segment.opened")
    assert gap.detail == {
        "from_us": first.manifest.ended_us,
        "to_us": second.manifest.started_us,
        "from_mono_us": opened[0].detail["mono_us"] + first.manifest.media.duration_us,
        "to_mono_us": opened[1].detail["mono_us"],
        "why": "killed",
    }


def test_marked_stays_marked_when_a_cut_segment_is_recovered(device, bench, post):
    one = bench(segment_s=60)
    one.steps(20)
    post(one, "mark", "hit")
    died(one, after=30)
    bench(segment_s=60)
    assert [item.manifest.priority for item in device.items()] == [PRIORITY_MARKED]


def test_tail_behind_the_last_chunk_is_cut_off_when_it_is_torn(device, bench):
    part = died(bench(segment_s=60), after=55)
    whole = part.stat().st_size
    with part.open("ab") as file:
        file.write(b"x" * 1000)
    bench(segment_s=60)
    assert [item.manifest.sealed_size for item in device.items()] == [whole]


def test_segment_is_complete_when_the_run_died_after_the_journal_closed_it(device, bench, monkeypatch):
    """SP-8."""
    one = bench(segment_s=60)
    one.steps(50)
    with monkeypatch.context() as patch:
        patch.setattr(spool, "commit", dies)
        one.service._keeping.end("test")
    one.service._keeping._opened.journal.close()
    one.is_closed = True
    two = bench(segment_s=60)
    (item,) = device.items()
    assert (item.manifest.complete, item.manifest.media.frames) == (True, 50)
    assert (two.status()["recovered_whole"], device.entries("segment.recovered")) == (1, [])


def dies(*_arguments: object) -> None:
    raise OSError(5, "the power went")


def test_manifest_is_written_when_the_run_died_between_rename_and_manifest(device, bench):
    """SP-2."""
    one = bench(segment_s=60)
    one.steps(50)
    one.close()
    (item,) = device.items()
    item.manifest_path.unlink()
    bench(segment_s=60)
    (again,) = device.items()
    assert (again.item_id, again.manifest.sealed_sha256) == (item.item_id, item.manifest.sealed_sha256)
    assert again.manifest.complete


def test_half_a_manifest_is_replaced_when_the_run_died_while_writing_it(device, bench):
    one = bench(segment_s=60)
    one.steps(50)
    one.close()
    (item,) = device.items()
    item.manifest_path.rename(item.manifest_path.parent / f".{item.manifest_path.name}.77.tmp")
    bench(segment_s=60)
    assert [found.item_id for found in device.items()] == [item.item_id]
    assert list((device.folder / "spool" / "segment").glob(".*")) == []


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def test_file_goes_to_quarantine_when_its_bytes_are_not_those_of_the_checkpoint(device, bench):
    """SP-10."""
    part = died(bench(segment_s=60), after=55)
    flip(part, 100_000)
    two = bench(segment_s=60)
    assert (device.items(), device.quarantined()) == ([], [part.name])
    (entry,) = device.entries("segment.quarantined")
    assert "checkpoint" in entry.detail["why"]
    assert two.status()["quarantined"] == 1


@pytest.mark.parametrize("size", [0, 1, 500, 3000])
def test_file_goes_to_quarantine_when_it_holds_no_whole_chunk(device, bench, size: int):
    part = died(bench(segment_s=60), after=55)
    with part.open("r+b") as file:
        file.truncate(size)
    bench(segment_s=60)
    assert (device.items(), device.quarantined()) == ([], [part.name])


def test_file_goes_to_quarantine_when_the_journal_does_not_know_it(device, bench):
    stranger = "01a2076b-4464-7fc4-bd32-a7de5a2452ea.segment.age.part"
    (device.folder / "spool" / "segment" / stranger).write_bytes(b"x" * 200_000)
    bench(segment_s=60)
    assert device.quarantined() == [stranger]


def test_complete_file_goes_to_quarantine_when_it_is_not_what_the_journal_closed(device, bench):
    one = bench(segment_s=60)
    one.steps(50)
    one.close()
    (item,) = device.items()
    item.manifest_path.unlink()
    flip(item.path, 50_000)
    bench(segment_s=60)
    assert (device.items(), device.quarantined()) == ([], [item.path.name])


def test_recovery_uses_the_last_checkpoint_that_is_there_when_the_disk_lost_the_newest_bytes(device, bench):
    part = died(bench(segment_s=60), after=55)
    checkpoints = device.entries("segment.checkpoint")
    with part.open("r+b") as file:
        file.truncate(checkpoints[-1].detail["offset"] - 1)
    bench(segment_s=60)
    (item,) = device.items()
    assert item.manifest.media.duration_us == checkpoints[-2].detail["media_us"]


def deliver_custody(device) -> None:
    """As the keeper does once the centre has every sealed journal: their plain files go."""
    for item in spool.scan(device.folder / "spool")[0]:
        drop_sealed(device.folder / "journal", item.item_id)


def test_gap_is_named_when_every_journal_file_of_before_is_deleted(device, bench):
    one = bench(segment_s=60)
    one.steps(30)
    one.close()
    deliver_custody(device)
    assert device.lines() == []
    one.clock.advance(10_000_000)
    two = bench(segment_s=60)
    two.steps(2)
    two.service._keeping._opened.journal.close()
    two.is_closed = True
    deliver_custody(device)
    three = bench(segment_s=60)
    three.steps(30)
    three.close()
    first, *_ = device.items()
    gaps = device.entries("gap")
    assert gaps[0].detail["from_us"] == first.manifest.ended_us


def test_standby_goes_on_recording_when_it_died_long_after_the_start_and_old_journals_are_deleted(device, bench, post):
    one = bench(mode="standby", segment_s=2)
    post(one, "start")
    one.steps(400)
    deliver_custody(device)
    assert [entry.event for entry in device.entries("recording.started")] == []
    died(one, after=5)
    two = bench(mode="standby", segment_s=2)
    two.steps(10)
    assert (two.status()["state"], two.status()["activation"]) == ("recording", "button")


def test_recording_stays_marked_when_the_recorder_died_within_a_hits_time(device, bench, post):
    one = bench(segment_s=2, post_event_s=10)
    one.steps(20)
    post(one, "mark", "hit")
    died(one, after=40)
    two = bench(segment_s=2, post_event_s=10)
    two.steps(30)
    two.close()
    assert [item.manifest.priority for item in device.items()][-1] == PRIORITY_MARKED


def test_standby_does_not_go_on_when_it_was_stopped_while_the_disk_was_full(device, bench, post):
    one = bench(mode="standby", segment_s=60)
    post(one, "start")
    one.steps(20)
    one.service._keeping._fail(OSError(28, "no space"))
    one.steps(2)
    post(one, "stop")
    one.steps(60)
    one.close()
    two = bench(mode="standby", segment_s=60)
    two.steps(10)
    assert two.status()["state"] == "standby"


def test_second_recovery_finds_nothing_to_do(device, bench):
    """SP-10."""
    died(bench(segment_s=60), after=55)
    bench(segment_s=60).close()
    before = sorted(path.name for path in (device.folder / "spool" / "segment").iterdir())
    two = bench(segment_s=60)
    found = recover_spool(two.service._keeping._filing, two.service._keeping.repair().segments)
    assert (found.completed, found.cut, found.quarantined) == (0, 0, 0)
    assert sorted(path.name for path in (device.folder / "spool" / "segment").iterdir()) == before
