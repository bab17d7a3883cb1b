"""What is no video, a damaged one, or one of another form is refused with a sentence; nothing is left behind."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.redact.record import open_redaction
from vedette import canonical, cli
from vedette.errors import Integrity, NotTrusted
from vedette.keys import SigningKey
from vedette.records import sign_record


def converted(clip: Path, target: Path, *options: str) -> Path:
    words = ["ffmpeg", "-v", "error", "-y", "-i", str(clip), "-t", "1", *options, str(target)]
    subprocess.run(words, check=True)
    return target


def without_video(clip: Path, target: Path) -> None:
    converted(clip, target, "-vn")


def ten_bit(clip: Path, target: Path) -> None:
    converted(clip, target, "-pix_fmt", "yuv420p10le", "-an")


def full_colour(clip: Path, target: Path) -> None:
    converted(clip, target, "-pix_fmt", "yuv444p", "-an")


def turned(clip: Path, target: Path) -> None:
    straight = converted(clip, target.with_name("straight.mp4"))
    words = ["ffmpeg", "-v", "error", "-i", str(straight), "-c", "copy", "-metadata:s:v:0", "rotate=90", str(target)]
    subprocess.run(words, check=True)
    straight.unlink()


def cut(clip: Path, target: Path) -> None:
    target.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])


def cut_in_fragments(clip: Path, target: Path) -> None:
    whole = converted(clip, target.with_name("whole.mp4"), "-movflags", "frag_keyframe+empty_moov", "-c", "copy")
    target.write_bytes(whole.read_bytes()[:2000])
    whole.unlink()


def scratched(clip: Path, target: Path) -> None:
    content = bytearray(clip.read_bytes())
    for at in range(len(content) // 3, len(content) // 3 + 20_000):
        content[at] ^= 0xA5
    target.write_bytes(content)


def text_file(clip: Path, target: Path) -> None:
    target.write_bytes(b"not a video at all" * 100)


def empty(clip: Path, target: Path) -> None:
    target.write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "code", "said"),
    [
        (without_video, 1, "holds no video"),
        (ten_bit, 1, "pictures of the form yuv420p10le are not redacted"),
        (full_colour, 1, "pictures of the form yuv444p are not redacted"),
        (turned, 1, "turn it upright first"),
        (cut, 10, "cannot be opened as a video"),
        (cut_in_fragments, 10, "bad.mp4"),
        (scratched, 10, "picture"),
        (text_file, 10, "cannot be opened as a video"),
        (empty, 10, "cannot be opened as a video"),
    ],
)
def test_a_parent_that_cannot_be_redacted_is_refused(
    spoil: Callable[[Path, Path], None], code: int, said: str, clip: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """RD-16, RD-17"""
    spoil(clip, tmp_path / "bad.mp4")
    plan = tmp_path / "plan.toml"
    capsys.readouterr()
    assert cli.main(["evidence", "redact", str(tmp_path / "bad.mp4"), "--propose", str(plan), "--no-plates"]) == code
    assert said in capsys.readouterr().err
    assert {one.name for one in tmp_path.iterdir()} == {"bad.mp4"}


def test_sound_to_mute_where_there_is_none_is_refused(
    clip: Path, key_file: Path, tmp_path: Path, edited: Callable[[Path, str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """RD-4, RD-16"""
    quiet = converted(clip, tmp_path / "quiet.mp4", "-an", "-c", "copy")
    plan = tmp_path / "plan.toml"
    assert cli.main(["evidence", "redact", str(quiet), "--propose", str(plan), "--no-plates"]) == 0
    edited(plan, '\n[[mute]]\nfrom_us = 1\nto_us = 2\nreason = "x"\n')
    words = ["evidence", "redact", str(quiet), "--apply", str(plan), "-o", str(tmp_path / "c.mp4")]
    assert cli.main([*words, "--key", str(key_file)]) == 1
    assert "has no sound that could be muted" in capsys.readouterr().err
    assert not (tmp_path / "c.mp4").exists()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--apply", "p.toml"], 2),
        (["--propose", "p.toml", "--key", "k.pem"], 2),
        (["--check", "missing.mp4"], 3),
        (["--propose", "p.toml", "--signer", "ed25519:x"], 2),
        (["--apply", "missing.toml", "-o", "c.mp4", "--key", "k.pem"], 3),
    ],
)
def test_a_wrong_call_is_told_what_is_wrong(words: list[str], code: int, clip: Path) -> None:
    """RD-16"""
    assert cli.main(["evidence", "redact", str(clip), *words]) == code


def test_a_record_with_a_field_too_many_or_by_another_key_is_refused() -> None:
    """RD-20, RD-26"""
    key = SigningKey.generate()
    for body in ({}, {"signer": key.public.text}, {"signer": key.public.text, "cell_px": 8, "fill": [0, 0, 0]}):
        with pytest.raises(Integrity):
            open_redaction(sign_record("vedette/redaction/1", body, key), None)
    with pytest.raises(Integrity):
        open_redaction(sign_record("vedette/manifest/2", {"signer": key.public.text}, key), None)
    with pytest.raises(Integrity):
        open_redaction(canonical.dumps([]), None)
    with pytest.raises(NotTrusted, match="not by the key that was given"):
        record = sign_record("vedette/redaction/1", {"signer": key.public.text}, key)
        open_redaction(record, SigningKey.generate().public)
