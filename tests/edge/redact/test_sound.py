"""Muted sound is silence encoded anew, all other sound is the parent's bit for bit."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from edge.redact.plan import Mute
from edge.redact.sound import Muter
from vedette import cli
from vedette.errors import Refused

SAMPLES_A_SECOND = 48_000
MUTE = '\n[[mute]]\nfrom_us = 600_000\nto_us = 900_000\nreason = "a name"\n'


@pytest.fixture
def redacted(key_file: Path, tmp_path: Path, edited: Callable[[Path, str], Path]) -> Callable[[Path, str], int]:
    """`redacted(parent, more)`: proposes without plates, adds `more`, makes copy.mp4; the command's exit code."""

    def make(parent: Path, more: str) -> int:
        plan = tmp_path / "plan.toml"
        assert cli.main(["evidence", "redact", str(parent), "--propose", str(plan), "--no-plates"]) == 0
        edited(plan, more)
        words = ["evidence", "redact", str(parent), "--apply", str(plan), "-o", str(tmp_path / "copy.mp4")]
        return cli.main([*words, "--key", str(key_file)])

    return make


def packets(path: Path) -> list[tuple[int, bytes]]:
    with av.open(str(path)) as file:
        rate = file.streams.audio[0].time_base
        assert rate is not None
        return [(int((one.pts or 0) * rate * 1_000_000), bytes(one)) for one in file.demux(audio=0) if one.size]


