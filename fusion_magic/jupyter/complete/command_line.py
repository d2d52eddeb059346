"""What Tab offers on a `%fusion` line: its words, and what each of them takes."""

from __future__ import annotations

import re
from functools import cache

from ...presets import endpoints
from .. import commands
from ..commands.costs import KINDS
from ..commands.store import WORDS
from .flag_line import flag_line
from .values import NONE, Candidates, Namespace, beginning, models, panel_names, runs, unquoted, values_or_paths


def command_line(before: list[str], typed: str, after: list[str], namespace: Namespace) -> Candidates:
    """What completes the word `typed` between the words before and after it."""
    written, typed = typed, unquoted(typed)
    match before:
        case []:
            return beginning(_command_words(), typed, "command")
        case ["login" | "logout"]:
            return beginning(endpoints(), typed, "endpoint")
        case ["panels"]:
            return beginning(["--check"], typed, "flag")
        case ["pick"]:
            return panel_names(typed, namespace)
        case ["models"]:
            return models(typed)
        case ["costs", *more]:
            return _costs(more, typed)
        case ["store", *more]:
            return _store(more, written)
        case ["show" | "teach"] | ["resume" | "rejudge"] if not typed.startswith("-"):
            return runs(typed)
        case ["resume" | "rejudge", *more]:
            return flag_line(more, written, after, namespace)
        case _:
            return NONE


def _costs(before: list[str], typed: str) -> Candidates:
    if before == ["--by"]:
        return beginning(KINDS, typed, "choice")
    return NONE if before else beginning(["--by"], typed, "flag")


def _store(before: list[str], written: str) -> Candidates:
    typed = unquoted(written)
    match before:
        case []:
            return beginning(WORDS, typed, "command")
        case ["prune"]:
            return beginning(["--older"], typed, "flag")
        case ["export"]:
            return values_or_paths([], written, files=True)
        case ["forget"]:
            return runs(typed)
        case _:
            return NONE


@cache
def _command_words() -> list[str]:
    return re.findall(r"^%fusion ([a-z]+)", commands.GUIDE, re.MULTILINE)
