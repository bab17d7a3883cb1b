"""`vedette device camera-network`: the drop-in on a machine that stands in for an installed one."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from edge import camera_network
from edge.camera import open_camera
from vedette import cli
from vedette.config import CameraSection
from vedette.errors import Refused, Usage

FIRST = CameraSection(adapter="gst", source="rtsp:rtsp://admin:secret@10.0.0.7/street")
SECOND = CameraSection(adapter="gst", source="rtsp:rtsp://10.0.0.8/street")
NAMED = CameraSection(adapter="gst", source="rtsp:rtsp://cam.local/street")
SIX = CameraSection(adapter="gst", source="rtsp:rtsp://admin:secret@[FD00:0::12]:554/street")
USB = CameraSection(adapter="gst", source="v4l2:/dev/video0")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    unit = tmp_path / camera_network.UNIT
    unit.parent.mkdir(parents=True)
    unit.touch()
    (tmp_path / camera_network.NAMES).write_text("127.0.0.1 localhost\n")
    return tmp_path


def lets_through(root: Path) -> list[str]:
    path = root / camera_network.DROP_IN
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.partition("=")[2] for line in lines if line.startswith("IPAddressAllow=")]


def test_drop_in_follows_the_camera_and_is_gone_without_a_network_camera(root: Path) -> None:
    """CF-13: each time what is let through now, and what was before no more."""
    found = []
    for camera in (USB, FIRST, SECOND, USB):
        done = camera_network.settle(camera, root)
        found.append((lets_through(root), done.changed, done.cuts))
    assert found == [([], False, False), (["10.0.0.7"], True, False), (["10.0.0.8"], True, True), ([], True, True)]
    assert not (root / camera_network.DROP_IN).parent.exists()


def test_ipv6_address_of_the_camera_is_let_through_as_systemd_writes_it(root: Path) -> None:
    """CF-18: without brackets, port and password, its sockets' family and no other."""
    camera_network.settle(FIRST, root)
    assert camera_network.settle(SIX, root).cuts
    assert lets_through(root) == ["fd00::12"]
    text = (root / camera_network.DROP_IN).read_text()
    assert "\nRestrictAddressFamilies=AF_INET6\n" in text
    assert "\nEnvironment=VEDETTE_MAY_REACH=fd00::12\n" in text
    assert "secret" not in text
    assert camera_network.unsettled(SIX, root) == ""


def test_ipv6_address_that_counts_on_one_interface_closes_what_was_open(root: Path) -> None:
    """CF-18."""
    camera_network.settle(SIX, root)
    near = CameraSection(adapter="gst", source="rtsp:rtsp://[fe80::12%25eth0]/street")
    with pytest.raises(Usage, match="counts on one interface only; give the camera another address"):
        camera_network.settle(near, root)
    assert lets_through(root) == []


def test_nothing_is_written_when_nothing_changed(root: Path) -> None:
    """CF-13."""
    camera_network.settle(FIRST, root)
    before = (root / camera_network.DROP_IN).stat()
    assert not camera_network.settle(FIRST, root).changed
    assert (root / camera_network.DROP_IN).stat() == before


def test_name_that_nobody_knows_closes_what_was_open_and_is_found_once_it_is_listed(root: Path) -> None:
    """CF-13."""
    camera_network.settle(FIRST, root)
    with pytest.raises(Refused, match="asks no name server"):
        camera_network.settle(NAMED, root)
    assert lets_through(root) == []
    (root / camera_network.NAMES).write_text("10.0.0.9 cam.local\n")
    assert camera_network.settle(NAMED, root).changed
    assert lets_through(root) == ["10.0.0.9"]


def test_other_drop_ins_stay_when_the_network_is_taken_away(root: Path) -> None:
    """CF-13."""
    camera_network.settle(FIRST, root)
    other = (root / camera_network.DROP_IN).with_name("30-pipewire.conf")
    other.touch()
    camera_network.settle(USB, root)
    assert [path.name for path in other.parent.iterdir()] == [other.name]


def test_drop_in_may_be_read_by_everybody_and_has_no_password_in_it(root: Path) -> None:
    """CF-13: `vedette device status` compares it, as another user."""
    before = os.umask(0o077)
    try:
        camera_network.settle(FIRST, root)
    finally:
        os.umask(before)
    path = root / camera_network.DROP_IN
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o644, 0o755)
    assert "secret" not in path.read_text()


