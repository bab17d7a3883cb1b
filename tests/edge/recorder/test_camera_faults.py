"""Camera faults as the recorder meets them: said in custody and status, and no segment is lost to one."""

import io
from collections.abc import Callable

import av
import numpy as np
import pytest

from edge.recorder.source import FIRST_PICTURE_US, FIRST_WAIT_US, SILENCE_US, SILENT_READS

BLACK = np.full((360, 320), 16, np.uint8)
WHITE = np.full((360, 320), 235, np.uint8)


def frames_in(data: bytes) -> int:
    with av.open(io.BytesIO(data)) as mp4:
        return sum(1 for _ in mp4.decode(video=0))


@pytest.mark.parametrize(("kind", "shows"), [("blocked", lambda _: BLACK), ("overexposed", lambda _: WHITE)])
def test_recording_goes_on_in_the_same_segment_when_nothing_is_to_be_seen(
    device, bench, kind: str, shows: Callable[[int], np.ndarray]
):
    """CF-1, CF-2, CF-3."""
    one = bench(segment_s=60)
    one.steps(20)
    good, one.camera.shows = one.camera.shows, shows
    one.steps(20)
    assert (one.status()["state"], one.status()["camera"]) == ("recording", kind)
    one.camera.shows = good
    one.steps(20)
    assert (one.status()["camera"], one.status()["camera_faults"]) == ("ok", 1)
    one.close()
    (item,) = device.items()
    assert item.manifest.media.frames == frames_in(device.opened(item)) == 60
    (fault,), (recovered,) = device.entries("camera.fault"), device.entries("camera.recovered")
    assert set(fault.detail) == {"kind", "since_us", "why"}
    assert recovered.detail == {"kind": kind, "since_us": fault.detail["since_us"], "lasted_us": 2_000_000}
    assert device.entries("gap") == []


def test_frozen_picture_is_said_in_custody_within_two_seconds(device, bench):
    """CF-1."""
    one = bench(segment_s=60)
    stuck = one.camera.shows(0)
    one.steps(20)
    one.camera.shows = lambda _: stuck
    one.steps(20)
    (fault,) = device.entries("camera.fault")
    assert (fault.detail["kind"], one.status()["camera"]) == ("frozen", "frozen")


def test_unplugged_camera_costs_the_time_it_was_away_and_no_segment(device, bench):
    """CF-1, CF-2, CF-3."""
    one = bench(segment_s=60)
    one.camera.breaks_at = 25
    one.steps(26)
    assert (one.status()["state"], one.status()["camera"]) == ("camera_fault", "unplugged")
    one.clock.advance(FIRST_WAIT_US)
    one.steps(40)
    one.close()
    first, second = device.items()
    assert [frames_in(device.opened(item)) for item in (first, second)] == [
        item.manifest.media.frames for item in (first, second)
    ]
    assert (first.manifest.media.frames, first.manifest.complete) == (25, True)
    (fault,), (recovered,) = device.entries("camera.fault"), device.entries("camera.recovered")
    (gap,) = device.entries("gap")
    assert (fault.detail["kind"], fault.detail["why"]) == ("unplugged", "the cable is out")
    assert (recovered.detail["kind"], recovered.detail["since_us"]) == ("unplugged", fault.detail["since_us"])
    assert (gap.detail["why"], gap.detail["from_us"]) == ("camera_fault", first.manifest.ended_us)
    assert one.camera.opens == 2


def test_silent_camera_is_opened_again_and_the_silence_is_a_gap(device, bench):
    one = bench(segment_s=60)
    silent = SILENCE_US // 100_000
    one.camera.silent_reads[25] = silent + 1
    one.steps(25 + silent + 1)
    (fault,) = device.entries("camera.fault")
    assert (fault.detail["kind"], fault.detail["why"]) == ("unplugged", "no picture for 1.5 s")
    assert one.clock.utc_us() - fault.detail["since_us"] <= 2_000_000
    one.clock.advance(FIRST_WAIT_US)
    one.steps(40)
    one.close()
    assert [item.manifest.complete for item in device.items()] == [True, True]
    assert [entry.detail["why"] for entry in device.entries("gap")] == ["camera_fault"]
    assert one.camera.opens == 2


def test_short_silence_is_no_fault(device, bench):
    one = bench(segment_s=60)
    one.camera.silent_reads[25] = SILENCE_US // 100_000 - 1
    one.steps(60)
    assert (device.entries("camera.fault"), one.camera.opens) == ([], 1)


def test_camera_is_not_blamed_when_the_recorder_itself_was_held_up(device, bench):
    one = bench(segment_s=60)
    one.camera.silent_reads[25] = SILENT_READS - 1
    one.steps(25)
    one.clock.advance(60_000_000)
    one.steps(20)
    assert (device.entries("camera.fault"), one.camera.opens) == ([], 1)


def test_pictures_of_the_reader_do_not_count_when_coded_ones_stop(device, bench):
    """The evidence is what is coded: a coder that hangs is a fault, though the reader still sees."""
    one = bench(segment_s=60)
    one.steps(20)
    read = one.camera.read
    one.camera.read = lambda timeout_s: read(timeout_s)[1:]
    one.steps(20)
    assert [entry.detail["kind"] for entry in device.entries("camera.fault")] == ["unplugged"]


def test_camera_that_refuses_to_be_closed_is_opened_again(device, bench):
    one = bench(segment_s=60)
    one.camera.breaks_at = 10

    def refuse() -> None:
        one.camera.close = lambda: None
        raise RuntimeError("no such device")

    one.camera.close = refuse
    one.steps(11)
    one.clock.advance(FIRST_WAIT_US)
    one.steps(10)
    assert (one.status()["state"], one.camera.opens) == ("recording", 2)


def test_camera_that_is_open_and_gives_no_first_picture_is_silent_and_not_opened_again_for_that(device, bench):
    """CF-1, CF-12: an adapter that has no way to say that it is still starting."""
    one = bench(segment_s=60)
    one.camera.silent_reads[0] = 30
    while not device.entries("camera.fault"):
        one.steps(1)
    (fault,) = device.entries("camera.fault")
    assert (fault.detail["kind"], one.status()["state"]) == ("silent", "camera_fault")
    assert one.clock.utc_us() - fault.detail["since_us"] <= 2_000_000
    one.steps(60)
    assert (one.status()["state"], one.status()["camera"], one.camera.opens) == ("recording", "ok", 1)
    one.close()
    (item,) = device.items()
    assert item.manifest.media.frames == frames_in(device.opened(item))
    assert [entry.detail["kind"] for entry in device.entries("camera.recovered")] == ["silent"]


def test_camera_that_never_gives_a_first_picture_is_given_up_and_opened_again(device, bench):
    """CF-12."""
    one = bench(segment_s=60)
    one.camera.silent_reads[0] = FIRST_PICTURE_US // 100_000 + 10
    one.steps(FIRST_PICTURE_US // 100_000 + 2)
    assert [entry.detail["kind"] for entry in device.entries("camera.fault")] == ["silent", "unplugged"]
    one.clock.advance(2 * FIRST_WAIT_US)
    one.steps(40)
    assert (one.status()["state"], one.status()["camera"], one.camera.opens) == ("recording", "ok", 2)
