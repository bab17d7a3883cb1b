"""What a demo counted, and how it is shown: one line while it runs, one table at its end.

Figures come from where the truth is: seconds, hits and receipts from the central store, files from the spool, the rest
from the status files of the services, which count since their last start.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from simulator.checks import stored_items
from simulator.stage import Stage
from sync.central.remote_commands import commands_to
from sync.central.store import Store
from vedette import cli, spool
from vedette.daemon import read_status


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a demo is."""

    stage: str
    elapsed_s: float | None = None
    counted: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, stage: Stage, what: str, elapsed_s: float) -> Progress:
        """What the services' status files say now."""
        recorder, reader = read_status(stage.run, "recorder"), read_status(stage.run, "reader")
        uplink = read_status(stage.run, "uplink")
        counted = (
            ("recorded s", _count(recorder, "recorded_ms") // 1000),
            ("frames read", _count(reader, "frames")),
            ("plates read", _count(reader, "plates_read")),
            ("hits", _count(reader, "hits")),
            ("KiB sent", _count(uplink, "bytes_sent") // 1024),
            ("receipts", _count(uplink, "receipts")),
        )
        return cls(stage=what, elapsed_s=elapsed_s, counted=counted)

    def line(self) -> str:
        """One line for people."""
        time = "" if self.elapsed_s is None else f" {self.elapsed_s:4.0f} s"
        return f"{self.stage}{time}  " + "  ".join(f"{name} {value}" for name, value in self.counted)


@dataclass(frozen=True, kw_only=True, slots=True)
class HitSeen:
    """One hit at the centre."""

    text: str
    region: str
    looks: int
    confidence_permille: int
    list_version: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """A demo's figures: durations in milliseconds, sizes in bytes."""

    recorded_ms: int
    frames_read: int
    plates_read: int
    hits: int
    bytes_sealed: int
    bytes_sent: int
    receipts: int
    files_deleted: int
    items_on_device: int
    items_at_centre: int
    gaps: int
    restarts: int
    quarantined: int
    log_size: int
    commands: int = 0
    commands_taken: int = 0
    command_ms: int | None = None
    seen: tuple[HitSeen, ...] = field(default=())
    page: str = ""
    folder: str = ""

    def to_bytes(self) -> bytes:
        """The figures as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1).encode()

    def table(self) -> str:
        """The figures for people."""
        rows = [
            ["video recorded", f"{self.recorded_ms / 1000:.1f} s" + (f", {self.gaps} gaps named" if self.gaps else "")],
            ["frames read", f"{self.frames_read}"],
            ["plates read", f"{self.plates_read} (those on no list were not kept)"],
            ["hits at the centre", f"{self.hits}"],
            ["sealed", f"{self.bytes_sealed / 1e6:.2f} MB"],
            ["sent", f"{self.bytes_sent / 1e6:.2f} MB"],
            ["receipts", f"{self.receipts} for {self.items_at_centre} items, log of {self.log_size} entries"],
            ["deleted after receipt", f"{self.files_deleted} items, {self.items_on_device} still on the device"],
        ]
        if self.commands:
            rows.insert(-1, ["asked by the centre", self._asked()])
        if self.restarts or self.quarantined:
            rows.append(["services restarted", f"{self.restarts}; quarantined items: {self.quarantined}"])
        hits = [
            [f"  {one.text}", one.region, f"{one.looks} looks", f"{one.confidence_permille / 10:.1f} %"]
            for one in self.seen
        ]
        found = cli.table(hits, heads=["  hit", "region", "agreeing", "confidence"]) if hits else "  no hits"
        return cli.table(rows, heads=["one patrol car", ""]) + "\n\n" + found

    def _asked(self) -> str:
        """What became of the commands that the centre sent to the vehicle."""
        said = f"{self.commands_taken} of {self.commands} commands taken"
        return said if self.command_ms is None else f"{said}, the last after {self.command_ms / 1000:.1f} s"


def gather(stage: Stage) -> Figures:
    """Count, when the drive is over and the spool is drained."""
    reader, uplink = read_status(stage.run, "reader"), read_status(stage.run, "uplink")
    recorder = read_status(stage.run, "recorder")
    store = Store(stage.central)
    try:
        items = stored_items(store)
        hits = store.hits(limit=500)
        counts = store.counts()
        asked = commands_to(store)
        taken = [one for one in asked if one.state(store.clock.utc_us()) == "taken"]
    finally:
        store.close()
    waiting = {item_id for _kind, item_id, _path in spool.item_ids(stage.device / "spool")}
    deleted = sum(1 for row in items if row.item not in waiting)
    media_ms = sum(row.manifest.media.duration_us // 1000 for row in items if row.manifest.media is not None)
    return Figures(
        recorded_ms=media_ms,
        frames_read=_count(reader, "frames"),
        plates_read=_count(reader, "plates_read"),
        hits=len(hits),
        bytes_sealed=sum(row.sealed_size for row in items),
        bytes_sent=_count(uplink, "bytes_sent"),
        receipts=deleted + sum(1 for _ in (stage.device / "receipts").glob("*.receipt")),
        files_deleted=deleted,
        items_on_device=len(waiting),
        items_at_centre=len(items),
        gaps=_count(recorder, "gaps"),
        restarts=sum(one.restarts for one in (stage.centre, *stage.services.values())),
        quarantined=counts.quarantined,
        log_size=len(items),
        commands=len(asked),
        commands_taken=len(taken),
        command_ms=(taken[0].answered_us - taken[0].asked_us) // 1000 if taken and taken[0].answered_us else None,
        seen=tuple(
            HitSeen(
                text=hit.text,
                region=hit.region,
                looks=hit.sighting.looks,
                confidence_permille=hit.confidence_permille,
                list_version=hit.sighting.list_version,
            )
            for hit in reversed(hits)
        ),
        page=stage.page,
        folder=str(stage.folder),
    )


def _count(status: dict[str, int | str | bool | None], name: str) -> int:
    value = status.get(name, 0)
    return value if isinstance(value, int) else 0
