"""`vedette custody timeline`: sources, keys, exit codes, what is drawn."""

from __future__ import annotations

import argparse
import json
import re
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable
from datetime import timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from vedette import custody_cli
from vedette.custody import Journal, seal_closed
from vedette.errors import Integrity, NotFound, NotTrusted, Refused, Usage
from vedette.identity import Identity
from vedette.keys import SigningKey
from vedette.sealed import HybridIdentity, save_identity
from vedette.timeline import State
from vedette.timeline_layers import read_timeline
from vedette.timeline_svg import draw_svg
from vedette.timeline_text import SIGNS, draw, length, share, ticks
from vedette.timeline_words import LANGUAGES, Words

VECTORS = Path(__file__).parents[1] / "vectors" / "bundle"
SECOND = 1_000_000
SVG = "{http://www.w3.org/2000/svg}"


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    custody_cli.register(parser.add_subparsers())
    args = parser.parse_args(["custody", "timeline", *map(str, arguments)])
    return int(args.run(args))


def short(shift: Any, *, hole_s: float = 0) -> None:
    """Two recordings; between their segments a hole that nothing explains, if one is wanted."""
    shift.start()
    shift.begin()
    shift.film(20)
    shift.end_segment()
    shift.wait(hole_s)
    shift.open_segment()
    shift.film(20)
    shift.end()
    shift.stop()


