"""The client of gpsd: a real gpsd, and what a daemon that is none may say."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.board import gnss
from edge.board.gnss import GpsdClient, Report, parse_address, parse_report, parse_sky
from vedette.clock import FakeClock, SystemClock
from vedette.errors import Usage

NOW_US = FakeClock().utc_us()


def parsed(body: dict[str, Any]) -> Report:
    return parse_report(body, mono_us=7, utc_us=9, hdop_centi=None, satellites=None)


def reports(client: GpsdClient, wanted: Callable[[list[Report]], bool], seconds: float = 60) -> list[Report]:
    """What is reported until there is what is wanted."""
    found: list[Report] = []
    until = time.monotonic() + seconds
    while not wanted(found):
        assert time.monotonic() < until, f"only {found[-3:]} after {seconds} s"
        found += client.poll()
        time.sleep(0.02)
    return found


def test_a_real_gpsd_gives_fixes_with_their_quality(
    gpsd: Callable[[str], str], nmea: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PO-1, PO-3."""
    monkeypatch.setattr(gnss, "RETRY_US", 100_000)
    client = GpsdClient(gpsd(nmea(0, 20) + nmea(20, 40, has_fix=False)), SystemClock())
    found = reports(client, lambda seen: any(one.mode == 3 for one in seen) and seen[-1].mode == 1)
    best = next(one for one in found if one.mode == 3 and one.satellites and one.satellite_us)
    assert (best.lat_e7, best.lon_e7, best.speed_cm_s, best.course_cdeg) == (340_200_000, -68_400_000, 514, 5470)
    assert (best.hdop_centi, best.satellites) == (90, 8)
    assert best.satellite_us is not None
    assert 0 <= best.satellite_us - NOW_US < 20_000_000
    assert best.accuracy_cm
    lost = found[-1]
    assert (lost.lat_e7, lost.has_place) == (None, False)
    client.close()


