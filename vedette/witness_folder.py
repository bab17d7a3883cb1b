"""A witness on a disk: its key, the logs that it watches, and the last checkpoint of each that it cosigned.

Decided here: the new checkpoint is durable before its cosignature exists, one request at a time even between
processes (a lock), and a log whose state is damaged is refused, never begun anew. A checkpoint that was refused and
yet bears the log's signature is kept beside the last good one, because the two may prove that the log lies.
Implements TL-28 to TL-30 of docs/spec/log.md.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vedette import files, note, witness
from vedette.cosignature import WitnessKey, cosign
from vedette.errors import Integrity, NotFound, Refused, Usage
from vedette.keys import SigningKey
from vedette.note import Checkpoint, NoteKey
from vedette.witness import Rejected, Request

KEY = "witness.pem"
NAME = "name"
MAX_STATE_BYTES = note.MAX_NOTE_BYTES + 4096
MAX_LOGS = 1024
MAX_KEPT = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """A log that is watched: its key, and the note of the last checkpoint that was cosigned ("" before the first)."""

    key: NoteKey
    signed: str

    @property
    def seen(self) -> Checkpoint | None:
        """The last cosigned checkpoint; it was verified when it was kept, and is again."""
        return note.open_checkpoint(self.signed, self.key.name, self.key.public) if self.signed else None


class WitnessFolder:
    """The witness in `folder`, made by `create`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = SigningKey.load(folder / KEY)
        self.name = files.read(folder / NAME, max_bytes=1024).decode("utf-8", "replace").strip()

    @classmethod
    def create(cls, folder: Path, name: str) -> WitnessFolder:
        """Make a new witness called `name`; `Refused` where one is already."""
        if not note.is_name(name):
            raise Usage(f"{name[:60]!r} cannot be a witness's name: no space and no +, like witness.example/w1")
        folder.mkdir(parents=True, exist_ok=True)
        SigningKey.generate().save(folder / KEY)
        files.write_new(folder / NAME, f"{name}\n".encode())
        for inner in ("logs", "refused"):
            (folder / inner).mkdir(exist_ok=True)
        files.fsync_dir(folder)
        return cls(folder)

    @property
    def key(self) -> WitnessKey:
        """The witness's name and public key."""
        return WitnessKey(name=self.name, public=self._key.public)

    def watch(self, log: NoteKey) -> None:
        """Watch a log from now on; `Refused` when it is watched already, under whichever key."""
        with self._locked():
            if len(self.logs()) >= MAX_LOGS:
                raise Refused(f"a witness watches {MAX_LOGS} logs at most")
            files.write_new(self._path(log.name), f"{log.text}\n".encode())

    def logs(self) -> list[Watched]:
        """Every log that is watched, by name."""
        found = [self._parse(path) for path in (self.folder / "logs").glob("*.log")]
        return sorted(found, key=lambda one: one.key.name)

    def log(self, origin: str) -> Watched:
        """One log; `NotFound` when it is not watched, `Integrity` where its state was damaged."""
        watched = self._parse(self._path(origin))
        if watched.key.name != origin:
            raise Integrity(f"{self._path(origin)} is of another log")
        return watched

    def add(self, body: str, time_s: int) -> str:
        """The cosignature line for the checkpoint in an `add-checkpoint` request, made at `time_s`.

        Raises Rejected where it must not be cosigned. The checkpoint is durable before it is signed.
        """
        try:
            request = Request.from_text(body)
        except Integrity as error:
            raise Rejected(witness.BAD_REQUEST, str(error)) from None
        with self._locked():
            try:
                watched = self.log(request.origin)
            except NotFound:
                raise Rejected(witness.UNKNOWN, f"log {request.origin[:80]!r} is not watched here") from None
            try:
                witness.judge(request, watched.key, watched.seen)
            except Rejected as error:
                self._keep(watched, request, error)
                raise
            self._persist(watched.key, request)
            return cosign(request.text, self.name, self._key, time_s)

    def refused(self) -> list[Path]:
        """The files of refused checkpoints that bear the log's signature, each with what was cosigned before."""
        return sorted((self.folder / "refused").glob("*.txt"))

    def _persist(self, key: NoteKey, request: Request) -> None:
        files.replace(self._path(key.name), f"{key.text}\n{request.signed}".encode())

    def _keep(self, watched: Watched, request: Request, error: Rejected) -> None:
        """Keep what may prove that the log lies: its signature holds and yet it does not fit."""
        name = hashlib.sha256(request.signed.encode()).hexdigest()[:32]
        path = self.folder / "refused" / f"{name}.txt"
        if error.is_suspect and not path.exists() and len(self.refused()) < MAX_KEPT:
            text = f"{error}\n\ncosigned before:\n\n{watched.signed}\nrefused:\n\n{request.to_text()}"
            files.write_new(path, text.encode())

    def _parse(self, path: Path) -> Watched:
        text = files.read(path, max_bytes=MAX_STATE_BYTES).decode("utf-8", "replace")
        key, newline, signed = text.partition("\n")
        if not newline:
            raise Integrity(f"{path} was damaged; do not begin it anew: restore it from a copy")
        watched = Watched(key=NoteKey.from_text(key), signed=signed)
        _ = watched.seen
        return watched

    def _path(self, origin: str) -> Path:
        return self.folder / "logs" / f"{hashlib.sha256(origin.encode()).hexdigest()[:32]}.log"

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
