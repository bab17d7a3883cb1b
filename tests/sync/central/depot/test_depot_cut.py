"""The link to the depot's door is cut: nothing more leaves, whatever its thread is doing, and a new session begins."""

from __future__ import annotations

import random
import signal
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from simulator.relay import Shape
from sync.https_link import HttpsConfig, HttpsLink
from sync.https_session import HttpsSession
from sync.link import Connected, Disconnected, Event, Message
from vedette import wire
from vedette.clock import SystemClock
from vedette.wire import Part

PART = 64 * 1024
SIZE = 12_000_000
WAIT_S = 30.0
ROOM_BYTES = 64 * 1024


@pytest.fixture
def part_kib() -> int:
    return PART // 1024


class Ear:
    """Hears what a link tells, one event after the other."""

    def __init__(self, link: HttpsLink) -> None:
        self._link = link
        self._waiting: deque[Event] = deque()

    def next(self, kind: type[Event]) -> Any:
        """The next event of that kind; those before it are passed over."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            self._waiting += self._link.poll(0.1) if not self._waiting else ()
            event = self._waiting.popleft() if self._waiting else None
            if isinstance(event, kind):
                return event
        raise AssertionError(f"no {kind.__name__}")


@pytest.fixture
def link(device: Any, door: Any, line: Any) -> Iterator[HttpsLink]:
    door.port = line.relay.port
    made = door.link(device)
    yield made
    made.close()


@pytest.fixture
def ear(link: HttpsLink) -> Ear:
    """Of `link`, which has its first session."""
    made = Ear(link)
    made.next(Connected)
    return made


@pytest.mark.parametrize("shape", [Shape(rate_bps=16_000_000)], ids=[""])
@pytest.mark.parametrize("room_bytes", [(), (ROOM_BYTES,)], ids=["much in the kernel", "much in a send that waits"])
def test_link_throws_away_what_waits_when_it_is_cut(
    device: Any, link: HttpsLink, ear: Ear, line: Any, room_bytes: tuple[int, ...]
) -> None:
    """DE-13. DE-15: in the kernel, in the request under way and behind it; then it goes on in a new session."""
    item = device.item(random.Random(1).randbytes(SIZE))
    parts = deque(item.parts(PART))
    assert link.send(item.init(part_size=PART))
    ear.next(Message)
    for one in room_bytes:
        line.narrow(one)
    # A request with one part waits for its answer while so many gather behind it that the next is as large as can be.
    line.hold()
    before = line.relay.carried[0][0]
    assert link.send(parts.popleft())
    line.until(lambda: line.relay.carried[0][0] > before)
    while link.send(parts[0]):
        parts.popleft()
    line.relay.unmute()
    ear.next(Message)
    line.hold()
    while link.send(parts[0]):
        parts.popleft()
    line.until(lambda: (now := line.standing()).in_vain and now.held > PART // 2)
    left = line.standing().left

    link.cut("a test")
    assert not link.connected and not link.send(parts[0])
    assert ear.next(Disconnected).reason == "a test"
    line.relay.unmute()
    ear.next(Connected)
    assert link.send(item.init(part_size=PART))
    ear.next(Message)
    assert line.relay.carried[0][0] <= left + PART
    assert line.relay.carried[0][1] < PART


def test_link_ends_a_request_that_waits_for_its_answer_when_it_is_cut(
    device: Any, door: Any, link: HttpsLink, ear: Ear, line: Any
) -> None:
    """DE-15: the door says nothing, and would be waited for half a minute."""
    door.process.send_signal(signal.SIGSTOP)
    try:
        before = line.relay.carried[0][0]
        assert link.send(device.item(b"video" * 9_000).init())
        line.until(lambda: line.relay.carried[0][0] > before)
        link.cut("a test")
        assert link.poll(WAIT_S / 3) == [Disconnected(reason="a test")]
    finally:
        door.process.send_signal(signal.SIGCONT)
    ear.next(Connected)


def test_link_gives_up_the_request_under_way_when_it_is_closed(
    device: Any, door: Any, link: HttpsLink, ear: Ear
) -> None:
    """DE-15: whoever stops the uplink need not wait for the door either."""
    door.process.send_signal(signal.SIGSTOP)
    try:
        assert link.send(device.item(b"video" * 9_000).init())
        link.close()
        assert not link._thread.is_alive()
    finally:
        door.process.send_signal(signal.SIGCONT)


def test_cutting_changes_nothing_when_there_is_no_session(device: Any, door: Any, link: HttpsLink, ear: Ear) -> None:
    """DE-15: before the first one, twice, and behind the end."""
    link.cut("once")
    link.cut("twice")
    assert ear.next(Disconnected).reason == "once"
    ear.next(Connected)
    keys = device.folder / "keys"
    nowhere = HttpsConfig(
        host="127.0.0.1", port=1, device="car-1", ca=keys / "ca.crt", certificate=keys / "tls.crt", key=keys / "tls.key"
    )
    other = HttpsLink(nowhere, SystemClock(), jitter_permille=lambda: 0)
    other.cut("nothing")
    assert "refused" in Ear(other).next(Disconnected).reason
    other.close()
    other.cut("behind the end")


def test_session_connects_no_more_when_it_was_cut(device: Any, link: HttpsLink, line: Any) -> None:
    """DE-15: http.client connects again by itself where the door has closed the connection behind an answer."""
    session = HttpsSession(link._config, link._tls)
    session.connect()
    session.close()
    session.cut("a test")
    before = len(line.relay.carried[0])
    with pytest.raises(ConnectionAbortedError, match="a test"):
        session.request("PATCH", "/files/x", bytes(SIZE))
    session.end()
    assert sum(line.relay.carried[0][before:]) < PART


def test_what_is_sent_into_a_session_that_has_ended_unheard_is_not_sent_in_the_next(
    device: Any, door: Any, link: HttpsLink, ear: Ear, line: Any
) -> None:
    """DE-13: the caller has not polled yet when the next session is up."""
    item = device.item(b"video" * 9_000)
    line.relay.cut()
    assert link.send(Part(item=item.id, index=0, payload=b"x"))  # finds that the connection is gone
    line.until(lambda: link._events.qsize() >= 2)
    link.send(item.init())
    events = link.poll(0.0)
    assert [type(event) for event in events] == [Disconnected, Connected]
    assert link.send(Part(item=item.id, index=0, payload=b"x"))
    answer = ear.next(Message)
    assert wire.decode(answer.topic.rpartition("/")[2], answer.payload).name == "refuse"
