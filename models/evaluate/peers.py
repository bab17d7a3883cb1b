"""Another program's output as JSON lines, and ours written in the same form, so that one code scores both.

    {"file": "set/name.jpg", "plates": [{"text": "12345A6", "box_px": [x0, y0, x1, y1] or null, "confidence": 0.93}],
     "ms": 41.5, "memory_mb": 120}

`file` may begin with any folder; its longest end that is a picture of the manifest counts.  A confidence is a share, or
a percentage where any in the file is above 1.  What a program puts out counts as shown unless it says `"shown": false`.
`on_box` may hold, for each labelled plate, what the program reads when its place is given.  The lines of `vedette read`
are read too: there a plate is shown where its `verdict` is `read`.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

from models.evaluate.jsonlines import Line, lines_of
from models.evaluate.seen import Guess, Read, Seen

MAX_PERCENT = 100.0
# The verdict of `vedette read` on a plate that it shows without being asked for all.
SHOWN_VERDICT = "read"


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """What one program saw, by picture name; `strange` counts lines about pictures that are not in the manifest."""

    name: str
    seen: dict[str, Seen]
    strange: int

    def of(self, name: str) -> Seen:
        """What it saw in one picture; nothing where it has no line about it."""
        return self.seen.get(name, Seen(file=name, reads=()))


def peer_of(name: str, path: Path, pictures: Container[str]) -> Peer:
    """Reads a program's lines about `pictures`; raises `BadLine` naming the file, line and field."""
    lines = list(lines_of(path))
    scale = MAX_PERCENT if any(_above_one(line) for line in lines) else 1.0
    seen: dict[str, Seen] = {}
    strange = 0
    for line in lines:
        picture = _picture(line, pictures)
        if picture is None:
            strange += 1
        elif picture in seen:
            raise line.wrong("file", f"{picture} stands in an earlier line already")
        else:
            seen[picture] = _seen(line, picture, scale)
    return Peer(name=name, seen=seen, strange=strange)


def _picture(line: Line, pictures: Container[str]) -> str | None:
    parts = PurePath(line.text("file")).parts
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((end for end in ends if end in pictures), None)


def _entries(line: Line) -> list[Line]:
    """The plates of a line; a line about a file that the program could not read has none."""
    if line.has("error") and not line.has("plates"):
        return []
    found = [entry for entry in line.objects("plates") if entry is not None]
    if len(found) < len(line.objects("plates")):
        raise line.wrong("plates", "an entry is null")
    return found


def _above_one(line: Line) -> bool:
    return any(one.has("confidence") and one.number("confidence") > 1.0 for one in _entries(line))


def _seen(line: Line, picture: str, scale: float) -> Seen:
    on_box = None
    if line.has("on_box"):
        on_box = tuple(None if entry is None else _read(entry, scale) for entry in line.objects("on_box"))
    return Seen(
        file=picture,
        reads=tuple(_read(entry, scale) for entry in _entries(line)),
        on_box=on_box,
        ms=line.number("ms", least=0.0) if line.has("ms") else None,
        memory_mb=line.number("memory_mb", least=0.0) if line.has("memory_mb") else None,
    )


def _read(entry: Line, scale: float) -> Read:
    guesses = [one for one in entry.objects("alternatives") if one is not None] if entry.has("alternatives") else []
    return Read(
        text=entry.text("text") if entry.has("text") else "",
        confidence_permille=_confidence(entry, scale),
        shown=_is_shown(entry),
        box_px=entry.box("box_px") if entry.has("box_px") else None,
        corners_px=entry.corners("corners_px") if entry.has("corners_px") else None,
        alternatives=tuple(
            Guess(text=one.text("text"), confidence_permille=_confidence(one, scale)) for one in guesses
        ),
        reason=entry.text("reason") if entry.has("reason") else None,
    )


def _is_shown(entry: Line) -> bool:
    if entry.has("shown"):
        return entry.flag("shown")
    return not entry.has("verdict") or entry.text("verdict") == SHOWN_VERDICT


def _confidence(entry: Line, scale: float) -> int:
    if entry.has("confidence_permille"):
        return round(entry.number("confidence_permille", least=0, most=1000))
    if not entry.has("confidence"):
        return 0
    return round(1000 * entry.number("confidence", least=0.0, most=scale) / scale)


def lines(seen: Iterable[Seen]) -> Iterable[str]:
    """What was seen, one JSON line for each picture, in the form that `peer_of` reads."""
    for one in seen:
        body: dict[str, object] = {"file": one.file, "plates": [_entry(read) for read in one.reads]}
        if one.on_box is not None:
            body["on_box"] = [read and _entry(read) for read in one.on_box]
        body |= {"ms": one.ms, "memory_mb": one.memory_mb}
        yield json.dumps(body, ensure_ascii=False)


def _entry(read: Read) -> dict[str, object]:
    return {
        "text": read.text,
        "confidence": read.confidence_permille / 1000,
        "shown": read.shown,
        "reason": read.reason,
        "box_px": read.box_px,
        "corners_px": read.corners_px,
        "alternatives": [{"text": one.text, "confidence": one.confidence_permille / 1000} for one in read.alternatives],
    }
