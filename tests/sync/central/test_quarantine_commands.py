"""`vedette central quarantine` and what `central status` says of it: docs/spec/case-store.md, CS-19 and CS-20."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sync.central import quarantine
from sync.central.quarantine_commands import STATUS_LINES
from sync.central.store import Store
from vedette import cli
from vedette.errors import Integrity, Refused, Usage
from vedette.wire import RefuseCode

CAP = quarantine.MAX_PER_DEVICE
TRICKS = [
    "../../../etc/passwd",
    "..",
    "/etc/passwd",
    "a/b",
    "con\0",
    "\x1b[2J\x1b]0;x\x07",
    "\u202egpj.exe",
    "-rf",
    "x" * 300,
]


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    code = cli.main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def complain(store: Store, text: str, device: str = "car-1", evidence: bytes | None = b"sent") -> None:
    quarantine.quarantine(store, device, None, RefuseCode.INVALID, text, evidence)


def test_status_and_listing_say_the_same_of_a_flood(
    centre: Any, device: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """CS-19, CS-20. The same numbers in both, for people and for scripts."""
    monkeypatch.setattr(quarantine, "MAX_PER_DEVICE", 20)
    for number in range(25):
        complain(centre.store, f"complaint {number}", device.id)
    for _ in range(7):
        complain(centre.store, "complaint 3", device.id)
    complain(centre.store, "complaint", "car-2")
    quarantine.write_counts(centre.store)

    status = json.loads(run(capsys, "central", "status", centre.folder, "--json")[1])
    assert (status["quarantined"], status["quarantine_repeated"], status["quarantine_dropped"]) == (21, 7, 5)
    listed = json.loads(run(capsys, "central", "quarantine", centre.folder, "--json")[1])
    assert (listed["kept"], len(listed["refused"]), listed["more_after"], listed["saved"]) == (21, 21, None, [])
    assert status["quarantine_counts"] == listed["counts"]
    assert [(one["outcome"], one["times"]) for one in listed["counts"]] == [("dropped", 5), ("repeated", 7)]
    said = run(capsys, "central", "status", centre.folder)[1]
    assert "21 in quarantine (7 repeats of them, 5 more not kept)" in said
    assert "car-1: 5 more that did not verify (invalid) are counted and not kept" in said
    said = run(capsys, "central", "quarantine", centre.folder)[1]
    assert "21 kept; 7 repeats of them; 5 beyond a device's share, not kept" in said
    assert said.count("complaint ") == 20 and "beyond the" in said and "came again" in said


def test_listing_is_of_one_device_when_it_is_named(
    centre: Any, device: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """CS-20."""
    for name in ("car-1", "car-2", "car-2"):
        complain(centre.store, "complaint", name)
    quarantine.write_counts(centre.store)

    listed = json.loads(run(capsys, "central", "quarantine", centre.folder, "--device", "car-2", "--json")[1])
    assert ([one["device"] for one in listed["refused"]], listed["kept"]) == (["car-2"], 1)
    assert [(one["device"], one["times"]) for one in listed["counts"]] == [("car-2", 1)]
    code, said = run(capsys, "central", "quarantine", centre.folder, "--device", "car-9")
    assert code == 0 and "nothing is in quarantine" in said and "0 kept" in said


def test_every_row_is_reached_when_the_listing_goes_on(centre: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """CS-20. It says that there is more and how to get it."""
    for number in range(7):
        complain(centre.store, f"complaint {number}")
    found, words = [], ["central", "quarantine", centre.folder, "--limit", "3"]
    assert "older ones: --after " in run(capsys, *words)[1]

    after: list[object] = []
    for _ in range(3):
        page = json.loads(run(capsys, *words, *after, "--json")[1])
        found += [one["text"] for one in page["refused"]]
        after = ["--after", page["more_after"]]

    assert found == [f"complaint {number}" for number in range(6, -1, -1)]
    assert page["more_after"] is None and page["kept"] == 7


@pytest.mark.parametrize("words", [("--limit", 0), ("--limit", CAP + 1), ("--after", 0), ("--after", 1 << 63)])
def test_listing_is_refused_when_its_numbers_are_out_of_bounds(
    centre: Any, capsys: pytest.CaptureFixture[str], words: tuple[str, int]
) -> None:
    """CS-20."""
    assert run(capsys, "central", "quarantine", centre.folder, *words)[0] == Usage.exit_code


@pytest.mark.parametrize("words", [("--limit", 1), ("--limit", CAP), ("--after", 1), ("--after", (1 << 63) - 1)])
def test_listing_is_made_when_its_numbers_are_just_within_bounds(
    centre: Any, capsys: pytest.CaptureFixture[str], words: tuple[str, int]
) -> None:
    """CS-20."""
    assert run(capsys, "central", "quarantine", centre.folder, *words)[0] == 0


def test_kept_bytes_are_saved_under_numbers_whatever_a_device_is_called(
    centre: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """CS-20. Nothing is written beside the folder, and the terminal is given printable text only."""
    sql = "INSERT INTO quarantine (received_us, device, item, code, text, evidence) VALUES (1, ?, ?, ?, ?, ?)"
    for number, trick in enumerate(TRICKS):  # as if no name had been checked on its way in
        centre.store.db.execute(sql, [trick, trick, trick, trick, f"bytes {number}".encode()])
    complain(centre.store, "nothing with it", evidence=None)
    rows = {row.id: row for row in centre.store.quarantine()}
    out = tmp_path / "new" / "out"
    before = sorted(path for path in tmp_path.iterdir() if path != out.parent)

    code, said = run(capsys, "central", "quarantine", centre.folder, "--save", out)

    assert code == 0 and f"kept bytes of {len(TRICKS)} of them are in {out}" in said
    assert all(one.isprintable() for one in said.replace("\n", ""))
    kept = [number for number, row in rows.items() if row.kept_bytes is not None]
    assert {path.name for path in out.iterdir()} == {f"{one}.{end}" for one in kept for end in ("bin", "json")}
    assert sorted(path for path in tmp_path.iterdir() if path != out.parent) == before
    for number in kept:
        assert (out / f"{number}.bin").read_bytes() == quarantine.kept_bytes(centre.store, number)
        told = json.loads((out / f"{number}.json").read_bytes())
        assert (told["device"], told["text"]) == (rows[number].device, rows[number].text)
        assert (out / f"{number}.bin").stat().st_mode & 0o777 == 0o600
    assert [(one.action, one.reason) for one in centre.store.accesses()] == [("quarantine.save", str(out))]


def test_saving_goes_on_when_it_was_done_before_and_overwrites_nothing(
    centre: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """CS-20."""
    complain(centre.store, "first")
    words = ("central", "quarantine", centre.folder, "--save", tmp_path / "out", "--json")
    (first,) = json.loads(run(capsys, *words)[1])["saved"]
    complain(centre.store, "second", evidence=b"more")
    assert len(json.loads(run(capsys, *words)[1])["saved"]) == 2

    Path(first["path"]).write_bytes(b"mine")

    assert run(capsys, *words)[0] == Refused.exit_code
    assert Path(first["path"]).read_bytes() == b"mine"


def test_saving_is_refused_when_a_link_lies_in_the_way(
    centre: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """CS-20. To a file or to nothing."""
    complain(centre.store, "first")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f"{centre.store.quarantine()[0].id}.bin").symlink_to(tmp_path / "elsewhere")

    assert run(capsys, "central", "quarantine", centre.folder, "--save", tmp_path / "out")[0] == Refused.exit_code
    assert not (tmp_path / "elsewhere").exists()


def test_saving_is_refused_when_the_bytes_are_not_those_of_the_row(
    centre: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """CS-20."""
    sql = "INSERT INTO quarantine (received_us, device, code, text, sha256, evidence) VALUES (1, 'a', 'x', 'x', ?, ?)"
    centre.store.db.execute(sql, ["ab" * 32, b"others"])

    assert run(capsys, "central", "quarantine", centre.folder, "--save", tmp_path / "out")[0] == Integrity.exit_code
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("floods", [STATUS_LINES, STATUS_LINES + 1])
def test_status_names_the_worst_when_many_devices_flood(
    centre: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, floods: int
) -> None:
    """CS-19. The rest is said to be there."""
    monkeypatch.setattr(quarantine, "MAX_PER_DEVICE", 0)
    for number in range(floods):
        for turn in range(number + 1):
            complain(centre.store, f"complaint {turn}", f"car-{number}")
    quarantine.write_counts(centre.store)

    said = run(capsys, "central", "status", centre.folder)[1].splitlines()

    named = [line.split(":")[0] for line in said if "that did not verify" in line]
    assert named == [f"car-{number}" for number in range(floods - 1, floods - 1 - STATUS_LINES, -1)]
    assert any("and 1 more such counts" in line for line in said) == (floods > STATUS_LINES)
