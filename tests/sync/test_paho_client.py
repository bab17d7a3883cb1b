"""What is changed of paho's client: how a packet is read and sent, and how messages are answered."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import VariableByteIntegers
from paho.mqtt.reasoncodes import ReasonCode

from sync.paho_client import LEAST_FOR_S, LEAST_LENT_BYTES, MOST_KEPT_BYTES, RECORD_BYTES, LeanClient
from vedette.wire import MAX_PACKET_BYTES, MAX_PART_BYTES

Heard = list[tuple[str, bytes, bool]]


class Socket:
    """Takes and gives one TLS record at once, as an SSL socket does, and `room` records before it is full."""

    def __init__(self, there: bytes = b"", room: int = 1 << 30, is_over: bool = False) -> None:
        self.taken = bytearray()
        self.kinds: set[type] = set()
        self.records = 0
        self.there = bytearray(there)
        self.room = room
        self.is_over = is_over

    def send(self, data: Any) -> int:
        if not self.room:
            raise ssl.SSLWantWriteError
        self.room -= 1
        self.records += 1
        self.kinds.add(type(data))
        piece = bytes(data[:RECORD_BYTES])
        self.taken += piece
        return len(piece)

    def recv(self, size: int) -> bytes:
        if not self.there and not self.is_over:
            raise ssl.SSLWantReadError
        piece = bytes(self.there[: min(size, RECORD_BYTES)])
        del self.there[: len(piece)]
        return piece

    def recv_into(self, room: memoryview) -> int:
        piece = self.recv(len(room))
        room[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        pass


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic seconds that the client sees."""
    at = [1000.0]
    monkeypatch.setattr("sync.paho_client.time.monotonic", lambda: at[0])
    return at


def client(
    connection: Socket, version: int = MQTTv5, answered: Callable[[str, ReasonCode], None] = lambda *_: None
) -> tuple[LeanClient, Heard]:
    heard: Heard = []
    made = LeanClient(
        CallbackAPIVersion.VERSION2,
        client_id="car-1",
        protocol=version,
        deliver=lambda topic, payload, retained: heard.append((topic, bytes(payload), retained)),
        answered=answered,
    )
    made._sock = connection  # type: ignore[assignment]
    return made, heard


def publish(payload: bytes, *, topic: bytes = b"a/b", properties: bytes = b"\0", quality: int = 1) -> bytes:
    """A PUBLISH with number 7 as a broker sends it; `properties` is None's worth for 3.1.1: empty."""
    number = b"\0\7" if quality else b""
    body = len(topic).to_bytes(2, "big") + topic + number + properties + payload
    return bytes([0x30 | quality << 1]) + VariableByteIntegers.encode(len(body)) + body


@pytest.mark.parametrize("size", [1, RECORD_BYTES - 1, RECORD_BYTES, RECORD_BYTES + 1, MAX_PART_BYTES])
def test_packet_is_sent_whole_and_never_copied(size: int) -> None:
    """WI-11. The same bytes as paho's own client would send, cut without a copy."""
    packet = bytearray(size)
    packet[0], packet[-1] = 0x31, 0x32
    connection = Socket()
    made, _ = client(connection)
    made._packet_queue(0x30, packet, 1, 1)

    assert bytes(connection.taken) == bytes(packet)
    assert connection.kinds == {memoryview}


