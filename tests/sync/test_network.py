"""What the network is, who tells so, and what bulk video waits for."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from sync.network import Network, Sighting, judge, policy_of
from sync.network_sources import (
    MAX_WORD_BYTES,
    PROGRAM_TIMEOUT_US,
    FileSource,
    NetworkManagerSource,
    NetworkSource,
    NetworkWatch,
    NoSource,
    ProgramSource,
    RouteSource,
    default_interface,
    parse_word,
    source_of,
)
from vedette.clock import FakeClock, SystemClock
from vedette.config import NetworkSection
from vedette.errors import Usage

CLOCK = SystemClock()
SECOND_US = 1_000_000

# What the kernel says: a LAN and a modem, the LAN with the lesser metric; then IPv6 alone.
ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
wwan0\t00000000\t0101A8C0\t0003\t0\t0\t700\t00000000\t0\t0\t0
eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
"""
ROUTES_6 = """00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
fe800000000000000000000000000001 00000400 00000001 00000000 00000003     wwan0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
"""
# What `nmcli -t -e no` of NetworkManager 1.42 prints for a car at its depot, and for one on the road.
AT_DEPOT = """GENERAL.STATE:100 (connected)
GENERAL.METERED:no (guessed)

GENERAL.STATE:30 (disconnected)
GENERAL.METERED:yes (guessed)

no:Neighbour
yes:Depot: North
"""
ON_THE_ROAD = """GENERAL.STATE:20 (unavailable)
GENERAL.METERED:unknown

GENERAL.STATE:100 (connected)
GENERAL.METERED:yes
"""


def answer(source: NetworkSource, *, within_us: int = 5 * SECOND_US) -> Sighting:
    """What a program says in the end."""
    first_us = CLOCK.mono_us()
    while True:
        seen = source.sighting(CLOCK.mono_us())
        if seen != Sighting() or CLOCK.mono_us() - first_us > within_us:
            return seen


def program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.parametrize(
    ("bulk_on", "sighting", "why"),
    [
        ("any", Sighting(metered=True), ""),
        ("any", Sighting(), ""),
        ("unmetered", Sighting(metered=False), ""),
        ("unmetered", Sighting(metered=True), "metered"),
        ("unmetered", Sighting(), "network unknown"),
        ("unmetered", Sighting(metered=True, ssid="Depot North"), ""),
        ("unmetered", Sighting(metered=True, ssid="Cafe"), "metered"),
        ("depot", Sighting(metered=False), "not a depot"),
        ("depot", Sighting(metered=False, ssid="depot north"), "not a depot"),
        ("depot", Sighting(ssid="Depot South"), ""),
    ],
)
def test_network_is_judged_by_what_is_seen_and_the_policy(bulk_on: str, sighting: Sighting, why: str) -> None:
    """WI-60."""
    section = NetworkSection(source="file", ask="x", bulk_on=bulk_on, depots="Depot North, Depot South")
    assert judge(policy_of(section, allow_bulk=True), sighting, 0) == Network(allow_bulk=not why, why=why)


def test_network_without_a_source_is_for_bulk_unless_it_is_switched_off() -> None:
    """WI-60: an installation that says nothing about networks works as before."""
    section = NetworkSection()
    assert judge(policy_of(section, allow_bulk=True), Sighting(), 0).allow_bulk
    assert judge(policy_of(section, allow_bulk=False), Sighting(), 0) == Network(allow_bulk=False, why="switched off")


@pytest.mark.parametrize(
    ("hour", "zone", "allowed"),
    [(5, "UTC", True), (6, "UTC", False), (21, "UTC", False), (22, "UTC", True), (5, "Africa/Casablanca", False)],
)
def test_bulk_rests_in_quiet_hours(hour: int, zone: str, allowed: bool) -> None:
    """WI-63: by the clock of the zone, from its first minute to before its last; also at the depot."""
    monday_us = 1_699_833_600 * SECOND_US
    section = NetworkSection(source="file", depots="D", quiet="mon-fri 06:00-22:00")
    network = judge(
        policy_of(section, allow_bulk=True, zone=zone), Sighting(ssid="D"), monday_us + hour * 3600 * SECOND_US
    )
    assert network.allow_bulk is allowed
    assert network.why == ("" if allowed else "quiet hours")


