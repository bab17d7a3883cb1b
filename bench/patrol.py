"""A car's shift of ten hours as its recorder writes it, all of its custody at a centre: what an account is made of.

Decided here: what happens on the shift. The lines are the recorder's own (`edge.recorder.filing`: a mark each second
with five fragments, a journal's file sealed after each segment), by a made-up clock; the segments themselves are a few
bytes each, for an account does not read them.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from edge.recorder.facts import SegmentFacts
from edge.recorder.filing import Filing
from edge.recorder.segments import Finished, Progress
from sync.central import fleet
from sync.central.receipts import Signer, accept_all
from sync.central.store import Store
from sync.central.triage import Triage
from vedette import files, spool
from vedette.clock import FakeClock, uuid7
from vedette.custody import Journal
from vedette.custody_seal import drop_sealed, seal_closed
from vedette.fragment_marks import FragmentMarks
from vedette.identity import Identity
from vedette.keys import SigningKey
from vedette.records import peek_manifest

DEVICE, ORIGIN = "car-1", "bench.test/log"
SECOND_US, SEGMENT_S, FRAGMENTS = 1_000_000, 60, 5
RECORDINGS, RECORDING_S, PAUSE_S = 40, 810, 90
SEGMENT = b"a segment that nobody opens"
BATCH = 50


class Patrol:
    """A centre in `folder` and the one car of its fleet; `live` brings a shift's custody there."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        made = fleet.make_centre(folder / "central", folder / "escrow", ORIGIN, clock=self.clock)
        self.central, self.device = made.folder, folder / "device"
        (self.device / "keys").mkdir(parents=True)
        self.key = SigningKey.generate()
        self.key.save(self.device / "keys" / "sign.pem")
        (self.device / "device.toml").write_text(f'[device]\nid = "{DEVICE}"\ndata = "."\n')
        self.store = Store(self.central, self.clock)
        fleet.enrol(self.store, DEVICE, self.device, port=8883)
        self.spool = self.device / "spool"
        spool.make_folders(self.spool)
        self._recipients = fleet.centre_trust(self.central).lead_recipients()
        self._position = self._journal("position")
        self._begin()

    def live(self, recordings: int = RECORDINGS) -> None:
        """A shift of so many recordings: in each tenth a camera that stalls, one that is mute, a service that dies; no
        position in every fourth pause, a hot board in every eighth, half an hour asleep in the middle.
        """
        for number in range(recordings):
            self._between(number, recordings)
            self._record(number)
            if number % 10 == 7:
                self._recorder.close()
                self.clock.advance(2 * SECOND_US)
                self._begin()
        self._recorder.append("service.stopped")
        self._recorder.roll()
        self._position.append("service.stopped")
        self._position.roll()
        for journal in (self._recorder, self._position):
            seal_closed(journal, self.spool, self._recipients, identity=Identity())
            journal.close()
        self.send()

    def send(self) -> None:
        """Bring what lies in the spool to the centre, as ingest and triage do, and delete it as the keeper does."""
        signer = Signer(origin=ORIGIN, key=SigningKey.load(self.central / "keys" / "centre.pem"))
        waiting = [path for _kind, _item, path in spool.item_ids(self.spool)]
        for start in range(0, len(waiting), BATCH):
            items = [spool.load(path) for path in waiting[start : start + BATCH]]
            for item in items:
                incoming = self.central / "incoming" / item.item_id
                files.write_new(incoming, item.path.read_bytes())
                self.store.blobs.adopt(incoming, item.manifest.sealed_sha256)
            accept_all(self.store, signer, [(peek_manifest(one.manifest_bytes), one.manifest_bytes) for one in items])
            while self.store.db.execute("SELECT count(*) FROM to_open").fetchone()[0]:
                Triage(self.store).open_waiting(BATCH)
            for item in items:
                drop_sealed(self.device / "journal", item.item_id, first_seq=item.manifest.sequence)
                item.path.unlink()
                spool.manifest_path(self.spool, item.manifest.kind, item.item_id).unlink()

    def _begin(self) -> None:
        """A run of the recorder begins."""
        self._recorder = self._journal("recorder")
        self._filing = Filing(self.spool, self._recorder, custody_recipients=self._recipients, identity=Identity())

    def _journal(self, service: str) -> Journal:
        folder = self.device / "journal" / service
        return Journal.open(folder, service=service, device=DEVICE, key=self.key, clock=self.clock)

    def _between(self, number: int, recordings: int) -> None:
        """The pause before a recording."""
        if number % 4 == 1:
            self._position.append("gnss.lost", detail={"since_us": self.clock.utc_us(), "connected": True})
        if number % 8 == 3:
            self._recorder.append("heat.began", detail={"celsius": 81})
        if number == recordings // 2:
            self._recorder.append("sleep.began", detail={"by": "button"})
        self.clock.advance((30 * 60 if number == recordings // 2 else PAUSE_S) * SECOND_US)
        if number == recordings // 2:
            self._recorder.append("sleep.ended", detail={"by": "button"})
        if number % 8 == 3:
            self._recorder.append("heat.ended", detail={"celsius": 74})
        if number % 4 == 1:
            self._position.append("gnss.found", detail={"mode": 3, "satellites": 9})

    def _record(self, number: int) -> None:
        recording = uuid7(self.clock)
        self._filing.started({"activation": "button", "recording": recording})
        for sequence, start in enumerate(range(0, RECORDING_S, SEGMENT_S)):
            if number % 10 == 4 and sequence == 5:
                self._stall()
            muted = number % 10 == 2 and sequence == 3
            if muted:
                self._recorder.append("mute.began", detail={"by": "button"})
            self._segment(recording, sequence, min(SEGMENT_S, RECORDING_S - start), marked=number % 3 == 0)
            if muted:
                self._recorder.append("mute.ended", detail={"by": "button"})
        self._filing.stopped({"reason": "stopped", "recording": recording})

    def _stall(self) -> None:
        """The camera gives no picture for four seconds."""
        since_us, since_mono_us = self.clock.utc_us(), self.clock.mono_us()
        self.clock.advance(4 * SECOND_US)
        now = {"to_us": self.clock.utc_us(), "to_mono_us": self.clock.mono_us()}
        began = {"from_us": since_us, "from_mono_us": since_mono_us}
        self._recorder.append("gap", detail={**began, **now, "why": "camera_stalled"})

    def _segment(self, recording: str, sequence: int, seconds: int, *, marked: bool) -> None:
        marks, frames = FragmentMarks(os.urandom(32)), 0
        facts = SegmentFacts(
            item=uuid7(self.clock), recording=recording, sequence=sequence, activation="button",
            started_us=self.clock.utc_us(), mono_us=self.clock.mono_us(), codec="h264", width=1280, height=720,
            marked=marked, sound="aac", satellite_time_trusted=True,
        )  # fmt: skip
        files.write_new(self._filing.opened(facts), SEGMENT)
        for second in range(1, seconds + 1):
            for fragment in range(FRAGMENTS):
                marks.write(os.urandom(8))
                marks.end((second - 1) * SECOND_US + (fragment + 1) * SECOND_US // FRAGMENTS)
            frames += 25
            self.clock.advance(SECOND_US)
            progress = Progress(
                offset=second << 17, sha256=os.urandom(32).hex(), media_us=second * SECOND_US, frames=frames,
                fragments=marks.take(), fragments_key=marks.key_id,
            )  # fmt: skip
            self._filing.checkpoint(facts, progress)
        digest = hashlib.sha256(SEGMENT).hexdigest()
        finished = Finished(
            sealed_sha256=digest, sealed_size=len(SEGMENT), plain_sha256=digest, plain_size=len(SEGMENT),
            media_us=seconds * SECOND_US, frames=frames, fragments="", fragments_key=marks.key_id,
        )  # fmt: skip
        self._filing.closed(facts, finished)
        self._filing.tidy()
        self.send()
