"""A timeline for a terminal: one row for each thing, a tick for each hour, every stretch, and what it all adds up to.

Decided here: 80 columns are enough; a cell of a row stands for a stretch of the shift and shows the worst that is in
it, so that nothing unexplained is too short to be seen; colours only help and are never needed.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone, tzinfo

from vedette import cli
from vedette.timeline import SECOND_US, Overlay, State, Stretch, Timeline
from vedette.timeline_words import ROWS, Words

LABEL, MIN_CELLS = 15, 20
SIGNS = {
    State.RECORDED: "█", State.RETAINED: "▒", State.STANDBY: "·", State.ASLEEP: "z", State.OFF: "-",
    State.STARTING: "s", State.RESTARTED: "R", State.POWER_LOST: "P", State.CAMERA: "C", State.FULL: "F",
    State.DISK: "D", State.THERMAL: "T", State.OTHER: "o", State.UNKNOWN: "?",
}  # fmt: skip
_COLOURS = {
    State.RECORDED: 32,
    State.RETAINED: 36,
    State.UNKNOWN: 41,
    State.STANDBY: 90,
    State.OFF: 90,
    State.ASLEEP: 90,
}
_TROUBLE = 33
_STEPS_S = (60, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400, 7 * 86_400)


def draw(timeline: Timeline, words: Words, *, zone: tzinfo, columns: int = 80, colours: bool = False) -> str:
    """The whole report as text of `columns` columns at most (80 at least) for a terminal."""
    cells = max(columns - LABEL - 1, MIN_CELLS)
    parts = [
        _heading(timeline, words, zone),
        "\n".join(_rows(timeline, words, zone, cells, colours)),
        _legend(timeline, words),
        _list(timeline, words, zone),
        _totals(timeline, words),
        _notes(timeline, words, zone),
        _verdict(timeline, words),
    ]
    return "\n\n".join(part for part in parts if part)


def clock_time(at_us: int, zone: tzinfo, *, with_date: bool = False) -> str:
    """`14:03:22` in `zone`, with the date before it where asked."""
    return when(at_us, zone).strftime("%Y-%m-%d %H:%M:%S" if with_date else "%H:%M:%S")


def when(at_us: int, zone: tzinfo) -> datetime:
    """The moment as a date and time in `zone`."""
    return (datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=at_us)).astimezone(zone)


def length(duration_us: int, words: Words) -> str:
    """`1:02:03` hours, minutes and seconds, to a tenth where it is under a minute."""
    if 0 < duration_us < SECOND_US // 10:
        return words.decimal("< 0.1 s")
    seconds, rest_us = divmod(duration_us, SECOND_US)
    tenth = f".{rest_us // 100_000}" if seconds < 60 and rest_us >= 100_000 else ""
    return words.decimal(f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}{tenth}")


def share(part_us: int, whole_us: int, words: Words) -> str:
    """Percent with one decimal; never 0.0 for something nor 100.0 for less than all."""
    if part_us in (0, whole_us):
        return words.decimal("100.0 %" if part_us else "0.0 %")
    return words.decimal(f"{min(max(part_us * 1000 / whole_us, 1), 999) / 10:.1f} %")


def ticks(timeline: Timeline, zone: tzinfo, *, most: int) -> list[int]:
    """Whole hours (or the next finer or coarser step) of `zone` within the timeline, `most` at most."""
    whole_s = (timeline.to_us - timeline.from_us) / SECOND_US
    step_s = next((step for step in _STEPS_S if whole_s / step <= most), _STEPS_S[-1])
    shift_us = int((when(timeline.from_us, zone).utcoffset() or timedelta()).total_seconds()) * SECOND_US
    step_us = step_s * SECOND_US
    first_us = -(-(timeline.from_us + shift_us) // step_us) * step_us - shift_us
    return list(range(first_us, timeline.to_us + 1, step_us))


def _heading(timeline: Timeline, words: Words, zone: tzinfo) -> str:
    from_text, to_text = (clock_time(at, zone, with_date=True) for at in (timeline.from_us, timeline.to_us))
    span = f"{words('from')} {from_text} {words('to')} {to_text} ({when(timeline.from_us, zone).strftime('%Z')})"
    return f"{words('title')}\n{words('device')} {timeline.device}. {span}"


def _rows(timeline: Timeline, words: Words, zone: tzinfo, cells: int, colours: bool) -> Iterable[str]:
    def row(name: str, line: str) -> str:
        return f"{name[: LABEL - 1]:<{LABEL}}{line}"

    yield from (row("", line).rstrip() for line in _axis(timeline, zone, cells))
    recorded = [one for one in timeline.stretches if one.state is State.RECORDED]
    missing = [one for one in timeline.stretches if one.state is not State.RECORDED]
    yield row(words("recorded_row"), _cells(timeline, recorded, cells, colours))
    yield row(words("not_recorded_row"), _cells(timeline, missing, cells, colours))
    if any(one.marked for one in recorded):
        yield row(words("marked_row"), _cells(timeline, [one for one in recorded if one.marked], cells, colours))
    for name in ROWS:
        found = [one for one in timeline.overlays if one.row == name]
        if found:
            yield row(words.row(name), _overlay_cells(timeline, found, cells))


def _axis(timeline: Timeline, zone: tzinfo, cells: int) -> tuple[str, str]:
    names, marks = [" "] * (cells + 5), [" "] * cells
    for at_us in ticks(timeline, zone, most=cells // 3):
        marks[min(_place(timeline, at_us, cells), cells - 1)] = "'"
    for at_us in ticks(timeline, zone, most=cells // 7):
        place = min(_place(timeline, at_us, cells), cells - 1)
        marks[place] = "|"
        name = clock_time(at_us, zone)[:5]
        start = min(place, cells - len(name))
        if all(one == " " for one in names[max(start - 1, 0) : start + len(name) + 1]):
            names[start : start + len(name)] = name
    return "".join(names)[:cells], "".join(marks)


def _place(timeline: Timeline, at_us: int, cells: int) -> int:
    return (at_us - timeline.from_us) * cells // max(timeline.to_us - timeline.from_us, 1)


def _cells(timeline: Timeline, stretches: Sequence[Stretch], cells: int, colours: bool) -> str:
    """The row; where several states share a cell the unexplained one is shown, then trouble, then the longest."""
    shown: list[tuple[tuple[int, int], State] | None] = [None] * cells
    whole_us = max(timeline.to_us - timeline.from_us, 1)
    for one in stretches:
        first, last = _place(timeline, one.from_us, cells), _place(timeline, max(one.to_us - 1, one.from_us), cells)
        for cell in range(first, min(last, cells - 1) + 1):
            edges = timeline.from_us + cell * whole_us // cells, timeline.from_us + (cell + 1) * whole_us // cells
            overlap_us = min(one.to_us, edges[1]) - max(one.from_us, edges[0])
            found = ((_urgency(one.state), overlap_us), one.state)
            shown[cell] = max(shown[cell] or found, found, key=lambda one: one[0])
    return "".join(" " if one is None else _sign(one[1], colours) for one in shown)


def _urgency(state: State) -> int:
    if state is State.UNKNOWN:
        return 2
    return 0 if state in (State.STANDBY, State.OFF, State.ASLEEP, State.RECORDED, State.RETAINED) else 1


def _sign(state: State, colours: bool) -> str:
    return f"\x1b[{_COLOURS.get(state, _TROUBLE)}m{SIGNS[state]}\x1b[0m" if colours else SIGNS[state]


def _overlay_cells(timeline: Timeline, overlays: Sequence[Overlay], cells: int) -> str:
    line = [" "] * cells
    for is_moment in (False, True):
        for one in overlays:
            if (one.from_us == one.to_us) is is_moment:
                first, last = (min(_place(timeline, at, cells), cells - 1) for at in (one.from_us, one.to_us))
                line[first : last + 1] = ("!" if is_moment else "=") * (last - first + 1)
    return "".join(line)


def _legend(timeline: Timeline, words: Words) -> str:
    there = [state for state in State if timeline.totals[state]]
    return _wrapped([f"{SIGNS[state]} {words.state(state)}" for state in there])


def _wrapped(pieces: Sequence[str], columns: int = 80) -> str:
    lines = [""]
    for piece in pieces:
        joined = f"{lines[-1]}   {piece}" if lines[-1] else piece
        lines = [*lines[:-1], joined] if len(joined) <= columns else [*lines, piece]
    return "\n".join(lines)


def _list(timeline: Timeline, words: Words, zone: tzinfo) -> str:
    rows = []
    for one in timeline.stretches:
        why = one.recording or "" if one.state is State.RECORDED else words.why(one.state, one.why)
        marked = f" ({words('marked_row')})" if one.marked else ""
        rows.append((clock_time(one.from_us, zone), length(one.length_us, words), words.state(one.state) + marked, why))
    return cli.table(rows, heads=(words("time"), words("length"), words("state"), words("why")))


def _totals(timeline: Timeline, words: Words) -> str:
    whole_us = timeline.to_us - timeline.from_us
    totals = {state: us for state, us in timeline.totals.items() if us or state in (State.RECORDED, State.UNKNOWN)}
    rows = [(words.state(state), length(us, words), share(us, whole_us, words)) for state, us in totals.items()]
    rows.append((words("total"), length(whole_us, words), share(whole_us, whole_us, words)))
    rows = [(name, f"{long:>9}", f"{part:>7}") for name, long, part in rows]
    return cli.table(rows, heads=(words("state"), words("length"), words("share")))


def _notes(timeline: Timeline, words: Words, zone: tzinfo) -> str:
    said: list[tuple[int, str]] = [(one.at_us, words.note(one)) for one in timeline.notes]
    said += [(one.from_us, _overlay_text(one, words, zone)) for one in timeline.overlays if one.to_us > one.from_us]
    lines = [f"  {clock_time(at_us, zone)}  {text}" for at_us, text in sorted(said)]
    about = textwrap.fill(f"{words('notes')}: {words('proven')}", 80)
    return "\n".join([about, *lines])


def _overlay_text(one: Overlay, words: Words, zone: tzinfo) -> str:
    label = words.label(one.label) if one.label else ""
    row = words.row(one.row)
    lasted = length(one.to_us - one.from_us, words)
    return f"{row} {words('to')} {clock_time(one.to_us, zone)} ({lasted}){label and ': ' + label}"


def _verdict(timeline: Timeline, words: Words) -> str:
    unknown_us = timeline.unexplained_us
    return words("some_unexplained", length(unknown_us, words)) if unknown_us else words("nothing_unexplained")
