"""The process that runs one GStreamer pipeline on times of which the zero is known to whoever started it.

    python -I -S pipeline_child.py LIBRARY ZERO_NS PIPELINE …

Decided here: the pipeline runs on the monotonic clock and counts from ZERO_NS (nanoseconds of it). `gst-launch-1.0`
begins to count when it is ready and tells nobody when that was; guessed from when its buffers come, all of a
microphone's sound would be as late as they were. It ends when the pipeline does, with GStreamer's words on its standard
error, or by any signal. By ctypes, as the bindings for Python are in no virtual environment.
"""

from __future__ import annotations

import ctypes
import signal
import sys
from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_uint32, c_uint64, c_void_p

_PLAYING, _ENDS = 4, 1 << 0 | 1 << 1  # GST_STATE_PLAYING; GST_MESSAGE_EOS and GST_MESSAGE_ERROR
_NONE = (1 << 64) - 1


class _Error(Structure):
    _fields_ = (("domain", c_uint32), ("code", c_int), ("message", c_char_p))


def main(library: str, zero_ns: str, *words: str) -> int:
    """Run the pipeline until it ends; the process's exit code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        gst = ctypes.CDLL(library)
    except OSError:
        return _fail(f"GStreamer ({library}) is not installed")
    for name in ("gst_parse_launch", "gst_system_clock_obtain", "gst_element_get_bus", "gst_bus_timed_pop_filtered"):
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
    gst.gst_element_set_state(pipeline, c_int(_PLAYING))
    bus = c_void_p(gst.gst_element_get_bus(pipeline))
    last = c_void_p(gst.gst_bus_timed_pop_filtered(bus, c_uint64(_NONE), c_int(_ENDS)))
    gst.gst_message_get_structure.restype = c_void_p
    if not gst.gst_message_get_structure(last):
        return 0
    debug = c_char_p()
    gst.gst_message_parse_error(last, byref(error), byref(debug))
    closer = (debug.value or b"").decode("utf-8", "replace").rstrip().rpartition("\n")[2]
    return _fail(f"{_message(error)} {closer}")


def _message(error: ctypes._Pointer[_Error]) -> str:
    text: bytes = error.contents.message or b"" if error else b"the pipeline cannot be made"
    return text.decode("utf-8", "replace")


def _fail(why: str) -> int:
    sys.stderr.write(f"ERROR: {why}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