def test_packet_is_gone_on_with_where_the_socket_was_full() -> None:
    """WI-11."""
    connection = Socket(room=3)
    made, _ = client(connection)
    packet = bytearray(range(256)) * (5 * RECORD_BYTES // 256)
    made._packet_queue(0x30, packet, 1, 1)
    assert (len(connection.taken), made.want_write()) == (3 * RECORD_BYTES, True)
    connection.room = 9
    made.loop_write()
    assert (bytes(connection.taken), made.want_write()) == (bytes(packet), False)


@pytest.mark.parametrize("size", [0, 1, RECORD_BYTES - 99, RECORD_BYTES, RECORD_BYTES + 1, MAX_PART_BYTES])
@pytest.mark.parametrize("retain", [False, True])
@pytest.mark.parametrize("version", [MQTTv5, MQTTv311])
def test_what_is_put_is_what_paho_itself_would_publish(size: int, retain: bool, version: int) -> None:
    """WI-11. The same bytes on the wire, and the payload of a part is not copied on its way there."""
    ours, theirs, payload = Socket(), Socket(), b"p" * size
    made, _ = client(ours, version)
    stock = Client(CallbackAPIVersion.VERSION2, client_id="car-1", protocol=version)
    stock._sock = theirs  # type: ignore[assignment]
    assert made.put("a/b", payload, retain=retain)
    stock.publish("a/b", payload, qos=1, retain=retain)
    while stock.want_write():
        stock.loop_write()
    assert bytes(ours.taken) == bytes(theirs.taken)
    assert not made.want_write()


@pytest.mark.parametrize("size", [1, RECORD_BYTES, MAX_PART_BYTES])
def test_no_record_holds_a_head_alone(size: int) -> None:
    """WI-11. The part of the payload that is given apart is only copied so far as it goes into the head's record."""
    connection = Socket()
    made, _ = client(connection)
    assert made.put("a/b", b"head", b"p" * size, retain=False)
    assert connection.taken.endswith(b"p" * size)
    assert connection.records == -(-len(connection.taken) // RECORD_BYTES)


@pytest.mark.parametrize(
    ("packet", "told"),
    [
        (b"\x40\2\0\1", [("a/b", 0)]),
        (b"\x40\3\0\1\x10", [("a/b", 0x10)]),
        (b"\x40\4\0\2\x87\0", [("c/d", 0x87)]),
        (b"\x40\2\0\1" * 2, [("a/b", 0)]),
        (b"\x40\2\0\3", []),
    ],
    ids=["taken", "nobody listens", "not allowed", "twice", "of nothing"],
)
def test_each_message_is_answered_once_by_its_number(packet: bytes, told: list[tuple[str, int]]) -> None:
    """WI-12: a broker that answers what was never sent, or twice, moves nothing."""
    answers: list[tuple[str, int]] = []
    connection = Socket()
    made, _ = client(connection, answered=lambda topic, reason: answers.append((topic, reason.value)))
    assert made.put("a/b", b"x", retain=False) and made.put("c/d", b"x", retain=False)
    connection.there += packet
    made.read_packets(64, MAX_PACKET_BYTES)
    assert (answers, made.unanswered) == (told, 2 - len(told))


def test_number_that_the_broker_has_not_answered_is_not_given_twice() -> None:
    """WI-12: 65,535 messages later the numbers begin anew."""
    connection = Socket()
    made, _ = client(connection)
    assert made.put("a/b", b"x", retain=False)
    made._last_mid = 0
    assert not made.put("a/b", b"y", retain=False)
    assert made.put("a/b", b"y", retain=False)
    assert bytes(connection.taken).endswith(b"a/b\0\2\0y")


def test_room_is_used_again_by_the_next_look_and_by_no_packet_of_the_same_one() -> None:
    """WI-1. What one look tells of stays as it was until the next; a packet that is not whole keeps its room."""
    told: list[memoryview] = []
    sizes = [5, MAX_PART_BYTES, 3, MAX_PART_BYTES, LEAST_LENT_BYTES, 0, 70]
    payloads = [bytes([number]) * size for number, size in enumerate(sizes)]
    connection = Socket(b"".join(publish(payload) for payload in payloads))
    made, _ = client(connection)
    made._deliver = lambda _topic, payload, _retained: told.append(payload)
    made.read_packets(64, len(sizes) * MAX_PACKET_BYTES)
    assert [bytes(payload) for payload in told] == payloads
    rooms = {id(payload.obj) for payload in told}

    late = b"z" * MAX_PART_BYTES
    told.clear()
    connection.there += publish(late)[:-1]
    made.read_packets(64, MAX_PACKET_BYTES)
    connection.there += publish(late)[-1:] + publish(late)
    made.read_packets(64, 3 * MAX_PACKET_BYTES)
    assert [bytes(payload) for payload in told] == [late, late]
    assert {id(payload.obj) for payload in told} <= rooms


def test_room_of_large_packets_is_kept_before_that_of_small_ones() -> None:
    """WI-1: a link that began with small parts has room for larger ones as soon as they come."""
    small = publish(b"s" * LEAST_LENT_BYTES) * (MOST_KEPT_BYTES // LEAST_LENT_BYTES + 9)
    connection = Socket(small + publish(b"x" * MAX_PART_BYTES) * 2)
    made, _ = client(connection)
    for _ in range(3):
        made.read_packets(1000, 1000 * MAX_PACKET_BYTES)
    assert sum(len(room) > MAX_PART_BYTES for room in made._rooms) == 2
    assert sum(len(room) for room in made._rooms) <= MOST_KEPT_BYTES


def test_room_that_is_kept_is_bounded() -> None:
    """WI-12."""
    connection = Socket(publish(b"x" * MAX_PART_BYTES) * 12)
    made, heard = client(connection)
    made.read_packets(64, 12 * MAX_PACKET_BYTES)
    made.read_packets(64, MAX_PACKET_BYTES)
    assert len(heard) == 12
    assert sum(len(room) for room in made._rooms) <= MOST_KEPT_BYTES


@pytest.mark.parametrize("size", [0, 1, RECORD_BYTES - 9, RECORD_BYTES, MAX_PART_BYTES])
@pytest.mark.parametrize(("version", "properties"), [(MQTTv5, b"\0"), (MQTTv5, b"\3\x23\0\1"), (MQTTv311, b"")])
def test_message_is_heard_and_answered_whatever_its_size(size: int, version: int, properties: bytes) -> None:
    """WI-1."""
    connection = Socket(publish(b"x" * size, properties=properties))
    made, heard = client(connection, version)
    made.read_packets(64, MAX_PACKET_BYTES)
    assert heard == [("a/b", b"x" * size, False)]
    assert bytes(connection.taken) == b"\x40\2\0\7"


def test_message_is_heard_when_it_comes_byte_by_byte() -> None:
    """WI-1: wherever the network cuts it."""
    whole, connection = publish(b"y" * 300), Socket()
    made, heard = client(connection)
    for place in range(len(whole)):
        assert heard == []
        connection.there += whole[place : place + 1]
        made.read_packets(64, MAX_PACKET_BYTES)
    assert heard == [("a/b", b"y" * 300, False)]


def test_messages_of_one_look_are_answered_together_and_no_more_are_taken_than_asked_for() -> None:
    """WI-12: what is read at once is bounded."""
    connection = Socket(publish(b"1") + publish(b"2", quality=0) + publish(b"3") + publish(b"4"))
    made, heard = client(connection)
    made.read_packets(3, 1000)
    assert [payload for _, payload, _ in heard] == [b"1", b"2", b"3"]
    assert bytes(connection.taken) == b"\x40\2\0\7" * 2
    made.read_packets(3, 1)
    assert [payload for _, payload, _ in heard][3:] == [b"4"]


@pytest.mark.parametrize(
    "there",
    [
        b"\x30" + VariableByteIntegers.encode(MAX_PACKET_BYTES + 1),
        b"\x30\xff\xff\xff\xff\x7f",
        publish(b"q", quality=2),
        b"\x32\2\0\x40",
        b"\x32\1\0",
        publish(b"", topic=b"\xff\xfe"),
        publish(b"", properties=b"\x7f"),
        publish(b"", properties=b"\xff\xff\xff"),
        b"\x00\0",
        b"\x20\0",
        b"\x40\1\0",
        b"\x40\3\0\1\1",
        b"\x70\2\0\1",
    ],
    ids=[
        *("too large", "length", "quality", "topic cut", "short", "no text", "properties", "varint", "kind", "connack"),
        *("short answer", "answer without meaning", "answer of QoS 2"),
    ],
)
def test_session_is_ended_when_a_packet_is_none_of_mqtt(there: bytes) -> None:
    """WI-12: whatever a broker sends."""
    made, heard = client(Socket(there))
    assert made.read_packets(64, MAX_PACKET_BYTES) is not MQTTErrorCode.MQTT_ERR_SUCCESS
    assert heard == []
    assert made.socket() is None


def test_no_further_message_is_begun_when_enough_bytes_came() -> None:
    """WI-12."""
    connection = Socket(publish(b"1" * 100) * 4)
    made, heard = client(connection)
    made.read_packets(64, 150)
    assert len(heard) == 2
    made.read_packets(64, 150)
    assert len(heard) == 4


@pytest.mark.parametrize(
    ("messages", "answers", "most", "most_bytes", "emptied"),
    [(0, 0, 8, 999, True), (7, 0, 8, 999, True), (8, 0, 8, 999, False), (4, 4, 8, 999, False), (2, 0, 8, 106, False)],
    ids=["nothing", "below the most", "the most", "the most, with answers", "the most bytes, with topics"],
)
def test_look_says_whether_it_came_to_the_end_of_what_was_there(
    messages: int, answers: int, most: int, most_bytes: int, emptied: bool
) -> None:
    """WI-68. What is told of a look does not say it: a broker's answers and a message's head count and are not told."""
    made, heard = client(Socket(publish(b"m" * 46) * messages + b"\x40\2\0\x09" * answers))
    made.read_packets(most, most_bytes)
    assert (len(heard), made.emptied) == (messages, emptied)
    made.read_packets(most, most_bytes)
    assert made.emptied


def answer_to(made: LeanClient, connection: Socket, *, others: bytes = b"") -> None:
    """The broker has `others` for this client first, then its answer to the last message."""
    number = made._last_mid.to_bytes(2, "big")
    connection.there += others + b"\x40\2" + number
    made.read_packets(64, MAX_PACKET_BYTES)


def ask(made: LeanClient, now: list[float]) -> None:
    """Something is sent, what else there was to do is done, and a look finds nothing."""
    made.put("t", b"x", retain=False)
    now[0] += 7.0
    made.read_packets(64, MAX_PACKET_BYTES)


def test_least_is_of_this_minute_and_the_one_before(now: list[float]) -> None:
    """WI-68. A broker that moved away, or began to keep what it has on a disk, is not taken for one that has a line."""
    connection = Socket()
    made, _ = client(connection)
    waited: list[int | None] = []
    for took_s in (0.010, 0.110, 0.110, 0.110):
        ask(made, now)
        now[0] += took_s
        answer_to(made, connection)
        waited.append(made.waited_us)
        now[0] += LEAST_FOR_S
    assert waited == [pytest.approx(us, abs=1) for us in (0, 100_000, 0, 0)]


def test_answer_tells_how_much_longer_than_the_least_it_waited(now: list[float]) -> None:
    """WI-68. The least is what a broker far away takes; the rest is the line before it."""
    connection = Socket()
    made, _ = client(connection)
    waited: list[int | None] = []
    for took_s in (0.040, 0.065, 0.030, 0.130):
        ask(made, now)
        now[0] += took_s
        answer_to(made, connection, others=publish(b"bulk"))
        waited.append(made.waited_us)
    assert waited == [pytest.approx(us, abs=1) for us in (0, 25_000, 0, 100_000)]
    made.read_packets(64, MAX_PACKET_BYTES)
    assert made.waited_us is None


def test_answer_that_does_not_come_counts_until_the_last_packet(now: list[float]) -> None:
    """WI-68. A line that is read for so long has not come to the answer; a broker that says nothing has no line."""
    connection = Socket()
    made, _ = client(connection)
    ask(made, now)
    now[0] += 0.020
    answer_to(made, connection)
    ask(made, now)
    for took_s in (0.100, 0.200):
        now[0] += took_s
        connection.there += publish(b"bulk")
        made.read_packets(64, MAX_PACKET_BYTES)
    assert made.waited_us == pytest.approx(280_000, abs=1)
    now[0] += 60.0
    made.read_packets(64, MAX_PACKET_BYTES)
    assert made.waited_us is None


def test_answer_to_another_message_tells_nothing(now: list[float]) -> None:
    """WI-68. One is asked for at a time; those sent meanwhile would tell the same again."""
    connection = Socket()
    made, _ = client(connection)
    made.put("t", b"first", retain=False)
    made.put("t", b"second", retain=False)
    now[0] += 0.5
    answer_to(made, connection)
    assert made.unanswered == 1
    assert made._asked is not None


def test_session_is_ended_when_the_other_side_has_left() -> None:
    """WI-12."""
    made, _ = client(Socket(publish(b"z" * 99)[:50], is_over=True))
    made.read_packets(64, MAX_PACKET_BYTES)
    assert made.socket() is None


def test_paho_has_what_is_changed_of_it() -> None:
    """A paho that calls these otherwise would make the change void without a word."""
    changed = {name for name in vars(LeanClient) if name in vars(Client) and not name.startswith("__")}
    assert {"_sock_send", "_packet_queue", "_packet_read", "_handle_publish", "_handle_pubackcomp"} == changed
    needed = {"_packet_handle", "_loop_rc_handle", "_sock_close", "_packet_write", "_mid_generate"}
    assert needed | {"_pack_remaining_length"} <= set(vars(Client))
    assert {"_sock", "_in_packet", "_last_bytes_received"} <= set(vars(client(Socket())[0]))
