"""What happens at a match, in which order, and what trouble does not stop."""

import errno

import pytest

from edge.board.null import NullBoard
from edge.reader import raising as raising_module
from edge.reader.hits import HitSpool
from edge.reader.index import build
from edge.reader.raising import RETRY_US, Raising
from edge.reader.reads import Reads
from edge.reader.repeats import Repeats
from edge.reader.vote import Rules
from vedette import commands, files
from vedette.errors import Integrity
from vedette.identity import Identity
from vedette.records import keyring
from vedette.trust import load_trust
from vedette.watchlist import open_list


class Raiser:
    """The module under test with its real parts, fed with reads."""

    def __init__(self, device, frame_at, look_at) -> None:
        self.device, self.frame_at, self.look_at = device, frame_at, look_at
        self.board = NullBoard(device.config.run, device.clock)
        trust = load_trust(device.config.trust)
        self.spool = HitSpool(
            device.config.spool,
            recipients=trust.lead_recipients(),
            journal=device.open_journal(),
            clock=device.clock,
            identity=Identity(software="0"),
        )
        self.raising = Raising(
            device="car-1",
            run_dir=device.config.run,
            clock=device.clock,
            board=self.board,
            hits=self.spool,
            repeats=Repeats(
                device.config.run / "repeats.json", repeat_us=300_000_000, is_committed=lambda _item: True, now_us=0
            ),
            models={"reader": "a" * 64},
        )
        self.signer = trust.list_signer

    def see(self, text: str, *entries, region: str = "MA") -> None:
        clock = self.device.clock
        signed = self.device.signed_list(*entries)
        opened = open_list(signed, keyring(self.signer), now_us=clock.utc_us(), newer_than=None)
        reads = Reads(Rules(min_looks=2, confidence_permille=600))
        for number in range(2):
            clock.advance(40_000)
            frame = self.frame_at(number, utc_us=clock.utc_us(), mono_us=clock.mono_us())
            look = self.look_at(text, region=region)
            found = reads.take(frame, [look.detection], lambda _detection, look=look: look.plate).reads
        self.raising.consider(found[0], build(opened), clock.mono_us())
        self.raising.flush(clock.mono_us())


@pytest.fixture
def raiser(device, frame_at, look_at) -> Raiser:
    return Raiser(device, frame_at, look_at)


def refuse(*_args: object, **_keys: object) -> None:
    raise OSError(errno.ENOSPC, "no space left on device")


def test_match_alerts_marks_and_commits(raiser, device) -> None:
    """HT-25, AC-42: the recorder is told when it was seen on both clocks."""
    raiser.see("12345|أ|6", device.entry())
    ((made, shown),) = device.hits()
    assert raiser.board.last_pattern is not None and raiser.board.last_pattern.name == "hit-high"
    (mark,) = commands.take(device.config.run, "recorder")
    first_mono_us = device.clock.mono_us() - 40_000
    assert mark == {
        "command": "mark", "activation": "hit", "id": made.hit, "from_us": made.first_seen_us,
        "from_mono_us": first_mono_us,
    }  # fmt: skip
    assert sorted(shown) == ["context.jpg", "crop.jpg"]
    assert raiser.raising.counters.hits == 1


def test_nothing_happens_when_nothing_matches(raiser, device) -> None:
    """HT-22, HT-27, WL-40."""
    before = device.disk()
    raiser.see("12345|أ|7", device.entry())
    assert (device.items(), raiser.board.last_pattern) == ([], None)
    assert (device.disk(), list(device.config.run.iterdir())) == (before, [])


def test_repeats_of_one_car_are_one_hit(raiser, device) -> None:
    """HT-30."""
    for _ in range(3):
        raiser.see("12345|أ|6", device.entry())
    assert (len(device.items()), raiser.raising.counters.hits, raiser.raising.counters.repeats) == (1, 1, 2)


def test_car_is_raised_again_when_the_time_has_passed(raiser, device) -> None:
    """HT-30."""
    raiser.see("12345|أ|6", device.entry())
    device.clock.advance(301_000_000)
    raiser.see("12345|أ|6", device.entry())
    assert len(device.items()) == 2


@pytest.mark.parametrize(("region", "says_so"), [("MA", False), ("", False), ("DZ", True)])
def test_alert_says_so_when_the_country_differs(raiser, device, region: str, says_so: bool) -> None:
    """HT-26, WL-8."""
    raiser.see("12345|أ|6", device.entry(priority="low"), region=region)
    pattern = raiser.board.last_pattern
    assert pattern is not None and pattern.name == "hit-low"
    assert ("country differs" in pattern.caption) is says_so
    assert "look and verify" in pattern.caption


def test_officer_is_alerted_and_hit_kept_when_run_folder_and_disk_take_nothing(raiser, device, monkeypatch) -> None:
    """HT-25, HT-29."""
    with monkeypatch.context() as broken:
        broken.setattr(files, "replace", refuse)
        broken.setattr(commands, "post", refuse)
        broken.setattr(Repeats, "_write", refuse)
        raiser.see("12345|أ|6", device.entry())
    assert raiser.board.last_pattern is not None
    assert (device.items(), raiser.spool.waiting, raiser.raising.counters.errors) == ([], 1, 2)
    raiser.raising.flush(device.clock.mono_us() + RETRY_US - 1)
    assert raiser.spool.waiting == 1
    raiser.raising.flush(device.clock.mono_us() + RETRY_US)
    assert (len(device.items()), raiser.spool.waiting) == (1, 0)


def test_plate_may_be_raised_again_when_its_hit_gave_way(raiser, device, monkeypatch) -> None:
    """HT-29, HT-34."""
    plates = [f"{number}|ب|9" for number in range(1, 10)]
    entries = [device.entry(plate) for plate in plates]
    with monkeypatch.context() as broken:
        broken.setattr(files, "replace", refuse)
        for plate in plates:
            raiser.see(plate, *entries)
    assert raiser.raising.counters.hits_lost == 1
    raiser.raising.flush(device.clock.mono_us() + RETRY_US)
    raiser.see(plates[0], *entries)
    assert sorted(made.text for made, _ in device.hits()) == plates


def test_entry_that_is_malformed_is_counted_and_raises_nothing(raiser, device, monkeypatch) -> None:
    """WL-15."""

    def broken(*_args: object, **_keys: object) -> None:
        raise Integrity("watchlist entry: unknown field")

    monkeypatch.setattr(raising_module, "match", broken)
    raiser.see("12345|أ|6", device.entry())
    assert (raiser.raising.counters.errors, device.items()) == (1, [])
