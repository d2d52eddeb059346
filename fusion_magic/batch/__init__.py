"""Many prompts: a panel asked about each row of a frame, a list or a generator."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import CancelledError, wait
from contextlib import suppress
from contextvars import copy_context
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from .._loop import loop_thread
from ..api import STOP_SECONDS, TICK, Model, providers
from ..errors import FusionError, FusionInterrupted, SettingsError
from ..pipeline.given import Given
from ..progress import Nobody, Progress, Watcher, show_with, watcher
from ..request import request_for, store_for
from ..results import FusionResult
from ..settings import Panel, Panelist, Settings, build_settings
from .cluster import check_client
from .half_price import check_batch
from .prompts import writer
from .rows import Row, source_of
from .work import Order, State, Work

CONCURRENCY = 16
# Rows under way with batch=True, where each waits for all: a tenth of a megabyte each, and few files.
BATCH_ROWS = 2_000
_last: Batch | None = None


class BatchInterrupted(FusionInterrupted):
    """The batch was interrupted; `.batch.frame` has the rows so far."""

    def __init__(self, batch: Batch) -> None:
        of = "" if batch.progress.total is None else f" of {batch.progress.total:,}"
        kept = "run the same call again to finish" if batch.is_kept else "nothing of it is kept in a store"
        text = f"The batch was stopped; {batch.progress.done:,}{of} rows have ended: {kept}. "
        goes_on = f" {batch.progress.stopped}" if batch.progress.stopped else ""
        super().__init__(f"{text}`fusion_magic.batch.last().frame` has them.{goes_on}", None)
        self.batch = batch

    def __reduce__(self) -> Any:  # a batch lives in its process
        return FusionInterrupted, (str(self), None)


class Batch:
    """Rows that are being asked about in the background.

        batch = map_background(frame, "Classify {text}", panel="budget")
        batch.progress, batch.frame   # so far
        batch.stop()                  # and what there is
        batch.wait()                  # or: await batch

    Args:
        order: what to do.
        shown_by: who shows how far it is.
    """

    def __init__(self, order: Order, shown_by: Watcher) -> None:
        global _last
        self._order, self._shown_by = order, shown_by
        self._state = State()
        store = store_for(order.request.settings)
        self.is_kept = store is not None

        async def carry_out() -> None:
            await Work(order, self._state, providers(), store).carry_out()

        self._work = loop_thread().submit(carry_out())
        _last = self

    @property
    def frame(self) -> Any:
        """The rows so far, in the shape of those that came in; the others are pending."""
        return self._order.source.output(dict(self._state.rows), self._state.not_asked, self._order.request.schema)

    @property
    def progress(self) -> Progress:
        """How far it is; `print` shows a line."""
        return self._state.progress(self._order.source.total)

    def done(self) -> bool:
        """Whether it has ended."""
        return self._work.future.done()

    def stop(self) -> Any:
        """Stop, wait for the connections to close, and return the rows so far; what is answered stays in the store.

        An endpoint's batch goes on there: `progress.stopped` names it, and the same call again takes its answers in.
        """
        self._work.cancel()
        with suppress(KeyboardInterrupt):  # again, while it stops: the user wants out now
            wait([self._work.future], timeout=STOP_SECONDS)
        return self.frame

    def wait(self) -> Any:
        """Wait for the end and return the rows.

        Raises:
            BatchInterrupted: interrupted, or stopped by somebody else.
            FusionError: as `map`.
        """
        try:
            while not wait([self._work.future], timeout=TICK).done:
                self.show()
            self._work.future.result()
            return self.frame
        except (KeyboardInterrupt, CancelledError):
            self.stop()
        except FusionError:
            self._shown_by = Nobody()  # the error says more
            raise
        except BaseException:
            self.stop()
            raise
        finally:
            self.show()
        raise BatchInterrupted(self)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._wait_async().__await__()

    async def _wait_async(self) -> Any:
        ended = asyncio.wrap_future(self._work.future)
        try:
            while not ended.done():  # in steps: ipykernel's interrupt does not wake a loop that only waits
                await asyncio.wait({ended}, timeout=TICK)
                self.show()
            ended.result()
            return self.frame
        except BaseException:
            self._work.cancel()  # nobody would watch it any more
            await asyncio.wait({ended}, timeout=STOP_SECONDS)
            raise
        finally:
            self.show()

    def show(self) -> None:
        """Show how far it is; a picture that can't be made costs only the pictures."""
        try:
            self._shown_by.show(self.progress)
        except Exception:
            self._shown_by = Nobody()

    def watch(self) -> None:
        """Show how far it is until it has ended, in a thread of its own."""

        def follow() -> None:
            while not wait([self._work.future], timeout=TICK).done:
                self.show()
            self.show()

        # In the caller's context: a kernel tells by it which cell an output belongs to.
        threading.Thread(target=copy_context().run, args=(follow,), name="fusion_magic batch", daemon=True).start()

    def __repr__(self) -> str:
        return f"<Batch, {'ended' if self.done() else 'going on'}: {self.progress}>"


