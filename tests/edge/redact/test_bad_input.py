"""What is no video, a damaged one, or one of another form is refused with a sentence; nothing is left behind."""

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vedette import canonical, cli
from vedette.errors import Integrity, NotTrusted
from vedette.keys import SigningKey
from vedette.records import sign_record
from vedette.redaction import open_redaction

MATRIX_AT = 40  # in a track's header of version 0, behind its version and flags


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
    """A quarter turn in the picture track's header, as a telephone writes it; ffmpeg's own word for it has changed."""
    straight = converted(clip, target)
    data = bytearray(straight.read_bytes())
    at = data.index(b"tkhd") + 4 + MATRIX_AT
    struct.pack_into(">9i", data, at, 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    target.write_bytes(data)


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


@pytest.fixture(scope="module")
def small(
    tone: Callable[[str], Path], key_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, bytes]]:
    """A small parent, and the bytes of its copy, plan and record by ending."""
    folder, parent = tmp_path_factory.mktemp("small"), tone("aac")
    plan = folder / "p.toml"
    assert cli.main(["evidence", "redact", str(parent), "--propose", str(plan), "--no-plates"]) == 0
    text = plan.read_text().replace('checked_by = ""', 'checked_by = "A"').replace('why = ""', 'why = "B"')
    plan.write_text(text + '\n[[mute]]\nfrom_us = 600_000\nto_us = 900_000\nreason = "a name"\n')
    words = ["evidence", "redact", str(parent), "--apply", str(plan), "-o", str(folder / "copy.mp4")]
    assert cli.main([*words, "--key", str(key_file)]) == 0
    endings = (".mp4", ".plan.toml", ".redaction")
    return parent, {ending: (folder / f"copy{ending}").read_bytes() for ending in endings}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ending=st.sampled_from([".mp4", ".plan.toml", ".redaction"]), at=st.floats(0, 1), flip=st.integers(1, 255))
def test_any_changed_byte_is_a_finding_and_never_a_crash(
    ending: str, at: float, flip: int, small: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    """RD-26, RD-28, RD-29"""
    parent, parts = small
    for name, content in parts.items():
        changed = bytearray(content)
        if name == ending:
            changed[min(len(changed) - 1, int(at * len(changed)))] ^= flip
        (tmp_path / f"copy{name}").write_bytes(changed)
    assert cli.main(["evidence", "redact", str(parent), "--check", str(tmp_path / "copy.mp4")]) in (10, 11)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 1), flip=st.integers(1, 255), size=st.sampled_from([1, 16, 500]), is_cut=st.booleans())
def test_a_damaged_parent_is_read_or_refused_and_never_a_crash(
    at: float, flip: int, size: int, is_cut: bool, small: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    """RD-17"""
    changed = bytearray(small[0].read_bytes())
    begin = int(at * len(changed))
    changed[begin : begin + size] = bytes(one ^ flip for one in changed[begin : begin + size])
    parent, plan = tmp_path / "parent.mp4", tmp_path / "p.toml"
    parent.write_bytes(changed[:begin] if is_cut else changed)
    plan.unlink(missing_ok=True)
    code = cli.main(["evidence", "redact", str(parent), "--propose", str(plan), "--no-plates"])
    assert code in (0, 1, 10)
    assert plan.exists() == (code == 0)
