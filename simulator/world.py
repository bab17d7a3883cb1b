"""The drawn street's truth: where the own car is, which cars it meets and which plates can be read when.

Decided here: a drive is a pure function of its seed, and a longer drive of the same seed begins like a shorter one.
Slow stretches along parked cars and waiting traffic take turns with a car ahead that is caught up with. Distances are
metres, times microseconds since the start of the drive. How it looks is decided in `render`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.plates import WIDTH_M, StreetPlate, invent
from vedette.clock import iso

# The camera: a narrow lens, as plate cameras have; pixels are those of a picture 1280 wide.
FOCAL_PX, PICTURE_WIDTH_PX, CAMERA_HEIGHT_M = 1900.0, 1280, 1.3
MIN_LEGIBLE_PX = 90
MAX_SECONDS = 3600
VIEW_M = 90.0
WATCHED_EVERY = 4

_TICK_US = 20_000
_KERB_S, _FOLLOW_S = 16.0, 12.0
_KERB_MPS, _FOLLOW_MPS = 2.5, 8.0
_RIGHT_M, _LEFT_M = 2.3, -2.4
_EXTENT_M = 0.26
# Corners of a round through Rabat (Agdal, Hassan, the Medina wall), 1e-7 degree.
_ROUTE_E7 = (
    (340_020_000, -68_480_000), (340_104_000, -68_402_000), (340_168_000, -68_330_000), (340_205_000, -68_271_000),
    (340_152_000, -68_214_000), (340_083_000, -68_291_000), (340_020_000, -68_480_000),
)  # fmt: skip
_METRES_PER_E7 = 0.0111320
_LONGITUDE_SHRINK = 0.8289
_COLOURS = (
    (232, 232, 230), (52, 52, 56), (168, 172, 176), (38, 46, 120), (140, 60, 36), (210, 206, 196), (66, 84, 40),
    (120, 124, 130), (96, 34, 30), (150, 110, 60),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Track:
    """A car's path: from `from_us` on, its near end `gap_m` ahead of the own car (ahead) or at `at_m` of the road."""

    from_us: int
    until_us: int
    gaps_us: tuple[int, ...] = ()
    gaps_m: tuple[float, ...] = ()
    at_m: float = 0.0
    speed_mps: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Car:
    """A car on the street; `faces_us` when it shows its front. BGR colour, lateral place and yaw (radians) fixed."""

    plate: StreetPlate
    shape: str
    colour: tuple[int, int, int]
    lateral_m: float
    yaw: float
    faces_us: bool
    track: Track


@dataclass(frozen=True, kw_only=True, slots=True)
class CarPose:
    """A car as it stands before the camera at one moment; `ahead_m` is the distance to its near end."""

    car: Car
    ahead_m: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Sighting:
    """A plate that can be read: between these times it is whole in the picture and at least 90 px wide."""

    text: str
    region: str
    on_watchlist: bool
    visible_from_us: int
    visible_to_us: int
    widest_px: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Drive:
    """One drive; `plates` in the order in which they become legible."""

    seed: int
    seconds: float
    cars: tuple[Car, ...]
    plates: tuple[Sighting, ...]
    travelled_m: NDArray[np.float64]

    def distance_m(self, at_us: int) -> float:
        """How far the own car has driven."""
        tick, rest_us = divmod(max(0, at_us), _TICK_US)
        tick = min(tick, len(self.travelled_m) - 2)
        before, after = self.travelled_m[tick], self.travelled_m[tick + 1]
        return float(before + (after - before) * min(1.0, rest_us / _TICK_US))

    def poses(self, at_us: int) -> list[CarPose]:
        """The cars in view, the farthest first."""
        own_m = self.distance_m(at_us)
        found = [(ahead, car) for car in self.cars if (ahead := _ahead_m(car.track, at_us, own_m)) is not None]
        found.sort(key=lambda one: -one[0])
        return [CarPose(car=car, ahead_m=ahead) for ahead, car in found]

    def position_e7(self, at_us: int) -> tuple[int, int]:
        """Latitude and longitude of the own car in 1e-7 degree."""
        return _along_route(self.distance_m(at_us))


