"""A button pressed on one device, a recording on another: real services of two devices, real multicast, no centre.

The centre is there to enrol them and to send the list of peers, then it is switched off: what a camera nearby says
needs nobody but the two.
"""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
from ports import free_port
from waiting import until

from simulator import demo
from simulator.processes import Process
from simulator.stage import Stage, vedette
from sync.multicast import MulticastAir
from vedette import spool
from vedette.activation_record import Activation, open_activation
from vedette.clock import SystemClock, uuid7
from vedette.custody_entry import Entry, parse_line
from vedette.custody_tail import journal_files
from vedette.daemon import read_status
from vedette.enrolment import Enrolment
from vedette.keys import SigningKey
from vedette.spool import Item

GROUP = "239.255.86.68"
HEARS, ABSENT = "cam-7", "cam-9"
NOISE = b"noise"
NO_PLATE = "plate,region,reason,priority,source,valid_from,valid_to\nZZ99ZZZ,GB,test,high,test,2026-01-01,2030-01-01\n"


@dataclass
class Camera:
    """One device: its folder, its run folder, its services, and what they left."""

    name: str
    folder: Path
    run: Path
    services: dict[str, Process]

    @property
    def config(self) -> str:
        return str(self.folder / "device.toml")

    def lines(self, service: str, event: str) -> list[Entry]:
        paths = journal_files(self.folder / "journal" / service)
        # Written while this reads: what stands behind the last end of a line is none yet.
        found = [parse_line(one) for path in paths for one in path.read_bytes().rpartition(b"\n")[0].splitlines()]
        return [entry for entry in found if entry.event == event]

    def is_in(self, state: str) -> bool:
        return read_status(self.run, "recorder").get("state") == state

    def items(self) -> list[Item]:
        items, bad = spool.scan(self.folder / "spool")
        assert bad == []
        return sorted((item for item in items if item.kind == "segment"), key=lambda item: item.manifest.started_us)

    def is_listed(self, members: set[str]) -> bool:
        path = self.folder / "peers" / "current.peers"
        return path.is_file() and set(json.loads(path.read_bytes())["body"]["peers"]) == members

    def refusals(self) -> list[str]:
        return [str(entry.detail["why"]) for entry in self.lines("uplink", "peer.refused")]


@dataclass
class Street:
    """Two cameras in it, and a third socket that hears and says whatever it likes."""

    tells: Camera
    hears: Camera
    air: MulticastAir

    def press(self) -> None:
        vedette("sim", "press", "record", "--config", self.tells.config)

    def overheard(self) -> bytes:
        return bytes(until(self.air.receive, "a datagram"))

    def say(self, datagram: bytes, refused: str) -> None:
        """Send it, and wait until it was refused with these words."""
        before = len(self.hears.refusals())
        assert self.air.send(datagram)
        until(lambda: refused in " ".join(self.hears.refusals()[before:]), f"a refusal: {refused}")

    def settle(self) -> None:
        """Wait until all that was sent before is heard: datagrams of one sender come in their order."""
        self.say(NOISE, "not JSON")
        until(lambda: not any((self.hears.run / "commands" / "recorder").glob("*.json")), "the recorder's inbox")

    def restart(self) -> None:
        """Start the other camera's uplink anew, and wait until it hears: its journal is open before its socket is."""
        started, before = len(self.hears.lines("uplink", "service.started")), len(self.hears.refusals())
        self.hears.services["uplink"].stop()
        self.hears.services["uplink"].start()
        until(lambda: len(self.hears.lines("uplink", "service.started")) == started + 1, "the uplink again")
        until(lambda: self.air.send(NOISE) and len(self.hears.refusals()) > before, "the uplink to hear again")

    def stop(self) -> None:
        for one in (self.tells, self.hears):
            vedette("device", "stop", "--config", one.config)
        for one in (self.tells, self.hears):
            until(partial(one.is_in, "standby"), f"{one.name} in standby")


def clip(folder: Path) -> Path:
    path = folder / "street.mp4"
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-pix_fmt", "yuv420p"]
    source = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=10:duration=10"]
    subprocess.run(["ffmpeg", "-v", "error", *source, *coding, str(path)], check=True)
    return path


