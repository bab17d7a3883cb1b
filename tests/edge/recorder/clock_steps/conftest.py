"""Wall clocks that are set while a recorder runs, cameras that see it or not, and the account that must hold after."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from vedette.clock import FakeClock
from vedette.custody import verify_chain
from vedette.keys import SigningKey
from vedette.timeline import State, Timeline
from vedette.timeline_layers import read_timeline

SECOND = 1_000_000
NOW_US = FakeClock().utc_us()
BOOTED_US = 40 * SECOND
STEPS = {
    "not at all": (NOW_US, 0),
    "an hour ahead": (NOW_US, 3_600 * SECOND),
    "an hour back": (NOW_US, -3_600 * SECOND),
    "a day ahead": (NOW_US, 86_400 * SECOND),
    "a day back": (NOW_US, -86_400 * SECOND),
    "from 1970": (BOOTED_US, NOW_US),
    "back to 1970": (NOW_US, BOOTED_US - NOW_US),
}


@pytest.fixture(params=STEPS)
def step(request: pytest.FixtureRequest) -> tuple[int, int]:
    """The wall clock at first, and by how much it is set."""
    return STEPS[request.param]


@pytest.fixture
def clock(step: tuple[int, int]) -> FakeClock:
    found = FakeClock(utc_us=step[0])
    found.boot = "a" * 16
    return found


@pytest.fixture
def set_clock(clock: FakeClock, step: tuple[int, int]) -> Callable[[], None]:
    """Set the wall clock, as a time server or the satellites do; a second time back again."""
    by = itertools.cycle([step[1], -step[1]])
    return lambda: clock.jump(next(by))


@pytest.fixture(params=["pictures of the clock", "pictures of its beginning"])
def camera(request: pytest.FixtureRequest, scripted: Callable[..., Any]) -> Any:
    """A camera whose pictures have the wall clock's time, and one whose pictures have that of its opening."""
    return scripted(reads_clock=request.param == "pictures of the clock")


@pytest.fixture
def accounted(step: tuple[int, int]) -> Callable[..., Timeline]:
    """The timeline of a device whose items are whole: each second is there once and has its state.

    `set_by` is by how much the clock was set each time, `stalled_us` how long no picture came within a segment.
    """

    def read(device: Any, *, set_by: Sequence[int] = (step[1],), stalled_us: int = 0) -> Timeline:
        public = SigningKey.load(device.folder / "keys" / "sign.pem").public
        entries = verify_chain(device.lines(), public)
        timeline = read_timeline(entries)
        edges = [(one.from_us, one.to_us) for one in timeline.stretches]
        assert all(before[1] == after[0] for before, after in itertools.pairwise(edges))
        assert (edges[0][0], edges[-1][1]) == (timeline.from_us, timeline.to_us)
        assert timeline.unexplained_us == 0, timeline.stretches
        media_us = [one.manifest.media.duration_us for one in device.items()]
        assert timeline.totals[State.RECORDED] == sum(media_us) - stalled_us
        assert [note.value for note in timeline.notes if note.kind == "clock_step"] == [
            f"{by_us / SECOND:+.3f} s" for by_us in set_by if by_us
        ]
        return timeline

    return read
