"""Whether the satellites' time is believed: pure rules over reports and the machine's two clocks.

Decided here (docs/spec/position.md PO-10 to PO-14): time from satellites is a witness, never an order. It is believed
once three reports in a row agree, and suspect as soon as it leaves what it said before by more than the monotonic clock
allows, contradicts a wall clock that is known to be right, or lies before a time that is known to be past. While it is
suspect nothing is taken from it. What is never decided here: the order of anything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

# A receiver's sentence about a second arrives within the next one; a quartz strays by 100 ppm at the very most.
LATENCY_US = 1_000_000
DRIFT_PPM = 100
AGREE_COUNT, RETURN_COUNT = 3, 30
JUMPED, CONTRADICTS_CLOCK, BEFORE_LAST = "jumped", "contradicts_clock", "before_last"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """The satellites' time `satellite_us`, bound `error_us`, that came at `mono_us` and `utc_us` of the machine."""

    satellite_us: int
    error_us: int
    mono_us: int
    utc_us: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Knowledge:
    """What the machine knows without the satellites: the wall clock's bound (None: nothing), a time that is past."""

    clock_error_us: int | None
    past_us: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Belief:
    """`trusted` is the last sample believed, `candidate` the last one seen; `count` of those agreed in a row.

    `suspect` says why time from satellites is not believed now, None when it is or none came yet.
    """

    trusted: Sample | None = None
    candidate: Sample | None = None
    count: int = 0
    suspect: str | None = None
    off_us: int = 0

    @property
    def is_trusted(self) -> bool:
        """True when time from satellites may be used."""
        return self.trusted is not None and self.suspect is None


def after_sample(belief: Belief, sample: Sample, known: Knowledge, *, tolerance_us: int) -> Belief:
    """The belief once `sample` came; `tolerance_us` is what may differ beside every known error."""
    why, off_us = _objection(belief, sample, known, tolerance_us)
    if why is not None:
        return replace(belief, candidate=sample, count=0, suspect=why, off_us=off_us)
    agrees = belief.candidate is not None and abs(drift(belief.candidate, sample)) <= _slack(
        belief.candidate, sample, tolerance_us
    )
    count = belief.count + 1 if agrees else 1
    needed = AGREE_COUNT if belief.suspect is None else RETURN_COUNT
    if count < needed:
        return replace(belief, candidate=sample, count=count)
    return Belief(trusted=sample, candidate=sample, count=count)


def error_of(belief: Belief, *, mono_us: int, utc_us: int) -> int | None:
    """How far off the wall clock may be by the satellites' word (microseconds); None while that does not count."""
    if belief.trusted is None or belief.suspect is not None:
        return None
    age_us = max(mono_us - belief.trusted.mono_us, 0)
    off_us = abs(utc_us - mono_us - (belief.trusted.satellite_us - belief.trusted.mono_us))
    return off_us + belief.trusted.error_us + LATENCY_US + age_us * DRIFT_PPM // 1_000_000


def drift(before: Sample, after: Sample) -> int:
    """By how much the satellites' clock went otherwise than the monotonic clock between two samples."""
    return (after.satellite_us - after.mono_us) - (before.satellite_us - before.mono_us)


def _objection(belief: Belief, sample: Sample, known: Knowledge, tolerance_us: int) -> tuple[str | None, int]:
    if belief.trusted is not None:
        off_us = drift(belief.trusted, sample)
        if abs(off_us) > _slack(belief.trusted, sample, tolerance_us):
            return JUMPED, off_us
    off_us = sample.satellite_us - sample.utc_us
    if known.clock_error_us is not None:
        allowed_us = known.clock_error_us + sample.error_us + LATENCY_US + tolerance_us
        if abs(off_us) > allowed_us:
            return CONTRADICTS_CLOCK, off_us
    if sample.satellite_us + sample.error_us + LATENCY_US + tolerance_us < known.past_us:
        return BEFORE_LAST, sample.satellite_us - known.past_us
    return None, 0


def _slack(before: Sample, after: Sample, tolerance_us: int) -> int:
    """What two honest samples may differ by."""
    drift_us = abs(after.mono_us - before.mono_us) * DRIFT_PPM // 1_000_000
    return before.error_us + after.error_us + LATENCY_US + drift_us + tolerance_us
