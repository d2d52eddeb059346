"""Lets a `%%fusion` cell wait without holding the kernel's loop, so that clicks reach the run while it goes on.

IPython calls a cell magic, but does not await it. So a cell that is nothing but `%%fusion` is rewritten into an
awaited call. Under another magic or in a function that would be a syntax error, or come too late: there the plain
magic stands, and the cell waits in its thread.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from IPython.core.interactiveshell import InteractiveShell

ASYNC_MAGIC = "_fusion_async"  # a name that Tab does not offer
PLAIN = "get_ipython().run_cell_magic('fusion', "
EMPTY = ", '')\n"  # without a prompt IPython complains, and names the magic
AWAITED = f"await get_ipython().run_cell_magic('{ASYNC_MAGIC}', "


def clicks_arrive() -> bool:
    """Whether a click reaches Python while a cell awaits; before ipykernel 7 it waits for the cell's end."""
    try:
        return int(version("ipykernel").partition(".")[0]) >= 7
    except (PackageNotFoundError, ValueError):
        return False


class TopLevel:
    """Rewrites `%%fusion` where a kernel runs it as a cell of its own."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._cells = 0  # that run now: a cell may run another one

    def attach(self) -> None:
        """Watch the shell's cells."""
        self._shell.input_transformers_post.append(self._rewrite)
        self._shell.events.register("pre_run_cell", self._begin)
        self._shell.events.register("post_run_cell", self._end)

    def detach(self) -> None:
        """Leave the shell as it was."""
        self._shell.input_transformers_post.remove(self._rewrite)
        self._shell.events.unregister("pre_run_cell", self._begin)
        self._shell.events.unregister("post_run_cell", self._end)

    def _begin(self, _: object) -> None:
        self._cells += 1

    def _end(self, _: object) -> None:
        self._cells = max(0, self._cells - 1)  # the cell that loads the extension had begun before

    def _rewrite(self, lines: list[str]) -> list[str]:
        """A kernel rewrites a cell before it begins it; what a running cell runs is rewritten inside it."""
        awaits = getattr(self._shell, "kernel", None) is not None and self._shell.autoawait
        if awaits and not self._cells and lines and lines[0].startswith(PLAIN) and not lines[0].endswith(EMPTY):
            return [lines[0].replace(PLAIN, AWAITED, 1), *lines[1:]]
        return lines
