"""The process that runs one GStreamer pipeline on times of which the zero is known to whoever started it.

    python -I -S pipeline_child.py LIBRARY ZERO_NS PIPELINE …

Decided here: the pipeline runs on the monotonic clock and counts from ZERO_NS (nanoseconds of it). `gst-launch-1.0`
begins to count when it is ready and tells nobody when that was; guessed from when its buffers come, all of a
microphone's sound would be as late as they were. It ends when the pipeline does, with GStreamer's words on its standard
error, or by SIGINT, upon which it lets go of the device in order. By ctypes, as the bindings for Python are in no
virtual environment.
"""

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_uint32, c_uint64, c_void_p

LIBRARY = "libgstreamer-1.0.so.0"
_STOPPED, _PLAYING, _ENDS = 1, 4, 1 << 0 | 1 << 1  # GST_STATE_NULL and _PLAYING; GST_MESSAGE_EOS and _ERROR
_NONE = (1 << 64) - 1
# A signal is only heard between two looks.
_LOOK_NS = 100_000_000


def command(zero_us: int, words: Sequence[str]) -> list[str]:
    """The command that runs the pipeline of these words; `zero_us` is of the monotonic clock, in microseconds."""
    return [sys.executable, "-I", "-S", __file__, LIBRARY, str(zero_us * 1000), *words]


class _Error(Structure):
    _fields_ = (("domain", c_uint32), ("code", c_int), ("message", c_char_p))


def main(library: str, zero_ns: str, *words: str) -> int:
    """Run the pipeline until it ends; the process's exit code."""
    try:
        gst = ctypes.CDLL(library)
    except OSError:
        return _fail(f"GStreamer ({library}) is not installed")
    for name in (
        "gst_parse_launch", "gst_system_clock_obtain", "gst_element_get_bus",
        "gst_bus_timed_pop_filtered", "gst_message_get_structure",
    ):  # fmt: skip
        getattr(gst, name).restype = c_void_p
    gst.gst_init(None, None)
    error = POINTER(_Error)()
    made = gst.gst_parse_launch(" ".join(words).encode(), byref(error))
    if error or not made:
        return _fail(_message(error))
    pipeline = c_void_p(made)
    gst.gst_pipeline_use_clock(pipeline, c_void_p(gst.gst_system_clock_obtain()))
    # Without a start time of its own it keeps the zero that it is given.
    gst.gst_element_set_start_time(pipeline, c_uint64(_NONE))
    gst.gst_element_set_base_time(pipeline, c_uint64(int(zero_ns)))
    try:
        return _run(gst, pipeline)
    finally:
        gst.gst_element_set_state(pipeline, c_int(_STOPPED))


def _run(gst: ctypes.CDLL, pipeline: c_void_p) -> int:
    gst.gst_element_set_state(pipeline, c_int(_PLAYING))
    bus = c_void_p(gst.gst_element_get_bus(pipeline))
    while not (last := c_void_p(gst.gst_bus_timed_pop_filtered(bus, c_uint64(_LOOK_NS), c_int(_ENDS)))):
        pass
    if not gst.gst_message_get_structure(last):
        return 0
    error, debug = POINTER(_Error)(), c_char_p()
    gst.gst_message_parse_error(last, byref(error), byref(debug))
    # Its first line says where in the program that was said.
    closer = (debug.value or b"").decode("utf-8", "replace").partition("\n")[2]
    return _fail(" ".join(f"{_message(error)} {closer}".split()))


def _message(error: ctypes._Pointer[_Error]) -> str:
    text: bytes = error.contents.message or b"" if error else b"the pipeline cannot be made"
    return text.decode("utf-8", "replace")


def _fail(why: str) -> int:
    sys.stderr.write(f"ERROR: {why}\n")
    return 1


if __name__ == "__main__":
    # Whoever was started in the background of a shell script ignores it, and so would this process.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        sys.exit(main(*sys.argv[1:]))
