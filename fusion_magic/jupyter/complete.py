"""What Tab offers in `%%fusion` and `%fusion`: flags and their values, panels, models, variables, files and words."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice
from types import FunctionType, ModuleType
from typing import Any

from IPython.core import completer
from IPython.core.interactiveshell import InteractiveShell

from ..characters import plain
from ..presets import endpoints, panels, user_file
from ..providers.catalogue import cached_ids
from ..settings import BUILT_IN, Panel, local_model_name
from ..tools import Tool
from ..tools.columns import is_frame
from ..tools.functions import Function
from . import commands, flags

IDENTIFIER = "fusion_magic"
FIRST = 1000  # before IPython's own matchers: the slowest of them are then not asked at all
CELL = re.compile(r"\s*%%fusion(?=\s)")
LINE = re.compile(r"(?:\s*[^\W\d]\w*\s*=)?\s*%fusion(?=\s)")
WORD = re.compile(r"""(?:"(?:[^"\\]|\\.)*"?|'[^']*'?|\\.|[^\s"'\\])+""")
BRACE = re.compile(r"(?<![{}\\$^_])\{([^\W\d]\w*)?$")  # of a prompt: where a variable's name is being written
PATHS_AT_MOST = 500  # of a folder
# `_`, `_5`, `_i5`, `__name__` and the like; `_fusion` and `_picker` are for the user.
IPYTHONS = re.compile(r"_+|_i{0,3}\d*|_[iod]h|_exit_code|__\w+__|In|Out|exit|quit|open|get_ipython")
Namespace = Mapping[str, Any]


@dataclass(frozen=True)
class Candidates:
    """What may take the place of the characters `typed` before the cursor, and what kind of thing it is."""

    typed: str
    texts: tuple[str, ...]
    kind: str


NONE = Candidates("", (), "")


def attach(shell: InteractiveShell) -> None:
    """Let Tab complete `%%fusion` in a shell; in IPython before 8.6 nothing happens."""
    matcher = getattr(completer, "context_matcher", None)
    if matcher is None:
        return
    detach(shell)

    @matcher(identifier=IDENTIFIER, priority=FIRST)
    def fusion(context: Any) -> dict[str, Any]:
        found = _quietly(context.full_text, context.cursor_line, context.cursor_position, shell.user_ns)
        return {
            "completions": [completer.SimpleCompletion(text, type=found.kind) for text in found.texts],
            "matched_fragment": found.typed,
            "ordered": True,
            "suppress": True,  # only where something is offered
        }

    _matchers(shell).append(fusion)


def detach(shell: InteractiveShell) -> None:
    """Take back what `attach` did."""
    known = _matchers(shell)
    known[:] = [matcher for matcher in known if getattr(matcher, "matcher_identifier", None) != IDENTIFIER]


def _matchers(shell: InteractiveShell) -> list[Any]:
    return getattr(shell.Completer, "custom_matchers", [])


def _quietly(text: str, line: int, column: int, namespace: Namespace) -> Candidates:
    """Pressing Tab never shows an error, whatever a file or a variable of the user's does."""
    try:
        return offered(text, line, column, namespace)
    except Exception:
        return NONE


def offered(text: str, line: int, column: int, namespace: Namespace) -> Candidates:
    """What completes a cell at the cursor; nothing is asked over the network.

    Args:
        text: the whole cell.
        line, column: where the cursor stands, both from 0.
        namespace: the notebook's variables.
    """
    lines = text.split("\n")
    here, head = lines[line], _head(lines)
    if head is not None and line > head:
        return _in_prompt(here[:column], namespace)
    opening = (CELL if line == head else LINE).match(here)
    if opening is None or opening.end() >= column:
        return NONE
    before, typed, after = _words(here[opening.end() : column], here[column:])
    values = _flag_line if line == head else _command_line
    return values(before, typed, after, namespace)


def _head(lines: list[str]) -> int | None:
    """The number of the `%%fusion` line; other cell magics, such as %%time, may stand above it."""
    for number, line in enumerate(lines):
        if CELL.match(f"{line} "):
            return number
        if line.strip() and not line.lstrip().startswith("%%"):
            return None
    return None


