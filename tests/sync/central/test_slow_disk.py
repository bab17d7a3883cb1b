"""Bulk becomes durable beside ingest's other work: what goes on meanwhile, and what does not (RC-8, WI-23, WI-68)."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from vedette import wire
from vedette.wire import Ack, Grant, Refuse, RefuseCode, Sealed


class Disk:
    """A disk that makes bulk durable only when it is told to, by the real fdatasync."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.asked = 0
        self.trouble: OSError | None = None
        self._real = os.fdatasync

    def fdatasync(self, descriptor: int) -> None:
        if threading.current_thread().name.startswith("incoming-beside"):
            self.asked += 1
            assert self.free.wait(30)
            if self.trouble is not None:
                raise self.trouble
        self._real(descriptor)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    found = Disk()
    monkeypatch.setattr(os, "fdatasync", found.fdatasync)
    yield found
    found.free.set()


def once(worker: Any, device: str, *messages: wire.Message) -> list[wire.Message]:
    """Let `device` say these and step, without waiting for the disk."""
    worker.link.hear(device, *messages)
    for _ in range(3):
        worker.ingest.step(worker.centre.clock.mono_us())
    return list(worker.link.take())


def first_part_waits(worker: Any, device: Any) -> Any:
    """An item whose first part was sent and is not durable yet."""
    item = device.item(b"video" * 20_000)
    once(worker, device.id, item.init())
    once(worker, device.id, item.parts()[0])
    return item


def until_told(worker: Any) -> list[wire.Message]:
    """Step until something is said."""
    end = time.monotonic() + 30
    while not (told := worker.link.take()):
        assert time.monotonic() < end
        time.sleep(0.002)
        worker.ingest.step(worker.centre.clock.mono_us())
    return list(told)


def until_answered(worker: Any) -> None:
    """Step until the disk has answered."""
    end = time.monotonic() + 30
    while worker.ingest._uploads.syncing:
        assert time.monotonic() < end
        time.sleep(0.002)
        worker.ingest.step(worker.centre.clock.mono_us())


def test_hit_has_its_receipt_and_parts_are_taken_while_the_disk_is_busy_with_video(
    device: Any, worker: Any, disk: Disk
) -> None:
    """RC-8. WI-23: no part is acknowledged before it is durable; a hit waits for none of them."""
    item, hit = device.item(b"video" * 20_000), device.hit()
    parts = item.parts()
    assert [type(answer) for answer in once(worker, device.id, item.init())] == [Grant]
    assert once(worker, device.id, parts[0], parts[1]) == []
    assert once(worker, device.id, parts[2]) == []
    assert [type(answer) for answer in once(worker, device.id, hit.init())] == [Grant]
    once(worker, device.id, *hit.parts())
    worker.link.hear(device.id, hit.fin())
    assert isinstance(until_told(worker)[-1], Sealed)
    assert disk.asked == 1

    disk.free.set()

    (first,) = until_told(worker)
    assert isinstance(first, Ack) and first.ranges == ((0, 1),)
    (second,) = until_told(worker)
    assert isinstance(second, Ack) and second.ranges == ((0, 2),)
    worker.say(device.id, *parts[3:])
    assert isinstance(worker.say(device.id, item.fin())[-1], Sealed)


def test_nothing_was_acknowledged_when_the_worker_dies_before_the_disk_has_answered(
    device: Any, worker: Any, disk: Disk
) -> None:
    """RC-8."""
    item = first_part_waits(worker, device)
    worker.restart()
    (grant,) = once(worker, device.id, item.init())
    assert isinstance(grant, Grant) and grant.have == ()
    disk.free.set()
    worker.say(device.id, *item.parts())
    assert isinstance(worker.say(device.id, item.fin())[-1], Sealed)


