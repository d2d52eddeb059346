"""Notebooks and DataFrames as bounded text."""

from __future__ import annotations

import bisect
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from ..errors import SettingsError

MAX_SHOWN = 2_000  # characters of one output of a notebook: a table or an error, not a log
FIRST_ROWS = 100  # rows that are written first, to see how long they are


@dataclass(frozen=True, slots=True)
class Table:
    """A frame as CSV, and which rows of it in words."""

    csv: str
    note: str


def notebook_text(text: str) -> str:
    """The cells of a Jupyter notebook with their text outputs; empty if it is none."""
    if not (text.lstrip().startswith("{") and '"cells"' in text and '"nbformat"' in text):
        return ""
    try:
        cells = json.loads(text)["cells"]
        return "\n\n".join(f"[cell {number}, {_cell(cell)}" for number, cell in enumerate(cells, 1))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""


def _cell(cell: dict[str, Any]) -> str:
    outputs = [shown for output in cell.get("outputs", ()) if (shown := _output(output))]
    return "\n".join([f"{cell['cell_type']}]\n{_joined(cell['source'])}", *(f"[output]\n{shown}" for shown in outputs)])


def _output(output: dict[str, Any]) -> str:
    data = output.get("data", {})
    if output.get("output_type") == "error":
        shown = f"{output.get('ename')}: {output.get('evalue')}"
    elif picture := next((kind for kind in data if kind.startswith("image/")), None):
        shown = f"({picture}, not shown)"
    else:
        shown = _joined(output.get("text") or data.get("text/plain") or "").strip()
    return shown if len(shown) <= MAX_SHOWN else f"{shown[:MAX_SHOWN]} […]"


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)


def frame_text(value: object, limit: int, name: str) -> Table | None:
    """A DataFrame or Series of pandas or polars as CSV, as many of its rows as fit; None if it is none.

    Args:
        value: anything.
        limit: characters.
        name: what an error calls it.

    Raises:
        SettingsError: it has values that CSV can't hold.
    """
    writer = _writer(value)
    if writer is None:
        return None
    rows = len(cast("Any", value))
    try:
        csv, count = _that_fit(rows, writer, limit)
    except Exception as exc:
        raise SettingsError(f"{name} can't be written as CSV ({type(exc).__name__}: {exc}).") from exc
    return Table(csv, f"the first {count:,} of {rows:,} rows" if count < rows else "")


def _writer(value: object) -> Callable[[int], str] | None:
    """What writes the first rows of a frame as CSV."""
    pandas: Any = sys.modules.get("pandas")  # no frame without it, and no import for its sake
    if hasattr(pandas, "DataFrame") and isinstance(value, (pandas.DataFrame, pandas.Series)):
        frame: Any = value
        numbered = isinstance(frame.index, pandas.RangeIndex)  # the index then says nothing
        return lambda count: frame.head(count).to_csv(index=not numbered)
    polars: Any = sys.modules.get("polars")
    if hasattr(polars, "DataFrame") and isinstance(value, (polars.DataFrame, polars.Series)):
        table: Any = value if isinstance(value, polars.DataFrame) else cast("Any", value).to_frame()
        return lambda count: table.head(count).write_csv()
    return None


def _that_fit(rows: int, write: Callable[[int], str], limit: int) -> tuple[str, int]:
    """(the CSV of as many rows as fit, their number), without writing a large frame to find out."""
    count = min(rows, FIRST_ROWS)
    while len(csv := write(count)) <= limit and count < rows:
        count = min(rows, 2 * count)
    if len(csv) > limit:
        count = max(1, bisect.bisect_right(range(count), limit, key=lambda number: len(write(number))) - 1)
        csv = write(count)
    return csv, count
