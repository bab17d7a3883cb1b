"""The recorder as a whole: what it keeps, when, and what it says of it."""

import io
import itertools

import av
import pytest

from edge.recorder.framebus import FrameBusReader
from vedette import spool
from vedette.custody import verify_chain
from vedette.daemon import read_status
from vedette.errors import NotFound, Refused
from vedette.keys import SigningKey
from vedette.records import PRIORITY_BULK, PRIORITY_MARKED, keyring, open_manifest


def frames_in(data: bytes) -> int:
    with av.open(io.BytesIO(data)) as mp4:
        return sum(1 for _ in mp4.decode(video=0))


def test_recorder_keeps_every_picture_once_when_mode_is_continuous(device, bench):
    one = bench(segment_s=4)
    one.steps(100)
    one.close()
    items = device.items()
    assert [item.manifest.sequence for item in items] == [0, 1, 2]
    assert sum(item.manifest.media.frames for item in items) == 100
    assert [frames_in(device.opened(item)) for item in items] == [item.manifest.media.frames for item in items]
    assert [a.manifest.ended_us for a in items[:-1]] == [b.manifest.started_us for b in items[1:]]


def test_manifest_is_signed_over_the_journal_line_that_closed_the_segment(device, bench):
    """RE-11."""
    one = bench(segment_s=4)
    one.steps(50)
    one.close()
    public = SigningKey.load(device.folder / "keys" / "sign.pem").public
    closed = {entry.item: entry for entry in device.entries("segment.closed")}
    assert device.items() != []
    for item in device.items():
        manifest = open_manifest(item.manifest_bytes, keyring(public))
        entry = closed[item.item_id]
        assert (manifest.journal.seq, manifest.journal.head) == (entry.seq, entry.sha256)
        assert manifest.sealed_sha256 == entry.detail["sealed_sha256"]
    assert verify_chain(device.lines(), public)[-1].event == "service.stopped"


def test_custody_gets_a_checkpoint_twice_a_second_when_recording(device, bench):
    one = bench(segment_s=60)
    one.steps(50)
    assert len(device.entries("segment.checkpoint")) == 10
    offsets = [entry.detail["offset"] for entry in device.entries("segment.checkpoint")]
    assert offsets == sorted(offsets)


def test_standby_records_from_before_the_start_until_the_stop(device, bench, post):
    one = bench(mode="standby", pre_event_s=2, segment_s=60)
    one.steps(60)
    assert (device.items(), one.status()["state"]) == ([], "standby")
    post(one, "start")
    one.steps(30)
    assert one.status()["state"] == "recording"
    post(one, "stop")
    one.steps(10)
    (item,) = device.items()
    assert item.manifest.activation == "button"
    assert 2_000_000 <= 60 * 100_000 - (item.manifest.started_us - one.camera.start[0]) <= 3_100_000
    assert 5_000_000 <= item.manifest.media.duration_us <= 6_500_000
    assert one.status()["state"] == "standby"
    assert [entry.detail["command"] for entry in device.entries("activation.received")] == ["start", "stop"]


@pytest.mark.parametrize("mode", ["standby", "continuous"])
def test_status_says_at_once_what_became_of_a_press(bench, post, mode):
    """AC-44. Or a hold that follows at once would be taken for a start, and the officer would wait for the light."""
    one = bench(mode=mode, segment_s=60)
    one.steps(45)
    for verb, is_held in (("start", True), ("stop", False), ("start", True)):
        post(one, verb)
        one.steps(1)
        status = read_status(one.device.run, "recorder")
        assert (status["active"], status["held"]) == (is_held, is_held)
        assert status["state"] == ("recording" if is_held or mode == "continuous" else "standby")


def test_hit_starts_and_ends_a_marked_recording_when_in_standby(device, bench, post):
    one = bench(mode="standby", pre_event_s=2, hit_before_s=2, hit_after_s=3, segment_s=60)
    one.steps(60)
    post(one, "mark", "hit", id="01a2076b-4464-7fc4-bd32-a7de5a2452ea")
    one.steps(60)
    (item,) = device.items()
    assert (item.manifest.activation, item.manifest.priority) == ("hit", PRIORITY_MARKED)
    assert 5_000_000 <= item.manifest.media.duration_us <= 6_500_000


