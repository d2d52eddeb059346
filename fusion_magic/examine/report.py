"""What an audit shows: a title, sentences and tables, drawn as text here and for a page in `jupyter.static`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..characters import plain

WIDEST = 90  # characters of a cell in a terminal; a page shows the whole


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts below a head, with a title."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A title, tables that are not empty, and sentences below them."""

    title: str
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def shown(self) -> tuple[Table, ...]:
        """The tables that have rows."""
        return tuple(table for table in self.tables if table.rows)


class Shown:
    """A value that shows itself by its `report`: as text with `print`, as tables in a notebook."""

    @property
    def report(self) -> Report:
        """What is shown."""
        raise NotImplementedError

    def __str__(self) -> str:
        return text_of(self.report)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.report.title}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        from ..jupyter.static.reports import report_bundle

        return report_bundle(self.report)


def text_of(report: Report) -> str:
    """The report as plain text."""
    tables = ["\n".join(filter(None, (table.title, *_lines(table)))) for table in report.shown]
    return "\n\n".join(filter(None, (one_line(report.title), *tables, "\n".join(map(one_line, report.notes)))))


def one_line(text: str) -> str:
    """A text on one line, without what a terminal would obey."""
    return " ".join(plain(text).split())


def _lines(table: Table) -> list[str]:
    rows = (table.head, *table.rows) if any(table.head) else table.rows
    lines = [tuple(_cell(cell) for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [_line(line, widths) for line in lines]


def _cell(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= WIDEST else f"{line[: WIDEST - 1]}…"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  " + "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
