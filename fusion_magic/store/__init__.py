"""What is remembered: calls, runs and what they cost, in one SQLite file that only its owner can read.

Writes never wait and never fail: each returns a future that is done when it is on the disk, and `Store.problem` says
why later ones are dropped. Reads block, for milliseconds or until what waits is written, so in an event loop they
belong into a thread.
"""

from __future__ import annotations

import atexit
import os
import sqlite3
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future, wait
from contextlib import closing, contextmanager
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ..errors import SettingsError
from ..events import Delta, Event, Notice, RunStarted
from ..folders import data_dir
from ..results import FusionResult, Stage
from . import accounts, calls, lines, runs, upkeep
from .accounts import By
from .file import advice, connect, create
from .kept import CostLine, Experience, KeptCall, Place, Points, RunLine, StoreSize
from .writer import GATE, Statement, Write, Writer

EXIT_SECONDS = 5.0  # how long the end of the process waits for what is still to be written
T = TypeVar("T")


class Store:
    """The store in one file, which is made with the first write; any thread may use it, and forked children too."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._was_made = False
        # Events of running runs that are still to be written, and what is done when they are.
        self._notes: dict[str, tuple[list[Event], Future[None]]] = {}
        self._changing: dict[str, Future[None]] = {}  # keys of which something is still to be written
        self._writer = Writer(self._open, self._explain)

    def _open(self) -> sqlite3.Connection:
        self._was_made |= create(self.path)
        return connect(self.path)

    def is_new(self) -> bool:
        """Whether this process has made the file, which it does here if there is none; True only once."""
        if not self._writer.has_begun:  # then whoever opens the file makes it
            try:
                self._was_made |= create(self.path)
            except OSError:
                return False
        was_made, self._was_made = self._was_made, False
        return was_made

    @property
    def has_begun(self) -> bool:
        """Whether this process has written to it; then `is_new` does not wait for the disk."""
        return self._writer.has_begun

    @property
    def problem(self) -> str | None:
        """Why a write has failed, in a sentence; later ones are dropped until the next run begins."""
        return self._writer.problem

    # --- writing -------------------------------------------------------------------------------------

    def _write(self, build: Callable[[], list[Statement]], *, retries: bool = False) -> Future[None]:
        return self._writer.put(Write(build, retries))

    def _change(self, key: str, write: Future[None]) -> Future[None]:
        """Let who reads of the key wait for this write."""
        with _NOTING:
            self._changing[key] = write
        write.add_done_callback(partial(self._changed, key))
        return write

    def _changed(self, key: str, write: Future[None]) -> None:
        with _NOTING:
            if self._changing.get(key) is write:
                del self._changing[key]

    def _await_changes(self, key: str) -> None:
        if key in self._changing:
            self.settled().result()

    def keep(self, kept: KeptCall, place: Place, *, reusable: bool) -> Future[None]:
        """Keep a call and book what it cost; one that was reused is neither.

        Args:
            kept: must not be changed afterwards: it is packed in another thread.
            place: whose account it goes on.
            reusable: whether `find` may return it.
        """
        if kept.call.reused:
            return _nothing()
        write = self._write(lambda: [*calls.kept(kept, reusable), *accounts.booked(kept, place)])
        return self._change(kept.key, write)

    def disown(self, key: str) -> Future[None]:
        """Let `find` return no call of this key that was kept so far."""
        return self._change(key, self._write(lambda: calls.disowned(key)))

    def begin(self, started: RunStarted, place: Place, thread: str | None) -> Future[None]:
        """Begin the journal of a run, also after an earlier write has failed."""
        return self._write(lambda: runs.begun(started, place, thread), retries=True)

    def note(self, run: str, event: Event) -> Future[None]:
        """Write an event into the journal; text in flight and notices are left out, `begin` has the first event."""
        if isinstance(event, Delta | Notice | RunStarted):
            return _nothing()
        with _NOTING:
            waiting = self._notes.get(run)
            if waiting is None or waiting[1].done():  # dropped: the store could not be written
                waiting = self._notes[run] = [], self._write(lambda: runs.noted(run, self._noted(run)))
            waiting[0].append(event)
        return waiting[1]

    def _noted(self, run: str) -> list[Event]:
        with _NOTING:
            waiting = self._notes.pop(run, None)
        return waiting[0] if waiting else []

    def draft(self, run: str, drafts: Mapping[tuple[Stage, str], str]) -> Future[None]:
        """Keep what is being written just now, in place of what was kept before."""
        return self._write(lambda: runs.drafted(run, drafts))

    def end(self, result: FusionResult, place: Place) -> Future[None]:
        """Keep the result in place of the journal."""
        self._noted(result.id)
        return self._write(lambda: runs.ended(result, place))

    def keep_answer(self, key: str, run: str) -> Future[None]:
        """Let `answered` return this run, whose result is kept."""
        return self._change(key, self._write(lambda: runs.answering(key, run)))

    def keep_web(self, key: str, value: Any) -> Future[None]:
        """Keep for a day what a tool found on the web; JSON."""
        return self._write(lambda: calls.web_kept(key, value))

    def keep_lines(self, ids: Iterable[str], file: str) -> Future[None]:
        """Keep which calls are in a file that an endpoint was given."""
        return self._write(lambda: lines.kept(ids, file))

    def name_batch(self, file: str, batch: str) -> Future[None]:
        """Keep which batch carries out a file."""
        return self._write(lambda: lines.named(file, batch))

    def drop_line(self, line: str) -> Future[None]:
        """Forget a call that has come back."""
        return self._write(lambda: lines.dropped(line))

    def settled(self) -> Future[None]:
        """Done when everything that was written before is on the disk, or dropped."""
        return self._writer.put(Write(list, is_urgent=True))

    # --- reading -------------------------------------------------------------------------------------

    @contextmanager
    def _connected(self, doing: str = "read") -> Generator[sqlite3.Connection]:
        """A connection of its own; to an empty store where there is none. Raises SettingsError if it can't be used."""
        try:
            with GATE.inside(), closing(connect(self.path if self.path.exists() else ":memory:")) as db:
                yield db
        except (sqlite3.Error, OSError) as exc:
            raise SettingsError(f"The store {self.path} can't be {doing} ({exc}); {advice(exc)}") from exc

    @contextmanager
    def _reading(self, doing: str = "read") -> Generator[sqlite3.Connection]:
        """The same, once all that waits is written."""
        self.settled().result()
        with self._connected(doing) as db:
            yield db

    def _try(self, read: Callable[[sqlite3.Connection], T]) -> T | None:
        """What is read; None, and a problem, if that fails: a run goes on without it."""
        try:
            with self._connected() as db:
                return read(db)
        except SettingsError as exc:
            self._writer.problem = str(exc)
        except ValueError:
            self._writer.problem = f"What the store {self.path} has of a call is damaged, so it is asked again."
        return None

    def find(self, key: str) -> KeptCall | None:
        """The newest call of the key that was kept as reusable; None also if the store can't be read."""
        self._await_changes(key)
        return self._try(lambda db: calls.find(db, key))

    def answered(self, key: str) -> FusionResult | None:
        """The result that `keep_answer` named last for the key; None also if the store can't be read."""
        self._await_changes(key)
        return self._try(lambda db: runs.answered(db, key))

    def lines(self, ids: Iterable[str]) -> dict[str, tuple[str, str]]:
        """(file, batch or "") of those of these calls that have not come back; none if the store can't be read."""
        self.settled().result()
        return self._try(lambda db: lines.found(db, ids)) or {}

    def web(self, key: str) -> tuple[datetime, Any] | None:
        """When `keep_web` got it, UTC, and what; None after a day, and if the store can't be read."""
        return self._try(lambda db: calls.web(db, key))

    def experience(self, stage: Stage, model: str) -> Experience | None:
        """How calls of the model that ended well went in the last 90 days.

        None if there are fewer than three, and if the store can't be read.

        Args:
            stage: panel, judge or synthesis.
            model: as it was asked for, with its endpoint.
        """
        return self._try(lambda db: accounts.experience(db, stage, model))

    def load(self, run: str) -> FusionResult:
        """A run's result, or of one that was cut off what there is of it.

        Args:
            run: its id, or a beginning that no other run has.

        Raises:
            SettingsError: there is no such run, with the nearest; or it can't be read.
        """
        with self._reading() as db:
            return runs.load(db, run)

    def history(self, word: str = "", limit: int = 50) -> list[RunLine]:
        """Runs, newest first, with the word in their id, prompt, panel, notebook or thread. Raises SettingsError."""
        with self._reading() as db:
            return runs.history(db, word, limit)

    def turns(self, thread: str) -> list[tuple[str, str, str]]:
        """(run, prompt, answer) of a thread's answered turns, in order.

        A turn that was asked again, which is one with the same prompt, stands in its old place with its new answer.
        Raises SettingsError.
        """
        with self._reading() as db:
            return runs.turns(db, thread)

    def costs(self, by: By) -> list[CostLine]:
        """What all calls cost, runs that were pruned or forgotten included. Raises SettingsError."""
        with self._reading() as db:
            return accounts.costs(db, by)

    def spent(self, *, day: date | None = None, notebook: str | None = None) -> float:
        """US dollars of calls with a known cost, on that day of this machine's clock and in that notebook.

        Raises SettingsError: a limit that can't be checked must not be taken for kept.
        """
        with self._reading() as db:
            return accounts.spent(db, day, notebook)

    # --- upkeep --------------------------------------------------------------------------------------

    def size(self) -> StoreSize:
        """How much is in the store. Raises SettingsError."""
        with self._reading() as db:
            return upkeep.size(db, self.path)

    def prune(self, older: timedelta) -> int:
        """Delete runs and calls older than this, and make the file smaller; returns how many runs.

        What they cost stays in the accounts. Raises SettingsError.
        """
        with self._reading("changed") as db:
            return upkeep.prune(db, older)

    def export(self, path: Path) -> int:
        """Write one line of JSON for each run, oldest first, each as `FusionResult.save` has it; returns how many.

        Raises SettingsError: the file can't be written, or a run can't be read.
        """
        with self._reading() as db:
            return upkeep.export(db, path)

    def forget(self, run: str) -> int:
        """Delete a run with its calls, from every byte of the file; returns how many calls.

        What they cost stays in the accounts, without the run. Another run that reused its answers keeps them.

        Args:
            run: its id, or a beginning that no other run has.

        Raises:
            SettingsError: there is no such run, with the nearest; or it can't be deleted.
        """
        with self._reading("changed") as db:
            return upkeep.forget(db, run)

    def finish(self) -> None:
        """Wait for what is still to be written, if not for ever."""
        if self._writer.has_begun:
            wait([self.settled()], timeout=EXIT_SECONDS)

    def _explain(self, exc: BaseException) -> str:
        lost = "this run can be neither reused nor resumed"
        if isinstance(exc, SettingsError):
            return f"Nothing more is kept, so {lost}. {exc}"
        return f"The store {self.path} can't be written ({exc}), so {lost}; {advice(exc)}"


# Held for moments, when a store notes what is still to be written. A fork waits for it: a child could not let it go.
_NOTING = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_NOTING.acquire, after_in_parent=_NOTING.release, after_in_child=_NOTING.release)


def _nothing() -> Future[None]:
    done: Future[None] = Future()
    done.set_result(None)
    return done


_stores: dict[Path, Store] = {}


def open_store() -> Store:
    """The store in the user's data folder, one and the same for as long as that is the folder."""
    path = data_dir() / "store.sqlite3"
    return _stores.get(path) or _stores.setdefault(path, Store(path))


@atexit.register
def finish() -> None:
    """At the end of the process: wait for what is still to be written."""
    for store in list(_stores.values()):
        store.finish()


__all__ = [
    "By", "CostLine", "Experience", "KeptCall", "Place", "Points", "RunLine", "Store", "StoreSize", "finish",
    "open_store",
]  # fmt: skip
