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
from vedette.bundle_heads import ELSEWHERE, SIGNED_LINES, is_elsewhere
from vedette.bundle_parts import Present, check_together
from vedette.bundle_verify import Asked, verify_one
from vedette.findings import Checks, Finding, Report
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
    findings, records, together = list[Finding](), [], Checks()
    parts: list[Present] = []
    checked = [(path, *verify_one(path, trust, identities, asked)) for path in bundles_in(folder)]
    lines = [found.lines for _path, _report, found in checked if found.lines is not None]
    for path, report, found in checked:
        is_there = found.lines is not None and is_elsewhere(found.lines, lines)
        told = [_found_elsewhere(one) if is_there else one for one in report.findings]
        findings += [dataclasses.replace(one, where=f"{path.name}/{one.where}") for one in told]
        records += [found.redaction] if found.redaction is not None else []
        parts += [found.part] if found.part is not None else []
    check_together(folder.name, parts, together)
    check_sets(folder.name, records, together)
    return Report(findings=(*findings, *together.report().findings))


def _found_elsewhere(one: Finding) -> Finding:
    """The finding, where it misses lines that stand in other bundles of the folder: that it does not (BU-53)."""
    if one.what != SIGNED_LINES:
        return one
    return dataclasses.replace(one, absent=False, message=f"{one.message}; {ELSEWHERE}")
