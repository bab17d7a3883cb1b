"""From a read to a hit: match, repeat, alert, mark, seal, in this order, and trouble with one stops none of the others.

Decided here (docs/spec/hit.md, HT-25 to HT-29): the officer is told first, the recording is marked next, the disk comes
last and may be late. A read that matches nothing leaves this module as nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge.board.alerts import hit_pattern
from edge.board.port import Board
from edge.reader.hits import HitSpool, Match, Moment, make_hit, pictures
from edge.reader.index import Index
from edge.reader.match import match
from edge.reader.reads import Read
from edge.reader.repeats import Repeats
from vedette import commands
from vedette.clock import Clock, uuid7
from vedette.errors import VedetteError

RETRY_US = 2_000_000


@dataclass(kw_only=True, slots=True)
class Raised:
    """How many hits were raised, were repeats of one, or were lost because the disk took none for too long."""

    hits: int = 0
    repeats: int = 0
    hits_lost: int = 0
    errors: int = 0


class Raising:
    """Raises hits; `device` is the device's id, `models` the hashes of what read the plates."""

    def __init__(
        self, *, device: str, run_dir: Path, clock: Clock, board: Board, hits: HitSpool, repeats: Repeats,
        models: Mapping[str, str],
    ) -> None:  # fmt: skip
        self.counters = Raised()
        self._device = device
        self._run_dir = run_dir
        self._clock = clock
        self._board = board
        self._hits = hits
        self._repeats = repeats
        self._models = models
        self._retry_us = 0

    def consider(self, read: Read, index: Index, now_us: int) -> None:
        """Raise a hit when the read equals an entry that is valid now and is no repeat."""
        consensus = read.consensus
        try:
            entry = match(consensus.text, consensus.region, index, utc_us=self._clock.utc_us())
        except VedetteError:
            self.counters.errors += 1
            return
        if entry is None:
            return
        if self._repeats.seen(entry.plate, now_us):
            self.counters.repeats += 1
            return
        self._raise(Match(consensus=consensus, entry=entry, watchlist=index.watchlist, track=read.track), now_us)

    def flush(self, now_us: int) -> None:
        """Commit what waits for the disk, when it is time to try again."""
        if self._hits.waiting and now_us >= self._retry_us:
            self._retry_us = now_us + RETRY_US
            self._hits.flush()

    def _raise(self, found: Match, now_us: int) -> None:
        hit_id = uuid7(self._clock)
        self.counters.hits += 1
        with self._counting_errors():
            self._repeats.note(found.entry.plate, hit_id, now_us)
        same_region = found.consensus.region in ("", found.entry.region)
        self._board.signal(hit_pattern(found.entry.priority, same_region=same_region))
        seen = {"from_us": found.consensus.first_seen_us, "from_mono_us": found.consensus.first_seen_mono_us}
        mark = {"command": "mark", "activation": "hit", "id": hit_id, **seen}
        with self._counting_errors():
            commands.post(self._run_dir, "recorder", mark, clock=self._clock)
        self._queue(found, hit_id, now_us)

    def _queue(self, found: Match, hit_id: str, now_us: int) -> None:
        moment = Moment(
            raised_us=self._clock.utc_us(),
            quality=self._clock.quality(),
            position=self._board.position(),
            models=self._models,
        )
        hit = make_hit(found, moment, hit_id=hit_id, device=self._device)
        best = found.consensus.best.detection
        dropped = self._hits.add(hit, pictures(found.consensus.frame, best.box_px))
        self._retry_us = now_us
        if dropped is not None:
            self.counters.hits_lost += 1
            with self._counting_errors():
                self._repeats.forget(dropped, now_us)

    @contextlib.contextmanager
    def _counting_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, VedetteError):
            self.counters.errors += 1
