"""Read-only tools over the analyst's DataFrames: describe, head, and SQL.

The frames that were named on the line are written once, at the first call, into a DuckDB file of a private temporary
folder; queries run over that file in a process of their own (`sql.py`). So every seat sees the same data, nothing in
the notebook can change by a query, and what was not named does not exist there.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from ..errors import SettingsError, ToolError
from . import Output, Tool, typed
from .columns import Stream, is_frame, is_pandas, tidy, worded
from .sql import ROWS, SECONDS, Rows, ask, packages

NAME = "frames.duckdb"
HEAD = 50
WRITING = 60.0  # seconds to write the frames into the file; a million rows of four columns took 3
TOP = 5  # frequent values that describe shows


class Describe(BaseModel):
    """Arguments of `data_describe`."""

    frame: str = Field(description="name of the data")


class Head(Describe):
    """Arguments of `data_head`."""

    n: int = Field(default=10, ge=1, le=HEAD, description="how many rows")
    columns: list[str] | None = Field(default=None, description="only these columns")


class Query(BaseModel):
    """Arguments of `data_query`."""

    sql: str = Field(min_length=1, max_length=20_000, description="one SELECT statement in DuckDB's SQL")


def frame_tools(frames: Mapping[str, Any]) -> tuple[Tool, ...]:
    """`data_describe`, `data_head` and `data_query` over pandas or polars DataFrames, by the names they are asked with.

    Raises:
        SettingsError: DuckDB is not installed, something is not a DataFrame, or two names differ only in case.
    """
    packages()
    _check(frames)
    snapshot = Snapshot(frames)
    told = f"Data: {', '.join(map(quoted, frames))}."

    async def describe(asked: Describe) -> Output:
        return await _describe(await snapshot.file(), snapshot.known(asked.frame))

    async def head(asked: Head) -> Output:
        columns = ", ".join(map(quoted, asked.columns)) if asked.columns else "*"
        file, name = await snapshot.file(), snapshot.known(asked.frame)
        return Output((await ask(file, f"SELECT {columns} FROM {quoted(name)} LIMIT {asked.n}")).table())

    async def query(asked: Query) -> Output:
        return Output((await ask(await snapshot.file(), asked.sql)).table())

    limit = WRITING + SECONDS + 10  # the reasons of the limits within are better told than a cancellation
    sql = (
        f"Reads the data with one SELECT in DuckDB's SQL; at most {ROWS} rows come back, so aggregate. Names that "
        f'are not plain words stand in "double quotes". {told}'
    )
    return (
        typed(
            "data_describe", f"Columns, types, missing and frequent values. {told}", Describe, describe, timeout=limit
        ),
        typed("data_head", f"The first rows. {told}", Head, head, timeout=limit),
        typed("data_query", sql, Query, query, timeout=limit),
    )


def _check(frames: Mapping[str, Any]) -> None:
    for name, frame in frames.items():
        if not is_frame(frame):
            kind = type(frame).__name__
            raise SettingsError(f'"{name}" is a {kind}, not a DataFrame; give --data a pandas or polars DataFrame.')
        if not len(frame.columns):
            raise SettingsError(f'"{name}" has no columns; leave it out of --data.')
    if len({name.casefold() for name in frames}) < len(frames):
        raise SettingsError("Two names of --data differ only in case, which SQL does not see; rename one.")


def quoted(name: str) -> str:
    """A name for SQL."""
    return '"' + name.replace('"', '""') + '"'


async def _describe(file: Path, name: str) -> Output:
    summary = await ask(file, f"SUMMARIZE {quoted(name)}")
    place = {column: at for at, column in enumerate(summary.columns)}
    kept = [column for column in summary.columns if column != "count"]
    rows = summary.rows[0][place["count"]]  # the same in each
    worded = [
        str(row[place["column_name"]])
        for row in summary.rows
        if str(row[place["column_type"]]).startswith(("VARCHAR", "ENUM", "BOOLEAN"))
    ]
    table = Rows(
        kept, [[row[place[column]] for column in kept] for row in summary.rows], summary.count, summary.whole
    ).table(30_000)
    return Output(f"{name}: {rows} rows, {summary.count} columns\n{table}" + await _frequent(file, name, worded))


async def _frequent(file: Path, name: str, columns: Iterable[str]) -> str:
    chosen = list(columns)[:30]
    if not chosen:
        return ""
    tops = ", ".join(f"approx_top_k(left(CAST({quoted(column)} AS VARCHAR), 60), {TOP})" for column in chosen)
    found = await ask(file, f"SELECT {tops} FROM {quoted(name)}")
    said = (f"{column}: {top}" for column, top in zip(chosen, found.rows[0], strict=True) if top is not None)
    return "Frequent values\n" + "\n".join(said)[:8_000] + "\n"


class Snapshot:
    """The frames as a DuckDB file, written when first asked for and deleted with this object."""

    def __init__(self, frames: Mapping[str, Any]) -> None:
        self._frames = dict(frames)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._lock = threading.Lock()  # seats may ask at the same time

    def known(self, name: str) -> str:
        """The name as it was given.

        Raises:
            ToolError: no frame has this name.
        """
        for own in self._frames:
            if own.casefold() == name.strip('"').casefold():
                return own
        raise ToolError(f"There is no data called {name[:80]!r}; there is {', '.join(self._frames)}.")

    async def file(self) -> Path:
        """Where the frames are written. A cancellation interrupts the writing; the next call begins anew.

        Raises:
            ToolError: a frame can't be written.
        """
        import duckdb

        writing = Writing()
        work = asyncio.ensure_future(asyncio.to_thread(self._write, writing))
        try:
            async with asyncio.timeout(WRITING):
                return await asyncio.shield(work)
        except TimeoutError as exc:
            raise ToolError(f"The data could not be read within {WRITING:.0f} s.") from exc
        except (duckdb.Error, OSError, RuntimeError, ValueError, TypeError) as exc:
            raise ToolError(f"The data can't be read: {' '.join(str(exc).split())[:300]}") from exc
        finally:
            writing.stop()
            await asyncio.wait([work], timeout=1)  # a column of Python objects is converted to its end first
            work.add_done_callback(lambda ended: ended.cancelled() or ended.exception())

    def _write(self, writing: Writing) -> Path:
        while not self._lock.acquire(timeout=0.05):
            writing.check()
        try:
            if self._folder is None:
                folder = tempfile.TemporaryDirectory(prefix="fusion-", ignore_cleanup_errors=True)
                writing.run(Path(folder.name, NAME), self._frames)
                self._folder = folder
            return Path(self._folder.name, NAME)
        finally:
            self._lock.release()


class Writing:
    """One attempt to write frames, which another thread may stop."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._connection: Any = None

    def stop(self) -> None:
        self._stopped.set()
        if self._connection is not None:
            with contextlib.suppress(Exception):  # it may just have been closed
                self._connection.interrupt()

    def check(self) -> None:
        if self._stopped.is_set():
            raise OSError("it was stopped")

    def run(self, file: Path, frames: Mapping[str, Any]) -> None:
        import duckdb

        options: dict[str, Any] = {"threads": 2, "python_enable_replacements": False}
        with duckdb.connect(str(file), config=options) as self._connection:
            for name, frame in frames.items():
                self.check()
                self._table(name, tidy(frame))

    def _table(self, name: str, frame: Any) -> None:
        try:
            self._create(name, frame)
        except Exception:  # a type that DuckDB does not know, or values that differ from the first thousand
            self.check()
            if not is_pandas(frame):
                raise
            unread = [column for column in frame.columns if not self._reads(frame[[column]])]
            self._create(name, worded(frame, unread))

    def _reads(self, column: Any) -> bool:
        self.check()
        try:
            self._create("tried", column)
            self._connection.execute("DROP TABLE main.tried")
        except Exception:
            return False
        return True

    def _create(self, name: str, frame: Any) -> None:
        self._connection.register("given", frame if is_pandas(frame) else Stream(frame))
        try:
            self._connection.execute(f"CREATE OR REPLACE TABLE main.{quoted(name)} AS SELECT * FROM temp.given")
        finally:
            self._connection.unregister("given")
