"""Turns the analyst's own typed Python functions into tools."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import re
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Generic, ParamSpec, TypeVar, cast, get_type_hints, overload

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic_core import to_json

from ..errors import SettingsError, ToolError
from . import MAX_OUTPUT, TIMEOUT, Output, Tool, misfit, schema_of
from .columns import is_frame, is_pandas, tidy
from .docstrings import described
from .sql import ROWS, Rows

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # what every endpoint accepts
DESCRIPTION = 1_024  # characters; OpenAI's limit
FOLDERS = re.compile(r"""(?<![\w:/.])(?:~|[A-Za-z]:)?[/\\](?:[^\s/\\'"<>]+[/\\])+""")
P = ParamSpec("P")
R = TypeVar("R")


class Function(Generic[P, R]):
    """A function that models may call by its `tool`, and that is called as before by everybody else."""

    def __init__(self, function: Callable[P, R], tool: Tool) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self.tool = tool

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<tool {self.tool.name}>"


@overload
def tool(function: Callable[P, R], /) -> Function[P, R]: ...
@overload
def tool(*, name: str | None = None, timeout: float = TIMEOUT) -> Callable[[Callable[P, R]], Function[P, R]]: ...
def tool(function: Callable[..., Any] | None = None, /, *, name: str | None = None, timeout: float = TIMEOUT) -> Any:
    """Let a panel call a function: `@tool`, or `@tool(name="lookup", timeout=5)`.

    The docstring tells models what it does (parameters in an `Args:` section, or by `Annotated[int, Field(...)]`), the
    types tell what it takes; arguments are checked with pydantic. What it returns is told as it is when it is a str, as
    JSON when it is a dict, a list or a pydantic model, as a table when it is a DataFrame, and is cut off at 40,000
    characters.

    A plain function runs in a thread of its own, with the context variables of the run. Python can't end a thread: when
    the seat is cancelled or `timeout` seconds are over, the function goes on to its end and nobody hears it. An `async`
    one runs in the event loop of the run, which it must not block, and is cancelled.

    Raises:
        SettingsError: it has no docstring, a parameter without a type, or a form that can't be asked for in JSON.
    """

    def wrap(function: Callable[P, R]) -> Function[P, R]:
        return Function(function, _made(function, name, timeout))

    return wrap if function is None else wrap(function)


def tool_of(value: object) -> Tool:
    """The tool of a function named on the line, decorated or not.

    Raises:
        SettingsError: it is no function, or see `tool`.
    """
    if isinstance(value, Tool):
        return value
    if isinstance(value, Function):
        return cast("Function[..., Any]", value).tool
    if not callable(value) or isinstance(value, type):
        raise SettingsError(f"A {type(value).__name__} is not a tool; give the name of a function.")
    return _made(value, None, TIMEOUT)


def _made(function: Callable[..., Any], given: str | None, timeout: float) -> Tool:
    name = given or getattr(function, "__name__", type(function).__name__)
    if not NAME.fullmatch(name):
        raise SettingsError(f"\"{name}\" can't be a tool's name; give @tool(name=...) with letters, digits, _ or -.")
    about, told = described(inspect.getdoc(function) if hasattr(function, "__name__") else None)
    if not about:
        raise SettingsError(f"{name} has no docstring; add one that tells models what it does.")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise SettingsError(f"{name} yields; return a list instead.")
    parameters = _parameters(function, name)
    arguments = _model(function, name, parameters, told)

    async def call(given: Mapping[str, Any]) -> Output:
        try:
            fitting = arguments.model_validate(given)
        except ValidationError as exc:
            raise ToolError(misfit(exc)) from exc
        return await _run(name, function, {each: getattr(fitting, f"p{at}") for at, each in enumerate(parameters)})

    short = about if len(about) <= DESCRIPTION else about[: DESCRIPTION - 1] + "…"
    return Tool(name, short, schema_of(arguments), call, timeout)


def _parameters(function: Callable[..., Any], name: str) -> dict[str, inspect.Parameter]:
    try:
        found = dict(inspect.signature(function).parameters)
    except (ValueError, TypeError) as exc:
        raise SettingsError(f"{name} does not tell its parameters; wrap it in a function of your own.") from exc
    for each in found.values():
        if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD, each.POSITIONAL_ONLY):
            raise SettingsError(f"{name}: a model can't fill in {each}; use named parameters.")
        if each.annotation is each.empty:
            raise SettingsError(f'{name}: parameter "{each.name}" has no type; add one, as in {each.name}: str.')
    return found


def _model(
    function: Callable[..., Any], name: str, parameters: Mapping[str, inspect.Parameter], told: Mapping[str, str]
) -> type[BaseModel]:
    """The arguments as a model; its own names are p0, p1, … since BaseModel keeps names like `json` and `_x`."""
    try:
        annotated: Any = function if hasattr(function, "__annotations__") else type(function).__call__
        hints = get_type_hints(annotated, include_extras=True)
        fields: dict[str, Any] = {
            f"p{at}": _field(hints[each.name], each, told.get(each.name)) for at, each in enumerate(parameters.values())
        }
        made = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
        schema_of(made)
    except (PydanticUserError, NameError, TypeError, KeyError) as exc:
        reason = str(exc).splitlines()[0][:200]
        raise SettingsError(f"{name}: its types can't be asked for in JSON ({reason}); use plain ones.") from exc
    return made


def _field(hint: Any, parameter: inspect.Parameter, told: str | None) -> tuple[Any, Any]:
    own = FieldInfo.from_annotation(hint).description
    about: dict[str, Any] = {"alias": parameter.name} | ({"description": told} if told and not own else {})
    default = parameter.default
    if default is parameter.empty:
        return Annotated[hint, Field(**about)], ...
    if default is None or isinstance(default, str | int | float):
        return Annotated[hint, Field(**about)], default
    return Annotated[hint, Field(**about)], Field(default_factory=lambda: default, **about)  # JSON may not have it


async def _run(name: str, function: Callable[..., Any], arguments: dict[str, Any]) -> Output:
    try:
        if inspect.iscoroutinefunction(function):
            value = await cast("Awaitable[Any]", function(**arguments))
            return await _in_thread(lambda: _output(value))
        return await _in_thread(lambda: _output(function(**arguments)))
    except ToolError:
        raise
    except (Exception, SystemExit) as exc:
        raise ToolError(f"{name} failed: {_reason(exc)}") from exc


def _reason(exc: BaseException) -> str:
    """An error in a line, without the folders of this machine."""
    said = FOLDERS.sub("", " ".join(str(exc).split()))[:500]
    return f"{type(exc).__name__}: {said}" if said else f"{type(exc).__name__}."


async def _in_thread(work: Callable[[], Output]) -> Output:
    """Not `asyncio.to_thread`: a function that hangs would take one of its few threads, and hold up Python's exit."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Output] = loop.create_future()
    context = contextvars.copy_context()

    def tell(put: Callable[[Any], None], value: object) -> None:
        if not ended.done():
            put(value)

    def run() -> None:
        put, value = ended.set_result, cast("Any", None)
        try:
            value = context.run(work)
        except ToolError as exc:
            put, value = ended.set_exception, exc
        except BaseException as exc:  # StopIteration can't be set; SystemExit would only end the thread
            put, value = ended.set_exception, ToolError(_reason(exc)).with_traceback(exc.__traceback__)
            value.__cause__ = exc
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, put, value)

    threading.Thread(target=run, daemon=True, name="fusion-tool").start()
    return await ended


def _output(value: object) -> Output:
    if isinstance(value, Output):
        return value
    text = _text(value)
    if len(text) <= MAX_OUTPUT:
        return Output(text)
    kept = text[: MAX_OUTPUT - 60]
    return Output(f"{kept}\n({len(text) - len(kept):,} more characters were cut off)")


def _text(value: object) -> str:
    match value:
        case None:
            return "done"
        case str():
            return value
        case dict() | list() | tuple() | set() | bool() | int() | float() | BaseModel():
            return to_json(value, fallback=repr, inf_nan_mode="constants").decode()
        case _ if is_frame(value):
            return _table(value)
        case _:
            return repr(value)


def _table(frame: Any) -> str:
    shown = tidy(frame.head(ROWS))
    rows = shown.itertuples(index=False, name=None) if is_pandas(shown) else shown.iter_rows()
    cells = [[None if value is None or value != value else str(value) for value in row] for row in rows]
    return Rows([str(column) for column in shown.columns], cells, len(frame)).table()
