"""Asks a DuckDB file in a process of its own, which can be killed and whose memory is limited.

In our own process a query would be out of hand: measured with DuckDB 2.0, `list_sum(range(50000000))` or
`levenshtein` of two long strings neither hear an interrupt nor count towards memory_limit.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..characters import plain
from ..errors import SettingsError, ToolError
from . import MAX_OUTPUT

ROWS = 200  # what a model can still read
CELL = 1_000  # characters of one value
SECONDS = 20.0
MEMORY = 512  # MB
CHILD = Path(__file__).with_name("sql_child.py")
MISSING = '`--data` needs DuckDB; run `pip install "fusion-magic[data]"`.'


@dataclass(frozen=True, slots=True)
class Rows:
    """A table for a model to read.

    Attributes:
        columns: their names.
        rows: the rows that are shown; None is a missing value.
        count: how many rows there were.
        whole: there were no more than `count`.
    """

    columns: list[str]
    rows: list[list[str | None]]
    count: int
    whole: bool = True

    def table(self, most: int = MAX_OUTPUT) -> str:
        """CSV, which takes fewer tokens than Markdown; a missing value is NULL.

        The last line says what was cut off.
        """
        lines = [_line(self.columns), *(_line(["NULL" if cell is None else cell for cell in row]) for row in self.rows)]
        shown, length = 0, 0
        while shown < len(lines) and (length := length + len(lines[shown])) <= most:
            shown += 1
        text = "".join(lines[:shown])
        if left := self.count - max(0, shown - 1):
            at_least = "" if self.whole else "at least "
            return f"{text}({at_least}{left:,} more rows were cut off; aggregate, filter or ask for fewer columns)\n"
        return text if self.rows else text + "(no rows)\n"


def _line(cells: list[str]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerow([plain(cell) for cell in cells])
    return written.getvalue()


def packages() -> str:
    """The folder that holds DuckDB.

    Raises:
        SettingsError: DuckDB is not installed.
    """
    try:
        import duckdb
    except ImportError as exc:
        raise SettingsError(MISSING) from exc
    return str(Path(duckdb.__file__).parents[1])


async def ask(file: Path, sql: str, *, rows: int = ROWS, cell: int = CELL, seconds: float = SECONDS) -> Rows:
    """Run one query over a DuckDB file. A cancellation kills its process.

    Raises:
        ToolError: DuckDB refused it, or it took more than `seconds` or MEMORY.
    """
    request = {"packages": packages(), "file": str(file), "sql": sql, "rows": rows, "cell": cell, "memory": MEMORY}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        str(CHILD),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=_environment(),
        cwd=file.parent,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(seconds):
            said, _ = await process.communicate(json.dumps(request).encode())
    except TimeoutError as exc:
        raise ToolError(f"The query took more than {seconds:.0f} s; ask for less.") from exc
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        return read(json.loads(said))
    except ValueError as exc:  # killed by a limit
        raise ToolError(f"The query needed more than {MEMORY} MB; ask for less.") from exc


def _environment() -> dict[str, str]:
    """Nothing of ours; Windows starts no Python without SYSTEMROOT."""
    return {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}


def read(answer: dict[str, Any]) -> Rows:
    """The rows of the child's answer.

    Raises:
        ToolError: it holds an error; in one line.
    """
    if "error" not in answer:
        return Rows(**answer)
    error = " ".join(plain(str(answer["error"])).split("\n\nPossible solutions")[0].split())
    if any(word in error for word in ("OutOfMemory", "MemoryError", "bad_alloc", "bad allocation")):
        error = f"The query needed more than {MEMORY} MB; ask for less."
    raise ToolError(error[:600])
