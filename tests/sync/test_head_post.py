"""When the uplink tells heads: when they are new, now and then when they are not, never oftener than it may."""

from __future__ import annotations

from pathlib import Path

import pytest

from sync.head_post import AGAIN_US, EVERY_US, HeadPost
from vedette.clock import FakeClock
from vedette.custody import Journal
from vedette.custody_heads import JournalWatch, open_heads
from vedette.keys import SigningKey

KEY = SigningKey.generate()


class Told:
    """A post whose link takes everything; the seqs it told, by time."""

    def __init__(self, root: Path, journal: Journal, clock: FakeClock) -> None:
        self.journal, self.clock = journal, clock
        self.post = HeadPost(device="car-1", key=KEY, clock=clock, watch=JournalWatch(root=root))

    def ask(self, after_us: int, *, taken: bool = True) -> int | None:
        self.clock.advance(after_us)
        now_us = self.clock.mono_us()
        record = self.post.next_record(now_us)
        if record is None:
            return None
        if taken:
            self.post.told(now_us)
        heads = open_heads(record, "car-1", KEY.public)
        assert heads.told_us == self.clock.utc_us()
        return heads.heads[0].seq


@pytest.fixture
def told(tmp_path: Path) -> Told:
    clock = FakeClock()
    journal = Journal.open(tmp_path / "recorder", service="recorder", device="car-1", key=KEY, clock=clock)
    journal.append("camera.fault")
    return Told(tmp_path, journal, clock)


def test_heads_are_told_when_they_have_changed_and_no_oftener_than_allowed(told: Told) -> None:
    """WI-72."""
    assert told.ask(0) == 1
    told.journal.append("camera.fault")
    assert told.ask(EVERY_US - 1) is None
    assert told.ask(1) == 2
    assert told.ask(EVERY_US) == 3


def test_heads_are_told_again_each_minute_when_nothing_changed(told: Told) -> None:
    """WI-72: any message may be lost."""
    told.ask(0)
    assert told.ask(EVERY_US) == 2
    said = [told.ask(EVERY_US) for _ in range(2 * AGAIN_US // EVERY_US)]
    assert said == [None, None, None, None, None, 2] * 2


def test_heads_are_told_again_when_a_session_begins(told: Told) -> None:
    """WI-72."""
    told.ask(0)
    told.ask(EVERY_US)
    assert told.ask(EVERY_US) is None
    told.post.new_session()
    assert told.ask(EVERY_US) == 2


def test_heads_are_told_again_when_the_link_did_not_take_them(told: Told) -> None:
    """WI-72."""
    told.ask(0)
    assert told.ask(EVERY_US, taken=False) == 2
    assert told.ask(EVERY_US) == 2
    assert told.ask(EVERY_US) is None
