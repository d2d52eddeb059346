"""The flags of `%%fusion`: one for every setting, made from `Settings` itself, and those of the cell."""

from __future__ import annotations

import argparse
import keyword
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, NoReturn, Union, get_args, get_origin

from IPython.core.error import UsageError

from ..chosen import nearest
from ..settings import Settings

SHORT = {"panel": ("-p",), "models": ("-m",)}
# What is the cell's own, and no setting.
CELL = ("into", "static", "raw", "quiet", "background", "record", "dry_run", "confirm", "teach")
LONG = {"models": "--model", "allow_domains": "--allow-domain", "block_domains": "--block-domain"}
METAVARS = {
    "panel": "NAME",
    "judge": "MODEL",
    "synthesizer": "MODEL",
    "corpus": "PATH",
    "attach": "PATH",
    "max_age": "AGE",
    "thread": "NAME",
    "simulate": "SEAT=FAILURE,…",
    **dict.fromkeys(("max_usd", "max_usd_day", "max_usd_notebook"), "USD"),
}
ALONE = {"fresh": "all"}  # what a flag means that may stand without its value


class FlagParser(argparse.ArgumentParser):
    """argparse whose errors are one line with the nearest flag."""

    def error(self, message: str) -> NoReturn:
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown != message:
            message = _unknown(unknown.split()[0], self._option_string_actions)
        raise UsageError(message)


def _unknown(word: str, flags: Iterable[str]) -> str:
    if word.startswith("-"):
        return f'no flag "{word}"{nearest(word, flags)} `%%fusion?` lists them.'
    return f'"{word}" is no flag: -p NAME chooses a panel, -m MODEL a model, and the prompt stands below the line.'


@dataclass(frozen=True)
class Line:
    """A `%%fusion` line: settings that were given, and how the cell behaves."""

    settings: dict[str, Any]
    into: str | None
    static: bool
    raw: bool
    quiet: bool
    background: bool
    record: bool
    dry_run: bool
    confirm: bool
    teach: bool


def parser() -> FlagParser:
    """The parser of the `%%fusion` line."""
    made = FlagParser(
        prog="%%fusion",
        add_help=False,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "Ask a panel of models the text of the cell, let a judge compare the answers and a synthesizer write one."
            "\n\n{name} in the text becomes the value of that variable; code, mathematics and other braces stay as "
            "they are."
        ),
    )
    for name, field in Settings.model_fields.items():
        flags = (*SHORT.get(name, ()), LONG.get(name, "--" + name.replace("_", "-")))
        made.add_argument(*flags, dest=name, help=_help(field.description, field.default), **_kind(name, field))
    made.add_argument("--into", metavar="NAME", help="also put the result into this variable")
    made.add_argument("--static", action="store_true", help="one final output and no progress, for nbval and papermill")
    made.add_argument("--raw", action="store_true", help="send the text as it is, braces included")
    made.add_argument("--quiet", action="store_true", help="show the answer alone")
    made.add_argument(
        "--background", action="store_true", help="return at once with a handle; the cell goes on showing the run"
    )
    made.add_argument("--no-record", action="store_false", dest="record", help="leave the record out of this output")
    made.add_argument("--dry-run", action="store_true", help="ask nobody; show every call with its price, as the value")
    made.add_argument("--confirm", action="store_true", help="show the price and ask before anything is called")
    made.add_argument(
        "--teach", action="store_true", help="a lesson: stages open one by one, a class votes, names come last"
    )
    return made


def _help(description: str | None, default: Any) -> str:
    told = (description or "").replace("%", "%%")
    return told if default in (None, False, ()) else f"{told} (default {default:g})" if _number(default) else told


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _kind(name: str, field: Any) -> dict[str, Any]:
    """argparse's words for a setting's type."""
    plain = [kind for kind in _members(field.annotation) if kind is not type(None)]
    if bool in plain:
        return {"action": argparse.BooleanOptionalAction, "default": None}
    if name == "models":
        return {"action": "append", "metavar": "MODEL"}
    if any(get_origin(kind) is tuple for kind in plain):
        return {"action": "append", "metavar": METAVARS.get(name, "NAME,…")}
    if plain and get_origin(plain[0]) is Literal:
        alone = {"nargs": "?", "const": ALONE[name]} if name in ALONE else {}
        return {"choices": get_args(plain[0]), **alone}
    if plain[0] in (int, float):
        return {"type": plain[0], "metavar": METAVARS.get(name, "N" if plain[0] is int else "X")}
    return {"metavar": METAVARS.get(name, "TEXT")}


def _members(annotation: Any) -> tuple[Any, ...]:
    """The types that an annotation allows, without their validators."""
    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return tuple(get_args(kind)[0] if get_origin(kind) is Annotated else kind for kind in kinds)


def parse(line: str) -> Line:
    """The flags of a line. Raises UsageError, in one sentence."""
    try:
        words = shlex.split(line)
    except ValueError as exc:
        raise UsageError(f"the line can't be read: {str(exc).lower()}") from exc
    return read(words)


def read(words: list[str]) -> Line:
    """The flags in the words of a line. Raises UsageError, in one sentence."""
    given = vars(parser().parse_args(words))
    cell = {name: given.pop(name) for name in CELL}
    into = cell["into"]
    if into is not None and (not into.isidentifier() or keyword.iskeyword(into)):
        raise UsageError(f'--into takes a name for a variable, not "{into}"')
    if cell["teach"] and cell["quiet"]:
        raise UsageError("--teach shows every stage and --quiet the answer alone; choose one of them")
    return Line(settings={name: value for name, value in given.items() if value is not None}, **cell)
