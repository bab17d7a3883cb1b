"""A client of gpsd: its JSON over a socket, never waited for, turned into fixes.

Decided here: what of a report counts (docs/spec/position.md PO-1 to PO-3), and that a line that is none or too long
costs the connection and nothing else. Whether the time in it is believed is `gnss_time`'s to say.
Protocol: gpsd_json(5).
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from vedette.clock import Clock
from vedette.errors import Usage

MAX_LINE_BYTES = 32 * 1024
MAX_READS = 16
RETRY_US = 5_000_000
SILENT_US = 30_000_000
WATCH = b'?WATCH={"enable":true,"json":true};\n'
_MOST = 1e15
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_TIME = re.compile(r"^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?Z$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """One report: `mode` 0 or 1 no fix, 2 flat, 3 with height; None where it says nothing. Received at `mono_us`.

    `satellite_us` is the satellites' time (UTC, microseconds), `satellite_error_us` its own bound for it.
    """

    mono_us: int
    utc_us: int
    mode: int
    lat_e7: int | None = None
    lon_e7: int | None = None
    accuracy_cm: int | None = None
    speed_cm_s: int | None = None
    course_cdeg: int | None = None
    satellite_us: int | None = None
    satellite_error_us: int | None = None
    hdop_centi: int | None = None
    satellites: int | None = None

    @property
    def has_place(self) -> bool:
        """True when it says where."""
        return self.mode >= 2 and self.lat_e7 is not None and self.lon_e7 is not None


class GpsdClient:
    """Reads a gpsd at `address` (`host:port`, or a socket's path); Usage where it is neither."""

    def __init__(self, address: str, clock: Clock) -> None:
        self._address, self._clock = parse_address(address), clock
        self._socket: socket.socket | None = None
        self._waiting = b""
        self._retry_us = self._heard_us = 0
        self._sky: tuple[int | None, int | None] = (None, None)
        self.faults = 0

    @property
    def is_connected(self) -> bool:
        """True while there is a gpsd at the other end."""
        return self._socket is not None

    def poll(self) -> list[Report]:
        """What was reported since the last call; connects again when it is time. Never waits, never raises."""
        now_us = self._clock.mono_us()
        if self._socket is None:
            self._connect(now_us)
        if self._socket is None:
            return []
        found: list[Report] = []
        try:
            for _ in range(MAX_READS):
                piece = self._socket.recv(MAX_LINE_BYTES)
                if not piece:
                    raise ConnectionResetError("gpsd closed the connection")
                self._heard_us = now_us
                found += self._take(piece)
        except BlockingIOError:
            if now_us - self._heard_us > SILENT_US:
                self._fail(now_us)
        except (OSError, ValueError, RecursionError):
            self._fail(now_us)
        return found

    def close(self) -> None:
        """Let go of the connection; may be called twice."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._waiting = None, b""

    def _connect(self, now_us: int) -> None:
        if now_us < self._retry_us:
            return
        self._retry_us = now_us + RETRY_US
        family, address = self._address
        found = socket.socket(family, socket.SOCK_STREAM)
        try:
            found.settimeout(0.5)  # A daemon of this machine answers at once or is not there.
            found.connect(address)
            found.sendall(WATCH)
            found.setblocking(False)
        except OSError:
            found.close()
            return
        self._socket, self._heard_us = found, now_us

    def _fail(self, now_us: int) -> None:
        self.faults += 1
        self._retry_us = now_us + RETRY_US
        self.close()

    def _take(self, piece: bytes) -> list[Report]:
        *lines, self._waiting = (self._waiting + piece).split(b"\n")
        if max(map(len, [*lines, self._waiting])) > MAX_LINE_BYTES:
            raise ValueError("a line of gpsd is too long")
        found = []
        for line in lines:
            body = json.loads(line) if line.strip() else {}
            if not isinstance(body, dict):
                raise ValueError("a line of gpsd is no object")
            if body.get("class") == "SKY":
                self._sky = parse_sky(body, self._sky)
            elif body.get("class") == "TPV":
                hdop_centi, satellites = self._sky
                now_us, utc_us = self._clock.mono_us(), self._clock.utc_us()
                found.append(
                    parse_report(body, mono_us=now_us, utc_us=utc_us, hdop_centi=hdop_centi, satellites=satellites)
                )
        return found


def parse_address(text: str) -> tuple[socket.AddressFamily, Any]:
    """The socket family and address in `127.0.0.1:2947` or `/run/gpsd.json.sock`."""
    if text.startswith("/"):
        return socket.AF_UNIX, text
    host, _colon, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise Usage(f"[position] gpsd is {text!r}; it must be such as 127.0.0.1:2947 or the path of a socket")
    host = host.strip("[]")
    return (socket.AF_INET6 if ":" in host else socket.AF_INET), (host, int(port))


def parse_report(
    body: dict[str, Any], *, mono_us: int, utc_us: int, hdop_centi: int | None, satellites: int | None
) -> Report:
    """A TPV object as a report; a value that is none, or beyond what there can be, counts as not said."""
    mode = body.get("mode")
    lat_e7, lon_e7 = _scaled(body, "lat", 1e7, -9e8, 9e8), _scaled(body, "lon", 1e7, -18e8, 18e8)
    satellite_us = _utc_us(body.get("time"))
    return Report(
        mono_us=mono_us,
        utc_us=utc_us,
        mode=mode if type(mode) is int and 0 <= mode <= 3 else 0,
        lat_e7=lat_e7,
        lon_e7=lon_e7,
        accuracy_cm=_scaled(body, "eph", 100, 0, 1e9),
        speed_cm_s=_scaled(body, "speed", 100, 0, 1e5),
        course_cdeg=_scaled(body, "track", 100, 0, 36_000),
        satellite_us=satellite_us,
        satellite_error_us=None if satellite_us is None else _scaled(body, "ept", 1e6, 0, 1e12),
        hdop_centi=hdop_centi,
        satellites=satellites,
    )


def parse_sky(body: dict[str, Any], before: tuple[int | None, int | None]) -> tuple[int | None, int | None]:
    """(horizontal dilution of precision times 100, satellites used) of a SKY object; what it leaves out stays."""
    used = body.get("uSat")
    if not isinstance(used, int) and isinstance(body.get("satellites"), list):
        used = sum(1 for one in body["satellites"] if isinstance(one, dict) and one.get("used") is True)
    hdop_centi = _scaled(body, "hdop", 100, 0, 1e5)
    is_count = type(used) is int and 0 <= used < 1000
    return (before[0] if hdop_centi is None else hdop_centi), (used if is_count else before[1])


def _scaled(body: dict[str, Any], name: str, factor: float, least: float, most: float) -> int | None:
    value = body.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= _MOST:
        return None  # Not a number compares as false.
    scaled = value * factor
    return round(scaled) if least <= scaled <= most else None


def _utc_us(text: object) -> int | None:
    match = _TIME.match(text) if isinstance(text, str) else None
    if match is None:
        return None
    with contextlib.suppress(ValueError):
        moment = datetime(*map(int, match.groups()[:6]), tzinfo=timezone.utc)  # type: ignore[arg-type,misc]
        return (moment - _EPOCH) // timedelta(microseconds=1) + int((match[7] or "0").ljust(6, "0")[:6])
    return None
