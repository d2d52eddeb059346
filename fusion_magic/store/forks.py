"""Keeps SQLite still while the process forks.

A child that inherits an open connection takes the parent's locks for its own: it opens the file without any, and the
parent then deletes the log that the child writes into. So nothing is open, and nobody is inside SQLite, at a fork.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from ..errors import SettingsError

PATIENCE = 5.0  # seconds that a fork waits for reads and writes under way


class Gate:
    """Everybody passes it who uses the store's file; a fork closes it.

    Args:
        let_go: closes the connections that are open but not in use.
    """

    def __init__(self, let_go: Callable[[], None]) -> None:
        self._let_go = let_go
        self._renew()
        self._was_busy = self._is_torn = False
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self._close, after_in_parent=self._reopen, after_in_child=self._begin_anew)

    def _renew(self) -> None:
        self._change = threading.Condition()
        self._inside, self._is_closed = 0, False

    @contextmanager
    def inside(self) -> Generator[None]:
        """In this block the file may be used. Raises SettingsError in a child that was forked in the midst of it."""
        if self._is_torn:
            raise SettingsError("This process was forked while the store was in use; start it with spawn instead.")
        with self._change:
            self._change.wait_for(lambda: not self._is_closed)
            self._inside += 1
        try:
            yield
        finally:
            with self._change:
                self._inside -= 1
                self._change.notify_all()

    def _close(self) -> None:
        with self._change:
            self._is_closed = True
            self._was_busy = not self._change.wait_for(lambda: self._inside == 0, PATIENCE)
            if not self._was_busy:
                self._let_go()

    def _reopen(self) -> None:
        with self._change:
            self._is_closed = False
            self._change.notify_all()

    def _begin_anew(self) -> None:
        """In the child: the lock may be held by a thread that is not here."""
        self._is_torn |= self._was_busy
        self._renew()
