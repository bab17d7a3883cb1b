"""The drawn street's truth."""

from __future__ import annotations

import csv
import io
import random

import pytest

from simulator import plates
from simulator.plates import StreetPlate
from simulator.world import MAX_SECONDS, MIN_LEGIBLE_PX, plan, watchlist_rows
from vedette.errors import NotFound
from vedette.plates import normalise

NOW_US = 1_795_420_800_000_000


def test_plan_gives_the_same_drive_when_the_seed_is_the_same() -> None:
    one, again, other = plan(7, 60), plan(7, 60), plan(8, 60)

    assert one.plates == again.plates
    assert one.cars == again.cars
    assert [plate.text for plate in one.plates] != [plate.text for plate in other.plates]


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 99])
def test_plan_shows_many_plates_long_enough_to_read_when_the_drive_is_a_minute(seed: int) -> None:
    drive = plan(seed, 60)

    assert 12 <= len(drive.plates) <= 30
    assert all(plate.visible_to_us - plate.visible_from_us >= 1_000_000 for plate in drive.plates)
    assert all(MIN_LEGIBLE_PX <= plate.widest_px <= 200 for plate in drive.plates)
    assert all(plate.visible_from_us >= 0 and plate.visible_to_us <= 60_000_000 for plate in drive.plates)
    assert sum(plate.region == "MA" for plate in drive.plates) * 2 > len(drive.plates)
    assert 2 <= sum(plate.on_watchlist for plate in drive.plates) <= len(drive.plates) // 2


def test_plan_begins_alike_when_the_drive_is_longer() -> None:
    short, long = plan(5, 45), plan(5, 90)

    assert set(short.cars) <= set(long.cars)
    assert [plate for plate in long.plates if plate.visible_to_us < 44_000_000] == [
        plate for plate in short.plates if plate.visible_to_us < 44_000_000
    ]


@pytest.mark.parametrize(
    ("asked", "given"), [(0, 1), (1, 1), (MAX_SECONDS, MAX_SECONDS), (MAX_SECONDS + 1, MAX_SECONDS)]
)
def test_plan_keeps_its_bounds_when_asked_for_more_or_less(asked: float, given: float) -> None:
    assert plan(1, asked).seconds == given


def test_own_car_never_drives_backwards_or_jumps_when_seen_frame_by_frame() -> None:
    drive = plan(3, 60)

    steps = [drive.distance_m(at + 40_000) - drive.distance_m(at) for at in range(0, 60_000_000, 40_000)]

    assert min(steps) > 0.05
    assert max(steps) < 0.4


def test_cars_never_jump_towards_the_camera_when_seen_frame_by_frame() -> None:
    drive = plan(3, 40)
    ahead = {at: {id(pose.car): pose.ahead_m for pose in drive.poses(at)} for at in range(0, 40_000_000, 40_000)}

    steps = [
        abs(ahead[at + 40_000][car] - metres)
        for at, cars in list(ahead.items())[:-1]
        for car, metres in cars.items()
        if car in ahead[at + 40_000]
    ]

    assert max(steps) < 1.2


def test_poses_are_sorted_for_the_painter_when_many_cars_are_in_view() -> None:
    metres = [pose.ahead_m for pose in plan(1, 60).poses(3_000_000)]

    assert len(metres) >= 4
    assert metres == sorted(metres, reverse=True)


def test_position_moves_with_the_car_through_rabat_when_time_passes() -> None:
    drive = plan(1, 600)
    places = [drive.position_e7(second * 1_000_000) for second in range(0, 600, 5)]

    assert len(set(places)) == len(places)
    assert all(339_900_000 < lat < 340_400_000 and -68_600_000 < lon < -68_100_000 for lat, lon in places)


def test_watchlist_rows_hold_the_watched_plates_and_no_other_of_the_drive_when_made() -> None:
    drive = plan(4, 60)

    rows = watchlist_rows(drive, now_us=NOW_US)

    listed, passing = {row["plate"] for row in rows}, {plate.text for plate in drive.plates}
    assert listed & passing == {plate.text for plate in drive.plates if plate.on_watchlist}
    assert len(listed) == len(rows) >= 20
    assert all(row["valid_from"] == "2026-11-22" and row["valid_to"] == "2026-12-23" for row in rows)
    assert all(normalise(row["plate"], row["region"]).text == row["plate"] for row in rows)


def test_watchlist_rows_make_a_csv_when_written() -> None:
    rows = watchlist_rows(plan(4, 30), now_us=NOW_US)
    text = io.StringIO()

    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)

    assert text.getvalue().splitlines()[0] == "plate,region,reason,priority,source,valid_from,valid_to"


def test_invented_plates_are_in_their_written_form_when_drawn_by_lot() -> None:
    rng = random.Random(5)
    invented = [plates.invent(rng) for _ in range(500)]

    assert all(normalise(one.drawn, one.region).text == one.text for one in invented)
    assert {one.region for one in invented} == {"MA", "FR", "ES", "GB", "DE", "PT"}


@pytest.mark.parametrize("letter", "أبدهوط")
def test_plate_art_has_two_bars_and_ink_between_them_when_moroccan(letter: str) -> None:
    drawn = f"12345|{letter}|6"

    picture = plates.art(StreetPlate(drawn=drawn, text=drawn, region="MA"), is_rear=True)

    dark = (picture.max(axis=2) < 90).mean(axis=0)[8:-8]
    assert picture.shape == (110, 520, 3)
    assert 9 <= int((dark > 0.9).sum()) <= 11
    assert dark[320:390].max() > 0.1


def test_plates_say_which_package_is_missing_when_there_is_no_typeface(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plates, "FONT_FOLDERS", ())
    plates._face.cache_clear()
    plates._glyph.cache_clear()

    with pytest.raises(NotFound, match="apt install fonts-noto-core"):
        plates.art(StreetPlate(drawn="99999|د|89", text="99999|د|89", region="MA"), is_rear=True)
