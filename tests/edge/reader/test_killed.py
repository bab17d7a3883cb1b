"""The reader is killed at each step of a hit's way to the disk: one car is one hit in the end, never none or two."""

import os

import pytest

from edge.reader.service import open_reader
from edge.recorder.framebus import FrameBusWriter

STEPS_OF_A_HIT = 12
FRAME_US = 40_000


class Killed(BaseException):
    """The process is gone here; nothing after this line runs in it."""


class Car:
    """A listed car that stays in front of the camera over restarts of the reader."""

    def __init__(self, device, eyes, frame_at) -> None:
        self.device, self.eyes, self.frame_at, self.index = device, eyes, frame_at, 0
        self.bus = FrameBusWriter(device.config.run / "framebus", width=320, height=240)

    def start_reader(self):
        reader = open_reader(self.device.config, self.device.clock, self.eyes)
        for _ in range(2):
            reader.step(self.device.clock.mono_us())
        return reader

    def show(self, reader, pictures: int) -> None:
        clock = self.device.clock
        for _ in range(pictures):
            clock.advance(FRAME_US)
            self.bus.publish(self.frame_at(self.index, grey=1, utc_us=clock.utc_us(), mono_us=clock.mono_us()))
            self.index += 1
            reader.step(clock.mono_us())


def kill_at(broken: pytest.MonkeyPatch, step: int) -> list[str]:
    """Make the call number `step` to the disk (from 0) the last one; the list fills with the calls made."""
    calls: list[str] = []

    def guarded(name: str, real):
        def call(*args, **keys):
            if len(calls) == step:
                raise Killed(name)
            calls.append(name)
            return real(*args, **keys)

        return call

    for name in ("replace", "link", "fsync"):
        broken.setattr(os, name, guarded(name, getattr(os, name)))
    return calls


@pytest.mark.parametrize("step", range(STEPS_OF_A_HIT))
def test_one_car_is_one_hit_when_the_reader_is_killed_at_any_step(
    device, eyes, frame_at, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """HT-28, HT-31, HT-32, HT-33."""
    device.store_list(device.entry())
    car = Car(device, eyes, frame_at)
    reader = car.start_reader()
    with monkeypatch.context() as broken:
        kill_at(broken, step)
        with pytest.raises(Killed):
            car.show(reader, 2)
    reader._parts.journal.close()
    again = car.start_reader()
    car.show(again, 3)
    again.close()
    assert [hit.text for hit, _ in device.hits()] == ["12345|أ|6"]
    (item,) = device.items()
    assert device.events() and item.item_id in [entry.item for entry in device.events()]
    assert list(device.config.spool.glob("hit/*.part")) == []


def test_a_hits_way_to_the_disk_has_as_many_steps_as_are_tried(
    device, eyes, frame_at, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HT-28."""
    device.store_list(device.entry())
    car = Car(device, eyes, frame_at)
    reader = car.start_reader()
    with monkeypatch.context() as broken:
        calls = kill_at(broken, 99)
        car.show(reader, 2)
    assert len(calls) == STEPS_OF_A_HIT
