"""Folders of bundles of which one says that lines had not come to the centre, and what must be said of them."""

import dataclasses
from pathlib import Path

from good_bundle import ITEM, OTHER_ITEM, keys, parts
from good_heads import head, lines, told, with_heads

from vedette import bundle, custody_entry
from vedette.bundle import BundleParts
from vedette.custody_entry import parse_line

ELSEWHERE = "they stand in other bundles here"
FIRST = f"first.zip/{ITEM}.heads"


def _other(journal: list[bytes]) -> BundleParts:
    made = parts(manifest={"kind": "hit", "item": OTHER_ITEM, "recording": None, "activation": None})
    return dataclasses.replace(made, journal=journal)


def _another_last() -> list[bytes]:
    *before, last = lines()
    changed = dataclasses.replace(parse_line(last), event="camera.fault")
    return [*before[4:], custody_entry.sign_entry(changed, keys()[1]).line]


def cases() -> dict[str, tuple[tuple[BundleParts, ...], bool]]:
    """name → (bundles, whether the first one's lines are missed); its journal ends at line 4, signed for are 9."""
    owed, held = with_heads(told(head(9)), to=4), with_heads(told(head(9)))
    return {
        "alone-and-the-centre-has-them": ((held,), False),
        "alone-and-had-not-come": ((owed,), True),
        "all-in-another": ((owed, _other(lines()[4:])), False),
        "one-in-none": ((owed, _other(lines()[5:])), True),
        "last-in-none": ((owed, _other(lines()[4:8])), True),
        "last-is-another-line": ((owed, _other(_another_last())), True),
        "no-line-here": ((dataclasses.replace(held, journal=[]),), True),
    }


def lay(folder: Path, bundles: tuple[BundleParts, ...]) -> Path:
    """Write them as zips into the new folder."""
    folder.mkdir()
    for name, made in zip(("first.zip", "second.zip"), bundles, strict=False):
        bundle.make(folder / name, made)
    return folder
