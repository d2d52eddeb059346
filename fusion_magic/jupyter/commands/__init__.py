"""`%fusion WORD …`: panels and models, keys, earlier runs, what they cost, and the store."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display

from ...chosen import nearest
from ...results import FusionResult
from ..markup import escape
from . import access, costs, looking, past, store
from .looking import panel_in
from .past import Again

__all__ = ["GUIDE", "Again", "panel_in", "run"]

GUIDE = """%%fusion [-p PANEL] [-m MODEL …]   ask a panel the text of the cell (%%fusion? lists the flags)
    --tools web|none|FUNCTION,…    what the panel may use; --data, --corpus, --attach, --mcp
    --dry-run, --confirm           the price of every call: and nothing more, or then ask; --max-usd X is a limit
%fusion pick [PANEL]               put a panel together by searching and clicking; it is in `_picker`
%fusion panels [--check]           the named panels; --check compares them with the live catalogue
%fusion models [WORD]              models of OpenRouter's catalogue whose name has the word
%fusion last                       the latest run; it is in `_fusion` then
%fusion history [WORD]             earlier runs, of every notebook; those whose prompt has the word
%fusion show ID                    an earlier run; the beginning of its ID is enough
%fusion teach [ID]                 an earlier run, or the latest, as a lesson: stages open one by one, names come last
%fusion resume [ID] [FLAG …]       finish a run that was stopped, cut off, or limited; without ID the latest of these
%fusion rejudge ID --judge MODEL   compare and write anew, from the answers there are; --rubric TEXT, --synthesizer
%fusion costs [--by KIND]          what was paid by model; or by day, notebook, preset
%fusion store                      where calls and results are kept, and how much
%fusion store prune --older AGE    delete runs that are older, such as 90d; what they cost stays in `costs`
%fusion store export FILE          every run as a line of JSON
%fusion store forget ID            delete a run with all its texts
%fusion login [ENDPOINT]           store a key without showing it
%fusion logout [ENDPOINT]          delete a stored key
%fusion doctor                     what works and what to do about the rest"""


def run(line: str, shell: InteractiveShell) -> FusionResult | Again | None:
    """Carry out a `%fusion` line; returns the run that it has shown, or the one that is to be made now.

    Raises:
        UsageError: a word it does not know, or too many of them.
        FusionError: as the run or the store says.
    """
    try:
        words = shlex.split(line)
    except ValueError as exc:
        raise UsageError(f"the line can't be read: {str(exc).lower()}") from exc
    if not words:
        display({"text/html": f"<pre>{escape(GUIDE)}</pre>", "text/plain": GUIDE}, raw=True)
        return None
    known: dict[str, Callable[[list[str]], FusionResult | Again | None]] = {
        "pick": lambda words: looking.pick(words, shell),
        "panels": looking.panels_table,
        "models": looking.models_table,
        "last": lambda words: past.last(words, shell),
        "history": past.history,
        "show": past.show,
        "teach": lambda words: past.teach(words, shell),
        "resume": lambda words: past.resume(words, shell),
        "rejudge": lambda words: past.rejudge(words, shell),
        "costs": costs.costs,
        "store": store.store,
        "login": access.login,
        "logout": access.logout,
        "doctor": access.doctor_table,
    }
    if words[0] not in known:
        raise UsageError(f'no command "{words[0]}"{nearest(words[0], known)} `%fusion` alone lists them.')
    return known[words[0]](words[1:])
