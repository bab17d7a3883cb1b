"""One good item as a spool and as a bundle has it, and what the verifiers say of it once some of it is changed.

Decided here: an item lies in a spool, in a bundle's folder or in its zip, or in a folder that is listed and signed anew
over what was changed, so that what its own signatures, hashes, witnesses and redaction record say is all that can find
the change.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from simulator.forgeries import Sources
from simulator.located import Good
from simulator.specimen import ORIGIN, Maker, make_specimens, new_maker
from simulator.taken_parts import Exported
from vedette import bundle, bundle_folder, bundle_verify
from vedette.bundle import BUNDLE, LISTING, Listing
from vedette.bundle_verify import Asked
from vedette.evidence_item import Vouched, verify_item
from vedette.findings import Finding, Report
from vedette.records import peek_manifest, sign_record
from vedette.verifier import command
from vedette.verifier.witnesses import policy_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Subjects:
    """One good item as a spool and as a bundle has it, the second of three of one recording, with others to take bytes
    from (see `Sources`). `alone` are the files of its redacted copy's bundle without the original.
    """

    folder: Path
    item: str
    maker: Maker
    files: dict[str, bytes]
    alone: dict[str, bytes]
    whole: bytes
    good: Good
    sources: Sources
    other_wholes: tuple[bytes, ...]
    exported: Exported

    @classmethod
    def make(cls, folder: Path) -> Subjects:
        """Make all of it under `folder`."""
        maker = new_maker()
        made = make_specimens(maker, folder)
        first, target, last = made.siblings
        parts = (target, first, last, made.another_day, made.another_device)
        wholes = [bundle.make(folder / f"{number}.zip", one).read_bytes() for number, one in enumerate(parts)]
        good, *others = [_unzipped(whole) for whole in wholes]
        item = _item_of(good)
        renamed = [{name.replace(_item_of(one), item): data for name, data in one.items()} for one in others]
        (folder / "recording").mkdir()
        alone = _unzipped(
            bundle.make(folder / "alone.zip", replace(target, sealed=None, opened=None, marks=None)).read_bytes()
        )
        for form in ("item", "folder", "relisted", "redacted"):
            (folder / form).mkdir()
            for name, data in (alone if form == "redacted" else good).items():
                (folder / form / name).write_bytes(data)
        return cls(
            alone=alone,
            folder=folder,
            item=item,
            maker=maker,
            files=good,
            whole=wholes[0],
            good=Good.of(good, sealed_name=f"{item}.segment.age", journal_name=bundle.JOURNAL),
            sources=Sources(files=good, siblings=renamed[:2], another_day=renamed[2], another_device=renamed[3]),
            other_wholes=tuple(wholes[1:]),
            exported=Exported(
                recording=peek_manifest(target.manifest).recording or "",
                wholes=(wholes[1], wholes[0], wholes[2]),
                another_day=wholes[3],
            ),
        )

    def others(self, name: str) -> list[bytes]:
        """What the other items have as this file, where it is not the same."""
        sources = self.sources
        found = [one[name] for one in (*sources.siblings, sources.another_day, sources.another_device)]
        return [one for one in found if one != self.files[name]]

    def is_longer_stretch(self, name: str, data: bytes) -> bool:
        """Whether `data` is the item's journal with genuine lines of the same chain before or behind it.

        That is more of the truth and no damage: in a bundle where the centre has signed for it (BU-12), and in a spool,
        whose journal goes on.
        """
        if name != bundle.JOURNAL:
            return False
        before, after = (one[name] for one in self.sources.siblings)
        chain = list(dict.fromkeys((before + self.files[name] + after).splitlines(keepends=True)))
        given = data.splitlines(keepends=True)
        starts = (at for at, line in enumerate(chain) if given and line == given[0])
        return self.files[name] in data and any(chain[at : at + len(given)] == given for at in starts)

    def lay_recording(self, files: dict[str, bytes]) -> None:
        """Have these bundles, and no others, in the folder `recording`."""
        for path in (self.folder / "recording").iterdir():
            path.unlink()
        for name, whole in files.items():
            (self.folder / "recording" / name).write_bytes(whole)

    @contextmanager
    def changed(self, form: str, files: dict[str, bytes | None], *, is_listed: bool = False) -> Iterator[None]:
        """For a while these bytes in place of the good ones, None for a file that is gone; in the folder `relisted`,
        and where `is_listed`, the centre lists and signs what there is then.
        """
        good = self.alone if form == "redacted" else self.files
        try:
            for name, data in files.items():
                self._put(form, name, data)
            if form == "relisted" or is_listed:
                self._put(form, LISTING, self._listed_anew(good, files))
            yield
        finally:
            for name in (*files, LISTING):
                self._put(form, name, good.get(name))

    def _put(self, form: str, name: str, data: bytes | None) -> None:
        path = self.folder / form / name
        if data is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(data)

    def check_item(self) -> Report:
        """What the verifier says of the item as it lies in a spool, to one who has a key that opens it."""
        place = self.folder / "item"
        vouched = Vouched(
            trust=self.maker.trust,
            journal=place / bundle.JOURNAL,
            policy=self.maker.policy,
            identities=[self.maker.opener],
        )
        return verify_item(place / f"{self.item}.segment.age", vouched)

    def check_bundle(self, name: str) -> Report:
        """What the verifier says of the bundle of this name in `folder`."""
        asked = Asked(policy=self.maker.policy, redactor=self.maker.redactor.public)
        path = self.folder / name
        check = bundle_folder.verify_folder if bundle_folder.bundles_in(path) else bundle_verify.verify
        return check(path, self.maker.trust, asked=asked)

    def check_travelling(self, name: str) -> Report:
        """The same of the verifier that travels in a bundle as `verify.py`."""
        maker = self.maker
        policy, redactor = policy_of(maker.policy_text), maker.redactor.public.raw
        code, found = command.verify(self.folder / name, maker.centre.public.raw, ORIGIN, policy, redactor)
        findings = tuple(
            Finding(what=what, where=where, ok=not bad, message=said, exit_code=bad or 0, absent=bad is None)
            for what, where, bad, said in found
        )
        report = Report(findings=findings)
        if report.exit_code != code:
            raise AssertionError(f"verify.py ends with {code} where its findings make {report.exit_code}")
        return report

    def _listed_anew(self, there: dict[str, bytes], changed: dict[str, bytes | None]) -> bytes:
        good, files = Listing.peek(there[LISTING]), []
        names = [one.name for one in good.files]
        more = [replace(good.files[0], name=name) for name in changed if name not in names]
        for one in (*good.files, *more):
            data = changed[one.name] if one.name in changed else there[one.name]
            if data is not None:
                own = {"size": len(data), "sha256": sha256(data).hexdigest(), "crc32": zlib.crc32(data)}
                files.append(replace(one, **own))  # type: ignore[arg-type]
        return sign_record(BUNDLE, replace(good, files=tuple(files)).to_body(), self.maker.centre)


def _unzipped(whole: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _item_of(files: dict[str, bytes]) -> str:
    return next(name for name in files if name.endswith(".manifest")).removesuffix(".manifest")
