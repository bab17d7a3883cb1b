"""From the looks at each picture to reads: tracks and their ballots together, and how many of what there was.

Decided here: a read is a consensus that a picture just confirmed; a track that ends without one was rejected and is
only counted (law 5). Everything is in memory, bounded by the number of tracks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.camera.port import SmallFrame
from edge.reader.look import Look
from edge.reader.track import Tracker
from edge.reader.vote import Ballot, Consensus, Rules


@dataclass(kw_only=True, slots=True)
class Counters:
    """What the reader has done since it started; numbers are all that is kept of plates that match nothing."""

    frames: int = 0
    looks: int = 0
    unread: int = 0
    unsure: int = 0
    plates_read: int = 0
    rejected_no_consensus: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """The consensus of track `track` after a picture in which that plate was seen."""

    track: int
    consensus: Consensus


class Reads:
    """All tracks of one camera."""

    def __init__(self, rules: Rules) -> None:
        self.counters = Counters()
        self._rules = rules
        self._tracker = Tracker()
        self._ballots: dict[int, Ballot] = {}
        self._read: dict[int, str] = {}

    def take(self, frame: SmallFrame, looks: Sequence[Look]) -> list[Read]:
        """Count the looks at one picture; the reads it confirmed."""
        self.counters.frames += 1
        self.counters.looks += len(looks)
        step = self._tracker.update([look.detection.box_px for look in looks], frame.mono_us)
        found = []
        for look, track in zip(looks, step.tracks, strict=True):
            read = self._vote(track, look, frame)
            if read is not None:
                found.append(Read(track=track, consensus=read))
        self._end(step.ended)
        return found

    def end_all(self) -> None:
        """End every track, as when the pictures stop coming."""
        self._end(self._tracker.end_all())

    def _vote(self, track: int, look: Look, frame: SmallFrame) -> Consensus | None:
        ballot = self._ballots.setdefault(track, Ballot(self._rules))
        if not ballot.add(look, frame):
            self.counters.unread += look.plate is None
            self.counters.unsure += look.plate is not None
            return None
        read = ballot.consensus()
        if read is not None and self._read.get(track) != read.text:
            self._read[track] = read.text
            self.counters.plates_read += 1
        return read

    def _end(self, tracks: Sequence[int]) -> None:
        for track in tracks:
            ballot = self._ballots.pop(track, None)
            was_read = self._read.pop(track, None) is not None
            if ballot is not None and ballot.voted and not was_read:
                self.counters.rejected_no_consensus += 1
