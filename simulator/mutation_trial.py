"""Tries mutations of an item and of a bundle on the verifier and keeps what it missed.

Decided here: what is damaged how often, and what counts as caught: a failed check with a defined exit code, never a
crash. What counts as located is `simulator.located`, what is exchanged in several files at once `simulator.forgeries`,
which bundles are taken out of an exported recording `simulator.taken_parts`, what is done to a redacted
copy that left without its original `simulator.redacted_alone`, and where the item lies `simulator.subjects`.
"""

from __future__ import annotations

import io
import random
import resource
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from simulator.forgeries import forge
from simulator.located import Good, why_vague
from simulator.mutations import Mutant, mutate
from simulator.redacted_alone import change
from simulator.subjects import Subjects
from simulator.taken_parts import take, why_not_told
from vedette import bundle
from vedette.bundle import LISTING, README
from vedette.errors import Integrity, NotTrusted, VedetteError
from vedette.findings import Report

FORMS = ("item", "folder", "relisted", "zip", "recording", "redacted")
CAUGHT = (Integrity.exit_code, NotTrusted.exit_code)
FORGED, TRAVELLING, SETS, ALONE = 0.2, 0.1, 0.03, 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Miss:
    """A mutation that was not caught, not located, or broke the verifier."""

    form: str
    file: str
    how: str
    first: int
    why: str
    data: bytes = field(repr=False)


@dataclass(kw_only=True, slots=True)
class Tally:
    """What a run has tried so far. `grown_bytes` is how much the process's largest memory grew."""

    tried: Counter[tuple[str, str]] = field(default_factory=Counter)
    missed: list[Miss] = field(default_factory=list)
    seconds: float = 0.0
    grown_bytes: int = 0

    @property
    def count(self) -> int:
        """How many mutations were tried."""
        return self.tried.total()


def run(*, seed: int, count: int | None = None, seconds: float | None = None) -> Tally:
    """Try `count` mutations, or for `seconds`: on an item in a spool two times in five, else on bundles."""
    rng, tally, started = random.Random(seed), Tally(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="vedette-mutations-") as folder:
        trials = _trials(Subjects.make(Path(folder)), rng)
        next(trials)
        before = _peak_bytes()
        while tally.count < (count or 1 << 62) and time.monotonic() - started < (seconds or 1 << 62):
            form, _file, how, miss = next(trials)
            tally.tried[form, how] += 1
            tally.missed += [miss] if miss else []
        tally.grown_bytes = _peak_bytes() - before
    tally.seconds = time.monotonic() - started
    return tally


def _trials(subjects: Subjects, rng: random.Random) -> Iterator[tuple[str, str, str, Miss | None]]:
    """Endless trials; the first checks that all is well before anything is damaged."""
    good = [
        subjects.check_item(),
        *(subjects.check_bundle(name) for name in ("folder", "relisted", "0.zip", "redacted")),
        subjects.check_travelling("redacted"),
        subjects.check_travelling("0.zip"),
    ]
    subjects.lay_recording(subjects.exported.good)
    good += [subjects.check_bundle("recording"), subjects.check_travelling("recording")]
    bad = [one.message for report in good for one in report.findings if not one.ok]
    if bad:
        raise AssertionError(f"the undamaged specimen does not verify: {bad}")
    yield "", "", "", None
    while True:
        form = "recording" if rng.random() < SETS else rng.choice(("item", *FORMS[:-2]))
        if form != "recording" and rng.random() < ALONE:
            yield _try_redacted(subjects, rng)
        elif form == "recording":
            yield _try_recording(subjects, rng)
        elif form == "zip":
            yield _try_zip(subjects, rng)
        elif rng.random() < FORGED:
            yield _try_forgery(subjects, form, rng)
        else:
            yield _try_file(subjects, form, rng)


def _try_file(subjects: Subjects, form: str, rng: random.Random) -> tuple[str, str, str, Miss | None]:
    names = sorted(subjects.files)
    if form == "item":
        names = [name for name in names if role(name) in ("age", "manifest", "receipt", "proof", "jsonl", "keys")]
    elif form == "relisted":
        names = [name for name in names if name not in (LISTING, README)]
    name = rng.choice([*names, subjects.good.sealed_name])
    mutant = mutate(subjects.files[name], subjects.others(name), rng, is_lines=role(name) == "jsonl")
    while form in ("item", "relisted") and subjects.is_longer_stretch(name, mutant.data):
        mutant = mutate(subjects.files[name], subjects.others(name), rng, is_lines=True)
    with subjects.changed(form, {name: mutant.data}):
        reports = _reports(subjects, form, rng)
    why = _first(why_missed(one, name, mutant, subjects.good, has_key=form == "item") for one in reports)
    return form, name, mutant.how, _miss(form, name, mutant, why)


def _try_forgery(subjects: Subjects, form: str, rng: random.Random) -> tuple[str, str, str, Miss | None]:
    forged = forge(subjects.sources, rng)
    with subjects.changed(form, forged.files):
        reports = _reports(subjects, form, rng)
    why = _first(why_not_named(one, forged.named) for one in reports)
    named = " ".join(sorted(forged.named))
    return form, named, forged.how, _miss(form, named, Mutant(forged.how, b"", 0), why)


