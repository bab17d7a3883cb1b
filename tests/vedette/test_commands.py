"""Messages between the device's services."""

from pathlib import Path

import pytest

from vedette import commands
from vedette.clock import FakeClock
from vedette.errors import Integrity


def test_commands_are_taken_once_and_in_order_when_posted(tmp_path: Path) -> None:
    clock = FakeClock()
    for number in range(3):
        commands.post(tmp_path, "recorder", {"command": "mark", "number": number}, clock=clock)
        clock.advance(2000)
    assert [body["number"] for body in commands.take(tmp_path, "recorder")] == [0, 1, 2]
    assert commands.take(tmp_path, "recorder") == []


@pytest.mark.parametrize("step_s", [-86_400, -3_600, -1, 3_600])
def test_commands_keep_their_order_when_the_clock_is_set_between_them(tmp_path: Path, step_s: int) -> None:
    """AC-42: a stop that came after a start is not taken before it."""
    clock = FakeClock()
    for number in range(4):
        commands.post(tmp_path, "recorder", {"number": number}, clock=clock)
        clock.advance(50_000)
        clock.jump(step_s * 1_000_000)
    assert [body["number"] for body in commands.take(tmp_path, "recorder")] == [0, 1, 2, 3]


def test_commands_leave_out_what_is_no_command_and_remove_it(tmp_path: Path) -> None:
    commands.post(tmp_path, "recorder", {"command": "start"}, clock=FakeClock())
    inbox = commands.folder(tmp_path, "recorder")
    (inbox / "0.json").write_bytes(b"{not json")
    (inbox / "1.json").write_bytes(b"[1]")
    (inbox / "2.json").write_bytes(b'"' + b"x" * commands.MAX_COMMAND_BYTES + b'"')
    assert commands.take(tmp_path, "recorder") == [{"command": "start"}]
    assert list(inbox.iterdir()) == []


def test_commands_take_a_bounded_number_when_flooded(tmp_path: Path) -> None:
    clock = FakeClock()
    for _ in range(commands.MAX_WAITING + 1):
        commands.post(tmp_path, "recorder", {"command": "mark"}, clock=clock)
    assert len(commands.take(tmp_path, "recorder")) == commands.MAX_WAITING
    assert len(commands.take(tmp_path, "recorder")) == 1


@pytest.mark.parametrize("more", [-1, 0, 1, 5])
def test_inbox_lets_the_oldest_go_when_nobody_takes_and_it_is_full(tmp_path: Path, more: int) -> None:
    clock = FakeClock()
    for number in range(commands.MAX_INBOX + more):
        commands.post(tmp_path, "panel", {"number": number}, clock=clock)
        clock.advance(1000)
    inbox = commands.folder(tmp_path, "panel")
    assert len(list(inbox.iterdir())) == min(commands.MAX_INBOX, commands.MAX_INBOX + more)
    assert commands.take(tmp_path, "panel")[0]["number"] == max(0, more)


@pytest.mark.parametrize("service", ["../recorder", "", "Recorder", "a/b"])
def test_commands_refuse_a_service_when_its_name_is_a_path(tmp_path: Path, service: str) -> None:
    with pytest.raises(Integrity):
        commands.take(tmp_path, service)
