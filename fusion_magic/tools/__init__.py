"""What a panelist may use: the shape of a tool, what it brings, and arguments checked before it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError

from ..errors import ToolError
from ..results import Source

MAX_OUTPUT = 40_000  # characters of one result that a model reads; more than a page of a site rarely needs
TIMEOUT = 60.0  # seconds for one call, unless a tool has a limit of its own

A = TypeVar("A", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Output:
    """What a call of a tool brings.

    Attributes:
        text: what the model reads; it is hostile wherever strangers wrote it, and is fenced as data for every tool.
        sources: pages that were read.
        found: pages that were only offered, as search results are; they become sources where the response cites them.
    """

    text: str
    sources: tuple[Source, ...] = ()
    found: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a model may call.

    Attributes:
        name: letters, digits, `_` and `-`, at most 64.
        description: what it does and when to use it, for the model.
        parameters: JSON schema of its arguments, which are one object.
        call: runs it. Raises ToolError for what the model should read; anything else that it raises is told to the
            model too, as the kind of error and its text. A cancellation must end whatever it has started.
        timeout: seconds until it is cancelled.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    call: Callable[[Mapping[str, Any]], Awaitable[Output]]
    timeout: float = TIMEOUT


def typed(
    name: str,
    description: str,
    arguments: type[A],
    call: Callable[[A], Awaitable[Output]],
    *,
    timeout: float = TIMEOUT,
) -> Tool:
    """A tool whose arguments are a pydantic model; what does not fit is told to the model in a sentence."""

    async def checked(given: Mapping[str, Any]) -> Output:
        try:
            fitting = arguments.model_validate(given)
        except ValidationError as exc:
            raise ToolError(misfit(exc)) from exc
        return await call(fitting)

    return Tool(name, description, schema_of(arguments), checked, timeout)


def schema_of(arguments: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a model's fields, without the titles that pydantic adds and models need not read."""
    return _without_titles(arguments.model_json_schema())


def _without_titles(schema: dict[str, Any]) -> dict[str, Any]:
    told = {key: _cleaned(value) for key, value in schema.items() if key not in ("title", "properties")}
    if "properties" in schema:  # one of them may be called "title"
        told["properties"] = {name: _cleaned(value) for name, value in schema["properties"].items()}
    return told


def _cleaned(value: Any) -> Any:
    if isinstance(value, dict):
        return _without_titles(cast("dict[str, Any]", value))
    return [_cleaned(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value


def misfit(error: ValidationError) -> str:
    """One sentence for arguments that do not fit."""
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"])) or "arguments"
    return f"{place}: {first['msg'].rstrip('.')}."