def _words(before: str, after: str) -> tuple[list[str], str, list[str]]:
    """The words before the cursor's, what of that one is typed, and the words behind it.

    A quote that is open stays where it is: what is typed begins behind it.
    """
    words = WORD.findall(before)
    typed = words.pop() if words and before.endswith(words[-1]) else ""
    behind = WORD.findall(after)
    if typed and after[:1].strip():
        behind = behind[1:]  # the rest of the cursor's own word
    return [word.strip("\"'") for word in words], typed, behind


def _unquoted(typed: str) -> str:
    return typed[1:] if typed[:1] in ("'", '"') else typed


# --- the line of a cell -----------------------------------------------------------------------------


@cache
def _actions() -> dict[str, argparse.Action]:
    """Every flag as it is written, and what it does."""
    return {flag: action for action in flags.parser()._actions for flag in action.option_strings}


def _flag_line(before: list[str], typed: str, after: list[str], namespace: Namespace) -> Candidates:
    used, waiting = _read(before)
    name, equals, value = typed.partition("=")
    if waiting is not None:
        return _value(waiting, typed, namespace)
    if equals and name in _actions():
        return _value(_actions()[name], value, namespace)
    if typed and not typed.startswith("-"):
        return NONE
    used |= _read(after)[0]
    again = [flag for flag, action in _actions().items() if action.dest == "models" or action.dest not in used]
    return _beginning(again, typed, "flag")


def _read(words: Iterable[str]) -> tuple[set[str], argparse.Action | None]:
    """The settings that words give, and the flag that still waits for its value."""
    used: set[str] = set()
    waiting = None
    for word in words:
        name, equals, _ = word.partition("=")
        action = None if waiting is not None else _actions().get(name)
        if action is not None:
            used.add(action.dest)
        waiting = action if action is not None and action.nargs != 0 and not equals else None
    return used, waiting


def _value(action: argparse.Action, written: str, namespace: Namespace) -> Candidates:
    typed = _unquoted(written)
    if action.choices is not None:
        return _beginning(map(str, action.choices), typed, "choice")
    match action.dest:
        case "panel":
            return _panels(typed, namespace)
        case "models" | "judge" | "synthesizer":
            return _models(typed)
        case "tools":
            return _one_more([*BUILT_IN, "none", *_variables(namespace, _is_tool)], typed, "tool")
        case "data":
            return _one_more(_variables(namespace, is_frame), typed, "variable")
        case "mcp":
            return _one_more(user_file().mcp, typed, "server")
        case "corpus":
            return _values_or_paths(_variables(namespace, _is_corpus), written, files=False)
        case "attach":
            return _values_or_paths(_variables(namespace, _can_be_attached), written, files=True)
        case _:
            return NONE


def _panels(typed: str, namespace: Namespace) -> Candidates:
    return _beginning([*panels(), *_variables(namespace, _holds_panel)], typed, "panel")


def _beginning(names: Iterable[str], typed: str, kind: str) -> Candidates:
    return Candidates(typed, tuple(dict.fromkeys(name for name in names if name.startswith(typed))), kind)


# --- models -----------------------------------------------------------------------------------------


def _models(typed: str) -> Candidates:
    """Models that begin so, then those that have it in them; for a name with its @, the endpoints."""
    known = list(_known_models())
    begin = [model for model in known if model.startswith(typed)]
    slug, at, _ = typed.rpartition("@")
    if at and not begin:
        return _beginning([f"{slug}@{name}" for name in endpoints()], typed, "model")
    # JupyterLab would put a name that begins otherwise behind the last sign in what is typed: only a word is replaced.
    have = [model for model in known if typed.isidentifier() and typed.lower() in model.partition("@")[0].lower()]
    return Candidates(typed, tuple(dict.fromkeys([*begin, *have])), "model")


def _known_models() -> Iterable[str]:
    """The embedded model, and all that the cached catalogues list."""
    yield f"{local_model_name()}@local"
    for name, endpoint in endpoints().items():
        ids = cached_ids(endpoint)
        yield from ids if endpoint.name == "openrouter" else [f"{model}@{name}" for model in ids]


# --- tools and what they work on --------------------------------------------------------------------


def _one_more(names: Iterable[str], typed: str, kind: str) -> Candidates:
    """Names of a list with commas; what stands in it is not offered again."""
    *given, last = typed.split(",")
    return _beginning((name for name in names if name not in given and not (given and name == "none")), last, kind)


