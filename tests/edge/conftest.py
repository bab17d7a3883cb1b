"""What several folders here need: a network camera that can be switched off and on, and told to freeze, to see nothing
or to be silent; and a real gpsd (Debian's) that gpsfake feeds with the sentences of a receiver, on a free port.
"""

import datetime
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from ports import free_port

PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"
START = datetime.datetime(2026, 11, 23, 8, 0, 0, tzinfo=datetime.timezone.utc)
SERVER = Path(__file__).parent / "rtsp_server.py"
PYTHON = "/usr/bin/python3"


@dataclass
class NetworkCamera:
    """A real RTSP server in a process of its own."""

    address: str = ""
    host: str = "127.0.0.1"
    coder: str = "x264"
    sound: str = ""
    sound_after_s: int = 0
    process: subprocess.Popen[str] | None = None

    def switch_on(self) -> None:
        port = self.address.rpartition(":")[2].partition("/")[0] or "0"
        command = [
            PYTHON,
            str(SERVER),
            f"{self.host}:{port}",
            self.coder,
            *([self.sound, str(self.sound_after_s)] if self.sound else []),
        ]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        assert self.address.startswith("rtsp://")

    def tell(self, word: str) -> None:
        """Have it do what `rtsp_server.py` says of `word`."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def switch_off(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


@pytest.fixture
def network_camera() -> Iterator[NetworkCamera]:
    probe = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    if not Path(PYTHON).exists() or subprocess.run([PYTHON, "-c", probe], capture_output=True).returncode:
        pytest.skip("GStreamer's RTSP server is not installed (apt install gir1.2-gst-rtsp-server-1.0 python3-gi)")
    one = NetworkCamera()
    one.switch_on()
    yield one
    one.switch_off()


@pytest.fixture
def ip6_camera(network_camera: NetworkCamera) -> NetworkCamera:
    """The same at this machine's own IPv6 address."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"nothing can listen at [::1] on this machine: {error}")
    network_camera.switch_off()
    network_camera.host, network_camera.address = "[::1]", ""
    network_camera.switch_on()
    return network_camera


def sentence(body: str) -> str:
    """An NMEA 0183 sentence with its check sum."""
    total = 0
    for character in body:
        total ^= ord(character)
    return f"${body}*{total:02X}\r\n"


def second(moment: datetime.datetime, *, has_fix: bool = True, north: str = "3401.2000", knots: float = 10.0) -> str:
    """What a receiver says of one second, in Rabat."""
    clock, date = moment.strftime("%H%M%S.00"), moment.strftime("%d%m%y")
    if not has_fix:
        return (
            sentence(f"GPRMC,{clock},V,,,,,,,{date},,,N")
            + sentence(f"GPGGA,{clock},,,,,0,00,99.9,,M,,M,,")
            + sentence("GPGSA,A,1,,,,,,,,,,,,,99.9,99.9,99.9")
        )
    used = ("04", "05", "09", "12", "24", "25", "29", "31")
    views = [
        sentence(
            f"GPGSV,2,{part + 1},08," + ",".join(f"{one},45,{int(one) * 10:03},40" for one in used[part * 4 :][:4])
        )
        for part in range(2)
    ]
    return (
        sentence(f"GPRMC,{clock},A,{north},N,00650.4000,W,{knots:05.1f},054.7,{date},,,A")
        + sentence(f"GPGGA,{clock},{north},N,00650.4000,W,1,08,0.9,75.0,M,46.9,M,,")
        + sentence(f"GPGSA,A,3,{','.join(used)},,,,,1.6,0.9,1.3")
        + "".join(views)
    )


@pytest.fixture
def nmea() -> Callable[..., str]:
    """`nmea(from_s, to_s)`: what a receiver says in these seconds after eight, at so many `knots`, by a clock that is
    `off_s` wrong.
    """

    def say(from_s: int, to_s: int, *, has_fix: bool = True, off_s: int = 0, knots: float = 10.0) -> str:
        moments = (START + datetime.timedelta(seconds=one + off_s) for one in range(from_s, to_s))
        return "".join(second(moment, has_fix=has_fix, knots=knots) for moment in moments)

    return say


@pytest.fixture
def gpsd(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """`gpsd(sentences)` starts one that says these once, and returns its address."""
    if shutil.which("gpsfake", path=PATH) is None or shutil.which("gpsd", path=PATH) is None:
        pytest.skip("gpsd and gpsfake are not installed (apt install gpsd gpsd-clients)")
    started: list[subprocess.Popen[bytes]] = []

    def start(sentences: str) -> str:
        log, port = tmp_path / f"{len(started)}.nmea", free_port()
        log.write_bytes(sentences.encode())
        # It waits for the first client, then speaks several times as fast as a receiver does.
        command = ["gpsfake", "-1", "-q", "-c", "0.03", "-P", str(port), str(log)]
        environment = {**os.environ, "PATH": PATH, "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
        out = (tmp_path / f"{len(started)}.log").open("wb")
        with out:
            process = subprocess.Popen(
                command, stdout=out, stderr=out, cwd=tmp_path, env=environment, start_new_session=True
            )
        started.append(process)
        return f"127.0.0.1:{port}"

    yield start
    for process in started:
        # gpsfake's own gpsd is in its session and goes with it.
        subprocess.run(["kill", "--", f"-{process.pid}"], capture_output=True, check=False)
        process.wait(20)
