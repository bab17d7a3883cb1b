"""What a verification found, check by check, and the exit code that follows.

Decided here: a check that could not be made because its part is absent is a finding of its own ("absent"), never
silence; one failed check of the bytes makes exit code 10, else one of a signature or key 11.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from vedette.errors import Integrity, NotTrusted, VedetteError

T = TypeVar("T")
PARTS = "recording's parts"
ORIGINAL = "redaction's original"
_NOT_SHOWN = {
    PARTS: "that the recording is whole is not shown",
    ORIGINAL: "what a redacted copy left unchanged cannot be compared with the original here",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One check: `what` was checked, `where` (file, byte range), whether it held, and a sentence. `absent`: nothing
    was there to check.
    """

    what: str
    where: str
    ok: bool
    message: str
    exit_code: int = 0
    absent: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """All findings of one verification, in the order they were made."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether every check held."""
        return all(finding.ok for finding in self.findings)

    @property
    def exit_code(self) -> int:
        """0, or 10 where bytes are wrong, or 11 where only a signature or key is."""
        codes = {finding.exit_code for finding in self.findings if not finding.ok}
        return Integrity.exit_code if codes - {NotTrusted.exit_code} else NotTrusted.exit_code if codes else 0

    def to_json(self) -> dict[str, Any]:
        """The report for scripts."""
        return {"ok": self.ok, "exit_code": self.exit_code, "findings": [asdict(finding) for finding in self.findings]}

    def to_text(self) -> str:
        """The report for people: one line a check, then the verdict."""
        width = max((len(finding.what) for finding in self.findings), default=0)
        lines = [f"{_state(one)}  {one.what.ljust(width)}  {one.where}: {one.message}" for one in self.findings]
        failed = sum(not finding.ok for finding in self.findings)
        verdict = f"{failed} of {len(lines)} checks FAILED"
        if self.ok:
            absent = {finding.what for finding in self.findings if finding.absent}
            verdict = "; ".join(["every check holds", *(said for what, said in _NOT_SHOWN.items() if what in absent)])
        return "\n".join([*lines, verdict])


class Checks:
    """Collects findings while a verification runs."""

    def __init__(self) -> None:
        self._findings: list[Finding] = []

    def run(
        self, what: str, where: str, check: Callable[[], T], message: str | Callable[[T], str] | None = None
    ) -> T | None:
        """Run one check: its value where it holds, None where it raised a VedetteError, which is a finding.

        `message` says what holds; without one the check is a mere step and only its failure is worth a line.
        """
        try:
            value = check()
        except VedetteError as error:
            code = error.exit_code
            self._findings.append(Finding(what=what, where=where, ok=False, message=str(error), exit_code=code))
            return None
        if message is not None:
            said = message if isinstance(message, str) else message(value)
            self._findings.append(Finding(what=what, where=where, ok=True, message=said))
        return value

    def absent(self, what: str, where: str, message: str) -> None:
        """Note that there was nothing to check."""
        self._findings.append(Finding(what=what, where=where, ok=True, message=message, absent=True))

    def extend(self, report: Report) -> None:
        """Take over what another verification found."""
        self._findings += report.findings

    def report(self) -> Report:
        """Everything found so far."""
        return Report(findings=tuple(self._findings))


def _state(finding: Finding) -> str:
    if finding.absent:
        return "absent"
    return "ok    " if finding.ok else "FAILED"
