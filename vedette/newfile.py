"""A new file of any size that appears whole or not at all: written beside, fsynced, then given its name; never over
another.

For what people make (an opened MP4, a bundle), also on disks without hard links such as a USB stick;
`vedette.files` is for small files of the device.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from vedette import files
from vedette.errors import NotFound, Refused


@contextlib.contextmanager
def new_file(path: Path, *, mode: int = 0o640) -> Iterator[BinaryIO]:
    """A binary file to write; on leaving it is at `path`, durable. Left by an exception, nothing of it remains.

    Raises Refused when `path` exists or the disk is full, NotFound when its folder is not there.
    """
    if os.path.lexists(path):
        raise Refused(f"{path} exists already and is not overwritten")
    beside = path.parent / f".{path.name}.{os.getpid()}.tmp"
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileNotFoundError:
        raise NotFound(f"the folder {path.parent} is not there") from None
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _give_name(beside, path)
        files.fsync_dir(path.parent)
    except OSError as error:
        raise Refused(f"{path} was not written: {error.strerror}") from None
    finally:
        beside.unlink(missing_ok=True)


def _give_name(beside: Path, path: Path) -> None:
    """Name the file without replacing one; where there are no hard links, hold the name with an empty file first."""
    try:
        os.link(beside, path)
    except FileExistsError:
        raise Refused(f"{path} exists already and is not overwritten") from None
    except OSError:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        os.replace(beside, path)
