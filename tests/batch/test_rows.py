"""Rows come back in their place and shape, whatever becomes of them."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any

import pandas as pd
import polars as pl
import pytest
from pydantic import BaseModel

from batch.asking import SCRIPT, SEATS, subject, whole, words
from fusion_magic import batch, load, scripted
from fusion_magic.batch import Row, map
from fusion_magic.errors import SettingsError, UnknownPanel
from pipeline.asking import chats
from servers.openrouter import Fault, Request, Server


class Tone(Enum):
    good = "good"
    bad = "bad"


class Label(BaseModel):
    tone: Tone
    answer: int


# --- in and out -------------------------------------------------------------------------------------


def test_a_pandas_frame_comes_back_with_its_index_and_in_its_order():
    frame = pd.DataFrame({"text": words(20)}, index=[7, 7, *range(100, 118)])

    with scripted(SCRIPT):
        out = map(frame, "Classify «{text}»", **SEATS, concurrency=5, progress=False)

    assert out.index.equals(frame.index)
    assert list(out.answer) == [f"Fused: {word}" for word in words(20)]
    assert list(out.columns) == ["answer", "agreement", "contradictions", "cost", "status", "error", "run"]
    assert set(out.status) == {"ok"}
    assert out.error.isna().all()
    assert out.contradictions.dtype == "Int64"
    assert set(out.contradictions) == {1}
    assert out.agreement.between(0, 1).all()


def test_a_polars_frame_comes_back_as_one():
    frame = pl.DataFrame({"text": words(5), "n": range(5)})

    with scripted(SCRIPT):
        out = map(frame, "Classify «{text} {n}»", **SEATS, progress=False)

    assert isinstance(out, pl.DataFrame)
    assert out["answer"].to_list() == [f"Fused: word{n} {n}" for n in range(5)]
    assert (out["error"].dtype, out["contradictions"].dtype, out["cost"].dtype) == (pl.String, pl.Int64, pl.Float64)


@pytest.mark.parametrize("rows", [pd.Series(["x", "y"], index=["i", "j"]), pl.Series(["x", "y"])])
def test_a_series_comes_back_as_a_frame(rows: Any):
    with scripted(SCRIPT):
        out = map(rows, "Classify «{text}»", **SEATS, progress=False)

    assert type(out).__module__.partition(".")[0] == type(rows).__module__.partition(".")[0]
    assert list(out["answer"]) == ["Fused: x", "Fused: y"]
    if isinstance(rows, pd.Series):
        assert out.index.equals(rows.index)


@pytest.mark.parametrize(
    ("rows", "prompt"),
    [
        (["x", "y"], "Classify «{anything}»"),
        ([{"a": "x"}, {"a": "y"}], "Classify «{a}»"),
        ((word for word in "xy"), "Classify «{text}»"),
        (["x", "y"], lambda row: f"Classify «{row}»"),
    ],
)
def test_anything_else_comes_back_as_a_list_of_rows(rows: Any, prompt: Any):
    with scripted(SCRIPT):
        out = map(rows, prompt, **SEATS, progress=False)

    assert [(type(row), row.answer, row.status) for row in out] == [(Row, "Fused: x", "ok"), (Row, "Fused: y", "ok")]


def test_a_function_gets_a_frame_s_row_as_a_mapping():
    with scripted(SCRIPT):
        out = map(pd.DataFrame({"a b": ["x"]}), lambda row: f"«{row['a b']}»", **SEATS, progress=False)

    assert list(out.answer) == ["Fused: x"]


def test_nothing_in_is_nothing_out():
    with scripted(SCRIPT):
        listed = map([], "{x}", **SEATS, progress=False)
        frame = map(pd.DataFrame({"x": []}), "{x}", **SEATS, progress=False)
        other = map(pl.DataFrame({"x": []}), "{x}", **SEATS, progress=False)

    assert listed == []
    assert (len(frame), frame.columns[0]) == (0, "answer")
    assert (other.height, other.columns[0]) == (0, "answer")


def test_the_fields_of_a_schema_are_columns():
    script = SCRIPT | {"synthesis": ['{"tone": "good", "answer": 3}', "no JSON", "nor here"]}

    with scripted(script):
        out = map(pd.DataFrame({"t": ["x", "y"]}), "«{t}»", **SEATS, schema=Label, concurrency=1, progress=False)

    assert list(out.columns)[:3] == ["answer", "tone", "parsed_answer"]
    assert list(out.tone) == ["good", None] or (out.tone[0] == "good" and pd.isna(out.tone[1]))
    assert out.parsed_answer[0] == 3
    assert list(out.status) == ["ok", "ok"]


def test_the_braces_of_json_stay_and_values_are_not_searched_again(server: Server, seats: Any):
    map(["{b}"], 'Fill {"a": 1} and `{x}` for «{x}»', **seats)

    (asked,) = chats(server, "a")
    assert asked.body["messages"][-1]["content"] == 'Fill {"a": 1} and `{x}` for «{b}»'


def test_load_has_everything_else_of_a_row(seats: Any):
    (row,) = map(["x"], "«{x}»", **seats)

    result = load(row.run)
    assert (result.prompt, result.answer, len(result.responses)) == ("«x»", row.answer, 2)
    assert row.cost == pytest.approx(0.04)


# --- what is refused before anybody is asked ----------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "prompt", "sentence"),
    [
        (pd.DataFrame({"text": ["x"]}), "{txet}", 'no column "txet"; did you mean "text"?.*between backticks'),
        ([{"text": "x"}], "{txet}", 'no column "txet"; did you mean "text"?'),
        (({"text": word} for word in "xy"), "{label}", 'no column "label"'),
        (["x"], "{a} and {b}", r"several names for it: \{a\}, \{b\}"),
        (["x"], "The same for all.", "names no column"),
        (pd.DataFrame({"a": ["x"], "b": ["y"]}), "{a}{b}", "taken for TeX; put a space"),
        ("text", "{x}", "not from a str"),
        ({"text": ["x"]}, "{text}", "not from a dict"),
        (5, "{x}", "not from a int"),
        (pl.LazyFrame({"x": [1]}), "{x}", "collect"),
    ],
)
def test_rows_and_prompts_that_do_not_fit_are_refused(
    server: Server, seats: Any, rows: Any, prompt: str, sentence: str
):
    with pytest.raises(SettingsError, match=sentence):
        map(rows, prompt, **seats)

    assert not chats(server)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"concurrency": 0}, "at least 1"),
        ({"thread": "t"}, "no conversation"),
        ({"max_token": 5}, 'did you mean "max_tokens"'),
        ({"max_usd": -1}, "max_usd"),
        ({"panel": "nope", "models": None}, 'no panel "nope"'),
        ({"tools": ["nope"]}, 'no tool "nope"'),
    ],
)
def test_settings_that_no_row_could_have_are_refused(server: Server, seats: Any, settings: Any, sentence: str):
    with pytest.raises((SettingsError, UnknownPanel), match=sentence):
        map(["x", "y"], "{x}", **{**seats, **settings})

    assert not chats(server)


# --- rows that fail -----------------------------------------------------------------------------------


def test_a_row_that_fails_is_a_row_with_its_reason(server: Server, seats: Any):
    def answer(request: Request) -> Any:
        about = subject(request.body["messages"])
        if about == "dead" or (about == "half" and request.model == "b"):
            return Fault(400, "Refused.")
        if about == "unwritten" and request.model == "writer":
            return Fault(400, "Refused.")
        return whole(request)

    server.reply("*", answer)
    rows = ["good", "dead", None, float("nan"), pd.NA, "half", "unwritten", "last"]

    out = map(rows, "«{x}»", **seats)

    assert [row.status for row in out] == ["ok", "error", "error", "error", "error", "ok", "error", "ok"]
    assert out[1].error is not None
    assert "Refused" in out[1].error
    assert {row.error for row in out[2:5]} == {'"x" is missing in this row, so nobody was asked.'}
    assert out[5].agreement is None
    assert out[6].answer is None
    assert load(out[6].run).responses
    assert out[7].answer == "Fused: last"


def test_a_function_that_fails_or_a_path_that_leads_nowhere_costs_one_row():
    def prompt(row: int) -> Any:
        return [f"«{1 // row}»", 5, "«ok»", " "][row]

    with scripted(SCRIPT):
        out = map([0, 1, 2, 3], prompt, **SEATS, progress=False)
        deep = map([{"a": {"b": "x"}}, {"a": {}}, {}], '«{a["b"]}»', **SEATS, progress=False)

    assert [row.status for row in out] == ["error", "error", "ok", "error"]
    assert "ZeroDivisionError" in str(out[0].error)
    assert "returned a int" in str(out[1].error)
    assert [row.status for row in deep] == ["ok", "error", "error"]
    assert 'no {a["b"]}' in str(deep[1].error)


def test_a_key_in_a_row_is_not_sent(server: Server, seats: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-test")

    out = map(["sk-secret-of-the-test", "y"], "«{x}»", **seats)

    assert [row.status for row in out] == ["error", "ok"]
    assert not any(b"sk-secret" in request.raw for request in server.requests)


def test_rows_that_were_read_are_finished_when_the_generator_fails(server: Server, seats: Any):
    def rows() -> Iterator[str]:
        yield from "xy"
        raise RuntimeError("The disk is gone.")

    with pytest.raises(RuntimeError, match="disk is gone"):
        map(rows(), "«{x}»", **seats)

    last = batch.last()
    assert last is not None
    assert [row.status for row in last.frame] == ["ok", "ok"]
