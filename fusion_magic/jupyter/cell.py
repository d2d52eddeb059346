"""One `%%fusion` cell: its run, what it shows meanwhile, where its result goes, and three ways of waiting for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import replace
from typing import Any

from ..api import TICK, Running, interrupted
from ..errors import FusionError, FusionInterrupted, PanelFailed
from ..pipeline.request import FusionRequest
from ..results import FusionResult
from .show import Show

Keep = Callable[[FusionResult], None]


class Cell:
    """A run with its picture.

    Args:
        request: what to run; it begins at once.
        show: what the cell shows.
        keep: gets the result, also of a run that was stopped or failed.
    """

    def __init__(self, request: FusionRequest, show: Show, keep: Keep) -> None:
        self._show, self._keep = show, keep
        self._stopped_here = False
        self._result: FusionResult | None = None
        show.begin(self.stop, self.skip)
        self._running = Running(replace(request, before_calls=show.until_plan_is_shown), show.events.append)

    def stop(self) -> None:
        """End the run; whoever waits gets what was answered, as a result with the status `cancelled`."""
        self._stopped_here = True
        self._running.cancel()

    def skip(self, label: str) -> None:
        """Leave a seat out."""
        self._running.skip(label)

    def wait(self) -> FusionResult:
        """Wait in this thread.

        Raises:
            FusionInterrupted: an interrupt, after the run was stopped; or `stop` before anything was asked.
            FusionError: as `fuse`.
        """
        with self._ending():
            self._end(self._running.wait(self._show.redraw))
        return self._ended()

    async def wait_async(self) -> FusionResult:
        """Wait in the caller's loop, which stays free for clicks. Raises as `wait`."""
        with self._ending():
            try:
                self._end(await self._running.wait_async(self._show.redraw))
            except asyncio.CancelledError:
                raise interrupted(self._running.result()) from None
        return self._ended()

    def in_background(self) -> Background:
        """Wait in a thread of its own."""
        return Background(self)

    def repeat(self) -> None:
        """Let who waits in a later cell see the result."""
        self._show.repeat()

    def _end(self, result: FusionResult) -> None:
        self._result = result
        self._keep(result)
        self._show.finish(result)

    def _ended(self) -> FusionResult:
        assert self._result is not None
        return self._result

    @contextmanager
    def _ending(self) -> Generator[None]:
        """Keep and show what there is, whatever ends the run; being stopped from here is no error."""
        try:
            yield
        except (PanelFailed, FusionInterrupted) as exc:
            if exc.result is None:
                self._show.fail(exc)
                raise
            self._end(exc.result)
            stopped_here = self._stopped_here and not self._running.was_interrupted
            if not (stopped_here and isinstance(exc, FusionInterrupted)):
                raise
        except BaseException as exc:
            if self._result is None and (kept := self._running.result()) is not None:
                self._keep(kept)
            self._show.fail(exc)
            raise


class Background:
    """A run that goes on while later cells run; its own cell goes on showing it.

    `await` it, or call `result()`; an interrupt meanwhile ends the waiting and leaves the run.
    """

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._future: Future[FusionResult] = Future()
        # In the cell's context: a kernel tells by it which cell an output belongs to.
        work = threading.Thread(target=copy_context().run, args=(self._work,), name="fusion_magic cell", daemon=True)
        work.start()

    def _work(self) -> None:
        try:
            self._future.set_result(self._cell.wait())
        except FusionInterrupted as exc:
            # It is a KeyboardInterrupt, which would end the event loop of whoever awaits this in a task.
            self._future.set_exception(FusionError(str(exc)))
        except BaseException as exc:
            self._future.set_exception(exc)

    def done(self) -> bool:
        """Whether the run has ended."""
        return self._future.done()

    def result(self, timeout: float | None = None) -> FusionResult:
        """Wait for the result, at most `timeout` seconds.

        Raises:
            TimeoutError: it goes on.
            FusionError: as `fuse`.
        """
        if not self.wait(timeout):
            raise TimeoutError(f"The run goes on; {timeout:g} s were not enough.")
        return self._future.result()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the run has ended, at most `timeout` seconds; returns whether it has."""
        left = float("inf") if timeout is None else timeout
        while left > 0 and not self.done():  # in short steps: on Windows a long one can't be interrupted
            wait([self._future], timeout=min(TICK, left))
            left -= TICK
        if self.done():
            self._cell.repeat()
        return self.done()

    def cancel(self) -> None:
        """Stop the run; `result()` then has what was answered, with the status `cancelled`.

        Before the first call nothing can have been answered; `result()` then raises FusionError.
        """
        self._cell.stop()

    def __await__(self) -> Generator[Any, None, FusionResult]:
        return self._result_async().__await__()

    async def _result_async(self) -> FusionResult:
        while not self.done():  # noqa: ASYNC110 - ipykernel's interrupt does not wake a loop that only waits
            await asyncio.sleep(TICK)
        return self.result()

    def __repr__(self) -> str:
        if not self.done():
            return "<Background run, going on: .result(), .wait(), .cancel(), await>"
        error = self._future.exception()
        return f"<Background run, ended: {error or self._future.result()!r}>"
