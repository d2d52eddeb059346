"""`%fusion last`, `history`, `show`, `resume` and `rejudge`: runs that were made before, in any notebook."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display

from ... import api, verbs
from ...pipeline.request import FusionRequest
from ...results import FusionResult, dollars
from .. import flags
from ..place import notebook_of
from ..static import bundle
from .store import opened
from .tables import one_line
from .tables import show as show_table

if TYPE_CHECKING:
    from ...store import RunLine

SHOWN = 50  # runs in a table
PROMPT = 70  # characters of a prompt in it
STATES = {"ok": "", "cancelled": "stopped", "limited": "limited", "error": "no answer", "unfinished": "unfinished"}


@dataclass(frozen=True)
class Again:
    """A run that a command asks for, with the flags of its line."""

    request: FusionRequest
    asked: flags.Line


def last(words: list[str], shell: InteractiveShell) -> FusionResult:
    """Show the latest run: this kernel's, else this notebook's, else anybody's of this user."""
    if words:
        raise UsageError("%fusion last takes nothing; `%fusion show ID` shows an earlier run")
    return _shown(api.last() or opened().load(_latest(shell).id))


def _latest(shell: InteractiveShell, *, unfinished: bool = False) -> RunLine:
    """The newest run of this notebook, or where there is none, of any.

    Of the unfinished ones neither those that were resumed, nor those that go on in this process.
    """
    lines = opened().history(limit=SHOWN)
    if unfinished:
        taken = {line.parent for line in lines if line.status == "ok"} | api.going_on()
        lines = [line for line in lines if line.status != "ok" and line.id not in taken]
    if not lines:
        kind = "unfinished run" if unfinished else "run"
        raise UsageError(f"no {kind} is kept in the store; `%fusion history` lists what is")
    here = notebook_of(shell.user_ns)
    return next((line for line in lines if here and line.notebook == here), lines[0])


def history(words: list[str]) -> None:
    """Show earlier runs, newest first."""
    lines = opened().history(" ".join(words), SHOWN + 1)
    if not lines:
        return print("No run is kept whose prompt has these words." if words else "No run is kept yet.")
    more = "older ones are not shown; add a word" if len(lines) > SHOWN else ""
    show_table(
        [_row(line) for line in lines[:SHOWN]],
        ("run", "when", "prompt", "panel", "cost", "saved", "state", "notebook"),
        ". ".join(filter(None, ("%fusion show ID shows a run", more))),
        aligned=True,
    )


def _row(line: RunLine) -> list[str]:
    prompt = one_line(line.prompt)
    thread = f"{line.thread}: " if line.thread else ""
    return [
        line.id,
        f"{line.created.astimezone():%Y-%m-%d %H:%M}",
        thread + (prompt if len(prompt) <= PROMPT else f"{prompt[:PROMPT]} …"),
        line.panel,
        amount(line.cost, partial=line.cost_is_partial),
        dollars(line.saved) if line.saved else "",
        STATES[line.status],
        line.notebook.replace("\\", "/").rpartition("/")[2],
    ]


def amount(cost: float | None, *, partial: bool) -> str:
    """US dollars in words: "$0.0123", "at least $0.01", "not priced"."""
    if cost is None:
        return "not priced"
    return f"at least {dollars(cost)}" if partial else dollars(cost)


def show(words: list[str]) -> FusionResult:
    """Show an earlier run."""
    if len(words) != 1:
        raise UsageError("%fusion show takes the ID of one run; `%fusion history` lists them")
    return _shown(opened().load(words[0]))


def teach(words: list[str], shell: InteractiveShell) -> None:
    """Show a run as a lesson; `_lesson` holds it."""
    if len(words) > 1:
        raise UsageError("%fusion teach takes the ID of one run, or nothing; `%fusion history` lists them")
    from ..teach import Lesson

    lesson = Lesson(opened().load(words[0]) if words else api.last() or opened().load(_latest(shell).id))
    shell.push({"_lesson": lesson})
    display(lesson)


def _shown(result: FusionResult) -> FusionResult:
    display(bundle(result), raw=True)
    return result


def resume(words: list[str], shell: InteractiveShell) -> Again:
    """Finish a run; what was answered is not asked again."""
    has_id = bool(words) and not words[0].startswith("-")
    run = words[0] if has_id else _latest(shell, unfinished=True).id
    asked = flags.read(words[1:] if has_id else words)
    return Again(verbs.resume(opened().load(run), namespace=shell.user_ns, **asked.settings), asked)


def rejudge(words: list[str], shell: InteractiveShell) -> Again:
    """Compare and write anew from the answers of an earlier run."""
    if not words or words[0].startswith("-"):
        raise UsageError("%fusion rejudge takes the ID of a run, then flags: %fusion rejudge ID --judge MODEL")
    asked = flags.read(words[1:])
    return Again(verbs.rejudge(opened().load(words[0]), namespace=shell.user_ns, **asked.settings), asked)
