"""A recording of which not every part is at the centre: the export names what is missing and does not hide the hole."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sync.central import fleet
from sync.central.export import Wanted, export
from sync.central.heads import JournalHeads
from vedette import bundle_folder, bundle_verify, cli, verifier
from vedette.bundle_heads import SIGNED_LINES
from vedette.clock import iso, uuid7
from vedette.custody_entry import parse_line
from vedette.custody_heads import Head, Heads
from vedette.errors import Refused
from vedette.findings import PARTS, Report
from vedette.records import JournalHead

SECOND_US = 1_000_000


@dataclasses.dataclass
class Filmed:
    """A recording of car-1: the items of its parts, in order, and its journal's file."""

    recording: str
    items: list[Any]
    journal: Path

    def times(self, number: int) -> str:
        """From when to when part `number` (from 1) is."""
        manifest = self.items[number - 1].manifest
        return f"({iso(manifest.started_us)} to {iso(manifest.ended_us)})"


Line = tuple[str, dict[str, Any]]
STOPPED: Line = ("recording.stopped", {})


def film(
    centre: Any,
    device: Any,
    *,
    numbers: Sequence[int] = range(4),
    claim: str | None = None,
    over: Line | None = STOPPED,
) -> Filmed:
    """Record parts with these numbers; `over` is the line behind the last one."""
    recording, items, journal = uuid7(centre.clock), list[Any](), device.journal()
    more = {} if claim is None else {"claim": claim}
    for sequence in numbers:
        at_us = centre.clock.utc_us()
        item = device.item(b"v" * 300, recording=recording, sequence=sequence, started_us=at_us,
                           ended_us=at_us + SECOND_US)  # fmt: skip
        facts = {"recording": recording, "sequence": sequence, "started_us": at_us, **more}
        journal.append("segment.opened", item=item.id, detail=facts)
        centre.clock.advance(SECOND_US)
        sealed = {"sealed_size": item.manifest.sealed_size, "sealed_sha256": item.manifest.sealed_sha256}
        last = journal.append("segment.closed", item=item.id, detail={**sealed, "media_us": SECOND_US})
        head = JournalHead(service="recorder", seq=last.seq, head=last.sha256)
        items.append(device.resign(item, journal=head))
    if over is not None:
        journal.append(over[0], detail=over[1])
    path = journal.roll()
    journal.close()
    return Filmed(recording, items, path)


def send(device: Any, worker: Any, filmed: Filmed, *numbers: int, journal: bool = True) -> None:
    """Bring the parts with these numbers (from 1) to the centre, and the journal."""
    for number in numbers:
        worker.upload(filmed.items[number - 1])
    if journal:
        worker.upload(device.custody(filmed.journal))


def leave(centre: Any, subject: str, output: Path, **more: Any) -> list[tuple[Path, str]]:
    wanted = Wanted(identities=(), with_sealed=True, reason="court order 7", **more)
    return export(centre.store, subject, output, wanted, user="chief")


def said_of(folder: Path, centre: Any) -> tuple[int, list[tuple[bool, str]]]:
    """The exit code of both verifiers in Python, and of each sentence on the parts whether it is a failure."""
    trust = fleet.centre_trust(centre.folder)
    verify = bundle_folder.verify_folder if bundle_folder.bundles_in(folder) else bundle_verify.verify
    report = verify(folder, trust)
    script = folder.with_name("verify.py")
    script.write_bytes(verifier.script())
    command = [sys.executable, "-I", "-S", str(script), str(folder), "--key", trust.centre.text]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    said = [(not one.ok, one.message) for one in report.findings if one.what == PARTS]
    assert (ended.returncode, ended.stderr) == (report.exit_code, ""), ended.stdout
    assert all(one in ended.stdout for _failed, one in said)
    return report.exit_code, said


def test_whole_recording_leaves_with_a_word_on_all_its_parts(
    centre: Any, device: Any, worker: Any, tmp_path: Path
) -> None:
    """BU-41, BU-48: and a zip that is deleted afterwards is named, with its times, by who checks the others."""
    filmed = film(centre, device)
    send(device, worker, filmed, 1, 2, 3, 4)
    made = leave(centre, filmed.recording, tmp_path / "out")
    assert [path.name[:5] for path, _note in made] == ["0001-", "0002-", "0003-", "0004-"]
    assert [note for _path, note in made] == [f"part {at} of 4 of recording {filmed.recording}" for at in range(1, 5)]
    whole = f"all 4 parts of recording {filmed.recording} are here, each once"
    assert said_of(tmp_path / "out", centre) == (0, [(False, whole)])
    for gone in range(4):
        aside = made[gone][0].rename(tmp_path / "aside.zip")
        code, said = said_of(tmp_path / "out", centre)
        text = f"part {gone + 1} of recording {filmed.recording} is not here {filmed.times(gone + 1)}"
        assert (code, [one.startswith(text) for failed, one in said if failed]) == (10, [True]), said
        aside.rename(made[gone][0])
    (tmp_path / "out" / "copy.zip").write_bytes(made[2][0].read_bytes())
    code, said = said_of(tmp_path / "out", centre)
    assert code == 10
    assert [one.partition(":")[0] for failed, one in said if failed] == [
        f"part 3 of recording {filmed.recording} is here 2 times"
    ]


