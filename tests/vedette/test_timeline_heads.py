"""Up to where a device had signed for its journal, in the timeline: in the terminal, in the picture, as JSON."""

from __future__ import annotations

import argparse
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import good_bundle
import good_heads
import pytest

from vedette import bundle, custody_cli
from vedette.bundle_heads import HeldHeads
from vedette.custody_entry import Entry
from vedette.custody_heads import Head, Heads
from vedette.errors import Integrity, NotTrusted
from vedette.keys import SigningKey
from vedette.trust import Trust

SECOND_US = 1_000_000
SVG = "{http://www.w3.org/2000/svg}"
ITEM = good_bundle.ITEM


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    custody_cli.register(parser.add_subparsers())
    args = parser.parse_args(["custody", "timeline", *map(str, arguments)])
    return int(args.run(args))


class Drive:
    """A shift of two recordings of which a bundle's worth of lines is here: all but the last `cut`."""

    def __init__(self, shift: Any, folder: Path) -> None:
        self.shift, self.folder = shift, folder
        self.centre = SigningKey.generate()
        shift.start()
        for _ in range(2):
            shift.begin()
            shift.film(20)
            shift.end()
            shift.wait(10)

    @property
    def entries(self) -> list[Entry]:
        found: list[Entry] = self.shift.entries()
        return found

    def keep(self, cut: int) -> Path:
        """A journal file without its last lines."""
        path = self.folder / "journal.jsonl"
        path.write_bytes(b"".join(one.line + b"\n" for one in self.entries[: len(self.entries) - cut]))
        return path

    def told(self, *heads: Head, after_s: float = 0, key: SigningKey | None = None) -> bytes:
        at_us = self.entries[-1].utc_us + int(after_s * SECOND_US)
        made = Heads(device="car-1", told_us=at_us, time_source="ntp", time_error_us=9, heads=heads)
        return made.sign(key or self.shift.key)

    def file(self, record: bytes, name: str = "heads") -> Path:
        (self.folder / name).write_bytes(record)
        return self.folder / name

    def held(self, record: bytes, to: Entry) -> bytes:
        made = HeldHeads(
            item=ITEM, device="car-1", service="recorder", held=(to.seq, to.sha256), problem=None, records=(record,)
        )
        return made.sign(self.centre)

    def run(self, capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
        code = run(*arguments, "--key", self.shift.key.public.text, "--json")
        return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def drive(shift: Any, tmp_path: Path) -> Drive:
    return Drive(shift, tmp_path)


def signed(said: dict[str, Any]) -> list[tuple[int, int]]:
    return [(one["from_us"], one["to_us"]) for one in said["overlays"] if one["row"] == "signed"]


def notes(said: dict[str, Any]) -> dict[str, str]:
    return {one["kind"]: one["value"] for one in said["notes"]}


def test_row_ends_where_the_device_had_signed_when_the_line_is_here(
    drive: Drive, capsys: pytest.CaptureFixture[str]
) -> None:
    """TI-29."""
    line = drive.entries[-4]
    code, said = drive.run(capsys, drive.keep(0), "--heads", drive.file(drive.told(Head.of(line))))
    assert (code, notes(said)["signed_to"]) == (0, str(line.seq))
    assert signed(said) == [(said["from_us"], line.utc_us)]
    code, without = drive.run(capsys, drive.keep(0))
    assert (code, signed(without)) == (0, [])
    assert without["stretches"] == said["stretches"]


def test_time_of_lines_that_are_not_here_is_unexplained_up_to_when_they_were_signed_for(
    drive: Drive, capsys: pytest.CaptureFixture[str]
) -> None:
    """TI-30, TI-3: eight lines were cut off; the device had signed for the last of them 15 s after it."""
    last, kept = drive.entries[-1], drive.entries[-9]
    record = drive.told(Head.of(last), after_s=15)
    code, said = drive.run(capsys, drive.keep(8), "--heads", drive.file(record))
    assert code == 10
    owed = said["stretches"][-1]
    assert (owed["state"], owed["why"]) == ("unknown", "signed_missing")
    assert owed["to_us"] == said["to_us"] == last.utc_us + 15 * SECOND_US
    assert said["unexplained_us"] == owed["to_us"] - owed["from_us"] > 15 * SECOND_US
    assert notes(said)["signed_not_here"] == f"{kept.seq + 1}–{last.seq}"
    assert signed(said) == [(said["from_us"], said["to_us"])]


def test_what_the_centre_has_is_not_unexplained(drive: Drive, capsys: pytest.CaptureFixture[str]) -> None:
    """TI-30: a bundle's journal ends with its item; what is elsewhere is said."""
    last = drive.entries[-1]
    trust = good_bundle_trust(drive)
    file = drive.file(drive.held(drive.told(Head.of(last), after_s=5), last))
    code, said = drive.run(capsys, drive.keep(8), "--heads", file, "--trust", trust)
    assert (code, said["unexplained_us"]) == (0, 0)
    assert notes(said)["signed_elsewhere"] == f"{drive.entries[-9].seq + 1}–{last.seq}"
    file = drive.file(drive.held(drive.told(Head.of(last), after_s=5), drive.entries[-3]))
    code, said = drive.run(capsys, drive.keep(8), "--heads", file, "--trust", trust)
    assert (code, notes(said)["signed_not_come"]) == (10, f"{last.seq - 1}–{last.seq}")


def good_bundle_trust(drive: Drive) -> Path:
    text = good_bundle.keys()[2].recipient.text
    trust = Trust(
        centre=drive.centre.public,
        list_signer=drive.centre.public,
        log_origin=good_bundle.ORIGIN,
        evidence=(text,),
        oversight=(text,),
        triage=text,
    )
    return drive.file(trust.to_bytes(), "trust.json")


def test_a_stop_in_order_explains_nothing_when_lines_after_it_were_signed_for(
    drive: Drive, capsys: pytest.CaptureFixture[str]
) -> None:
    """TI-30, TI-6."""
    drive.shift.stop()
    stopped = drive.entries[-1]
    more = Head(service="recorder", boot=stopped.boot, seq=stopped.seq + 4, head="ab" * 32)
    code, said = drive.run(capsys, drive.keep(0), "--heads", drive.file(drive.told(more, after_s=60)))
    assert (code, said["stretches"][-1]["why"]) == (10, "signed_missing")
    assert said["unexplained_us"] == 60 * SECOND_US


def test_nothing_is_drawn_when_a_line_is_not_the_one_that_was_signed_for(
    drive: Drive, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """TI-29, TI-21: another line, another start of the service, another key, another device."""
    head = Head.of(drive.entries[3])
    boot = "01a2076b-43f0-7000-8000-000000000009"
    for wrong in (
        Head(service="recorder", boot=head.boot, seq=head.seq, head="ab" * 32),
        Head(service="recorder", boot=boot, seq=head.seq, head=head.head),
    ):
        with pytest.raises(Integrity, match=f"line {head.seq} is not the one"):
            drive.run(capsys, drive.keep(0), "--heads", drive.file(drive.told(wrong)))
    with pytest.raises(NotTrusted):
        drive.run(capsys, drive.keep(0), "--heads", drive.file(drive.told(head, key=SigningKey.generate())))
    with pytest.raises(NotTrusted):
        drive.run(capsys, drive.keep(0), "--heads", drive.file(drive.held(drive.told(head), drive.entries[-1])))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("language", "row", "words"), [("en", "signed for", "NOT HERE"), ("fr", "signé", "PAS LÀ")])
def test_terminal_and_picture_show_the_row_and_the_missing_stretch(
    drive: Drive, capsys: pytest.CaptureFixture[str], tmp_path: Path, language: str, row: str, words: str
) -> None:
    """TI-22, TI-23, TI-30."""
    file = drive.file(drive.told(Head.of(drive.entries[-1]), after_s=15))
    picture = tmp_path / "t.svg"
    more = ("--key", drive.shift.key.public.text, "--lang", language, "--svg", picture)
    assert run(drive.keep(8), "--heads", file, *more) == 10
    text = capsys.readouterr().out
    (line,) = [one for one in text.splitlines() if one.startswith(f"{row} ")]
    assert set(line[15:]) == {"="}
    not_recorded = next(one for one in text.splitlines() if one.startswith(("not recorded", "non enregistr")))
    assert not_recorded.endswith("?")
    assert words in " ".join(text.split())
    drawn = ET.parse(picture).getroot()
    said = " ".join("".join(drawn.itertext()).split())
    assert row in said and words in said
    bars = [one for one in drawn.iter(f"{SVG}rect") if one.get("fill") == "#2a6f77"]
    assert len(bars) == 1


def test_bundle_brings_its_heads_and_the_word_of_its_centre(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """TI-24, TI-29, TI-30: without a trust file by the key inside the bundle, as a checker takes it (BU-20)."""
    key = good_bundle.keys()[1].public.text
    for name, wanted in (("more", "signed_elsewhere"), ("not-come", "signed_not_come"), ("reached", "signed_to")):
        path = bundle.make(tmp_path / f"{name}.zip", good_heads.cases()[name][0])
        code = run(path, "--key", key, "--json")
        said = json.loads(capsys.readouterr().out)
        assert wanted in notes(said), name
        assert (code == 10) is (name == "not-come"), name
        assert len(signed(said)) == 1
    none = bundle.make(tmp_path / "none", good_heads.cases()["none"][0])
    run(none, "--key", key, "--json")
    assert signed(json.loads(capsys.readouterr().out)) == []


def test_heads_of_another_service_are_not_the_recorders(drive: Drive, capsys: pytest.CaptureFixture[str]) -> None:
    """TI-29."""
    keeper = Head(service="keeper", boot=drive.entries[0].boot, seq=900, head="ab" * 32)
    code, said = drive.run(capsys, drive.keep(0), "--heads", drive.file(drive.told(keeper)))
    assert (code, signed(said)) == (0, [])
