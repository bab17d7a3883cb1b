"""A power cut or kill -9 while copies are made: nothing half-written under a final name, and no heap of leftovers."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.redact.unfinished import ENDING, unfinished
from vedette import cli
from vedette.errors import Refused

# Runs the command line and is killed as it calls a function of the operating system for the given time.
KILLED = """
import os, shutil, signal, sys
from vedette import cli
module, name = sys.argv[1].split(".")
real, left = getattr(globals()[module], name), int(sys.argv[2])
def counted(*words, **named):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*words, **named)
setattr(globals()[module], name, counted)
cli.main(sys.argv[3:])
"""
COPY_NAMES = {"first.mp4", "first.plan.toml", "first.redaction"}


@pytest.fixture
def words(tone: Callable[[str], Path], key_file: Path, tmp_path: Path, edited: Callable[[Path, str], Path]) -> Any:
    """`words(name)`: the command that makes the copy `name` in the folder `out`."""
    (tmp_path / "out").mkdir()
    plan, parent = tmp_path / "plan.toml", str(tone("aac"))
    assert cli.main(["evidence", "redact", parent, "--propose", str(plan), "--no-plates"]) == 0
    edited(plan, "")

    def of(name: str) -> list[str]:
        out = str(tmp_path / "out" / name)
        return ["evidence", "redact", parent, "--apply", str(plan), "--key", str(key_file), "-o", out]

    return of


def named(folder: Path) -> set[str]:
    return {one.name for one in folder.iterdir()}


@pytest.mark.parametrize(
    ("call", "time"),
    [
        ("os.fsync", 1),  # the copy is written
        ("os.link", 2),  # the record is written
        ("os.link", 3),  # the plan gets its name
        ("os.link", 4),  # the record gets its name
        ("os.link", 5),  # the copy gets its name
    ],
)
def test_what_a_killed_run_left_of_one_copy_is_gone_after_the_next(
    call: str, time: int, words: Callable[[str], list[str]], tmp_path: Path
) -> None:
    """RD-16: also the names that it had given, while the copy itself had none"""
    out = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", KILLED, call, str(time), *words("first.mp4")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert f".first.mp4{ENDING}" in named(out)
    assert "first.mp4" not in named(out)
    assert cli.main(words("second.mp4")) == 0
    assert named(out) == {"second.mp4", "second.plan.toml", "second.redaction"}
    assert cli.main(words("first.mp4")) == 0
    assert named(out) == {"second.mp4", "second.plan.toml", "second.redaction"} | COPY_NAMES


def test_a_copy_that_has_its_name_stays(
    words: Callable[[str], list[str]], tone: Callable[[str], Path], tmp_path: Path
) -> None:
    """RD-16: killed before the hidden folder is taken away"""
    out = tmp_path / "out"
    words_of_first = words("first.mp4")
    done = subprocess.run([sys.executable, "-c", KILLED, "shutil.rmtree", "1", *words_of_first], check=False)
    assert done.returncode == -signal.SIGKILL
    assert named(out) == COPY_NAMES | {f".first.mp4{ENDING}"}
    assert cli.main(words_of_first) == 1
    assert cli.main(["evidence", "redact", str(tone("aac")), "--check", str(out / "first.mp4")]) == 0
    assert cli.main(words("second.mp4")) == 0
    assert named(out) >= COPY_NAMES
    assert f".first.mp4{ENDING}" not in named(out)


def test_a_recording_whose_making_was_killed_is_made_anew(
    grey_drive: Callable[..., Any], key_file: Path, tmp_path: Path, edited: Callable[[Path, str], Path]
) -> None:
    """RD-49: kill -9 from outside while the second copy is written, twice"""
    drive, plan, out = grey_drive("aac", 3), tmp_path / "plan.toml", tmp_path / "out"
    opened = ["evidence", "redact", str(drive.folder), "--identity", str(drive.identity)]
    assert cli.main([*opened, "--propose", str(plan), "--no-plates"]) == 0
    edited(plan, "")
    words = [*opened, "--apply", str(plan), "--key", str(key_file), "-o", str(out)]
    for _ in range(2):
        run = subprocess.Popen([sys.executable, "-m", "vedette.cli", *words])
        while run.poll() is None and not list(tmp_path.glob(f".out{ENDING}/made/0002-*.mp4")):
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.wait(0.01)
        os.kill(run.pid, signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL
        assert named(tmp_path) == {"plan.toml", f".out{ENDING}"}
    assert cli.main(words) == 0
    assert named(tmp_path) == {"plan.toml", "out"}
    assert cli.main([*opened, "--check", str(out)]) == 0


def test_what_another_run_is_making_is_left_alone(tmp_path: Path) -> None:
    """RD-16: and the same copy is not made by two at a time"""
    with unfinished(tmp_path / "a.mp4") as ours:
        (ours / "a.mp4").write_bytes(b"half")
        with unfinished(tmp_path / "b.mp4"):
            assert (ours / "a.mp4").read_bytes() == b"half"
        with pytest.raises(Refused, match=r"another run is making .*a\.mp4 now"), unfinished(tmp_path / "a.mp4"):
            pass
        assert (ours / "a.mp4").read_bytes() == b"half"
    assert named(tmp_path) == set()


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process grows beyond 5 kB meanwhile, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_named_with_the_part_and_leaves_nothing(
    grey_drive: Callable[..., Any], key_file: Path, tmp_path: Path, edited: Callable[[Path, str], Path],
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """RD-49, RD-16"""
    drive, plan = grey_drive("aac", 3), tmp_path / "plan.toml"
    opened = ["evidence", "redact", str(drive.folder), "--identity", str(drive.identity)]
    assert cli.main([*opened, "--propose", str(plan), "--no-plates"]) == 0
    edited(plan, "")
    capsys.readouterr()
    request.getfixturevalue("small_files")
    words = [*opened, "--apply", str(plan), "--key", str(key_file), "-o", str(tmp_path / "out")]
    assert cli.main(words) == 1
    said = capsys.readouterr().err
    assert f"part 1 of 3, {drive.items[0]}: File too large; no copy was made" in said
    assert named(tmp_path) == {"plan.toml"}
