"""The service `position`: position.json, time.json and its journal, from a real gpsd and from doubles of its clocks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.board import gnss
from edge.board.gnss import Report
from edge.board.position import MAX_AGE_US, Fix, fix_of, parse_fix, read_fix, read_position, write_fix
from edge.board.position_service import PositionService, open_position
from vedette import canonical
from vedette.clock import FakeClock
from vedette.config import DeviceConfig, DeviceSection, PositionSection
from vedette.custody import Journal
from vedette.custody_entry import Entry
from vedette.custody_tail import journal_files
from vedette.custody_verify import split_lines, verify_chain
from vedette.daemon import read_status
from vedette.errors import Integrity, NotFound
from vedette.hitfile import Position
from vedette.kernel_time import KernelTime
from vedette.keys import SigningKey
from vedette.timenote import read_time

KEY = SigningKey.generate()
SECOND = 1_000_000
NOW_US = FakeClock().utc_us()
PLACE = Report(mono_us=1, utc_us=NOW_US, mode=3, lat_e7=340_200_000, lon_e7=-68_400_000, accuracy_cm=250,
               satellite_us=NOW_US, satellite_error_us=5000, hdop_centi=90, satellites=8)  # fmt: skip
UNSET = KernelTime(is_synchronised=False, max_error_us=16_000_000)


class Paced:
    """Stands between the client and the service: one second of the satellites is one of the service's clock, however
    fast reports came; newer ones of gpsd say each second several times, once for every sentence.

    gpsfake speaks faster than a receiver, and a test must not depend on how fast this machine is.
    """

    def __init__(self, client: Any, clock: FakeClock) -> None:
        self.client, self.clock = client, clock
        self.waiting: list[Report] = []
        self.second: int | None = None
        self.faults = 0
        self.is_connected = True

    def poll(self) -> list[Report]:
        self.waiting += [one for one in self.client.poll() if one.satellite_us is not None] if self.client else []
        if not self.waiting:
            return []
        before, self.second = self.second, self.waiting[0].satellite_us
        self.clock.advance(1000 if before is not None and before == self.second else SECOND)
        return [replace(self.waiting.pop(0), mono_us=self.clock.mono_us(), utc_us=self.clock.utc_us())]

    def close(self) -> None:
        if self.client:
            self.client.close()


@pytest.fixture
def device(tmp_path: Path) -> DeviceConfig:
    run = tmp_path / "run"
    run.mkdir()
    return DeviceConfig(device=DeviceSection(id="car-1", data=tmp_path, run=run))


def service(device: DeviceConfig, clock: FakeClock, kernel: KernelTime | None = UNSET) -> PositionService:
    return PositionService(device, clock, key=KEY, ask_kernel=lambda: kernel)


def said(device: DeviceConfig, name: str = "position") -> list[Entry]:
    files = journal_files(device.journals / name)
    return verify_chain([line for path in files for line in split_lines(path.read_bytes())], KEY.public)


def events(device: DeviceConfig) -> list[str]:
    return [one.event for one in said(device) if not one.event.startswith("service.")]


def feed(found: PositionService, clock: FakeClock, *reports: Report) -> None:
    """One report a second."""
    paced = Paced(None, clock)
    paced.waiting = list(reports)
    found._client = paced  # type: ignore[assignment]
    while paced.waiting:
        found.step(clock.mono_us())


def honest(count: int, since_s: int = 1, off_s: float = 0) -> list[Report]:
    times = (NOW_US + (since_s + one) * SECOND + round(off_s * SECOND) for one in range(count))
    return [replace(PLACE, satellite_us=one) for one in times]


def test_a_real_gpsd_is_followed_from_fix_to_spoof_to_no_fix(
    gpsd: Callable[[str], str], nmea: Callable[..., str], device: DeviceConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PO-4, PO-11, PO-15, PO-17: eight hours are added to the receiver's clock for a while."""
    monkeypatch.setattr(gnss, "RETRY_US", 0)
    sentences = nmea(0, 30) + nmea(30, 50, off_s=8 * 3600) + nmea(50, 110) + nmea(110, 130, has_fix=False)
    clock = FakeClock()
    address = gpsd(sentences)
    found = service(replace(device, position=PositionSection(gpsd=address)), clock)
    paced = Paced(found._client, clock)
    found._client = paced  # type: ignore[assignment]
    until = time.monotonic() + 120
    while "gnss.lost" not in events(device):
        assert time.monotonic() < until, events(device)
        found.step(clock.mono_us())
        time.sleep(0.001 if paced.waiting else 0.02)
    found.close()
    kinds = [one for one in events(device) if one != "time.source"]
    assert kinds == ["gnss.found", "time.trusted", "time.suspect", "time.trusted", "gnss.lost"]
    suspect = next(one for one in said(device) if one.event == "time.suspect")
    assert suspect.detail["why"] == "jumped"
    assert round(int(str(suspect.detail["off_us"])) / SECOND / 3600, 2) == 8
    whole = parse_fix((device.run / "position.json").read_bytes())
    assert (whole.position.lat_e7, whole.position.lon_e7, whole.mode) == (340_200_000, -68_400_000, "3d")
    assert (whole.hdop_centi, whole.satellites, whole.satellite_time_trusted) == (90, 8, True)
    times = [one.utc_us for one in said(device)]
    assert times == sorted(times)


