"""A typed Python function becomes a tool: its schema, its checks, its results, its errors; and stays a function."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import threading
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
import polars as pl
import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field

from fusion_magic.errors import SettingsError, ToolError
from fusion_magic.results import Source
from fusion_magic.tools import MAX_OUTPUT, Output, Tool
from fusion_magic.tools.functions import Function, tool, tool_of

RUN = contextvars.ContextVar("RUN", default="none")


class Point(BaseModel):
    x: float
    y: float = 0.0


@dataclasses.dataclass
class Odd:
    size: int


@tool
def far(point: Point, unit: Literal["km", "mi"] = "km", json: int = 1, _x: list[int] | None = None) -> str:
    """How far a point is.

    Args:
        point: where it is,
            on the plane
        unit (str): of the answer
        json: a name that BaseModel has too

    Returns:
        the distance
    """
    return f"{type(point).__name__} {point.x:g} {point.y:g} {unit} {json} {_x}"


def call(function: Any, **given: Any) -> str:
    async def ask() -> Output:
        return await tool_of(function).call(given)

    return asyncio.run(ask()).text


def test_the_name_the_description_and_the_schema_come_from_the_function():
    made = far.tool

    Draft202012Validator.check_schema(dict(made.parameters))
    properties = made.parameters["properties"]
    assert (made.name, made.description) == ("far", "How far a point is.\n\nReturns:\n    the distance")
    assert made.parameters["required"] == ["point"]
    assert list(properties) == ["point", "unit", "json", "_x"]
    assert properties["point"]["description"] == "where it is, on the plane"
    assert properties["unit"] == {
        "default": "km",
        "description": "of the answer",
        "enum": ["km", "mi"],
        "type": "string",
    }
    assert made.parameters["additionalProperties"] is False


def test_numpys_docstrings_and_annotated_fields_describe_parameters_too():
    def power(base: float, exponent: Annotated[int, Field(ge=0, description="how often")] = 2) -> float:
        """Raise a number.

        Parameters
        ----------
        base : float
            what is raised
        exponent : int
            not read, since the annotation says more

        Notes
        -----
        Quick.
        """
        return base**exponent

    made = tool_of(power)

    assert made.description == "Raise a number.\n\nNotes\n-----\nQuick."
    assert made.parameters["properties"]["base"]["description"] == "what is raised"
    assert made.parameters["properties"]["exponent"]["description"] == "how often"
    with pytest.raises(ToolError, match="exponent"):
        call(power, base=1, exponent=-1)


def test_arguments_are_checked_and_models_are_built():
    assert call(far, point={"x": 1}, _x=[1, 2]) == "Point 1 0 km 1 [1, 2]"
    for wrong in ({}, {"point": 3}, {"point": {"x": 1}, "unit": "cm"}, {"point": {"x": 1}, "other": 1}):
        with pytest.raises(ToolError):
            call(far, **wrong)


def test_the_decorated_name_is_still_the_function():
    assert far(Point(x=1)) == "Point 1 0 km 1 None"
    assert (getattr(far, "__name__", ""), far.__doc__ is not None, isinstance(far, Function)) == ("far", True, True)


def test_a_name_and_a_time_limit_may_be_given():
    @tool(name="look-up", timeout=5)
    def größe(of: str) -> str:
        """A size."""
        return of

    assert (größe.tool.name, größe.tool.timeout) == ("look-up", 5)


def test_a_tool_a_decorated_and_a_plain_function_are_all_taken():
    def plain(word: str) -> str:
        """A word."""
        return word

    assert isinstance(tool_of(plain), Tool)
    assert tool_of(far) is far.tool is tool_of(far.tool)


class Account:
    def __init__(self) -> None:
        self.owner = "me"

    def balance(self, month: int) -> str:
        """What is left."""
        return f"{self.owner} {month}"


def test_a_bound_method_is_a_tool_without_self():
    assert call(Account().balance, month=3) == "me 3"


def without_docstring(word: str) -> str:
    return word


def without_type(word) -> str:
    """A word."""
    return word


def with_star(*words: str) -> str:
    """Words."""
    return ""


def with_keywords(**words: str) -> str:
    """Words."""
    return ""


def with_position(word: str, /) -> str:
    """A word."""
    return word


def with_a_frame(frame: pd.DataFrame) -> str:
    """A frame."""
    return ""


def with_a_missing_type(word: Nowhere) -> str:  # type: ignore[name-defined]  # noqa: F821
    """A word."""
    return ""


def that_yields(word: str):
    """Words."""
    yield word


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (without_docstring, "has no docstring; add one"),
        (without_type, 'parameter "word" has no type; add one, as in word: str'),
        (with_star, r"\*words"),
        (with_keywords, r"\*\*words"),
        (with_position, "word"),
        (with_a_frame, "can't be asked for in JSON"),
        (with_a_missing_type, "Nowhere"),
        (that_yields, "return a list"),
        (lambda word: word, "@tool\\(name="),
        (print, "print"),
        (Point, "not a tool"),
        (3, "A int is not a tool"),
    ],
)
def test_a_function_that_cannot_be_a_tool_is_refused_and_the_message_says_why(function: Any, message: str):
    with pytest.raises(SettingsError, match=message):
        tool_of(function)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        (None, "done"),
        ({"a": [1, 2.5, None]}, '{"a":[1,2.5,null]}'),
        ([Point(x=1)], '[{"x":1.0,"y":0.0}]'),
        (Point(x=1), '{"x":1.0,"y":0.0}'),
        (float("nan"), "NaN"),
        ({"odd": object}, '{"odd":"<class \'object\'>"}'),
        (Odd(3), "Odd(size=3)"),
        (pd.DataFrame({"a": [1, None], "b": ["x", "y,z"]}), 'a,b\n1.0,x\nNULL,"y,z"\n'),
        (pd.DataFrame({"n": [2]}, index=pd.Index(["k"], name="key")), "key,n\nk,2\n"),
        (pl.DataFrame({"a": [1, None]}), "a\n1\nNULL\n"),
        (pd.DataFrame({"a": range(500)}).sum(), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_function_returns_is_told_as_text(value: object, text: str | None):
    def give() -> Any:
        """Gives."""
        return value

    assert call(give) == (repr(value) if text is None else text)


def test_sources_of_an_output_are_kept():
    wanted = Output("text", sources=(Source(url="https://example.org"),))

    async def give() -> Output:
        """Gives."""
        return wanted

    assert asyncio.run(tool_of(give).call({})) is wanted  # type: ignore[arg-type]


def test_long_results_and_long_frames_are_cut_off_with_a_note():
    def text() -> str:
        """Long."""
        return "x" * 100_000

    def frame() -> Any:
        """Long."""
        return pd.DataFrame({"a": range(5000)})

    said, table = call(text), call(frame)

    assert len(said) <= MAX_OUTPUT
    assert said.endswith("more characters were cut off)")
    assert table.splitlines()[-1].startswith("(4,800 more rows were cut off")


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_an_error_is_told_in_one_sentence_without_traceback_or_folders(kind: str):
    def plain() -> None:
        """Fails."""
        Path("/home/somebody/project/data.csv").read_text()

    async def later() -> None:
        """Fails."""
        plain()

    with pytest.raises(ToolError) as caught:
        call(plain if kind == "def" else later)

    assert "FileNotFoundError" in str(caught.value)
    assert "data.csv" in str(caught.value)
    assert not {"somebody", "Traceback", "\n"} & set(str(caught.value).replace("/", " ").split(" "))


@pytest.mark.parametrize("error", [SystemExit(3), StopIteration(), KeyboardInterrupt(), RecursionError()])
def test_whatever_a_function_raises_the_model_is_told(error: BaseException):
    def fail() -> None:
        """Fails."""
        raise error

    with pytest.raises(ToolError, match=type(error).__name__):
        call(fail)


def test_an_error_that_was_meant_for_the_model_is_left_as_it_is():
    def fail() -> None:
        """Fails."""
        raise ToolError("Ask for a year after 1990.")

    with pytest.raises(ToolError, match=r"^Ask for a year after 1990\.$"):
        call(fail)


def test_a_plain_function_runs_beside_the_loop_with_the_runs_context_variables():
    inside, go_on = threading.Event(), threading.Event()

    def wait() -> str:
        """Waits."""
        inside.set()
        assert go_on.wait(10)
        return RUN.get()

    async def beside() -> str:
        RUN.set("this one")
        running = asyncio.ensure_future(tool_of(wait).call({}))
        while not inside.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0)
        go_on.set()
        return (await running).text

    assert asyncio.run(beside()) == "this one"


def test_a_cancelled_plain_function_is_not_waited_for():
    inside, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        """Hangs."""
        inside.set()
        go_on.wait()

    async def leave() -> None:
        running = asyncio.ensure_future(tool_of(hang).call({}))
        while not inside.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0)
        running.cancel()
        await running

    try:
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(leave())
        assert not go_on.is_set()
    finally:
        go_on.set()


def test_a_cancelled_async_function_is_cancelled():
    ended: list[str] = []

    async def hang() -> None:
        """Hangs."""
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def leave() -> None:
        running = asyncio.ensure_future(tool_of(hang).call({}))
        await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(leave())

    assert ended == ["cancelled"]
