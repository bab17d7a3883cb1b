"""Tries mutations of an item and of a bundle on the verifier and keeps what it missed.

An item lies in a spool, in a bundle's folder or in its zip, or in a folder that was listed and signed anew over the
damage, so that what its own signatures, hashes, witnesses and redaction record say is all that can find it.

Decided here: what counts as caught (a failed check with a defined exit code, never a crash) and as located: the failed
check names the damaged file; inside the sealed file it names a stretch between two custody checkpoints in which the
damage begins, or the byte where the file departs from what was signed.
"""

from __future__ import annotations

import io
import random
import re
import resource
import tempfile
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from simulator.mutations import Mutant, mutate
from simulator.specimen import Maker, make_specimen, new_maker
from vedette import bundle, bundle_verify
from vedette.bundle import BUNDLE, LISTING, README, Listing
from vedette.bundle_verify import Asked
from vedette.errors import VedetteError
from vedette.evidence_item import Vouched, verify_item
from vedette.findings import Finding, Report
from vedette.records import sign_record

SPECIMEN_BYTES = 150_000
FORMS = ("item", "folder", "relisted", "zip")
_STRETCH = re.compile(r"between byte (\d+) and byte (\d+)")
_PLACE = re.compile(r"(?:from byte|\(byte|at byte) (\d+)")


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


def run(
    *, seed: int, count: int | None = None, seconds: float | None = None, size_bytes: int = SPECIMEN_BYTES
) -> Tally:
    """Try `count` mutations, or for `seconds`: on an item in a spool two times in five, else on bundles."""
    rng, tally, started = random.Random(seed), Tally(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="vedette-mutations-") as folder:
        trials = _trials(Subjects.make(Path(folder), size_bytes), rng)
        next(trials)
        before = _peak_bytes()
        while tally.count < (count or 1 << 62) and time.monotonic() - started < (seconds or 1 << 62):
            form, _file, how, miss = next(trials)
            tally.tried[form, how] += 1
            tally.missed += [miss] if miss else []
        tally.grown_bytes = _peak_bytes() - before
    tally.seconds = time.monotonic() - started
    return tally


@dataclass(frozen=True, kw_only=True, slots=True)
class Subjects:
    """One good item as a spool and as a bundle has it, with two others of the same device to take bytes from."""

    folder: Path
    item: str
    maker: Maker
    files: dict[str, bytes]
    whole: bytes
    donor_files: dict[str, list[bytes]]
    donor_wholes: list[bytes]

    @classmethod
    def make(cls, folder: Path, size_bytes: int) -> Subjects:
        """Make all of it under `folder`."""
        maker = new_maker()
        wholes = [_bundle(maker, folder / f"{number}.zip", size_bytes, number) for number in range(3)]
        good, *others = [_unzipped(whole) for whole in wholes]
        item = next(name for name in good if name.endswith(".manifest")).removesuffix(".manifest")
        donors = {
            name: [data for other in others for theirs, data in other.items() if _role(theirs) == _role(name)]
            for name in good
        }
        for form in ("item", "folder", "relisted"):
            (folder / form).mkdir()
            for name, data in good.items():
                (folder / form / name).write_bytes(data)
        return cls(
            folder=folder,
            item=item,
            maker=maker,
            files=good,
            whole=wholes[0],
            donor_files=donors,
            donor_wholes=wholes[1:],
        )

    def check_item(self) -> Report:
        """What the verifier says of the item as it lies in a spool."""
        place = self.folder / "item"
        vouched = Vouched(trust=self.maker.trust, journal=place / bundle.JOURNAL, policy=self.maker.policy)
        return verify_item(place / f"{self.item}.segment.age", vouched)

    def check_bundle(self, name: str) -> Report:
        """What the verifier says of the bundle of this name in `folder`."""
        asked = Asked(policy=self.maker.policy, redactor=self.maker.redactor.public)
        return bundle_verify.verify(self.folder / name, self.maker.trust, asked=asked)

    def list_anew(self, name: str, data: bytes) -> None:
        """Have the centre list and sign these bytes as the file of this name, in the folder `relisted`."""
        good = Listing.peek(self.files[LISTING])
        own = {"size": len(data), "sha256": sha256(data).hexdigest(), "crc32": zlib.crc32(data)}
        files = tuple(replace(one, **own) if one.name == name else one for one in good.files)  # type: ignore[arg-type]
        record = sign_record(BUNDLE, replace(good, files=files).to_body(), self.maker.centre)
        (self.folder / "relisted" / LISTING).write_bytes(record)