def test_position_is_dated_by_the_wall_clock_and_not_by_the_satellites(device: DeviceConfig) -> None:
    """PO-5: a spoofed date must not make a place old or young."""
    clock = FakeClock()
    found = service(device, clock)
    feed(found, clock, *honest(5), *honest(1, since_s=6, off_s=-86_400))
    fix = read_fix(device.run, now_us=clock.utc_us())
    assert fix is not None
    assert fix.position.fixed_us == clock.utc_us()
    assert fix.satellite_us == NOW_US + 6 * SECOND - 86_400 * SECOND
    assert fix.satellite_time_trusted is False


@pytest.mark.parametrize(("age_us", "known"), [(MAX_AGE_US, True), (MAX_AGE_US + 1, False)])
def test_a_fix_with_its_quality_counts_only_while_it_is_recent(tmp_path: Path, age_us: int, known: bool) -> None:
    """PO-6."""
    fix = fix_of(PLACE, satellite_time_trusted=True)
    assert fix is not None
    write_fix(tmp_path, fix)
    assert (read_fix(tmp_path, now_us=NOW_US + age_us) == fix) is known
    assert (read_position(tmp_path, now_us=NOW_US + age_us) is not None) is known


@pytest.mark.parametrize("changed", [{"mode": "4d"}, {"hdop_centi": -1}, {"satellites": "8"}, {"more": 1}])
def test_a_fix_is_refused_when_a_field_is_wrong(changed: dict[str, object], tmp_path: Path) -> None:
    """PO-4."""
    fix = fix_of(PLACE, satellite_time_trusted=True)
    assert fix is not None
    write_fix(tmp_path, fix)
    body = canonical.loads((tmp_path / "position.json").read_bytes())
    assert isinstance(body, dict)
    with pytest.raises(Integrity):
        parse_fix(canonical.dumps({**body, **changed}))


def test_a_position_alone_is_a_fix_of_unknown_quality() -> None:
    """PO-4: HT-7's form stays valid."""
    data = canonical.dumps({"lat_e7": 1, "lon_e7": 2, "accuracy_cm": None, "fixed_us": 3})
    assert parse_fix(data) == Fix(position=Position(lat_e7=1, lon_e7=2, accuracy_cm=None, fixed_us=3))


def test_no_place_is_written_when_there_is_no_fix(device: DeviceConfig) -> None:
    """PO-4."""
    assert fix_of(replace(PLACE, mode=1), satellite_time_trusted=True) is None
    clock = FakeClock()
    found = service(device, clock)
    feed(found, clock, replace(PLACE, mode=1, lat_e7=None, lon_e7=None))
    assert not (device.run / "position.json").exists()
    assert read_status(device.run, "position")["state"] == "no_fix"


