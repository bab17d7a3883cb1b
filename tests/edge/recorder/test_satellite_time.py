"""Time from satellites that is not trusted: what recording and custody say of it, from a real gpsd and from values."""

import io
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import av
import pytest

from edge.board import gnss
from edge.board.gnss import Report
from edge.board.position import Fix, read_fix
from edge.board.position_service import PositionService
from edge.camera.condition import Moment
from edge.camera.drawnstamp import NOT_TRUSTED
from edge.recorder.facts import SegmentFacts
from edge.recorder.satellites import SatelliteTime
from vedette.bundle import journal_of
from vedette.clock import FakeClock
from vedette.config import PositionSection
from vedette.custody_entry import parse_line
from vedette.hitfile import Position
from vedette.keys import SigningKey

SECOND = 1_000_000
BEGAN, ENDED = "time.suspect", "time.trusted"


def fix(trusted: bool | None, at_us: int = 0) -> Fix:
    here = Position(lat_e7=340_200_000, lon_e7=-68_400_000, accuracy_cm=250, fixed_us=at_us)
    return Fix(position=here, mode="3d", satellites=8, satellite_time_trusted=trusted)


def said(*found: tuple[Fix | None, int]) -> list[tuple[int, str, dict[str, object]]]:
    """What is said in which second, of positions that hold for so many seconds each."""
    values = [one for one, seconds in found for _ in range(seconds)]
    asked = SatelliteTime(lambda at_us: values[at_us // SECOND])
    return [
        (second, event, dict(detail))
        for second in range(len(values))
        for event, detail in asked.look(Moment(utc_us=second * SECOND, mono_us=second * SECOND))
    ]


def test_it_is_said_once_when_it_begins_and_once_when_it_ends() -> None:
    """SG-26: with when it began and how long it lasted."""
    assert said((fix(True), 5), (fix(False), 30), (fix(True), 30)) == [
        (8, BEGAN, {"source": "gnss", "since_us": 5 * SECOND}),
        (36, ENDED, {"source": "gnss", "since_us": 5 * SECOND, "lasted_us": 30 * SECOND}),
    ]


@pytest.mark.parametrize(
    "found", [[(fix(False), 3), (fix(True), 9)], [(None, 60)], [(fix(None), 60)], [(fix(True), 60)]]
)
def test_nothing_is_said_of_a_receiver_that_begins_nor_where_nobody_judged(found: list[tuple[Fix | None, int]]) -> None:
    """SG-26: three reports are asked for before the first is believed (PO-10)."""
    assert said(*found) == []


def test_it_is_not_over_because_the_position_is_lost() -> None:
    """SG-26: only a position by a time that is trusted ends it."""
    found = said((fix(False), 10), (None, 100), (fix(False), 10), (fix(True), 5))
    assert [(second, event) for second, event, _detail in found] == [(3, BEGAN), (121, ENDED)]


def test_segment_of_an_older_journal_does_not_name_it() -> None:
    """SG-27."""
    detail = {"recording": "r", "sequence": 1, "activation": "button", "started_us": 1, "codec": "h264", "width": 1,
              "height": 1, "marked": False}  # fmt: skip
    assert SegmentFacts.from_detail("a", detail).satellite_time_trusted is None
    assert SegmentFacts.from_detail("a", {**detail, "satellite_time_trusted": False}).satellite_time_trusted is False


@pytest.mark.parametrize("trusted", [True, False, None])
def test_segment_names_what_held_at_its_first_picture(device, bench, trusted: bool | None) -> None:
    """SG-27: as does what nobody activated."""
    one = bench(segment_s=2, terms={"position": lambda at_us: fix(trusted, at_us)})
    one.steps(45)
    one.close()
    opened = device.entries("segment.opened")
    assert len(opened) == 3
    assert {entry.detail["satellite_time_trusted"] for entry in opened} == {trusted}


class Paced:
    """gpsd's reports, one for each second of the receiver, each a second of the test's clock after the one before."""

    def __init__(self, client: Any, clock: FakeClock) -> None:
        self.client, self.clock, self.waiting = client, clock, list[Report]()
        self.faults, self.is_connected, self.count = 0, True, 0
        self.second: int | None = None

    def fetch(self) -> bool:
        """Take what has come; whether one is waiting."""
        for one in self.client.poll():
            if one.satellite_us is not None and one.satellite_us != self.second:
                self.second = one.satellite_us
                self.waiting.append(one)
        return bool(self.waiting)

    def poll(self) -> list[Report]:
        self.count += 1
        return [replace(self.waiting.pop(0), mono_us=self.clock.mono_us(), utc_us=self.clock.utc_us())]

    def close(self) -> None:
        self.client.close()


def lines_of(plain: bytes) -> list[str]:
    with av.open(io.BytesIO(plain)) as file:
        return [bytes(one)[2:].decode().split("\n")[0] for one in file.demux(subtitles=0) if one.size]


def test_spoofed_time_is_in_the_recording_and_in_the_journal_of_its_bundle(
    gpsd: Callable[[str], str], nmea: Callable[..., str], device, bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SG-25, SG-26, SG-27: eight hours are added to a receiver's clock for ten seconds; the place looks as good."""
    monkeypatch.setattr(gnss, "RETRY_US", 0)
    key = SigningKey.load(device.folder / "keys" / "sign.pem")
    one = bench(segment_s=10, terms={"position": lambda at_us: read_fix(device.run, now_us=at_us)})
    clock = one.clock
    config = replace(
        device.config(), position=PositionSection(gpsd=gpsd(nmea(0, 12) + nmea(12, 22, off_s=28_800) + nmea(22, 70)))
    )
    place = PositionService(config, clock, key=key, ask_kernel=lambda: None)
    paced = Paced(place._client, clock)
    place._client = paced  # type: ignore[assignment]
    until = time.monotonic() + 120
    while not device.entries(ENDED):
        assert time.monotonic() < until, paced.count
        if not paced.fetch():
            time.sleep(0.02)
            continue
        place.step(clock.mono_us())
        one.steps(10)
    place.close()
    one.close()
    (began,), (ended,) = device.entries(BEGAN), device.entries(ENDED)
    assert began.detail["since_us"] == ended.detail["since_us"]
    assert 35 <= ended.detail["lasted_us"] / SECOND <= 45
    doubted = {
        item.manifest.item: [line.endswith(f" 3D 8 sat  {NOT_TRUSTED}") for line in lines_of(device.opened(item))]
        for item in device.items()
    }
    assert sum(map(sum, doubted.values())) >= 38
    assert sum(map(len, doubted.values())) - sum(map(sum, doubted.values())) >= 10
    assert {item: any(lines) for item, lines in doubted.items()} == {item: bundled(device, item) for item in doubted}


def bundled(device, item: str) -> bool:
    """Whether the stretch of the journal that an item's bundle has (BU-5) says that time was not trusted."""
    stretch = [parse_line(line) for line in journal_of(device.lines(), item)]
    return any(one.event == BEGAN or one.detail.get("satellite_time_trusted") is False for one in stretch)