def test_export_is_refused_when_a_part_is_not_at_the_centre(
    centre: Any, device: Any, worker: Any, tmp_path: Path
) -> None:
    """BU-49: the part is named with its item and times, and what to do."""
    filmed = film(centre, device)
    send(device, worker, filmed, 1, 3, 4)
    with pytest.raises(Refused) as refused:
        leave(centre, filmed.recording, tmp_path / "out")
    named = (
        f"part 2 of recording {filmed.recording} is not here {filmed.times(2)}: item {filmed.items[1].id}, it HAD NOT"
    )
    assert str(refused.value).startswith(named)
    assert "--incomplete" in str(refused.value)
    assert "evidence missing CENTRAL --device car-1" in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_incomplete_export_keeps_the_numbers_and_says_what_is_missing(
    centre: Any, device: Any, worker: Any, tmp_path: Path
) -> None:
    """BU-48, BU-49, BU-50: in the files' names, in every bundle and in its report."""
    filmed = film(centre, device)
    send(device, worker, filmed, 1, 3, 4)
    made = leave(centre, filmed.recording, tmp_path / "out", incomplete=True)
    assert [path.name[:5] for path, _note in made] == ["0001-", "0003-", "0004-"]
    assert all(f"part 2 of recording {filmed.recording} is not here" in note for _path, note in made)
    code, said = said_of(tmp_path / "out", centre)
    text = (
        f"part 2 of recording {filmed.recording} is not here {filmed.times(2)}: item {filmed.items[1].id}, it HAD NOT"
    )
    assert (code, [(failed, one.startswith(text)) for failed, one in said]) == (0, [(False, True)])
    with zipfile.ZipFile(made[1][0]) as archive:
        page = archive.read("report.html").decode()
    for words in ("part 3 of 4", "partie 3 sur 4", "الجزء 3 من 4", "THIS EXPORT IS NOT THE WHOLE", "N’EST PAS"):
        assert words in page
    assert f"2: {filmed.times(2).strip('()').replace(' to ', ' – ')}" in page


@pytest.mark.parametrize("come", [False, True])
def test_export_is_refused_while_the_end_of_the_recording_is_not_known(
    centre: Any, device: Any, worker: Any, tmp_path: Path, come: bool
) -> None:
    """BU-49: the journal has not come, or does not say of an end."""
    filmed = film(centre, device, over=None)
    send(device, worker, filmed, 1, 2, 3, 4, journal=come)
    with pytest.raises(Refused, match="goes on behind part 4 is not known: the device's custody journal"):
        leave(centre, filmed.recording, tmp_path / "out")
    made = leave(centre, filmed.recording, tmp_path / "out", incomplete=True)
    assert made[0][1].startswith(f"part 1 of 4 or more of recording {filmed.recording}; whether")
    code, said = said_of(tmp_path / "out", centre)
    text = f"whether recording {filmed.recording} goes on behind part 4 is not known from what is here"
    assert (code, said) == (0, [(False, text)])


@pytest.mark.parametrize("over", ["recording.stopped", "recording.started", "service.started", "service.stopped"])
def test_end_of_a_recording_is_known_by_what_comes_behind_it(
    centre: Any, device: Any, worker: Any, tmp_path: Path, over: str
) -> None:
    """BU-48: a recorder that was killed says no more than that it began anew"""
    filmed = film(centre, device, numbers=range(2), over=(over, {}))
    send(device, worker, filmed, 1, 2)
    assert len(leave(centre, filmed.recording, tmp_path / "out")) == 2


def test_last_part_is_missed_when_custody_names_it(centre: Any, device: Any, worker: Any, tmp_path: Path) -> None:
    """BU-48, BU-49"""
    filmed = film(centre, device)
    send(device, worker, filmed, 1, 2)
    with pytest.raises(Refused, match=f"parts 3 to 4 of recording {filmed.recording} are not here"):
        leave(centre, filmed.recording, tmp_path / "out")


def test_claimed_stretch_is_whole_when_its_claim_is_settled(
    centre: Any, device: Any, worker: Any, tmp_path: Path
) -> None:
    """BU-48: what was never claimed is not missing; that it is not here is said"""
    settled = ("ring.settled", {"id": "a-claim", "segments": 3, "media_us": 3})
    filmed = film(centre, device, numbers=(40, 41, 45), claim="a-claim", over=settled)
    send(device, worker, filmed, 1, 2, 3)
    made = leave(centre, filmed.recording, tmp_path / "out")
    assert [path.name[:5] for path, _note in made] == ["0041-", "0042-", "0046-"]
    code, said = said_of(tmp_path / "out", centre)
    assert (code, len(said)) == (0, 1)
    assert said[0][1].startswith(f"parts 43 to 45 of recording {filmed.recording} are not here")


