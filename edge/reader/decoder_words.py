"""What OpenCV's decoders say about a damaged picture: they write it to standard error and give the picture
all the same.

Decided here: which of their lines tell of damage; every other line goes where it would have gone. libtiff's come
through OpenCV's log, which is opened for them meanwhile. Standard error and that log are the whole process's, so this
is for the command line tools, which read one picture after another, and for no service.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import cv2.utils.logging

STANDARD_ERROR = 2
MAX_SAID_BYTES = 32 * 1024
# libjpeg's and libpng's own words; libpng's warnings are about colour profiles and the like.
# libtiff's warnings about fields are harmless, those of its decoders are not.
DAMAGE = re.compile(
    rb"((?:Corrupt JPEG data|Premature end of JPEG|Inconsistent progression|libpng error).*)"
    rb"|\[.*TIFF_Error (.+)|\[.*TIFF_Warning ((?:JPEGLib|\w+Decode\w*): .+)"
)
_LOGGED = re.compile(rb"\[ ?(WARN|ERROR):")
_LEVELS = {b"WARN": cv2.utils.logging.LOG_LEVEL_WARNING, b"ERROR": cv2.utils.logging.LOG_LEVEL_ERROR}

Result = TypeVar("Result")


def heard(decode: Callable[[], Result]) -> tuple[Result, str]:
    """What `decode` gives, and the first line in which a decoder told of damage meanwhile; empty where none did."""
    try:
        kept = os.dup(STANDARD_ERROR)
    except OSError:  # a process without standard error
        return decode(), ""
    reads, writes = os.pipe()
    # A decoder that says more than the pipe holds loses the rest of its words and does not wait.
    os.set_blocking(writes, False)
    try:
        os.dup2(writes, STANDARD_ERROR)
        try:
            with _log_opened() as level:
                result = decode()
        finally:
            os.dup2(kept, STANDARD_ERROR)
            os.close(writes)
        said = os.read(reads, MAX_SAID_BYTES).splitlines()
    finally:
        os.close(kept)
        os.close(reads)
    told = [DAMAGE.match(line) for line in said]
    others = [line for line, found in zip(said, told, strict=True) if found is None and _goes_on(line, level)]
    if others:
        os.write(STANDARD_ERROR, b"".join(line + b"\n" for line in others))
    damage = [next(filter(None, found.groups())) for found in told if found is not None]
    return result, damage[0].decode("ascii", "replace") if damage else ""


@contextmanager
def _log_opened() -> Iterator[int]:
    """OpenCV's log with warnings; gives the level that it had before and has afterwards."""
    level = int(cv2.utils.logging.getLogLevel())
    cv2.utils.logging.setLogLevel(max(level, cv2.utils.logging.LOG_LEVEL_WARNING))
    try:
        yield level
    finally:
        cv2.utils.logging.setLogLevel(level)


def _goes_on(line: bytes, level: int) -> bool:
    """Whether a line would have been written without the log opened for it."""
    logged = _LOGGED.match(line)
    return bool(line) and (logged is None or _LEVELS[logged[1]] <= level)
