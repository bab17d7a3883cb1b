"""From the plates in each picture to reads: tracks, the looks worth taking and their ballots, and how many of what.

Decided here: a read is a consensus that a look just confirmed; a plate that comes back after an occlusion and says what
it said before goes on as the track it was; a track that ends without consensus was rejected, and is counted by why
(law 5: the counters are all that is kept of it). Everything is in memory, bounded by the number of tracks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from edge.camera.port import SmallFrame
from edge.reader.attention import Attention, Outcome
from edge.reader.camera_motion import CameraMotion
from edge.reader.detect import Detection
from edge.reader.gate import Gates, Judged, Reason, Verdict, judge, judge_detection
from edge.reader.look import Look
from edge.reader.ocr import PlateText
from edge.reader.track import Tracker
from edge.reader.vote import Ballot, Consensus, Rules

NOT_READ_YET = Judged(verdict=Verdict.UNSURE, reason=Reason.UNREAD)


@dataclass(kw_only=True, slots=True)
class Counters:
    """What the reader has done since it started; numbers are all that is kept of plates that match nothing.

    `too_small`, `unread` and `unsure` count looks, `rejected_…` whole plates that went without a read.
    """

    frames: int = 0
    detections: int = 0
    looks: int = 0
    too_small: int = 0
    unread: int = 0
    unsure: int = 0
    plates_read: int = 0
    rejected_too_small: int = 0
    rejected_unsure: int = 0
    rejected_no_text: int = 0
    rejected_no_consensus: int = 0


class Fate(Enum):
    """What became of one plate when it was gone."""

    READ = "read"
    TOO_SMALL = "too_small"
    UNSURE = "unsure"
    NO_TEXT = "no_text"
    NO_CONSENSUS = "no_consensus"


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """The consensus of track `track` after a look that voted."""

    track: int
    consensus: Consensus


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One plate of one picture; `plate` is what was read of it, now or when it was last read; `looks` agree so far."""

    track: int
    detection: Detection
    plate: PlateText | None
    judged: Judged
    looks: int


@dataclass(kw_only=True, slots=True)
class Passage:
    """One plate over time, in numbers; times are those of its pictures, and a vote is a look that counted."""

    track: int
    first_seen_us: int
    last_seen_us: int
    pictures: int = 0
    votes: int = 0
    too_small: int = 0
    unread: int = 0
    unsure: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Gone:
    """A plate that left, with its last consensus where its fate is to have been read."""

    passage: Passage
    fate: Fate
    consensus: Consensus | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """What one picture brought: reads that a look confirmed, every plate in it, and the plates that are gone."""

    reads: list[Read]
    seen: list[Seen]
    gone: list[Gone]


@dataclass(kw_only=True, slots=True)
class _Followed:
    ballot: Ballot
    passage: Passage
    consensus: Consensus | None = None
    plates: int = 0
    last: PlateText | None = None
    judged: Judged = NOT_READ_YET