def _trials(subjects: Subjects, rng: random.Random) -> Iterator[tuple[str, str, str, Miss | None]]:
    """Endless trials; the first checks that all is well before anything is damaged."""
    good = [
        subjects.check_item(),
        *(subjects.check_bundle(name) for name in ("folder", "relisted", "0.zip")),
    ]
    bad = [one.message for report in good for one in report.findings if not one.ok]
    if bad:
        raise AssertionError(f"the undamaged specimen does not verify: {bad}")
    yield "", "", "", None
    while True:
        form = rng.choice(("item", *FORMS))
        yield _try_zip(subjects, rng) if form == "zip" else _try_file(subjects, form, rng)


def _try_file(subjects: Subjects, form: str, rng: random.Random) -> tuple[str, str, str, Miss | None]:
    names = sorted(subjects.files)
    if form == "item":
        names = [name for name in names if _role(name) in ("age", "manifest", "receipt", "proof", "jsonl", "keys")]
    elif form == "relisted":
        names = [name for name in names if name not in (LISTING, README)]
    name = rng.choice([*names, f"{subjects.item}.segment.age"])
    mutant = mutate(subjects.files[name], subjects.donor_files[name], rng, is_lines=_role(name) == "jsonl")
    path = subjects.folder / form / name
    path.write_bytes(mutant.data)
    if form == "relisted":
        subjects.list_anew(name, mutant.data)
    try:
        report = _report(subjects, form)
    finally:
        path.write_bytes(subjects.files[name])
    why = _why_missed(report, name, mutant)
    return form, name, mutant.how, _miss(form, name, mutant, why)


def _report(subjects: Subjects, form: str) -> Report | BaseException:
    try:
        if form == "item":
            return subjects.check_item()
        return subjects.check_bundle(form)
    except Exception as error:  # a verifier that breaks is what is looked for
        return error


def _try_zip(subjects: Subjects, rng: random.Random) -> tuple[str, str, str, Miss | None]:
    mutant = mutate(subjects.whole, subjects.donor_wholes, rng)
    if mutant.how == "replayed":
        mutant = mutate(subjects.whole, [], rng)  # another whole bundle is a good bundle
    path = subjects.folder / "damaged.zip"
    path.write_bytes(mutant.data)
    report = _report(subjects, path.name)
    owner, start = _owner(subjects.whole, mutant.first)
    inside = Mutant(mutant.how, mutant.data, mutant.first - start)
    why = _why_missed(report, owner, inside)
    return "zip", "", mutant.how, _miss("zip", "", mutant, why)


def _why_missed(report: Report | BaseException, owner: str | None, mutant: Mutant) -> str | None:
    """None where the mutation was caught and located."""
    if isinstance(report, VedetteError):
        names = owner is None or owner.rpartition(".")[0] in str(report) or "journal" in str(report)
        return None if names and report.exit_code in (3, 10, 11) else f"refused without its place: {report}"
    if isinstance(report, BaseException):
        return f"CRASH {type(report).__name__}: {report}"
    failed = [one for one in report.findings if not one.ok]
    if not mutant.data and not failed and any(one.absent and one.where == owner for one in report.findings):
        return None  # a journal without a line is said to be absent (BU-12)
    if not failed or report.exit_code not in (10, 11):
        return "NOT CAUGHT"
    if owner is not None and owner.endswith(".age") and not _in_a_stretch(failed, mutant):
        return "not located: " + "; ".join(one.message for one in failed)
    is_named = owner is None or any(one.where == owner for one in failed)
    is_container = any(one.what in ("bundle", "container", "listing") for one in failed)
    return None if is_named or is_container else "another file is named: " + ", ".join(one.where for one in failed)


def _in_a_stretch(failed: list[Finding], mutant: Mutant) -> bool:
    """Whether a failed check names a stretch or byte in which the sealed file's damage begins."""
    for one in failed:
        if one.what in ("bundle", "container", "listing"):
            return True
        stretch, place = _STRETCH.search(one.message), _PLACE.search(one.message)
        if stretch and one.what == "checkpoints" and int(stretch[1]) <= mutant.first <= int(stretch[2]):
            return True
        if place and int(place[1]) <= mutant.first:
            return True
    return False


def _miss(form: str, file: str, mutant: Mutant, why: str | None) -> Miss | None:
    if why is None:
        return None
    return Miss(form=form, file=file, how=mutant.how, first=mutant.first, why=why, data=mutant.data)


def _bundle(maker: Maker, path: Path, size_bytes: int, seed: int) -> bytes:
    bundle.make(path, make_specimen(maker, size_bytes=size_bytes, seed=seed))
    return path.read_bytes()


def _unzipped(whole: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _owner(whole: bytes, place: int) -> tuple[str | None, int]:
    """The file whose content is at this byte of the zip and where it starts; (None, 0) between the files."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        for one in archive.infolist():
            start = one.header_offset + 30 + len(one.filename)
            if start <= place < start + one.file_size:
                return one.filename, start
    return None, 0


def _role(name: str) -> str:
    return "keys" if name == bundle.KEYS else name.rpartition(".")[2]


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
