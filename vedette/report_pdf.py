"""The report in a bundle as one PDF in three languages, Arabic shaped and from right to left.

Decided here: how it looks on paper, which typefaces it is set in (Noto Sans and Noto Sans Arabic under the Open Font
Licence, from Debian's fonts-noto-core; what is used of them goes into the file), and that nothing but the report and
its time makes the bytes (BU-8). The one home of fpdf2 and uharfbuzz.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

from fpdf import FPDF

from vedette.errors import NotFound
from vedette.report import Report, Row, Section

FONT_FOLDERS = (Path("/usr/share/fonts/truetype/noto"), Path("/usr/share/fonts/noto"))
_FACES = (
    ("sans", "", "NotoSans-Regular.ttf"),
    ("sans", "B", "NotoSans-Bold.ttf"),
    ("arabic", "", "NotoSansArabic-Regular.ttf"),
    ("arabic", "B", "NotoSansArabic-Bold.ttf"),
)
_FIRST_SHAPED = "\u0590"
_INK, _SOFT, _DEEP, _RULE = (20, 32, 43), (86, 101, 115), (11, 58, 91), (213, 219, 225)
_MARGIN_MM, _LABEL_MM, _GAP_MM, _LINE_MM, _FOOT_MM = 18, 50, 3, 4.9, 18


def document(parts: Sequence[Report], *, made_us: int, item: str) -> bytes:
    """The PDF of these reports one behind the other, dated `made_us` (UTC microseconds).

    Raises NotFound where the typefaces are not installed.
    """
    paper = _Paper(item)
    moment = datetime.datetime.fromtimestamp(made_us // 1_000_000, datetime.timezone.utc)
    paper.set_creation_date(moment)
    paper.set_title(f"{parts[0].title} {item}")
    paper.set_creator("Vedette")
    paper.set_producer("Vedette")
    paper.set_lang(parts[0].language)
    for family, style, name in _FACES:
        paper.add_font(family, style, _font(name))
    paper.set_fallback_fonts(["sans", "arabic"], exact_match=False)
    for report in parts:
        paper.write_report(report)
    return bytes(paper.output())


class _Paper(FPDF):
    """The pages; a report begins on a new one."""

    def __init__(self, item: str) -> None:
        super().__init__(format="A4")
        self._item = item
        self._rtl = False
        self.set_margins(_MARGIN_MM, _MARGIN_MM, _MARGIN_MM)
        self.set_auto_page_break(True, _FOOT_MM)

    def footer(self) -> None:
        """Item and page, on every page."""
        self.set_text_shaping(False)
        self.set_y(-13)
        self.set_font("sans", "", 7.5)
        self.set_text_color(*_SOFT)
        self.cell(0, 5, f"{self._item}   ·   {self.page_no()} / {{nb}}", align="C")

    def write_report(self, report: Report) -> None:
        """All sections of a report."""
        self._rtl = report.language == "ar"
        self.add_page()
        self.start_section(report.name)
        self.set_fill_color(*_DEEP)
        self.rect(0, 0, self.w, 28, style="F")
        self.set_y(6)
        self._face(report.title, "B", 19, (255, 255, 255))
        self._line(report.title, 9)
        self._plain(report.subtitle, "", 9.5, (214, 228, 240))
        self._line(report.subtitle, 6)
        self.set_y(31)
        for section in report.sections:
            self._section(section)

    def _section(self, section: Section) -> None:
        if self.will_page_break(24):
            self.add_page()
        self.ln(2.5)
        self._face(section.title, "B", 11.5, _DEEP)
        self._line(section.title, 6)
        self.set_draw_color(*_RULE)
        self.line(_MARGIN_MM, self.get_y(), self.w - _MARGIN_MM, self.get_y())
        self.ln(1.2)
        for sentence in section.sentences:
            self._face(sentence, "", 9.5)
            self._line(sentence, _LINE_MM)
        self.ln(0.6)
        for row in section.rows:
            self._row(row)
        for number, step in enumerate(section.steps, start=1):
            self._face(step, "", 9.5)
            self._line(f"{number}. {step}", _LINE_MM)
            self.ln(0.5)

    def _row(self, row: Row) -> None:
        """Label and value beside each other, on the sides that the language reads from."""
        width = self.w - 2 * _MARGIN_MM - _LABEL_MM - _GAP_MM
        self._label_face(row)
        left = self._height(_LABEL_MM, row.label)
        self._value_face(row)
        height = max(left, self._height(width, row.value))
        if self.will_page_break(height):
            self.add_page()
        top = self.get_y()
        label_x = self.w - _MARGIN_MM - _LABEL_MM if self._rtl else _MARGIN_MM
        value_x = _MARGIN_MM if self._rtl else _MARGIN_MM + _LABEL_MM + _GAP_MM
        self._label_face(row)
        self._put(label_x, top, _LABEL_MM, row.label)
        self._value_face(row)
        self._put(value_x, top, width, row.value)
        self.set_xy(_MARGIN_MM, top + height + 0.7)

    def _put(self, x: float, y: float, width: float, text: str) -> None:
        self.set_xy(x, y)
        self.multi_cell(width, _LINE_MM, text, align="R" if self._rtl else "L")

    def _height(self, width: float, text: str) -> float:
        lines = self.multi_cell(width, _LINE_MM, text, align="L", dry_run=True, output="LINES")
        return _LINE_MM * max(1, len(lines) if isinstance(lines, list) else 1)

    def _line(self, text: str, height: float) -> None:
        self.set_x(_MARGIN_MM)
        self.multi_cell(0, height, text, align="R" if self._rtl else "L", new_x="LMARGIN", new_y="NEXT")

    def _label_face(self, row: Row) -> None:
        is_latin = self._rtl and row.label.isascii()
        (self._plain if is_latin else self._face)(row.label, "", 8.6, _SOFT)

    def _value_face(self, row: Row) -> None:
        (self._plain if row.is_code else self._face)(row.value, "", 8.6 if row.is_code else 9.2)

    def _face(self, text: str, style: str, size: float, ink: tuple[int, int, int] = _INK) -> None:
        """The language's own face and direction for `text`."""
        if not self._rtl:
            self._plain(text, style, size, ink)
            return
        # Latin words within Arabic are shaped from their end: "if" would become the ligature of "fi".
        self.set_text_shaping(True, {"liga": False, "clig": False}, direction="rtl", script="arab", language="ara")
        self.set_font("arabic", style, size)
        self.set_text_color(*ink)

    def _plain(self, text: str, style: str, size: float, ink: tuple[int, int, int] = _INK) -> None:
        """From left to right, for codes in every language; shaped only where `text` has letters that need it."""
        if all(character < _FIRST_SHAPED or "\u2000" <= character < "\u2100" for character in text):
            self.set_text_shaping(False)
        else:
            self.set_text_shaping(True, {"liga": False}, direction="ltr")
        self.set_font("sans", style, size)
        self.set_text_color(*ink)


def _font(name: str) -> Path:
    for folder in FONT_FOLDERS:
        if (folder / name).is_file():
            return folder / name
    raise NotFound(f"the typeface {name} is not here; install Noto Sans (Debian: apt install fonts-noto-core)")