def plan(seed: int, seconds: float) -> Drive:
    """The drive of that seed, `seconds` long (up to an hour)."""
    seconds = min(max(seconds, 1.0), MAX_SECONDS)
    stretches = list(_stretches(seconds + 30))
    travelled_m = _travelled(stretches, seconds + 30)
    rng = random.Random(seed)
    cars: list[Car] = []
    for kind, from_s, to_s in stretches:
        cars += _kerb_cars(rng, travelled_m, from_s, to_s) if kind == "kerb" else _follow_cars(rng, from_s, to_s)
    # The list is drawn from all cars before the drive's end cuts any off, so a longer drive has the same ones.
    watched = {car.plate.text for car in _readable(cars)[1::WATCHED_EVERY]}
    drive = Drive(seed=seed, seconds=seconds, cars=tuple(cars), plates=(), travelled_m=travelled_m)
    found = [_sighting(drive, car, watched) for car in _readable(cars)]
    plates = sorted((one for one in found if one is not None), key=lambda one: one.visible_from_us)
    return Drive(seed=seed, seconds=seconds, cars=tuple(cars), plates=tuple(plates), travelled_m=travelled_m)


def watchlist_rows(drive: Drive, *, now_us: int, days: int = 30, strangers: int = 20) -> list[dict[str, str]]:
    """Rows of a watchlist CSV: the watched plates of the drive among `strangers` that do not drive past."""
    rng = random.Random(drive.seed + 1)
    passing = {one.text for one in drive.plates}
    wanted = [(one.text, one.region) for one in drive.plates if one.on_watchlist]
    others = (invent(rng) for _ in range(strangers))
    wanted += [(one.text, one.region) for one in others if one.text not in passing]
    reasons = (
        ("stolen vehicle", "high"),
        ("no insurance", "low"),
        ("wanted person seen in it", "high"),
        ("fine", "normal"),
    )
    dates = {"valid_from": _date(now_us - 86_400_000_000), "valid_to": _date(now_us + days * 86_400_000_000)}
    rows = []
    for plate, region in sorted(set(wanted)):
        reason, priority = rng.choice(reasons)
        rows.append(
            {"plate": plate, "region": region, "reason": reason, "priority": priority, "source": "demo", **dates}
        )
    return rows


def _date(utc_us: int) -> str:
    return iso(utc_us)[:10]


def _stretches(seconds: float) -> Iterator[tuple[str, float, float]]:
    at, kind = 0.0, "kerb"
    while at < seconds:
        length = _KERB_S if kind == "kerb" else _FOLLOW_S
        yield kind, at, at + length
        at, kind = at + length, "follow" if kind == "kerb" else "kerb"


def _travelled(stretches: Sequence[tuple[str, float, float]], seconds: float) -> NDArray[np.float64]:
    """Metres driven at every tick; speed changes take two seconds."""
    ticks_s = np.arange(int(seconds * 1e6 / _TICK_US) + 1) * _TICK_US / 1e6
    corners_s, speeds = [0.0], [_KERB_MPS]
    for kind, from_s, to_s in stretches:
        speed = _KERB_MPS if kind == "kerb" else _FOLLOW_MPS
        corners_s += [from_s + 1.0, to_s - 1.0]
        speeds += [speed, speed]
    speed_mps = np.interp(ticks_s, corners_s, speeds)
    return np.asarray(np.cumsum(speed_mps) * _TICK_US / 1e6, dtype=np.float64)


def _kerb_cars(rng: random.Random, travelled_m: NDArray[np.float64], from_s: float, to_s: float) -> list[Car]:
    """Cars parked on the right and queueing on the left, ten metres apart, so that each plate comes free in time."""
    start_m = float(travelled_m[min(len(travelled_m) - 1, int((from_s + 1.5) * 1e6 / _TICK_US))])
    count = int((to_s - from_s - 3.0) * _KERB_MPS / 10.0) + 1
    cars = []
    for index in range(count):
        for lateral_m, shift_m in ((_RIGHT_M, 0.0), (_LEFT_M, 5.0)):
            at_m = start_m + 9.5 + 10.0 * index + shift_m + rng.uniform(-0.4, 0.4)
            track = Track(from_us=int((from_s - 20) * 1e6), until_us=int((to_s + 8) * 1e6), at_m=at_m)
            yaw = rng.uniform(-0.05, 0.05)
            cars.append(_car(rng, lateral_m + rng.uniform(-0.08, 0.08), yaw, lateral_m < 0, track))
    return cars


