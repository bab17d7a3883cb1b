"""The plan of the chaos trial is its seed's alone, and leaves nobody and nothing out."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from simulator import chaos_plan
from simulator.chaos_plan import BROKER, CENTRE, DATABASE, DOOR, MOST_PAUSE_S, MOST_SEGMENT_BYTES, Strike, freight
from simulator.chaos_scene import Cast
from vedette.records import PRIORITY_BULK, PRIORITY_HIT, PRIORITY_MARKED

LINKS = 4


def plan(seed: int, count: int, cast: Cast) -> list[Strike]:
    return list(islice(chaos_plan.strikes(seed, cast.shares, LINKS), count))


def test_a_seed_always_means_the_same_kills_and_another_seed_others() -> None:
    cast = Cast(devices=3, workers=3, on_postgres=True)
    assert plan(7, 500, cast) == plan(7, 500, cast)
    assert plan(7, 20, cast) != plan(8, 20, cast)
    told = [(one.breath, one.link, one.trouble, one.victims) for one in plan(7, 3, Cast(devices=1, workers=1))]
    assert told == [
        (True, 2, "", (CENTRE,)),
        (False, 0, "", ("car-1/uplink",)),
        (False, 2, "", ("car-1/uplink",)),
    ]


def test_everybody_is_killed_and_every_link_cut_and_silenced() -> None:
    cast = Cast(devices=3, workers=3, on_postgres=True)
    strikes = plan(1, 3000, cast)
    killed = Counter(victim for strike in strikes for victim in strike.victims)
    services = {f"car-{number}/{service}" for number in (1, 2, 3) for service in ("uplink", "keeper")}
    assert set(killed) == {CENTRE, BROKER, DOOR, DATABASE, "w2", "w3"} | services
    assert min(killed.values()) > 20
    troubled = {(strike.link, strike.trouble) for strike in strikes}
    assert troubled == {(link, trouble) for link in range(LINKS) for trouble in ("cut", "mute", "")}
    assert {len(strike.victims) for strike in strikes} == {1, 2, 3}
    assert {strike.breath for strike in strikes} == {True, False}
    assert 0 <= min(strike.pause_s for strike in strikes) <= max(strike.pause_s for strike in strikes) <= MOST_PAUSE_S


def test_no_database_and_no_further_worker_is_killed_where_there_is_none() -> None:
    killed = {victim for strike in plan(1, 2000, Cast(devices=1, workers=1)) for victim in strike.victims}
    assert killed == {CENTRE, BROKER, DOOR, "car-1/uplink", "car-1/keeper"}


def test_each_car_has_freight_of_its_own_of_every_kind_and_size() -> None:
    first = list(islice(freight(1, "car-1", parked=False), 2000))
    assert first == list(islice(freight(1, "car-1", parked=False), 2000))
    assert first[:20] != list(islice(freight(1, "car-2", parked=False), 20))
    assert first[:20] != list(islice(freight(2, "car-1", parked=False), 20))
    assert {one.priority for one in first} == {PRIORITY_HIT, PRIORITY_MARKED, PRIORITY_BULK}
    sizes = [one.size for one in first if one.priority != PRIORITY_HIT]
    assert min(sizes) < 200
    assert MOST_SEGMENT_BYTES // 2 < max(sizes) <= MOST_SEGMENT_BYTES


def test_most_of_what_waits_on_a_parked_car_is_bulk() -> None:
    kinds = Counter(one.priority for one in islice(freight(1, "car-1", parked=True), 2000))
    assert kinds[PRIORITY_BULK] > 1000
    assert kinds[PRIORITY_HIT] > 0 < kinds[PRIORITY_MARKED]