def test_no_gpsd_is_no_trouble_and_is_tried_again_later() -> None:
    """PO-2."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        clock = FakeClock()
        client = GpsdClient(f"127.0.0.1:{port}", clock)
        clock.advance(gnss.RETRY_US)
        assert (client.poll(), client.is_connected) == ([], False)
        taken.listen()
        assert (client.poll(), client.is_connected) == ([], False)
        clock.advance(gnss.RETRY_US)
        assert (client.poll(), client.is_connected) == ([], True)
        client.close()


@pytest.fixture
def daemon(tmp_path: Path) -> Any:
    """A socket on which a test says what it likes: (client, its end of the line, clock)."""
    path = tmp_path / "gpsd.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        clock = FakeClock(mono_us=60_000_000)
        client = GpsdClient(str(path), clock)
        client.poll()
        end, _address = listening.accept()
        assert json.loads(end.recv(1000).removeprefix(b"?WATCH=").rstrip(b";\n")) == {"enable": True, "json": True}
        yield client, end, clock
        end.close()
        client.close()


def test_a_report_is_taken_when_it_comes_in_pieces(daemon: Any) -> None:
    """PO-2."""
    client, end, clock = daemon
    end.sendall(b'{"class":"TPV","mode":2,"lat":1.5,')
    assert client.poll() == []
    end.sendall(b'"lon":-2.5}\n{"class":"VERSION"}\n')
    (found,) = client.poll()
    assert (found.lat_e7, found.lon_e7, found.mode, found.mono_us) == (15_000_000, -25_000_000, 2, clock.mono_us())


@pytest.mark.parametrize(
    "said", [b"x\n", b"[]\n", b"\xff\xfe\n", b"x" * (gnss.MAX_LINE_BYTES + 1), b"[" * 5000 + b"\n"]
)
def test_a_daemon_that_is_none_costs_the_connection_and_nothing_else(daemon: Any, said: bytes) -> None:
    """PO-2."""
    client, end, _clock = daemon
    end.sendall(said)
    for _ in range(4):
        assert client.poll() == []
    assert (client.is_connected, client.faults) == (False, 1)


def test_a_silent_daemon_is_left_after_a_while(daemon: Any) -> None:
    """PO-2."""
    client, _end, clock = daemon
    clock.advance(gnss.SILENT_US)
    assert (client.poll(), client.is_connected) == ([], True)
    clock.advance(1)
    assert (client.poll(), client.is_connected) == ([], False)


def test_a_daemon_that_talks_without_end_is_not_listened_to_without_end(daemon: Any) -> None:
    """PO-2: one call reads so much at most."""
    client, end, _clock = daemon
    end.setblocking(False)
    sent = 0
    line = json.dumps({"class": "NOISE", "x": "y" * 30_000}).encode() + b"\n"
    for _ in range(100):
        try:
            sent += end.send(line)
        except BlockingIOError:
            client.poll()
    assert client.is_connected
    assert sent > 16 * 30_000


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"lat": 90.1}, "lat_e7"),
        ({"lat": "34"}, "lat_e7"),
        ({"lon": float("nan")}, "lon_e7"),
        ({"lon": -180.5}, "lon_e7"),
        ({"eph": -1}, "accuracy_cm"),
        ({"speed": float("inf")}, "speed_cm_s"),
        ({"track": 361}, "course_cdeg"),
        ({"track": True}, "course_cdeg"),
        ({"speed": 10**300}, "speed_cm_s"),
        ({"speed": 10**400}, "speed_cm_s"),
        ({"time": "2026-02-30T00:00:00Z"}, "satellite_us"),
        ({"time": "2026-11-23 08:00"}, "satellite_us"),
        ({"time": 1}, "satellite_us"),
    ],
)
def test_a_value_that_cannot_be_counts_as_not_said(changed: dict[str, Any], name: str) -> None:
    """PO-1."""
    good = {"mode": 3, "lat": 34.0, "lon": -6.0, "eph": 5, "speed": 1, "track": 2, "time": "2026-11-23T08:00:00.5Z"}
    assert getattr(parsed(good), name) is not None
    assert getattr(parsed({**good, **changed}), name) is None


def test_the_satellites_time_is_read_to_the_microsecond() -> None:
    """PO-1."""
    assert parsed({"mode": 2, "time": "2026-11-23T08:00:00.250001Z"}).satellite_us == NOW_US + 250_001


@pytest.mark.parametrize(
    ("sky", "found"),
    [
        ({"hdop": 0.9, "uSat": 8}, (90, 8)),
        ({"satellites": [{"used": True}, {"used": False}, {"used": True}, 3]}, (150, 2)),
        ({"hdop": 1.2}, (120, 5)),
        ({"hdop": "low", "uSat": -1}, (150, 5)),
    ],
)
def test_a_sky_report_says_dilution_and_satellites_used(sky: dict[str, Any], found: tuple[int, int]) -> None:
    """PO-3."""
    assert parse_sky(sky, (150, 5)) == found


NAMES = ("mode", "lat", "lon", "eph", "ept", "time", "track", "speed")
VALUES = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=30)


@given(st.dictionaries(st.sampled_from(NAMES), VALUES))
def test_a_report_holds_only_integers_whatever_is_said(body: dict[str, Any]) -> None:
    """PO-1: a signed record has no floats."""
    found = parsed(body)
    assert all(type(getattr(found, name)) in (int, type(None)) for name in Report.__slots__)


@pytest.mark.parametrize("text", ["", "gpsd", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", ":2947", "host:x"])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Usage, match="position"):
        parse_address(text)


def test_an_address_may_be_of_either_family() -> None:
    assert parse_address("[::1]:2947") == (socket.AF_INET6, ("::1", 2947))
    assert parse_address("/run/gpsd.json.sock") == (socket.AF_UNIX, "/run/gpsd.json.sock")
