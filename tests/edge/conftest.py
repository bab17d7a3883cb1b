"""A network camera that can be switched off and on, and told to freeze, to see nothing or to be silent."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SERVER = Path(__file__).parent / "rtsp_server.py"
PYTHON = "/usr/bin/python3"


@dataclass
class NetworkCamera:
    """A real RTSP server in a process of its own."""

    address: str = ""
    coder: str = "x264"
    process: subprocess.Popen[str] | None = None

    def switch_on(self) -> None:
        port = self.address.rpartition(":")[2].partition("/")[0] or "0"
        command = [PYTHON, str(SERVER), port, self.coder]
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
