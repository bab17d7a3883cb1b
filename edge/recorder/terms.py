"""How recordings are kept, as a value: who can open them, how long a segment is, what room must stay free."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.recorder.retaining import RingPolicy
from edge.recorder.segments import OpenFile, PartFile
from edge.recorder.surroundings import FindFix, nowhere
from edge.room import free_bytes
from vedette.sealed import Recipient


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """How recordings are kept: to whom they are sealed, how long a segment is, how much space must stay free.

    `marked_min_free_bytes` is that for marked and activated recordings, None where it is the same for all. `position`
    and `zone` are for the stamp over the pictures, `ring` for what nobody activated.
    """

    recipients: Sequence[Recipient]
    segment_us: int
    min_free_bytes: int
    marked_min_free_bytes: int | None = None
    position: FindFix = nowhere
    zone: datetime.tzinfo = datetime.timezone.utc
    ring: RingPolicy | None = None
    open_file: OpenFile = PartFile
    free_bytes: Callable[[Path], int] = free_bytes
