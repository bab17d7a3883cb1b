"""What a press of the record button means."""

import pytest

from edge.board.port import ButtonEvent
from edge.panel.press import Ask, Press, Recording, after_event, after_time

HOLD_US = 3_000_000
IDLE = Recording(active=False, held=False)
HELD = Recording(active=True, held=True)
KEPT = Recording(active=True, held=False)


def asked(recording: Recording, *, for_us: int, looks_us: tuple[int, ...] = ()) -> list[Ask]:
    """What one press of `for_us` asks, with the time looked at in between."""
    press, down = after_event(Press(), edge(True, 0), recording, hold_us=HOLD_US)
    found = [down]
    for at_us in looks_us:
        press, ask = after_time(press, now_us=at_us, hold_us=HOLD_US)
        found.append(ask)
    press, up = after_event(press, edge(False, for_us), recording, hold_us=HOLD_US)
    assert press == Press()
    return [ask for ask in (*found, up) if ask is not None]


def edge(pressed: bool, at_us: int) -> ButtonEvent:
    return ButtonEvent(button="record", pressed=pressed, mono_us=at_us)


@pytest.mark.parametrize("for_us", [1, HOLD_US - 1, HOLD_US, 10 * HOLD_US])
def test_press_starts_at_once_and_once_when_nothing_is_recorded(for_us: int) -> None:
    """AC-7."""
    assert asked(IDLE, for_us=for_us, looks_us=(for_us // 2, for_us)) == [Ask.START]


@pytest.mark.parametrize(
    ("for_us", "ask"), [(1, Ask.STOP_IGNORED), (HOLD_US - 1, Ask.STOP_IGNORED), (HOLD_US, Ask.STOP)]
)
def test_stop_needs_the_whole_hold_when_recording_is_held(for_us: int, ask: Ask) -> None:
    """AC-8, AC-9."""
    assert asked(HELD, for_us=for_us) == [ask]


def test_hold_stops_before_the_button_is_let_go_and_once() -> None:
    """AC-8."""
    looks = (HOLD_US - 1, HOLD_US, HOLD_US + 1, 2 * HOLD_US)
    press = after_event(Press(), edge(True, 0), HELD, hold_us=HOLD_US)[0]
    found = []
    for at_us in looks:
        press, ask = after_time(press, now_us=at_us, hold_us=HOLD_US)
        found.append(ask)
    assert found == [None, Ask.STOP, None, None]
    assert asked(HELD, for_us=5 * HOLD_US, looks_us=looks) == [Ask.STOP]


@pytest.mark.parametrize(("for_us", "ask"), [(200_000, Ask.START), (HOLD_US, Ask.STOP)])
def test_press_starts_and_hold_stops_when_only_a_mark_keeps_recording(for_us: int, ask: Ask) -> None:
    """AC-7, AC-8."""
    assert asked(KEPT, for_us=for_us) == [ask]


def test_release_without_a_press_asks_nothing() -> None:
    assert after_event(Press(), edge(False, 5), HELD, hold_us=HOLD_US) == (Press(), None)
