"""How much memory the pre-event buffer has, and that nobody is left to believe in seconds which are not there."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edge.camera.port import EncodedUnit, StreamInfo
from edge.recorder import preevent
from edge.recorder.preevent import LEAST_BYTES, MAX_UNTOLD, PreEventBuffer, buffer_of
from vedette.config import CameraSection, DeviceConfig, DeviceSection, RecorderSection, SoundSection

SECOND = 1_000_000
RATE = 5
PICTURE_US = SECOND // RATE
GIB = 1 << 30
INFO = StreamInfo(width=1280, height=720, rate_num=RATE, rate_den=1)
DEVICE = DeviceConfig(
    device=DeviceSection(id="car-1", data=Path("data")),
    camera=CameraSection(bitrate_kbps=6000),
    recorder=RecorderSection(pre_event_s=300),
)


def fill(buffer: PreEventBuffer, *, kbps: int, seconds: int, key_every_s: int = 1, from_s: int = 0) -> None:
    """So many seconds at this rate; the pictures share their bytes, so that the test takes none of the memory."""
    coded = bytes(kbps * 125 // RATE)
    if not from_s:
        buffer.begin(INFO)
    for n in range(from_s * RATE, (from_s + seconds) * RATE):
        times = {"pts_us": n * PICTURE_US, "utc_us": n * PICTURE_US, "mono_us": n * PICTURE_US}
        buffer.add(EncodedUnit(data=coded, is_key=n % (RATE * key_every_s) == 0, **times))


def said(buffer: PreEventBuffer) -> list[tuple[str, object]]:
    return [(event, detail.get("why")) for event, detail in buffer.untold]


@pytest.mark.parametrize("key_every_s", [1, 10])
def test_longest_time_at_six_megabits_is_held_whole(key_every_s: int) -> None:
    """AC-43: 300 s, whole groups, and nothing to be said."""
    buffer = buffer_of(DEVICE, memory_bytes=4 * GIB)
    fill(buffer, kbps=6000, seconds=400, key_every_s=key_every_s)
    assert 300 * SECOND <= buffer.held_us <= (300 + key_every_s) * SECOND
    assert (said(buffer), buffer.is_short) == ([], False)


def test_sound_has_room_of_its_own() -> None:
    """AC-43: where policy keeps it."""
    quiet = buffer_of(DEVICE, memory_bytes=4 * GIB)
    loud = buffer_of(
        replace(DEVICE, sound=SoundSection(bitrate_kbps=320, pre_event=True)), memory_bytes=4 * GIB
    )  # fmt: skip
    assert loud.most_bytes - quiet.most_bytes == 300 * 320 * 125 * 5 // 4


def test_short_time_at_a_low_rate_has_the_room_that_it_always_had() -> None:
    """AC-43: a camera that chooses its rate, and long groups, find some."""
    short = replace(DEVICE, recorder=RecorderSection(pre_event_s=10))
    assert buffer_of(short, memory_bytes=4 * GIB).most_bytes == LEAST_BYTES


@pytest.mark.parametrize(("memory_bytes", "is_short"), [(4 * 281_250_000, False), (4 * 281_250_000 - 4, True)])
def test_machine_without_the_memory_says_so_at_the_start(memory_bytes: int, is_short: bool) -> None:
    """AC-43: the buffer takes a quarter of the machine's memory at most."""
    buffer = buffer_of(DEVICE, memory_bytes=memory_bytes)
    assert buffer.most_bytes == memory_bytes // 4
    assert buffer.is_short is is_short
    told = {"wanted_s": 300, "fits_s": 299, "needs_mib": 269, "most_mib": 268}
    assert list(buffer.untold) == [("pre_event.short", told)] * is_short


