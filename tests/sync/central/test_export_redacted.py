"""A recording leaves redacted: exported, redacted as a whole, exported again with its copies, and checked anywhere."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.camera.encode import X264Encoder
from edge.camera.port import EncodedUnit, StreamInfo
from edge.recorder.fragments import Fragmenter
from sync.central import fleet
from sync.central.export import Wanted, export
from vedette import cli, verifier
from vedette.clock import uuid7
from vedette.errors import Integrity, NotFound, Refused, Usage
from vedette.keys import SigningKey

RATE, SIZE = 10, (320, 180)
COVER = """
[[region]]
name = "sign"
reason = "shop's name"
from_us = 500_000
to_us = 1_500_000
keys = [[500_000, 100, 10, 160, 60]]
"""


def segments(count: int) -> list[bytes]:
    """MP4s as the recorder writes them, a second each."""
    video = X264Encoder(*SIZE, RATE)
    info = StreamInfo(width=SIZE[0], height=SIZE[1], rate_num=RATE, rate_den=1)
    made: list[list[EncodedUnit]] = []
    for number in range(RATE * count):
        rows, columns = np.mgrid[0:270, 0:320]
        picture = ((rows + columns + number) % 160 + 40).astype(np.uint8)
        for unit in video.encode(picture, number * 100_000, utc_us=number * 100_000):
            made += [[]] if unit.is_key else []
            made[-1].append(unit)
    whole = []
    for units in made:
        maker = Fragmenter(info, units[0])
        beginning = maker.beginning()
        whole.append(b"".join([beginning, *(maker.picture(one, "a line") for one in units), maker.ending()]))
    return whole


@pytest.fixture
def recording(centre: Any, device: Any, worker: Any) -> Any:
    """The id of a recording of two segments at the centre, and their items."""
    name = uuid7(centre.clock)
    items = [device.item(plain, recording=name, sequence=at) for at, plain in enumerate(segments(2))]
    for item in items:
        worker.upload(item)
    return name, [item.id for item in items]


@pytest.fixture
def copies(centre: Any, recording: Any, tmp_path: Path) -> Path:
    """The folder of redacted copies, made of what the centre exported."""
    wanted = Wanted(identities=(), with_sealed=True, reason="for redaction", incomplete=True)
    export(centre.store, recording[0], tmp_path / "export", wanted, user="chief")
    SigningKey.generate().save(tmp_path / "redactor.pem")
    opening = ["--identity", str(centre.escrow / "evidence.identity")]
    words, plan = ["evidence", "redact", str(tmp_path / "export"), *opening], tmp_path / "plan.toml"
    assert cli.main([*words, "--propose", str(plan), "--no-plates"]) == 0
    text = plan.read_text().replace('checked_by = ""', 'checked_by = "A. Tazi"').replace('why = ""', 'why = "press"')
    plan.write_text(text + COVER)
    out, key = tmp_path / "copies", tmp_path / "redactor.pem"
    assert cli.main([*words, "--apply", str(plan), "-o", str(out), "--key", str(key)]) == 0
    return out


def leave(centre: Any, subject: str, output: Path, redacted: Path) -> list[Path]:
    wanted = Wanted(identities=(), with_sealed=True, reason="disclosure", redacted=redacted, incomplete=True)
    return [path for path, _note in export(centre.store, subject, output, wanted, user="chief")]


def verdicts(centre: Any, folder: Path, capsys: pytest.CaptureFixture[str]) -> list[tuple[int, str]]:
    """What `vedette evidence verify` and `verify.py` say of the folder: exit codes and failed findings."""
    trust, script = folder.with_name("trust.json"), folder.with_name("verify.py")
    trust.write_bytes(fleet.centre_trust(centre.folder).to_bytes())
    script.write_bytes(verifier.script())
    capsys.readouterr()
    code = cli.main(["evidence", "verify", str(folder), "--trust", str(trust), "--json"])
    ours = [(one["what"], one["where"], one["message"]) for one in _findings(capsys.readouterr().out) if not one["ok"]]
    command = [sys.executable, "-I", "-S", str(script), str(folder), "--trust", str(trust), "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    theirs = [(what, where, said) for what, where, bad, said in _findings(ended.stdout) if bad]
    return [(code, _lines(ours)), (ended.returncode, _lines(theirs))]


def _findings(output: str) -> Any:
    return json.loads(output)["findings"]


def _lines(found: list[Any]) -> str:
    return "\n".join(" | ".join(one) for one in found)


def test_a_redacted_recording_leaves_whole_and_every_verifier_holds_it(
    centre: Any, recording: Any, copies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """BU-31, BU-32, BU-33, RD-51, RD-52"""
    made = leave(centre, recording[0], tmp_path / "out", copies)
    assert len(made) == 2
    assert verdicts(centre, tmp_path / "out", capsys) == [(0, ""), (0, "")]
    trust = str(tmp_path / "trust.json")
    assert cli.main(["evidence", "verify", str(tmp_path / "out"), "--trust", trust]) == 0
    said = capsys.readouterr().out
    assert f"all 2 parts of recording {recording[0]} are here" in said
    assert f"part 2 of 2 of recording {recording[0]}" in said
    assert f"{made[0].name}/{recording[1][0]}.redaction" in said
    assert cli.main(["evidence", "verify", str(made[1]), "--trust", trust]) == 0
    assert "are here" not in capsys.readouterr().out


def test_a_missing_and_a_swapped_member_are_located_by_every_verifier(
    centre: Any, recording: Any, copies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """BU-32, RD-52, RD-53: a bundle that was left out, and one whose copy is of another run of the same plan"""
    first, second = leave(centre, recording[0], tmp_path / "out", copies)
    second.rename(tmp_path / "aside.zip")
    for code, said in verdicts(centre, tmp_path / "out", capsys):
        assert code == 10
        part, copy = said.splitlines()
        assert part.startswith(f"recording's parts | out | part 2 of recording {recording[0]} is not here (")
        assert copy == (
            f"redaction's set | out | part 2 of 2 of recording {recording[0]} is not here: the copy of item "
            f"{recording[1][1]} (segment 1)"
        )
    (tmp_path / "aside.zip").rename(second)
    again = ["--apply", str(copies / "recording.plan.toml"), "-o", str(tmp_path / "b")]
    words = ["evidence", "redact", str(tmp_path / "export"), "--identity", str(centre.escrow / "evidence.identity")]
    assert cli.main([*words, *again, "--key", str(tmp_path / "redactor.pem")]) == 0
    others = leave(centre, recording[0], tmp_path / "again", tmp_path / "b")
    shutil.copy(others[0], first)
    for code, said in verdicts(centre, tmp_path / "out", capsys):
        assert code == 10
        assert said.count("redaction's set") == 2
        assert f"the copy of item {recording[1][0]} (segment 0)" in said
        assert f"the copy of item {recording[1][1]} (segment 1)" in said


def test_nothing_leaves_when_a_copy_is_missing_changed_or_anothers(
    centre: Any, recording: Any, copies: Path, tmp_path: Path
) -> None:
    """BU-33, BU-6: what is wrong is named before the first bundle is made"""
    first, second = sorted(copies.glob("*.mp4"))
    with pytest.raises(Refused, match="is the copy of one"):
        leave(centre, recording[0], tmp_path / "out", first)
    with pytest.raises(Integrity, match="not the parent of this copy"):
        leave(centre, recording[1][0], tmp_path / "out.zip", second)
    changed = tmp_path / "changed"
    shutil.copytree(copies, changed)
    with (changed / second.name).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(Integrity, match=f"{second.name} or its plan is not what its record names"):
        leave(centre, recording[0], tmp_path / "out", changed)
    (changed / second.name).unlink()
    with pytest.raises(Refused, match=f"no copy of item {recording[1][1]}"):
        leave(centre, recording[0], tmp_path / "out", changed)
    for one in changed.iterdir():
        one.unlink()
    with pytest.raises(NotFound, match="holds no redacted copy"):
        leave(centre, recording[0], tmp_path / "out", changed)
    assert not (tmp_path / "out").exists()
    (one_alone,) = leave(centre, recording[1][1], tmp_path / "one.zip", copies)
    assert one_alone.is_file()


def test_a_redacted_recording_leaves_without_its_original_and_every_verifier_holds_it(
    centre: Any, recording: Any, copies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """BU-51, BU-52: by the command, of a whole recording; no byte of the sealed original is in any bundle"""
    words = ["evidence", "export", str(centre.folder), recording[0], "--incomplete", "--redacted", str(copies)]
    out = tmp_path / "out"
    assert cli.main([*words, "--redacted-only", "--reason", "press", "-o", str(out)]) == 0
    assert verdicts(centre, out, capsys) == [(0, ""), (0, "")]
    assert cli.main(["evidence", "verify", str(out), "--trust", str(tmp_path / "trust.json")]) == 0
    assert "what a redacted copy left unchanged cannot be compared" in capsys.readouterr().out.splitlines()[-1]
    for path, item in zip(sorted(out.iterdir()), recording[1], strict=True):
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
        assert {f"{item}.redacted.mp4", f"{item}.redaction", f"{item}.plan.toml", f"{item}.manifest"} <= names
        assert not {f"{item}.segment.age", f"{item}.mp4", f"{item}.onvif.mp4"} & names
        with centre.store.blobs.local(centre.store.item(item).sealed_sha256) as sealed:
            assert sealed.read_bytes()[-64:] not in path.read_bytes()


def test_original_is_left_out_only_where_that_is_asked_for_with_a_copy(
    centre: Any, recording: Any, copies: Path, tmp_path: Path
) -> None:
    """BU-51: and `--opened-only` without a key is no way to leave it out unasked"""
    words = ["evidence", "export", str(centre.folder), recording[1][0], "-o", str(tmp_path / "out.zip")]
    copy, key = ["--redacted", str(copies)], ["--identity", str(centre.escrow / "evidence.identity")]
    for more in (["--redacted-only"], ["--redacted-only", *copy, *key], ["--redacted-only", *copy, "--sealed-only"]):
        assert cli.main([*words, *more]) == Usage.exit_code
    assert cli.main([*words, *copy, "--opened-only"]) == Usage.exit_code
    assert not (tmp_path / "out.zip").exists()
