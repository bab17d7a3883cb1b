"""Cameras nearby: what is told, what is heard, and what is refused."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from sync.multicast import MulticastAir
from sync.peers import MAX_HEARD, MAX_TOLD_REFUSALS, PAUSE_US, TIMES, PeerParts, PeerPost, load_peers
from vedette import commands
from vedette.activation_record import MAX_SEEN, Activation
from vedette.clock import FakeClock, uuid7
from vedette.enrolment import Enrolment
from vedette.errors import Refused, Usage
from vedette.keys import SigningKey
from vedette.records import keyring

S = 1_000_000
WINDOW_US = 10 * S
KEYS = {name: SigningKey.generate() for name in ("car-1", "cam-7", "cam-8", "stranger", "centre")}


def enrolment(device: str, key: str | None = None) -> Enrolment:
    return Enrolment(device=device, key=KEYS[key or device].public, certificate_serial="01", enrolled_us=1)


@dataclass
class Room:
    """Everybody in it hears everything, the sender too."""

    waiting: dict[str, list[bytes]] = field(default_factory=dict)
    is_down: bool = False
    sent: list[bytes] = field(default_factory=list)

    def air(self, name: str) -> "RoomAir":
        self.waiting[name] = []
        return RoomAir(self, name)


@dataclass
class RoomAir:
    room: Room
    name: str

    def send(self, datagram: bytes) -> bool:
        if self.room.is_down:
            return False
        self.room.sent.append(datagram)
        for inbox in self.room.waiting.values():
            inbox.append(datagram)
        return True

    def receive(self) -> bytes | None:
        inbox = self.room.waiting[self.name]
        return inbox.pop(0) if inbox else None

    def close(self) -> None:
        self.room.waiting.pop(self.name)


@dataclass
class Device:
    """One device's post with its run folder and the custody it wrote."""

    name: str
    run: Path
    clock: FakeClock
    post: PeerPost
    notes: list[tuple[str, dict[str, object]]]

    def step(self) -> None:
        self.post.step(self.clock.mono_us())

    def asked(self) -> list[dict[str, object]]:
        return commands.take(self.run, "recorder")

    def refusals(self) -> list[str]:
        return [str(detail["why"]) for event, detail in self.notes if event == "peer.refused"]


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
def make(tmp_path: Path, room: Room) -> Callable[..., Device]:
    def one(name: str, *knows: str, clock: FakeClock | None = None) -> Device:
        notes: list[tuple[str, dict[str, object]]] = []
        own = clock or FakeClock()
        parts = PeerParts(
            device=name,
            key=KEYS[name],
            peers={KEYS[peer].public.key_id: enrolment(peer) for peer in knows},
            air=room.air(name),
            run_dir=tmp_path / name,
            clock=own,
            window_us=WINDOW_US,
            note=lambda event, detail: notes.append((event, detail)),
        )
        return Device(name, tmp_path / name, own, PeerPost(parts), notes)

    return one


def tell(device: Device, why: object = "button", **more: object) -> None:
    commands.post(device.run, "uplink", {"command": "tell_peers", "activation": why, **more}, clock=device.clock)
    device.step()


def signed(clock: FakeClock, key: str = "cam-7", **changed: object) -> bytes:
    said = Activation(
        id=uuid7(clock), device="cam-7", activation="button", at_us=clock.utc_us(), sent_us=clock.utc_us()
    )
    return replace(said, **changed).sign(KEYS[key])


def test_activation_starts_the_recorders_of_peers_once_and_custody_says_so_on_both_sides(make) -> None:
    """AC-20, AC-21, AC-22."""
    car, camera = make("car-1", "cam-7"), make("cam-7", "car-1")
    tell(camera, "lights", at_us=camera.clock.utc_us())
    for _ in range(3):
        car.step()
    (body,) = car.asked()
    assert (body["command"], body["activation"]) == ("start", "peer")
    told, heard = camera.notes[0], car.notes[0]
    assert told == ("peer.told", {"activation": "lights", "id": body["id"]})
    assert heard == ("peer.heard", {"device": "cam-7", "activation": "lights", "id": body["id"]})


