"""One car is one hit, also over a restart."""

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.reader import repeats as repeats_module
from edge.reader.repeats import Repeats
from vedette.clock import FakeClock, uuid7

SECOND = 1_000_000
ITEM, OTHER_ITEM = uuid7(FakeClock()), uuid7(FakeClock())


def memory(path: Path, *, now_us: int = 0, is_committed: Callable[[str], bool] = lambda _item: True) -> Repeats:
    return Repeats(path, repeat_us=300 * SECOND, is_committed=is_committed, now_us=now_us)


@pytest.mark.parametrize(("after_us", "is_repeat"), [(0, True), (300 * SECOND, True), (300 * SECOND + 1, False)])
def test_plate_is_a_repeat_within_the_time(tmp_path: Path, after_us: int, is_repeat: bool) -> None:
    """HT-30."""
    seen = memory(tmp_path / "r.json")
    seen.note("7|أ|1", ITEM, 5)
    assert seen.seen("7|أ|1", 5 + after_us) is is_repeat
    assert not seen.seen("8|أ|1", 5)


def test_time_begins_again_when_the_car_is_still_seen(tmp_path: Path) -> None:
    """HT-30."""
    seen = memory(tmp_path / "r.json")
    seen.note("7|أ|1", ITEM, 0)
    assert [seen.seen("7|أ|1", n * 200 * SECOND) for n in range(1, 6)] == [True] * 5


def test_plate_is_still_a_repeat_when_the_reader_was_restarted(tmp_path: Path) -> None:
    """HT-31."""
    seen = memory(tmp_path / "r.json")
    seen.note("7|أ|1", ITEM, 0)
    seen.seen("7|أ|1", 100 * SECOND)
    again = memory(tmp_path / "r.json", now_us=101 * SECOND)
    assert again.seen("7|أ|1", 400 * SECOND)
    assert not again.seen("8|أ|1", 101 * SECOND)


def test_file_holds_no_plate_and_is_for_the_reader_alone(tmp_path: Path) -> None:
    """HT-27, HT-31."""
    memory(tmp_path / "r.json").note("12345|أ|6", ITEM, 0)
    assert (tmp_path / "r.json").stat().st_mode & 0o777 == 0o600
    assert b"12345|" not in (tmp_path / "r.json").read_bytes()


def test_plate_is_forgotten_at_the_start_when_its_hit_was_never_committed(tmp_path: Path) -> None:
    """HT-32."""
    seen = memory(tmp_path / "r.json")
    seen.note("7|أ|1", ITEM, 0)
    seen.note("8|أ|1", OTHER_ITEM, 0)
    again = memory(tmp_path / "r.json", is_committed=lambda item: item == OTHER_ITEM)
    assert (again.seen("7|أ|1", 1), again.seen("8|أ|1", 1)) == (False, True)


def test_plate_may_be_raised_again_when_its_hit_gave_way(tmp_path: Path) -> None:
    """HT-34."""
    seen = memory(tmp_path / "r.json")
    seen.note("7|أ|1", ITEM, 0)
    seen.forget(ITEM, 1)
    assert not seen.seen("7|أ|1", 1)


def test_memory_begins_empty_when_the_file_is_of_another_boot_or_damaged(tmp_path: Path) -> None:
    """HT-31."""
    path = tmp_path / "r.json"
    memory(path).note("7|أ|1", ITEM, 900 * SECOND)
    assert not memory(path, now_us=5).seen("7|أ|1", 6)
    for damage in (b"", b"{", b'{"key":"xy","raised":[]}', b'{"key":"00","raised":[{"name":"a"}]}'):
        path.write_bytes(damage)
        fresh = memory(path)
        fresh.note("7|أ|1", ITEM, 0)
        assert fresh.seen("7|أ|1", 1)


def test_oldest_is_forgotten_when_there_are_more_than_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HT-30."""
    monkeypatch.setattr(repeats_module, "MAX_REMEMBERED", 3)
    seen = memory(tmp_path / "r.json")
    for number in range(1, 5):
        seen.note(f"{number}|أ|1", ITEM, number)
    assert [seen.seen(f"{number}|أ|1", 9) for number in range(1, 5)] == [False, True, True, True]
