"""`vedette device …` and `vedette camera probe`, as a person or a script calls them."""

import json
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from edge.commands import open_service
from vedette import cli, commands, config
from vedette.clock import FakeClock, SystemClock
from vedette.daemon import write_status
from vedette.errors import NotFound, Usage
from vedette.keys import SigningKey
from vedette.sealed import HybridIdentity
from vedette.trust import Trust


@pytest.fixture
def device(tmp_path: Path, run_dir: Path) -> Path:
    folder = tmp_path / "car-1"
    assert cli.main(["device", "init", str(folder), "--id", "car-1", "--run", str(run_dir)]) == 0
    return folder / "device.toml"


def clip(folder: Path) -> Path:
    path = folder / 'a "clip".mp4'
    source = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=1"]
    subprocess.run(["ffmpeg", "-v", "error", *source, "-c:v", "libx264", "-pix_fmt", "yuv420p", str(path)], check=True)
    return path


def enrol(device: Path) -> None:
    recipient, key = HybridIdentity.generate().recipient.text, SigningKey.generate().public
    trust = Trust(
        centre=key, list_signer=key, log_origin="t/log", evidence=(recipient,), oversight=(recipient,), triage=recipient
    )
    (device.parent / "trust.json").write_bytes(trust.to_bytes())


def test_init_makes_folders_a_private_key_and_a_configuration_that_loads(tmp_path: Path, capsys):
    assert cli.main(["device", "init", str(tmp_path / "car-1"), "--id", "car-1"]) == 0
    device = tmp_path / "car-1" / "device.toml"
    loaded = config.load_device(device)
    assert (loaded.device.id, loaded.data) == ("car-1", device.parent)
    assert stat.S_IMODE((device.parent / "keys" / "sign.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE((device.parent / "keys").stat().st_mode) == 0o700
    assert {path.name for path in (device.parent / "spool").iterdir()} == {"segment", "hit", "custody", "quarantine"}
    assert "vedette central enrol" in capsys.readouterr().out


def test_init_prints_the_public_key_as_json_when_asked(tmp_path: Path, capsys):
    assert cli.main(["device", "init", str(tmp_path / "d"), "--id", "car-7", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["public"] == SigningKey.load(tmp_path / "d" / "keys" / "sign.pem").public.text


def test_init_keeps_an_awkward_source_when_it_is_written_into_the_configuration(tmp_path: Path):
    source = 'a "clip" in \\ a folder.mp4'
    assert cli.main(["device", "init", str(tmp_path / "d"), "--id", "car-7", "--source", source]) == 0
    assert config.load_device(tmp_path / "d" / "device.toml").camera.source == source


def test_init_changes_nothing_when_a_device_is_there(device: Path, capsys):
    before = {path: path.read_bytes() for path in device.parent.rglob("*") if path.is_file()}
    assert cli.main(["device", "init", str(device.parent), "--id", "car-2"]) == 1
    assert {path: path.read_bytes() for path in device.parent.rglob("*") if path.is_file()} == before
    assert "holds a device already" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["ab", "Car-1", "car/1", "car 1", "car#", "-car"])
def test_init_refuses_an_id_that_is_none(tmp_path: Path, name: str):
    assert cli.main(["device", "init", str(tmp_path / "d"), f"--id={name}"]) == 2
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("verb", ["start", "stop"])
def test_start_and_stop_leave_a_command_for_the_recorder(device: Path, run_dir: Path, verb: str):
    assert cli.main(["device", verb, "--config", str(device), "--activation", "exercise"]) == 0
    assert commands.take(run_dir, "recorder") == [{"command": verb, "activation": "exercise", "id": ""}]


def test_start_is_not_found_when_nothing_runs(tmp_path: Path, capsys):
    folder = tmp_path / "d"
    cli.main(["device", "init", str(folder), "--id", "car-7", "--run", str(tmp_path / "none")])
    assert cli.main(["device", "start", "--config", str(folder / "device.toml")]) == 3
    assert "does not run" in capsys.readouterr().err


def test_status_shows_each_service_and_which_is_silent(device: Path, run_dir: Path, capsys):
    capsys.readouterr()
    now_us = SystemClock().utc_us()
    write_status(run_dir, "recorder", {"utc_us": now_us, "state": "recording", "segments": 4})
    write_status(run_dir, "keeper", {"utc_us": now_us - 60_000_000, "state": "working"})
    assert cli.main(["device", "status", "--config", str(device)]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "recording" in lines["recorder"]
    assert "segments=4" in lines["recorder"]
    assert "not running" in lines["keeper"]
    assert "never" in lines["reader"]


def test_status_tells_how_many_plates_were_not_read_and_why(device: Path, run_dir: Path, capsys):
    """HT-41."""
    capsys.readouterr()
    figures = {"plates_read": 5, "rejected_too_small": 7, "rejected_unsure": 2, "rejected_no_consensus": 1}
    write_status(run_dir, "reader", {"utc_us": SystemClock().utc_us(), **figures})
    assert cli.main(["device", "status", "--config", str(device)]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("reader")]
    assert [f"{name}={value}" for name, value in figures.items() if f"{name}={value}" not in line] == []


def test_status_is_json_when_asked(device: Path, run_dir: Path, capsys):
    capsys.readouterr()
    write_status(run_dir, "recorder", {"utc_us": SystemClock().utc_us(), "state": "recording"})
    assert cli.main(["device", "status", "--config", str(device), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["recorder"]["state"], printed["recorder"]["fresh"], printed["uplink"]) == (
        "recording",
        True,
        {"fresh": False},
    )


def test_probe_says_what_a_camera_gives(tmp_path: Path, capsys):
    path = str(clip(tmp_path))
    assert cli.main(["camera", "probe", path, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    wanted = {"width": 320, "height": 240, "units": 25, "frames": 25, "frame_size": "320x240", "rate_milli": 25_000}
    assert {name: printed[name] for name in wanted} == wanted
    assert cli.main(["camera", "probe", path, "--seconds", "1"]) == 0
    assert "h264 320x240 at 25 pictures/s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["/nowhere/clip.mp4"], 3, "is not there"),
        ([__file__], 1, "not a video"),
        (["x", "--adapter", "vhs"], 2, "no adapter"),
        (["webcam", "--adapter", "gst"], 2, "not a board"),
        (["x", "--seconds", "0"], 2, "from 1 to 60"),
        (["x", "--seconds", "61"], 2, "from 1 to 60"),
    ],
)
def test_probe_fails_with_its_code_and_one_line(arguments: list[str], code: int, said: str, capsys):
    assert cli.main(["camera", "probe", *arguments]) == code
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("source", "code", "said"),
    [("/nowhere/clip.mp4", 3, "the clip /nowhere/clip.mp4 is not there"), (__file__, 1, "is not a video")],
)
def test_recorder_fails_with_its_code_when_the_clip_is_missing_or_none(
    device: Path, source: str, code: int, said: str, capsys
):
    enrol(device)
    device.write_text(device.read_text().replace('source = ""', f'source = "{source}"'))
    assert cli.main(["device", "run", "recorder", "--config", str(device)]) == code
    assert said in capsys.readouterr().err


def test_recorder_fails_when_the_device_is_not_enrolled(device: Path, tmp_path: Path, capsys):
    assert cli.main(["device", "run", "recorder", "--config", str(device)]) == 3
    assert cli.main(["device", "run", "keeper", "--config", str(device)]) == 3
    assert "trust.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (["start"], {"command": "start", "activation": "command", "id": ""}),
        (["stop", "--activation", "supervisor"], {"command": "stop", "activation": "supervisor", "id": ""}),
        (
            ["mode", "stealth", "on"],
            {"command": "mode", "mode": "stealth", "on": True, "activation": "command", "id": ""},
        ),
        (["mode", "mute", "off"], {"command": "mode", "mode": "mute", "on": False, "activation": "command", "id": ""}),
    ],
)
def test_command_line_asks_the_recorder(device: Path, run_dir: Path, arguments: list[str], body: dict[str, object]):
    assert cli.main(["device", *arguments, "--config", str(device)]) == 0
    assert commands.take(run_dir, "recorder") == [body]


def test_unknown_service_is_a_usage_error(device: Path):
    with pytest.raises(Usage, match="recorder, reader, panel, position, keeper"):
        open_service("uplink", config.load_device(device), FakeClock())
    with pytest.raises(NotFound):
        open_service("keeper", config.load_device(device), FakeClock())


def test_real_processes_record_a_clip_and_end_cleanly_when_they_are_told_to(
    device: Path, tmp_path: Path, run_dir: Path
):
    enrol(device)
    escaped = str(clip(tmp_path)).replace('"', '\\"')
    text = device.read_text().replace('source = ""', f'source = "{escaped}"\noptions = {{ exit_at_end = "true" }}')
    device.write_text(text + "min_free_mib = 0\n")
    command = [sys.executable, "-m", "vedette.cli", "device", "run"]
    keeper = subprocess.Popen([*command, "keeper", "--config", str(device)])
    recorder = subprocess.run([*command, "recorder", "--config", str(device)], timeout=60, check=False)
    keeper.send_signal(signal.SIGTERM)
    assert (recorder.returncode, keeper.wait(20)) == (0, 0)
    assert len(list((device.parent / "spool" / "segment").glob("*.manifest"))) == 1
    assert len(list((device.parent / "spool" / "custody").glob("*.manifest"))) >= 2
