"""A command and a revocation from the centre to real devices: real broker, real services, real multicast."""

from __future__ import annotations

import json
import socket
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import waiting
from ports import free_port

from simulator import demo
from simulator.demo_command import USER
from simulator.processes import Process
from simulator.stage import Stage, vedette
from sync.central.store import Store
from vedette import commands
from vedette.clock import SystemClock
from vedette.custody_entry import Entry, parse_line
from vedette.custody_tail import journal_files
from vedette.daemon import read_status

until = partial(waiting.until, within_s=90)
CAMERA = "cam-7"


def talks_with_peers(device: Path, port: int) -> None:
    text = f'\n[peers]\nlisten = true\ntell = true\ninterface = "127.0.0.1"\nport = {port}\n'
    with (device / "device.toml").open("a") as toml:
        toml.write(text)


def lines(device: Path, event: str) -> list[Entry]:
    found = [
        parse_line(line)
        for path in journal_files(device / "journal" / "uplink")
        for line in path.read_bytes().splitlines()
    ]
    return [entry for entry in found if entry.event == event]


def is_listed(device: Path, members: set[str]) -> bool:
    path = device / "peers" / "current.peers"
    return path.is_file() and set(json.loads(path.read_bytes())["body"]["peers"]) == members


def asked(stage: Stage) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(vedette("central", "commands", stage.central, "--json"))
    return found


class Person:
    """Somebody with a browser."""

    def __init__(self, stage: Stage) -> None:
        self._address = stage.page
        self._open = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar())).open
        self.page = self.post("login", name=USER, password=stage.password, token=self._token("login"))

    def _token(self, path: str) -> str:
        page = self._open(self._address + path, timeout=30).read().decode()
        name = "door_token" if path == "login" else "form_token"
        return str(page.split(f'name="{name}" value="', 1)[1].split('"', 1)[0])

    def post(self, path: str, *, token: str | None = None, **fields: str) -> str:
        token = token or self._token(path)
        form = urllib.parse.urlencode({**fields, "form_token": token, "door_token": token}).encode()
        return str(self._open(self._address + path, form, timeout=30).read().decode())


def test_device_records_for_the_centre_and_hears_no_peer_that_was_revoked(
    staged: Callable[[demo.Options], Stage], tmp_path: Path
) -> None:
    """AC-22, AC-28, AC-31 to AC-36."""
    options = demo.Options(folder=tmp_path, seconds=600, seed=2, video=None, plates=(), watchlist=None)
    stage, port = staged(options), free_port(socket.SOCK_DGRAM)
    nothing_on_the_list = (
        "plate,region,reason,priority,source,valid_from,valid_to\nZZ99ZZZ,GB,test,high,test,2026-01-01,2030-01-01\n"
    )
    recorder = {"mode": "standby", "pre_event_s": 5}
    stage.scene = replace(stage.scene, recorder=recorder, watchlist_csv=nothing_on_the_list)
    camera, run = tmp_path / CAMERA, stage.run / CAMERA
    run.mkdir()
    stage.prepare()
    stage.start_centre()
    vedette("device", "init", camera, "--id", CAMERA, "--run", run)
    vedette("central", "enrol", stage.central, CAMERA, "--device", camera)
    for device in (stage.device, camera):
        talks_with_peers(device, port)
    other = Process(CAMERA, ["uplink", "run", "--config", str(camera / "device.toml")], stage.logs / "cam.log")
    other.start()
    try:
        stage.start_device()
        until(lambda: read_status(stage.run, "recorder").get("state") == "standby", "the recorder in standby")
        for device in (stage.device, camera):
            until(partial(is_listed, device, {stage.scene.device, CAMERA}), "the list of peers")

        Person(stage).post("commands", device=stage.scene.device, command="start", reason="call 4711", valid_s="120")
        until(lambda: asked(stage)[0]["state"] == "taken", "the device's answer")
        until(lambda: read_status(stage.run, "recorder").get("state") == "recording", "the recording")
        assert read_status(stage.run, "recorder")["activation"] == "remote"
        (row,) = asked(stage)
        assert (row["asked_by"], row["reason"]) == (USER, "call 4711")
        assert [entry.detail["id"] for entry in lines(stage.device, "command.accepted")] == [row["id"]]

        tell = {"command": "tell_peers", "activation": "button"}
        commands.post(run, "uplink", tell, clock=SystemClock())
        until(lambda: lines(stage.device, "peer.heard"), "the peer")
        vedette("central", "revoke", stage.central, CAMERA)
        until(partial(is_listed, stage.device, {stage.scene.device}), "a list without the revoked device")
        commands.post(run, "uplink", tell, clock=SystemClock())
        until(lambda: lines(stage.device, "peer.refused"), "the refusal")
        assert len(lines(stage.device, "peer.heard")) == 1

        stage.services["uplink"].stop()
        vedette("central", "command", stage.central, stage.scene.device, "mark", "--reason", "x", "--valid-s", "600")
        assert asked(stage)[0]["state"] == "waiting"
        stage.services["uplink"].start()
        until(lambda: asked(stage)[0]["state"] == "taken", "the device that is back")
        until(lambda: asked(stage)[1]["custody_seq"], "custody of the first command")
        store = Store(stage.central)
        assert [one.reason for one in store.accesses(subject=stage.scene.device)][:2] == ["x", "call 4711"]
        store.close()
    finally:
        other.stop()
