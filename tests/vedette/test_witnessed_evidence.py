"""Evidence under a policy of witnesses: what the checkpoint must carry, and a split view that two of them saw."""

import dataclasses
import json
import zipfile
from pathlib import Path
from typing import Any

import good_bundle
import pytest

from vedette import bundle, bundle_verify, proof, witness
from vedette.bundle_verify import Asked
from vedette.cli import main
from vedette.evidence_item import Vouched, verify_item
from vedette.log_policy import load_policy, parse_policy
from vedette.note import NoteKey
from vedette.trust import load_trust
from vedette.witness import Rejected, Request
from vedette.witness_folder import WitnessFolder

VECTORS = Path(__file__).parents[1] / "vectors" / "bundle"
CASES = [one for one in json.loads((VECTORS / "cases.json").read_text()) if "policy" in one]
TRUST = load_trust(VECTORS / "trust.json")
POLICY = load_policy(VECTORS / "policy.txt")
NOW_S = 1_795_420_800


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_bundle_must_carry_the_cosignatures_of_the_policy(
    case: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """BU-30, TL-25: a finding of its own at the proof; without a policy nobody's cosignature is asked for."""
    path = VECTORS / "zip" / f"{case['name']}.zip"
    words = ["evidence", "verify", str(path), "--trust", str(VECTORS / "trust.json"), "--json"]
    assert main(words) == case["exit_code"]
    assert "witnesses" not in capsys.readouterr().out
    assert main([*words, "--policy", str(VECTORS / "policy.txt")]) == case["policy"]["exit_code"]
    found = json.loads(capsys.readouterr().out)["findings"]
    (one,) = [one for one in found if one["what"] == "witnesses"]
    assert one["where"].endswith(".proof")
    assert case["policy"]["names"] in "\n".join(f"{bad['where']} {bad['message']}" for bad in found if not bad["ok"])


@pytest.mark.parametrize(("name", "code"), [("cosigned-by-two", 0), ("cosigned-by-one", 11), ("", 11)])
def test_item_outside_a_bundle_must_carry_them_too(tmp_path: Path, name: str, code: int) -> None:
    """BU-30: and an item without a proof has nothing that anybody could have cosigned."""
    with zipfile.ZipFile(VECTORS / "zip" / f"{name or 'cosigned-by-two'}.zip") as archive:
        archive.extractall(tmp_path)
    if not name:
        next(tmp_path.glob("*.proof")).unlink()
    journal = tmp_path / "journal.jsonl"
    report = verify_item(next(tmp_path.glob("*.age")), Vouched(trust=TRUST, journal=journal, policy=POLICY))
    assert report.exit_code == code, report.to_text()
    assert [one.what for one in report.findings if not one.ok] == (["witnesses"] if code else [])


def test_policy_that_does_not_name_the_log_is_not_met() -> None:
    """TL-24, BU-30."""
    text = (VECTORS / "policy.txt").read_text().partition("\n")[2]
    policy = parse_policy(text)
    report = bundle_verify.verify(VECTORS / "zip" / "cosigned-by-all.zip", TRUST, (), Asked(policy=policy))
    assert report.exit_code == 11
    assert [one.what for one in report.findings if not one.ok] == ["witnesses"]


def test_split_view_is_caught_when_two_witnesses_saw_one_side_each(tmp_path: Path) -> None:
    """BU-30, TL-25, TL-27, TL-30: one log, two trees of the same size, each shown to one witness and to one reader.

    Each reader who asks for both witnesses is refused; each witness refuses the other tree and keeps it; and what the
    two hold is a proof against the log.
    """
    key = good_bundle.keys()[0]
    log = NoteKey(name=good_bundle.ORIGIN, public=key.public)
    folders = [WitnessFolder.create(tmp_path / name, f"{name}.example/x") for name in ("w1", "w2")]
    views = [good_bundle.parts(), good_bundle.parts(leaf={"received_us": good_bundle.NOW_US + 77})]
    lines = [f"log {log.text}", *(f"witness w{n} {one.key.text}" for n, one in enumerate(folders, 1))]
    both = parse_policy("\n".join([*lines, "group both all w1 w2", "quorum both", ""]))
    signed = [proof.Proof.from_text(view.proof).checkpoint for view in views]
    assert signed[0] != signed[1]
    for folder, view, shown in zip(folders, views, signed, strict=True):
        folder.watch(log)
        line = folder.add(Request(old=0, proof=[], signed=shown).to_text(), NOW_S)
        path = tmp_path / f"{folder.key.name[:2]}.zip"
        bundle.make(path, dataclasses.replace(view, proof=view.proof + line))
        assert bundle_verify.verify(path).ok
        report = bundle_verify.verify(path, None, (), Asked(policy=both))
        assert [one.what for one in report.findings if not one.ok] == ["witnesses"]
        assert f"cosigned by {folder.key.name}; the policy asks for 2 of w1, w2" in report.to_text()
    for folder, other in zip(folders, reversed(signed), strict=True):
        with pytest.raises(Rejected) as refused:
            folder.add(Request(old=7, proof=[], signed=other).to_text(), NOW_S + 1)
        assert refused.value.is_suspect
        assert len(folder.refused()) == 1
    held = [folder.log(good_bundle.ORIGIN).signed for folder in folders]
    assert held[0] is not None and held[1] is not None
    assert witness.find_split(held[0], held[1], log) is not None


def test_bundle_is_taken_when_both_witnesses_saw_the_same_tree(tmp_path: Path) -> None:
    """BU-30: the same as above without the lie, so that the test above can fail for no other reason."""
    log = NoteKey(name=good_bundle.ORIGIN, public=good_bundle.keys()[0].public)
    folders = [WitnessFolder.create(tmp_path / name, f"{name}.example/x") for name in ("w1", "w2")]
    view = good_bundle.parts()
    shown = proof.Proof.from_text(view.proof).checkpoint
    lines = [f"log {log.text}", *(f"witness w{n} {one.key.text}" for n, one in enumerate(folders, 1))]
    both = parse_policy("\n".join([*lines, "group both all w1 w2", "quorum both", ""]))
    more = ""
    for folder in folders:
        folder.watch(log)
        more += folder.add(Request(old=0, proof=[], signed=shown).to_text(), NOW_S)
    bundle.make(tmp_path / "b.zip", dataclasses.replace(view, proof=view.proof + more))
    report = bundle_verify.verify(tmp_path / "b.zip", None, (), Asked(policy=both))
    assert report.ok
    assert "cosigned by w1.example/x at 2026-" in report.to_text()