def test_systemd_is_told_when_it_runs_and_only_of_a_change(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CF-13."""
    told: list[list[str]] = []

    def systemctl(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        told.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", systemctl)
    camera_network.settle(FIRST, root)
    assert told == []
    (root / "run/systemd/system").mkdir(parents=True)
    for camera in (FIRST, SECOND, SECOND, USB, USB):
        camera_network.settle(camera, root)
    assert told == [["systemctl", "daemon-reload"]] * 2


def test_status_says_what_to_do_until_unit_and_camera_go_together(root: Path) -> None:
    """CF-14."""
    then = "sudo vedette device camera-network, then sudo systemctl restart vedette-recorder"
    assert camera_network.unsettled(USB, root) == ""
    assert camera_network.unsettled(FIRST, root) == f"the recorder's unit does not let it reach 10.0.0.7: {then}"
    camera_network.settle(FIRST, root)
    assert camera_network.unsettled(FIRST, root) == ""
    assert camera_network.unsettled(SECOND, root) == f"the recorder's unit does not let it reach 10.0.0.8: {then}"
    assert "lets it reach a network that its camera does not need" in camera_network.unsettled(USB, root)
    assert "asks no name server" in camera_network.unsettled(NAMED, root)
    (root / camera_network.UNIT).unlink()
    assert camera_network.unsettled(SECOND, root) == ""


def test_command_says_what_the_recorder_reaches_and_what_to_do_next(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """CF-13."""
    monkeypatch.setattr(camera_network, "ROOT", root)
    folder = tmp_path / "car-1"
    source = "rtsp:rtsp://169.254.3.4/street"
    assert cli.main(["device", "init", str(folder), "--id", "car-1", "--camera", "gst", "--source", source]) == 0
    capsys.readouterr()
    command = ["device", "camera-network", "--config", str(folder / "device.toml")]
    assert cli.main(command) == 0
    assert capsys.readouterr().out.splitlines() == [
        "the recorder reaches 169.254.3.4 and nothing else, from its next start on:"
        " sudo systemctl restart vedette-recorder",
        "169.254.3.4: the camera chose this by itself and may change it; give it a fixed one",
    ]
    assert cli.main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"addresses": ["169.254.3.4"], "changed": False}


def test_camera_with_an_ipv6_address_is_named_where_its_unit_closes_it(
    monkeypatch: pytest.MonkeyPatch, ip6_camera
) -> None:
    """CF-18, CF-14."""
    ip6_camera.switch_off()
    camera = open_camera(CameraSection(adapter="gst", source=f"rtsp:{ip6_camera.address}"))
    monkeypatch.setenv("VEDETTE_MAY_REACH", "::1")
    with pytest.raises(Refused, match=r"the camera rtsp:rtsp://\[::1\]:\d+/street does not start: GStreamer ended: "):
        camera.open()
    monkeypatch.setenv("VEDETTE_MAY_REACH", "fd00::12")
    with pytest.raises(Refused, match="the recorder's unit lets it reach fd00::12 and not ::1: run sudo vedette"):
        camera.open()


def test_camera_that_its_unit_closes_says_so_and_what_to_do(monkeypatch: pytest.MonkeyPatch, network_camera) -> None:
    """CF-14: by the adapter, with GStreamer's own words behind it, and without the camera's password."""
    network_camera.switch_off()
    place = network_camera.address.removeprefix("rtsp://")
    camera = open_camera(CameraSection(adapter="gst", source=f"rtsp:rtsp://admin:secret@{place}"))
    said = []
    for may_reach in (None, "127.0.0.1", "10.0.0.7"):
        if may_reach:
            monkeypatch.setenv("VEDETTE_MAY_REACH", may_reach)
        with pytest.raises(Refused) as raised:
            camera.open()
        said.append(str(raised.value))
    closed = (
        "the recorder's unit lets it reach 10.0.0.7 and not 127.0.0.1: run sudo vedette device camera-network,"
        " then sudo systemctl restart vedette-recorder (GStreamer ended: "
    )
    assert ["does not start: GStreamer ended: " in one for one in said] == [True, True, False]
    assert closed in said[2]
    assert [one for one in said if "secret" in one or len(one) > 512] == []