def map(
    rows: Any,
    prompt: str | Callable[[Any], str],
    *,
    panel: str | Panel | None = None,
    models: Iterable[Model] | None = None,
    judge: Model | None = None,
    synthesizer: Model | None = None,
    schema: type[BaseModel] | None = None,
    alone: bool = False,
    read: Callable[[FusionResult], Any] | None = None,
    screen: Callable[[str], str] | None = None,
    usable: Callable[[str], bool] | None = None,
    max_usd: float | None = None,
    max_usd_row: float | None = None,
    concurrency: int | None = None,
    client: Any = None,
    batch: bool = False,
    progress: bool = True,
    **settings: Any,
) -> Any:
    """Ask a panel about every row; each is a run as of `fuse`, kept in the store.

        labels = map(frame, "Classify {text}", panel="budget", schema=Label)
        frame.join(labels)

    Stop it at any moment, run the same call again, and it goes on: what was answered is not asked again. A row that
    fails is a row with a status and an error.

    Args:
        rows: a pandas or polars DataFrame or Series, a list, or a generator, which is read no faster than its rows are
            carried out. Rows of a list may be mappings or plain values.
        prompt: a template whose `{column}` is the row's value (for plain values any one name), or a function of the
            row: of a mapping for a frame, else of the value itself.
        panel, models, judge, synthesizer: as for `fuse`.
        schema: a pydantic model; each of its fields becomes a column.
        alone: ask the seats and nobody else; the first one's response is the answer.
        read: of rows that are no frame: makes each row's `parsed` from its result, also from one that failed.
        screen: reads what a tool brings before a model does, and returns it, or what stands in its place.
        usable: whether a seat's text can be used; a row with another is asked anew by the same call.
        max_usd: US dollars of the whole batch. Rows for which nothing is left have the status "limited".
        max_usd_row: US dollars of one row.
        concurrency: rows under way at a time, and calls at one endpoint; fewer while it refuses (429). Without it 16,
            with `batch` 2,000.
        client: a `distributed.Client`: its cluster's workers carry the rows out, and everything comes back here.
        batch: ask in the batches of endpoints that have them, such as openai: half the price, within a day.
        progress: show how far it is.
        settings: as for `fuse`.

    Returns:
        For a frame or series a frame of the same library and index (polars: the same order) with the columns answer,
        the schema's fields, agreement, contradictions, cost, status, error and run, else a list of `Row`.
        `load(run)` has the rest.

    Raises:
        SettingsError, KeyMissing, LocalModelError: nothing can be asked like this; no row was.
        BatchInterrupted: interrupted; `.batch.frame` has the rows so far.
    """
    if loop_thread().is_current:
        raise FusionError("map() can't wait inside a run's own event loop; use `await map_async(...)`.")
    who: dict[str, Any] = {"panel": panel, "models": models, "judge": judge, "synthesizer": synthesizer}
    own: dict[str, Any] = {"alone": alone, "read": read, "screen": screen, "usable": usable, "schema": schema}
    how: dict[str, Any] = {"max_usd": max_usd, "max_usd_row": max_usd_row, "concurrency": concurrency}
    order = _order(rows, prompt, client=client, batch=batch, **who, **own, **how, **settings)
    return Batch(order, watcher() if progress else Nobody()).wait()


async def map_async(rows: Any, prompt: str | Callable[[Any], str], *, progress: bool = True, **arguments: Any) -> Any:
    """`map` for async code, with the same arguments; cancelling the task stops it, and `last()` has the rows so far."""
    return await Batch(_order(rows, prompt, **arguments), watcher() if progress else Nobody())


def map_background(rows: Any, prompt: str | Callable[[Any], str], *, progress: bool = True, **arguments: Any) -> Batch:
    """`map`, with the same arguments, without waiting: the `Batch` has a live `.frame`, `.progress` and `.stop()`."""
    batch = Batch(_order(rows, prompt, **arguments), watcher() if progress else Nobody())
    if progress:
        batch.watch()
    return batch


def last() -> Batch | None:
    """This process's latest batch, also one that was stopped; None before the first."""
    return _last


def _order(
    rows: Any,
    prompt: str | Callable[[Any], str],
    *,
    schema: type[BaseModel] | None = None,
    alone: bool = False,
    read: Callable[[FusionResult], Any] | None = None,
    screen: Callable[[str], str] | None = None,
    usable: Callable[[str], bool] | None = None,
    max_usd: float | None = None,
    max_usd_row: float | None = None,
    concurrency: int | None = None,
    client: Any = None,
    batch: bool = False,
    **chosen: Any,
) -> Order:
    """What is to be done. Raises SettingsError for what can't be asked of any row."""
    concurrency = (BATCH_ROWS if batch else CONCURRENCY) if concurrency is None else concurrency
    if concurrency < 1:
        raise SettingsError(f"concurrency is the number of rows under way at a time, at least 1; it is {concurrency}.")
    build_settings(
        {"max_usd": max_usd}, {name: value for name, value in chosen.items() if name not in Settings.model_fields}
    )
    if chosen.get("thread") is not None:
        raise SettingsError("The rows of a batch are no conversation; leave thread out.")
    check_client(client)
    source = source_of(rows)
    write = writer(prompt, source.columns)
    models: Any = chosen.get("models")
    if models is not None and not isinstance(models, str | Panelist):
        chosen["models"] = tuple(models)
    shown = prompt if isinstance(prompt, str) else "A function writes the prompts."
    given: dict[str, Any] = {**chosen, "max_usd": max_usd_row}
    request = request_for(shown, schema=schema, **given)
    if batch:
        check_batch(request.settings, client)
    if alone:
        request = replace(request, given=Given(alone=True))
    if screen or usable:
        request = replace(request, material=replace(request.material, screen=screen, usable=usable))
    return Order(source, write, request, max_usd, concurrency, read, client, batch)


__all__ = [
    "Batch",
    "BatchInterrupted",
    "Progress",
    "Row",
    "Watcher",
    "last",
    "map",
    "map_async",
    "map_background",
    "show_with",
]