def test_every_second_is_accounted_for_when_the_shift_is_whole(
    shift: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """TI-21."""
    short(shift)
    assert run(shift.folder, "--key", shift.key.public.text, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["device"], said["unexplained_us"]) == ("car-1", 0)
    assert sum(said["totals_us"].values()) == said["to_us"] - said["from_us"]


def test_exit_code_is_10_and_it_is_said_when_a_second_is_unexplained(
    shift: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """TI-3, TI-21."""
    short(shift, hole_s=3)
    assert run(shift.folder, "--key", shift.key.public.text) == 10
    assert "NOT ACCOUNTED FOR: 0:00:03." in capsys.readouterr().out
    assert run(shift.folder, "--key", shift.key.public.text, "--to", "2026-11-23T08:00:15") == 0


def test_nothing_is_drawn_when_a_line_was_changed_or_the_key_is_another(
    shift: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """TI-21."""
    short(shift)
    with pytest.raises(NotTrusted):
        run(shift.folder, "--key", SigningKey.generate().public.text)
    path = next(shift.folder.glob("*.jsonl"))
    path.write_bytes(path.read_bytes().replace(b'"media_us":5000000', b'"media_us":6000000'))
    with pytest.raises((Integrity, NotTrusted)):
        run(shift.folder, "--key", shift.key.public.text, "--svg", tmp_path / "x.svg")
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "x.svg").exists()


def test_lines_are_found_in_files_in_any_order_and_twice(shift: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """TI-24."""
    short(shift)
    shift.wait(30)
    short(shift)
    files = sorted(shift.folder.glob("*.jsonl"), reverse=True)
    assert len(files) == 2
    assert run(*files, shift.folder, "--key", shift.key.public.text) == 0


def test_two_different_lines_of_one_number_are_refused(shift: Any, tmp_path: Path) -> None:
    """TI-24."""
    short(shift)
    other = Journal.open(tmp_path / "b", service="recorder", device="car-1", key=shift.key, clock=shift.clock)
    other.close()
    with pytest.raises(Integrity, match="two lines with seq 1"):
        run(shift.folder, tmp_path / "b", "--key", shift.key.public.text)


def test_a_file_that_is_gone_is_a_stretch_that_is_unexplained(shift: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """TI-16, TI-25."""
    for _ in range(3):
        short(shift)
        shift.wait(30)
    sorted(shift.folder.glob("*.jsonl"))[1].unlink()
    assert run(shift.folder, "--key", shift.key.public.text) == 10
    assert re.search(r"lines \d+–\d+ of the journal are missing", capsys.readouterr().out)


def test_each_piece_must_hold_when_lines_are_missing(shift: Any) -> None:
    """TI-25: a changed line behind a hole is found."""
    for _ in range(3):
        short(shift)
    files = sorted(shift.folder.glob("*.jsonl"))
    files[1].unlink()
    files[2].write_bytes(files[2].read_bytes().replace(b'"held":true', b'"held":null'))
    with pytest.raises(NotTrusted):
        run(shift.folder, "--key", shift.key.public.text)


def test_a_device_s_folder_is_read_with_its_own_key_and_its_sealed_copies(
    tmp_path: Path, shift: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """TI-24: a closed file that the keeper deleted is read from its sealed copy."""
    device = tmp_path / "device"
    shift.folder = device / "journal" / "recorder"
    (device / "keys").mkdir(parents=True)
    shift.key.save(device / "keys" / "sign.pem")
    short(shift)
    short(shift)
    identity = HybridIdentity.generate()
    journal = Journal.open(shift.folder, service="recorder", device="car-1", key=shift.key, clock=shift.clock)
    seal_closed(journal, device / "spool", [identity.recipient], identity=Identity())
    journal.close()
    sorted(shift.folder.glob("*.jsonl"))[0].unlink()
    save_identity(tmp_path / "key.txt", identity)
    assert run(device, "--from", "2026-11-23T08:00:00Z") == 10
    assert run(device, "--identity", tmp_path / "key.txt", "--from", "2026-11-23T08:00:00Z") == 0
    copies = sorted((device / "spool" / "custody").glob("*.age"))
    assert run(*copies, "--identity", tmp_path / "key.txt", "--key", shift.key.public.text) == 0
    with pytest.raises(NotTrusted, match="sealed to other keys"):
        run(copies[0], "--key", shift.key.public.text)


def device_with_position(folder: Path, shift: Any) -> tuple[Path, Journal]:
    """A device whose recorder has begun, and the journal of its position service."""
    device = folder / "device"
    shift.folder = device / "journal" / "recorder"
    (device / "keys").mkdir(parents=True)
    shift.key.save(device / "keys" / "sign.pem")
    place = Journal.open(device / "journal" / "position", service="position", device="car-1", key=shift.key,
                         clock=shift.clock)  # fmt: skip
    shift.start()
    shift.begin()
    return device, place


def test_suspect_time_is_shown_once_when_both_journals_have_it(
    tmp_path: Path, shift: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """TI-20: the recorder says so some seconds later; what comes after an interval is another."""
    device, place = device_with_position(tmp_path, shift)
    for _ in range(2):
        place.append("time.suspect", detail={"source": "gnss", "why": "jumped", "off_us": 1})
        shift.film(3)
        shift.say("time.suspect", source="gnss")
        shift.film(30)
        place.append("time.trusted", detail={"source": "gnss", "off_us": 1})
        shift.film(2)
        shift.say("time.trusted", source="gnss")
        shift.film(10)
    shift.end()
    place.close()
    assert run(device, "--json") == 0
    overlays = json.loads(capsys.readouterr().out)["overlays"]
    assert [(one["label"], (one["to_us"] - one["from_us"]) // SECOND) for one in overlays] == [("suspect", 35)] * 2


def test_what_the_position_service_knew_is_beside_the_recorder_s_states(
    tmp_path: Path, shift: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """TI-20, TI-24: both journals are verified."""
    device, place = device_with_position(tmp_path, shift)
    shift.film(5)
    place.append("time.suspect", detail={"source": "gnss", "why": "jumped", "off_us": 1})
    place.append("gnss.lost", detail={"since_us": 1, "connected": True})
    shift.film(9)
    place.append("time.trusted", detail={"source": "gnss", "off_us": 1})
    place.append("gnss.found", detail={"mode": "3d", "satellites": 8})
    shift.end()
    place.close()
    assert run(device, "--json") == 0
    overlays = json.loads(capsys.readouterr().out)["overlays"]
    assert [(one["row"], one["label"], (one["to_us"] - one["from_us"]) // SECOND) for one in overlays] == [
        ("clock", "suspect", 9), ("place", "no_fix", 9),
    ]  # fmt: skip
    path = next((device / "journal" / "position").glob("*.jsonl"))
    path.write_bytes(path.read_bytes().replace(b"jumped", b"pumped"))
    with pytest.raises(NotTrusted):
        run(device)


@pytest.mark.parametrize("as_folder", [True, False])
def test_a_bundle_is_read_with_the_centre_s_word_for_its_key(
    tmp_path: Path, as_folder: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """TI-24, TI-32."""
    bundle = VECTORS / "zip" / "whole.zip"
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(tmp_path / "bundle")
    path = tmp_path / "bundle" if as_folder else bundle
    keys = ["--keys", tmp_path / "bundle" / "keys.json", "--trust", VECTORS / "trust.json"]
    assert run(path, *keys) == 0
    assert run(path, "--trust", VECTORS / "trust.json") == 0
    capsys.readouterr()
    assert run(path) == 0
    assert "vouched for by the bundle's own centre key" in capsys.readouterr().out
    with pytest.raises(Usage, match="whose signatures"):
        run(tmp_path / "bundle" / "journal.jsonl")


def test_a_device_whose_lines_were_all_sent_says_where_they_are(shift: Any, tmp_path: Path) -> None:
    short(shift)
    last = sorted(shift.folder.glob("[0-9]*.jsonl"))[-1].read_bytes().splitlines()[-1]
    (tmp_path / "head.jsonl").write_bytes(last + b"\n")
    with pytest.raises(Refused, match="sealed copies"):
        run(tmp_path / "head.jsonl", "--key", shift.key.public.text)


def test_what_cannot_be_asked_is_said(shift: Any, tmp_path: Path) -> None:
    """TI-21."""
    short(shift)
    key = shift.key.public.text
    with pytest.raises(NotFound, match="uplink's custody journal"):
        run(shift.folder, "--key", key, "--service", "uplink")
    with pytest.raises(Usage, match="--zone: 'Mars/Olympus' is no time zone"):
        run(shift.folder, "--key", key, "--zone", "Mars/Olympus")
    with pytest.raises(Usage, match="not a time"):
        run(shift.folder, "--key", key, "--from", "yesterday")
    with pytest.raises(Usage, match="not after"):
        run(shift.folder, "--key", key, "--from", "2026-11-23T09:00", "--to", "2026-11-23T08:00")
    (tmp_path / "there.svg").write_text("")
    with pytest.raises(Refused, match="not overwritten"):
        run(shift.folder, "--key", key, "--svg", tmp_path / "there.svg")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_terminal_of_80_columns_is_enough(shift: Any, hard_day: Callable[[Any], None], language: str) -> None:
    """TI-22: the drawing; recording numbers in the list may be longer."""
    hard_day(shift)
    text = draw(read_timeline(shift.entries()), Words(language), zone=timezone.utc)
    drawing = text.split("\n\n")[1]
    assert max(map(len, drawing.splitlines())) <= 80
    assert "\x1b" not in text
    assert set("█·RCPFz-=!|") <= set(drawing)


def test_a_cell_shows_what_is_unexplained_however_short(shift: Any) -> None:
    """TI-22."""
    shift.start()
    shift.wait(36_000)
    shift.begin()
    shift.film(20)
    shift.end_segment()
    shift.wait(2)
    shift.open_segment()
    shift.film(20)
    shift.end()
    shift.wait(30_000)
    shift.stop()
    text = draw(read_timeline(shift.entries()), Words("en"), zone=timezone.utc, colours=True)
    row = next(line for line in text.splitlines() if line.startswith("not recorded"))
    assert row.count(SIGNS[State.UNKNOWN]) == 1
    assert "\x1b[" in row


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_picture_stands_alone_and_says_each_bar_in_words(
    shift: Any, hard_day: Callable[[Any], None], language: str
) -> None:
    """TI-23."""
    hard_day(shift)
    timeline, words = read_timeline(shift.entries()), Words(language)
    text = draw_svg(timeline, words, zone=timezone.utc, key="0" * 32)
    root = ET.fromstring(text)
    assert (root.get("role"), root.get("lang")) == ("img", language)
    assert [one.tag for one in root][:2] == [f"{SVG}title", f"{SVG}desc"]
    assert not re.search(r"<script|href|@import|url\((?!#)|<image|<foreignObject", text)
    said = [one.findtext(f"{SVG}title") or "" for one in root.iter(f"{SVG}rect") if one.find(f"{SVG}title") is not None]
    for one in timeline.stretches:
        assert any(words.state(one.state) in title and length(one.length_us, words) in title for title in said)
    for state in State:
        assert (words.state(state) in "".join(root.itertext())) or not timeline.totals[state]


def test_the_picture_is_well_formed_when_a_length_or_a_word_is_not_for_xml(shift: Any) -> None:
    """TI-23: less than a tenth of a second, and a reason with a tag in it."""
    shift.start()
    shift.begin()
    shift.film(20)
    shift.end("<script>&{x}")
    shift.stop()
    timeline = read_timeline(shift.entries())
    assert timeline.totals[State.STANDBY] == 50_000
    root = ET.fromstring(draw_svg(timeline, Words("en"), zone=timezone.utc))
    said = "".join(root.itertext())
    assert "< 0.1 s" in said
    assert "<script>&{x}" in said


def test_both_languages_have_a_sentence_for_everything(shift: Any, hard_day: Callable[[Any], None]) -> None:
    """TI-2."""
    hard_day(shift)
    english, french = (draw(read_timeline(shift.entries()), Words(one), zone=timezone.utc) for one in LANGUAGES)
    assert len(english.splitlines()) == len(french.splitlines())
    for phrase in ("power lost", "Every second", "standby", "was cut", "Length"):
        assert phrase in english
        assert phrase not in french


def test_ticks_are_whole_hours_of_the_zone(shift: Any) -> None:
    """TI-22: Kathmandu is 5 h 45 min ahead."""
    shift.start()
    shift.wait(6 * 3600)
    shift.stop()
    timeline = read_timeline(shift.entries())
    zone = ZoneInfo("Asia/Kathmandu")
    assert [(one // SECOND + 5 * 3600 + 45 * 60) % 3600 for one in ticks(timeline, zone, most=8)] == [0] * 6


@pytest.mark.parametrize(
    ("duration_us", "english", "french"),
    [
        (0, "0:00:00", "0:00:00"),
        (99_999, "< 0.1 s", "< 0,1 s"),
        (100_000, "0:00:00.1", "0:00:00,1"),
        (59_900_000, "0:00:59.9", "0:00:59,9"),
        (36_000_000_000, "10:00:00", "10:00:00"),
    ],
)
def test_a_length_is_said_in_hours_minutes_and_seconds(duration_us: int, english: str, french: str) -> None:
    """TI-44."""
    assert [length(duration_us, Words(one)) for one in ("en", "fr")] == [english, french]


@pytest.mark.parametrize(
    ("part", "text"), [(0, "0.0 %"), (1, "0.1 %"), (500_000, "50.0 %"), (999_999, "99.9 %"), (1_000_000, "100.0 %")]
)
def test_a_share_is_nothing_or_all_only_when_it_is(part: int, text: str) -> None:
    """TI-44."""
    shown = [share(part, 1_000_000, Words(one)) for one in ("en", "fr")]
    assert shown == [text, text.replace(".", ",")]


def test_no_number_of_the_french_drawing_and_text_has_a_decimal_point(
    shift: Any, hard_day: Callable[[Any], None]
) -> None:
    """TI-44: neither a share, nor a length, nor by how much a clock was set."""
    hard_day(shift)
    timeline = read_timeline(shift.entries())
    for language, sign in (("en", "."), ("fr", ",")):
        words = Words(language)
        picture = "".join(ET.fromstring(draw_svg(timeline, words, zone=timezone.utc)).itertext())
        for said in (picture, draw(timeline, words, zone=timezone.utc)):
            assert set(re.findall(r"\d([.,])\d", said)) == {sign}
            assert re.search(r"\d.\d %", said)
            assert re.search(r"-7.\d\d\d s", said)
