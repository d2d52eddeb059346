"""SQL of a model reads the named frames and nothing else: no files, network, settings, writes, memory or time."""

# ruff: noqa: E501  # queries stand as a model would write them

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fusion_magic.errors import ToolError
from fusion_magic.tools import frames, sql, sql_child

pytestmark = pytest.mark.thorough

duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed")
SECRET = "top-secret-content"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the frame, one with a secret, and one database that nobody named."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "secret.csv").write_text(f"word\n{SECRET}\n")
    (folder / "secret.json").write_text(json.dumps([{"word": SECRET}]))
    for name, word in (("frames", "ours"), ("other", SECRET)):
        with duckdb.connect(str(folder / f"{name}.duckdb")) as connection:
            connection.execute("CREATE TABLE data AS SELECT ? AS word", [word])
    return folder


@pytest.fixture(scope="module")
def locked(place: Path) -> Any:
    """The connection of the child, in this process: hundreds of queries would start hundreds of processes."""
    return sql_child.opened(str(place / "frames.duckdb"), sql.MEMORY)


def ask(locked: Any, query: str, rows: int = sql.ROWS) -> sql.Rows:
    try:
        said = sql_child.rows(locked, {"sql": query, "rows": rows, "cell": sql.CELL})
    except duckdb.Error as exc:
        said = {"error": f"{type(exc).__name__}: {exc}"}
    return sql.read(said)


def ask_process(place: Path, query: str, **more: Any) -> str:
    return asyncio.run(sql.ask(place / "frames.duckdb", query, **more)).table()


def test_the_frame_itself_is_read(place: Path, locked: Any):
    assert ask_process(place, "FROM data") == ask(locked, "FROM data").table() == "word\nours\n"


STATEMENTS = """
CREATE TABLE x AS SELECT 1 | INSERT INTO data VALUES ('x') | UPDATE data SET word = 'x' | DELETE FROM data
DROP TABLE data | ALTER TABLE data ADD COLUMN x INT | TRUNCATE data | CREATE VIEW v AS SELECT 1
CREATE MACRO m() AS 1 | CREATE SEQUENCE s | CREATE TEMP TABLE t AS SELECT 1 | CREATE SECRET (TYPE s3)
COPY data TO '{place}/out.csv' | COPY (SELECT 1) TO '{place}/out.parquet' | EXPORT DATABASE '{place}/out'
IMPORT DATABASE '{place}' | ATTACH '{place}/other.duckdb' AS o | DETACH frames | USE memory
INSTALL httpfs | LOAD httpfs | FORCE INSTALL spatial FROM community | UPDATE EXTENSIONS
SET enable_external_access = true | SET GLOBAL memory_limit = '100GB' | RESET lock_configuration | SET VARIABLE x = 1
PRAGMA database_list | PRAGMA enable_profiling | CALL pragma_version() | CHECKPOINT | VACUUM | ANALYZE
BEGIN | COMMIT | PREPARE p AS SELECT 1 | EXECUTE p | EXPLAIN ANALYZE SELECT 1 | COMMENT ON TABLE data IS 'x'
MERGE INTO data USING data d ON true WHEN MATCHED THEN DELETE | WITH x AS (SELECT 1) INSERT INTO data FROM x
SELECT 1; SELECT 2 | SELECT 1; DROP TABLE data | -- nothing
""".replace("\n", " | ").split(" | ")


@pytest.mark.parametrize("statement", [each for each in STATEMENTS if each.strip()])
def test_what_is_not_one_reading_statement_is_refused(place: Path, locked: Any, statement: str):
    before = sorted(path.name for path in place.iterdir())

    with pytest.raises(ToolError):
        ask(locked, statement.format(place=place))

    assert sorted(path.name for path in place.iterdir()) == before


FILES = """
FROM '{place}/secret.csv' | FROM "{place}/secret.csv" | FROM '{place}/*.csv' | FROM read_csv('{place}/secret.csv')
FROM read_csv_auto('{place}/secret.csv') | FROM read_text('{place}/secret.csv') | FROM read_blob('{place}/secret.csv')
FROM read_json('{place}/secret.json') | FROM read_json_objects('{place}/secret.json') | FROM sniff_csv('{place}/secret.csv')
FROM read_ndjson('{place}/secret.json') | FROM parquet_scan('{place}/secret.csv') | FROM parquet_schema('{place}/secret.csv')
FROM glob('{place}/*') | FROM glob('/etc/*') | FROM '/proc/self/environ' | FROM read_text('/proc/self/environ')
FROM '{place}/other.duckdb' | FROM read_duckdb('{place}/other.duckdb') | FROM query('FROM read_text(''/etc/passwd'')')
FROM query_table('{place}/secret.csv') | FROM json_execute_serialized_sql(json_serialize_sql('FROM read_text(''/etc/passwd'')'))
SELECT (SELECT content FROM read_text('{place}/secret.csv')) | SELECT * FROM data, LATERAL (FROM read_text('/etc/passwd'))
FROM 'https://example.invalid/x.parquet' | FROM read_csv('http://127.0.0.1:9/x') | FROM 's3://bucket/x.csv'
FROM read_text('../secret.csv') | FROM read_text('secret.csv') | FROM sqlite_scan('{place}/x', 't') | FROM '/dev/stdin'
FROM duckdb_secrets() | FROM which_secret('s3://x', 's3') | SELECT getenv('PATH') | SELECT nextval('s') | FROM pandas_scan(1)
FROM arrow_scan(1, 1, 1) | FROM arrow_scan_dumb(1, 1, 1) | FROM python_map_function((FROM data)) | FROM hidden
FROM pragma_storage_info('/etc/passwd') | FROM enable_logging() | FROM enable_profiling() | FROM st_read('{place}/secret.csv')
""".replace("\n", " | ").split(" | ")


