"""What a minute of recording costs a disk of flash: few large appends, nothing written twice, few fsyncs."""

from dataclasses import dataclass, field

import pytest

from simulator.disk import Disk, Sync, Truncate, Write
from vedette.age_stream import SEALED_CHUNK_BYTES

FRAMES = 600
SEGMENT_S = 20
MOST_FSYNCS, MOST_BESIDE_BYTES, MOST_LINE_BYTES = 300, 200_000, 16 << 10
FILM, CUSTODY = ".segment.age.part", ".jsonl"
# A second of a scene in which nothing moves takes two chunks (SG-17), and so do header and end of each segment.
NIGHT_BYTES = 2 * SEALED_CHUNK_BYTES * (FRAMES // 10 + 3)


@dataclass
class File:
    """What was done to a file: (offset, bytes) of each write, and how often it was made durable."""

    writes: list[tuple[int, int]] = field(default_factory=list)
    fsyncs: int = 0

    @property
    def sizes(self) -> list[int]:
        return [size for _, size in self.writes]


@pytest.fixture(params=["street", "night"])
def minute(request, device, bench, scripted, coded, night, clock) -> tuple[Disk, dict[str, File], int]:
    """A minute in the middle of a recording: every file operation, what was done to each file, and the bytes that the
    camera's pictures had.
    """
    codes = night if request.param == "night" else coded
    one = bench(segment_s=SEGMENT_S, camera=scripted(codes=codes))
    one.steps(10)
    disk = Disk(device.folder, clock.utc_us)
    with disk.watched():
        one.steps(FRAMES)
    paths, files = disk.paths, {}
    for _, done in disk.operations:
        if isinstance(done, Write):
            files.setdefault(paths[done.file], File()).writes.append((done.offset, len(done.data)))
        elif isinstance(done, Sync) and isinstance(done.what, int):
            files.setdefault(paths[done.what], File()).fsyncs += 1
    given = [data for data, _ in codes(100)]
    return disk, files, sum(len(given[index % 100]) for index in range(10, 10 + FRAMES))


def test_film_is_written_once_and_in_whole_chunks(minute) -> None:
    """SG-20, SF-17, SF-18."""
    disk, files, given_bytes = minute
    films = {path: one for path, one in files.items() if path.endswith(FILM)}
    assert len(films) == FRAMES // 10 // SEGMENT_S + 1
    for one in films.values():
        ends = [offset + size for offset, size in one.writes]
        assert [offset for offset, _ in one.writes[1:]] == ends[:-1]
        assert all(size == SEALED_CHUNK_BYTES for size in one.sizes[1:-1])
        assert one.fsyncs <= 2 * SEGMENT_S + 1
    written = sum(size for one in films.values() for size in one.sizes)
    assert sum(len(one.writes) for one in films.values()) <= written // SEALED_CHUNK_BYTES + 2 * len(films)
    assert written <= max(given_bytes * 103 // 100, NIGHT_BYTES)
    assert [done for _, done in disk.operations if isinstance(done, Truncate)] == []


def test_custody_is_an_append_and_an_fsync_a_line(minute) -> None:
    """SG-20, CJ-11, CJ-19."""
    _disk, files, _given = minute
    journals = [one for path, one in files.items() if path.startswith("journal/") and path.endswith(CUSTODY)]
    lines = [size for one in journals for size in one.sizes]
    assert 2 * FRAMES // 10 <= len(lines) <= 2 * FRAMES // 10 + 15
    assert max(lines) <= MOST_LINE_BYTES
    for one in journals:
        assert one.fsyncs == len(one.writes)
        assert [offset for offset, _ in one.writes[1:]] == [offset + size for offset, size in one.writes[:-1]]


def test_minute_of_recording_costs_few_fsyncs_and_few_bytes_beside_the_film(minute) -> None:
    """SG-20."""
    disk, files, _given = minute
    assert sum(isinstance(done, Sync) for _, done in disk.operations) <= MOST_FSYNCS
    beside = sum(sum(one.sizes) for path, one in files.items() if not path.endswith(FILM))
    assert 0 < beside <= MOST_BESIDE_BYTES
