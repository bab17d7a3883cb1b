"""An enrolled device that sends parts without end that nobody granted: refused, counted, cut off; no other has less."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509

from sync.budget import FIRST_BYTES, REST_US, TARGET_US
from sync.central import fleet
from sync.central.quarantine import PUT_OFF_US, counts, put_off
from sync.credit import KEPT_FOR_URGENT
from sync.overdraft import ALLOWED_BUDGETS, HELD_US
from vedette.config import IngestSection
from vedette.wire import Grant, Part, Refuse, RefuseCode, Sealed

PART_BYTES = 64 * 1024
CREDIT_MIB = 12  # a third of it is more than the least that is granted
ALLOWED_PARTS = ALLOWED_BUDGETS * (CREDIT_MIB << 20) // PART_BYTES
A_BUDGET = (CREDIT_MIB << 20) // PART_BYTES
LIMITS = IngestSection(credit_mib=CREDIT_MIB, part_kib=64)


@pytest.fixture
def taking(make_worker: Callable[[IngestSection], Any]) -> Any:
    return make_worker(LIMITS)


def flood(taking: Any, device: Any, parts: int) -> list[Any]:
    """Parts of an item that is under way, none of which was granted."""
    item = device.item(b"", sealed_size=100 * (CREDIT_MIB << 20))
    answers = taking.say(device.id, item.init(part_size=PART_BYTES))
    one = Part(item=item.id, index=1000, payload=bytes(PART_BYTES))
    for begun in range(0, parts, A_BUDGET):
        answers += taking.say(device.id, *[one] * min(A_BUDGET, parts - begun))
    return [answer for answer in answers if isinstance(answer, Refuse)]


def test_device_that_sends_far_beyond_its_credit_is_refused_and_put_down_once(
    centre: Any, device: Any, taking: Any
) -> None:
    """WI-73, RC-7. The next one of its items is refused as well; an honest device beside it is served."""
    other = centre.device("car-2")
    refused = flood(taking, device, ALLOWED_PARTS + A_BUDGET)
    (again,) = taking.say(device.id, device.hit().init())

    assert [one.code for one in refused] == [RefuseCode.BUSY]
    assert isinstance(again, Refuse) and again.code is RefuseCode.BUSY
    assert [(row.device, row.code) for row in centre.store.quarantine()] == [(device.id, "busy")]
    assert isinstance(taking.upload(other.hit())[0], Sealed)
    assert taking.ingest.counters["beyond"] > 0


def test_what_it_goes_on_with_is_counted_and_it_is_put_off_for_a_while(centre: Any, device: Any, taking: Any) -> None:
    """WI-73, CS-18. The first is a row, and those a budget and more after it are repeats; others are not named."""
    centre.device("car-2")
    flood(taking, device, ALLOWED_PARTS + A_BUDGET)
    before = put_off(centre.store)

    flood(taking, device, 3 * A_BUDGET)
    centre.clock.advance(2_000_000)
    taking.step()

    (counted,) = counts(centre.store)
    assert before == {}
    assert (counted.device, counted.code, counted.outcome) == (device.id, "busy", "repeated")
    assert counted.times >= 2 * A_BUDGET
    assert put_off(centre.store) == {device.id: counted.last_us}
    centre.clock.advance(PUT_OFF_US)
    assert put_off(centre.store) == {}


def test_device_that_was_put_off_is_served_when_it_has_been_quiet(centre: Any, device: Any, taking: Any) -> None:
    """WI-73: an item that it had begun is there as far as it came."""
    flood(taking, device, ALLOWED_PARTS + A_BUDGET)

    centre.clock.advance(HELD_US + 1)

    assert isinstance(taking.upload(device.hit())[0], Sealed)


def test_others_are_granted_as_much_while_one_floods_the_line(centre: Any, device: Any, taking: Any) -> None:
    """WI-73, WI-68: what comes waits long, and granting less would not change it."""
    other = centre.device("car-2")
    flood(taking, device, 3 * A_BUDGET)
    taking.link.waited_us = 2 * TARGET_US
    flood(taking, device, ALLOWED_PARTS)
    for _ in range(10):
        centre.clock.advance(REST_US)
        taking.step()

    item = other.item(b"", sealed_size=FIRST_BYTES)
    items = [item, other.item(b"", sealed_size=FIRST_BYTES)]
    answers = taking.say(other.id, *(one.init(part_size=PART_BYTES) for one in items))

    granted = sum(one.credit * one.part_size for one in answers if isinstance(one, Grant))
    assert granted == FIRST_BYTES - FIRST_BYTES // KEPT_FOR_URGENT


def test_revocation_list_names_who_is_put_off_for_that_while(centre: Any, device: Any, taking: Any) -> None:
    """WI-73, WI-18: whoever writes the list writes the same one."""
    path = centre.folder / "keys" / fleet.REVOCATIONS

    def named() -> set[int]:
        fleet.write_revocations(centre.store)
        lists = x509.load_pem_x509_crl(path.read_bytes())
        return {one.serial_number for one in lists}

    certificates = [
        x509.load_pem_x509_certificate((device.folder / "keys" / name).read_bytes()) for name in ("tls.crt", "bulk.crt")
    ]
    before = named()
    flood(taking, device, ALLOWED_PARTS + 4 * A_BUDGET)
    centre.clock.advance(2_000_000)
    taking.step()
    meanwhile = named()
    centre.clock.advance(PUT_OFF_US)

    assert meanwhile - before == {one.serial_number for one in certificates}
    assert named() == before
