"""What an officer sees, feels and hears: of a hit, a prompt to look and verify, weighted by urgency; of recording,
that it began, goes on, or ended; that the camera sees nothing; that video is kept which nobody activated; and that the
storage fills up. More than four pulses are always the storage, and nothing else has so many (ST-8 of
docs/spec/storage.md).

Law 4: a hit is a lead. No pattern is a siren, no caption says "stolen" or "wanted", and a read whose country differs
from the entry's says so.
"""

from __future__ import annotations

from edge.board.port import AlertPattern

_PULSES = {"high": (4, 400, 200), "normal": (2, 400, 300), "low": (1, 600, 0)}

LIST_EXPIRED = AlertPattern(
    name="list-expired",
    caption="No valid watchlist: no alerts until a new one arrives",
    pulses=3,
    on_ms=100,
    off_ms=900,
    vibrates=False,
    sounds=False,
)


STARTED = AlertPattern(name="started", caption="Recording", pulses=2, on_ms=150, off_ms=150, vibrates=True, sounds=True)
STOPPED = AlertPattern(
    name="stopped", caption="Recording ended", pulses=1, on_ms=1000, off_ms=0, vibrates=True, sounds=True
)
REMINDER = AlertPattern(
    name="reminder", caption="Still recording", pulses=1, on_ms=120, off_ms=0, vibrates=True, sounds=False
)
BLIND = AlertPattern(
    name="blind",
    caption="The camera sees nothing: look at it",
    pulses=3,
    on_ms=300,
    off_ms=200,
    vibrates=True,
    sounds=False,
)
KEEPING = AlertPattern(
    name="keeping",
    caption="Video is kept though nobody activated it",
    pulses=3,
    on_ms=60,
    off_ms=140,
    vibrates=True,
    sounds=False,
)
KEPT = AlertPattern(
    name="kept",
    caption="Video is kept though nobody activated it",
    pulses=2,
    on_ms=40,
    off_ms=160,
    vibrates=False,
    sounds=False,
)
ROOM_LOW = AlertPattern(
    name="room-low",
    caption="Storage: little recording time is left",
    pulses=5,
    on_ms=120,
    off_ms=280,
    vibrates=True,
    sounds=False,
)
CONTINUOUS_STOPPED = AlertPattern(
    name="continuous-stopped",
    caption="Storage full: continuous recording has stopped",
    pulses=6,
    on_ms=250,
    off_ms=250,
    vibrates=True,
    sounds=False,
)
STORAGE_FULL = AlertPattern(
    name="storage-full",
    caption="Storage full: nothing can be recorded",
    pulses=8,
    on_ms=250,
    off_ms=250,
    vibrates=True,
    sounds=True,
)


def hit_pattern(priority: str, *, same_region: bool) -> AlertPattern:
    """The pattern for a hit on an entry of this priority; sound is for the high ones only."""
    pulses, on_ms, off_ms = _PULSES[priority]
    doubt = "" if same_region else "; country differs from the list"
    return AlertPattern(
        name=f"hit-{priority}",
        caption=f"Possible match: look and verify{doubt}",
        pulses=pulses,
        on_ms=on_ms,
        off_ms=off_ms,
        vibrates=priority != "low",
        sounds=priority == "high",
    )
