"""A copy of a drawn street: made, checked, played, and caught whatever is changed in it."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from edge.redact.cover import spread
from edge.redact.plan import parse_plan
from vedette import cli
from vedette.keys import SigningKey

MORE = """
[[region]]
name = "sign"
reason = "shop's name"
shape = "polygon"
from_us = 400_000
to_us = 2_000_000
keys = [[400_000, 100, 10, 160, 10, 130, 60], [2_000_000, 300, 10, 360, 10, 330, 60]]

[[mute]]
from_us = 1_000_000
to_us = 1_500_000
reason = "a name"
"""
# In a picture of 640 pixels; a plate of this width is not legible, and the detector finds those that are wider.
LEAST_PX = 36


@pytest.fixture(scope="module")
def made(clip: Path, key_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The copy of the street with a region and a mute added by hand; plan and record lie beside it."""
    folder = tmp_path_factory.mktemp("copy")
    plan = folder / "plan.toml"
    assert cli.main(["evidence", "redact", str(clip), "--propose", str(plan)]) == 0
    text = plan.read_text().replace('checked_by = ""', 'checked_by = "A. Tazi"').replace('why = ""', 'why = "press"')
    plan.write_text(text + MORE)
    copy = folder / "copy.mp4"
    words = ["evidence", "redact", str(clip), "--apply", str(plan), "-o", str(copy), "--key", str(key_file)]
    assert cli.main(words) == 0
    return copy


def findings(capsys: pytest.CaptureFixture[str], copy: Path, parent: Path, *more: str) -> dict[str, dict[str, object]]:
    capsys.readouterr()
    code = cli.main(["evidence", "redact", str(parent), "--check", str(copy), "--json", *more])
    report = json.loads(capsys.readouterr().out)
    assert report["exit_code"] == code
    return {one["what"]: one for one in report["findings"]}


def copied(made: Path, folder: Path) -> Path:
    """Copy, plan and record in another folder, to be changed there."""
    for path in (made, made.with_suffix(".plan.toml"), made.with_suffix(".redaction")):
        shutil.copy(path, folder / path.name)
    return folder / made.name


