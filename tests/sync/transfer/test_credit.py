"""The centre's budget: shared by devices, bounded in bytes, and of no more use to who lies."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.credit import Credit

PART = 16 * 1024


@dataclass
class Centre:
    """Devices that send all they may each turn; what they sent is taken at the end of the turn."""

    credit: Credit
    left: dict[tuple[str, str], int] = field(default_factory=dict)
    told: dict[tuple[str, str], int] = field(default_factory=dict)
    taken: Counter[str] = field(default_factory=Counter)
    part_size: dict[tuple[str, str], int] = field(default_factory=dict)

    def join(
        self, device: str, item: str, *, parts: int, priority: int = 4, part_size: int = PART, broker: int = 0
    ) -> None:
        key = device, item
        self.left[key], self.part_size[key] = parts, part_size
        self.credit.join(device, item, priority=priority, part_size=part_size, left=parts, broker=broker)
        self.told[key] = self.credit.allot(device, item)

    def turn(self, rng: random.Random) -> None:
        """Every part that may be on its way arrives, is synced and acknowledged, in any order of uploads."""
        keys = [key for key in self.left if self.told[key]]
        rng.shuffle(keys)
        for key in keys:
            parts = min(self.told[key], self.left[key])
            self.credit.taken(*key, parts)
            self.left[key] -= parts
            self.taken[key[0]] += parts * self.part_size[key]
            if self.left[key]:
                self.told[key] = self.credit.allot(*key)
            else:
                self.credit.leave(*key)
                del self.left[key], self.told[key]
        for key in self.credit.relieved():
            self.told[key] = self.credit.allot(*key, its_turn=True)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 12))
def test_credit_never_exceeds_the_budget_and_starves_nobody(seed: int, budget_parts: int, devices: int) -> None:
    """WI-25. WI-54. WI-56: whatever sizes and priorities there are, and also where a share is less than a part."""
    rng = random.Random(seed)
    centre = Centre(Credit(budget_bytes=budget_parts * PART, window=32))
    largest = PART
    for number in range(devices):
        for upload in range(rng.randrange(1, 4)):
            part_size = PART << rng.randrange(3)
            largest = max(largest, part_size)
            priority = rng.randrange(5)
            centre.join(f"d{number}", f"i{upload}", parts=rng.randrange(1, 30), priority=priority, part_size=part_size)
    parts = sum(centre.left.values())
    for _ in range(parts + 1):
        beyond = devices * largest + largest
        assert centre.credit.exposed_bytes <= budget_parts * PART + beyond
        if not centre.left:
            break
        before = sum(centre.left.values())
        centre.turn(rng)
        assert sum(centre.left.values()) < before
    assert not centre.left
    assert (centre.credit.exposed_bytes, centre.credit.devices) == (0, 0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 30))
def test_credit_gives_every_device_the_same_while_all_want(seed: int, devices: int) -> None:
    """WI-54: whoever came first has no more than whoever came last."""
    rng = random.Random(seed)
    centre = Centre(Credit(budget_bytes=128 * PART, window=64))
    for number in range(devices):
        centre.join(f"d{number}", "i", parts=100_000)
    for _ in range(20):
        centre.turn(rng)
    centre.taken.clear()
    for _ in range(50):
        centre.turn(rng)
        assert all(told * PART <= centre.credit.share for told in centre.told.values())
    assert max(centre.taken.values()) - min(centre.taken.values()) <= 50 * PART
    assert sum(centre.taken.values()) >= 50 * devices * (centre.credit.share * 7 // 8 // PART) * PART


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, 32),
    st.sampled_from([0, 2, 4]),
    st.sampled_from([PART, 4 * PART, 16 * PART]),
    st.booleans(),
)
def test_credit_gains_a_liar_nothing(seed: int, uploads: int, priority: int, part_size: int, asks: bool) -> None:
    """WI-54. WI-55: many uploads, all of them urgent, large parts, asking anew each turn: no more than its share."""
    rng = random.Random(seed)
    centre = Centre(Credit(budget_bytes=256 * PART, window=64))
    for number in range(7):
        centre.join(f"honest{number}", "i", parts=100_000)
    for upload in range(uploads):
        centre.join("liar", f"i{upload}", parts=100_000, priority=priority, part_size=part_size)
    for _ in range(20):
        centre.turn(rng)
    centre.taken.clear()
    turns = 40
    for _ in range(turns):
        for upload in range(uploads if asks else 0):
            centre.credit.asked("liar", f"i{upload}")
            centre.told["liar", f"i{upload}"] = centre.credit.allot("liar", f"i{upload}")
        centre.turn(rng)
    assert centre.taken["liar"] <= turns * max(centre.credit.share, part_size)
    kept = centre.credit.share - centre.credit.share // 8 - PART
    assert all(centre.taken[f"honest{number}"] >= turns * kept for number in range(7))


def test_credit_puts_the_more_urgent_upload_of_a_device_first() -> None:
    """WI-31."""
    credit = Credit(budget_bytes=64 * PART, window=64)
    credit.join("car", "bulk", priority=4, part_size=PART, left=1000)
    assert credit.allot("car", "bulk") == 56
    credit.join("car", "hit", priority=0, part_size=PART, left=3)
    assert credit.allot("car", "hit") == 3
    credit.taken("car", "bulk", 56)
    assert credit.allot("car", "bulk") == 53
    credit.leave("car", "hit")
    credit.taken("car", "bulk", 53)
    assert credit.allot("car", "bulk") == 56


def test_credit_counts_what_was_granted_until_it_has_come() -> None:
    """WI-54: a lowered credit takes no byte back that is on its way already."""
    credit = Credit(budget_bytes=64 * PART, window=64)
    credit.join("a", "i", priority=4, part_size=PART, left=1000)
    assert credit.allot("a", "i") == 56
    credit.join("b", "i", priority=4, part_size=PART, left=1000)
    assert credit.allot("b", "i") == 0
    credit.taken("a", "i", 10)
    assert credit.allot("a", "i") == 28
    assert credit.exposed("a", "i") == 46
    assert credit.relieved() == [("b", "i")]
    assert credit.allot("b", "i", its_turn=True) == 10
    assert credit.exposed_bytes == 56 * PART


@pytest.mark.parametrize("devices", [1, 2, 63, 64, 65, 1000])
def test_credit_takes_turns_when_a_share_is_smaller_than_a_part(devices: int) -> None:
    """WI-56: who waited longest has the next part."""
    centre = Centre(Credit(budget_bytes=64 * PART, window=1))
    for number in range(devices):
        centre.join(f"d{number}", "i", parts=4)
    rng = random.Random(devices)
    turns = 0
    while centre.left:
        centre.turn(rng)
        turns += 1
        done = [centre.taken[f"d{number}"] for number in range(devices)]
        assert max(done) - min(done) <= 2 * PART
    assert turns <= 4 * -(-devices // 56) + 4


def test_credit_grants_within_what_is_lent_and_wakes_who_waits_when_more_is() -> None:
    """WI-68. What was granted stays; a part is not made smaller."""
    credit = Credit(budget_bytes=64 * PART, window=64)
    centre = Centre(credit)
    credit.lend(8 * PART)
    for number in range(4):
        centre.join(f"car-{number}", "item", parts=100)
    assert credit.exposed_bytes <= 8 * PART
    assert credit.fair_part == 16 * PART
    before = credit.exposed_bytes
    credit.lend(1000 * PART)
    woken = credit.relieved()
    for key in woken:
        credit.allot(*key, its_turn=True)
    for number in range(4):
        credit.allot(f"car-{number}", "item")
    assert before < credit.exposed_bytes <= 64 * PART


LENT, LEAST = 64 * PART, 4 * PART


@pytest.mark.parametrize("slow", [0, 1])
def test_broker_that_is_lent_less_costs_the_devices_of_the_other_nothing(slow: int) -> None:
    """WI-68. WI-54: shares are within what one's own broker is lent."""
    centre = Centre(Credit(budget_bytes=8 * LENT, window=64, brokers=2))
    for broker in (0, 1):
        centre.credit.lend(LEAST if broker == slow else LENT, broker)
    for number in range(8):
        centre.join(f"d{number}", "i", parts=100_000, broker=number % 2)
    rng = random.Random(1)
    for _ in range(20):
        centre.turn(rng)
    centre.taken.clear()
    for _ in range(50):
        centre.turn(rng)

    quick, few = (sum(centre.taken[f"d{number}"] for number in range(8) if number % 2 == at) for at in (1 - slow, slow))

    assert quick >= 50 * 4 * (LENT // 4 * 7 // 8 // PART) * PART
    assert 0 < few <= 50 * LEAST
    assert centre.credit.exposed_at(slow) <= LEAST


def test_device_waits_in_its_own_brokers_line_only() -> None:
    """WI-56. WI-68: who waits longest goes first among those of one broker, and holds up nobody of another."""
    credit = Credit(budget_bytes=32 * PART, window=4, brokers=2)
    credit.lend(PART, 0)
    told = []
    for number, broker in enumerate((0, 0, 0, 1)):
        credit.join(f"d{number}", "i", priority=4, part_size=PART, left=9, broker=broker)
        told.append(credit.allot(f"d{number}", "i"))
    assert told == [1, 0, 0, 4]

    credit.taken("d0", "i", 1)

    assert credit.relieved()[:1] == [("d1", "i")]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 12), st.integers(2, 5))
def test_several_brokers_together_never_exceed_the_budget_and_starve_nobody(
    seed: int, budget_parts: int, devices: int, brokers: int
) -> None:
    """WI-25. WI-54. WI-56. WI-68: however little some are lent, and where the whole is less than a part for each."""
    rng = random.Random(seed)
    centre = Centre(Credit(budget_bytes=budget_parts * PART, window=32, brokers=brokers))
    for broker in range(brokers):
        centre.credit.lend(rng.randrange(1, budget_parts + 1) * PART, broker)
    for number in range(devices):
        centre.join(f"d{number}", "i", parts=rng.randrange(1, 30), priority=rng.randrange(5), broker=number % brokers)
    parts = sum(centre.left.values())
    for _ in range(brokers * (parts + 1)):
        assert centre.credit.exposed_bytes <= (budget_parts + devices + 1) * PART
        centre.turn(rng)
    assert not centre.left
