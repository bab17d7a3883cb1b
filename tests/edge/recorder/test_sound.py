"""Sound in recordings: muted time, the policy before an activation, the cut between segments, power cuts, the line."""

import io
import itertools
import random

import av
import pytest

from edge.board.position import read_fix
from edge.camera.sound import SoundEncoder
from vedette import canonical
from vedette.config import SoundSection
from vedette.custody_entry import parse_line
from vedette.custody_verify import check_segment
from vedette.sealed import recover

PIECE_US = 21_334
SILENCE = SoundEncoder(SoundSection()).info.silence


def heard(data: bytes) -> list[int]:
    """The media times of the pieces of sound in an opened segment, without those of silence that fill a hole."""
    with av.open(io.BytesIO(data)) as mp4:
        packets = mp4.demux(audio=0) if mp4.streams.audio else ()
        pieces = [one for one in packets if one.size and bytes(one) != SILENCE]
    return [round(float(one.pts * one.time_base) * 1e6) for one in pieces]


def heard_at(device) -> list[int]:
    """The UTC times of all sound in all segments, by each segment's own beginning."""
    return [item.manifest.started_us + at for item in device.items() for at in heard(device.opened(item))]


def lines(data: bytes) -> list[str]:
    with av.open(io.BytesIO(data)) as mp4:
        return [bytes(one)[2:].decode() for one in mp4.demux(subtitles=0) if one.size]


def gaps(times: list[int], least_us: int = 2 * PIECE_US) -> list[tuple[int, int]]:
    return [(a, b) for a, b in itertools.pairwise(times) if b - a > least_us]


