"""How stored values become what a person reads: plates, confidence, coordinates, times, as Jinja filters.

Decided here: a plate is drawn in its own fields, left to right, each isolated, so that an Arabic letter cannot reorder
the digits around it; a confidence is words first, because it tells how often such reads are right and proves nothing of
this one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from itertools import groupby

from markupsafe import Markup, escape

from sync.central.web.language import Language
from vedette.hitfile import Position

HIGH_PERMILLE = 950
MEDIUM_PERMILLE = 850
_FIELD_MARK = "|"


def plate(text: str, region: str = "") -> Markup:
    """A plate as its fields (`12345|أ|6` has three), always in left-to-right order, each with its own direction."""
    fields = [run for part in text.split(_FIELD_MARK) for run in _runs(part.strip())]
    spans = Markup("").join(
        Markup('<bdi class="field"{}>{}</bdi>').format(_script(part), part) for part in fields if part
    )
    kind = Markup(" split") if len(fields) > 1 else Markup("")
    badge = Markup('<span class="region">{}</span>').format(region) if region else Markup("")
    return Markup('<span class="plate{}" dir="ltr" translate="no">{}{}</span>').format(kind, badge, spans)


def _runs(field: str) -> list[str]:
    """A field by script, in reading order: a Tunisian plate has its word between two numbers."""
    return ["".join(run) for _, run in groupby(field, _is_arabic)]


def _is_arabic(letter: str) -> bool:
    return "\u0600" <= letter <= "\u06ff"


def _script(text: str) -> Markup:
    return Markup(' lang="ar" dir="rtl"') if any(map(_is_arabic, text)) else Markup(' dir="ltr"')


def confidence(permille: int) -> str:
    """The translation key of the words for a reader's confidence."""
    if permille >= HIGH_PERMILLE:
        return "confidence.high"
    return "confidence.medium" if permille >= MEDIUM_PERMILLE else "confidence.low"


def machine_time(utc_us: int) -> str:
    """`2026-11-23T09:21:05Z`, for the datetime attribute."""
    return datetime.fromtimestamp(utc_us // 1_000_000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def coordinates(position: Position) -> str:
    """`34.0208820, -6.8416500`: decimal degrees as every map takes them."""
    return f"{_degrees(position.lat_e7)}, {_degrees(position.lon_e7)}"


def _degrees(value_e7: int) -> str:
    whole, rest = divmod(abs(value_e7), 10_000_000)
    return f"{'-' if value_e7 < 0 else ''}{whole}.{rest:07d}"


def moment(utc_us: int, language: Language) -> Markup:
    """A `<time>` element with the day, the time and the offset."""
    return Markup('<time datetime="{}">{}</time>').format(machine_time(utc_us), language.moment(utc_us))


def ago(utc_us: int, language: Language, now_us: int) -> Markup:
    """A `<time>` element that says how long ago; the page's script keeps it true."""
    words = language.say("ago", span=language.duration(now_us - utc_us))
    return Markup('<time class="ago" datetime="{}" data-ago="{}">{}</time>').format(
        machine_time(utc_us), language.say("ago", span="{}"), words
    )


def short(identifier: str) -> Markup:
    """The end of an id, which differs where neighbours begin alike, with the whole id as its title."""
    return Markup('<code class="id" title="{}">…{}</code>').format(identifier, escape(identifier[-8:]))


FILTERS: Mapping[str, Callable[..., str]] = {
    "plate": plate,
    "confidence": confidence,
    "machine_time": machine_time,
    "coordinates": coordinates,
    "moment": moment,
    "ago": ago,
    "short": short,
}
