"""Items that come to a spool are heard of at once, and found where nothing is heard."""

from __future__ import annotations

import logging
import select
from pathlib import Path
from typing import Any

import pytest

from sync import arrivals
from vedette import files, spool
from vedette.records import KINDS


@pytest.fixture
def root(tmp_path: Path) -> Path:
    spool.make_folders(tmp_path)
    return tmp_path


def is_readable(watch: arrivals.Arrivals) -> bool:
    waiting = select.poll()
    waiting.register(watch.fileno(), select.POLLIN)
    return bool(waiting.poll(0))


@pytest.mark.parametrize("kind", KINDS)
def test_manifest_is_heard_of_once_however_it_came(root: Path, kind: str) -> None:
    """WI-69."""
    watch = arrivals.Arrivals(root)
    assert not watch.any() and not is_readable(watch)
    files.write_new(root / kind / "0.manifest", b"{}")
    assert is_readable(watch)
    assert watch.any() and not watch.any() and not is_readable(watch)
    files.replace(root / kind / "1.manifest", b"{}")
    assert watch.any()
    watch.close()


def test_bytes_that_are_still_written_are_no_item(root: Path) -> None:
    """WI-69."""
    watch = arrivals.Arrivals(root)
    part = root / "segment" / "0.part"
    part.write_bytes(b"x" * 4096)
    part.rename(root / "segment" / "0.segment.age")
    (root / "segment" / "0.segment.age").unlink()
    assert is_readable(watch)
    assert not watch.any() and not is_readable(watch)
    watch.close()


def test_more_than_the_kernel_keeps_counts_as_an_item(root: Path) -> None:
    """WI-69."""
    watch = arrivals.Arrivals(root)
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for number in range(most // 2 + 1):
        (root / "hit" / f"{number}.part").touch()
        (root / "hit" / f"{number}.part").rename(root / "hit" / "gone")
    assert watch.any() and not watch.any()
    watch.close()


def test_kernel_without_a_watch_to_give_is_done_without(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """WI-69."""

    def none_left(**_: Any) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(arrivals, "INotify", none_left)
    with caplog.at_level(logging.WARNING):
        assert arrivals.arrivals(root) is None
    assert "ten times a second" in caplog.text
