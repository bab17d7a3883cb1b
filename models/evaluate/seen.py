"""What a program says it saw in one picture: ours and others in the same form."""

from __future__ import annotations

from dataclasses import dataclass

Box = tuple[float, float, float, float]
Corners = tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Guess:
    """Another text that the program considered."""

    text: str
    confidence_permille: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """One plate; `text` is empty where it was found and not read, `shown` where the program would show it to a person.

    `reason` is the program's word for why it would not.  Box and corners are in pixels of the file.
    """

    text: str
    confidence_permille: int
    shown: bool
    box_px: Box | None
    corners_px: Corners | None = None
    alternatives: tuple[Guess, ...] = ()
    reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One picture; `on_box` is what is read on each labelled plate when its place is given, None if nobody asked."""

    file: str
    reads: tuple[Read, ...]
    on_box: tuple[Read | None, ...] | None = None
    ms: float | None = None
    memory_mb: float | None = None