def test_late_answer_of_the_disk_is_not_taken_for_an_upload_that_was_begun_anew(
    device: Any, worker: Any, disk: Disk
) -> None:
    """RC-8. The upload was let go of while its first part became durable, and its file with it."""
    item = first_part_waits(worker, device)
    worker.ingest._uploads.drop(device.id)
    (refusal,) = worker.link.take() or once(worker, device.id)
    assert isinstance(refusal, Refuse) and refusal.code is RefuseCode.REVOKED
    (grant,) = once(worker, device.id, item.init())
    assert isinstance(grant, Grant) and grant.have == ()
    disk.free.set()
    until_answered(worker)
    assert worker.link.take() == []
    worker.restart()
    (grant,) = once(worker, device.id, item.init())
    assert isinstance(grant, Grant) and grant.have == ()
    worker.say(device.id, *item.parts())
    assert isinstance(worker.say(device.id, item.fin())[-1], Sealed)


def test_only_uploads_that_waited_for_the_disk_are_told_busy_when_it_takes_nothing(
    centre: Any, device: Any, worker: Any, disk: Disk
) -> None:
    """RC-10. One of the two was begun anew meanwhile: nothing that it has sent since was in the disk's answer."""
    other = centre.device("car-2")
    item, kept = device.item(b"video" * 20_000), other.item(b"video" * 20_000)
    once(worker, device.id, item.init())
    once(worker, other.id, kept.init())
    worker.link.hear(other.id, kept.parts()[0])
    once(worker, device.id, item.parts()[0])
    worker.ingest._uploads.drop(device.id)
    (_revoked, grant) = once(worker, device.id, item.init())
    assert isinstance(grant, Grant)

    disk.trouble = OSError(5, "Input/output error")
    disk.free.set()
    told = until_told(worker)

    assert [(type(one), one.item, one.code) for one in told] == [(Refuse, kept.id, RefuseCode.BUSY)]
    disk.trouble = None
    worker.say(device.id, *item.parts())
    assert isinstance(worker.say(device.id, item.fin())[-1], Sealed)


def test_upload_waits_when_the_disk_takes_nothing_in_the_end(device: Any, worker: Any, disk: Disk) -> None:
    """RC-10: busy, and it is taken up again where it was."""
    item = device.item(b"video" * 20_000)
    parts = item.parts()
    disk.free.set()
    worker.say(device.id, item.init())
    worker.say(device.id, parts[0])
    disk.trouble = OSError(28, "No space left on device")
    (refusal,) = worker.say(device.id, parts[1])
    assert isinstance(refusal, Refuse) and refusal.code is RefuseCode.BUSY
    disk.trouble = None
    (grant,) = worker.say(device.id, item.init())
    assert isinstance(grant, Grant) and grant.have == ((0, 0),)
    worker.say(device.id, *parts[1:])
    assert isinstance(worker.say(device.id, item.fin())[-1], Sealed)


def test_video_that_keeps_coming_becomes_durable_every_20_ms_at_most_and_at_once_when_no_more_comes(
    device: Any, worker: Any, disk: Disk
) -> None:
    """RC-8. Each time costs a commit and an answer to every upload."""
    uploads, clock = worker.ingest._uploads, worker.centre.clock
    item = device.item(b"video" * 20_000)
    parts = iter(item.parts())

    def comes(part: wire.Message | None) -> int:
        """How many uploads are becoming durable when this has come, or nothing has."""
        if part is not None:
            worker.link.hear(device.id, part)
        worker.ingest.step(clock.mono_us())
        return int(uploads.syncing)

    disk.free.set()
    once(worker, device.id, item.init())
    assert comes(next(parts)) == 1
    until_answered(worker)
    assert [comes(next(parts)), comes(next(parts))] == [0, 0]
    clock.advance(20_000)
    assert comes(next(parts)) == 1
    until_answered(worker)
    assert comes(next(parts)) == 0
    assert uploads.patience_s == 0.005
    assert comes(None) == 1
    until_answered(worker)
    worker.say(device.id, *parts)
    assert isinstance(worker.say(device.id, item.fin())[-1], Sealed)