def test_hit_marks_only_the_segments_in_its_time_when_continuous(device, bench, post):
    """RE-13."""
    one = bench(segment_s=4, hit_before_s=1, hit_after_s=1)
    one.steps(60)
    post(one, "mark", "hit")
    one.steps(100)
    one.close()
    priorities = [item.manifest.priority for item in device.items()]
    assert priorities == [PRIORITY_BULK, PRIORITY_MARKED, PRIORITY_BULK, PRIORITY_BULK]


def test_mark_of_a_past_moment_marks_the_open_segment_when_it_lies_there(device, bench, post):
    one = bench(segment_s=60, hit_before_s=0, hit_after_s=0)
    one.steps(50)
    post(one, "mark", "hit", from_us=one.camera.start[0] + 2_000_000)
    one.steps(5)
    one.close()
    assert [item.manifest.priority for item in device.items()] == [PRIORITY_MARKED]


def test_bad_commands_are_counted_and_change_nothing(device, bench, post):
    one = bench(mode="standby")
    post(one, "erase")
    (device.run / "commands" / "recorder" / "x.json").write_text("not json")
    one.steps(5)
    assert (one.status()["bad_commands"], one.status()["state"]) == (1, "standby")
    assert list((device.run / "commands" / "recorder").iterdir()) == []


def test_recorder_opens_a_new_recording_and_names_the_gap_when_the_camera_breaks(device, bench):
    one = bench(segment_s=60)
    one.camera.breaks_at = 30
    one.steps(31)
    assert (one.status()["state"], one.status()["camera_faults"]) == ("camera_fault", 1)
    one.clock.advance(5_000_000)
    one.steps(30)
    one.close()
    (gap,) = device.entries("gap")
    assert gap.detail["why"] == "camera_fault"
    first, second = device.items()
    assert (gap.detail["from_us"], gap.detail["to_us"]) == (first.manifest.ended_us, second.manifest.started_us)
    assert [entry.detail["why"] for entry in device.entries("camera.fault")] == ["the cable is out"]
    assert first.manifest.recording != second.manifest.recording


def test_gap_is_named_when_the_camera_stalls_without_a_fault(device, bench):
    one = bench(segment_s=60)
    one.camera.jumps[30] = 3_000_000
    one.steps(60)
    one.close()
    (gap,) = device.entries("gap")
    assert (gap.detail["why"], gap.detail["to_us"] - gap.detail["from_us"]) == ("camera_stalled", 3_000_000)
    assert len(device.items()) == 1


@pytest.mark.parametrize(("late_us", "gaps"), [(100_000, 0), (100_001, 1), (280_000, 1), (990_000, 1), (1_200_000, 1)])
def test_a_short_stall_between_two_segments_is_named(device, bench, late_us: int, gaps: int):
    """CF-10, TI-3: between two segments nothing else would account for it."""
    one = bench(segment_s=4)
    one.camera.jumps[40] = late_us
    one.steps(60)
    one.close()
    first, second = device.items()
    named = [(entry.detail["from_us"], entry.detail["to_us"], entry.detail["why"]) for entry in device.entries("gap")]
    hole = (first.manifest.ended_us, second.manifest.started_us, "camera_stalled")
    assert hole[1] - hole[0] == late_us
    assert named == [hole] * gaps


def test_a_short_stall_within_a_segment_is_in_its_own_times(device, bench):
    """CF-10."""
    one = bench(segment_s=60)
    one.camera.jumps[40] = 280_000
    one.steps(60)
    one.close()
    assert device.entries("gap") == []
    assert [item.manifest.media.duration_us for item in device.items()] == [6_280_000]


def test_recorder_stays_and_says_ended_when_a_finite_camera_ends(device, bench):
    one = bench(segment_s=4)
    one.camera.total = 45
    one.steps(60)
    assert one.status()["state"] == "ended"
    assert sum(item.manifest.media.frames for item in device.items()) == 45
    assert [entry.detail["reason"] for entry in device.entries("recording.stopped")] == ["ended"]
    assert one.service.step(one.clock.mono_us()) > 0


