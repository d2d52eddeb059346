"""Brings pandas and polars DataFrames into a form that DuckDB reads, without changing or copying their data."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterable
from typing import Any, cast

from ..characters import plain


class Stream:
    """A polars frame by its Arrow stream: DuckDB's own way to read polars needs pyarrow."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._frame.__arrow_c_stream__(requested_schema)


def is_pandas(value: object) -> bool:
    """Whether it is a pandas DataFrame, or of a class that derives from it."""
    return _is("pandas", value)


def is_frame(value: object) -> bool:
    """Whether it is a pandas or polars DataFrame."""
    return is_pandas(value) or _is("polars", value)


def _is(library: str, value: object) -> bool:
    loaded = sys.modules.get(library)  # there is no frame of a library that was never imported
    return loaded is not None and isinstance(value, loaded.DataFrame)


def tidy(frame: Any) -> Any:
    """The frame with column names that are text and differ in more than case, and its index as columns.

    An index is kept where it says something: it has a name, several levels, or is not made of whole numbers.
    """
    if not is_pandas(frame):
        return frame.rename(dict(zip(frame.columns, names(frame.columns), strict=True)))
    pandas: Any = sys.modules["pandas"]
    shallow = pandas.DataFrame(frame, copy=False).copy(deep=False)
    levels = [frame.index.get_level_values(at) for at in range(frame.index.nlevels)] if _speaks(frame.index) else []
    index = ["index" if level.name is None else level.name for level in levels]
    shallow.columns = pandas.Index(names([*index, *shallow.columns])[len(index) :], dtype=object)
    for at, name in reversed(list(enumerate(names([*index, *frame.columns])[: len(index)]))):
        shallow.insert(0, name, levels[at])
    return shallow.reset_index(drop=True)


def _speaks(index: Any) -> bool:
    return index.nlevels > 1 or index.name is not None or index.dtype.kind not in "iu"


def names(columns: Iterable[Hashable]) -> list[str]:
    """Column names for SQL: text, not empty, and different without regard to case."""
    taken, given = set[str](), list[str]()
    for place, column in enumerate(columns):
        parts = cast("tuple[object, ...]", column) if isinstance(column, tuple) else (column,)
        name = plain(" ".join(str(part) for part in parts if part != "")).strip() or f"column {place + 1}"
        number, unique = 1, name
        while unique.casefold() in taken:
            number += 1
            unique = f"{name}_{number}"
        taken.add(unique.casefold())
        given.append(unique)
    return given


def worded(frame: Any, columns: Iterable[str]) -> Any:
    """The frame with these columns as text."""
    return frame.assign(**{column: _words(frame[column]) for column in columns})


def _words(column: Any) -> Any:
    pandas: Any = sys.modules["pandas"]
    missing = column.isna().tolist()
    values = [None if gone else _text(value) for gone, value in zip(missing, column.tolist(), strict=True)]
    return pandas.Series(values, index=column.index, dtype=object)


def _text(value: object) -> str:
    try:
        return str(value).encode("utf-8", "replace").decode()
    except Exception as exc:  # of somebody's __str__
        return f"({type(value).__name__}: {type(exc).__name__})"
