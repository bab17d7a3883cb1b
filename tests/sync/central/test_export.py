"""Bundles made by the centre check out anywhere, and every export is recorded."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sync.central import fleet
from sync.central.export import Wanted, export
from vedette import bundle_verify
from vedette.clock import uuid7
from vedette.errors import Integrity, NotFound, Refused, VedetteError
from vedette.fragment_marks import FragmentMarks
from vedette.keys import SigningKey
from vedette.records import JournalHead
from vedette.redaction import ParentId, Redaction
from vedette.sealed import fragments_key_of, load_identities

VIDEO = os.urandom(200_000)


@pytest.fixture
def stored(centre: Any, device: Any, worker: Any) -> Any:
    """A stored segment whose journal is at the centre too."""
    journal = device.journal()
    item = device.item(VIDEO, recording=uuid7(centre.clock))
    journal.append("segment.opened", item=item.id, detail={"recording": item.manifest.recording, "sequence": 0})
    last = journal.append("segment.closed", item=item.id, detail=_end(item))
    item = device.resign(item, journal=JournalHead(service="recorder", seq=last.seq, head=last.sha256))
    journal.append("recording.stopped", detail={"reason": "button"})
    path = journal.roll()
    worker.upload(item)
    worker.upload(device.custody(path))
    return item


def _end(item: Any) -> dict[str, int | str]:
    manifest = item.manifest
    return {"sealed_size": manifest.sealed_size, "sealed_sha256": manifest.sealed_sha256, "media_us": 1_000_000}


def wanted(centre: Any, *, opened: bool = True, sealed: bool = True) -> Wanted:
    identities = load_identities(centre.escrow / "evidence.identity") if opened else []
    return Wanted(identities=identities, with_sealed=sealed, reason="court order 7")


@pytest.mark.parametrize(("opened", "sealed"), [(True, True), (False, True), (True, False)])
def test_bundle_verifies_when_an_item_is_exported(
    centre: Any, stored: Any, tmp_path: Path, opened: bool, sealed: bool
) -> None:
    ((path, note),) = export(
        centre.store, stored.id, tmp_path / "out.zip", wanted(centre, opened=opened, sealed=sealed), user="chief"
    )

    report = bundle_verify.verify(path, fleet.centre_trust(centre.folder))

    assert report.ok, [finding.message for finding in report.findings if not finding.ok]
    assert note == ""
    (access,) = centre.store.accesses(stored.id)
    assert (access.user, access.action, access.reason) == ("chief", "export", "court order 7")


@pytest.mark.parametrize(("opened", "is_marked"), [(True, True), (False, True), (True, False)])
def test_key_to_the_marks_leaves_with_the_opened_file_alone(
    centre: Any, device: Any, worker: Any, tmp_path: Path, opened: bool, is_marked: bool
) -> None:
    """BU-54, BU-55, SF-21: and where the device's software was older, there is none to leave."""
    item, journal = device.item(VIDEO, recording=uuid7(centre.clock)), device.journal()
    identities = load_identities(centre.escrow / "evidence.identity")
    marks = FragmentMarks(fragments_key_of(io.BytesIO(item.sealed_bytes), identities))
    for at in range(0, len(VIDEO), 50_000):
        marks.write(VIDEO[at : at + 50_000])
        marks.end(at * 5)
    signed = {"fragments": marks.take(), "fragments_key": marks.key_id} if is_marked else {}
    journal.append("segment.opened", item=item.id, detail={"recording": item.manifest.recording, "sequence": 0})
    last = journal.append("segment.closed", item=item.id, detail={**_end(item), **signed})
    item = device.resign(item, journal=JournalHead(service="recorder", seq=last.seq, head=last.sha256))
    worker.upload(item)
    worker.upload(device.custody(journal.roll()))

    ((path, _note),) = export(centre.store, item.id, tmp_path / "out", wanted(centre, opened=opened), user="chief")

    assert (path / f"{item.id}.marks").is_file() == (opened and is_marked)
    report = bundle_verify.verify(path, fleet.centre_trust(centre.folder))
    said = [one.message for one in report.findings if one.what == "opened fragments"]
    assert report.ok, report.to_text()
    assert any("4 hold: 200000 bytes" in one for one in said) == (opened and is_marked)


def test_file_of_the_journal_itself_leaves_without_a_word_of_a_journal_to_come(
    centre: Any, stored: Any, tmp_path: Path
) -> None:
    """No line names it, so there is nothing to wait for."""
    (row,) = centre.store.items(kind="custody")
    ((path, note),) = export(centre.store, row.item, tmp_path / "out.zip", wanted(centre, opened=False), user="chief")
    assert note == ""
    assert bundle_verify.verify(path, fleet.centre_trust(centre.folder)).ok


