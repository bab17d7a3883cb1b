"""Changes a bundle in which a redacted copy left without its original: what is exchanged, added or taken out.

Decided here: the ways, which files a verifier must then name, and whether the centre has listed and signed anew what
there is then, so that what the record, the manifest and the hashes say is all that can find the change.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from simulator.mutations import mutate
from simulator.subjects import Subjects

COPY, RECORD, PLAN = ".redacted.mp4", ".redaction", ".plan.toml"
ORIGINALS = (".segment.age", ".mp4")


@dataclass(frozen=True, slots=True)
class Changed:
    """What was done: the bytes that lie in the bundle then (None: gone), what must be named, whether it is listed."""

    how: str
    files: dict[str, bytes | None]
    named: frozenset[str]
    is_listed: bool = True


Way = Callable[[Subjects, random.Random], Changed]


def change(subjects: Subjects, rng: random.Random) -> Changed:
    """The bundle changed in one drawn way."""
    return rng.choice(WAYS)(subjects, rng)


def _copy_swapped(subjects: Subjects, rng: random.Random) -> Changed:
    """The copy of another item, in the place of this one's."""
    name = subjects.item + COPY
    return Changed("copy swapped", {name: rng.choice(subjects.others(name))}, frozenset({name}))


def _copy_and_record_swapped(subjects: Subjects, rng: random.Random) -> Changed:
    """Copy, record and plan of another item: they hold among themselves and are of another parent."""
    other = rng.choice((*subjects.sources.siblings, subjects.sources.another_day))
    files = {subjects.item + end: other[subjects.item + end] for end in (COPY, RECORD, PLAN)}
    return Changed("copy, record and plan swapped", dict(files), frozenset({subjects.item + RECORD}))


def _file_changed(subjects: Subjects, rng: random.Random) -> Changed:
    """Copy, record or plan damaged in any way."""
    name = subjects.item + rng.choice((COPY, RECORD, PLAN))
    mutant = mutate(subjects.alone[name], [], rng)
    return Changed("copy, record or plan damaged", {name: mutant.data}, frozenset({name}))


def _original_added(subjects: Subjects, rng: random.Random) -> Changed:
    """The original's file, which the centre left out, put in by whoever has it."""
    name = subjects.item + rng.choice(ORIGINALS)
    return Changed("original added", {name: subjects.files[name]}, frozenset({name}), is_listed=False)


def _another_original_added(subjects: Subjects, rng: random.Random) -> Changed:
    """Another item's file as this one's original, listed."""
    name = subjects.item + rng.choice(ORIGINALS)
    return Changed("another original added", {name: rng.choice(subjects.others(name))}, frozenset({name}))


WAYS: tuple[Way, ...] = (
    _copy_swapped,
    _copy_and_record_swapped,
    _file_changed,
    _original_added,
    _another_original_added,
)
