"""The hidden folder in which copies are made, beside where they go, until they get their names.

Decided here: whoever works in it holds a lock, which the kernel lets go with the process; so what a power cut or a
killed run left is told from what is being made, and the next run into the same place takes it away, with the names that
it had given by then. Of a copy by itself the MP4 gets its name last. Implements RD-16 and RD-49 of
docs/spec/redaction.md.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from vedette import files
from vedette.errors import NotFound, Refused

ENDING = ".redacting"
_LOCK, _MADE = "lock", "made"


@contextlib.contextmanager
def unfinished(out: Path) -> Iterator[Path]:
    """An empty folder in which to make `out`, on its disk and gone on leaving.

    Raises NotFound when the folder of `out` is not there, Refused when another run makes `out` or the disk does not
    take it.
    """
    if not out.parent.is_dir():
        raise NotFound(f"the folder {out.parent} is not there")
    folder = out.parent / f".{out.name}{ENDING}"
    try:
        for left in sorted(out.parent.glob(f".*{ENDING}")):
            _take_away(left)
        folder.mkdir(mode=0o750, exist_ok=True)
        with _locked(folder) as is_ours:
            if not is_ours:
                raise Refused(f"another run is making {out} now")
            try:
                (folder / _MADE).mkdir(mode=0o750)
                yield folder / _MADE
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise Refused(f"{out} was not made: {error.strerror or error}") from None


def name_folder(made: Path, out: Path) -> None:
    """Give the folder `made` the name `out`, durably; Refused when that is there."""
    if os.path.lexists(out):
        raise Refused(f"{out} exists already and is not overwritten")
    made.rename(out)
    files.fsync_dir(out.parent)


def name_files(made: Sequence[Path], folder: Path) -> None:
    """Give these files their names in `folder`, durably and in this order; all or none, Refused when one is there."""
    done: list[Path] = []
    try:
        for one in made:
            _name(one, folder / one.name)
            done.append(folder / one.name)
        files.fsync_dir(folder)
    except BaseException:
        for path in done:
            path.unlink(missing_ok=True)
        raise


def _name(made: Path, path: Path) -> None:
    """Without replacing anything; a disk without hard links gets it renamed."""
    with contextlib.suppress(OSError):
        os.link(made, path)
        return
    if os.path.lexists(path):
        raise Refused(f"{path} exists already and is not overwritten")
    made.rename(path)


def _take_away(folder: Path) -> None:
    """Remove what a run left that is no more, and the names that it gave where it did not come to the last, the MP4."""
    with _locked(folder) as is_ours:
        if not is_ours:
            return
        named = [(one, folder.parent / one.name) for one in (folder / _MADE).glob("*") if one.is_file()]
        given = [path for made, path in named if path.exists() and path.samefile(made)]
        if not any(path.suffix == ".mp4" for path in given):
            for path in given:
                path.unlink()
        shutil.rmtree(folder)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Hold the folder; false where somebody else does, or where it is no longer there."""
    path = folder / _LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o640)
    except (FileNotFoundError, NotADirectoryError):
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = path.exists() and os.path.samestat(os.fstat(descriptor), path.stat())
        except BlockingIOError:
            is_ours = False
        yield is_ours
    finally:
        os.close(descriptor)
