"""Runs SQL over one read-only DuckDB file; started by `sql.py` as a process of its own.

Reads one JSON object from standard input and writes one to standard output: `{"columns", "rows", "count", "whole"}`, or
`{"error"}`. It imports nothing of this package, so that it starts quickly.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

MB = 1024 * 1024
ASKING = "Only one SELECT, WITH, FROM, VALUES, DESCRIBE or SUMMARIZE is allowed"
COUNTED = 10_000  # rows; the count of those that are cut off stops here


def main() -> None:
    request = json.load(sys.stdin)
    sys.path.append(request["packages"])
    try:
        said = answer(request)
    except Exception as exc:  # of DuckDB; also memory that ran out
        said = {"error": f"{type(exc).__name__}: {exc}"}
    json.dump(said, sys.stdout)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The rows of one query, as text."""
    connection = opened(request["file"], request["memory"])
    confine(request["memory"] + 256)  # DuckDB counts what it allocates in blocks; threads and strings come on top
    return rows(connection, request)


def opened(file: str, memory: int) -> Any:
    """A locked connection to a DuckDB file."""
    import duckdb  # pyright: ignore[reportMissingImports]

    return duckdb.connect(file, read_only=True, config=settings(memory))


def rows(connection: Any, request: dict[str, Any]) -> dict[str, Any]:
    """What one reading statement brings; `error` if it is none."""
    statements = connection.extract_statements(request["sql"])
    kinds = [kind(statement) for statement in statements]
    if kinds not in (["SELECT"], ["SELECT_STATEMENT"]):
        return {"error": f"{ASKING}, not {' and '.join(kinds) or 'nothing'}."}
    cursor = connection.execute(statements[0])
    columns = [str(column[0]) for column in cursor.description]
    found = cursor.fetchmany(request["rows"])
    shown = [[None if value is None else text(value, request["cell"]) for value in row] for row in found]
    count = len(found)
    while (more := cursor.fetchmany(1000)) and count < COUNTED:
        count += len(more)
    return {"columns": columns, "rows": shown, "count": count, "whole": not more}


def kind(statement: Any) -> str:
    """What a statement is."""
    try:
        return statement.type.name
    except ValueError:  # newer than DuckDB's own list for Python, as UPDATE EXTENSIONS is
        return "OTHER"


def settings(memory: int) -> dict[str, Any]:
    """DuckDB's own locks (duckdb.org/docs/operations_manual/securing_duckdb)."""
    return {
        "enable_external_access": False,
        "python_enable_replacements": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "allow_unsigned_extensions": False,
        "memory_limit": f"{memory}MB",
        "threads": 2,
        "temp_directory": "",
        "max_temp_directory_size": "0B",
        "lock_configuration": True,
    }


def confine(memory: int) -> None:
    """No file is written and `memory` more megabytes are the end: memory_limit misses what one expression builds."""
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (120, 120))  # should the process that started this one be killed
    mapped = Path("/proc/self/statm")
    if mapped.exists():  # macOS does not hold a process to RLIMIT_AS
        limit = int(mapped.read_text().split()[0]) * resource.getpagesize() + memory * MB
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def text(value: Any, most: int) -> str:
    """A value as the model reads it, cut off after `most` characters."""
    written = f"{value:.10g}" if isinstance(value, float) else str(value)
    return written if len(written) <= most else written[:most] + "…"


if __name__ == "__main__":
    main()