def redacted(folder: Path, centre: Any, stored: Any, **parent: Any) -> Path:
    """A copy with its record and plan, as `vedette evidence redact` leaves them; not a real film."""
    manifest, key = centre.store.manifest(stored.id), SigningKey.generate()
    named = {"sealed_sha256": stored.manifest.sealed_sha256, "item": stored.id, "device": stored.manifest.device}
    named |= {"plain_sha256": stored.manifest.plain_sha256, "plain_size": stored.manifest.plain_size}
    named |= {"manifest_sha256": hashlib.sha256(manifest).hexdigest(), **parent}
    record = Redaction(
        item="01a2076b-4400-7f5c-8293-c2c1e62e57d5",
        parent=ParentId(**named),
        plan_sha256=hashlib.sha256(b"plan").hexdigest(),
        derived_sha256=hashlib.sha256(b"copy").hexdigest(),
        derived_size=4,
        made_us=1,
        by="A. Tazi",
        why="disclosure",
        signer=key.public.text,
        software="vedette",
        encoder="x264",
        models={},
        width=64,
        height=48,
        frames=9,
        changed=(),
        reasons={},
        sound="none",
        mutes=(),
        stamp="kept",
    )
    (folder / "copy.redaction").write_bytes(record.sign(key))
    (folder / "copy.plan.toml").write_bytes(b"plan")
    (folder / "copy.mp4").write_bytes(b"copy")
    return folder / "copy.mp4"


def test_redacted_copy_leaves_with_its_sealed_parent(centre: Any, stored: Any, tmp_path: Path) -> None:
    """BU-6, BU-31: the other party gets what may be seen and the proofs of what it was made from."""
    asked = dataclasses.replace(wanted(centre, opened=False), redacted=redacted(tmp_path, centre, stored))
    ((path, _note),) = export(centre.store, stored.id, tmp_path / "out.zip", asked, user="chief")
    report = bundle_verify.verify(path, fleet.centre_trust(centre.folder))
    assert report.ok, report.to_text()
    assert "0 of 9 pictures covered" in report.to_text()
    other = redacted(tmp_path, centre, stored, manifest_sha256="ab" * 32)
    with pytest.raises(Integrity, match="not the parent of this copy"):
        export(centre.store, stored.id, tmp_path / "b.zip", dataclasses.replace(asked, redacted=other), user="chief")
    assert not (tmp_path / "b.zip").exists()


def test_recording_becomes_a_folder_of_bundles_when_it_has_segments(
    centre: Any, device: Any, worker: Any, stored: Any, tmp_path: Path
) -> None:
    recording = stored.manifest.recording
    worker.upload(device.item(b"more", recording=recording, sequence=1))
    with pytest.raises(Refused, match="name a folder"):
        export(centre.store, recording, tmp_path / "out.zip", wanted(centre), user="chief")

    made = export(centre.store, recording, tmp_path / "out", wanted(centre), user="chief")

    assert [path.name[:4] for path, _note in made] == ["0001", "0002"]
    assert all(path.is_file() for path, _note in made)


def test_export_says_so_when_the_journal_has_not_arrived(centre: Any, device: Any, worker: Any, tmp_path: Path) -> None:
    item = device.item(b"x", journal=JournalHead(service="recorder", seq=3, head="0" * 64))
    worker.upload(item)

    ((_path, note),) = export(centre.store, item.id, tmp_path / "out", wanted(centre), user="chief")

    assert "not arrived" in note


def test_export_is_refused_when_the_output_is_there(centre: Any, stored: Any, tmp_path: Path) -> None:
    (tmp_path / "out.zip").write_text("mine")

    with pytest.raises(Refused):
        export(centre.store, stored.id, tmp_path / "out.zip", wanted(centre), user="chief")
    assert (tmp_path / "out.zip").read_text() == "mine"


def test_export_is_refused_when_the_identity_is_another(centre: Any, stored: Any, tmp_path: Path) -> None:
    foreign = fleet.make_centre(tmp_path / "b", tmp_path / "b-keys", "b/log", clock=centre.clock)
    identities = load_identities(foreign.escrow / "evidence.identity")

    with pytest.raises(VedetteError, match="sealed to others"):
        export(
            centre.store,
            stored.id,
            tmp_path / "out.zip",
            Wanted(identities=identities, with_sealed=True, reason=""),
            user="chief",
        )
    assert not (tmp_path / "out.zip").exists()


def test_no_empty_folder_stays_when_no_segment_of_a_recording_could_be_exported(
    centre: Any, device: Any, worker: Any, stored: Any, tmp_path: Path
) -> None:
    worker.upload(device.item(b"more", recording=stored.manifest.recording, sequence=1))

    with pytest.raises(Refused, match="needs its sealed file"):
        export(
            centre.store,
            stored.manifest.recording,
            tmp_path / "out",
            wanted(centre, opened=False, sealed=False),
            user="chief",
        )
    assert not (tmp_path / "out").exists()


def test_export_is_not_found_when_nothing_has_that_id(centre: Any, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        export(centre.store, uuid7(centre.clock), tmp_path / "out.zip", wanted(centre), user="chief")


def test_bundle_says_who_exported_it_and_brings_its_verifiers(centre: Any, stored: Any, tmp_path: Path) -> None:
    """BU-1, BU-23: and its own verifier, run as a court would, finds nothing wrong."""
    ((path, _note),) = export(centre.store, stored.id, tmp_path / "out", wanted(centre), user="chief")

    report = (path / "report.html").read_text()
    assert "chief" in report and "court order 7" in report
    assert (path / "report.pdf").read_bytes().startswith(b"%PDF")
    trust = tmp_path / "trust.json"
    trust.write_bytes(fleet.centre_trust(centre.folder).to_bytes())
    command = [sys.executable, "-I", "-S", str(path / "verify.py"), "--trust", str(trust)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
