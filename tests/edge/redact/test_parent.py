"""Real segments of the recorder, sealed, with a stamp: redacted through the seal, provable to their manifest."""

import hashlib
import io
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest

from edge.camera.encode import X264Encoder
from edge.camera.port import EncodedUnit, SoundUnit, StreamInfo
from edge.camera.sound import SoundEncoder
from edge.recorder.fragments import Fragmenter
from edge.redact.stamp import REMOVED, has_place, sample_text, without_place
from vedette import bundle, cli
from vedette.config import SoundSection
from vedette.keys import SigningKey
from vedette.records import MANIFEST, Manifest, sign_record
from vedette.sealed import HybridIdentity, save_identity, seal

LINE = "2026-11-25 23:06:4{} UTC+01:00  car-1  33.57310 N 7.58980 W ±5 m (3 s old)\ntime from ntp ±20 ms  recording x/0"
WITHOUT = "2026-11-25 23:06:4{} UTC+01:00  car-1  position removed\ntime from ntp ±20 ms  recording x/0"


@dataclass(frozen=True)
class Item:
    """A sealed segment with its manifest beside it, the key that opens it, its opened bytes."""

    sealed: Path
    identity: Path
    plain: bytes
    manifest: Manifest
    record: bytes


def segment_bytes(seconds: int = 2) -> bytes:
    """An MP4 as the recorder writes it: fragments with pictures, AAC and a line a second."""
    video, sound = X264Encoder(320, 240, 10), SoundEncoder(SoundSection(codec="aac", channels=1))
    rows, columns = np.mgrid[0:360, 0:320]
    units: list[EncodedUnit | SoundUnit] = []
    for number in range(10 * seconds):
        picture = ((rows + columns + 3 * number) % 160 + 40).astype(np.uint8)
        units += video.encode(picture, number * 100_000, utc_us=number * 100_000)
        tone = (np.sin(np.arange(4800) / 20) * 9000).astype(np.int16)[:, None]
        units += sound.encode(tone, number * 100_000, utc_us=0, mono_us=0)
    first = next(one for one in units if isinstance(one, EncodedUnit))
    maker = Fragmenter(StreamInfo(width=320, height=240, rate_num=10, rate_den=1, sound=sound.info), first)
    parts = [maker.beginning()]
    for one in units:
        is_sound = isinstance(one, SoundUnit)
        parts.append(maker.sound(one) if is_sound else maker.picture(one, LINE.format(one.pts_us // 1_000_000)))
    return b"".join([*parts, maker.ending()])


@pytest.fixture(scope="module")
def item(tmp_path_factory: pytest.TempPathFactory, manifest_of: Callable[..., Manifest]) -> Item:
    folder = tmp_path_factory.mktemp("item")
    identity, plain = HybridIdentity.generate(), segment_bytes()
    save_identity(folder / "identity.txt", identity, created="now")
    sealed = seal(plain, [identity.recipient])
    manifest = manifest_of(
        sealed, kind="segment", plain_sha256=hashlib.sha256(plain).hexdigest(), plain_size=len(plain)
    )
    record = sign_record(MANIFEST, manifest.to_body(), SigningKey.generate())
    path = folder / f"{manifest.item}.segment.age"
    path.write_bytes(sealed)
    (folder / f"{manifest.item}.manifest").write_bytes(record)
    return Item(path, folder / "identity.txt", plain, manifest, record)


@pytest.fixture
def redacted(key_file: Path, tmp_path: Path, edited: Callable[[Path, str], Path]) -> Callable[..., int]:
    """`redacted(parent, stamp, *more)`: proposes without plates, makes copy.mp4; the command's exit code."""

    def make(parent: Path, stamp: str, *more: str) -> int:
        plan = tmp_path / "plan.toml"
        words = ["evidence", "redact", str(parent), *more]
        assert cli.main([*words, "--propose", str(plan), "--no-plates"]) == 0
        edited(plan, "")
        plan.write_text(plan.read_text().replace('stamp = "keep"', f'stamp = "{stamp}"'))
        return cli.main([*words, "--apply", str(plan), "-o", str(tmp_path / "copy.mp4"), "--key", str(key_file)])

    return make


def lines(source: Path | io.BytesIO) -> list[str]:
    """The stamp's lines; the recorder repeats one in each fragment."""
    with av.open(source if isinstance(source, io.BytesIO) else str(source)) as file:
        if not file.streams.subtitles:
            return []
        said = [sample_text(bytes(one)) for one in file.demux(subtitles=0) if one.size > 2]
        return [line for line, _ in itertools.groupby(said)]


@pytest.mark.parametrize(
    ("stamp", "state", "text"),
    [("keep", "kept", LINE), ("without_position", "without_position", WITHOUT), ("drop", "dropped", None)],
)
def test_a_sealed_segment_is_redacted_and_its_stamp_is_what_the_plan_says(
    stamp: str, state: str, text: str | None, item: Item, redacted: Callable[..., int], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """RD-7, RD-14, RD-17, RD-21, RD-36"""
    opening = ["--identity", str(item.identity)]
    assert redacted(item.sealed, stamp, *opening) == 0
    copy = tmp_path / "copy.mp4"
    assert lines(io.BytesIO(item.plain)) == [LINE.format(0), LINE.format(1)]
    assert lines(copy) == ([] if text is None else [text.format(0), text.format(1)])
    body = json.loads((tmp_path / "copy.redaction").read_bytes())["body"]
    assert body["stamp"] == state
    assert body["parent"] == {
        "item": item.manifest.item,
        "device": item.manifest.device,
        "plain_sha256": item.manifest.plain_sha256,
        "plain_size": len(item.plain),
        "sealed_sha256": item.manifest.sealed_sha256,
        "manifest_sha256": hashlib.sha256(item.record).hexdigest(),
    }
    capsys.readouterr()
    assert cli.main(["evidence", "redact", str(item.sealed), "--check", str(copy), *opening]) == 0
    assert f"item {item.manifest.item} of car-1" in capsys.readouterr().out
    assert {one.name for one in tmp_path.iterdir()} == {"plan.toml", "copy.mp4", "copy.plan.toml", "copy.redaction"}


def test_a_stamp_that_was_put_back_is_found(
    item: Item, redacted: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """RD-36"""
    opening = ["--identity", str(item.identity)]
    assert redacted(item.sealed, "keep", *opening) == 0
    (tmp_path / "copy.mp4").rename(tmp_path / "kept.mp4")
    for name in ("plan.toml", "copy.plan.toml", "copy.redaction"):
        (tmp_path / name).unlink()
    assert redacted(item.sealed, "without_position", *opening) == 0
    (tmp_path / "kept.mp4").replace(tmp_path / "copy.mp4")
    capsys.readouterr()
    words = ["evidence", "redact", str(item.sealed), "--check", str(tmp_path / "copy.mp4"), "--json", *opening]
    assert cli.main(words) == 10
    found = {one["what"]: one for one in json.loads(capsys.readouterr().out)["findings"]}
    assert found["stamp"]["message"] == "line 0 of the stamp is not the parent's"


@pytest.mark.parametrize(
    "text",
    [
        "33.57310 N 7.58980 W ±5 m",
        "33.57310 N 7.58980 W ±5 m 3D 11 sat (3 s old)",
        "33.57310 N 7.58980 W 2D",
        "at 33.5731, -7.5898",
        "1.00000 S 120.12345 E (12 s later)",
    ],
)
def test_what_looks_like_a_place_is_one(text: str) -> None:
    """RD-14"""
    assert has_place(text)
    sample = without_place(len(text.encode()).to_bytes(2, "big") + text.encode())
    assert REMOVED in sample_text(sample)
    assert not any(letter.isdigit() for letter in sample_text(sample).replace(REMOVED, ""))


@pytest.mark.parametrize("text", ["2026-11-25 23:06:42 UTC+01:00  car-1.2.3  position unknown", "time from ntp ±20 ms"])
def test_a_line_without_a_place_stays_as_it_is(text: str) -> None:
    """RD-14"""
    sample = len(text.encode()).to_bytes(2, "big") + text.encode() + b"\x00\x00\x00\x08styl"
    assert without_place(sample) == sample


@pytest.mark.parametrize("is_opened", [True, False])
@pytest.mark.parametrize("name", ["b.zip", "b"])
def test_an_item_in_a_bundle_is_redacted(
    name: str, is_opened: bool, item: Item, redacted: Callable[..., int], tmp_path: Path
) -> None:
    """RD-17, RD-21"""
    parts = bundle.BundleParts(
        manifest=item.record, receipt=b"{}", proof="proof", journal=[], enrolment=b"{}", log_origin="test/log",
        signer=SigningKey.generate(), made_us=1, sealed=None if is_opened else item.sealed,
        opened=item.plain if is_opened else None,
    )  # fmt: skip
    path = bundle.make(tmp_path / name, parts)
    assert redacted(path, "keep", "--identity", str(item.identity)) == 0
    body = json.loads((tmp_path / "copy.redaction").read_bytes())["body"]
    assert body["parent"]["item"] == item.manifest.item
    assert body["parent"]["plain_sha256"] == hashlib.sha256(item.plain).hexdigest()


def test_a_sealed_parent_wants_its_key_and_its_own_bytes(
    item: Item, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """RD-17, RD-28"""
    words = ["--propose", str(tmp_path / "plan.toml"), "--no-plates"]
    assert cli.main(["evidence", "redact", str(item.sealed), *words]) == 2
    assert "give --identity" in capsys.readouterr().err
    stranger = tmp_path / "stranger.txt"
    save_identity(stranger, HybridIdentity.generate(), created="now")
    assert cli.main(["evidence", "redact", str(item.sealed), *words, "--identity", str(stranger)]) == 11
    changed = bytearray(item.sealed.read_bytes())
    changed[-40] ^= 1
    other = tmp_path / item.sealed.name
    other.write_bytes(changed)
    assert cli.main(["evidence", "redact", str(other), *words, "--identity", str(item.identity)]) == 10
    resealed = seal(item.plain + b"\x00\x00\x00\x08free", [HybridIdentity.generate().recipient])
    other.write_bytes(resealed)
    assert cli.main(["evidence", "redact", str(other), *words, "--identity", str(item.identity)]) == 11
    assert not (tmp_path / "plan.toml").exists()


def test_track_of_a_redacted_copy_has_what_its_own_line_has(
    item: Item, redacted: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SG-29, SG-31: FFmpeg writes its samples into tables; where the place was taken out there is no track."""
    copy, out = tmp_path / "copy.mp4", tmp_path / "way.gpx"
    for stamp, code, says in [("keep", 0, "1 points"), ("without_position", 3, "removed from 2 of 2 s"),
                              ("drop", 3, "it has no line of time and place")]:  # fmt: skip
        assert redacted(item.sealed, stamp, "--identity", str(item.identity)) == 0
        capsys.readouterr()
        assert cli.main(["evidence", "track", str(copy), "-o", str(out)]) == code
        said = capsys.readouterr()
        assert says in said.out + said.err
        assert out.exists() == (code == 0)
        for made in tmp_path.iterdir():
            made.unlink()