def test_the_clock_s_source_is_the_satellites_when_nothing_else_sets_it(device: DeviceConfig) -> None:
    """PO-8, PO-14."""
    clock = FakeClock()
    found = service(device, clock)
    feed(found, clock, *honest(6))
    note = read_time(device.run, mono_us=clock.mono_us(), machine=None)
    assert note is not None
    assert note.source == "gnss"
    assert note.error_us is not None
    assert SECOND <= note.error_us < 1.1 * SECOND
    changes = [one.detail for one in said(device) if one.event == "time.source"]
    assert [one["source"] for one in changes][-1] == "gnss"


def test_the_better_bound_is_the_clock_s_source(device: DeviceConfig) -> None:
    """PO-8: chrony's 4 ms are better than a receiver's sentence."""
    clock = FakeClock()
    found = service(device, clock, KernelTime(is_synchronised=True, max_error_us=4000))
    feed(found, clock, *honest(6))
    note = read_time(device.run, mono_us=clock.mono_us(), machine=None)
    assert note is not None
    assert (note.source, note.error_us) == ("ntp", 4000)


def test_satellite_time_that_contradicts_the_time_service_is_suspect(device: DeviceConfig) -> None:
    """PO-12, PO-17."""
    clock = FakeClock()
    found = service(device, clock, KernelTime(is_synchronised=True, max_error_us=4000))
    feed(found, clock, *honest(6, off_s=60))
    (line,) = [one for one in said(device) if one.event == "time.suspect"]
    assert (line.detail["why"], line.detail["source"]) == ("contradicts_clock", "gnss")
    assert read_status(device.run, "position")["state"] == "time_suspect"


def test_satellite_time_before_the_journal_s_last_known_time_is_suspect(device: DeviceConfig) -> None:
    """PO-12: what was signed with a known clock is past."""

    class Known(FakeClock):
        def quality(self) -> Any:
            return replace(super().quality(), source="ntp")

    past = Known(utc_us=NOW_US + 3600 * SECOND)
    Journal.open(device.journals / "recorder", service="recorder", device="car-1", key=KEY, clock=past).close()
    clock = FakeClock()
    found = service(device, clock)
    feed(found, clock, *honest(6))
    assert [one.detail["why"] for one in said(device) if one.event == "time.suspect"] == ["before_last"]


@pytest.mark.parametrize(("jump_us", "noted"), [(200_000, []), (200_001, [200_001]), (-5 * SECOND, [-5 * SECOND])])
def test_a_step_of_the_wall_clock_is_noted_and_a_slew_is_not(
    device: DeviceConfig, jump_us: int, noted: list[int]
) -> None:
    """PO-17."""
    clock = FakeClock()
    found = service(device, clock)
    found.step(clock.mono_us())
    clock.jump(jump_us)
    clock.advance(SECOND)
    found.step(clock.mono_us())
    clock.advance(SECOND)
    found.step(clock.mono_us())
    assert [one.detail["by_us"] for one in said(device) if one.event == "time.stepped"] == noted


def test_no_line_of_the_journal_holds_a_place(device: DeviceConfig) -> None:
    """PO-18."""
    clock = FakeClock()
    found = service(device, clock)
    feed(found, clock, *honest(6), *honest(3, since_s=7, off_s=900))
    clock.advance(60 * SECOND)
    found.step(clock.mono_us())
    found.close()
    for entry in said(device):
        assert not any(name.startswith(("lat", "lon", "speed", "course")) for name in entry.detail)
        assert b"340200000" not in entry.line


def test_the_service_runs_without_a_receiver(device: DeviceConfig) -> None:
    """PO-15, PO-16."""
    device.keys.mkdir()
    KEY.save(device.keys / "sign.pem")
    clock = FakeClock()
    found = open_position(device, clock)
    assert found.step(clock.mono_us()) > 0
    assert read_status(device.run, "position")["state"] == "no_receiver"
    assert read_time(device.run, mono_us=clock.mono_us(), machine=None) is not None
    found.close()
    assert [one.event for one in said(device)][-1] == "service.stopped"


def test_the_service_does_not_start_without_its_key(device: DeviceConfig) -> None:
    """PO-16."""
    with pytest.raises(NotFound):
        open_position(device, FakeClock())
