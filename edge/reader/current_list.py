"""The list the reader goes by: verified again whenever its file changes, indexed in slices, given up when it expires.

Decided here (docs/spec/watchlist.md, WL-50 to WL-52): a list that is refused leaves the one before it in use; a refused
one is tried again every half minute, since a clock may have been put right; custody says what was accepted or refused.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge.reader.index import Index, IndexBuilder
from vedette import watchlist
from vedette.clock import Clock
from vedette.errors import Expired, NotFound, Refused, VedetteError
from vedette.keys import PublicKey
from vedette.sealed import Identity
from vedette.waiting_journal import WaitingJournal

CHECK_US = 2_000_000
RETRY_US = 30_000_000
MAX_UNSAID = 16

FileState = tuple[int, int, int]


class CurrentList:
    """The verified list of the device and its index; `state` is `none`, `ok`, `expired` or `refused`."""

    def __init__(
        self,
        device_folder: Path,
        *,
        identities: Sequence[Identity],
        keys: Mapping[str, PublicKey],
        journal: WaitingJournal,
        clock: Clock,
    ) -> None:
        self._folder = device_folder
        self._identities = identities
        self._keys = keys
        self._journal = journal
        self._clock = clock
        self._index: Index | None = None
        self._builder: IndexBuilder | None = None
        self._loaded: FileState | None = None
        self._check_us = 0
        self._say_us = 0
        self._refusal: Exception | None = None
        self._unsaid: deque[tuple[str, dict[str, int | str]]] = deque(maxlen=MAX_UNSAID)

    @property
    def index(self) -> Index | None:
        """The index of a list that is valid now, else None: then nothing matches."""
        return self._index if self.state == "ok" else None

    @property
    def version(self) -> int:
        """The version of the list in use, 0 when there is none."""
        return self._index.watchlist.version if self._index else 0

    @property
    def age_s(self) -> int | None:
        """Seconds since the list in use was issued."""
        return self._index.watchlist.age_us(self._clock.utc_us()) // 1_000_000 if self._index else None

    @property
    def state(self) -> str:
        """Whether alerts are possible: only in the state `ok`."""
        if self._index is not None:
            return "expired" if self._index.watchlist.expired(self._clock.utc_us()) else "ok"
        if self._refusal is None:
            return "none"
        return "expired" if isinstance(self._refusal, Expired) else "refused"

    @property
    def refusal(self) -> str | None:
        """Why the newest file was refused, where it was."""
        return None if self._refusal is None else str(self._refusal)

    @property
    def building(self) -> bool:
        """Whether a new list is being indexed, so that the next step should come soon."""
        return self._builder is not None

    def step(self, now_us: int) -> None:
        """Look whether the file changed, or index one more slice of a list that is being taken over."""
        try:
            if self._builder is not None:
                self._build(self._builder)
            elif now_us >= self._check_us:
                self._check_us = now_us + CHECK_US
                self._check(now_us)
        except VedetteError as error:
            self._refuse(error, now_us)
        self._say(now_us)

    def _check(self, now_us: int) -> None:
        state = _file_state(watchlist.current_path(self._folder))
        if state is None or state == self._loaded:
            return
        opened = watchlist.load(self._folder, self._identities, self._keys, now_us=self._clock.utc_us())
        self._loaded = state
        self._builder = IndexBuilder(opened)

    def _build(self, builder: IndexBuilder) -> None:
        index = builder.step()
        if index is None:
            return
        self._index, self._builder, self._refusal = index, None, None
        found = index.watchlist
        self._unsaid.append(
            ("watchlist.accepted", {"version": found.version, "entries": found.count, "expires_us": found.expires_us})
        )

    def _refuse(self, error: VedetteError, now_us: int) -> None:
        if isinstance(error, NotFound):
            return
        self._builder, self._loaded = None, None
        self._check_us = now_us + RETRY_US
        known, self._refusal = self._refusal, error
        if str(known) != str(error):
            self._unsaid.append(("watchlist.refused", {"why": str(error)[:200]}))

    def _say(self, now_us: int) -> None:
        """Tell custody what it has not been told, as far as the disk takes it; where it does not, again in 2 s."""
        if now_us < self._say_us:
            return
        try:
            while self._unsaid:
                event, detail = self._unsaid[0]
                self._journal.append(event, detail=detail)
                self._unsaid.popleft()
        except (OSError, Refused):
            self._say_us = now_us + CHECK_US


def _file_state(path: Path) -> FileState | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return (stat.st_ino, stat.st_mtime_ns, stat.st_size)
