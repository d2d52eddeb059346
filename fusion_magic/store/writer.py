"""The one thread of a store that writes: what waits goes in one transaction, off everybody's way."""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from .file import transaction
from .forks import Gate

# Seconds for which writes gather into one transaction, unless somebody waits for them; a crash may cost as much.
GATHER = 0.02
ROUNDS = 100  # of gathering in which nothing comes, until the file is closed; opening it again takes a millisecond
Statement = tuple[str, Sequence[Any]]


def _under_way() -> Future[None]:
    """A future that can't be cancelled: who waits for a write may give up, but it is written all the same."""
    future: Future[None] = Future()
    future.set_running_or_notify_cancel()
    return future


@dataclass(frozen=True, slots=True)
class Write:
    """Statements to run; `build` makes them in the thread that writes, as packing takes time."""

    build: Callable[[], list[Statement]]
    retries: bool = False  # tries again although the last write failed
    is_urgent: bool = False  # somebody waits for it


class Writer:
    """Writes in the order given; what fails is told in `problem`, and what follows is dropped until a write retries.

    Args:
        connect: opens the file.
        explain: the sentence for what went wrong.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], explain: Callable[[BaseException], str]) -> None:
        self.problem: str | None = None
        self._connect, self._explain = connect, explain
        self._db: sqlite3.Connection | None = None
        self._begin_anew()
        _writers.add(self)

    def _begin_anew(self) -> None:
        self._pid = os.getpid()
        if self._db is not None:
            _inherited.append(self._db)
        self._db = None
        self._filled = threading.Condition()
        self._waiting: list[Write] = []
        self._written = _under_way()  # of all that waits
        self._is_idle = self._is_urgent = False
        self._thread: threading.Thread | None = None
        self._is_down = False

    @property
    def has_begun(self) -> bool:
        """Whether this process has written."""
        return self._pid == os.getpid() and self._thread is not None

    def put(self, write: Write) -> Future[None]:
        """Write soon; the future is done when it is on the disk or was dropped, and never fails."""
        if self._pid != os.getpid():  # a forked child: the thread is not here, and its lock may be held for ever
            self._begin_anew()
        with self._filled:
            self._waiting.append(write)
            self._is_urgent |= write.is_urgent
            written = self._written
            if self._thread is None:
                self._start()
            if self._is_idle or write.is_urgent:
                self._filled.notify()
        return written

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="fusion_magic store", daemon=True)
        try:
            thread.start()
            self._thread = thread
        except RuntimeError as exc:  # no thread is left to be had
            self.problem = self._explain(exc)
            self._taken()[1].set_result(None)

    def _run(self) -> None:
        while True:
            writes, written = self._take()
            if any(write.retries for write in writes):
                self._is_down, self.problem = False, None
            if not self._is_down:
                self._commit([self._built(write) for write in writes])
            written.set_result(None)

    def _take(self) -> tuple[list[Write], Future[None]]:
        """What waits, and what to tell when it is written; closes the file after a while in which nothing came."""
        for _ in range(ROUNDS):  # looking is cheaper for a run than to wake this thread with each write
            with self._filled:
                self._filled.wait_for(lambda: self._is_urgent, timeout=GATHER)
                if self._waiting:
                    return self._taken()
        if self._db is not None:
            with GATE.inside():
                self.let_go()
        with self._filled:
            self._is_idle = True
            self._filled.wait_for(lambda: self._waiting)
            self._is_idle = False
        return self._take()

    def _taken(self) -> tuple[list[Write], Future[None]]:
        taken = self._waiting, self._written
        self._waiting, self._written, self._is_urgent = [], _under_way(), False
        return taken

    def _built(self, write: Write) -> list[Statement]:
        """The statements; a value that can't be packed costs this write and no other."""
        try:
            return write.build()
        except BaseException as exc:  # a panic of the library that packs is no Exception, and must not end the thread
            self.problem = self._explain(exc)
            return []

    def _commit(self, writes: list[list[Statement]]) -> None:
        """All in one transaction; each in its own if one has a value that SQLite can't take."""
        statements = [statement for write in writes for statement in write]
        if not statements:
            return
        try:
            with GATE.inside():
                self._execute(statements)
        except (OverflowError, sqlite3.InterfaceError, sqlite3.ProgrammingError) as exc:
            self.problem = self._explain(exc)
            for write in writes if len(writes) > 1 else ():
                self._commit([write])
        except Exception as exc:
            self._is_down, self.problem = True, self._explain(exc)

    def _execute(self, statements: list[Statement]) -> None:
        """In one transaction; the file is opened anew after a failure."""
        try:
            self._db = self._db or self._connect()
            with transaction(self._db):
                for sql, values in statements:
                    self._db.execute(sql, values)
        except BaseException:
            self.let_go()
            raise

    def let_go(self) -> None:
        """Close the file until the next write; only while no other thread is using it."""
        db, self._db = self._db, None
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()


def _let_go() -> None:
    for writer in list(_writers):
        writer.let_go()


_inherited: list[sqlite3.Connection] = []  # of a parent that was forked while it wrote; to close one harms the parent
_writers: weakref.WeakSet[Writer] = weakref.WeakSet()
GATE = Gate(_let_go)
