"""What OpenCV's decoders say about a damaged picture: they write it to standard error and give the picture
all the same.

Decided here: which of their lines tell of damage; every other line goes where it would have gone. Standard error is the
whole process's, so this is for the command line tools, which read one picture after another, and for no service.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

STANDARD_ERROR = 2
MAX_SAID_BYTES = 32 * 1024
# libjpeg's and libpng's own words; libpng's warnings are about colour profiles and the like.
DAMAGE = (b"Corrupt JPEG data", b"Premature end of JPEG", b"Inconsistent progression", b"libpng error")

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
            result = decode()
        finally:
            os.dup2(kept, STANDARD_ERROR)
            os.close(writes)
        said = os.read(reads, MAX_SAID_BYTES).splitlines()
    finally:
        os.close(kept)
        os.close(reads)
    damage = [line for line in said if line.startswith(DAMAGE)]
    others = [line for line in said if line not in damage]
    if others:
        os.write(STANDARD_ERROR, b"".join(line + b"\n" for line in others))
    return result, damage[0].decode("ascii", "replace") if damage else ""