def _try_redacted(subjects: Subjects, rng: random.Random) -> tuple[str, str, str, Miss | None]:
    changed = change(subjects, rng)
    with subjects.changed("redacted", changed.files, is_listed=changed.is_listed):
        reports = [_report(check, "redacted") for check in (subjects.check_bundle, subjects.check_travelling)]
    why = _first(why_not_named(one, changed.named) for one in reports)
    named = " ".join(sorted(changed.named))
    return "redacted", named, changed.how, _miss("redacted", named, Mutant(changed.how, b"", 0), why)


def _reports(subjects: Subjects, form: str, rng: random.Random) -> list[Report | BaseException]:
    """What the verifier says and, of some bundles, what the travelling one does."""
    if form == "item":
        return [_report(subjects.check_item)]
    travels = rng.random() < TRAVELLING
    return [_report(check, form) for check in (subjects.check_bundle, subjects.check_travelling)[: 1 + travels]]


def _report(check: Callable[..., Report], *form: str) -> Report | BaseException:
    try:
        return check(*form)
    except Exception as error:  # a verifier that breaks is what is looked for
        return error


def _first(whys: Iterable[str | None]) -> str | None:
    return next((why for why in whys if why is not None), None)


def _try_recording(subjects: Subjects, rng: random.Random) -> tuple[str, str, str, Miss | None]:
    taken = take(subjects.exported, rng)
    subjects.lay_recording(taken.files)
    reports = [_report(check, "recording") for check in (subjects.check_bundle, subjects.check_travelling)]
    why = _first(why_not_told(one, taken, subjects.exported.recording) for one in reports)
    return "recording", "", taken.how, _miss("recording", "", Mutant(taken.how, b"", 0), why)


def _try_zip(subjects: Subjects, rng: random.Random) -> tuple[str, str, str, Miss | None]:
    mutant = mutate(subjects.whole, subjects.other_wholes, rng)
    if mutant.how == "replayed":
        mutant = mutate(subjects.whole, [], rng)  # another whole bundle is a good bundle
    path = subjects.folder / "damaged.zip"
    path.write_bytes(mutant.data)
    owner, start = _owner(subjects.whole, mutant.first)
    end = start + len(subjects.files.get(owner or "", b""))
    inside = Mutant(mutant.how, mutant.data[start:end] if owner else mutant.data, mutant.first - start)
    reports = _reports(subjects, path.name, rng)
    why = _first(why_missed(one, owner, inside, subjects.good, has_key=False) for one in reports)
    return "zip", "", mutant.how, _miss("zip", "", mutant, why)


def why_missed(
    report: Report | BaseException, owner: str | None, mutant: Mutant, good: Good, *, has_key: bool
) -> str | None:
    """None where the mutation of the file `owner` was caught and located; None as `owner` is between a zip's files."""
    if isinstance(report, VedetteError) and report.exit_code in CAUGHT and owner and owner in str(report):
        return None
    if isinstance(report, BaseException):
        return f"CRASH {type(report).__name__}: {report}"
    failed = [one for one in report.findings if not one.ok]
    if not mutant.data and not failed and any(one.absent and one.where == owner for one in report.findings):
        return None  # a journal without a line is said to be absent (BU-12)
    if not failed or report.exit_code not in CAUGHT:
        return "NOT CAUGHT"
    vague = why_vague(report, owner, mutant, good, has_key=has_key)
    return vague and f"not located: {vague}; " + "; ".join(f"{one.where}: {one.message}" for one in failed)


def why_not_named(report: Report | BaseException, names: frozenset[str]) -> str | None:
    """None where failed checks name all of these files."""
    if not isinstance(report, Report):
        return f"CRASH {type(report).__name__}: {report}"
    failed = [one for one in report.findings if not one.ok]
    said = "; ".join(f"{one.where}: {one.message}" for one in failed)
    if not failed or report.exit_code not in CAUGHT:
        return "NOT CAUGHT"
    missing = {name for name in names if not any(name in (one.where, *one.message.split()) for one in failed)}
    return f"{sorted(missing)} not named: {said}" if missing else None


def _miss(form: str, file: str, mutant: Mutant, why: str | None) -> Miss | None:
    if why is None:
        return None
    return Miss(form=form, file=file, how=mutant.how, first=mutant.first, why=why, data=mutant.data)


def _owner(whole: bytes, place: int) -> tuple[str | None, int]:
    """The file whose content is at this byte of the zip and where it starts; (None, 0) between the files."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        for one in archive.infolist():
            start = one.header_offset + 30 + len(one.filename)
            if start <= place < start + one.file_size:
                return one.filename, start
    return None, 0


def role(name: str) -> str:
    """What a file is: the ending of its name, `keys` for the keys."""
    return "keys" if name == bundle.KEYS else name.rpartition(".")[2]


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
