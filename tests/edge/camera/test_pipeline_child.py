"""The process that runs a GStreamer pipeline from a zero that is given to it."""

import ctypes.util
import signal
import subprocess

import pytest

from edge.camera import pipeline_child
from edge.camera.gdp import GdpReader
from edge.camera.pipeline_child import command
from vedette.clock import SystemClock

pytestmark = pytest.mark.skipif(ctypes.util.find_library("gstreamer-1.0") is None, reason="GStreamer is not installed")

LIVE = (
    "fakesrc is-live=true do-timestamp=true format=time num-buffers=3 sizetype=2 ! application/x-test ! gdppay ! fdsink"
)


def run(zero_us: int, pipeline: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command(zero_us, pipeline.split()), capture_output=True, check=False)


@pytest.mark.parametrize("before_us", [0, 3_600_000_000])
def test_times_count_from_the_zero_that_is_given(before_us: int):
    """SG-18: whatever time the start takes."""
    began_us = SystemClock().mono_us()
    zero_us = began_us - before_us
    done = run(zero_us, LIVE)
    ended_us = SystemClock().mono_us()
    times_us = [zero_us + (one.pts_us or 0) for one in GdpReader().feed(done.stdout)]
    assert len(times_us) == 3
    assert began_us <= times_us[0] <= times_us[1] <= times_us[2] <= ended_us
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("pipeline", "words"),
    [
        ("nosuchthing ! fakesink", 'ERROR: no element "nosuchthing"\n'),
        ("filesrc location=/nowhere ! fakesink", 'ERROR: Resource not found. No such file "/nowhere"\n'),
        ("fakesrc ! nosuchthing", 'ERROR: no element "nosuchthing"\n'),
    ],
)
def test_pipeline_that_fails_says_why_in_a_line(pipeline: str, words: str):
    done = run(0, pipeline)
    assert (done.returncode, done.stderr.decode()) == (1, words)


def test_missing_gstreamer_is_said(monkeypatch):
    monkeypatch.setattr(pipeline_child, "LIBRARY", "libnowhere.so")
    done = run(0, "fakesrc ! fakesink")
    assert (done.returncode, done.stderr) == (1, b"ERROR: GStreamer (libnowhere.so) is not installed\n")


@pytest.mark.parametrize("before", [signal.SIG_DFL, signal.SIG_IGN])
def test_pipeline_is_stopped_in_order_when_asked(before: signal.Handlers):
    """Also where the signal was ignored by whoever started it, as all in the background of a shell script do."""
    pipeline = LIVE.replace("num-buffers=3", "")
    kept = signal.signal(signal.SIGINT, before)
    try:
        process = subprocess.Popen(command(0, pipeline.split()), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    finally:
        signal.signal(signal.SIGINT, kept)
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.read(8)
            process.send_signal(signal.SIGINT)
            _, words = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, words) == (0, b"")
