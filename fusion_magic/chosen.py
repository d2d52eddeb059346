"""What a user writes, checked: its kind of value, and one sentence about the first thing that is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from .errors import SettingsError
from .values import Value

T = TypeVar("T", bound=BaseModel)


class Chosen(Value):
    """What a user may write. Its errors never repeat what was given: a key may have landed in the wrong place."""

    model_config = ConfigDict(allow_inf_nan=False, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _known_names(cls, data: Any) -> Any:
        check_names(cls, data)
        return data


def check_names(kind: type[Chosen], data: object) -> None:
    for name in cast("Mapping[object, object]", data) if isinstance(data, Mapping) else ():
        if name not in kind.model_fields:
            raise ValueError(f'no setting "{name}"{nearest(str(name), kind.model_fields)}')


def checked(kind: type[T], data: Mapping[str, Any], where: str = "") -> T:
    """Validate `data`, with pydantic's report turned into one sentence.

    Raises:
        SettingsError: the first thing that is wrong.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as exc:
        raise SettingsError(where + _sentence(exc)) from exc


def _sentence(error: ValidationError) -> str:
    found = error.errors(include_url=False)
    # A value that may be a name or a Panel has an error for each; the one about the Panel says more.
    first = next((other for other in found if "Panel" in str(other["loc"])), found[0])
    place = ".".join(str(part) for part in first["loc"] if not str(part).startswith(("function-", "Panel")))
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    given = first["input"]
    # Our own messages name what they are about; a value they leave out may be a key.
    shown = f" (it is {given!r})" if first["type"] != "value_error" and isinstance(given, str | int | float) else ""
    sentence = f"{place}: {message}{shown}" if place else message
    return sentence if sentence.endswith("?") else f"{sentence}."


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence: '; did you mean "budget"?', or a full stop if nothing is near."""
    import difflib

    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return "; did you mean " + " or ".join(f'"{other}"' for other in close) + "?" if close else "."