def heard(path: Path) -> np.ndarray:  # type: ignore[type-arg]
    """Loudness of each 10 ms, decoded by ffmpeg."""
    words = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "f32le", "-ac", "1", "-ar", "48000", "-"]
    done = subprocess.run(words, capture_output=True, check=True)
    samples = np.frombuffer(done.stdout, dtype=np.float32)
    return np.abs(samples[: len(samples) // 480 * 480]).reshape(-1, 480).max(axis=1)


@pytest.mark.parametrize(("codec", "before_us", "after_us"), [("aac", 43_000, 43_000), ("opus", 41_000, 101_000)])
def test_a_mute_is_silent_and_what_lies_around_is_untouched(
    codec: str, before_us: int, after_us: int, redacted: Callable[[Path, str], int], tone: Callable[[str], Path],
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """RD-13, RD-25, RD-35"""
    parent = tone(codec)
    assert redacted(parent, MUTE) == 0
    copy = tmp_path / "copy.mp4"
    loud = heard(copy)
    assert loud[60:91].max() <= 0.0005
    assert loud[20:50].min() > 0.2
    assert loud[120:135].min() > 0.2
    old, new = packets(parent), packets(copy)
    assert [at for at, _ in old] == [at for at, _ in new]
    changed = [at for (at, a), (_, b) in zip(old, new, strict=True) if a != b]
    assert changed[0] >= 600_000 - before_us
    assert changed[-1] <= 900_000 + after_us
    body = json.loads((tmp_path / "copy.redaction").read_bytes())["body"]
    assert body["sound"] == "muted"
    assert body["mutes"] == [{"from_us": 600_000, "to_us": 900_000, "reason": "a name", "packets": len(changed)}]
    capsys.readouterr()
    assert cli.main(["evidence", "redact", str(parent), "--check", str(copy)]) == 0


def test_sound_put_back_or_changed_is_found(
    redacted: Callable[[Path, str], int], tone: Callable[[str], Path], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """RD-35: the muted stretch put back by whoever holds the parent, and one packet outside of it left out"""
    parent = tone("aac")
    assert redacted(parent, MUTE) == 0
    copy = tmp_path / "copy.mp4"
    whole = copy.read_bytes()
    for change, said in ((_put_back, "is to be silent and is not"), (_left_out, "of the sound is at")):
        copy.write_bytes(whole)
        change(parent, copy, tmp_path / "changed.mp4")
        capsys.readouterr()
        assert cli.main(["evidence", "redact", str(parent), "--check", str(copy), "--json"]) == 10
        found = {one["what"]: one for one in json.loads(capsys.readouterr().out)["findings"]}
        assert said in found["sound"]["message"]
        assert found["pictures"]["ok"]


def _put_back(parent: Path, copy: Path, scratch: Path) -> None:
    _muxed(copy, parent, scratch, skip=-1)


def _left_out(parent: Path, copy: Path, scratch: Path) -> None:
    _muxed(copy, copy, scratch, skip=10)


def _muxed(pictures: Path, sound: Path, scratch: Path, *, skip: int) -> None:
    """Pictures of one file with the sound of another but for one packet, in place of the first."""
    with av.open(str(pictures)) as a, av.open(str(sound)) as b, av.open(str(scratch), "w", format="mp4") as new:
        tracks = [new.add_stream_from_template(one) for one in (a.streams.video[0], b.streams.audio[0])]
        for source, stream, target in ((a, a.streams.video[0], tracks[0]), (b, b.streams.audio[0], tracks[1])):
            for number, packet in enumerate(source.demux(stream)):
                if packet.size and not (target is tracks[1] and number == skip):
                    packet.stream = target
                    new.mux(packet)
    scratch.replace(pictures)


def test_all_sound_can_be_left_out(
    redacted: Callable[[Path, str], int], tone: Callable[[str], Path], tmp_path: Path, key_file: Path
) -> None:
    """RD-25, RD-35"""
    parent = tone("aac")
    assert redacted(parent, "") == 0
    plan = tmp_path / "plan.toml"
    plan.write_text(plan.read_text().replace('sound = "keep"', 'sound = "drop"'))
    copy = tmp_path / "quiet.mp4"
    words = ["evidence", "redact", str(parent), "--apply", str(plan), "-o", str(copy), "--key", str(key_file)]
    assert cli.main(words) == 0
    with av.open(str(copy)) as file:
        assert not file.streams.audio
    assert json.loads((tmp_path / "quiet.redaction").read_bytes())["body"]["sound"] == "dropped"
    assert cli.main(["evidence", "redact", str(parent), "--check", str(copy)]) == 0
    assert packets(tmp_path / "copy.mp4") == packets(parent)


def test_sound_that_cannot_be_muted_in_parts_is_refused(
    redacted: Callable[[Path, str], int], tone: Callable[[str], Path], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """RD-13, RD-16"""
    assert redacted(tone("mp3"), MUTE) == 1
    assert "drop it as a whole" in capsys.readouterr().err
    assert {one.name for one in tmp_path.iterdir()} == {"plan.toml"}


def test_a_second_sound_track_that_was_put_back_is_found(
    redacted: Callable[[Path, str], int], tone: Callable[[str], Path], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """RD-13, RD-35: both tracks are muted, and both are listened to"""
    parent, copy, changed = tmp_path / "two.mp4", tmp_path / "copy.mp4", tmp_path / "changed.mp4"
    words = ["ffmpeg", "-v", "error", "-y", "-i"]
    twice = ["-map", "0:v", "-map", "0:a", "-map", "0:a", "-c", "copy"]
    subprocess.run([*words, str(tone("aac")), *twice, str(parent)], check=True)
    assert redacted(parent, MUTE) == 0
    assert cli.main(["evidence", "redact", str(parent), "--check", str(copy)]) == 0
    first = ["-map", "0:v", "-map", "0:a:0", "-map", "1:a:1", "-c", "copy"]
    subprocess.run([*words, str(copy), "-i", str(parent), *first, str(changed)], check=True)
    changed.replace(copy)
    capsys.readouterr()
    assert cli.main(["evidence", "redact", str(parent), "--check", str(copy), "--json"]) == 10
    found = {one["what"]: one for one in json.loads(capsys.readouterr().out)["findings"]}
    assert "is to be silent and is not" in found["sound"]["message"]


def test_a_packet_that_does_not_say_when_it_is_heard_is_not_let_through(tone: Callable[[str], Path]) -> None:
    """RD-13"""
    with av.open(str(tone("aac"))) as file:
        muter = Muter(file.streams.audio[0], [Mute(from_us=0, to_us=1_500_000, reason="a name")])
        packet = next(one for one in file.demux(audio=0) if one.size)
        assert muter.hides(packet) is not None
        packet.pts = None
        with pytest.raises(Refused, match="has no time"):
            muter.hides(packet)