def test_activation_is_sent_several_times_and_answered_once(make, room: Room) -> None:
    """AC-21, AC-24."""
    car, camera = make("car-1", "cam-7"), make("cam-7")
    tell(camera)
    for _ in range(10):
        camera.clock.advance(PAUSE_US)
        car.clock.advance(PAUSE_US)
        camera.step()
        car.step()
    assert len(room.sent) == TIMES
    assert len(set(room.sent)) == 1
    assert (len(car.asked()), car.post.counts.heard, car.post.counts.refused) == (1, 1, 0)


def test_own_message_is_left_alone(make) -> None:
    """AC-25."""
    camera = make("cam-7", "car-1")
    tell(camera)
    camera.step()
    assert (camera.asked(), camera.post.counts.refused) == ([], 0)


@pytest.mark.parametrize(
    ("key", "changed", "why"),
    [
        ("stranger", {}, "not trusted here"),
        ("centre", {}, "not trusted here"),
        ("car-1", {"device": "cam-7"}, "which did not sign it"),
        ("cam-7", {"device": "cam-8"}, "which did not sign it"),
    ],
)
def test_activation_is_refused_when_another_key_or_name_is_on_it(make, room: Room, key, changed, why) -> None:
    """AC-23."""
    car = make("car-1", "cam-7")
    room.waiting["car-1"].append(signed(car.clock, key, **changed))
    car.step()
    assert car.asked() == []
    assert why in car.refusals()[0]


@pytest.mark.parametrize(
    ("shift_us", "is_heard", "why"),
    [(0, True, ""), (WINDOW_US, True, ""), (WINDOW_US + 1, False, "in the future"), (-WINDOW_US, True, ""),
     (-WINDOW_US - 1, False, "ended")],
)  # fmt: skip
def test_activation_counts_only_within_its_window(make, room: Room, shift_us: int, is_heard: bool, why: str) -> None:
    """AC-24."""
    car = make("car-1", "cam-7")
    car.clock.advance(60 * S)
    room.waiting["car-1"].append(signed(car.clock, sent_us=car.clock.utc_us() + shift_us))
    car.step()
    assert len(car.asked()) == is_heard
    assert [why in one for one in car.refusals()] == ([] if is_heard else [True])


