"""Rows on their way in and out: frames, series, lists and generators, and what comes back in the same shape."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, cast

from pydantic import BaseModel

from ..errors import SettingsError

RowStatus = Literal["ok", "limited", "cancelled", "error", "pending"]
# Column, and its dtype in pandas and polars; pandas' own for text changed with pandas 3, so it is left to pandas.
COLUMNS: dict[str, tuple[str, str]] = {
    "answer": ("", "String"),
    "agreement": ("float64", "Float64"),
    "contradictions": ("Int64", "Int64"),
    "cost": ("float64", "Float64"),
    "status": ("", "String"),
    "error": ("", "String"),
    "run": ("", "String"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one row.

    Attributes:
        answer: the synthesizer's; None without one.
        parsed: the answer as the schema, or None.
        agreement: mean agreement of two seats by the judge's points, 0 to 1; None without an analysis or a second seat.
        contradictions: how many the judge found; None without an analysis.
        cost: US dollars that were paid for it now, so 0.0 where the store had it; None if no call is priced.
        status: as a run's; "limited" also if it was not asked for want of money, "pending" if its turn did not come.
        error: why there is no answer, or not a whole one.
        run: `load(run)` has everything else.
    """

    answer: str | None = None
    parsed: Any = None
    agreement: float | None = None
    contradictions: int | None = None
    cost: float | None = None
    status: RowStatus = "pending"
    error: str | None = None
    run: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from, and the shape in which theirs go back.

    Attributes:
        rows: read once, from the beginning.
        total: how many; None if it shows only at the end.
        columns: their names, where all rows have the same.
        library: of the frame or series: "pandas" or "polars".
        index: pandas'.
    """

    rows: Iterable[Any]
    total: int | None = None
    columns: tuple[str, ...] | None = None
    library: str = ""
    index: Any = None

    def output(self, found: Mapping[int, Row], missing: Row, schema: type[BaseModel] | None) -> Any:
        """A frame with a row for each that came in, or the rows in order; `missing` for one that is not found."""
        count = self.total if self.total is not None else max(found, default=-1) + 1
        rows = [found.get(number, missing) for number in range(count)]
        if not self.library:
            return rows
        return _pandas(rows, schema, self.index) if self.library == "pandas" else _polars(rows, schema)


def source_of(rows: Any) -> Source:
    """The source of what the caller gave. Raises SettingsError for what has no rows."""
    for library in ("pandas", "polars"):
        module = sys.modules.get(library)
        if module is None:
            continue
        if isinstance(rows, module.DataFrame):
            names = tuple(map(str, rows.columns))
            values = rows.itertuples(index=False, name=None) if library == "pandas" else rows.iter_rows()
            mappings = (dict(zip(names, value, strict=True)) for value in values)
            return Source(mappings, len(rows), names, library, getattr(rows, "index", None))
        if isinstance(rows, module.Series):
            return Source(rows, len(rows), None, library, getattr(rows, "index", None))
        if isinstance(rows, getattr(module, "LazyFrame", ())):
            raise SettingsError("A LazyFrame has no rows yet; give `frame.collect()`.")
    if isinstance(rows, str | bytes | Mapping) or not isinstance(rows, Iterable):
        kind = type(cast("object", rows)).__name__
        raise SettingsError(f"Rows come from a frame, a series, a list or a generator, not from a {kind}.")
    known = cast("Iterable[Any]", rows)
    return Source(known, len(cast("Sized", rows)) if isinstance(rows, Sized) else None)


def parsed_names(schema: type[BaseModel] | None) -> dict[str, str]:
    """The column of each field of the schema; one that is called as a column of ours gets `parsed_` before it."""
    names: dict[str, str] = {}
    for field in schema.model_fields if schema else ():
        name = field
        while name in COLUMNS or name in names.values():
            name = f"parsed_{name}"
        names[field] = name
    return names


def _values(rows: Sequence[Row], schema: type[BaseModel] | None) -> Iterator[tuple[str, list[Any], str, str]]:
    """(column, values, dtype in pandas, in polars), the answer first, then the fields of the schema."""
    for name, (pandas, polars) in COLUMNS.items():
        yield name, [getattr(row, name) for row in rows], pandas, polars
        if name == "answer":
            fields: list[dict[str, Any]] = [row.parsed.model_dump() if row.parsed is not None else {} for row in rows]
            for field, column in parsed_names(schema).items():
                yield column, [_plain(values.get(field)) for values in fields], "", ""


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _pandas(rows: Sequence[Row], schema: type[BaseModel] | None, index: Any) -> Any:
    import pandas  # pyright: ignore[reportMissingTypeStubs] - there, as the rows are its own

    text = pandas.Series([""]).dtype
    columns = {
        # Arrays: columns with labels of their own would be matched by them, and labels may come twice.
        name: pandas.Series(values, dtype=dtype or (text if name in COLUMNS else None)).array
        for name, values, dtype, _ in _values(rows, schema)
    }
    return pandas.DataFrame(columns, index=index)


def _polars(rows: Sequence[Row], schema: type[BaseModel] | None) -> Any:
    import polars

    return polars.DataFrame(
        [
            polars.Series(name, values, dtype=getattr(polars, dtype) if dtype else None, strict=False)
            for name, values, _, dtype in _values(rows, schema)
        ]
    )