def test_small_machine_gives_no_more_than_a_quarter_to_a_short_time_either() -> None:
    """AC-43: what 10 s need is there, so nothing is said."""
    buffer = buffer_of(replace(DEVICE, recorder=RecorderSection(pre_event_s=10)), memory_bytes=GIB // 4)
    assert (buffer.most_bytes, said(buffer)) == (GIB // 16, [])


def test_what_bytes_cut_is_said_once_and_again_after_a_time_without() -> None:
    """AC-43: a camera that goes on with too much is one period, one that was good for a while begins another."""
    buffer = PreEventBuffer(length_us=100 * SECOND, most_bytes=100 * 125_000)
    fill(buffer, kbps=2000, seconds=300)
    assert said(buffer) == [("pre_event.cut", "bytes")]
    assert (buffer.is_short, buffer.held_us // SECOND) == (True, 50)
    fill(buffer, kbps=900, seconds=220, from_s=300)
    assert buffer.is_short is False
    assert buffer.held_us >= 100 * SECOND
    fill(buffer, kbps=2000, seconds=200, from_s=520)
    assert said(buffer) == [("pre_event.cut", "bytes")] * 2


def test_one_group_that_is_too_large_is_never_let_go_without_a_word() -> None:
    """AC-43: though it was said before that bytes cut."""
    buffer = PreEventBuffer(length_us=100 * SECOND, most_bytes=100 * 125_000)
    fill(buffer, kbps=2000, seconds=100)
    fill(buffer, kbps=2000, seconds=300, key_every_s=1000, from_s=100)
    assert said(buffer) == [("pre_event.cut", "bytes"), ("pre_event.cut", "group")]
    _event, detail = buffer.untold[-1]
    assert (detail["held_us"], detail["length_us"], detail["most_mib"], detail["kbps"]) == (0, 100 * SECOND, 11, 2000)
    assert (buffer.held_us, buffer.size_bytes, buffer.is_short) == (0, 0, True)


@pytest.mark.parametrize(("periods", "untold"), [(MAX_UNTOLD, MAX_UNTOLD), (MAX_UNTOLD + 1, MAX_UNTOLD)])
def test_what_no_disk_takes_does_not_pile_up(periods: int, untold: int) -> None:
    """AC-43: each period is told, the latest of them where the disk takes nothing for long."""
    buffer = PreEventBuffer(length_us=100 * SECOND, most_bytes=100 * 125_000)
    for n in range(periods):
        fill(buffer, kbps=2000, seconds=60, from_s=1000 * n)
    assert len(buffer.untold) == untold


@pytest.fixture
def flood(scripted, coded) -> Callable[[int], object]:
    """A camera that sends 12 Mbit/s where the configuration asks for 4, with a key picture every so many."""

    def make(key_every: int) -> object:
        coded_once = coded(1)[0][0].ljust(150_000, b"\0")
        return scripted(codes=lambda count: [(coded_once, n % key_every == 0) for n in range(count)], frames=False)

    return make


def test_camera_with_three_times_the_rate_is_cut_by_bytes_and_custody_says_so_once(device, bench, flood) -> None:
    """AC-43: the status has the seconds that are really there."""
    one = bench(mode="standby", pre_event_s=300, camera=flood(10))
    one.steps(1100)
    assert (one.status()["pre_event_held_s"], one.status()["pre_event_short"]) == (110, False)
    one.steps(500)
    assert (one.status()["pre_event_held_s"], one.status()["pre_event_short"]) == (125, True)
    one.close()
    (entry,) = device.entries("pre_event.cut")
    assert (entry.detail["why"], entry.detail["length_us"]) == ("bytes", 300 * SECOND)
    assert entry.detail["held_us"] // SECOND == 124
    assert 11_900 <= entry.detail["kbps"] <= 12_100


def test_machine_without_the_memory_is_in_custody_and_status_from_the_start(device, bench, monkeypatch) -> None:
    """AC-43: recording is not refused for it."""
    monkeypatch.setattr(preevent, "_memory_bytes", lambda: GIB // 2)
    one = bench(mode="standby", pre_event_s=300)
    one.steps(2)
    assert (one.status()["state"], one.status()["pre_event_short"]) == ("standby", True)
    (entry,) = device.entries("pre_event.short")
    assert entry.detail == {"wanted_s": 300, "fits_s": 214, "needs_mib": 179, "most_mib": 128}


def test_what_is_to_be_said_waits_for_a_disk_that_takes_it(device, bench, monkeypatch) -> None:
    """AC-43: as all that custody is told late rather than never."""
    monkeypatch.setattr(preevent, "_memory_bytes", lambda: GIB // 2)
    one = bench(mode="standby", pre_event_s=300)
    journal, refusals = one.service._keeping._filing.journal, [OSError(28, "no space")]
    append = journal.append

    def refusing(event: str, **more: object) -> object:
        if event == "pre_event.short" and refusals:
            raise refusals.pop()
        return append(event, **more)

    monkeypatch.setattr(journal, "append", refusing)
    one.steps(60)
    assert (refusals, len(device.entries("pre_event.short"))) == ([], 1)
