"""From the plates in each picture to reads: tracks, the looks worth taking and their ballots, and how many of what.

Decided here: a read is a consensus that a look just confirmed; a track that ends without one was rejected and is only
counted (law 5). Everything is in memory, bounded by the number of tracks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge.camera.port import SmallFrame
from edge.reader.attention import Attention, Outcome
from edge.reader.detect import Detection
from edge.reader.look import Look
from edge.reader.ocr import PlateText
from edge.reader.track import Tracker
from edge.reader.vote import Ballot, Consensus, Rules


@dataclass(kw_only=True, slots=True)
class Counters:
    """What the reader has done since it started; numbers are all that is kept of plates that match nothing."""

    frames: int = 0
    detections: int = 0
    looks: int = 0
    unread: int = 0
    unsure: int = 0
    plates_read: int = 0
    rejected_no_consensus: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """The consensus of track `track` after a look that voted."""

    track: int
    consensus: Consensus


class Reads:
    """All tracks of one camera."""

    def __init__(self, rules: Rules) -> None:
        self.counters = Counters()
        self._rules = rules
        self._tracker = Tracker()
        self._attention = Attention()
        self._ballots: dict[int, Ballot] = {}
        self._counted: dict[int, int] = {}

    def take(
        self, frame: SmallFrame, detections: Sequence[Detection], read: Callable[[Detection], PlateText | None]
    ) -> list[Read]:
        """Carry the tracks on, `read` the plates that are worth it, count their votes; the reads this confirmed."""
        self.counters.frames += 1
        self.counters.detections += len(detections)
        boxes = [detection.box_px for detection in detections]
        step = self._tracker.update(boxes, frame.mono_us)
        widths = [x1 - x0 for x0, _, x1, _ in boxes]
        found = []
        for place in self._attention.choose(step.tracks, widths, frame.mono_us):
            track, detection = step.tracks[place], detections[place]
            consensus, outcome = self._vote(track, Look(detection=detection, plate=read(detection)), frame)
            self._attention.learn(track, outcome, widths[place], frame.mono_us)
            if consensus is not None:
                found.append(Read(track=track, consensus=consensus))
        self._end(step.ended)
        return found

    def end_all(self) -> None:
        """End every track, as when the pictures stop coming."""
        self._end(self._tracker.end_all())

    def _vote(self, track: int, look: Look, frame: SmallFrame) -> tuple[Consensus | None, Outcome]:
        ballot = self._ballots.setdefault(track, Ballot(self._rules))
        self.counters.looks += 1
        if not ballot.add(look, frame):
            self.counters.unread += look.plate is None
            self.counters.unsure += look.plate is not None
            return None, Outcome.FRUITLESS
        consensus = ballot.consensus()
        if consensus is None or look.plate is None or look.plate.text != consensus.text:
            return consensus, Outcome.VOTE
        if self._counted.get(track, 0) < ballot.plates:
            self._counted[track] = ballot.plates
            self.counters.plates_read += 1
        return consensus, Outcome.AGREED

    def _end(self, tracks: Sequence[int]) -> None:
        for track in tracks:
            self._attention.forget(track)
            ballot = self._ballots.pop(track, None)
            was_read = self._counted.pop(track, None) is not None
            if ballot is not None and ballot.voted and not was_read:
                self.counters.rejected_no_consensus += 1
