"""DataFrames named on the line can be described, seen and asked in SQL, whatever they hold, and never change."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import tempfile
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from fusion_magic.errors import SettingsError, ToolError
from fusion_magic.tools import Tool, sql, sql_child
from fusion_magic.tools.frames import Snapshot, frame_tools

pytestmark = pytest.mark.thorough

pytest.importorskip("duckdb", reason="DuckDB is not installed")
SALES = pd.DataFrame({
    "city": ["Bern", "Bonn", None, "Bern"],
    "sold": [1, 2, 3, 4],
    "when": pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03", None]),
})  # fmt: skip


def named(tools: tuple[Tool, ...], name: str) -> Tool:
    return next(tool for tool in tools if tool.name == name)


def ask(frames: Mapping[str, Any], tool: str, **given: Any) -> str:
    async def call() -> str:
        return (await named(frame_tools(frames), tool).call(given)).text

    return asyncio.run(call())


def head(frame: Any, query: str = "FROM data LIMIT 10") -> str:
    """A query as the child runs it, in this process, which is quicker."""
    snapshot = Snapshot({"data": frame})
    with sql_child.opened(str(asyncio.run(snapshot.file())), sql.MEMORY) as connection:
        return sql.read(sql_child.rows(connection, {"sql": query, "rows": sql.ROWS, "cell": sql.CELL})).table()


def test_describe_tells_columns_types_missing_and_frequent_values():
    said = ask({"sales": SALES}, "data_describe", frame="sales")

    lines = said.splitlines()
    assert lines[0] == "sales: 4 rows, 3 columns"
    assert lines[1].startswith("column_name,column_type,min,max,approx_unique,avg")
    assert lines[2].startswith("city,VARCHAR,Bern,Bonn,2,")
    assert lines[2].endswith(",25.00")
    assert lines[3].startswith("sold,BIGINT,1,4,4,2.5,")
    assert "city: ['Bern', 'Bonn']" in lines


def test_head_shows_the_first_rows_and_the_columns_that_were_asked_for():
    said = ask({"sales": SALES}, "data_head", frame="Sales", n=2, columns=["sold", "city"])

    assert said == "sold,city\n1,Bern\n2,Bonn\n"


def test_sql_joins_the_frames_that_were_named():
    countries = pl.DataFrame({"city": ["Bern", "Bonn"], "country": ["CH", "DE"]})
    joined = "SELECT country, sum(sold) AS total FROM sales JOIN countries USING (city) GROUP BY ALL ORDER BY total"

    assert ask({"sales": SALES, "countries": countries}, "data_query", sql=joined) == "country,total\nDE,2\nCH,5\n"


@pytest.mark.parametrize(
    "query", ["DESCRIBE data", "SUMMARIZE data", "FROM data", "WITH s AS (FROM data) FROM s", "VALUES (1)"]
)
def test_statements_that_only_read_are_allowed(query: str):
    assert head(SALES, query)


def test_rows_are_cut_off_with_their_count():
    frames = {"numbers": pd.DataFrame({"n": range(5_000)})}

    some = ask(frames, "data_query", sql="FROM numbers ORDER BY n")
    many = ask(frames, "data_query", sql="SELECT a.n FROM numbers a, numbers b")

    assert some.splitlines()[200:] == [
        "199",
        "(4,800 more rows were cut off; aggregate, filter or ask for fewer columns)",
    ]
    assert many.splitlines()[-1].startswith("(at least ")


def test_characters_are_cut_off_too():
    said = ask({"data": pd.DataFrame({"n": range(200)})}, "data_query", sql="SELECT repeat('x', 5000) FROM data")

    assert len(said) < 40_200
    assert "x" * 1_000 + "…" in said
    assert "more rows were cut off" in said


WEIRD = {
    "lists": ([[1, 2], [3]], '"[1, 2]"'),
    "dicts": ([{"a": 1}, {"b": 2}], "{'a': 1}"),
    "nested": ([{"a": [1, {"b": 2}]}, None], "\"{'a': [1, {'b': 2}]}\""),
    "decimals": ([Decimal("1.5"), Decimal(2)], "1.5"),
    "mixed": ([1, "a"], "1"),
    "late": ([1] * 5_000 + ["a"], "1"),
    "zoned": (pd.to_datetime(["2024-01-01", None]).tz_localize("UTC"), "2024-01-01 00:00:00+00:00"),
    "categories": (pd.Categorical(["a", None]), "a"),
    "periods": (pd.period_range("2024-01", periods=2, freq="M"), "2024-01"),
    "intervals": (pd.interval_range(0, 2), '"(0, 1]"'),
    "durations": (pd.to_timedelta([1, 2], unit="s"), "0:00:01"),
    "complex": ([1j, 2j], "1j"),
    "sparse": (pd.arrays.SparseArray([0, 1]), "0"),
    "bytes": ([b"a", b"\xff"], "b'a'"),
    "dates": ([datetime.date(2024, 1, 1)] * 2, "2024-01-01"),
    "nullable": (pd.array([1, None], dtype="Int64"), "1"),
    "big": ([2**200, 1], str(2**200)),
    "surrogates": (["\ud800", "b"], "?"),
    "half": (np.array([1.5, 2], dtype="float16"), "1.5"),
}


@pytest.mark.parametrize("kind", WEIRD)
def test_columns_of_any_type_can_be_read(kind: str):
    values, first = WEIRD[kind]
    frame = pd.DataFrame({"odd": values, "beside": range(len(values))})

    said = head(frame)

    assert said.splitlines()[:2] == ["odd,beside", f"{first},0"]


def test_a_column_that_cannot_be_read_leaves_the_others_their_types():
    frame = pd.DataFrame(
        {"price": [Decimal("1.5")], "list": [[1, 2]], "period": pd.period_range("2024", periods=1, freq="Y")}
    )

    said = head(frame, "SELECT price + 1 AS more, list[2] AS second, period FROM data")

    assert said == "more,second,period\n2.5,2,2024\n"


@pytest.mark.parametrize(
    ("frame", "columns"),
    [
        (pd.DataFrame([[1, 2, 3]], columns=["a", "a", "A"]), "a,a_2,A_3"),
        (pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("x", "a"), ("x", "b")])), "x a,x b"),
        (pd.DataFrame([[1, 2]]), "0,1"),
        (pd.DataFrame([[1, 2]], columns=['a"; DROP', ""]), '"a""; DROP",column 2'),
        (pd.DataFrame([[1, 2]], columns=["a\0b", "c\ud800"]), "ab,c\ufffd"),
        (pd.DataFrame({"v": [1]}, index=pd.Index(["k"], name="key")), "key,v"),
        (pd.DataFrame({"v": [1]}, index=pd.Index([7], name="v")), "v,v_2"),
        (pd.DataFrame({"v": [1]}, index=pd.to_datetime(["2024-01-01"])), "index,v"),
        (pd.DataFrame({"v": [1]}, index=[17]), "v"),
        (pd.DataFrame({"v": [1]}, index=pd.MultiIndex.from_tuples([(1, 2)], names=["a", None])), "a,index,v"),
        (pl.DataFrame({"a": [1], "A": [2]}), "a,A_2"),
    ],
)
def test_odd_names_are_made_readable_and_a_meaningful_index_is_a_column(frame: Any, columns: str):
    assert head(frame).splitlines()[0] == columns


def test_a_frame_without_rows_says_so():
    empty = {"data": pd.DataFrame({"a": []})}

    assert ask(empty, "data_head", frame="data") == "a\n(no rows)\n"
    assert ask(empty, "data_describe", frame="data").startswith("data: 0 rows, 1 columns\n")


def test_the_frame_is_not_changed():
    frame = pd.DataFrame([[1, [2]]], columns=["a", "a"], index=pd.Index(["k"], name="key"))
    before = frame.copy(deep=True)

    head(frame)

    pd.testing.assert_frame_equal(frame, before)


def test_all_questions_of_a_run_see_the_same_data():
    frame = pd.DataFrame({"a": [1]})

    async def twice() -> tuple[str, str]:
        query = named(frame_tools({"data": frame}), "data_query")
        first = (await query.call({"sql": "FROM data"})).text
        frame.loc[0, "a"] = 2
        return first, (await query.call({"sql": "FROM data"})).text

    assert asyncio.run(twice()) == ("a\n1\n", "a\n1\n")


def test_seats_may_ask_at_the_same_time_and_one_that_is_cancelled_takes_nothing_from_the_others():
    async def together() -> list[str]:
        query = named(frame_tools({"data": pd.DataFrame({"a": range(100_000)})}), "data_query")
        asking = [asyncio.ensure_future(query.call({"sql": "SELECT count(*) FROM data"})) for _ in range(3)]
        await asyncio.sleep(0)
        asking[0].cancel()
        await asyncio.wait(asking)
        assert asking[0].cancelled()
        return [(await each).text for each in asking[1:]]  # type: ignore[misc]

    assert asyncio.run(together()) == ["count_star()\n100000\n"] * 2


def test_a_cancelled_query_ends_its_process():
    async def leave() -> tuple[list[int], list[int]]:
        query = named(frame_tools({"data": SALES}), "data_query")
        running = asyncio.ensure_future(query.call({"sql": "SELECT lpad('x', 2000000000, 'y') FROM data"}))
        while not (begun := sql_processes()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.wait([running])
        return begun, sql_processes()

    begun, left = asyncio.run(leave())

    assert begun
    assert not left


def sql_processes() -> list[int]:
    found = list[int]()
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            mine = int((place / "stat").read_text().rpartition(")")[2].split()[1]) == os.getpid()
            if mine and "sql_child" in (place / "cmdline").read_text():
                found.append(int(place.name))
    return found


def test_the_file_of_the_frames_is_gone_with_the_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def use() -> list[Path]:
        tools = frame_tools({"sales": SALES})
        asyncio.run(named(tools, "data_head").call({"frame": "sales"}))  # type: ignore[arg-type]
        return list(tmp_path.iterdir())

    within = use()

    assert len(within) == 1
    assert not list(tmp_path.iterdir())


def test_a_frame_that_was_not_named_is_not_there():
    hidden = pd.DataFrame({"secret": [1]})

    for tool, given in (("data_head", {"frame": "hidden"}), ("data_query", {"sql": "FROM hidden"})):
        with pytest.raises(ToolError, match="hidden"):
            ask({"sales": SALES}, tool, **given)
    assert len(hidden) == 1


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ({"data": [1]}, "is a list, not a DataFrame"),
        ({"data": SALES["city"]}, "is a Series, not a DataFrame"),
        ({"data": pl.LazyFrame({"a": [1]})}, "is a LazyFrame, not a DataFrame"),
        ({"data": pd.DataFrame()}, "has no columns"),
        ({"data": SALES, "Data": SALES}, "differ only in case"),
    ],
)
def test_what_is_no_table_is_refused_before_the_run(frames: dict[str, Any], message: str):
    with pytest.raises(SettingsError, match=message):
        frame_tools(frames)
