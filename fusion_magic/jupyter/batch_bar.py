"""What a notebook shows of a batch: a bar with its numbers while it runs, one line when it has ended."""

from __future__ import annotations

import time
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.display import display

from ..progress import Progress, Terminal, Watcher
from .markup import escape
from .show import client
from .static.page import framed

REDRAW = 0.25  # seconds between two pictures


class Bar:
    """Draws in the cell that began the batch, from any thread."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._drawn_at = 0.0

    def show(self, progress: Progress) -> None:
        if time.monotonic() - self._drawn_at < REDRAW and not progress.has_ended:
            return
        self._drawn_at = time.monotonic()
        if self._handle is None:
            self._handle = display(bar_bundle(progress), raw=True, display_id=True)
        else:
            self._handle.update(bar_bundle(progress), raw=True)


def watcher() -> Watcher:
    """The bar, or in a terminal its line."""
    shell = get_ipython()
    return Terminal() if shell is None or client(shell) == "text" else Bar()


def bar_bundle(progress: Progress) -> dict[str, Any]:
    """The picture of one moment, as HTML and as text."""
    said = [str(progress), *([progress.stopped] if progress.stopped else [])]
    lines = "".join(f"<div>{escape(line)}</div>" for line in said)
    return {"text/html": framed(_bar(progress) + lines), "text/plain": "\n".join(said)}


def _bar(progress: Progress) -> str:
    if progress.share is None or progress.has_ended:
        return ""
    return f'<progress aria-label="Rows done" value="{progress.share:.4f}" max="1"></progress>'
