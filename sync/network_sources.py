"""Who tells whether the network is metered and which Wi-Fi it is: a file, a command, the routing table, NetworkManager.

Decided here: how each is asked without ever holding up the uplink (a program runs beside it and is read when it has
ended), and that one that fails, hangs or babbles has told nothing. No D-Bus: `nmcli` is asked, as a person would.

The word of a file or command is lines of `metered=yes` or `metered=no` and `ssid=NAME`; other lines are for others.
"""

from __future__ import annotations

import fnmatch
import os
import shlex
import subprocess
from pathlib import Path
from typing import Protocol

from sync.network import Network, NetworkPolicy, Sighting, judge
from vedette.clock import Clock
from vedette.config import NetworkSection
from vedette.errors import Usage

SECOND_US = 1_000_000
MAX_WORD_BYTES = 4096
PROGRAM_TIMEOUT_US = 10 * SECOND_US
ROUTES = Path("/proc/net/route")
ROUTES_6 = Path("/proc/net/ipv6_route")
_YES, _NO = frozenset({"yes", "true", "1"}), frozenset({"no", "false", "0"})


class NetworkSource(Protocol):
    """Tells what is seen of the network now."""

    def sighting(self, now_us: int) -> Sighting:
        """What is known at `now_us` (monotonic); returns at once."""


class NoSource:
    """Nobody looks."""

    def sighting(self, now_us: int) -> Sighting:
        """Nothing is known."""
        return Sighting()


class FileSource:
    """A file that somebody else keeps, for example a dispatcher script of the network's daemon."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def sighting(self, now_us: int) -> Sighting:
        """What the file says now; nothing where it is missing or too long."""
        try:
            with self._path.open("rb") as file:
                return parse_word(file.read(MAX_WORD_BYTES + 1))
        except OSError:
            return Sighting()


class RouteSource:
    """The interface of the default route, which is metered when its name is one of `metered` (patterns: `wwan*`)."""

    def __init__(self, metered: tuple[str, ...], *, routes: Path = ROUTES, routes_6: Path = ROUTES_6) -> None:
        self._metered = metered
        self._routes = routes
        self._routes_6 = routes_6

    def sighting(self, now_us: int) -> Sighting:
        """By the default route with the least metric; nothing where there is none."""
        interface = default_interface(_text(self._routes), _text(self._routes_6))
        if interface is None:
            return Sighting()
        return Sighting(metered=any(fnmatch.fnmatchcase(interface, pattern) for pattern in self._metered))


class ProgramSource:
    """A program asked every `every_us`; what it said last counts until it says something else, or fails."""

    def __init__(self, argv: list[str], *, every_us: int) -> None:
        self._argv = argv
        self._every_us = every_us
        self._running: subprocess.Popen[bytes] | None = None
        self._began_us = -every_us
        self._seen = Sighting()

    def sighting(self, now_us: int) -> Sighting:
        """What it said when it last ended."""
        if self._running is not None:
            self._collect(self._running, now_us)
        elif now_us - self._began_us >= self._every_us:
            self._start(now_us)
        return self._seen

    def parse(self, word: bytes) -> Sighting:
        """What its output means."""
        return parse_word(word)

    def _start(self, now_us: int) -> None:
        self._began_us = now_us
        try:
            self._running = subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "LC_ALL": "C"},
            )
        except OSError:
            self._seen = Sighting()

    def _collect(self, running: subprocess.Popen[bytes], now_us: int) -> None:
        if running.poll() is None and now_us - self._began_us < PROGRAM_TIMEOUT_US:
            return
        if running.returncode is None:
            running.kill()
            running.wait()
        assert running.stdout is not None
        os.set_blocking(running.stdout.fileno(), False)
        word = running.stdout.read(MAX_WORD_BYTES + 1) or b""
        running.stdout.close()
        self._running = None
        self._seen = self.parse(word) if running.returncode == 0 else Sighting()


class NetworkManagerSource(ProgramSource):
    """NetworkManager, by `nmcli`: its own guess counts as its word."""

    def __init__(self, *, every_us: int, program: str = "nmcli") -> None:
        script = (
            f"{shlex.quote(program)} -t -e no -f GENERAL.STATE,GENERAL.METERED device show; "
            f"{shlex.quote(program)} -t -e no -f ACTIVE,SSID device wifi list --rescan no; true"
        )
        super().__init__(["/bin/sh", "-c", script], every_us=every_us)

    def parse(self, word: bytes) -> Sighting:
        """The first connected device that says whether it is metered, and the active Wi-Fi."""
        connected, metered, ssid = False, None, ""
        for line in word[:MAX_WORD_BYTES].decode("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if name == "GENERAL.STATE":
                connected = value.startswith("100")
            elif name == "GENERAL.METERED" and connected and metered is None:
                metered = {"yes": True, "no": False}.get(value.partition(" ")[0])
            elif name == "yes" and not ssid:
                ssid = value
        return Sighting(metered=metered, ssid=ssid)


class NetworkWatch:
    """The rule over a source: what the network may be used for now."""

    def __init__(self, policy: NetworkPolicy, source: NetworkSource, clock: Clock) -> None:
        self._policy = policy
        self._source = source
        self._clock = clock

    def now(self, now_us: int) -> Network:
        """What may go at `now_us` (monotonic)."""
        return judge(self._policy, self._source.sighting(now_us), self._clock.utc_us())


def source_of(section: NetworkSection) -> NetworkSource:
    """The source that `[network]` names; `Usage` where it names no file or command."""
    every_us = section.look_s * SECOND_US
    if section.source == "route":
        return RouteSource(tuple(section.metered_interfaces.split()))
    if section.source == "nmcli":
        return NetworkManagerSource(every_us=every_us)
    if section.source == "none":
        return NoSource()
    if not section.ask:
        raise Usage(f"network.source is {section.source!r}, and network.ask does not say which")
    return FileSource(Path(section.ask)) if section.source == "file" else _program(section.ask, every_us)


def parse_word(word: bytes) -> Sighting:
    """The word of a file or command; nothing of it counts where it is too long."""
    if len(word) > MAX_WORD_BYTES:
        return Sighting()
    told = dict(line.partition("=")[::2] for line in word.decode("utf-8", "replace").splitlines())
    metered = told.get("metered", "").strip().lower()
    return Sighting(
        metered=True if metered in _YES else False if metered in _NO else None, ssid=told.get("ssid", "").strip()
    )


def default_interface(routes: str, routes_6: str) -> str | None:
    """The interface of the default route in the kernel's tables (`/proc/net/route`, else `/proc/net/ipv6_route`)."""
    found = [
        (int(row[6]), row[0])
        for row in (line.split() for line in routes.splitlines()[1:])
        if len(row) > 7 and row[1] == "00000000" and row[7] == "00000000" and row[6].isdigit()
    ]
    found = found or [
        (int(row[5], 16), row[9])
        for row in (line.split() for line in routes_6.splitlines())
        if len(row) == 10 and row[0] == "0" * 32 and row[1] == "00" and row[9] != "lo"
    ]
    return min(found)[1] if found else None


def _program(command: str, every_us: int) -> ProgramSource:
    try:
        return ProgramSource(shlex.split(command), every_us=every_us)
    except ValueError as error:
        raise Usage(f"network.ask: {command!r} is no command: {error}") from None


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace")
    except OSError:
        return ""
