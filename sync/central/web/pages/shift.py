"""A device's shift on a day: the picture, what was not recorded and why, what was so beside it.

Decided here: the page says what `vedette custody timeline` says, in its words; everybody who is signed in sees it, and
who looked is kept. Implements TI-40 to TI-42 of docs/spec/timeline.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from sync.central.web.days import Day
from sync.central.web.site import SignedIn, draw, language_of, site_of
from vedette.timeline import State, Timeline
from vedette.timeline_svg import draw_svg
from vedette.timeline_words import Words

router = APIRouter()
MAX_ROWS = 300
# What somebody or the policy asked for: it is not what a reader looks for among what was not recorded.
WANTED = (State.STANDBY, State.RETAINED, State.ASLEEP, State.OFF)
_FIRST_YEAR, _LAST_YEAR = 2000, 2100


@router.get("/devices/{device}/shift")
def show_shift(request: Request, session: SignedIn, device: str, day: str = "") -> Response:
    """The shift of `day` (2026-11-23 in the centre's own time zone; today where none is named)."""
    site, words = site_of(request), Words(language_of(request).code)
    today = datetime.fromtimestamp(site.clock.utc_us() // 1_000_000).date()
    asked = _day(day) if day else today
    found = site.days.of(device, asked)
    site.store.note_access(session.user.name, "shift.show", device, asked.isoformat())
    values = {
        "device": device,
        "day": asked,
        "today": today,
        "before": asked - timedelta(days=1),
        "after": asked + timedelta(days=1),
        "found": found,
        "words": words,
        **(_values(found, words) if found else {}),
    }
    return draw(request, "shift.html", values)


@router.get("/devices/{device}/shift.svg")
def shift_picture(request: Request, session: SignedIn, device: str, day: str) -> Response:
    """The same as a picture that stands alone."""
    asked = _day(day)
    found = site_of(request).days.of(device, asked)
    if found is None:
        raise HTTPException(404)
    words = Words(language_of(request).code)
    headers = {"Content-Disposition": f'inline; filename="{device}-{asked}.svg"'}
    picture = draw_svg(found.timeline, words, zone=found.zone, key=found.key)
    return Response(picture, media_type="image/svg+xml", headers=headers)


def _values(found: Day, words: Words) -> dict[str, object]:
    """What the template shows of a day; `beside` are (from, to, text), a note's two times are one."""
    timeline = found.timeline
    missing = [one for one in timeline.stretches if one.state is not State.RECORDED]
    totals = [(state, us) for state, us in timeline.totals.items() if us or state in (State.RECORDED, State.UNKNOWN)]
    return {
        "missing": missing[:MAX_ROWS],
        "more": len(missing) - MAX_ROWS,
        "totals": totals,
        "unknown": State.UNKNOWN,
        "wanted": WANTED,
        "beside": sorted(
            [*_rows(timeline, words), *((one.at_us, one.at_us, words.note(one)) for one in timeline.notes)]
        )[:MAX_ROWS],
    }


def _rows(timeline: Timeline, words: Words) -> Iterator[tuple[int, int, str]]:
    """The rows beside the states, each with its label."""
    for one in timeline.overlays:
        if one.to_us > one.from_us:
            label = words.label(one.label)
            yield one.from_us, one.to_us, f"{words.row(one.row)}, {label}" if label else words.row(one.row)


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise HTTPException(400) from None
    if not _FIRST_YEAR <= day.year < _LAST_YEAR:
        raise HTTPException(400)
    return day