@pytest.mark.parametrize("late_us", [0, 60_000, 300_000])
def test_no_sound_is_lost_or_moved_where_segments_meet(device, bench, hearing, late_us: int):
    """SG-12: the segment waits for the sound of its last pictures."""
    one = bench(camera=hearing(late_us=late_us), segment_s=2)
    one.steps(100)
    start_us = one.camera.start[0]
    one.close()
    times = heard_at(device)
    assert len(device.items()) == 5
    assert gaps(times) == []
    assert times == sorted(times)
    assert max(abs((at - start_us + PIECE_US // 2) % (64_000 / 3) - PIECE_US / 2) for at in times) < 1_000
    assert times[-1] - start_us > 10_000_000 - late_us - 2 * PIECE_US
    assert [item.manifest.media.frames for item in device.items()] == [20] * 5


def test_segments_are_cut_in_time_when_sound_stops_coming(device, bench, hearing):
    """SG-12: a microphone that died holds nothing back."""
    one = bench(camera=hearing(), segment_s=2)
    one.steps(30)
    one.camera.late_us = 1 << 40
    one.steps(70)
    one.close()
    assert [item.manifest.media.frames for item in device.items()] == [20] * 5


def test_mute_leaves_out_sound_and_keeps_pictures_when_it_is_on(device, bench, hearing):
    """SG-13. CJ-25: the muted interval is in custody, and no sound of it anywhere."""
    one = bench(camera=hearing(), segment_s=4)
    one.steps(25)
    began_us = one.clock.utc_us()
    one.service._keeping.mute(True, "button")
    one.service._keeping.mute(True, "button")
    one.steps(40)
    ended_us = one.clock.utc_us()
    one.service._keeping.mute(False, "command")
    one.steps(35)
    one.close()
    (began,), (ended,) = device.entries("mute.began"), device.entries("mute.ended")
    assert (began.detail, began.utc_us, ended.detail, ended.utc_us) == (
        {"by": "button"}, began_us, {"by": "command"}, ended_us,
    )  # fmt: skip
    times = heard_at(device)
    ((before, after),) = gaps(times)
    assert began_us - 3 * 60_000 <= before < began_us
    assert ended_us - PIECE_US // 2 <= after < ended_us + 2 * PIECE_US
    assert sum(item.manifest.media.frames for item in device.items()) == 100


def test_mute_is_told_to_custody_when_the_disk_takes_lines_again(device, bench, hearing):
    free = [1 << 30]
    one = bench(camera=hearing(), segment_s=4, min_free_mib=512, terms={"free_bytes": lambda _folder: free[0]})
    one.steps(20)
    keeping = one.service._keeping
    keeping.trouble, keeping._retry_us = "disk_full", one.clock.mono_us()
    keeping.mute(True, "button")
    assert device.entries("mute.began") == []
    one.steps(30)
    assert [entry.detail for entry in device.entries("mute.began")] == [{"by": "button"}]


def test_sound_begins_at_the_activation_when_the_policy_is_off(device, bench, hearing, post):
    """SG-14: off is the default."""
    one = bench(camera=hearing(), mode="standby", pre_event_s=3, segment_s=60)
    one.steps(60)
    activated_us = one.clock.utc_us()
    post(one, "start")
    one.steps(40)
    one.close()
    (item,) = device.items()
    times = heard_at(device)
    assert activated_us - item.manifest.started_us >= 2_900_000
    assert activated_us - 300_000 <= times[0]
    assert gaps(times) == []


def test_sound_from_before_is_kept_without_what_was_muted_when_the_policy_is_on(device, bench, hearing, post):
    """SG-13. SG-14."""
    path = device.folder / "device.toml"
    path.write_text(path.read_text().replace("[recorder]", "[sound]\npre_event = true\n[recorder]"))
    one = bench(camera=hearing(), mode="standby", pre_event_s=5, segment_s=60)
    one.steps(60)
    muted_us = one.clock.utc_us()
    one.service._keeping.mute(True, "button")
    one.steps(10)
    one.service._keeping.mute(False, "button")
    one.steps(10)
    post(one, "start")
    one.steps(30)
    one.close()
    (item,) = device.items()
    times = heard_at(device)
    assert times[0] - item.manifest.started_us < 2 * PIECE_US
    ((before, after),) = gaps(times)
    assert before < muted_us
    assert after >= muted_us + 1_000_000 - PIECE_US // 2


def test_custody_names_the_codec_of_the_sound(device, bench, hearing):
    one = bench(camera=hearing(), segment_s=60)
    one.steps(5)
    assert [entry.detail["sound"] for entry in device.entries("segment.opened")] == ["aac"]
    one.close()
    bench(segment_s=60).steps(5)
    assert [entry.detail["sound"] for entry in device.entries("segment.opened")] == ["aac", None]


@pytest.mark.parametrize("seed", range(8))
def test_what_custody_promised_is_there_in_all_tracks_when_the_power_goes(device, bench, hearing, identity, seed: int):
    """SG-9."""
    chance = random.Random(seed)
    one = bench(camera=hearing(), segment_s=60)
    one.steps(chance.randint(40, 90))
    one.service._keeping.recording.abandon()
    one.service._keeping._opened.journal.close()
    one.is_closed = True
    two = bench(segment_s=60)
    (item,) = device.items()
    with item.path.open("rb") as file:
        entries = [parse_line(line) for line in device.lines()]
        assert check_segment(entries, item.item_id, file).fault is None
    with item.path.open("rb") as file:
        plain = b"".join(recover(file, [identity]))
    proven_us = item.manifest.media.duration_us
    assert proven_us > 2_000_000
    assert heard(plain)[-1] >= proven_us - 200_000
    assert len(lines(plain)) >= proven_us // 200_000
    two.close()


def test_line_has_the_position_of_its_own_second_and_custody_has_none(device, bench, post):
    """SG-10. SG-11: a pre-event picture gets what was known when it was taken."""
    terms = {"position": lambda at_us: read_fix(device.run, now_us=at_us)}
    one = bench(mode="standby", pre_event_s=5, segment_s=60, terms=terms)
    for second in range(6):
        fix = {"lat_e7": 335_700_000 + second * 100_000, "lon_e7": -75_900_000, "accuracy_cm": 500,
               "fixed_us": one.clock.utc_us()}  # fmt: skip
        (device.run / "position.json").write_bytes(canonical.dumps(fix))
        one.steps(10)
    post(one, "start")
    one.steps(10)
    one.close()
    (item,) = device.items()
    found = lines(device.opened(item))
    places = list(dict.fromkeys(line.split("\n")[0].split("  ")[2].split(" N")[0] for line in found))
    assert places[:4] == ["33.57000", "33.58000", "33.59000", "33.60000"]
    assert f"recording {item.manifest.recording}/0" in found[0]
    assert "car-1" in found[0]
    assert "time from simulated, ±0 ms" in found[0]
    written = b"".join(device.lines()) + item.manifest_bytes
    assert b"33.5" not in written
    assert b"3357" not in written
