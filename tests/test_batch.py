"""`map`: every row comes back in its place, whatever becomes of it, and what was answered is never asked again."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from enum import Enum
from typing import Any

import pandas as pd
import polars as pl
import pytest
from pydantic import BaseModel

from fusion_magic import batch, fuse, load, scripted
from fusion_magic.batch import BatchInterrupted, Progress, Row, map, map_async, map_background, show_with
from fusion_magic.errors import CallError, SettingsError, UnknownPanel
from fusion_magic.store import open_store
from pipeline.asking import at, chats, judged
from servers.openrouter import Broken, Fault, Reply, Request, Server, analysis_json

SCRIPT: Any = {
    "judge": analysis_json("AB"),
    "synthesis": lambda request: f"Fused: {subject(request.messages)}",
    "*": "Text.",
}
SEATS: dict[str, Any] = {"models": ["a", "b"], "judge": "j", "synthesizer": "w"}


class Tone(Enum):
    good = "good"
    bad = "bad"


class Label(BaseModel):
    tone: Tone
    answer: int


def subject(messages: Any) -> str:
    """The row that a call is about: what stands between these quotes."""
    return str(messages).rpartition("«")[2].partition("»")[0]


def whole(request: Request) -> Reply:
    texts = {"judge": judged().text, "writer": f"Fused: {subject(request.body['messages'])}"}
    return Reply(texts.get(str(request.model), "An answer."), cost=0.01)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        running.reply("*", whole)
        yield running


@pytest.fixture
def seats(server: Server) -> dict[str, Any]:
    judge, writer = at(server, "judge", "writer")
    return {"models": at(server, "a", "b"), "judge": judge, "synthesizer": writer, "progress": False}


def words(count: int) -> list[str]:
    return [f"word{number}" for number in range(count)]


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


# --- once ---------------------------------------------------------------------------------------------


def test_rows_that_ask_the_same_are_asked_once(server: Server, seats: Any):
    out = map(["x"] * 6 + ["y"], "«{t}»", **seats)

    assert len(chats(server)) == 8
    assert len({row.run for row in out}) == 2
    assert sum(row.cost for row in out) == pytest.approx(0.08)


def test_the_same_call_again_asks_nobody_and_finds_the_same_runs(server: Server, seats: Any):
    first = map(words(5), "«{t}»", **seats, schema=None)
    asked = len(chats(server))

    again = map(words(5), "«{t}»", **seats)

    assert len(chats(server)) == asked
    assert [row.run for row in again] == [row.run for row in first]
    assert {row.cost for row in again} == {0.0}


def test_what_the_answer_depends_on_is_asked_again(server: Server, seats: Any):
    map(["x"], "«{t}»", **seats)

    for change in ({"fresh": "all"}, {"temperature": 0.5}, {"judge": at(server, "other")[0]}, {"reuse": "never"}):
        asked = len(chats(server))
        server.reply("other", judged())
        map(["x"], "«{t}»", **{**seats, **change})
        assert len(chats(server)) > asked, change


def test_a_row_finds_what_fuse_has_asked(server: Server, seats: Any):
    fuse("«x»", **{name: value for name, value in seats.items() if name != "progress"})
    asked = len(chats(server))

    (row,) = map(["x"], "«{t}»", **seats)

    assert len(chats(server)) == asked
    assert row.cost == 0.0


def test_a_finished_row_whose_seat_had_failed_is_finished(server: Server, seats: Any):
    server.reply("b", Fault(400, "Refused."))
    map(["x"], "«{t}»", **seats)
    server.reply("b", Reply("Back."))
    asked = len(chats(server))

    map(["x"], "«{t}»", **seats)

    assert len(chats(server)) == asked


def test_a_run_that_was_forgotten_is_asked_again(server: Server, seats: Any):
    (row,) = map(["x"], "«{t}»", **seats)
    open_store().forget(row.run)

    (again,) = map(["x"], "«{t}»", **seats)

    assert again.status == "ok"
    assert again.run != row.run
    assert len(chats(server)) == 8


class InterruptsAt:
    """A user who interrupts when so many rows have ended."""

    def __init__(self, *rows: int) -> None:
        self._rows = list(rows)

    def show(self, progress: Progress) -> None:
        if self._rows and progress.done >= self._rows[0] and not progress.has_ended:
            del self._rows[0]
            raise KeyboardInterrupt


@pytest.fixture
def interrupts() -> Iterator[InterruptsAt]:
    user = InterruptsAt(8, 20)
    show_with(lambda: user)
    yield user
    show_with(None)


def test_through_faults_and_two_interrupts_every_row_is_answered_once(
    server: Server, seats: Any, interrupts: InterruptsAt
):
    """5 % of calls fail, as many are told to slow down; what was answered whole is never asked again."""
    number = iter(range(10**6))
    troubles: dict[int, Any] = {3: Fault(500), 7: Fault(429, retry_after=0.05), 11: Broken(after=1), 15: Fault(429)}

    def answer(request: Request) -> Any:
        return troubles.get(next(number) % 40) or whole(request)

    server.reply("*", answer)
    settings, frame = {**seats, "progress": True, "retries": 5}, pd.DataFrame({"t": words(40)})
    ended: list[tuple[int, set[str]]] = []  # requests so far, and the rows that had ended then
    for _ in range(2):
        with pytest.raises(BatchInterrupted, match="run the same call again to finish") as stopped:
            map(frame, "«{t}»", **settings, concurrency=4)
        partial = stopped.value.batch.frame
        assert set(partial.status) == {"ok", "pending"}
        ended.append((len(chats(server)), set(frame.t[partial.status == "ok"])))

    out = map(frame, "«{t}»", **settings, concurrency=4)

    assert list(out.answer) == [f"Fused: {word}" for word in words(40)]
    for asked, rows in ended:
        assert rows.isdisjoint(subject(request.body["messages"]) for request in chats(server)[asked:])
    # Of rows that were half done, what had arrived: the store has every answered call once.
    with sqlite3.connect(open_store().path) as db:
        counts = db.execute("SELECT count(*) FROM calls WHERE reusable GROUP BY key").fetchall()
    assert counts == [(1,)] * 160


def test_a_connection_is_closed_when_the_batch_is_stopped(server: Server, seats: Any):
    server.reply("*", Reply("one two three four five six", gap=60))
    running = map_background(["x", "y"], "«{t}»", **seats)
    server.wait_open(4)

    out = running.stop()

    assert len(server.wait_closed()) == 4
    assert [row.status for row in out] == ["pending", "pending"]
    with pytest.raises(BatchInterrupted):
        running.wait()


# --- doors --------------------------------------------------------------------------------------------


def test_map_async_is_map_for_async_code(server: Server, seats: Any):
    out = asyncio.run(map_async(["x", "y"], "«{t}»", **seats))

    assert [row.answer for row in out] == ["Fused: x", "Fused: y"]


def test_cancelling_the_task_stops_the_batch(server: Server, seats: Any):
    server.reply("*", Reply("one two three four five six", gap=60))

    async def main() -> None:
        task = asyncio.create_task(map_async(["x"], "«{t}»", **seats))
        await asyncio.to_thread(server.wait_open, 2)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())

    assert len(server.wait_closed()) == 2


def test_in_the_background_the_frame_is_there_while_it_grows(server: Server, seats: Any):
    server.reply(
        "a", lambda request: Reply("slow", gap=60, chunks=3) if "«y»".encode() in request.raw else whole(request)
    )
    running = map_background(pd.DataFrame({"t": ["x", "y"]}), "«{t}»", **seats)
    while running.progress.done < 1:
        assert not running.done()

    partial = running.frame

    assert list(partial.status) == ["ok", "pending"]
    assert "1\N{NO-BREAK SPACE}of\N{NO-BREAK SPACE}2" in repr(running)
    running.stop()


def test_a_generator_is_not_run_ahead_of(server: Server, seats: Any):
    ahead: list[int] = []

    def rows() -> Iterator[str]:
        for number, word in enumerate(words(20)):
            written = sum(request.finished for request in chats(server, "writer"))
            ahead.append(number + 1 - written)
            yield word

    out = map(rows(), "«{t}»", **seats, concurrency=3)

    assert [row.answer for row in out] == [f"Fused: {word}" for word in words(20)]
    assert max(ahead) <= 3


def test_without_a_store_nothing_is_found_again(server: Server, seats: Any):
    map(["x", "x"], "«{t}»", **seats, store=False)

    assert len(chats(server)) == 8


def test_when_no_seat_answers_any_row_every_row_says_so():
    with scripted({"*": CallError("Dead.")}):
        out = map(["x", "y"], "«{t}»", **SEATS, progress=False)

    assert {row.status for row in out} == {"error"}
    assert all("Dead." in str(row.error) for row in out)