def _follow_cars(rng: random.Random, from_s: float, to_s: float) -> list[Car]:
    """One car ahead that is caught up with, followed and lost; others come the other way too fast to be read."""
    near_m = rng.uniform(5.6, 8.2)
    times = (from_s - 1.0, from_s + 5.0, from_s + 6.2, from_s + 8.0, to_s + 2.0)
    gaps = (75.0, near_m + 0.5, near_m, near_m + 0.4, 85.0)
    times_us = tuple(int(one * 1e6) for one in times)
    ahead = Track(from_us=times_us[0], until_us=times_us[-1], gaps_us=times_us, gaps_m=gaps)
    cars = [_car(rng, rng.uniform(-0.3, 0.3), rng.uniform(-0.03, 0.03), False, ahead)]
    for index in range(2):
        start_us = int((from_s + 1 + 4 * index) * 1e6)
        passing = Track(from_us=start_us, until_us=start_us + 9_000_000, at_m=85.0, speed_mps=-9.0)
        cars.append(_car(rng, -5.1, 0.0, True, passing))
    return cars


def _car(rng: random.Random, lateral_m: float, yaw: float, faces_us: bool, track: Track) -> Car:
    return Car(
        plate=invent(rng),
        shape=rng.choice(("hatch", "hatch", "saloon", "van")),
        colour=rng.choice(_COLOURS),
        lateral_m=lateral_m,
        yaw=yaw,
        faces_us=faces_us,
        track=track,
    )


def _ahead_m(track: Track, at_us: int, own_m: float) -> float | None:
    if not track.from_us <= at_us <= track.until_us:
        return None
    if track.gaps_us:
        ahead_m = _eased(at_us, track.gaps_us, track.gaps_m)
    elif track.speed_mps:
        ahead_m = track.at_m + track.speed_mps * (at_us - track.from_us) / 1e6
    else:
        ahead_m = track.at_m - own_m
    return ahead_m if -5.0 < ahead_m < VIEW_M else None


def _eased(at_us: int, times_us: Sequence[int], values: Sequence[float]) -> float:
    """Between the values with no jerk at the corners (smoothstep)."""
    index = max(0, min(len(times_us) - 2, sum(at_us >= one for one in times_us) - 1))
    share = (at_us - times_us[index]) / (times_us[index + 1] - times_us[index])
    return values[index] + (values[index + 1] - values[index]) * share * share * (3 - 2 * share)


def _readable(cars: Sequence[Car]) -> list[Car]:
    return [car for car in cars if not car.track.speed_mps]


def _sighting(drive: Drive, car: Car, watched: set[str]) -> Sighting | None:
    """When the plate is legible within the drive, sampled ten times a second; None when it never is for a second."""
    end_us = min(int(drive.seconds * 1e6), car.track.until_us)
    seen: list[tuple[int, float]] = []
    for at_us in range(max(0, car.track.from_us), end_us, 100_000):
        ahead_m = _ahead_m(car.track, at_us, drive.distance_m(at_us))
        if ahead_m is None or ahead_m < 1.0:
            continue
        width_px = FOCAL_PX * WIDTH_M / ahead_m
        edge_px = (abs(car.lateral_m) + _EXTENT_M) * FOCAL_PX / ahead_m
        if width_px >= MIN_LEGIBLE_PX and edge_px <= PICTURE_WIDTH_PX / 2:
            seen.append((at_us, width_px))
    if not seen or seen[-1][0] - seen[0][0] < 1_000_000:
        return None
    return Sighting(
        text=car.plate.text,
        region=car.plate.region,
        on_watchlist=car.plate.text in watched,
        visible_from_us=seen[0][0],
        visible_to_us=seen[-1][0],
        widest_px=int(max(width for _, width in seen)),
    )


def _along_route(distance_m: float) -> tuple[int, int]:
    corners = np.array(_ROUTE_E7, dtype=np.float64)
    metres = (corners - corners[0]) * (_METRES_PER_E7, _METRES_PER_E7 * _LONGITUDE_SHRINK)
    along_m = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(metres, axis=0).T))])
    at_m = distance_m % along_m[-1]
    return round(float(np.interp(at_m, along_m, corners[:, 0]))), round(float(np.interp(at_m, along_m, corners[:, 1])))