def probe(path: Path, *what: str) -> list[str]:
    words = ["ffprobe", "-v", "error", *what, "-of", "csv=p=0", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


def test_every_wide_enough_plate_is_covered_in_every_picture(made: Path, clip: Path, street) -> None:  # type: ignore[no-untyped-def]
    """RD-6, RD-10: what the drawing says is a plate is the constant in the copy, but for a rim at a plate's edge"""
    shares = []
    with av.open(str(made)) as file:
        for number, frame in enumerate(file.decode(video=0)):
            luma = frame.to_ndarray()[: street.height].astype(int)
            is_fill = abs(luma - 110) <= 32
            for plate in street.plates(number):
                if plate.width_px >= LEAST_PX:
                    shares.append(float(is_fill[plate.pixels].mean()))
    assert len(shares) > 90
    assert min(shares) > 0.95
    assert sum(share == 1.0 for share in shares) / len(shares) > 0.98


def test_pictures_keep_their_times_and_the_copy_plays(made: Path, clip: Path) -> None:
    """RD-7, RD-8, RD-30"""
    times = ("-select_streams", "v", "-show_entries", "frame=pts")
    assert probe(made, *times) == probe(clip, *times)
    assert probe(made, "-show_entries", "stream=codec_name,pix_fmt") == ["h264,yuv420p", "aac"]
    tags = json.loads(
        subprocess.run(
            ["ffprobe", "-v", "error", "-show_entries", "format_tags", "-of", "json", str(made)],
            capture_output=True, text=True, check=True,
        ).stdout
    )["format"]["tags"]  # fmt: skip
    assert set(tags) <= {"major_brand", "minor_version", "compatible_brands", "encoder"}


def test_a_browser_plays_the_copy(chromium: Any, made: Path, tmp_path: Path) -> None:
    """RD-8: Chromium decodes it to its end and says its size and length"""
    shutil.copy(made, tmp_path / "copy.mp4")
    page_file = tmp_path / "page.html"
    page_file.write_text('<video src="copy.mp4" muted></video>')
    page = chromium.new_page()
    page.goto(page_file.as_uri())
    played = page.evaluate(
        """() => new Promise((done, failed) => { const v = document.querySelector('video');
        v.onended = () => done([v.videoWidth, v.videoHeight, Math.round(v.duration * 10)]);
        v.onerror = () => failed(v.error.message); v.playbackRate = 4; v.play(); })"""
    )
    page.close()
    assert played[:2] == [640, 360]
    assert 29 <= played[2] <= 31


def test_the_same_plan_makes_the_same_proposal_and_the_same_bytes(
    made: Path, clip: Path, key_file: Path, tmp_path: Path
) -> None:
    """RD-6, RD-9"""
    again = tmp_path / "again.mp4"
    plan = made.with_suffix(".plan.toml")
    words = ["evidence", "redact", str(clip), "--apply", str(plan), "-o", str(again), "--key", str(key_file)]
    assert cli.main(words) == 0
    assert again.read_bytes() == made.read_bytes()
    proposal = tmp_path / "plan.toml"
    assert cli.main(["evidence", "redact", str(clip), "--propose", str(proposal)]) == 0
    assert parse_plan(proposal.read_bytes()).regions == parse_plan(plan.read_bytes()).regions[:-1]


def test_a_whole_copy_holds_against_its_parent(
    made: Path, clip: Path, key_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """RD-15, RD-20, RD-21, RD-22, RD-23, RD-24, RD-25, RD-27, RD-28, RD-31, RD-33, RD-35, RD-37"""
    signer = SigningKey.load(key_file).public.text
    found = findings(capsys, made, clip, "--signer", signer)
    assert all(one["ok"] for one in found.values())
    assert "nobody vouches" not in str(found["record"]["message"])
    assert "nobody vouches" in str(findings(capsys, made, clip)["record"]["message"])
    record = json.loads(made.with_suffix(".redaction").read_bytes())
    body = record["body"]
    assert record["kind"] == "vedette/redaction/1"
    assert body["parent"]["plain_sha256"] == hashlib.sha256(clip.read_bytes()).hexdigest()
    assert body["derived_sha256"] == hashlib.sha256(made.read_bytes()).hexdigest()
    assert body["plan_sha256"] == hashlib.sha256(made.with_suffix(".plan.toml").read_bytes()).hexdigest()
    assert (body["by"], body["why"], body["signer"]) == ("A. Tazi", "press", signer)
    assert (body["sound"], body["stamp"], body["frames"]) == ("muted", "none", 75)
    with_sign = [run for run in body["changed"] if "sign" in run["regions"].split(" ")]
    assert (with_sign[0]["first"], with_sign[0]["from_us"]) == (10, 400_000)
    assert (with_sign[-1]["last"], with_sign[-1]["to_us"]) == (50, 2_000_000)
    assert {one["region"]: one["reason"] for one in body["reasons"]}["sign"] == "shop's name"


def test_another_parent_and_another_signer_are_told_apart(
    made: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """RD-27, RD-28, RD-29"""
    other = tmp_path / "other.mp4"
    other.write_bytes(clip.read_bytes() + b"\x00\x00\x00\x08free")
    found = findings(capsys, made, other, "--signer", SigningKey.generate().public.text)
    assert [what for what, one in found.items() if not one["ok"]] == ["record"]
    found = findings(capsys, made, other)
    assert [what for what, one in found.items() if not one["ok"]] == ["parent"]


@pytest.mark.parametrize("ending", [".mp4", ".plan.toml", ".redaction"])
def test_a_changed_byte_of_copy_plan_or_record_is_found(
    ending: str, made: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """RD-26, RD-28, RD-29"""
    copy = copied(made, tmp_path)
    path = copy.with_suffix(ending)
    changed = bytearray(path.read_bytes())
    changed[len(changed) // 2] ^= 1
    path.write_bytes(changed)
    found = findings(capsys, copy, clip)
    what = {".mp4": "copy", ".plan.toml": "plan", ".redaction": "record"}[ending]
    assert not found[what]["ok"]
    assert len(found) > 1


def encoded_again(source: Path, target: Path, change: Callable[[int, np.ndarray], np.ndarray | None]) -> None:  # type: ignore[type-arg]
    """The copy with its pictures changed by whoever wants to deceive; sound is copied."""
    with av.open(str(source)) as old, av.open(str(target), "w", format="mp4") as new:
        video, sound = old.streams.video[0], new.add_stream_from_template(old.streams.audio[0])
        coder = new.add_stream("libx264", rate=25)
        coder.width, coder.height, coder.pix_fmt = video.width, video.height, "yuv420p"
        coder.codec_context.time_base = video.time_base
        coder.codec_context.max_b_frames = 0
        coder.options = {"crf": "8", "preset": "ultrafast"}
        number = 0
        for packet in old.demux():
            if packet.stream.type == "audio" and packet.size:
                packet.stream = sound
                new.mux(packet)
                continue
            for frame in packet.decode() if packet.stream.type == "video" else ():
                planes = change(number, frame.to_ndarray())
                number += 1
                if planes is not None:
                    shown = av.VideoFrame.from_ndarray(planes, format="yuv420p")
                    shown.pts, shown.time_base = frame.pts, video.time_base
                    new.mux(coder.encode(shown))
        new.mux(coder.encode(None))


def _spot(number: int, planes: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """A bright spot of 10x10 pixels in one picture, where nothing is covered."""
    if number == 33:
        planes[300:310, 40:50] = 250
    return planes


def _dropped(number: int, planes: np.ndarray) -> np.ndarray | None:  # type: ignore[type-arg]
    return None if number == 40 else planes


def _colour(number: int, planes: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """All of the blue difference shifted in one picture."""
    if number == 20:
        planes[360:450] = np.clip(planes[360:450].astype(int) + 25, 0, 255)
    return planes


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_spot, "picture 33 at 1.320000 s was changed where the plan changes nothing, most about pixel 40, 304"),
        (_dropped, "picture 40 at 1.640000 s is shown at 1.600000 s in the parent"),
        (_colour, "picture 20 at 0.800000 s was changed where the plan changes nothing"),
    ],
)
def test_a_picture_changed_beyond_encoding_is_found_and_located(
    change: Callable[[int, np.ndarray], np.ndarray | None],  # type: ignore[type-arg]
    said: str, made: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """RD-7, RD-30, RD-31, RD-32, RD-34"""
    copy = copied(made, tmp_path)
    copy.unlink()
    encoded_again(made, copy, change)
    found = findings(capsys, copy, clip)
    assert not found["copy"]["ok"]
    assert str(found["pictures"]["message"]).startswith(said)
    assert found["sound"]["ok"]


def test_a_region_that_was_not_covered_is_found(
    made: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """RD-33, RD-34: the parent itself passed off as the copy, and a faint trace of what was there"""
    copy = copied(made, tmp_path)
    shutil.copy(clip, copy)
    said = str(findings(capsys, copy, clip)["pictures"]["message"])
    assert said.startswith("picture 0 at 0.000000 s is to be covered and is not")
    with av.open(str(clip)) as file:
        parent = [frame.to_ndarray() for frame in file.decode(video=0)]
    cells = np.zeros((45, 80), dtype=np.bool_)
    with av.open(str(made)) as file:
        is_fill = abs(next(file.decode(video=0)).to_ndarray()[:360].astype(int) - 110) < 6
    cells[:] = is_fill.reshape(45, 8, 80, 8).all(axis=(1, 3))
    mask = spread(cells, 8, (360, 640))

    def trace(number: int, planes: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        if number == 0:
            faint = 110 + (parent[0][:360].astype(int) - 110) // 2
            planes[:360][mask] = np.clip(faint, 0, 255)[mask]
        return planes

    copy.unlink()
    encoded_again(made, copy, trace)
    said = str(findings(capsys, copy, clip)["pictures"]["message"])
    assert said.startswith("picture 0 at 0.000000 s is to be covered and is not")


def test_nothing_is_overwritten_and_nothing_is_left_of_a_refusal(
    made: Path, clip: Path, key_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """RD-1, RD-2, RD-16"""
    words = ["evidence", "redact", str(clip), "--key", str(key_file), "-o"]
    plan = str(made.with_suffix(".plan.toml"))
    before = made.read_bytes()
    assert cli.main([*words, str(made), "--apply", plan]) == 1
    assert made.read_bytes() == before
    (tmp_path / "new.redaction").write_bytes(b"")
    assert cli.main([*words, str(tmp_path / "new.mp4"), "--apply", plan]) == 1
    assert "new.redaction exists already" in capsys.readouterr().err
    fresh = tmp_path / "plan.toml"
    assert cli.main(["evidence", "redact", str(clip), "--propose", str(fresh), "--no-plates"]) == 0
    assert cli.main([*words, str(tmp_path / "b.mp4"), "--apply", str(fresh)]) == 1
    assert "checked_by is empty" in capsys.readouterr().err
    other = tmp_path / "other.mp4"
    other.write_bytes(clip.read_bytes() + b"\x00\x00\x00\x08free")
    words[2] = str(other)
    assert cli.main([*words, str(tmp_path / "b.mp4"), "--apply", plan]) == 1
    assert "the plan is for another video" in capsys.readouterr().err
    assert {one.name for one in tmp_path.iterdir()} == {"new.redaction", "plan.toml", "other.mp4"}


def test_a_second_video_in_the_copy_is_found(
    made: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """RD-8, RD-30: the parent's pictures as another track"""
    copy = copied(made, tmp_path)
    words = ["ffmpeg", "-v", "error", "-y", "-i", str(made), "-i", str(clip), "-map", "0", "-map", "1:v", "-c", "copy"]
    subprocess.run([*words, str(copy)], check=True)
    assert "other tracks than one video" in str(findings(capsys, copy, clip)["pictures"]["message"])
