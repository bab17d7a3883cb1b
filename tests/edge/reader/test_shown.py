"""What `vedette read` says of plates, as JSON and in the table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge.reader.detect import Detection
from edge.reader.gate import Judged, Reason, Verdict
from edge.reader.ocr import Alternative, Character, PlateText
from edge.reader.reads import Counters, Fate, Gone, Passage
from edge.reader.shown import WIDTHS, Shown, counted_json, fields_of, gone_json, gone_row, heading, row

CORNERS = ((10.04, 20.0), (110.0, 20.0), (110.0, 45.0), (10.0, 45.0))
DETECTION = Detection(corners_px=CORNERS, confidence_permille=900)


def text(written: str = "12345|أ|6", confidence: int = 874) -> PlateText:
    other = Alternative(text="12346|أ|6", region="MA", confidence_permille=60)
    return PlateText(
        text=written, text_ascii="12345A6", region="MA", confidence_permille=confidence, alternatives=(other,)
    )


def shown(verdict: Verdict, reason: Reason | None = None, **more: int) -> Shown:
    plate = text() if verdict in (Verdict.READ, Verdict.UNSURE) else None
    return Shown(detection=DETECTION, plate=plate, judged=Judged(verdict=verdict, reason=reason), **more)


@pytest.mark.parametrize(
    ("verdict", "reason", "said"),
    [
        (Verdict.READ, None, ("read", None)),
        (Verdict.UNSURE, Reason.SHAPE, ("unsure", "shape")),
        (Verdict.TOO_SMALL, Reason.HEIGHT, ("too_small", "height")),
        (Verdict.NO_TEXT, Reason.TEXT, ("unsure", "text")),
    ],
)
def test_verdict_is_one_of_three_words_with_its_reason(
    verdict: Verdict, reason: Reason | None, said: tuple[str, str | None]
) -> None:
    """HT-37."""
    found = shown(verdict, reason).to_json()
    assert (found["verdict"], found["reason"]) == said


def test_plate_of_a_picture_has_the_places_of_the_file_when_it_was_decoded_smaller() -> None:
    found = shown(Verdict.READ, reduction=4).to_json()
    assert found["box_px"] == [40, 80, 440, 180]
    assert found["corners_px"] == [[40.2, 80.0], [440.0, 80.0], [440.0, 180.0], [40.0, 180.0]]
    assert found["alternatives"] == [{"text": "12346|أ|6", "confidence_permille": 60}]
    assert "track" not in found


def test_each_character_is_told_with_what_else_may_stand_in_its_place() -> None:
    """HT-45."""
    sure = Character(symbol="8", confidence_permille=610, alternatives=(("B", 300), ("3", 40)))
    plate = replace(text(), characters=(sure, Character(symbol="أ", confidence_permille=990, alternatives=())))
    looked = replace(shown(Verdict.READ), plate=plate).to_json()
    assert looked["characters"] == [
        {"text": "8", "permille": 610, "others": [{"text": "B", "permille": 300}, {"text": "3", "permille": 40}]},
        {"text": "أ", "permille": 990, "others": []},
    ]
    assert shown(Verdict.TOO_SMALL, Reason.HEIGHT).to_json()["characters"] == []


def test_a_country_stands_in_json_and_table_only_where_no_other_fits() -> None:
    """HT-44."""
    american = replace(text("FIA2041"), region="")
    found = replace(shown(Verdict.READ), plate=american).to_json()
    assert (found["region"], found["regions"]) == ("", ["BR", "DE", "GR", "PL", "US"])
    only = replace(text("1AB234"), region="")
    found = replace(shown(Verdict.READ), plate=only).to_json()
    assert (found["region"], found["regions"]) == ("US", ["US"])
    assert row("car.jpg", only, "read").split()[2] == "US"
    assert shown(Verdict.TOO_SMALL, Reason.HEIGHT).to_json()["regions"] == []


def test_plate_of_a_video_has_its_track_and_looks() -> None:
    found = shown(Verdict.READ, track=3, looks=5).to_json()
    assert (found["track"], found["looks"]) == (3, 5)


@pytest.mark.parametrize(
    ("written", "fields"),
    [
        ("12345|أ|6", {"serial": "12345", "letter": "أ", "prefecture": "6"}),
        ("609008|WW", {"serial": "609008", "letter": "WW", "prefecture": None}),
        ("LS15EBC", None),
        ("", None),
    ],
)
def test_fields_are_those_of_moroccan_plates_only(written: str, fields: dict[str, str | None] | None) -> None:
    assert fields_of(written) == fields


def test_rows_stand_under_their_heads_and_long_names_keep_their_end() -> None:
    rows = [heading(), shown(Verdict.READ).to_row("car.jpg"), row("/a/very/long" * 9 + "/car.jpg", None, "no plate")]
    starts = [sum(WIDTHS[:column]) + 2 * column for column in range(len(WIDTHS))]
    assert [rows[0][start:].split()[0] for start in starts] == ["picture", "plate", "country", "sure", "verdict"]
    assert [rows[1][start:].split()[0] for start in starts] == ["car.jpg", "12345|أ|6", "MA", "87", "read"]
    assert rows[2].startswith("…") and "/car.jpg" in rows[2] and rows[2].endswith("no plate")


@pytest.mark.parametrize(
    ("fate", "said"),
    [
        (Fate.TOO_SMALL, ("too_small", "height")),
        (Fate.UNSURE, ("unsure", "confidence")),
        (Fate.NO_TEXT, ("unsure", "text")),
        (Fate.NO_CONSENSUS, ("unsure", "consensus")),
    ],
)
def test_plate_that_left_without_a_read_says_why(fate: Fate, said: tuple[str, str]) -> None:
    """HT-41."""
    passage = Passage(track=2, first_seen_us=40_000, last_seen_us=900_000, pictures=9, votes=1, unsure=3)
    gone = Gone(passage=passage, fate=fate, consensus=None)
    found = gone_json(Path("clip.mp4"), gone)
    assert (found["verdict"], found["reason"], found["text"], found["looks"]) == (*said, "", 0)
    assert (found["first_ms"], found["last_ms"], found["pictures"]) == (40, 900, 9)
    assert found["rejected"] == {"too_small": 0, "unsure": 3, "no_text": 0, "other_text": 1}
    assert gone_row("clip.mp4", gone).endswith(said[0])


def test_a_video_ends_with_its_counts() -> None:
    """HT-41."""
    counters = Counters(frames=9, plates_read=2, rejected_too_small=1, rejected_no_consensus=4)
    assert counted_json(Path("clip.mp4"), counters, 12.34) == {
        "file": "clip.mp4",
        "frames": 9,
        "plates_read": 2,
        "rejected": {"too_small": 1, "unsure": 0, "no_text": 0, "no_consensus": 4},
        "ms": 12.3,
    }
