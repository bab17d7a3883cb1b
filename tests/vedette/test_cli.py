"""The command: errors become one line and an exit code."""

import argparse
import errno
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from vedette import cli, errors


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.Refused, 1),
        (errors.Usage, 2),
        (errors.NotFound, 3),
        (errors.Integrity, 10),
        (errors.NotTrusted, 11),
        (errors.Expired, 12),
    ],
)
def test_command_returns_the_errors_own_code_and_one_line(
    kind: type[errors.VedetteError], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_args: argparse.Namespace) -> int:
        raise kind("the clip a.mp4 is not there; name another")

    parser = argparse.ArgumentParser()
    parser.set_defaults(run=run)
    monkeypatch.setattr(cli, "build_parser", lambda *_asked: parser)
    assert cli.main([]) == code
    assert capsys.readouterr().err == "vedette: the clip a.mp4 is not there; name another\n"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "store.db"), 1, "store.db: No space left on device"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "No space left on device"),
        (FileExistsError(errno.EEXIST, "File exists", "a", None, "b"), 1, "a and b: File exists"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a/b"), 3, "a/b: No such file or directory"),
        (TimeoutError(), 1, "TimeoutError"),
    ],
)
def test_command_says_what_the_machine_refused_without_a_traceback(
    error: OSError, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_args: argparse.Namespace) -> int:
        raise error

    parser = argparse.ArgumentParser()
    parser.set_defaults(run=run)
    monkeypatch.setattr(cli, "build_parser", lambda *_asked: parser)
    assert cli.main([]) == code
    assert capsys.readouterr().err == f"vedette: {said}\n"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (sqlite3.OperationalError("database or disk is full"), 1, "the database was not read or written: database or"),
        (sqlite3.DatabaseError("file is not a database"), 10, "the database is damaged: file is not a database"),
    ],
)
def test_command_says_what_a_database_refused_without_a_traceback(
    error: sqlite3.Error, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_args: argparse.Namespace) -> int:
        raise error

    parser = argparse.ArgumentParser()
    parser.set_defaults(run=run)
    monkeypatch.setattr(cli, "build_parser", lambda *_asked: parser)
    assert cli.main([]) == code
    assert capsys.readouterr().err.startswith(f"vedette: {said}")


def test_command_shows_help_and_returns_usage_when_no_verb_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "usage: vedette" in capsys.readouterr().err
    assert cli.main(["evidence"]) == 2
    assert "verify" in capsys.readouterr().err


def test_noun_is_one_when_two_sides_register_verbs_for_it() -> None:
    parser = argparse.ArgumentParser()
    nouns = parser.add_subparsers()
    cli.noun(nouns, "evidence", help="items").add_parser("verify").set_defaults(verb="verify")
    cli.noun(nouns, "evidence", help="items").add_parser("export").set_defaults(verb="export")
    assert parser.parse_args(["evidence", "verify"]).verb == "verify"
    assert parser.parse_args(["evidence", "export"]).verb == "export"


def test_table_aligns_columns_under_their_heads() -> None:
    assert cli.table([["a", "long text"], ["bbb", "c"]], heads=["x", "y"]) == "x    y\na    long text\nbbb  c"


def test_command_imports_only_what_its_noun_is_made_of() -> None:
    script = "import sys; from vedette import cli; cli.build_parser('key'); print(sorted(set(sys.modules) & HEAVY))"
    heavy = "HEAVY = {'av', 'cv2', 'numpy', 'fastapi', 'paho', 'sqlite_utils'}; "
    command = [sys.executable, "-c", heavy + script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


BASE = ("av", "cv2", "fastapi", "numpy", "paho", "sqlite_utils", "zlib_ng")  # what only the extras bring


def with_base_install(*words: str) -> subprocess.CompletedProcess[str]:
    """The command in a Python that has nothing but the base install: an import of anything else fails."""
    script = f"import sys; sys.modules.update(dict.fromkeys({BASE})); from vedette import cli; sys.exit(cli.main())"
    return subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("evidence list central", r"evidence list needs the Python package \w+; install vedette\[central\]"),
        ("watchlist publish central", r"watchlist publish needs the Python package \w+; install vedette\[central\]"),
        ("central init new", r"central needs the Python package \w+; install vedette\[central\]"),
        ("read picture.jpg", r"read needs the Python package \w+; install vedette\[device\]"),
        ("sim demo", r"this needs the Python package \w+; install vedette\[simulator\]"),
    ],
)
def test_command_names_the_package_and_its_extra_when_only_the_base_is_installed(words: str, said: str) -> None:
    done = with_base_install(*words.split())
    assert (done.returncode, done.stdout) == (3, "")
    assert re.fullmatch(f"vedette: {said}\n", done.stderr), done.stderr


def test_command_does_what_the_base_can_when_only_the_base_is_installed(tmp_path: Path) -> None:
    done = with_base_install("evidence", "verify", str(tmp_path / "none.zip"))
    assert done.returncode == 3
    assert "none.zip" in done.stderr and "install" not in done.stderr
    assert "vedette[central]" in with_base_install("evidence", "--help").stdout
    assert "invalid choice: 'evidnce'" in with_base_install("evidnce", "list").stderr
