"""Exchanges several files of an item at once, each with a genuine one: what somebody without the keys can do best.

Decided here: the ways, and which files a verifier must then name. Every file put in was made and signed by the product
for another item, another day or another device; what is taken out is taken out of all files that tell of it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vedette.bundle import JOURNAL, KEYS

Files = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Forgery:
    """What was done: new bytes by file name, None where the file is gone, and the files that must be named."""

    how: str
    files: dict[str, bytes | None]
    named: frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """The item's files, and where genuine ones can be taken from: siblings of the same recording, the same device on
    another day, another device. All by the names that the item has for them.
    """

    files: Files
    siblings: Sequence[Files]
    another_day: Files
    another_device: Files

    @property
    def item(self) -> str:
        """The item's id."""
        return next(name for name in self.files if name.endswith(MANIFEST)).removesuffix(MANIFEST)

    def name(self, what: str) -> str:
        """The file's name: `what` is that, or the ending behind the item's id."""
        return what if what in self.files else f"{self.item}{what}"

    def forged(self, how: str, files: Mapping[str, bytes | None], *named: str) -> Forgery:
        """These bytes instead of the item's own, by name or ending."""
        changed = {self.name(what): data for what, data in files.items()}
        return Forgery(how, changed, frozenset(self.name(what) for what in named))

    def of(self, source: Files, *what: str) -> dict[str, bytes | None]:
        """Another item's files."""
        return {one: source[self.name(one)] for one in what}

    def lines(self) -> list[bytes]:
        """The lines of the item's journal."""
        return self.files[JOURNAL].splitlines(keepends=True)


SEALED, MANIFEST, RECEIPT, PROOF, OPENED = ".segment.age", ".manifest", ".receipt", ".proof", ".mp4"
ALL = (SEALED, MANIFEST, RECEIPT, PROOF, OPENED)
Way = Callable[[Sources, random.Random], Forgery]


def forge(sources: Sources, rng: random.Random) -> Forgery:
    """The item forged in one drawn way."""
    return rng.choice(WAYS)(sources, rng)


def _another_film(sources: Sources, rng: random.Random) -> Forgery:
    return sources.forged("sealed file of a sibling", sources.of(rng.choice(sources.siblings), SEALED), SEALED)


def _another_film_and_manifest(sources: Sources, rng: random.Random) -> Forgery:
    taken = sources.of(rng.choice(sources.siblings), SEALED, MANIFEST)
    return sources.forged("sealed file and manifest of a sibling", taken, MANIFEST)


def _all_but_the_journal(sources: Sources, rng: random.Random) -> Forgery:
    return sources.forged("all but the journal of a sibling", sources.of(rng.choice(sources.siblings), *ALL), MANIFEST)


def _all_of_a_sibling(sources: Sources, rng: random.Random) -> Forgery:
    return sources.forged("all of a sibling", sources.of(rng.choice(sources.siblings), *ALL, JOURNAL), MANIFEST)


def _all_of_another_device(sources: Sources, rng: random.Random) -> Forgery:
    taken = sources.of(sources.another_device, *ALL, JOURNAL, KEYS)
    return sources.forged("all of another device", taken, MANIFEST)


def _manifest_and_journal(sources: Sources, rng: random.Random) -> Forgery:
    taken = sources.of(rng.choice(sources.siblings), MANIFEST, JOURNAL)
    return sources.forged("manifest and journal of a sibling", taken, MANIFEST)


def _receipt_and_proof(sources: Sources, rng: random.Random) -> Forgery:
    taken = sources.of(rng.choice(sources.siblings), RECEIPT, PROOF)
    return sources.forged("receipt and proof of a sibling", taken, RECEIPT, PROOF)


def _journal_of_a_sibling(sources: Sources, rng: random.Random) -> Forgery:
    return sources.forged("journal of a sibling", sources.of(rng.choice(sources.siblings), JOURNAL), JOURNAL)


def _journal_of_another_day(sources: Sources, rng: random.Random) -> Forgery:
    return sources.forged("journal of another day", sources.of(sources.another_day, JOURNAL), JOURNAL)


def _journal_of_another_device(sources: Sources, rng: random.Random) -> Forgery:
    return sources.forged("journal of another device", sources.of(sources.another_device, JOURNAL), JOURNAL)


def _checkpoint_out(sources: Sources, rng: random.Random) -> Forgery:
    """A checkpoint, and the bytes that it and no other proves."""
    lines = sources.lines()
    at, start, end = _stretch(lines, rng)
    film = sources.files[sources.name(SEALED)]
    changed = {SEALED: film[:start] + film[end:], JOURNAL: b"".join(lines[:at] + lines[at + 1 :])}
    return sources.forged("checkpoint and its bytes taken out", changed, SEALED, JOURNAL)


def _checkpoint_of_a_sibling(sources: Sources, rng: random.Random) -> Forgery:
    """The bytes up to a checkpoint, and its line, are those of a sibling."""
    sibling, lines = rng.choice(sources.siblings), sources.lines()
    at, _start, end = _stretch(lines, rng)
    lines[at] = next(one for one in sibling[JOURNAL].splitlines(keepends=True) if _offset(one))
    film, other = sources.files[sources.name(SEALED)], sibling[sources.name(SEALED)]
    changed = {SEALED: other[:end] + film[end:], JOURNAL: b"".join(lines)}
    return sources.forged("checkpoint and its bytes of a sibling", changed, SEALED, JOURNAL)


def _tail_off(sources: Sources, rng: random.Random) -> Forgery:
    """All behind a checkpoint is gone from the film and from the journal, which agree."""
    lines = sources.lines()
    at, _start, end = _stretch(lines, rng)
    changed = {SEALED: sources.files[sources.name(SEALED)][:end], JOURNAL: b"".join(lines[: at + 1])}
    return sources.forged("tail of film and journal taken off", changed, SEALED, JOURNAL)


def _stretch(lines: Sequence[bytes], rng: random.Random) -> tuple[int, int, int]:
    """The place of a drawn checkpoint among `lines`, and from which byte to which it proves the sealed file."""
    places = [number for number, line in enumerate(lines) if _offset(line)]
    at = rng.choice(places)
    before = [_offset(lines[place]) for place in places if place < at]
    return at, before[-1] if before else 0, _offset(lines[at])


def _offset(line: bytes) -> int:
    """Where in the sealed file the checkpoint in this line stands, 0 where it is none."""
    offset = json.loads(line)["detail"].get("offset", 0)
    return int(offset)


WAYS: tuple[Way, ...] = (
    _another_film,
    _another_film_and_manifest,
    _all_but_the_journal,
    _all_of_a_sibling,
    _all_of_another_device,
    _manifest_and_journal,
    _receipt_and_proof,
    _journal_of_a_sibling,
    _journal_of_another_day,
    _journal_of_another_device,
    _checkpoint_out,
    _checkpoint_of_a_sibling,
    _tail_off,
)
