"""How far a batch is: numbers, the line that says them, and who shows it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TextIO

from .results import dollars

NBSP = "\N{NO-BREAK SPACE}"  # a number and its unit stay on one line
LINE_SECONDS = 10.0  # between two lines in a log
BAR = 20  # characters


@dataclass(frozen=True, slots=True)
class Progress:
    """A batch at one moment.

    Attributes:
        total: rows in all; None if that shows only at the end.
        done: rows that have ended, well or not.
        failed: those of them without an answer, or not a whole one.
        reused: those of them that the store answered.
        cost: US dollars so far; with `is_partial` at least.
        projected: US dollars in all, at what a row has cost so far; None if unknown.
        seconds: since the beginning.
        left: seconds to the end, at the pace so far; None if unknown.
        waiting: what it waits for beside single calls, or empty.
        stopped: why nothing more is asked, or empty.
        has_ended: whether this is the end.
    """

    total: int | None = None
    done: int = 0
    failed: int = 0
    reused: int = 0
    cost: float = 0.0
    is_partial: bool = False
    projected: float | None = None
    seconds: float = 0.0
    left: float | None = None
    waiting: str = ""
    stopped: str = ""
    has_ended: bool = False

    @property
    def share(self) -> float | None:
        """The part that is done, 0 to 1; None without a total."""
        return self.done / self.total if self.total else None

    def __str__(self) -> str:
        of = "" if self.total is None else f"{NBSP}of{NBSP}{self.total:,}"
        spent = ("at least " if self.is_partial else "") + dollars(self.cost)
        parts = [f"{self.done:,}{of}{NBSP}rows"]
        parts += [f"{self.failed:,}{NBSP}failed"] if self.failed else []
        parts += [f"{self.reused:,}{NBSP}reused"] if self.reused else []
        if self.has_ended:
            parts += [spent, clock(self.seconds)]
        else:
            parts += [spent + (f" of about{NBSP}{dollars(self.projected)}" if self.projected is not None else "")]
            parts += [f"{clock(self.left)}{NBSP}left"] if self.left is not None else []
            parts += [self.waiting] if self.waiting else []
        return ", ".join(parts)


def clock(seconds: float) -> str:
    """A duration: "42 s", "3:05 min", "2:10 h"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{NBSP}s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}:{rest:02}{NBSP}min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}{NBSP}h"


class Watcher(Protocol):
    """Shows how far a batch is; called in the thread that waits for it, twenty times a second and at its end."""

    def show(self, progress: Progress) -> None:
        """Show it, or leave it for the next time."""
        ...


class Terminal:
    """One line that is written over in a terminal; in a log a line every ten seconds, and the last one."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._writes_over = self._stream.isatty()
        self._shown_at = time.monotonic()
        self._width = 0

    def show(self, progress: Progress) -> None:
        since = time.monotonic() - self._shown_at
        if not progress.has_ended and since < (0.2 if self._writes_over else LINE_SECONDS):
            return
        self._shown_at = time.monotonic()
        line = " ".join(filter(None, [_bar(progress) if self._writes_over else "", str(progress)]))
        if self._writes_over:
            print(f"\r{line.ljust(self._width)}", end="\n" if progress.has_ended else "", file=self._stream, flush=True)
            self._width = len(line)
        else:
            print(line, file=self._stream, flush=True)
        if progress.has_ended and progress.stopped:
            print(progress.stopped, file=self._stream, flush=True)


class Nobody:
    """Shows nothing."""

    def show(self, progress: Progress) -> None:
        pass


def _bar(progress: Progress) -> str:
    if progress.share is None:
        return ""
    full = round(BAR * progress.share)
    return f"[{'#' * full}{'.' * (BAR - full)}]"


# Who shows a batch that is not told otherwise; the notebook's extension puts its own here.
_shown_by: list[Callable[[], Watcher]] = [Terminal]


def show_with(watcher: Callable[[], Watcher] | None) -> None:
    """From now on show batches with what this makes; None: as a line of text."""
    _shown_by[:] = [watcher or Terminal]


def watcher() -> Watcher:
    """Who shows a batch that begins now."""
    return _shown_by[0]()
