"""An audit's report as a MIME bundle: tables for a page, and the same as Markdown and as text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..markup import escape, plain
from .page import framed, table

if TYPE_CHECKING:
    from ...examine.report import Report, Table


def report_bundle(report: Report) -> dict[str, str]:
    """The report for a notebook's page, for front ends without HTML and for a terminal."""
    from ...examine.report import text_of

    text = plain(text_of(report))
    # As code: texts of models stand in it, which must not become links, pictures or HTML.
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return {"text/html": _html(report), "text/markdown": f"{fence}text\n{text}\n{fence}", "text/plain": text}


def _html(report: Report) -> str:
    tables = "".join(map(_table, report.shown))
    notes = "".join(f"<p>{escape(note)}</p>" for note in report.notes)
    return framed(f"<p><strong>{escape(report.title)}</strong></p>{tables}{notes}")


def _table(each: Table) -> str:
    title = f"<p>{escape(each.title)}</p>" if each.title else ""
    return title + table(each.head if any(each.head) else (), each.rows)
