"""The gallery's pages: plain HTML that works from a disk, without scripts and without anything from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from html import escape

from models.evaluate.errors import KINDS, percent
from models.evaluate.seen import Guess
from models.evaluate.texts import is_arabic, pieces, same

NOTE = (
    "These pages show real plates of real people. They were written because somebody asked for them: keep them on this "
    "machine, do not publish or commit them, and delete the folder when you are done."
)
MARK = '<meta name="generator" content="vedette gallery">'
STYLE = """
:root { color-scheme: light; --ink: #1c2330; --soft: #5b6472; --line: #d9dee6; --back: #f4f6f9; --bad: #b3261e; }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; color: var(--ink); background: var(--back); }
main { max-width: 1180px; margin: 0 auto; padding: 24px 20px 60px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 36px 0 12px; }
a { color: #1f4fa3; }
.soft { color: var(--soft); }
.note { background: #fff4d6; border: 1px solid #e6cf8b; border-radius: 8px; padding: 10px 14px; margin: 16px 0; }
b { font-weight: 600; } .green { color: #2b8a2b; } .red { color: #d02828; } .blue { color: #1e78c8; }
table { border-collapse: collapse; background: #fff; border: 1px solid var(--line); border-radius: 8px; }
th, td { padding: 8px 14px; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; }
th { font-weight: 600; color: var(--soft); font-size: 13px; vertical-align: bottom; max-width: 140px; }
.cases { display: grid; grid-template-columns: repeat(auto-fill, minmax(340px, 1fr)); gap: 16px; }
article { background: #fff; border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
article img { display: block; width: 100%; height: auto; background: #222; }
article img.scene { aspect-ratio: 4 / 3; object-fit: contain; }
article img.straight { border-top: 1px solid var(--line); }
.text { padding: 10px 14px 14px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 14px; margin: 0 0 8px; }
dt { color: var(--soft); } dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
bdo { font: 600 17px/1.4 "DejaVu Sans Mono", ui-monospace, monospace; unicode-bidi: isolate-override; }
dd.others bdo { font-size: 14px; font-weight: 400; }
mark { background: #ffd9d6; color: var(--bad); border-radius: 3px; }
.file { font-size: 12px; color: var(--soft); overflow-wrap: anywhere; }
p { margin: 6px 0; }
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """One case as it is shown; picture paths are relative to the page."""

    kind: str
    file: str
    truth: str | None
    read: str | None
    confidence_permille: int
    alternatives: tuple[Guess, ...]
    why: str
    scene: str
    scene_px: tuple[int, int]
    straight: str | None
    is_crop: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One line of the first page."""

    set: str
    page: str
    pictures: int
    plates: int
    counts: dict[str, int]


def page(title: str, body: str) -> str:
    """A whole document."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{MARK}\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )


def index(entries: Sequence[Entry]) -> str:
    """The first page: how many of each kind in each set."""
    kinds = [kind for kind in KINDS if any(one.counts.get(kind) for one in entries)]
    heads = "".join(f"<th>{escape(head)}</th>" for head in ("Set", "Pictures", "Plates", *(KINDS[k] for k in kinds)))
    rows = "".join(
        f'<tr><td><a href="{escape(one.page)}">{escape(one.set)}</a></td><td>{one.pictures}</td><td>{one.plates}</td>'
        + "".join(f"<td>{one.counts.get(kind, 0)}</td>" for kind in kinds)
        + "</tr>\n"
        for one in entries
    )
    body = f'<h1>What went wrong</h1>\n<p class="note">{NOTE}</p>\n<table>\n<tr>{heads}</tr>\n{rows}</table>\n'
    return page("What went wrong", body)


def set_page(name: str, cards: Sequence[Card]) -> str:
    """The page of one set, its cases by kind."""
    parts = [
        f'<p><a href="index.html">All sets</a></p>\n<h1>{escape(name)}</h1>\n<p class="note">{NOTE}</p>\n',
        '<p class="soft key">Outlines: <b class="green">labelled</b>, <b class="red">the read that counts</b>, '
        '<b class="blue">other finds</b>. Below each picture the plate as it was cut for reading.</p>\n',
    ]
    if not cards:
        parts.append("<p>Nothing went wrong here.</p>\n")
    for kind, head in KINDS.items():
        mine = [card for card in cards if card.kind == kind]
        if mine:
            shown = "".join(article(card) for card in mine)
            parts.append(
                f'<h2>{escape(head)} <span class="soft">({len(mine)})</span></h2>\n<div class="cases">\n{shown}</div>\n'
            )
    return page(name, "".join(parts))


def article(card: Card) -> str:
    """One case."""
    width, height = card.scene_px
    kind = "" if card.is_crop else ' class="scene"'
    pictures = f'<img{kind} src="{escape(card.scene)}" width="{width}" height="{height}" alt="" loading="lazy">\n'
    if card.straight is not None:
        pictures += f'<img class="straight" src="{escape(card.straight)}" alt="" loading="lazy">\n'
    facts = [("Label", "not known" if card.truth is None and card.kind != "stray" else plate(card.truth))]
    if card.read is not None:
        compared = marked(card.read, card.truth) if card.truth is not None else plate(card.read)
        facts.append(("Read", f'{compared} <span class="soft">{percent(card.confidence_permille)}</span>'))
    else:
        facts.append(("Read", "nothing"))
    rows = "".join(f"<dt>{head}</dt><dd>{value}</dd>" for head, value in facts)
    others = [_other(one, card.truth) for one in card.alternatives if one.confidence_permille > 0]
    if others:
        rows += f'<dt>Or</dt><dd class="others">{"<br>".join(others)}</dd>'
    return (
        f'<article>\n{pictures}<div class="text"><dl>{rows}</dl><p>{escape(card.why)}</p>'
        f'<p class="file">{escape(card.file)}</p></div>\n</article>\n'
    )


def _other(one: Guess, truth: str | None) -> str:
    right = ' <b class="green">the label</b>' if truth is not None and same(one.text, truth) else ""
    return f'{plate(one.text)} <span class="soft">{percent(one.confidence_permille)}</span>{right}'


def plate(text: str | None) -> str:
    """A plate's text, left to right whatever its letters are."""
    return "none" if text is None else f'<bdo dir="ltr">{_written(text)}</bdo>'


def _written(text: str) -> str:
    """The parts of a text from left to right, an Arabic word among them from right to left."""
    parts = ((escape(part), is_arabic(part)) for part in pieces(text))
    return "".join(f'<bdo dir="rtl">{part}</bdo>' if arabic else part for part, arabic in parts)


def marked(read: str, truth: str) -> str:
    """The text read, with what is not in the label marked; a dot marks a place where something is missing."""
    parts = []
    for kind, a, b, c, d in SequenceMatcher(None, truth, read, autojunk=False).get_opcodes():
        if kind == "equal" or (kind == "replace" and set(truth[a:b]) == {"?"}):
            parts.append(_written(read[c:d]))
        elif kind == "delete":
            parts.append("" if set(truth[a:b]) == {"?"} else "<mark>·</mark>")
        else:
            parts.append(f"<mark>{_written(read[c:d])}</mark>")
    return f'<bdo dir="ltr">{"".join(parts)}</bdo>'
