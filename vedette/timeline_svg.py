"""A timeline as one SVG file that needs nothing else: title, axis, rows, totals, legend, and every mark said in words.

Decided here: the picture is for a court file, in colour or not: each state has its own hatching beside its colour, each
bar has its times and reason as text, and a viewer without pictures reads the same (`title`, `desc`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import tzinfo
from xml.sax.saxutils import escape, quoteattr

from vedette.timeline import Overlay, State, Stretch, Timeline
from vedette.timeline_text import clock_time, length, share, ticks, when
from vedette.timeline_words import ROWS, Words

WIDTH, LEFT, RIGHT, TOP = 1200, 150, 30, 104
ROW, BAR = 44, 30
MAX_NOTES = 12
# Colour and hatching: angle in degrees, distance and width of its lines in pixels.
_LOOKS = {
    State.RECORDED: ("#1b7f4d", None), State.RETAINED: ("#8fc3aa", (45, 6, 2)),
    State.STANDBY: ("#d5d9de", None), State.ASLEEP: ("#b9c6d8", (90, 6, 1)),
    State.OFF: ("#f1f2f4", (0, 6, 1)), State.STARTING: ("#e6dcc2", (45, 8, 1)),
    State.RESTARTED: ("#f0a53a", (45, 6, 2)), State.POWER_LOST: ("#8a5a2b", (135, 6, 2)),
    State.CAMERA: ("#7d5ba6", (45, 5, 2)), State.FULL: ("#2f6db3", (135, 5, 2)),
    State.DISK: ("#17456f", (90, 5, 2)), State.THERMAL: ("#d9653b", (0, 5, 2)), State.OTHER: ("#8b8f96", (45, 4, 1)),
    State.UNKNOWN: ("#ffffff", (45, 7, 4)),
}  # fmt: skip
_HATCH = {State.UNKNOWN: "#c1121f", State.OFF: "#b4b9c1", State.STARTING: "#a08a4a", State.ASLEEP: "#7f93ad"}
_OVERLAYS = {
    "muted": "#5b6470", "sound": "#a3475e", "stealth": "#20242b", "camera": "#7d5ba6", "clock": "#b5651d",
    "place": "#4a6b8a", "heat": "#c8501e", "signed": "#2a6f77",
    "reminder": "#5d7a3a",
}  # fmt: skip
_STYLE = (
    "text{font:14px 'DejaVu Sans',Verdana,sans-serif;fill:#1d2127}.h{font-size:20px;font-weight:bold}.s{font-size:12px;"
    "fill:#4a515b}.b{font-weight:bold}.r{text-anchor:end}.m{text-anchor:middle}.bad{fill:#c1121f;font-weight:bold}"
)


def draw_svg(timeline: Timeline, words: Words, *, zone: tzinfo, key: str = "", whose: str = "key_trusted") -> str:
    """The picture; `key` is the id of the key that the lines were verified against, `whose` the words for that."""
    rows = list(_rows(timeline, words, zone))
    bottom = TOP + ROW * len(rows)
    facts = [*_totals(timeline, words, bottom + 56), *_notes(timeline, words, zone, bottom + 56)]
    lines = max(_total_lines(timeline) + 2, min(len(timeline.notes), MAX_NOTES) + 3)
    height = bottom + 56 + 24 * lines + 16
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"',
        f' role="img" lang="{words.language}" aria-labelledby="t d"><title id="t">{escape(words("title"))}</title>',
        f'<desc id="d">{escape(_spoken(timeline, words, zone))}</desc><style>{_STYLE}</style>',
        f"<defs>{''.join(map(_pattern, State))}</defs>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        *_heading(timeline, words, zone, f" · {words(whose)} {key}" if key else ""),
        *_axis(timeline, zone, bottom),
    ]
    for index, (name, bars) in enumerate(rows):
        y = TOP + ROW * index
        parts.append(f'<g><text class="r" x="{LEFT - 12}" y="{y + 20}">{escape(name)}</text>')
        parts += [bar.format(y=y, height=BAR) for bar in bars] + ["</g>"]
    return "".join([*parts, *facts, "</svg>\n"])


def _heading(timeline: Timeline, words: Words, zone: tzinfo, verified: str) -> Iterator[str]:
    span = " – ".join(clock_time(at, zone, with_date=True) for at in (timeline.from_us, timeline.to_us))
    about = f"{words('device')} {timeline.device} · {span} {when(timeline.from_us, zone).strftime('%Z')}{verified}"
    yield f'<text class="h" x="24" y="36">{escape(words("title"))}</text>'
    yield f'<text class="s" x="24" y="60">{escape(about)}</text>'


def _axis(timeline: Timeline, zone: tzinfo, bottom: int) -> Iterator[str]:
    yield f'<g stroke="#c9ced6"><line x1="{LEFT}" y1="{bottom}" x2="{WIDTH - RIGHT}" y2="{bottom}"/>'
    places = [(_x(timeline, at_us), clock_time(at_us, zone)[:5]) for at_us in ticks(timeline, zone, most=16)]
    yield from (f'<line x1="{x:.1f}" y1="{TOP - 12}" x2="{x:.1f}" y2="{bottom}"/>' for x, _name in places)
    yield "</g>"
    yield from (f'<text class="s m" x="{x:.1f}" y="{TOP - 18}">{name}</text>' for x, name in places)
    yield from (f'<text class="s m" x="{x:.1f}" y="{bottom + 18}">{name}</text>' for x, name in places)


def _rows(timeline: Timeline, words: Words, zone: tzinfo) -> Iterator[tuple[str, list[str]]]:
    recorded = [one for one in timeline.stretches if one.state is State.RECORDED]
    missing = [one for one in timeline.stretches if one.state is not State.RECORDED]
    yield words("recorded_row"), [_bar(timeline, one, words, zone) for one in recorded]
    yield words("not_recorded_row"), [_bar(timeline, one, words, zone) for one in missing]
    marked = [one for one in recorded if one.marked]
    if marked:
        spans = [Overlay(row="marked", from_us=one.from_us, to_us=one.to_us, label="") for one in marked]
        yield words("marked_row"), [_span(timeline, one, "#0b4f6c", words, zone) for one in spans]
    for row in ROWS:
        found = [one for one in timeline.overlays if one.row == row]
        if found:
            yield words.row(row), [_span(timeline, one, _OVERLAYS[row], words, zone) for one in found]


def _bar(timeline: Timeline, one: Stretch, words: Words, zone: tzinfo) -> str:
    x, width = _extent(timeline, one.from_us, one.to_us)
    fill = _LOOKS[one.state][0] if _LOOKS[one.state][1] is None else f"url(#{one.state.value})"
    edge = ' stroke="#c1121f"' if one.state is State.UNKNOWN else ""
    title = _escaped(_stretch_text(one, words, zone))
    return (
        f'<rect x="{x}" y="{{y}}" width="{width}" height="{{height}}" fill="{fill}"{edge}><title>{title}</title></rect>'
    )


def _span(timeline: Timeline, one: Overlay, colour: str, words: Words, zone: tzinfo) -> str:
    x, width = _extent(timeline, one.from_us, one.to_us)
    times = " – ".join(clock_time(at, zone) for at in dict.fromkeys((one.from_us, one.to_us)))
    title = _escaped(f"{times} {words.label(one.label)}".strip())
    if one.from_us == one.to_us:
        point = f"M{x} {{y}}l7 12h-14z"
        return f'<path d="{point}" fill="#c1121f"><title>{title}</title></path>'
    return f'<rect x="{x}" y="{{y}}" width="{width}" height="{{height}}" fill="{colour}"><title>{title}</title></rect>'


def _escaped(text: str) -> str:
    """For a template that `str.format` fills."""
    return escape(text).replace("{", "{{").replace("}", "}}")


def _stretch_text(one: Stretch, words: Words, zone: tzinfo) -> str:
    times = f"{clock_time(one.from_us, zone)} – {clock_time(one.to_us, zone)}"
    why = one.recording or "" if one.state is State.RECORDED else words.why(one.state, one.why)
    return f"{times} ({length(one.length_us, words)}) {words.state(one.state)}{why and ': ' + why}"


def _spoken(timeline: Timeline, words: Words, zone: tzinfo) -> str:
    whole_us = timeline.to_us - timeline.from_us
    totals = [
        f"{words.state(state)} {length(us, words)} ({share(us, whole_us, words)})"
        for state, us in timeline.totals.items()
        if us or state is State.UNKNOWN
    ]
    return "; ".join(totals) + ". " + "; ".join(_stretch_text(one, words, zone) for one in timeline.stretches[:200])


def _total_lines(timeline: Timeline) -> int:
    return sum(1 for state, us in timeline.totals.items() if us or state is State.UNKNOWN)


def _totals(timeline: Timeline, words: Words, y: int) -> Iterator[str]:
    """The legend and the table of totals in one: the look of each state, its name, how long, which share."""
    whole_us = timeline.to_us - timeline.from_us
    yield f'<text class="b" x="24" y="{y}">{escape(words("legend"))}</text>'
    for state, us in timeline.totals.items():
        if us or state is State.UNKNOWN:
            y += 24
            bad = ' class="bad"' if state is State.UNKNOWN and us else ""
            look = _LOOKS[state][0] if _LOOKS[state][1] is None else f"url(#{state.value})"
            yield f'<rect x="24" y="{y - 13}" width="28" height="16" fill="{look}" stroke="#8b8f96"/>'
            yield f'<text x="62" y="{y}"{bad}>{escape(words.state(state))}</text>'
            yield f'<text class="r" x="330" y="{y}">{escape(length(us, words))}</text>'
            yield f'<text class="r" x="420" y="{y}">{share(us, whole_us, words)}</text>'
    yield f'<text class="b" x="62" y="{y + 26}">{escape(words("total"))}</text>'
    yield f'<text class="b r" x="330" y="{y + 26}">{escape(length(whole_us, words))}</text>'


def _notes(timeline: Timeline, words: Words, zone: tzinfo, y: int) -> Iterator[str]:
    unknown_us = timeline.unexplained_us
    said = words("some_unexplained", length(unknown_us, words)) if unknown_us else words("nothing_unexplained")
    yield f'<text class="{"bad" if unknown_us else "b"}" x="470" y="{y}">{escape(said)}</text>'
    shown = timeline.notes[:MAX_NOTES]
    lines = [words("proven"), *(f"{clock_time(one.at_us, zone)}  {words.note(one)}" for one in shown)]
    if len(timeline.notes) > MAX_NOTES:
        lines.append(f"… +{len(timeline.notes) - MAX_NOTES}")
    for line in _broken(lines, 100):
        y += 24
        yield f'<text class="s" x="470" y="{y}">{escape(line)}</text>'


def _broken(lines: Iterable[str], most: int) -> Iterator[str]:
    """Lines of `most` characters at most, broken at spaces."""
    for line in lines:
        short = ""
        for word in line.split(" "):
            if short and len(short) + 1 + len(word) > most:
                yield short
                short = "    " + word
            else:
                short = f"{short} {word}" if short else word
        yield short


def _pattern(state: State) -> str:
    colour, hatch = _LOOKS[state]
    if hatch is None:
        return ""
    angle, distance, width = hatch
    line = _HATCH.get(state, "#ffffff")
    return (
        f'<pattern id={quoteattr(state.value)} width="{distance}" height="{distance}" patternUnits="userSpaceOnUse"'
        f' patternTransform="rotate({angle})"><rect width="{distance}" height="{distance}" fill="{colour}"/>'
        f'<rect width="{distance}" height="{width}" fill="{line}"/></pattern>'
    )


def _x(timeline: Timeline, at_us: int) -> float:
    return LEFT + (at_us - timeline.from_us) * (WIDTH - LEFT - RIGHT) / max(timeline.to_us - timeline.from_us, 1)


def _extent(timeline: Timeline, from_us: int, to_us: int) -> tuple[str, str]:
    """Left edge and width in pixels; never so thin that it cannot be seen."""
    x = _x(timeline, from_us)
    return f"{x:.2f}", f"{max(_x(timeline, to_us) - x, 1.5):.2f}"
