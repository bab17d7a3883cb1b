"""The process that runs one GStreamer pipeline on times of which the zero is known to whoever started it.

    python -I -S pipeline_child.py LIBRARY ZERO_NS PIPELINE …

Decided here: the pipeline runs on the monotonic clock and counts from ZERO_NS (nanoseconds of it). `gst-launch-1.0`
begins to count when it is ready and tells nobody when that was; guessed from when its buffers come, all of a
microphone's sound would be as late as they were. It ends when the pipeline does, with GStreamer's words on its standard
error, or by SIGINT, upon which it lets go of the device in order. By ctypes, as the bindings for Python are in no
virtual environment. An element that is called `stamp` draws what its standard input says (`drawnstamp`), with the time
of each picture.
"""

from __future__ import annotations

import ctypes
import importlib
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from ctypes import CFUNCTYPE, POINTER, Structure, byref, c_char_p, c_int, c_size_t, c_uint, c_uint32, c_uint64, c_void_p
from typing import Any

LIBRARY = "libgstreamer-1.0.so.0"
_STOPPED, _PLAYING, _ENDS = 1, 4, 1 << 0 | 1 << 1  # GST_STATE_NULL and _PLAYING; GST_MESSAGE_EOS and _ERROR
_NONE = (1 << 64) - 1
STAMP = b"stamp"
_BUFFERS, _GO_ON = 1 << 4, 1  # GST_PAD_PROBE_TYPE_BUFFER; GST_PAD_PROBE_OK
_PROBE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p)
# A signal is only heard between two looks.
_LOOK_NS = 100_000_000


def command(zero_us: int, words: Sequence[str]) -> list[str]:
    """The command that runs the pipeline of these words; `zero_us` is of the monotonic clock, in microseconds."""
    return [sys.executable, "-I", "-S", __file__, LIBRARY, str(zero_us * 1000), *words]


class _Error(Structure):
    _fields_ = (("domain", c_uint32), ("code", c_int), ("message", c_char_p))


class _Buffer(Structure):
    """The beginning of GstBuffer in GStreamer 1: a GstMiniObject, the pool, the time."""

    _fields_ = (
        ("type", c_size_t), ("references", c_int), ("lock", c_int), ("flags", c_uint), ("copy", c_void_p),
        ("dispose", c_void_p), ("free", c_void_p), ("private", c_uint), ("more", c_void_p), ("pool", c_void_p),
        ("pts", c_uint64),
    )  # fmt: skip


def main(library: str, zero_ns: str, *words: str) -> int:
    """Run the pipeline until it ends; the process's exit code."""
    try:
        gst = ctypes.CDLL(library)
    except OSError:
        return _fail(f"GStreamer ({library}) is not installed")
    for name in (
        "gst_parse_launch", "gst_system_clock_obtain", "gst_element_get_bus",
        "gst_bus_timed_pop_filtered", "gst_message_get_structure", "gst_bin_get_by_name",
        "gst_element_get_static_pad", "gst_pad_probe_info_get_buffer",
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
    element = c_void_p(gst.gst_bin_get_by_name(pipeline, STAMP))
    stamp = _Stamp(gst, element, int(zero_ns)) if element else None
    try:
        return _run(gst, pipeline, stamp)
    finally:
        gst.gst_element_set_state(pipeline, c_int(_STOPPED))


class _Stamp:
    """Has an element draw what standard input says into each picture; its thread is GStreamer's own."""

    def __init__(self, gst: ctypes.CDLL, element: c_void_p, zero_ns: int) -> None:
        # Run by itself, this file finds nothing of ours; behind Python's own modules nothing hides one of them.
        sys.path.append(__file__.rpartition("/")[0])
        self._words = importlib.import_module("drawnstamp")
        self._gst, self._element, self._zero_us = gst, element, zero_ns // 1000
        self._told = self._words.ToldPipe(sys.stdin.fileno())
        first = self._told.first()
        self._text, self._columns = first["text"], first["columns"]
        self._facts: Any = None
        self._drawn = ""
        self.hear()
        # Kept here: what C calls must not be forgotten by Python.
        self._probe = _PROBE(self._look)
        pad = c_void_p(gst.gst_element_get_static_pad(element, b"video_sink"))
        gst.gst_pad_add_probe(pad, c_int(_BUFFERS), self._probe, None, None)

    def hear(self) -> None:
        """Take what was said."""
        self._facts = self._told.newest() or self._facts

    def _look(self, _pad: int | None, info: int | None, _user: int | None) -> int:
        """Called with each picture before it is drawn into; without the words the picture goes on all the same."""
        with suppress(Exception):
            self._say(info)
        return _GO_ON

    def _say(self, info: int | None) -> None:
        facts = self._facts
        pts_ns = ctypes.cast(self._gst.gst_pad_probe_info_get_buffer(c_void_p(info)), POINTER(_Buffer)).contents.pts
        if facts is not None and pts_ns != _NONE:
            utc_us = self._zero_us + pts_ns // 1000 + facts.ahead_us
            lines = self._words.drawn_lines(facts, self._text, utc_us=utc_us, fits=lambda it: len(it) <= self._columns)
            text = "\n".join(lines)
            if text != self._drawn:
                self._drawn = text
                self._gst.gst_util_set_object_arg(self._element, b"text", text.encode())


def _run(gst: ctypes.CDLL, pipeline: c_void_p, stamp: _Stamp | None) -> int:
    gst.gst_element_set_state(pipeline, c_int(_PLAYING))
    bus = c_void_p(gst.gst_element_get_bus(pipeline))
    while not (last := c_void_p(gst.gst_bus_timed_pop_filtered(bus, c_uint64(_LOOK_NS), c_int(_ENDS)))):
        if stamp is not None:
            stamp.hear()
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