def test_quiet_hours_that_are_none_are_named() -> None:
    """WI-63."""
    with pytest.raises(Usage, match=r"network\.quiet: 'always'"):
        policy_of(NetworkSection(quiet="always"), allow_bulk=True)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        (NetworkSection(source="file", ask="x", bulk_on="depot"), "names no Wi-Fi"),
        (NetworkSection(source="none", bulk_on="depot", depots="D"), "'none' sees no names"),
        (NetworkSection(source="route", depots="D"), "'route' sees no names"),
    ],
)
def test_depots_that_nobody_would_see_are_refused(section: NetworkSection, said: str) -> None:
    """WI-60: else bulk would wait for ever, or go everywhere, without a word."""
    with pytest.raises(Usage, match=said):
        policy_of(section, allow_bulk=True)


@pytest.mark.parametrize(
    ("word", "seen"),
    [
        (b"metered=yes\n", Sighting(metered=True)),
        (b"ssid=Depot = North\nmetered=no\n", Sighting(metered=False, ssid="Depot = North")),
        (b"metered=TRUE", Sighting(metered=True)),
        (b"metered=perhaps\nssid=\n", Sighting()),
        (b"", Sighting()),
        (b"\xff\xfe\x00", Sighting()),
        (b"metered=no\n" + b"x" * (MAX_WORD_BYTES - 11), Sighting(metered=False)),
        (b"metered=no\n" + b"x" * (MAX_WORD_BYTES - 10), Sighting()),
    ],
)
def test_word_of_a_file_or_command_is_read_or_is_none(word: bytes, seen: Sighting) -> None:
    """WI-60."""
    assert parse_word(word) == seen


def test_file_is_believed_at_once_and_nothing_when_it_is_gone(tmp_path: Path) -> None:
    """WI-60."""
    told = tmp_path / "network"
    source = FileSource(told)
    assert source.sighting(1) == Sighting()
    told.write_text("metered=no\n")
    assert source.sighting(2) == Sighting(metered=False)
    told.write_text("metered=yes\n")
    assert source.sighting(3) == Sighting(metered=True)
    told.unlink()
    assert source.sighting(4) == Sighting()


@pytest.mark.parametrize(
    ("routes", "routes_6", "interface"),
    [(ROUTES, "", "eth0"), ("", ROUTES_6, "wwan0"), (ROUTES.replace("100", "900"), "", "wwan0"), ("", "", None)],
)
def test_default_route_is_the_one_with_the_least_metric(routes: str, routes_6: str, interface: str | None) -> None:
    """WI-60."""
    assert default_interface(routes, routes_6) == interface


def test_route_is_metered_when_its_interface_is_a_modem(tmp_path: Path) -> None:
    """WI-60."""
    routes = tmp_path / "route"
    source = RouteSource(("wwan*", "ppp*"), routes=routes, routes_6=tmp_path / "none")
    assert source.sighting(1) == Sighting()
    routes.write_text(ROUTES)
    assert source.sighting(2) == Sighting(metered=False)
    routes.write_text("\n".join(line for line in ROUTES.splitlines() if not line.startswith("eth0")))
    assert source.sighting(3) == Sighting(metered=True)


def test_routes_of_this_machine_are_readable() -> None:
    """WI-60: the kernel's own tables, whatever they say."""
    assert RouteSource(("*",)).sighting(1).metered in (True, None)


