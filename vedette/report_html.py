"""The report in a bundle as one web page in three languages; no script, no network, nothing to load.

Decided here: how it looks on a screen and on paper; the language is chosen without a script.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from vedette.report import Report, Row, Section

_STYLE = """\
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #f1f4f7; color: #14202b; font: 16px/1.55 "Noto Sans", "Segoe UI", system-ui,
  "Noto Sans Arabic", sans-serif; }
header { background: #0b2a42; color: #fff; }
header > div, main { max-width: 58rem; margin: 0 auto; padding: 1rem 1.25rem; }
nav { display: flex; gap: .5rem; flex-wrap: wrap; }
nav label { border: 1px solid #5f7d94; border-radius: .4rem; padding: .35rem .9rem; cursor: pointer; }
input[name=language] { position: absolute; opacity: 0; }
article { display: none; background: #fff; border: 1px solid #d5dbe1; border-radius: .6rem; padding: 1.4rem 1.6rem; }
h1 { margin: 0; font-size: 1.7rem; } .subtitle { margin: .2rem 0 0; color: #566573; }
h2 { font-size: 1.1rem; margin: 1.6rem 0 .4rem; color: #0b3a5b; border-bottom: 2px solid #d5e3ee; }
p { margin: .4rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .95rem; margin-top: .4rem; }
th, td { text-align: start; vertical-align: top; padding: .35rem .5rem; border-bottom: 1px solid #e4e9ed; }
th { width: 32%; font-weight: 600; color: #34495a; overflow-wrap: anywhere; }
.code { font: .86rem/1.5 ui-monospace, "DejaVu Sans Mono", Consolas, monospace; overflow-wrap: anywhere; }
ol { margin: .4rem 0; padding-inline-start: 1.5rem; } li { margin: .3rem 0; }
@media print { header { display: none; } body { background: #fff; font-size: 10.5pt; }
  article { border: 0; padding: 0; }
  h2 { break-after: avoid; } tr { break-inside: avoid; } }
"""


def page(parts: Sequence[Report]) -> bytes:
    """The page; the first report is shown when it is opened."""
    shown = "\n".join(
        f'body:has(#to-{one.language}:checked) article[lang="{one.language}"] {{ display: block; }}\n'
        f'body:has(#to-{one.language}:checked) label[for="to-{one.language}"] {{ background: #fff; color: #0b2a42; }}\n'
        f'#to-{one.language}:focus-visible ~ nav label[for="to-{one.language}"] {{ outline: 3px solid #3f9bdc; }}'
        for one in parts
    )
    choices = "".join(
        f'<input type="radio" name="language" id="to-{one.language}"{" checked" if one is parts[0] else ""}>'
        for one in parts
    )
    labels = "".join(f'<label for="to-{one.language}" lang="{one.language}">{one.name}</label>' for one in parts)
    return (
        f'<!doctype html>\n<html lang="{parts[0].language}">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(parts[0].title)}: {escape(parts[0].subtitle)}</title>\n"
        f"<style>\n{_STYLE}{shown}\n</style>\n</head>\n<body>\n"
        f"<header><div>{choices}<nav>{labels}</nav></div></header>\n<main>\n"
        + "\n".join(map(_article, parts))
        + "\n</main>\n</body>\n</html>\n"
    ).encode()


def _article(report: Report) -> str:
    direction = "rtl" if report.language == "ar" else "ltr"
    sections = "\n".join(map(_section, report.sections))
    return (
        f'<article lang="{report.language}" dir="{direction}">\n<h1>{escape(report.title)}</h1>\n'
        f'<p class="subtitle"><bdi>{escape(report.subtitle)}</bdi></p>\n{sections}\n</article>'
    )


def _section(section: Section) -> str:
    parts = [f"<h2>{escape(section.title)}</h2>", *(f"<p>{escape(one)}</p>" for one in section.sentences)]
    if section.rows:
        parts.append("<table>\n" + "\n".join(map(_row, section.rows)) + "\n</table>")
    if section.steps:
        parts.append("<ol>" + "".join(f"<li>{escape(one)}</li>" for one in section.steps) + "</ol>")
    return "\n".join(parts)


def _row(row: Row) -> str:
    value = (
        f'<bdi dir="ltr" class="code">{escape(row.value)}</bdi>' if row.is_code else f"<bdi>{escape(row.value)}</bdi>"
    )
    return f'<tr><th scope="row"><bdi>{escape(row.label)}</bdi></th><td>{value}</td></tr>'
