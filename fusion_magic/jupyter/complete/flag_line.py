"""What Tab offers on the line of a `%%fusion` cell: flags and their values."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from functools import cache

from ...presets import user_file
from ...settings import BUILT_IN, FAILURES, JUDGE_FAILURES, LABELS
from ...tools.columns import is_frame
from .. import flags
from .values import (
    NONE,
    Candidates,
    Namespace,
    beginning,
    can_be_attached,
    is_corpus,
    is_tool,
    models,
    one_more,
    panel_names,
    threads,
    unquoted,
    values_or_paths,
    variables,
)


@cache
def _actions() -> dict[str, argparse.Action]:
    """Every flag as it is written, and what it does."""
    return {flag: action for action in flags.parser()._actions for flag in action.option_strings}


def flag_line(before: list[str], typed: str, after: list[str], namespace: Namespace) -> Candidates:
    """What completes the word `typed` between the words before and after it."""
    used, waiting = _read(before)
    name, equals, value = typed.partition("=")
    if waiting is not None and not _is_next_flag(waiting, typed):
        return _value(waiting, typed, namespace)
    if equals and name in _actions():
        return _value(_actions()[name], value, namespace)
    if typed and not typed.startswith("-"):
        return NONE
    used |= _read(after)[0]
    again = [flag for flag, action in _actions().items() if action.dest == "models" or action.dest not in used]
    return beginning(again, typed, "flag")


def _read(words: Iterable[str]) -> tuple[set[str], argparse.Action | None]:
    """The settings that words give, and the flag that still waits for its value."""
    used: set[str] = set()
    waiting = None
    for word in words:
        name, equals, _ = word.partition("=")
        is_value = waiting is not None and not _is_next_flag(waiting, word)
        action = None if is_value else _actions().get(name)
        if action is not None:
            used.add(action.dest)
        waiting = action if action is not None and action.nargs != 0 and not equals else None
    return used, waiting


def _is_next_flag(waiting: argparse.Action, word: str) -> bool:
    """Whether a word goes on behind a flag that may stand without its value."""
    return waiting.nargs == "?" and word.startswith("-")


def _value(action: argparse.Action, written: str, namespace: Namespace) -> Candidates:
    typed = unquoted(written)
    if action.choices is not None:
        return beginning(map(str, action.choices), typed, "choice")
    match action.dest:
        case "panel":
            return panel_names(typed, namespace)
        case "models" | "judge" | "synthesizer":
            return models(typed)
        case "tools":
            return one_more([*BUILT_IN, "none", *variables(namespace, is_tool)], typed, "tool")
        case "simulate":
            return one_more(_failures(), typed, "failure")
        case "data":
            return one_more(variables(namespace, is_frame), typed, "variable")
        case "mcp":
            return one_more(user_file().mcp, typed, "server")
        case "thread":
            return threads(typed)
        case "corpus":
            return values_or_paths(variables(namespace, is_corpus), written, files=False)
        case "attach":
            return values_or_paths(variables(namespace, can_be_attached), written, files=True)
        case _:
            return NONE


def _failures() -> list[str]:
    """Every place with every way in which it can be made to fail."""
    places = {**dict.fromkeys(LABELS, FAILURES), "judge": JUDGE_FAILURES, "synthesizer": FAILURES}
    return [f"{place}={failure}" for place, ways in places.items() for failure in ways]