def test_gap_is_named_when_a_continuous_recorder_was_stopped_and_started(device, bench):
    one = bench(segment_s=60)
    one.steps(30)
    one.close()
    one.clock.advance(10_000_000)
    two = bench(segment_s=60)
    two.steps(30)
    two.close()
    (gap,) = device.entries("gap")
    assert gap.detail["why"] == "service_stopped"
    first, second = device.items()
    assert (gap.detail["from_us"], gap.detail["to_us"]) == (first.manifest.ended_us, second.manifest.started_us)


@pytest.mark.parametrize(("verb", "state"), [("start", "recording"), ("mark", "recording"), ("stop", "standby")])
def test_standby_goes_on_with_what_it_did_when_it_was_restarted(bench, verb: str, state: str, post):
    one = bench(mode="standby")
    one.steps(10)
    post(one, verb)
    one.steps(10)
    one.close()
    two = bench(mode="standby")
    two.steps(10)
    assert two.status()["state"] == state


def test_frames_reach_the_bus_when_nothing_is_recorded(device, bench):
    one = bench(mode="standby")
    one.steps(20)
    reader = FrameBusReader(device.run / "framebus")
    assert reader.latest(-1).index == 19
    assert one.status()["frames"] == 20


def test_no_picture_is_copied_for_reading_when_plates_are_not_read(device, bench):
    path = device.folder / "device.toml"
    path.write_text("[reader]\nenabled = false\n\n" + path.read_text())
    one = bench()
    one.steps(30)
    assert one.status()["frames"] == 30
    one.close()
    assert sum(item.manifest.media.frames for item in device.items()) == 30
    assert not (device.run / "framebus").exists()


def test_recording_goes_on_when_the_frame_bus_cannot_be_made(device, bench):
    (device.run / "framebus").mkdir()
    one = bench()
    one.steps(30)
    one.close()
    assert sum(item.manifest.media.frames for item in device.items()) == 30


def test_journal_is_sealed_into_the_spool_when_the_recorder_stops(device, bench):
    """CJ-16."""
    one = bench()
    one.steps(30)
    one.close()
    items, _ = spool.scan(device.folder / "spool")
    assert [item.kind for item in items].count("custody") == 1


def test_nothing_readable_is_in_the_devices_folder_when_it_has_recorded(device, bench):
    """SP-5: sealed files, manifests and journals hold no picture."""
    one = bench(segment_s=4)
    one.steps(100)
    one.close()
    # Long enough that ciphertext does not hold one by chance.
    marks = (b"ftypiso5", b"moov\x00\x00\x00lmvhd", b"\x00\x00\x00\x10mfhd", b"VideoHandler")
    opened = device.opened(device.items()[0])
    assert [mark in opened for mark in marks] == [True] * len(marks)
    written = [path for path in device.folder.rglob("*") if path.is_file()]
    assert len(written) > 8
    assert [path for path in written if any(mark in path.read_bytes() for mark in marks)] == []
    assert [path for path in written if path.name.endswith((".tmp", ".part"))] == []


def test_second_recorder_is_refused_when_one_runs(bench):
    bench().steps(1)
    with pytest.raises(Refused, match="another process"):
        bench()


def test_recorder_is_refused_when_the_run_folder_is_on_a_disk(device, bench, tmp_path):
    text = (device.folder / "device.toml").read_text()
    (device.folder / "device.toml").write_text(text.replace(str(device.run), str(tmp_path / "run")))
    with pytest.raises(Refused, match="not in memory"):
        bench()


def test_recorder_is_not_opened_when_the_device_is_not_enrolled(device, bench):
    (device.folder / "trust.json").unlink()
    with pytest.raises(NotFound, match=r"trust\.json"):
        bench()


def test_custody_says_each_minute_that_a_recorder_in_standby_lives(device, bench):
    """If it is killed, an auditor knows to the minute until when it could have recorded."""
    one = bench(mode="standby", pre_event_s=0)
    one.steps(1850)
    alive = device.entries("recorder.alive")
    assert [entry.detail for entry in alive] == [{"state": "standby"}] * 3
    assert all(59_000_000 <= b.utc_us - a.utc_us <= 61_100_000 for a, b in itertools.pairwise(alive))
