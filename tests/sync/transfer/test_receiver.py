"""The receiver: what it takes, what it acknowledges and when, and how it shares its budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sync import receiver as centre_side
from sync.transfer import Receiver
from vedette import wire
from vedette.clock import FakeClock, uuid7
from vedette.wire import MIN_PART_BYTES, Ack, Fin, Grant, Part, RefuseCode

PART = MIN_PART_BYTES
Factory = Callable[..., Any]


def test_receiver_refuses_bytes_and_starts_anew_when_the_file_is_not_what_the_manifest_says(network: Factory) -> None:
    """WI-24."""
    net = network(3, sizes=(3 * PART,), loss=0.0, damage=0.0, restarts=0.0)
    item = next(iter(net.device.files))
    net.device.files[item] = b"y" + net.device.files[item][1:]
    for _ in range(400):
        net.turn()
    assert net.centre.stored == {}
    assert {one.code for one in net.device.stopped} == {RefuseCode.MISMATCH}


def test_receiver_asks_for_init_when_parts_come_for_an_item_it_does_not_know(centre: Any) -> None:
    """WI-22."""
    item = uuid7(FakeClock())
    (answer,) = centre.work(centre.receiver.receive("car-1", Part(item=item, index=0, payload=b"x"), 1))
    assert isinstance(answer, wire.Refuse) and answer.code is RefuseCode.UNKNOWN_ITEM


def test_receiver_keeps_devices_apart_when_two_name_one_item(one_item: Factory, centre: Any) -> None:
    """WI-3."""
    device = one_item()
    (init,) = device.drain()
    centre.work(centre.receiver.receive("car-1", init, 1))
    part = Part(item=init.item, index=0, payload=bytes(PART))
    (answer,) = centre.work(centre.receiver.receive("car-2", part, 1))
    assert isinstance(answer, wire.Refuse) and answer.code is RefuseCode.UNKNOWN_ITEM
    assert centre.cache == {}


def test_receiver_refuses_another_manifest_when_the_item_is_under_way(one_item: Factory, centre: Any) -> None:
    """WI-24."""
    device = one_item()
    (init,) = device.drain()
    centre.work(centre.receiver.receive("car-1", init, 1))
    other = replace(init, manifest=b"another")
    (answer,) = centre.work(centre.receiver.receive("car-1", other, 1))
    assert isinstance(answer, wire.Refuse) and answer.code is RefuseCode.CONFLICT


@pytest.mark.parametrize(("index", "size"), [(0, PART - 1), (0, PART + 1), (1, 2), (2, 1), (65_535, 1)])
def test_receiver_writes_nothing_when_a_part_is_not_of_its_item(
    index: int, size: int, one_item: Factory, centre: Any
) -> None:
    """WI-24."""
    device = one_item(PART + 1)
    (init,) = device.drain()
    centre.work(centre.receiver.receive("car-1", init, 1))
    answers = centre.work(centre.receiver.receive("car-1", Part(item=init.item, index=index, payload=bytes(size)), 1))
    assert [type(answer) for answer in answers] == [Grant]
    assert centre.cache == {}


def test_receiver_acknowledges_only_after_the_sync(one_item: Factory, centre: Any) -> None:
    """WI-23: never before the bytes are durable, and again when the ack was lost."""
    device = one_item(2 * PART)
    (init,) = device.drain()
    centre.work(centre.receiver.receive("car-1", init, 1))
    part = Part(item=init.item, index=0, payload=device.files[init.item][:PART])
    assert centre.work(centre.receiver.receive("car-1", part, 1)) == []
    (sync,) = centre.receiver.flush()
    assert isinstance(sync, centre_side.Sync) and sync.parts == ((0, 0),)
    (ack,) = centre.work([sync])
    assert isinstance(ack, Ack) and ack.ranges == ((0, 0),)
    centre.work(centre.receiver.receive("car-1", part, 1))
    assert centre.work(centre.receiver.flush()) == [ack]


def test_receiver_takes_parts_while_others_become_durable_and_acknowledges_each_after_its_own_sync(
    one_item: Factory, centre: Any
) -> None:
    """WI-23. A sync may be answered late: it stands for what had been written then and for nothing that came since."""
    device = one_item(3 * PART)
    (init,) = device.drain()
    receiver, whole = centre.receiver, device.files[init.item]
    centre.work(receiver.receive("car-1", init, 1))
    parts = [Part(item=init.item, index=n, payload=whole[n * PART : (n + 1) * PART]) for n in range(3)]
    receiver.receive("car-1", parts[0], 1)
    (first,) = receiver.flush()
    assert [type(action) for action in receiver.receive("car-1", parts[1], 1)] == [centre_side.Write]
    assert receiver.receive("car-1", parts[0], 1) == receiver.receive("car-1", parts[1], 1) == []
    assert receiver.flush() == []  # one sync of an upload at a time
    assert receiver.receive("car-1", init, 1) == []  # a grant would leave out what is not durable yet
    fin = Fin(item=init.item, sha256=init.sha256)
    assert receiver.receive("car-1", fin, 1) == []

    (ack,) = receiver.synced(("car-1", first.item))
    assert isinstance(ack.message, Ack) and ack.message.ranges == ((0, 0),)
    assert receiver.synced(("car-1", first.item)) == []
    (second,) = receiver.flush()
    assert second.parts == ((1, 1),)
    (grant,) = receiver.synced(("car-1", second.item))
    assert isinstance(grant.message, Grant) and grant.message.have == ((0, 1),)
    receiver.receive("car-1", parts[2], 1)
    (third,) = receiver.flush()
    (seal,) = receiver.synced(("car-1", third.item))
    assert isinstance(seal, centre_side.Seal)


def test_receiver_tells_what_is_here_until_it_is_durable_or_forgotten(one_item: Factory, init_of: Factory) -> None:
    """WI-68: it makes nobody wait, and counts to no queue."""
    receiver = Receiver(worker="w1", budget_bytes=32 * PART, part_size=PART)
    inits = [init_of(bytes(8 * PART)) for _ in range(2)]
    for init in inits:
        receiver.receive("car-1", init, 1)
        receiver.opened("car-1", init.item, part_size=PART, have=())
        for index in range(3):
            receiver.receive("car-1", Part(item=init.item, index=index, payload=bytes(PART)), 1)
    assert sum(receiver.here_by_broker) == 6 * PART
    receiver.flush()
    receiver.receive("car-1", Part(item=inits[0].item, index=3, payload=bytes(PART)), 1)
    assert sum(receiver.here_by_broker) == 7 * PART

    receiver.synced(("car-1", inits[0].item))
    assert sum(receiver.here_by_broker) == 4 * PART
    receiver.refuse("car-1", inits[1].item, RefuseCode.BUSY, "the disk is full")
    assert sum(receiver.here_by_broker) == PART


def test_receiver_takes_no_more_than_it_granted_while_the_disk_is_slow(one_item: Factory, init_of: Factory) -> None:
    """WI-54: what is becoming durable still counts."""
    receiver = Receiver(worker="w1", budget_bytes=8 * PART, part_size=PART)
    init = init_of(bytes(40 * PART))
    receiver.receive("car-1", init, 1)
    receiver.opened("car-1", init.item, part_size=PART, have=())
    for index in range(4):
        receiver.receive("car-1", Part(item=init.item, index=index, payload=bytes(PART)), 1)
    receiver.flush()
    taken = [receiver.receive("car-1", Part(item=init.item, index=n, payload=bytes(PART)), 1) for n in range(4, 12)]
    assert [len(actions) for actions in taken] == [1, 1, 1, 0, 0, 0, 0, 0]


def test_receiver_does_not_grant_again_at_once_what_a_slow_flush_held(init_of: Factory) -> None:
    """WI-68: what waits for the disk lets more come meanwhile, and no more once it is durable."""
    receiver = Receiver(worker="w1", budget_bytes=64 * PART, part_size=PART)
    syncs: list[Any] = []
    for device in (f"car-{number}" for number in range(6)):
        init = init_of(bytes(60 * PART))
        receiver.lend(8 * PART)
        receiver.receive(device, init, 1)
        (grant,) = receiver.opened(device, init.item, part_size=PART, have=())
        for index in range(grant.message.credit):
            receiver.receive(device, Part(item=init.item, index=index, payload=bytes(PART)), 1)
        syncs += [one for one in receiver.flush() if isinstance(one, centre_side.Sync)]
    held = sum(receiver.here_by_broker) // PART
    assert held > 16 and len(syncs) == 6, held

    acks = receiver.synced(*((one.device, one.item) for one in syncs))
    assert len(acks) == 6
    assert 1 <= receiver.exposed_bytes // PART <= 8


def test_receiver_grants_only_what_is_durable_when_it_is_asked_between_write_and_sync(
    one_item: Factory, centre: Any
) -> None:
    """WI-22. WI-23: after the sync, so that what was just written is not sent again; never before it."""
    device = one_item(3 * PART)
    (init,) = device.drain()
    centre.work(centre.receiver.receive("car-1", init, 1))
    part = Part(item=init.item, index=1, payload=device.files[init.item][PART : 2 * PART])
    centre.work(centre.receiver.receive("car-1", part, 1))
    (early,) = centre.work(centre.receiver.receive("car-1", Part(item=init.item, index=9, payload=b"x"), 1))
    assert isinstance(early, Grant) and early.have == ()
    assert centre.work(centre.receiver.receive("car-1", init, 1)) == []
    (grant,) = centre.work(centre.receiver.flush())
    assert isinstance(grant, Grant) and grant.have == ((1, 1),)


def test_receiver_does_not_seal_when_the_fin_names_another_hash(one_item: Factory, centre: Any) -> None:
    """WI-24."""
    device = one_item(PART)
    (init,) = device.drain()
    centre.work(centre.receiver.receive("car-1", init, 1))
    part = Part(item=init.item, index=0, payload=device.files[init.item])
    centre.work(centre.receiver.receive("car-1", part, 1))
    centre.work(centre.receiver.flush())
    (answer,) = centre.work(centre.receiver.receive("car-1", Fin(item=init.item, sha256="0" * 64), 1))
    assert isinstance(answer, wire.Refuse) and answer.code is RefuseCode.CONFLICT
    assert centre.stored == {}


def test_receiver_lowers_the_credit_of_the_first_when_others_come(init_of: Factory) -> None:
    """WI-25. WI-54: what was granted counts until it has come, so the budget bounds memory and not only words."""
    receiver = Receiver(worker="w1", budget_bytes=8 * PART, part_size=PART)
    inits = [init_of(bytes(40 * PART)) for _ in range(4)]
    credits = []
    for number, init in enumerate(inits):
        receiver.receive(f"car-{number}", init, 1)
        (grant,) = receiver.opened(f"car-{number}", init.item, part_size=PART, have=())
        credits.append(grant.message.credit)
    assert credits == [7, 0, 0, 0]
    for index in range(7):
        receiver.receive("car-0", Part(item=inits[0].item, index=index, payload=bytes(PART)), 2)
    (sync,) = receiver.flush()
    (ack,) = receiver.synced(("car-0", sync.item))
    assert ack.message.credit == 1
    told = {action.device: action.message.credit for action in receiver.flush()}
    assert told == {"car-1": 1, "car-2": 1, "car-3": 1}
    assert receiver.exposed_bytes <= 8 * PART


def test_receiver_makes_parts_smaller_when_a_share_is_smaller(init_of: Factory) -> None:
    """WI-7. WI-54."""
    large = 256 * 1024
    receiver = Receiver(worker="w1", budget_bytes=4 * large, part_size=large)
    sizes = []
    for number in range(100):
        init = replace(init_of(b"x"), size=large, part_size=large)
        (opened,) = receiver.receive(f"car-{number}", init, 1)
        receiver.opened(f"car-{number}", init.item, part_size=opened.part_size, have=())
        sizes.append(opened.part_size)
    assert sizes[0] == large
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == centre_side.LEAST_GRANTED_PART_BYTES


def test_receiver_takes_a_hit_when_its_budget_is_spent(init_of: Factory) -> None:
    """WI-31."""
    receiver = Receiver(worker="w1", budget_bytes=PART, part_size=PART)
    credits = []
    for priority in (4, 4, 0):
        init = replace(init_of(bytes(9 * PART)), priority=priority)
        receiver.receive("car-1", init, 1)
        (grant,) = receiver.opened("car-1", init.item, part_size=PART, have=())
        credits.append(grant.message.credit)
    assert credits == [1, 0, 1]


def test_receiver_takes_no_more_parts_than_it_granted(init_of: Factory) -> None:
    """WI-55: who sends more than its credit gains nothing."""
    receiver = Receiver(worker="w1", budget_bytes=4 * PART, part_size=PART)
    init = init_of(bytes(40 * PART))
    receiver.receive("car-1", init, 1)
    (grant,) = receiver.opened("car-1", init.item, part_size=PART, have=())
    parts = [Part(item=init.item, index=index, payload=bytes(PART)) for index in range(40)]
    actions = [action for part in parts for action in receiver.receive("car-1", part, 2)]
    writes = [action for action in actions if isinstance(action, centre_side.Write)]
    assert len(writes) == grant.message.credit == 3


def test_receiver_seals_when_the_fin_came_before_the_last_parts(one_item: Factory, centre: Any) -> None:
    """WI-20. WI-58: parts and fin may travel on two connections."""
    device = one_item(2 * PART)
    item = next(iter(device.files))
    (init,) = device.drain()
    centre.work(centre.receiver.receive("car-1", init, 1))
    fin = Fin(item=item, sha256=init.sha256)
    (answer,) = centre.work(centre.receiver.receive("car-1", fin, 1))
    assert isinstance(answer, Ack)
    for index in range(2):
        payload = device.files[item][index * PART : (index + 1) * PART]
        centre.work(centre.receiver.receive("car-1", Part(item=item, index=index, payload=payload), 1))
    (sealed,) = centre.work(centre.receiver.flush())
    assert isinstance(sealed, wire.Sealed)


def test_receiver_bounds_the_uploads_of_one_device(init_of: Factory) -> None:
    """WI-25."""
    receiver = Receiver(worker="w1", budget_bytes=1 << 40, part_size=PART)
    kinds = []
    for _ in range(centre_side.MAX_UPLOADS_PER_DEVICE + 1):
        kinds.append(type(receiver.receive("car-1", init_of(bytes(9), priority=0), 1)[0]))
    assert kinds.count(centre_side.Open) == centre_side.MAX_UPLOADS_PER_DEVICE
    assert kinds[-1] is centre_side.Send


def test_receiver_lets_go_and_grants_again_when_the_lease_has_lapsed(one_item: Factory, centre: Any) -> None:
    """WI-22."""
    device = one_item()
    (init,) = device.drain()
    centre.work(centre.receiver.receive("car-1", init, 1))
    assert centre.receiver.expire(60_000_001) == []
    assert centre.receiver.expire(60_000_002) == [centre_side.Forget(device="car-1", item=init.item)]
    (answer,) = centre.work(centre.receiver.receive("car-1", init, 60_000_003))
    assert isinstance(answer, Grant)


def test_receiver_grows_the_parts_when_an_item_has_too_many(init_of: Factory) -> None:
    """WI-7."""
    receiver = Receiver(worker="w1", budget_bytes=1 << 30, part_size=PART)
    init = replace(init_of(b"x"), size=wire.MAX_PARTS * PART + 1)
    (action,) = receiver.receive("car-1", init, 1)
    assert isinstance(action, centre_side.Open) and action.part_size == 2 * PART


def test_receiver_forgets_everything_of_a_device_when_it_is_dropped(one_item: Factory, centre: Any) -> None:
    """WI-3. It is told, as it may wait for the answer to a part."""
    device = one_item()
    (init,) = device.drain()
    centre.work(centre.receiver.receive("car-1", init, 1))
    assert centre.receiver.drop_device("car-2") == []
    forgotten, told = centre.receiver.drop_device("car-1")
    assert forgotten == centre_side.Forget(device="car-1", item=init.item)
    assert (told.device, told.message.item, told.message.code) == ("car-1", init.item, RefuseCode.REVOKED)
    assert centre.receiver.under_way == 0


@pytest.mark.parametrize("priority", [0, 4])
def test_receiver_takes_no_more_from_a_device_that_floods_it_than_from_the_others(
    priority: int, init_of: Factory
) -> None:
    """WI-54. WI-55: 32 uploads at once, each sending all it has each turn and asking anew."""
    budget = 64 * PART
    receiver = Receiver(worker="w1", budget_bytes=budget, part_size=PART)
    inits = {f"honest-{number}": [init_of(bytes(PART))] for number in range(3)}
    inits["liar"] = [init_of(bytes(PART), priority=priority) for _ in range(32)]
    huge = {device: [replace(init, size=20_000 * PART) for init in of_device] for device, of_device in inits.items()}
    credit: dict[tuple[str, str], int] = {}
    sent: Counter[tuple[str, str]] = Counter()
    taken: Counter[str] = Counter()

    def work(actions: list[centre_side.Action]) -> None:
        for action in actions:
            match action:
                case centre_side.Open():
                    work(receiver.opened(action.device, action.init.item, part_size=PART, have=()))
                case centre_side.Write():
                    taken[action.device] += 1
                case centre_side.Sync():
                    work(receiver.synced((action.device, action.item)))
                case centre_side.Send():
                    credit[action.device, action.message.item] = getattr(action.message, "credit", 0)

    def send(device: str, init: wire.Init, parts: int) -> None:
        for _ in range(parts):
            index = sent[device, init.item]
            before = taken[device]
            work(receiver.receive(device, Part(item=init.item, index=index, payload=bytes(PART)), 1))
            sent[device, init.item] += taken[device] - before

    for device, of_device in huge.items():
        for init in of_device:
            work(receiver.receive(device, init, 1))
    turns = 60
    for turn in range(turns + 20):
        if turn == 20:
            taken.clear()
        for device, of_device in huge.items():
            for init in of_device:
                if device == "liar":
                    work(receiver.receive(device, init, 1))
                send(device, init, 200 if device == "liar" else credit[device, init.item])
        work(receiver.flush())
    share = budget // PART // 4
    assert taken["liar"] <= turns * (share + 1)
    assert all(taken[device] >= turns * (share - share // 8 - 1) for device in huge if device != "liar")


def test_receiver_flushes_what_is_urgent_without_the_rest(init_of: Factory) -> None:
    """WI-31: a hit's bytes become durable without waiting for a recording's."""
    receiver, hit = Receiver(worker="w1", budget_bytes=1 << 20, part_size=PART), ""
    for priority in (0, 4):
        init = init_of(bytes([priority]) * PART, priority)
        receiver.receive("car-1", init, 1)
        receiver.opened("car-1", init.item, part_size=PART, have=())
        receiver.receive("car-1", Part(item=init.item, index=0, payload=bytes([priority]) * PART), 1)
        hit = init.item if priority == 0 else hit
    (first,) = receiver.flush_urgent()
    assert isinstance(first, centre_side.Sync) and first.item == hit
    receiver.synced(("car-1", hit))
    (second,) = [action for action in receiver.flush() if isinstance(action, centre_side.Sync)]
    assert second.item != hit