def test_one_part_leaves_alone_and_says_that_the_others_were_left_out(
    centre: Any, device: Any, worker: Any, tmp_path: Path
) -> None:
    """BU-46, BU-48: an item that is asked for is never refused for the others."""
    filmed = film(centre, device)
    send(device, worker, filmed, 1, 3, 4)
    ((path, note),) = leave(centre, filmed.items[2].id, tmp_path / "one.zip")
    assert note.startswith(f"part 3 of 4 of recording {filmed.recording}; part 2 of")
    code, said = said_of(path, centre)
    assert code == 0
    assert [one.rpartition(", ")[2][:12] for _failed, one in said] == ["the centre h", "it HAD NOT C", "the centre h"]


def test_command_refuses_and_takes_incomplete(
    centre: Any, device: Any, worker: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """BU-49"""
    filmed = film(centre, device)
    send(device, worker, filmed, 1, 2, 4)
    words = ["evidence", "export", str(centre.folder), filmed.recording, "-o", str(tmp_path / "out")]
    assert cli.main(words) == Refused.exit_code
    assert f"part 3 of recording {filmed.recording} is not here" in capsys.readouterr().err
    assert cli.main([*words, "--incomplete"]) == 0
    assert f"part 4 of 4 of recording {filmed.recording}; part 3 of" in capsys.readouterr().out


def test_device_that_gives_one_number_to_two_items_is_named(
    centre: Any, device: Any, worker: Any, tmp_path: Path
) -> None:
    """BU-44, BU-49: each is at the centre, and what leaves does not hold."""
    filmed = film(centre, device, numbers=(0, 1, 1))
    send(device, worker, filmed, 1, 2, 3)
    named = f"part 2 of recording {filmed.recording} is here 2 times: "
    with pytest.raises(Refused, match=named):
        leave(centre, filmed.recording, tmp_path / "out")
    leave(centre, filmed.recording, tmp_path / "out", incomplete=True)
    code, said = said_of(tmp_path / "out", centre)
    assert (code, [one.startswith(named) for failed, one in said if failed]) == (10, [True])


def test_recording_of_too_many_parts_leaves_without_a_word(
    centre: Any, device: Any, worker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BU-42, BU-49: a device cannot keep its evidence from leaving by naming parts without end."""
    filmed = film(centre, device)
    send(device, worker, filmed, 1)
    monkeypatch.setattr("sync.central.parts.MAX_PARTS", 3)
    with pytest.raises(Refused, match="has 4 parts, more than the 3"):
        leave(centre, filmed.recording, tmp_path / "out")
    made = leave(centre, filmed.recording, tmp_path / "out", incomplete=True)
    assert "has 4 parts, more than the 3" in made[0][1]
    assert said_of(tmp_path / "out", centre) == (0, [])


def tell(centre: Any, device: Any, head: Head) -> None:
    heads, told_us = JournalHeads(centre.store), centre.clock.utc_us()
    made = Heads(device="car-1", told_us=told_us, time_source="ntp", time_error_us=9, heads=(head,))
    heads.take("car-1", made.sign(device.key))
    heads.settle()


def last_of(filmed: Filmed) -> Any:
    return parse_line(filmed.journal.read_bytes().splitlines()[-1])


def missed(report: Report) -> list[bool]:
    assert report.ok, report.to_text()
    return [one.absent for one in report.findings if one.what == SIGNED_LINES]


@pytest.mark.parametrize("is_whole", [True, False])
def test_only_lines_that_are_nowhere_are_missed_of_a_recording_in_parts(
    centre: Any, device: Any, worker: Any, tmp_path: Path, is_whole: bool
) -> None:
    """BU-38, BU-53: of three parts each by itself and together; a line that had not come is missed in each"""
    filmed = film(centre, device, numbers=range(3), over=STOPPED)
    send(device, worker, filmed, 1, 2, 3)
    if is_whole:
        tell(centre, device, Head.of(last_of(filmed)))
    else:
        journal = device.journal()
        tell(centre, device, Head.of([journal.append("camera.fault") for _ in range(2)][-1]))
        journal.close()
    made = leave(centre, filmed.recording, tmp_path / "out")
    trust = fleet.centre_trust(centre.folder)
    assert missed(bundle_folder.verify_folder(tmp_path / "out", trust)) == [not is_whole] * 3
    for path, _note in made:
        assert missed(bundle_verify.verify(path, trust)) == [not is_whole]
