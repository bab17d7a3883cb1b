"""Writes a folder of pages with every error of our models: the picture, the cut plate, what was read and why not shown.

The pages hold real plates.  They are written only where somebody names a folder, never over somebody else's files, and
with a note that keeps the folder out of git.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from models.evaluate import marks, page
from models.evaluate.errors import Case, cases_of
from models.evaluate.ours import luma_of
from models.evaluate.scoring import Verdict
from vedette.errors import Refused

OPTION_HELP = (
    "write pages with every error into this folder; they show real plates: keep them to yourself and delete them "
    "after use"
)
INDEX = "index.html"
PICTURES = "pictures"
MAX_CASES_OF_SET = 2000


def write(folder: Path, verdicts: Sequence[Verdict]) -> str:
    """Writes the pages into `folder` and returns a sentence about them; `Refused` where it holds anything else."""
    _prepare(folder)
    entries = []
    for number, name in enumerate(dict.fromkeys(one.picture.set for one in verdicts), start=1):
        mine = [one for one in verdicts if one.picture.set == name]
        cases = cases_of(mine)
        stem = f"{number}-{re.sub(r'[^A-Za-z0-9_-]+', '-', name)}"
        cards = [_card(folder, stem, place, case) for place, case in enumerate(cases[:MAX_CASES_OF_SET], start=1)]
        (folder / f"{stem}.html").write_text(page.set_page(name, cards), encoding="utf-8")
        entries.append(
            page.Entry(
                set=name,
                page=f"{stem}.html",
                pictures=len(mine),
                plates=sum(len(one.plates) for one in mine),
                counts=dict(Counter(case.kind for case in cases)),
            )
        )
    (folder / INDEX).write_text(page.index(entries), encoding="utf-8")
    return f"{folder / INDEX}: shows real plates; keep it on this machine and delete it after use"


def _prepare(folder: Path) -> None:
    """Makes the folder, or empties an older gallery in it."""
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / INDEX
    older = index.is_file() and page.MARK in index.read_text(encoding="utf-8", errors="replace")
    if any(folder.iterdir()) and not older:
        raise Refused(f"{folder} holds other files; give --gallery a new folder or an older gallery")
    for stale in folder.glob("*.html"):
        stale.unlink()
    shutil.rmtree(folder / PICTURES, ignore_errors=True)
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")


def _card(folder: Path, stem: str, number: int, case: Case) -> page.Card:
    luma, pixel = luma_of(case.verdict.picture)
    scene, straight = f"{PICTURES}/{stem}/{number}.jpg", f"{PICTURES}/{stem}/{number}-plate.jpg"
    size = marks.save(folder / scene, marks.drawn(case, luma, pixel))
    cut = marks.straight(case, luma, pixel)
    if cut is not None:
        marks.save(folder / straight, cut)
    read = case.read
    return page.Card(
        kind=case.kind,
        file=case.verdict.picture.name,
        truth=case.plate.plate.text if case.plate is not None else None,
        read=read.text if read is not None else None,
        confidence_permille=read.confidence_permille if read is not None else 0,
        alternatives=read.alternatives if read is not None else (),
        why=case.why,
        scene=scene,
        scene_px=size,
        straight=straight if cut is not None else None,
        is_crop=case.verdict.picture.kind == "crop",
    )
