"""The cards are filled from what was measured, and nothing else in them changes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from models.evaluate.table import markdown
from models.train import cards
from vedette.errors import Refused

CARD = """# A model

| | |
|---|---|
| sha256 | `old` |
| version | 1 |

Before.
<!-- begin table -->
old
<!-- end table -->
Between.
<!-- begin drawn -->
<!-- end drawn -->
After.
"""
HEADS = (
    "set",
    "pictures",
    "found",
    "exact end to end",
    "serial",
    "shown",
    "right of the shown",
    "stood by",
    "right of those stood by",
    "strays per 100",
    "MB",
)
ROW = ("ma", "5", "f", "e", "s", "h", "r", "b", "q", "y", "9")


def test_hash_and_version_are_replaced() -> None:
    made = cards.named(CARD, sha256="new", version="7")
    assert "| sha256 | `new` |" in made and "| version | 7 |" in made and "old" not in made.split("Before")[0]


def test_only_what_lies_between_its_marks_is_replaced() -> None:
    made = cards.filled(CARD, "table", "\nnew\n")
    assert made == CARD.replace("old\n<!-- end", "new\n<!-- end")
    assert cards.filled(made, "table", "new") == made
    assert cards.filled(CARD, "calibration", "new") == CARD


@pytest.mark.parametrize(
    "broken", [CARD.replace("<!-- end table -->", ""), CARD + "<!-- begin table -->\n<!-- end table -->"]
)
def test_marks_that_do_not_pair_are_refused(broken: str) -> None:
    with pytest.raises(Refused, match="begin table"):
        cards.filled(broken, "table", "new")


def test_each_card_shows_its_own_columns() -> None:
    reports = {"table": markdown(HEADS, [ROW]) + "\nA legend | with a bar.\n"}
    (detector,) = cards.tables_of(cards.contents("detector", reports)["table"])
    (reader,) = cards.tables_of(cards.contents("reader", reports)["table"])
    assert detector == [["set", "pictures", "found", "strays per 100", "MB"], ["ma", "5", "f", "y", "9"]]
    assert reader[1] == ["ma", "e", "s", "h", "r", "b", "q"]


def test_every_card_is_filled_with_what_was_measured_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in cards.NAMES:
        (tmp_path / f"{name}.md").write_text(CARD, encoding="utf-8")
    (tmp_path / "table.md").write_text(markdown(HEADS, [ROW]), encoding="utf-8")
    monkeypatch.setattr(cards, "find_model", lambda name: SimpleNamespace(sha256=f"{name} hash", version="9"))
    cards.run(tmp_path, tmp_path)
    made = (tmp_path / "reader.md").read_text(encoding="utf-8")
    assert "`reader hash`" in made and "| ma  | e " in made and "old" not in made
    assert "<!-- begin drawn -->\n<!-- end drawn -->" in made


@pytest.mark.parametrize(("name", "regions"), [("detector", {"table"}), ("reader", {"table", "calibration", "drawn"})])
def test_the_shipped_cards_mark_where_figures_belong(name: str, regions: set[str]) -> None:
    card = (cards.CARDS / f"{name}.md").read_text(encoding="utf-8")
    assert all(cards.filled(card, region, "new") != card for region in regions)