def test_command_is_asked_again_and_its_last_word_counts(tmp_path: Path) -> None:
    """WI-60: it runs beside the uplink, which never waits for it."""
    told = tmp_path / "told"
    told.write_text("metered=no\nssid=D\n")
    source = ProgramSource(["cat", str(told)], every_us=1)
    assert source.sighting(CLOCK.mono_us()) == Sighting()
    assert answer(source) == Sighting(metered=False, ssid="D")
    told.write_text("metered=yes\n")
    while source.sighting(CLOCK.mono_us()).metered is False:
        pass
    assert source.sighting(CLOCK.mono_us()) == Sighting(metered=True)


@pytest.mark.parametrize("text", ["echo metered=no; exit 1", "yes metered=no", "exit 0"])
def test_command_has_told_nothing_when_it_fails_or_babbles(tmp_path: Path, text: str) -> None:
    """WI-60."""
    source = ProgramSource([program(tmp_path / "ask", text)], every_us=1)
    first_us = CLOCK.mono_us()
    while CLOCK.mono_us() - first_us < SECOND_US // 2:
        assert source.sighting(CLOCK.mono_us()) == Sighting()
    if source._running is not None:
        source.sighting(CLOCK.mono_us() + PROGRAM_TIMEOUT_US)
    assert source.sighting(first_us) == Sighting()


def test_command_that_hangs_is_ended_and_one_that_is_not_there_has_told_nothing() -> None:
    """WI-60."""
    source = ProgramSource(["sleep", "1000"], every_us=SECOND_US)
    source.sighting(1)
    running = source._running
    assert running is not None
    assert source.sighting(1 + PROGRAM_TIMEOUT_US) == Sighting()
    assert running.returncode is not None
    assert ProgramSource(["/not/there"], every_us=1).sighting(1) == Sighting()


@pytest.mark.parametrize(
    ("output", "seen"),
    [
        (AT_DEPOT, Sighting(metered=False, ssid="Depot: North")),
        (ON_THE_ROAD, Sighting(metered=True)),
        ("GENERAL.STATE:100 (connected)\nGENERAL.METERED:unknown\n", Sighting()),
        ("", Sighting()),
    ],
)
def test_network_manager_is_understood(tmp_path: Path, output: str, seen: Sighting) -> None:
    """WI-60: a stand-in for nmcli that prints what nmcli prints; NetworkManager itself does not run in a test."""
    (tmp_path / "said").write_text(output)
    nmcli = program(tmp_path / "nmcli", f'[ "$6" = device ] && [ "$7" = show ] && cat {tmp_path / "said"}')
    source = NetworkManagerSource(every_us=SECOND_US, program=nmcli)
    assert answer(source, within_us=SECOND_US) == seen


def test_watch_joins_source_policy_and_clock(tmp_path: Path) -> None:
    """WI-60."""
    section = NetworkSection(source="file", ask=str(tmp_path / "network"))
    watch = NetworkWatch(policy_of(section, allow_bulk=True), source_of(section), FakeClock())
    assert watch.now(1).why == "network unknown"
    (tmp_path / "network").write_text("metered=no")
    assert watch.now(2).allow_bulk


@pytest.mark.parametrize(
    ("section", "kind"),
    [
        (NetworkSection(), NoSource),
        (NetworkSection(source="route"), RouteSource),
        (NetworkSection(source="nmcli"), NetworkManagerSource),
        (NetworkSection(source="file", ask="/run/network"), FileSource),
        (NetworkSection(source="command", ask="ask 'the network'"), ProgramSource),
    ],
)
def test_source_is_the_one_that_is_configured(section: NetworkSection, kind: type) -> None:
    """WI-60."""
    assert type(source_of(section)) is kind


@pytest.mark.parametrize(
    ("section", "said"),
    [
        (NetworkSection(source="file"), "network.ask"),
        (NetworkSection(source="command", ask="ask 'the network"), "no command"),
    ],
)
def test_source_that_says_not_whom_to_ask_is_refused(section: NetworkSection, said: str) -> None:
    """WI-60."""
    with pytest.raises(Usage, match=said):
        source_of(section)
