"""What the centre puts into bundles of how far devices had signed for their journals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sync.central import fleet
from sync.central.export import Wanted, export
from sync.central.heads import LATE_US, JournalHeads
from vedette import bundle_verify
from vedette.bundle import LISTING
from vedette.clock import uuid7
from vedette.custody_heads import Head, Heads
from vedette.findings import Report
from vedette.keys import SigningKey
from vedette.records import JournalHead

SECOND_US = 1_000_000


class Shift:
    """A stored segment of car-1 (lines 2 and 3 of its recorder) whose journal goes on, and what is told of it."""

    def __init__(self, centre: Any, device: Any, worker: Any) -> None:
        self.centre, self.device, self.worker = centre, device, worker
        self.heads = JournalHeads(centre.store)
        self.journal = device.journal()
        item = device.item(b"v" * 500, recording=uuid7(centre.clock))
        self.journal.append("segment.opened", item=item.id)
        size = {"sealed_size": item.manifest.sealed_size, "sealed_sha256": item.manifest.sealed_sha256}
        last = self.journal.append("segment.closed", item=item.id, detail={**size, "media_us": 1_000_000})
        self.item = device.resign(item, journal=JournalHead(service="recorder", seq=last.seq, head=last.sha256))
        worker.upload(self.item)
        self.send()

    def write(self, count: int) -> list[Any]:
        return [self.journal.append("camera.fault") for _ in range(count)]

    def send(self) -> None:
        """Close the journal's file and bring it to the centre."""
        path = self.journal.roll()
        self.worker.upload(self.device.custody(path))

    def tell(self, *heads: Head, key: SigningKey | None = None, after_us: int = SECOND_US) -> None:
        self.centre.clock.advance(after_us)
        told_us = self.centre.clock.utc_us()
        made = Heads(device="car-1", told_us=told_us, time_source="ntp", time_error_us=9, heads=heads)
        self.heads.take("car-1", made.sign(key or self.device.key))
        self.heads.settle()

    def export(self, folder: Path) -> tuple[Path, Report]:
        """The bundle, which holds by both verifiers in Python, and what is found in it."""
        wanted = Wanted(identities=[], with_sealed=True, reason="court order 7")
        ((path, _note),) = export(self.centre.store, self.item.id, folder / "bundle", wanted, user="chief")
        travelling = [sys.executable, "-I", "-S", str(path / "verify.py"), "--json"]
        ended = subprocess.run(travelling, capture_output=True, text=True, check=False)
        report = bundle_verify.verify(path, fleet.centre_trust(self.centre.folder))
        assert (ended.returncode, ended.stderr) == (report.exit_code, "")
        theirs = {what: said for what, _where, _code, said in json.loads(ended.stdout)["findings"]}
        ours = {one.what: one.message for one in report.findings}
        for what in ("signed heads", "signed lines", "journal at the centre"):
            assert theirs.get(what) == ours.get(what)
        return path, report


@pytest.fixture
def shift(centre: Any, device: Any, worker: Any) -> Shift:
    return Shift(centre, device, worker)


def said(report: Report) -> dict[str, str]:
    assert report.ok, report.to_text()
    return {one.what: one.message for one in report.findings if one.what.startswith(("signed", "journal at"))}


def test_bundle_says_that_there_were_no_heads_when_the_device_told_none(shift: Shift, tmp_path: Path) -> None:
    """BU-34, BU-36."""
    path, report = shift.export(tmp_path)
    assert said(report)["signed heads"].startswith("none here")
    assert f"{shift.item.id}.heads" not in (path / LISTING).read_text()


def test_newest_heads_leave_with_the_bundle_though_their_lines_are_here(shift: Shift, tmp_path: Path) -> None:
    """BU-34, CJ-32: the centre lets go of what it waits for, and not of what the device had signed."""
    last = shift.write(3)[-1]
    shift.send()
    shift.tell(Head.of(last))
    assert shift.centre.store.db.execute("SELECT count(*) FROM journal_heads").fetchone()[0] == 0
    _path, report = shift.export(tmp_path)
    assert f"for line {last.seq} of recorder; the journal here ends at line 3: 3 lines" in said(report)["signed lines"]
    assert "the centre says that it has them" in said(report)["signed lines"]


def test_report_and_findings_say_which_lines_had_not_come(shift: Shift, tmp_path: Path) -> None:
    """BU-38, BU-39, BU-40."""
    shift.write(2)
    shift.send()
    last = shift.write(4)[-1]
    shift.tell(Head.of(last))
    path, report = shift.export(tmp_path)
    assert "6 lines that it signed for (4 to 9) are not in this bundle" in said(report)["signed lines"]
    assert "4 lines that it signed for (6 to 9) HAD NOT COME to the centre" in said(report)["signed lines"]
    page = (path / "report.html").read_text()
    assert "6 – 9 (4)" in page
    assert "SHORTER THAN WHAT THE DEVICE HAD SIGNED FOR" in page


def test_cut_tail_is_in_the_bundle_of_what_was_before_it(shift: Shift, tmp_path: Path) -> None:
    """BU-34, BU-35, CJ-30: what is gone was signed for, and that leaves beside the newest and the complaint."""
    gone = shift.write(4)[-1]
    shift.tell(Head.of(gone))
    shift.journal.close()
    (newest,) = [path for path in shift.journal.folder.glob("*.jsonl") if b"camera.fault" in path.read_bytes()]
    newest.unlink()
    shift.journal = shift.device.journal()
    first = shift.write(1)[-1]
    shift.tell(Head.of(first), after_us=LATE_US + SECOND_US)
    _path, report = shift.export(tmp_path)
    assert f"for line {gone.seq} of recorder" in said(report)["signed lines"]
    assert "HAD NOT COME" in said(report)["signed lines"]
    assert "its device had signed for 7 lines" in said(report)["journal at the centre"]


def test_late_head_does_not_take_the_place_of_a_newer_one(shift: Shift, tmp_path: Path) -> None:
    """CJ-32: messages may be late; a device whose clock was put back is heard after a minute."""
    lines = shift.write(3)
    newer, older = (
        Heads(device="car-1", told_us=at, time_source="ntp", time_error_us=9, heads=(Head.of(one),)).sign(
            shift.device.key
        )
        for at, one in ((2_000, lines[2]), (1_000, lines[1]))
    )
    for record, wanted in ((newer, newer), (older, newer)):
        shift.heads.take("car-1", record)
        shift.heads.settle()
        assert bytes(shift.centre.store.db.execute("SELECT record FROM told_heads").fetchone()[0]) == wanted
    shift.centre.clock.advance(LATE_US + SECOND_US)
    shift.heads.take("car-1", older)
    shift.heads.settle()
    assert bytes(shift.centre.store.db.execute("SELECT record FROM told_heads").fetchone()[0]) == older


def test_heads_of_other_journals_alone_do_not_make_a_file(shift: Shift, tmp_path: Path) -> None:
    """BU-34: what says nothing of the journal in the bundle stays."""
    shift.tell(Head(service="keeper", boot=uuid7(shift.centre.clock), seq=3, head="ab" * 32))
    _path, report = shift.export(tmp_path)
    assert said(report)["signed heads"].startswith("none here")