@pytest.fixture
def street(staged: Callable[[demo.Options], Stage], tmp_path: Path) -> Iterator[Street]:
    """Both devices in standby with the same list of peers, and no centre any more."""
    stage = staged(demo.Options(folder=tmp_path, seconds=600, seed=2, video=None, plates=(), watchlist=None))
    camera = {"adapter": "clip", "source": str(clip(tmp_path)), "loop": True}
    recorder = {"mode": "standby", "pre_event_s": 3, "segment_s": 60}
    board = {"adapter": "sim", "options": {"seconds": "600"}}
    stage.scene = replace(stage.scene, camera=camera, recorder=recorder, board=board, watchlist_csv=NO_PLATE)
    stage.prepare()
    stage.start_centre()
    tells = Camera(stage.scene.device, stage.device, stage.run, stage.services)
    hears = _second(stage, tmp_path, str(camera["source"]))
    _enrol(stage, hears)
    port = free_port(socket.SOCK_DGRAM)
    for one, tell, listen in ((tells, "true", "false"), (hears, "false", "true")):
        peers = f'group = "{GROUP}"\nport = {port}\ninterface = "127.0.0.1"\ntell = {tell}\nlisten = {listen}\n'
        with Path(one.config).open("a") as toml:
            toml.write("\n[peers]\n" + peers)
    air = MulticastAir(GROUP, port, interface="127.0.0.1")
    names = ("uplink", "recorder", "panel")
    try:
        for one in (tells, hears):
            for name in names[: 3 if one is tells else 2]:
                one.services[name].start()
        for one in (tells, hears):
            until(partial(one.is_listed, {tells.name, hears.name}), f"the list of peers on {one.name}")
            until(partial(one.is_in, "standby"), f"{one.name} in standby")
        until(lambda: read_status(tells.run, "panel"), "the panel")
        stage.centre.stop()
        yield Street(tells, hears, air)
    finally:
        for one in (tells, hears):
            for name in reversed(names):
                if name in one.services:
                    one.services[name].stop()
        air.close()


def _second(stage: Stage, folder: Path, source: str) -> Camera:
    run = stage.run / HEARS
    run.mkdir()
    device = folder / HEARS
    vedette("device", "init", device, "--id", HEARS, "--run", run, "--mode", "standby", "--source", source)
    path = device / "device.toml"
    text = path.read_text().replace("[camera]\n", "[camera]\nloop = true\n")
    path.write_text(text.split("[recorder]")[0] + '[recorder]\nmode = "standby"\npre_event_s = 3\nmin_free_mib = 64\n')
    config = str(path)
    commands = {"uplink": ["uplink", "run"], "recorder": ["device", "run", "recorder"]}
    services = {
        name: Process(name, [*words, "--config", config], stage.logs / f"{HEARS}-{name}.log")
        for name, words in commands.items()
    }
    return Camera(HEARS, device, run, services)


def _enrol(stage: Stage, one: Camera) -> None:
    vedette("central", "enrol", stage.central, one.name, "--device", one.folder)


def signed(key: SigningKey, device: str) -> bytes:
    clock = SystemClock()
    now_us = clock.utc_us()
    said = Activation(id=uuid7(clock), device=device, activation="button", at_us=now_us, sent_us=now_us)
    return said.sign(key)


@pytest.mark.timeout(240)
def test_button_on_one_device_is_a_recording_on_another_and_no_other_message_is(street: Street) -> None:
    """AC-20 to AC-24: then replayed, altered, by another key and after a restart, the same bytes start nothing."""
    tells, hears = street.tells, street.hears
    pressed_us = SystemClock().utc_us()
    street.press()
    until(partial(hears.is_in, "recording"), "the other camera's recording")
    heard_us = SystemClock().utc_us()
    assert read_status(hears.run, "recorder")["activation"] == "peer"
    datagram = street.overheard()
    key = SigningKey.load(tells.folder / "keys" / "sign.pem")
    known = {
        key.public.key_id: Enrolment(device=tells.name, key=key.public, certificate_serial="", enrolled_us=0),
    }
    said = open_activation(datagram, known)
    assert (said.device, said.activation) == (tells.name, "button")

    street.stop()
    (item,) = hears.items()
    assert item.manifest.activation == "peer"
    assert item.manifest.started_us < heard_us
    assert item.manifest.started_us + item.manifest.media.duration_us > pressed_us
    assert {one.manifest.activation for one in tells.items()} == {"button"}
    (heard,) = hears.lines("uplink", "peer.heard")
    assert heard.detail == {"device": tells.name, "activation": "button", "id": said.id}
    (told,) = tells.lines("uplink", "peer.told")
    assert told.detail == {"activation": "button", "id": said.id}
    started = [entry.detail for entry in hears.lines("recorder", "activation.received")]
    assert started[0] == {"command": "start", "activation": "peer", "id": said.id}
    (recording,) = hears.lines("recorder", "recording.started")
    assert (recording.detail["activation"], recording.detail["recording"]) == ("peer", item.manifest.recording)

    stranger = SigningKey.generate()
    for _ in range(3):
        assert street.air.send(datagram)
    street.settle()
    altered = datagram.replace(b'"button"', b'"lights"')
    assert altered != datagram
    street.say(altered, "signature")
    street.say(signed(stranger, ABSENT), "not trusted here")
    street.say(signed(stranger, tells.name), "not trusted here")
    street.say(signed(key, ABSENT), "did not sign it")
    street.restart()
    street.say(datagram, "before this service began to listen")
    street.settle()
    assert len(hears.lines("recorder", "activation.received")) == len(started)
    assert hears.is_in("standby")
    assert len(hears.items()) == 1

    street.press()
    until(partial(hears.is_in, "recording"), "a second recording")
    street.stop()
    assert [one.manifest.activation for one in hears.items()] == ["peer", "peer"]
    assert len(hears.lines("uplink", "peer.heard")) == 2
