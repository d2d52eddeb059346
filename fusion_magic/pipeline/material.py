"""What a run is given beside its prompt: the analyst's own functions, collections, frames and files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..chosen import nearest
from ..errors import SettingsError
from ..settings import BUILT_IN, Settings, build_settings
from ..tools import Tool

if TYPE_CHECKING:  # most runs have none, and readers of files cost time to import
    from ..attachments import Attachment

NAMED = ("tools", "corpus", "data", "attach")


@dataclass(frozen=True, slots=True)
class Material:
    """Values that the settings know by their names alone.

    Attributes:
        functions: tools of the analyst's own, by name.
        corpora: collections, or what one is made of: a folder, a frame.
        frames: DataFrames by the names they have in SQL.
        attachments: files and values that go along with the prompt.
        screen: reads what a tool brings before a model does, and returns it, or what stands in its place.
        usable: whether a seat's text can be used; a call that brought another is never reused.
    """

    functions: Mapping[str, Tool] = field(default_factory=dict[str, Tool])
    corpora: tuple[Any, ...] = ()
    frames: Mapping[str, Any] = field(default_factory=dict[str, Any])
    attachments: tuple[Attachment, ...] = ()
    screen: Callable[[str], str] | None = None
    usable: Callable[[str], bool] | None = None


def gather(layers: Sequence[Mapping[str, Any]], namespace: Mapping[str, Any]) -> tuple[Settings, Material]:
    """The settings, with names in place of values, and the values.

    Args:
        layers: settings as they were given, the first one strongest: names, or for `tools`, `corpus`, `data` and
            `attach` also values.
        namespace: the variables that a name may mean; nothing else in it is looked at.

    Raises:
        SettingsError: a setting is not valid; a name means nothing, or not what it is given for.
    """
    given = {name: _first(layers, name) for name in NAMED}
    tools = [_tool(item, namespace) for item in _items(given["tools"], split=True)]
    folders = _items(given["corpus"])
    corpora = tuple(_value(item, namespace) for item in folders)
    frames = dict(_frames(given["data"], namespace))
    attached = _attachments([_attached(item, namespace) for item in _items(given["attach"])])
    names = {
        "tools": tuple(tool if isinstance(tool, str) else tool.name for tool in tools),
        "corpus": tuple(_name(item, value) for item, value in zip(folders, corpora, strict=True)),
        "data": tuple(frames),
        "attach": tuple(attachment.name for attachment in attached),
    }
    told = {name: value for name, value in names.items() if given[name] is not None}
    others = ({name: value for name, value in layer.items() if name not in NAMED} for layer in layers)
    functions = distinct(tool for tool in tools if isinstance(tool, Tool))
    return build_settings(told, *others), Material(functions, corpora, frames, attached)


def _items(value: Any, *, split: bool = False) -> list[Any]:
    """One value or several; names on a line may have commas between them."""
    if value is None:
        return []
    if isinstance(value, str):
        return [word.strip() for word in value.split(",") if word.strip()] if split else [value]
    if isinstance(value, list | tuple):
        words = (_items(item, split=split) for item in cast("Iterable[Any]", value))
        return [item for items in words for item in items]
    return [value]


def _first(layers: Iterable[Mapping[str, Any]], name: str) -> Any:
    return next((layer[name] for layer in layers if layer.get(name) is not None), None)


def _attachments(values: list[tuple[str, Any]]) -> tuple[Attachment, ...]:
    if not values:
        return ()
    from ..attachments import attachments_of

    return attachments_of(values)


def _tool(item: Any, namespace: Mapping[str, Any]) -> str | Tool:
    if isinstance(item, str) and item in (*BUILT_IN, "none"):
        return item
    from ..tools.functions import tool_of

    if not isinstance(item, str):
        return tool_of(item)
    if item in namespace:
        value = namespace[item]
        if not isinstance(value, Tool) and not callable(value):
            raise SettingsError(f'"{item}" is of type {type(value).__name__}, not a function that could be a tool.')
        return tool_of(value)
    functions = [name for name, value in namespace.items() if callable(value) and not name.startswith("_")]
    raise SettingsError(f'There is no tool "{item}"{nearest(item, (*BUILT_IN, *functions))}')


def distinct(tools: Iterable[Tool]) -> dict[str, Tool]:
    """Tools by name. Raises SettingsError where two have the same."""
    named: dict[str, Tool] = {}
    for tool in tools:
        if named.setdefault(tool.name, tool) is not tool:
            raise SettingsError(f'Two tools are called "{tool.name}"; rename one.')
    return named


def _value(item: Any, namespace: Mapping[str, Any]) -> Any:
    """What a word means: a variable if there is one, else itself."""
    return namespace.get(item, item) if isinstance(item, str) else item


def _name(item: Any, value: Any) -> str:
    if isinstance(item, str | Path):
        return Path(item).name
    return str(getattr(value, "name", "") or type(value).__name__)


def _frames(value: Any, namespace: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from cast("Mapping[str, Any]", value).items()
        return
    for item in _items(value, split=True):
        if not isinstance(item, str):
            yield "data", item
        elif item in namespace:
            yield item, namespace[item]
        else:
            raise SettingsError(f'There is no DataFrame "{item}"; define it first, or give data={{"{item}": frame}}.')


def _attached(item: Any, namespace: Mapping[str, Any]) -> tuple[str, Any]:
    """(name, value); a path has its name from the file."""
    return (item, namespace[item]) if isinstance(item, str) and item in namespace else ("", item)
