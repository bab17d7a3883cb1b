"""The rules of fetching a watchlist, without disk or network."""

from __future__ import annotations

import itertools
import random

import pytest

from sync import list_fetch
from sync.list_fetch import ListFetch
from vedette.wire import ListOffer, ListPart

OFFER = ListOffer(version=5, size=10, sha256="a" * 64)


def test_list_fetch_follows_only_newer_offers() -> None:
    """WI-40."""
    fetch = ListFetch(have_version=5)
    assert not fetch.wants(OFFER, 1)
    newer = ListOffer(version=6, size=10, sha256="b" * 64)
    assert fetch.wants(newer, 1)
    fetch.begin(newer, 0)
    assert not fetch.wants(newer, 1)
    assert fetch.wants(ListOffer(version=7, size=1, sha256="c" * 64), 1)


@pytest.mark.parametrize("seed", range(50))
def test_list_fetch_gets_every_byte_once_when_parts_are_lost_doubled_and_late(seed: int) -> None:
    """WI-40. WI-42."""
    rng, whole, now_us = random.Random(seed), bytes(range(200)), 0
    fetch, got = ListFetch(0), b""
    flying = [ListPart(version=7, offset=0, payload=b"foreign")]
    fetch.begin(ListOffer(version=1, size=200, sha256="a" * 64), 0)
    while not fetch.whole:
        now_us += list_fetch.MOST_RETRY_US
        want = fetch.next_want(now_us)
        assert want is not None and want.offset == len(got)
        fetch.asked(now_us)
        answer = ListPart(version=1, offset=want.offset, payload=whole[want.offset : want.offset + 30])
        flying += [answer] * rng.choice((0, 1, 1, 2))
        got += fetch.take(flying[rng.randrange(len(flying))])
        got += fetch.take(flying[-1])
    assert got == whole


@pytest.mark.parametrize(
    "part",
    [
        ListPart(version=4, offset=3, payload=b"x"),
        ListPart(version=5, offset=2, payload=b"x"),
        ListPart(version=5, offset=4, payload=b"x"),
        ListPart(version=5, offset=3, payload=b"x" * 8),
    ],
    ids=["another version", "before", "behind", "too long"],
)
def test_list_fetch_takes_no_part_when_it_is_not_the_one_asked_for(part: ListPart) -> None:
    """WI-40."""
    fetch = ListFetch(0)
    fetch.begin(OFFER, 3)
    assert fetch.take(part) == b""
    assert fetch.take(ListPart(version=5, offset=3, payload=b"x" * 7)) == b"x" * 7
    assert fetch.whole


def test_list_fetch_asks_rarer_and_gives_up_when_nobody_answers() -> None:
    """WI-40."""
    fetch, now_us, times = ListFetch(0), 0, []
    fetch.begin(OFFER, 0)
    while fetch.offer is not None:
        now_us += 1_000_000
        if fetch.next_want(now_us) is not None:
            fetch.asked(now_us)
            times.append(now_us // 1_000_000)
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert gaps == [5, 10, 20, 40, 60, 60, 60]
    assert not fetch.wants(OFFER, now_us)
    assert fetch.wants(OFFER, now_us + list_fetch.REFUSED_PAUSE_US)


def test_list_fetch_asks_at_once_when_the_session_is_new() -> None:
    """WI-40."""
    fetch = ListFetch(0)
    fetch.begin(OFFER, 0)
    fetch.asked(1)
    assert fetch.next_want(2) is None
    fetch.lost_session()
    assert fetch.next_want(3) is not None


def test_list_fetch_does_not_loop_when_an_offer_claims_a_version_the_list_has_not() -> None:
    """WI-43."""
    fetch = ListFetch(0)
    fetch.begin(OFFER, 10)
    fetch.accepted(4, now_us=1)
    assert fetch.have_version == 4
    assert not fetch.wants(OFFER, 2)


def test_list_fetch_does_not_follow_a_refused_offer_for_a_while_but_another_one() -> None:
    """WI-43."""
    fetch = ListFetch(0)
    fetch.begin(OFFER, 10)
    fetch.refused(1)
    assert not fetch.wants(OFFER, 2)
    assert fetch.wants(ListOffer(version=5, size=10, sha256="b" * 64), 2)
