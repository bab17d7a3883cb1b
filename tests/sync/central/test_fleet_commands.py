"""`vedette central command`, `commands` and `group` as a person at the centre types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vedette import cli
from vedette.errors import NotFound, Refused, Usage


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str]:
    code = cli.main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_command_is_left_and_listed_when_the_centre_does_not_run(centre: Any, device: Any, capsys: Any) -> None:
    """AC-32: it says so, and does not wait for nobody."""
    code, said = run(
        capsys, "central", "command", centre.folder, device.id, "start", "--reason", "call 4711", "--wait-s", "60"
    )
    assert code == 0
    assert "waits until the device is there" in said
    assert "the centre does not run" in said
    (row,) = json.loads(run(capsys, "central", "commands", centre.folder, "--json")[1])
    assert (row["device"], row["command"], row["reason"], row["state"]) == ("car-1", "start", "call 4711", "waiting")
    assert "call 4711" in run(capsys, "central", "commands", centre.folder)[1]
    assert json.loads(run(capsys, "central", "commands", centre.folder, "--device", "car-2", "--json")[1]) == []


def test_recovery_takes_its_times_as_people_write_them(centre: Any, device: Any, capsys: Any) -> None:
    """AC-32. Without a zone it is UTC."""
    words = ("central", "command", centre.folder, device.id, "recover", "--reason", "order 7", "--json")
    code, said = run(capsys, *words, "--from", "2026-11-23T09:00:00+01:00", "--to", "2026-11-23T08:05:00")
    row = json.loads(said)
    assert (code, row["from_us"], row["to_us"] - row["from_us"]) == (0, 1_795_420_800_000_000, 300_000_000)
    assert run(capsys, *words)[0] == Refused.exit_code
    assert run(capsys, *words, "--from", "yesterday", "--to", "now")[0] == Usage.exit_code


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("car-1", "start", "--reason", " "), Refused.exit_code),
        (("car-9", "start", "--reason", "x"), NotFound.exit_code),
        (("car-1", "start", "--reason", "x", "--wait-s", "601"), Usage.exit_code),
    ],
)
def test_nothing_is_asked_when_a_word_is_wrong(
    centre: Any, device: Any, capsys: Any, words: tuple[str, ...], code: int
) -> None:
    """AC-32."""
    assert run(capsys, "central", "command", centre.folder, *words)[0] == code
    assert json.loads(run(capsys, "central", "commands", centre.folder, "--json")[1]) == []


@pytest.mark.parametrize("verb", ["stop", "mute", "sleep", "stealth"])
def test_command_line_has_no_verb_that_ends_or_hides(centre: Any, device: Any, capsys: Any, verb: str) -> None:
    """AC-30."""
    with pytest.raises(SystemExit):
        run(capsys, "central", "command", centre.folder, device.id, verb, "--reason", "x")


def test_group_is_shown_and_set(centre: Any, device: Any, capsys: Any) -> None:
    """AC-34."""
    centre.device("car-2")
    assert json.loads(run(capsys, "central", "group", centre.folder, "--json")[1]) == {
        "car-1": "fleet",
        "car-2": "fleet",
    }
    assert run(capsys, "central", "group", centre.folder, "car-2", "harbour")[0] == 0
    code, said = run(capsys, "central", "group", centre.folder, "car-2", "--json")
    assert (code, json.loads(said)) == (0, {"car-2": "harbour"})
    assert run(capsys, "central", "group", centre.folder, "car-9", "harbour")[0] == NotFound.exit_code
