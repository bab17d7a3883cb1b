"""The frame bus: the newest picture, whole, without anybody waiting."""

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from edge.camera.port import SmallFrame
from edge.recorder.framebus import MAX_SLOTS, STALE_US, FrameBusReader, FrameBusWriter
from vedette.clock import FakeClock
from vedette.errors import Integrity, Refused

WIDTH, HEIGHT = 64, 48


def frame(index: int, *, width: int = WIDTH, height: int = HEIGHT) -> SmallFrame:
    grey = np.full((height * 3 // 2, width), index % 251, np.uint8)
    return SmallFrame(i420=grey, index=index, utc_us=10 + index, mono_us=20 + index, media_us=30 + index)


@pytest.fixture
def writer(run_dir: Path) -> FrameBusWriter:
    return FrameBusWriter(run_dir / "framebus", width=WIDTH, height=HEIGHT)


@pytest.fixture
def reader(run_dir: Path, writer: FrameBusWriter) -> FrameBusReader:
    return FrameBusReader(run_dir / "framebus")


def test_reader_gets_the_picture_and_its_times_when_one_is_published(writer, reader):
    writer.publish(frame(7))
    got = reader.latest(-1)
    assert (got.index, got.utc_us, got.mono_us, got.media_us) == (7, 17, 27, 37)
    assert np.array_equal(got.i420, frame(7).i420)
    assert (reader.width, reader.height, got.width, got.height) == (WIDTH, HEIGHT, WIDTH, HEIGHT)


def test_reader_keeps_its_copy_when_the_slot_is_written_again(writer, reader):
    writer.publish(frame(0))
    got = reader.latest(-1)
    for index in range(1, 10):
        writer.publish(frame(index))
    assert np.array_equal(got.i420, frame(0).i420)


def test_reader_gets_nothing_when_there_is_nothing_new(writer, reader):
    assert reader.latest(-1) is None
    writer.publish(frame(0))
    assert reader.latest(-1) is not None
    assert reader.latest(0) is None


def test_reader_gets_only_the_newest_and_counts_the_rest_when_it_was_slow(writer, reader):
    for index in range(3):
        writer.publish(frame(index))
    assert reader.latest(-1).index == 2
    for index in range(3, 13):
        writer.publish(frame(index))
    assert reader.latest(2).index == 12
    assert reader.skipped == 9


def test_reader_gets_nothing_when_no_bus_is_there(run_dir: Path):
    reader = FrameBusReader(run_dir / "framebus")
    assert (reader.latest(-1), reader.width) == (None, 0)


def test_reader_follows_when_the_writer_begins_anew(run_dir: Path, writer, reader):
    writer.publish(frame(500))
    assert reader.latest(-1).index == 500
    other = FrameBusWriter(run_dir / "framebus", width=2 * WIDTH, height=HEIGHT)
    other.publish(frame(0, width=2 * WIDTH))
    got = reader.latest(500)
    assert (got.index, got.width, reader.width) == (0, 2 * WIDTH, 2 * WIDTH)


def test_reader_is_stale_when_no_picture_came_for_two_seconds(run_dir: Path, writer):
    clock = FakeClock()
    reader = FrameBusReader(run_dir / "framebus", clock=clock)
    writer.publish(frame(0))
    reader.latest(-1)
    clock.advance(STALE_US)
    assert not reader.stale()
    clock.advance(1)
    assert reader.stale()


def test_writer_refuses_a_folder_on_a_disk(tmp_path: Path):
    with pytest.raises(Refused, match="not in memory"):
        FrameBusWriter(tmp_path / "framebus", width=WIDTH, height=HEIGHT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("slots", [1, MAX_SLOTS + 1])
def test_writer_refuses_a_number_of_slots_out_of_bounds(run_dir: Path, slots: int):
    with pytest.raises(ValueError, match="slots"):
        FrameBusWriter(run_dir / "framebus", width=WIDTH, height=HEIGHT, slots=slots)


def test_writer_refuses_a_picture_of_another_size(writer):
    with pytest.raises(ValueError, match="shape"):
        writer.publish(frame(0, width=2 * WIDTH))


@pytest.mark.parametrize("damage", [b"", b"x" * 100, b"x" * 8192])
def test_reader_refuses_a_file_that_is_no_bus(run_dir: Path, damage: bytes):
    (run_dir / "framebus").write_bytes(damage)
    with pytest.raises(Integrity, match="not a frame bus"):
        FrameBusReader(run_dir / "framebus").latest(-1)


def test_reader_skips_a_picture_when_its_slot_is_being_written(writer, reader):
    writer.publish(frame(0))
    writer._slots[0].head[0] += np.uint64(1)
    assert reader.latest(-1) is None


def _publish_many(path: Path, count: int) -> None:
    writer = FrameBusWriter(path, width=640, height=480)
    for index in range(count):
        writer.publish(frame(index, width=640, height=480))


def test_every_picture_is_whole_when_another_process_writes_as_fast_as_it_can(run_dir: Path):
    path = run_dir / "framebus"
    child = multiprocessing.get_context("spawn").Process(target=_publish_many, args=(path, 3000))
    child.start()
    reader, last, torn, seen = FrameBusReader(path), -1, 0, 0
    while child.is_alive() or last < 2999:
        got = reader.latest(last)
        last, seen = (last, seen) if got is None else (got.index, seen + 1)
        torn += got is not None and bool(np.any(got.i420 != got.index % 251))
    child.join()
    assert (torn, last, child.exitcode) == (0, 2999, 0)
    assert seen + reader.skipped <= 3000