def _values_or_paths(variables: Iterable[str], written: str, *, files: bool) -> Candidates:
    """Variables, then folders and files, as they have to stand on the line."""
    typed, is_open = _unquoted(written), written[:1] in ("'", '"')
    paths = _paths(typed if is_open else typed.replace("\\ ", " "), files=files)
    shown = paths if is_open else (path.replace(" ", "\\ ") for path in paths)
    return _beginning([*variables, *shown], typed, "path")


def _paths(typed: str, *, files: bool) -> list[str]:
    """The folders, and if wanted files, that begin so; a folder ends with / and goes on with the next Tab."""
    folder, slash, begun = typed.rpartition("/")
    try:
        with os.scandir(os.path.expanduser(folder + slash) or ".") as entries:
            fitting = (entry for entry in entries if entry.name.startswith(begun) and _can_stand(entry.name, begun))
            found = [(entry.name, entry.is_dir()) for entry in islice(fitting, PATHS_AT_MOST)]
    except OSError:  # no such folder, or one that can't be listed
        return []
    return [f"{folder}{slash}{name}{'/' * is_folder}" for name, is_folder in sorted(found) if is_folder or files]


def _can_stand(name: str, begun: str) -> bool:
    """Whether a line can hold a file's name: IPython evaluates {…} and $…, argparse takes -x for a flag."""
    is_hidden = name.startswith(".") and not begun.startswith(".")
    return not is_hidden and not re.search(r"""^-|[{}$'"\\]|[^\S ]""", name) and plain(name) == name


def _is_tool(value: object) -> bool:
    """A tool, or a function that says in a docstring what it does: without one it can't be a tool."""
    return isinstance(value, Tool | Function) or (isinstance(value, FunctionType) and bool(value.__doc__))


def _is_corpus(value: object) -> bool:
    """A Corpus, or a frame, which can become one."""
    return _is("fusion_magic.tools.corpus", "Corpus", value) or is_frame(value)


def _can_be_attached(value: object) -> bool:
    """A frame, a column of one, a figure, or what shows itself as an image; nothing is drawn to find out."""
    if isinstance(value, type):
        return False
    is_column = _is("pandas", "Series", value) or _is("polars", "Series", value)
    is_image = any(hasattr(type(value), draw) for draw in ("_repr_png_", "_repr_jpeg_"))
    return is_frame(value) or is_column or is_image or _is("matplotlib.artist", "Artist", value)


def _is(module: str, kind: str, value: object) -> bool:
    loaded = sys.modules.get(module)  # there is no value of a library that was never imported
    return loaded is not None and isinstance(value, getattr(loaded, kind))


# --- variables --------------------------------------------------------------------------------------


def _in_prompt(before: str, namespace: Namespace) -> Candidates:
    brace = BRACE.search(before)
    return _beginning(_variables(namespace, _is_text), brace[1] or "", "variable") if brace else NONE


def _variables(namespace: Namespace, wanted: Callable[[object], bool]) -> list[str]:
    """The user's own names, without what IPython puts beside them."""
    return [name for name, value in list(namespace.items()) if not IPYTHONS.fullmatch(name) and wanted(value)]


def _is_text(value: object) -> bool:
    return not isinstance(value, type | ModuleType) and not callable(value)


def _holds_panel(value: object) -> bool:
    """A Panel, or what has one, such as a picker; only a class that says so is asked."""
    if isinstance(value, Panel):
        return True
    if not any("panel" in vars(kind) for kind in type(value).__mro__):
        return False
    try:
        return isinstance(getattr(value, "panel", None), Panel)
    except Exception:  # one variable that fails does not take the others away
        return False


# --- %fusion ----------------------------------------------------------------------------------------


def _command_line(before: list[str], typed: str, after: list[str], namespace: Namespace) -> Candidates:
    typed = _unquoted(typed)
    if not before:
        return _beginning(_command_words(), typed, "command")
    if len(before) > 1:
        return NONE
    match before[0]:
        case "login" | "logout":
            return _beginning(endpoints(), typed, "endpoint")
        case "panels":
            return _beginning(["--check"], typed, "flag")
        case "pick":
            return _panels(typed, namespace)
        case "models":
            return _models(typed)
        case _:
            return NONE


@cache
def _command_words() -> list[str]:
    return re.findall(r"^%fusion ([a-z]+)", commands.GUIDE, re.MULTILINE)