class Reads:
    """All tracks of one camera."""

    def __init__(self, rules: Rules) -> None:
        self.counters = Counters()
        self._rules = rules
        self._gates = Gates(confidence_permille=rules.confidence_permille)
        self._motion = CameraMotion()
        self._tracker = Tracker()
        self._attention = Attention()
        self._followed: dict[int, _Followed] = {}

    def take(
        self, frame: SmallFrame, detections: Sequence[Detection], read: Callable[[Detection], PlateText | None]
    ) -> Taken:
        """Carry the tracks on, `read` the plates that are worth it, count their votes."""
        self.counters.frames += 1
        self.counters.detections += len(detections)
        boxes = [detection.box_px for detection in detections]
        step = self._tracker.update(boxes, frame.mono_us, self._motion.shift(frame.luma))
        tracks = list(step.tracks)
        judged = [self._sight(track, detection, frame) for track, detection in zip(tracks, detections, strict=True)]
        large = [place for place, one in enumerate(judged) if one is None]
        widths = [x1 - x0 for x0, _, x1, _ in boxes]
        due = self._attention.choose([tracks[p] for p in large], [widths[p] for p in large], frame.mono_us)
        taken = Taken(reads=[], seen=[], gone=[])
        for place in (large[one] for one in due):
            look = Look(detection=detections[place], plate=read(detections[place]))
            tracks[place] = self._known_again(tracks[place], look)
            outcome = self._vote(tracks[place], look, frame, taken)
            self._attention.learn(tracks[place], outcome, widths[place], frame.mono_us)
        taken.seen.extend(map(self._seen, tracks, detections, judged))
        taken.gone.extend(self._end(step.ended))
        return taken

    def end_all(self) -> list[Gone]:
        """End every track, as when the pictures stop coming."""
        return self._end(self._tracker.end_all())

    def _sight(self, track: int, detection: Detection, frame: SmallFrame) -> Judged | None:
        """Note one plate of a picture; the verdict on it where that needs no reading."""
        followed = self._followed.get(track)
        if followed is None:
            passage = Passage(track=track, first_seen_us=frame.utc_us, last_seen_us=frame.utc_us)
            followed = self._followed[track] = _Followed(ballot=Ballot(self._rules), passage=passage)
        followed.passage.pictures += 1
        followed.passage.last_seen_us = frame.utc_us
        judged = judge_detection(detection, self._gates, (frame.width, frame.height))
        if judged is not None:
            self._count(followed.passage, judged)
        return judged

    def _vote(self, track: int, look: Look, frame: SmallFrame, taken: Taken) -> Outcome:
        followed = self._followed[track]
        followed.last, followed.judged = look.plate, judge(look, self._gates)
        self.counters.looks += 1
        self._count(followed.passage, followed.judged)
        if followed.judged.verdict is not Verdict.READ or not followed.ballot.add(look, frame):
            return Outcome.FRUITLESS
        if followed.plates and followed.ballot.plates > followed.plates:
            taken.gone.append(self._displaced(followed, frame))
        consensus = followed.ballot.consensus()
        if consensus is None:
            return Outcome.VOTE
        followed.consensus = consensus
        taken.reads.append(Read(track=track, consensus=consensus))
        if look.plate is None or look.plate.text != consensus.text:
            return Outcome.VOTE
        if followed.plates < followed.ballot.plates:
            followed.plates = followed.ballot.plates
            self.counters.plates_read += 1
        return Outcome.AGREED

    def _displaced(self, followed: _Followed, frame: SmallFrame) -> Gone:
        """The plate that was read before another one took its place in the track (HT-23)."""
        passage, votes = followed.passage, followed.ballot.looks
        passage.votes -= votes
        followed.passage = Passage(
            track=passage.track, first_seen_us=frame.utc_us, last_seen_us=frame.utc_us, pictures=1, votes=votes
        )
        return _gone(passage, followed.consensus)

    def _known_again(self, track: int, look: Look) -> int:
        """The lost track that `track` goes on, where its first sure text is what the lost plate said; else itself."""
        followed = self._followed[track]
        if followed.ballot.voted or judge(look, self._gates).verdict is not Verdict.READ:
            return track
        for lost in self._tracker.returned(track):
            if look.plate is not None and self._followed[lost].ballot.leader == look.plate.text:
                self._tracker.join(lost, track)
                self._attention.forget(track)
                _add(self._followed[lost].passage, self._followed.pop(track).passage)
                return lost
        return track

    def _seen(self, track: int, detection: Detection, judged: Judged | None) -> Seen:
        followed = self._followed[track]
        looks = followed.consensus.looks if followed.consensus is not None else 0
        if judged is not None:
            return Seen(track=track, detection=detection, plate=None, judged=judged, looks=looks)
        return Seen(track=track, detection=detection, plate=followed.last, judged=followed.judged, looks=looks)

    def _count(self, passage: Passage, judged: Judged) -> None:
        """Count a verdict in the reader's own numbers and in those of the plate."""
        for numbers in (self.counters, passage):
            numbers.too_small += judged.verdict is Verdict.TOO_SMALL
            numbers.unread += judged.verdict is Verdict.NO_TEXT
            numbers.unsure += judged.verdict is Verdict.UNSURE
        passage.votes += judged.verdict is Verdict.READ

    def _end(self, tracks: Sequence[int]) -> list[Gone]:
        gone = []
        for track in tracks:
            self._attention.forget(track)
            followed = self._followed.pop(track)
            last = _gone(followed.passage, followed.consensus)
            if not followed.plates:
                self._reject(last.fate)
            gone.append(last)
        return gone

    def _reject(self, fate: Fate) -> None:
        self.counters.rejected_too_small += fate is Fate.TOO_SMALL
        self.counters.rejected_unsure += fate is Fate.UNSURE
        self.counters.rejected_no_text += fate is Fate.NO_TEXT
        self.counters.rejected_no_consensus += fate is Fate.NO_CONSENSUS


def fate_of(passage: Passage) -> Fate:
    """Why a plate went without a read: the furthest that any of its looks came."""
    if passage.votes:
        return Fate.NO_CONSENSUS
    if passage.unsure:
        return Fate.UNSURE
    return Fate.NO_TEXT if passage.unread else Fate.TOO_SMALL


def _gone(passage: Passage, consensus: Consensus | None) -> Gone:
    return Gone(passage=passage, fate=fate_of(passage) if consensus is None else Fate.READ, consensus=consensus)


def _add(passage: Passage, later: Passage) -> None:
    passage.last_seen_us = later.last_seen_us
    passage.pictures += later.pictures
    passage.too_small += later.too_small
    passage.unread += later.unread
    passage.unsure += later.unsure
