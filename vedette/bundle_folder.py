"""A folder of bundles, as the export of a recording leaves it: each bundle's checks, then those of them together.

Decided here: which files of a folder are bundles (an archive, or a folder with a listing), and that a finding names its
bundle. Together they show what one alone cannot: that no part of a recording and no copy of a redacted one is missing
or here twice. Implements BU-32 of docs/spec/bundle.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from vedette.bundle import LISTING
from vedette.bundle_parts import Present, check_together
from vedette.bundle_verify import Asked, verify_one
from vedette.findings import Checks, Report
from vedette.redaction_checks import check_sets
from vedette.sealed import Identity
from vedette.trust import Trust


def bundles_in(folder: Path) -> list[Path]:
    """The bundles that lie in `folder`, by name; none where it is no folder, or a bundle itself."""
    if not folder.is_dir() or (folder / LISTING).exists():
        return []
    there = sorted(folder.iterdir())
    return [one for one in there if one.suffix.lower() == ".zip" or (one / LISTING).is_file()]


def verify_folder(
    folder: Path, trust: Trust | None = None, identities: Sequence[Identity] = (), asked: Asked | None = None
) -> Report:
    """Check every bundle in `folder` as `vedette.bundle_verify.verify` does, and what only all of them can show."""
    findings, records, together = [], [], Checks()
    parts: list[Present] = []
    for path in bundles_in(folder):
        report, found = verify_one(path, trust, identities, asked)
        findings += [dataclasses.replace(one, where=f"{path.name}/{one.where}") for one in report.findings]
        records += [found.redaction] if found.redaction is not None else []
        parts += [found.part] if found.part is not None else []
    check_together(folder.name, parts, together)
    check_sets(folder.name, records, together)
    return Report(findings=(*findings, *together.report().findings))
