"""Other programs' lines, ours in the same form, and those of `vedette read`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from models.evaluate.jsonlines import BadLine
from models.evaluate.peers import Peer, lines, peer_of
from models.evaluate.seen import Guess, Read, Seen

PICTURES = {"ma/a.jpg", "ma/b.jpg"}


def peer(place: Path, *bodies: dict[str, Any]) -> Peer:
    path = place / "peer.jsonl"
    path.write_text("".join(json.dumps(body) + "\n" for body in bodies), encoding="utf-8")
    return peer_of("other", path, PICTURES)


def line(*plates: dict[str, Any], file: str = "ma/a.jpg", **more: object) -> dict[str, Any]:
    return {"file": file, "plates": list(plates), **more}


def test_a_program_says_what_it_saw(tmp_path: Path) -> None:
    found = peer(tmp_path, line({"text": "12A6", "box_px": [1, 2, 3, 4], "confidence": 0.5}, ms=41.5, memory_mb=120))
    seen = found.of("ma/a.jpg")
    assert seen.reads == (Read(text="12A6", confidence_permille=500, shown=True, box_px=(1.0, 2.0, 3.0, 4.0)),)
    assert (seen.ms, seen.memory_mb, seen.on_box) == (41.5, 120.0, None)


def test_a_picture_without_a_line_was_not_read(tmp_path: Path) -> None:
    assert peer(tmp_path, line()).of("ma/b.jpg") == Seen(file="ma/b.jpg", reads=())


@pytest.mark.parametrize("file", ["ma/a.jpg", "/home/x/plates/ma/a.jpg", "./ma/a.jpg", "plates/ma/a.jpg"])
def test_a_file_is_known_by_its_end(tmp_path: Path, file: str) -> None:
    assert set(peer(tmp_path, line(file=file)).seen) == {"ma/a.jpg"}


def test_lines_about_other_files_are_counted_and_left_out(tmp_path: Path) -> None:
    found = peer(tmp_path, line(), line(file="other.jpg"), line(file="a.jpg"))
    assert (set(found.seen), found.strange) == ({"ma/a.jpg"}, 2)


@pytest.mark.parametrize(
    ("given", "permille"), [((0.25, 1.0), (250, 1000)), ((25, 99.5), (250, 995)), ((1, 50), (10, 500))]
)
def test_confidences_are_shares_unless_one_is_above_one(
    tmp_path: Path, given: tuple[float, float], permille: tuple[int, int]
) -> None:
    found = peer(
        tmp_path,
        *(line({"text": "1", "confidence": one}, file=f"ma/{name}.jpg") for one, name in zip(given, "ab", strict=True)),
    )
    assert tuple(found.of(f"ma/{name}.jpg").reads[0].confidence_permille for name in "ab") == permille


def test_the_lines_of_vedette_read_are_shown_by_their_verdict(tmp_path: Path) -> None:
    corners = [[1, 2], [3, 2], [3, 4], [1, 4]]
    plate = {"text": "12|أ|6", "text_ascii": "12A6", "region": "MA", "box_px": [1, 2, 3, 4], "corners_px": corners}
    verdicts = [("read", None), ("unsure", "confidence"), ("too_small", "height")]
    plates = [
        plate | {"confidence_permille": 900, "verdict": verdict, "reason": reason, "fields": None, "alternatives": []}
        for verdict, reason in verdicts
    ]
    reads = peer(tmp_path, line(*plates, frame=0, ms=12.5)).of("ma/a.jpg").reads
    assert [(one.shown, one.reason) for one in reads] == [(True, None), (False, "confidence"), (False, "height")]
    assert reads[0].corners_px == ((1.0, 2.0), (3.0, 2.0), (3.0, 4.0), (1.0, 4.0))


def test_a_file_that_the_program_could_not_read_has_no_plates(tmp_path: Path) -> None:
    assert peer(tmp_path, {"file": "ma/a.jpg", "error": "damaged"}).of("ma/a.jpg").reads == ()


def test_what_we_saw_comes_back_as_it_was_written(tmp_path: Path) -> None:
    corners = ((1.0, 2.0), (3.0, 2.5), (3.0, 4.0), (1.0, 3.5))
    read = Read(
        text="12|أ|6",
        confidence_permille=987,
        shown=True,
        box_px=(1.0, 2.0, 3.0, 4.0),
        corners_px=corners,
        alternatives=(Guess(text="13|أ|6", confidence_permille=9),),
    )
    hidden = Read(text="", confidence_permille=0, shown=False, box_px=None, reason="text")
    seen = Seen(file="ma/a.jpg", reads=(read, hidden), on_box=(read, None), ms=3.25, memory_mb=91.5)
    path = tmp_path / "ours.jsonl"
    path.write_text("\n".join(lines([seen])), encoding="utf-8")
    assert peer_of("again", path, PICTURES).seen == {"ma/a.jpg": seen}


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"plates": []}, "file: is missing"),
        ({"file": "ma/a.jpg"}, "plates: is missing"),
        (line({"text": 5}), "plates[0].text: expected text"),
        (line({"text": "1", "box_px": [1]}), "plates[0].box_px: expected four numbers"),
        (line({"text": "1", "confidence": "high"}), "plates[0].confidence: expected a number"),
        (line({"text": "1", "confidence": -0.1}), "plates[0].confidence: expected a number from 0 to 1"),
        (line({"text": "1", "confidence": 101}), "plates[0].confidence: expected a number from 0 to 100"),
        (line({"text": "1", "confidence_permille": 1001}), "plates[0].confidence_permille: expected a number"),
        (line({"text": "1", "shown": 1}), "plates[0].shown: expected true or false"),
        (line(ms=-1), "ms: expected a number of 0 or more"),
        (line(on_box={}), "on_box: expected a list"),
        ({"file": "ma/a.jpg", "plates": [None]}, "plates: an entry is null"),
    ],
)
def test_a_fault_is_told_by_file_line_and_field(tmp_path: Path, body: dict[str, Any], fault: str) -> None:
    with pytest.raises(BadLine) as caught:
        peer(tmp_path, line(file="ma/b.jpg"), body)
    assert str(caught.value).startswith(f"{tmp_path / 'peer.jsonl'}, line 2: ")
    assert fault in str(caught.value)


def test_a_picture_may_have_one_line_only(tmp_path: Path) -> None:
    with pytest.raises(BadLine, match=r"line 2: file: ma/a\.jpg stands in an earlier line already"):
        peer(tmp_path, line(), line(file="elsewhere/ma/a.jpg"))
