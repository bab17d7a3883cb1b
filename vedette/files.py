"""How a file reaches the disk so that a power cut leaves either the old state or the new one, never half of it.

Write beside, fsync, rename, fsync the folder. `write_new` never replaces: evidence is never overwritten.
"""

from __future__ import annotations

import os
from pathlib import Path

from vedette.errors import NotFound, Refused


def fsync_dir(folder: Path) -> None:
    """Make the folder's entries (renames, new names, removals) durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_new(path: Path, data: bytes, *, mode: int = 0o640) -> None:
    """Create `path` with `data`, durable on return; `Refused` when it is there already."""
    beside = _write_beside(path, data, mode)
    try:
        os.link(beside, path)
    except FileExistsError:
        raise Refused(f"{path} exists already and is not overwritten") from None
    finally:
        beside.unlink()
    fsync_dir(path.parent)


def replace(path: Path, data: bytes, *, mode: int = 0o640) -> None:
    """Write `path`, in place of any older one, durable on return; readers see the old bytes or the new ones."""
    beside = _write_beside(path, data, mode)
    os.replace(beside, path)
    fsync_dir(path.parent)


def remove(path: Path) -> None:
    """Delete `path` durably; a file that is gone already is fine."""
    path.unlink(missing_ok=True)
    fsync_dir(path.parent)


def read(path: Path, *, max_bytes: int) -> bytes:
    """The whole file, `max_bytes` at most; `NotFound` when it is not there, `Refused` when it is too large."""
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"{path} is not there") from None
    except (PermissionError, IsADirectoryError) as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > max_bytes:
        raise Refused(f"{path} is larger than {max_bytes} bytes")
    return data


def _write_beside(path: Path, data: bytes, mode: int) -> Path:
    beside = path.parent / f".{path.name}.{os.getpid()}.tmp"
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    except FileNotFoundError:
        raise NotFound(f"the folder {path.parent} is not there") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException as error:
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a write that fails does not say of which file
        raise
    return beside