@pytest.mark.parametrize("query", [each for each in FILES if each.strip()])
def test_no_file_no_network_and_no_object_of_python_is_reached(place: Path, locked: Any, query: str):
    hidden = pd.DataFrame({"secret": [SECRET]})

    with pytest.raises(ToolError) as caught:
        ask(locked, query.format(place=place))

    assert SECRET not in str(caught.value)
    assert len(hidden) == 1


@pytest.mark.parametrize("query", ["FROM duckdb_secrets()", "FROM duckdb_extensions()"])
def test_errors_do_not_tell_where_the_home_folder_is(place: Path, query: str):
    with pytest.raises(ToolError) as caught:
        ask_process(place, query)

    assert str(Path.home()) not in str(caught.value)


def test_every_function_that_takes_a_path_refuses_it(place: Path, locked: Any):
    """Whatever table functions this version of DuckDB has, new ones included."""
    names = [row[0] for row in ask(locked, TABLE_FUNCTIONS, 10_000).rows]

    told = [_said(locked, f"FROM \"{name}\"('{place}/secret.{kind}')") for name in names for kind in ("csv", "json")]

    assert len(names) > 10
    assert not [said for said in told if SECRET in said]


# Functions that take one text: all that could be given a path.
TABLE_FUNCTIONS = """
SELECT DISTINCT function_name FROM duckdb_functions()
WHERE function_type = 'table' AND len(parameter_types) >= 1 AND parameter_types[1] IN ('VARCHAR', 'VARCHAR[]', 'ANY')
  AND function_name NOT LIKE 'read_single%' AND NOT regexp_matches(function_name, '^(pragma|duckdb|force|enable|disable)_')
"""


def _said(locked: Any, query: str) -> str:
    try:
        return ask(locked, query).table()
    except ToolError as exc:
        return str(exc)


def test_settings_are_locked_and_tell_nothing_of_the_machine(place: Path):
    said = ask_process(place, "SELECT name, value FROM duckdb_settings()", rows=1_000)

    settings = dict(line.split(",", 1) for line in said.splitlines()[1:] if "," in line)
    assert settings["lock_configuration"] == settings["python_enable_replacements"].replace("false", "true") == "true"
    assert settings["enable_external_access"] == settings["allow_community_extensions"] == "false"
    assert settings["autoload_known_extensions"] == settings["autoinstall_known_extensions"] == "false"
    assert str(Path.home()) + "/" not in said


@pytest.mark.parametrize(
    "query",
    [
        "SELECT length(repeat('x', 2000000000))",
        "SELECT list_sum(list_transform(range(200000000), lambda x: x * 2))",
        "SELECT list(range) FROM range(2000000000)",
        "SELECT array_agg(a) FROM (SELECT repeat('x', 100000000) || range AS a FROM range(100))",
    ],
)
def test_memory_is_limited_even_where_duckdb_does_not_count_it(place: Path, query: str):
    with pytest.raises(ToolError, match="more than 512 MB"):
        ask_process(place, query)


@pytest.mark.parametrize(
    "query",
    ["SELECT levenshtein(repeat('a', 100000), repeat('b', 100000))", "SELECT count(*) FROM range(1000000000000)"],
)
def test_a_query_that_hears_no_interrupt_ends_in_time(place: Path, query: str):
    with pytest.raises(ToolError, match=r"more than 1 s; ask for less"):
        ask_process(place, query, seconds=1.0)


@pytest.mark.parametrize("query", ["SELEC 1", "SELECT nothing FROM data", "SELECT error('" + "x" * 5_000 + "')"])
def test_errors_are_one_bounded_line(locked: Any, query: str):
    with pytest.raises(ToolError) as caught:
        ask(locked, query)

    assert len(str(caught.value)) <= 600
    assert "\n" not in str(caught.value)


def test_arguments_that_do_not_fit_are_told():
    tools: Any = {tool.name: tool for tool in frames.frame_tools({"data": pd.DataFrame({"a": [1]})})}

    for name, given in (("data_query", {"sql": ""}), ("data_head", {"frame": "data", "n": 51}), ("data_describe", {})):
        with pytest.raises(ToolError):
            asyncio.run(tools[name].call(given))