def test_replay_starts_nothing_within_the_window_behind_it_or_after_a_restart(make, room: Room) -> None:
    """AC-24."""
    clock = FakeClock()
    car = make("car-1", "cam-7", clock=clock)
    recorded = signed(clock)
    room.waiting["car-1"].append(recorded)
    car.step()
    assert len(car.asked()) == 1
    for later_us in (1, WINDOW_US // 2, 2 * WINDOW_US):
        clock.advance(later_us)
        room.waiting["car-1"].append(recorded)
        car.step()
        assert car.asked() == []
    fresh = signed(clock)
    clock.advance(S)
    again = make("car-1", "cam-7", clock=clock)
    room.waiting["car-1"].append(fresh)
    again.step()
    assert again.asked() == []
    assert "before this service began to listen" in again.refusals()[0]


@pytest.mark.parametrize("bad", [b"", b"{}", b"\xff" * 100, b"[" * 1024, b'"' + b"x" * 2000 + b'"'])
def test_bytes_that_are_no_record_are_refused(make, room: Room, bad: bytes) -> None:
    """AC-23."""
    car = make("car-1", "cam-7")
    room.waiting["car-1"].append(bad)
    car.step()
    assert (car.asked(), car.post.counts.refused) == ([], 1)


@pytest.mark.parametrize("at", [20, 100, -30])
def test_changed_byte_is_refused(make, room: Room, at: int) -> None:
    """AC-23."""
    car = make("car-1", "cam-7")
    data = bytearray(signed(car.clock))
    data[at] ^= 1
    room.waiting["car-1"].append(bytes(data))
    car.step()
    assert (car.asked(), car.post.counts.refused) == ([], 1)


def test_flood_is_bounded_in_each_step_in_memory_and_in_custody(make, room: Room) -> None:
    """AC-26."""
    car = make("car-1", "cam-7")
    room.waiting["car-1"] += [b"noise"] * (MAX_HEARD + 1)
    car.step()
    assert car.post.counts.refused == MAX_HEARD
    room.waiting["car-1"] += [b"noise"] * MAX_TOLD_REFUSALS
    for _ in range(20):
        car.step()
    assert len(car.refusals()) == MAX_TOLD_REFUSALS
    heard = 0
    for _ in range((MAX_SEEN + MAX_HEARD) // MAX_HEARD + 1):
        room.waiting["car-1"] += [signed(car.clock) for _ in range(MAX_HEARD)]
        car.step()
        heard += len(car.asked())
    assert heard == car.post.counts.heard == MAX_SEEN


@pytest.mark.parametrize("body", [{"command": "start", "activation": "x"}, {"command": "tell_peers"},
                                  {"command": "tell_peers", "activation": ""},
                                  {"command": "tell_peers", "activation": "x" * 65}])  # fmt: skip
def test_request_to_tell_is_left_out_when_it_is_none(make, room: Room, body: dict[str, object]) -> None:
    camera = make("cam-7")
    commands.post(camera.run, "uplink", body, clock=camera.clock)
    camera.step()
    assert (room.sent, camera.notes) == ([], [])


def test_network_that_takes_nothing_stops_nothing(make, room: Room) -> None:
    """AC-26."""
    camera = make("cam-7")
    room.is_down = True
    tell(camera)
    for _ in range(5):
        camera.clock.advance(PAUSE_US)
        camera.step()
    assert room.sent == []


def test_peers_are_those_whose_enrolment_the_centre_signed(tmp_path: Path) -> None:
    """AC-27."""
    files = {
        "cam-7": enrolment("cam-7").sign(KEYS["centre"]),
        "forged": enrolment("cam-8", "stranger").sign(KEYS["stranger"]),
        "own": enrolment("car-1").sign(KEYS["centre"]),
        "noise": b"noise",
    }
    for name, data in files.items():
        (tmp_path / f"{name}.enrolment").write_bytes(data)
    found = load_peers(tmp_path, keyring(KEYS["centre"].public), own="car-1")
    assert {key_id: one.device for key_id, one in found.items()} == {KEYS["cam-7"].public.key_id: "cam-7"}
    assert load_peers(tmp_path / "none", keyring(KEYS["centre"].public), own="car-1") == {}


def test_real_datagrams_arrive_over_this_machines_multicast() -> None:
    """AC-20: two sockets of this machine, over its loopback interface."""
    hears = MulticastAir("239.255.86.69", 47_999, interface="127.0.0.1")
    speaks = MulticastAir("239.255.86.69", 47_999, interface="127.0.0.1", listen=False)
    try:
        assert hears.receive() is None
        assert speaks.send(b"x" * 1024)
        hears._socket.settimeout(5)
        assert hears.receive() == b"x" * 1024
        assert speaks.receive() is None
    finally:
        hears.close()
        speaks.close()


@pytest.mark.parametrize(("group", "interface"), [("192.168.1.1", ""), ("peers.local", ""), ("239.1.1.1", "eth0")])
def test_multicast_is_refused_when_an_address_is_none(group: str, interface: str) -> None:
    with pytest.raises(Usage, match=r"\[peers\]"):
        MulticastAir(group, 47_999, interface=interface)


def test_multicast_is_refused_when_the_interface_is_not_there() -> None:
    with pytest.raises(Refused, match="cannot be used"):
        MulticastAir("239.255.86.69", 47_999, interface="203.0.113.9")


def test_peer_is_believed_no_more_when_it_is_off_the_list_and_a_new_one_is(make) -> None:
    """AC-35: without a restart."""
    car, camera, other = make("car-1", "cam-7"), make("cam-7"), make("cam-8")
    tell(camera)
    car.step()
    assert len(car.asked()) == 1
    car.post.believe({KEYS["cam-8"].public.key_id: enrolment("cam-8")})
    tell(camera)
    tell(other)
    car.step()
    assert [detail["device"] for event, detail in car.notes if event == "peer.heard"] == ["cam-7", "cam-8"]
    assert len(car.asked()) == 1
    assert "not trusted here" in car.refusals()[0]
