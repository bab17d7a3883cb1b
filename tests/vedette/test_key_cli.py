"""`vedette key generate|show`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from vedette import key_cli
from vedette.errors import NotFound, Refused
from vedette.keys import SigningKey
from vedette.sealed import load_identities


def run(*arguments: str | Path) -> int:
    parser = argparse.ArgumentParser()
    key_cli.register(parser.add_subparsers())
    args = parser.parse_args(["key", *map(str, arguments)])
    return int(args.run(args))


def test_key_generate_writes_an_identity_and_shows_its_recipient_only_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SF-11."""
    code = run("generate", tmp_path / "evidence.identity")
    shown = capsys.readouterr().out
    [identity] = load_identities(tmp_path / "evidence.identity")

    assert code == 0
    assert shown == identity.recipient.text + "\n"
    assert "# created: 2" in (tmp_path / "evidence.identity").read_text()


def test_key_show_prints_json_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """SF-11."""
    run("generate", "--kind", "signing", tmp_path / "centre.pem")
    capsys.readouterr()

    run("show", "--json", tmp_path / "centre.pem")

    public = SigningKey.load(tmp_path / "centre.pem").public
    assert json.loads(capsys.readouterr().out) == {
        "kind": "signing",
        "public": public.text,
        "key_id": public.key_id,
    }


def test_key_generate_refuses_when_the_file_is_there(tmp_path: Path) -> None:
    """SF-11."""
    (tmp_path / "key").write_text("mine")

    with pytest.raises(Refused):
        run("generate", tmp_path / "key")

    assert (tmp_path / "key").read_text() == "mine"


def test_key_show_says_not_found_when_there_is_no_file(tmp_path: Path) -> None:
    """SF-11."""
    with pytest.raises(NotFound):
        run("show", tmp_path / "key")
