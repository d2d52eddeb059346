"""The doors for Python: `fuse`, `fuse_async`, `stream` and `last`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from concurrent.futures import CancelledError, Future, wait
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from pydantic import BaseModel

from ._loop import LoopThread, Mailbox, loop_thread
from .errors import FusionError, FusionInterrupted, PanelFailed
from .events import Event, Fold
from .pipeline.forecast import estimated
from .pipeline.panel import Skips
from .pipeline.run import FusionRequest, run
from .providers import Providers
from .request import request_for, store_for
from .results import FusionResult
from .settings import Panel, Panelist, Settings, build_settings

if TYPE_CHECKING:
    from .pipeline.estimate import RunEstimate

Model = str | Panelist
# How often a waiting thread or task looks up, so that an interrupt is noticed; see `_loop`.
TICK = 0.05
# How long an interrupted run may take to close its connections before its result is taken as it stands.
STOP_SECONDS = 2.0

_providers: WeakKeyDictionary[LoopThread, Providers] = WeakKeyDictionary()
_last: FusionResult | None = None
_running: WeakSet[Running] = WeakSet()


class Running:
    """A run in the loop thread: its state so far, its future, and a way to stop it.

    Args:
        request: what to run.
        listen: gets every event, in the loop thread.
    """

    def __init__(self, request: FusionRequest, listen: Callable[[Event], None] = lambda event: None) -> None:
        self.state = Fold()
        self.was_interrupted = False  # by who waited, not by `cancel`
        self._result: FusionResult | None = None
        self._skips = Skips()
        self._loop = loop_thread().loop
        _running.add(self)
        self._work = loop_thread().submit(self._run(request, listen, providers()))
        self.future: Future[FusionResult] = self._work.future

    async def _run(self, request: FusionRequest, listen: Callable[[Event], None], using: Providers) -> FusionResult:
        try:
            kept = store_for(request.settings)
            await run(request, emit=listen, providers=using, state=self.state, skips=self._skips, store=kept)
        except PanelFailed as exc:
            exc.result = self.result() or exc.result
            raise
        finally:
            result = self.result()
        assert result is not None
        return result

    def result(self) -> FusionResult | None:
        """What there is so far, which `last()` then has too; one and the same once the run has ended.

        None if nothing began.
        """
        if self.state.started is None:
            return None
        result = self._result or self.state.result()
        if self.state.ended is not None:
            self._result = result
        return _remember(result)

    def cancel(self) -> None:
        """Stop the run without waiting; `future` is done once its connections are closed."""
        self._work.cancel()

    def skip(self, label: str) -> None:
        """Leave a seat of the panel out, from any thread; the others go on. A seat that has answered stays."""
        with suppress(RuntimeError):  # the loop is closed at exit
            self._loop.call_soon_threadsafe(self._skips.skip, label)

    def stop(self) -> FusionResult | None:
        """Stop the run, wait for its connections to close, and return what was answered; None if nothing began."""
        self.cancel()
        # An interrupt again, while it stops: the user wants out now.
        with suppress(KeyboardInterrupt):
            wait([self.future], timeout=STOP_SECONDS)
        return self.result()

    def wait(self, meanwhile: Callable[[], None] = lambda: None) -> FusionResult:
        """Wait for the result, calling `meanwhile` every 50 ms.

        Raises:
            FusionInterrupted: on an interrupt, after the run was stopped.
            FusionError: as `fuse`.
        """
        try:
            while not wait([self.future], timeout=TICK).done:
                meanwhile()
            return self.future.result()
        except (KeyboardInterrupt, CancelledError) as exc:
            self.was_interrupted = isinstance(exc, KeyboardInterrupt)
            result = self.stop()
        except BaseException:
            self.stop()  # nobody would watch it any more
            raise
        raise interrupted(result)

    async def wait_async(self, meanwhile: Callable[[], None] = lambda: None) -> FusionResult:
        """`wait` for async code. Raises asyncio.CancelledError for an interrupt, after the run was stopped."""
        ended = _ending(self)
        try:
            # ipykernel cancels a cell from a signal handler, which does not wake an idle loop: so wake it.
            while not ended.done():
                await asyncio.wait({ended}, timeout=TICK)
                meanwhile()
        except BaseException as exc:
            self.was_interrupted = isinstance(exc, asyncio.CancelledError)
            self.cancel()  # nobody would watch it any more
            await asyncio.wait({ended}, timeout=STOP_SECONDS)
            raise
        if self.future.cancelled():
            raise asyncio.CancelledError
        return self.future.result()


def going_on() -> set[str]:
    """The ids of the runs of this process that have not ended."""
    states = [running.state for running in list(_running)]
    return {state.started.id for state in states if state.started and not state.ended}


def providers() -> Providers:
    """The loop thread's providers: one client with one pool for all runs."""
    return _providers.setdefault(loop_thread(), Providers())


def interrupted(result: FusionResult | None) -> FusionInterrupted:
    """The exception for an interrupted run with what was answered."""
    if result is None:
        return FusionInterrupted("The run was stopped before its first call; nothing was asked.", None)
    total = len(result.responses) + len(result.failed_models)
    kept = f"{len(result.responses)} of {total} answers are kept"
    return FusionInterrupted(f"The run was stopped; {kept}: `fusion_magic.last()`, in a notebook `_fusion`.", result)


def _chosen(settings: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """Everything the caller chose, as settings. Raises SettingsError for a name that is none."""
    build_settings({name: value for name, value in settings.items() if name not in Settings.model_fields})
    return {**parts, "models": _tuple(parts["models"]), **settings}


def fuse(
    prompt: str,
    *,
    panel: str | Panel | None = None,
    models: Iterable[Model] | None = None,
    judge: Model | None = None,
    synthesizer: Model | None = None,
    schema: type[BaseModel] | None = None,
    **settings: Any,
) -> FusionResult:
    """Ask a panel of models, let a judge compare their answers and a synthesizer write one.

    Works anywhere: in a script, in a notebook whose loop is running, in a function, in a thread.

    Args:
        prompt: what to ask.
        panel: name of a panel (`%fusion panels`) or a `Panel`; default `budget`.
        models: models on the panel instead of the named ones, one to eight.
        judge: model that compares the responses.
        synthesizer: model that writes the answer.
        schema: a pydantic model; the answer is JSON of it and `result.parsed` an instance.
        settings: any field of `Settings`, such as `max_tokens=4000`. `tools` also takes functions, `data` frames (or
            a mapping of names to frames), `corpus` folders and `Corpus` objects, `attach` paths and values.

    Returns:
        The result. If the synthesizer failed its `status` is "error", and `responses` are there.

    Raises:
        SettingsError: a panel, model, endpoint or setting that can't be used.
        KeyMissing: an endpoint needs a key and none was found.
        PanelFailed: no panelist answered; `.result` has the reasons.
        FusionInterrupted: interrupted; `.result` has what was answered.
    """
    if loop_thread().is_current:
        raise FusionError("fuse() can't wait inside a run's own event loop; use `await fuse_async(...)`.")
    parts = _chosen(settings, panel=panel, models=models, judge=judge, synthesizer=synthesizer)
    return Running(request_for(prompt, schema=schema, **parts)).wait()


async def fuse_async(
    prompt: str,
    *,
    panel: str | Panel | None = None,
    models: Iterable[Model] | None = None,
    judge: Model | None = None,
    synthesizer: Model | None = None,
    schema: type[BaseModel] | None = None,
    **settings: Any,
) -> FusionResult:
    """`fuse` for async code; cancelling the task stops the run, and `last()` has what was answered."""
    parts = _chosen(settings, panel=panel, models=models, judge=judge, synthesizer=synthesizer)
    return await Running(request_for(prompt, schema=schema, **parts)).wait_async()


def _ending(running: Running) -> asyncio.Future[None]:
    """A future of the caller's loop that is done when the run has ended, however it ended."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def tell(_: Future[FusionResult]) -> None:
        with suppress(RuntimeError):  # the caller's loop is closed: nobody waits any more
            loop.call_soon_threadsafe(lambda: None if ended.done() else ended.set_result(None))

    running.future.add_done_callback(tell)
    return ended


def estimate(
    prompt: str,
    *,
    panel: str | Panel | None = None,
    models: Iterable[Model] | None = None,
    judge: Model | None = None,
    synthesizer: Model | None = None,
    schema: type[BaseModel] | None = None,
    **settings: Any,
) -> RunEstimate:
    """What `fuse` with these arguments would cost, call by call; nobody is asked, and no key is needed.

    Figures come from the prompt itself, from prices, and from this user's own earlier calls where there are three or
    more. `print` shows a table. Raises SettingsError as `fuse`.
    """
    parts = _chosen(settings, panel=panel, models=models, judge=judge, synthesizer=synthesizer)
    return estimate_for(request_for(prompt, schema=schema, **parts))


def estimate_for(request: FusionRequest) -> RunEstimate:
    """The estimate of a request."""
    work = loop_thread().submit(estimated(request, providers(), store_for(request.settings)))
    try:
        while not wait([work.future], timeout=TICK).done:
            pass
    except KeyboardInterrupt:
        work.cancel()
        raise
    return work.future.result()


@asynccontextmanager
async def stream(
    prompt: str,
    *,
    panel: str | Panel | None = None,
    models: Iterable[Model] | None = None,
    judge: Model | None = None,
    synthesizer: Model | None = None,
    schema: type[BaseModel] | None = None,
    **settings: Any,
) -> AsyncGenerator[AsyncIterator[Event], None]:
    """The events of a run as they happen; leaving the block stops the run.

        async with stream("Why is the sky blue?", panel="local") as events:
            async for event in events: ...

    `fold(events)` is the result. Raises as `fuse`: for settings when the block is entered, else from the iteration.
    """
    parts = _chosen(settings, panel=panel, models=models, judge=judge, synthesizer=synthesizer)
    mailbox = Mailbox()
    running = Running(request_for(prompt, schema=schema, **parts), mailbox.put)
    running.future.add_done_callback(lambda _: mailbox.wake())
    try:
        yield _events(running, mailbox)
    finally:
        running.cancel()
        await asyncio.wait({_ending(running)}, timeout=STOP_SECONDS)


async def _events(running: Running, mailbox: Mailbox) -> AsyncIterator[Event]:
    while True:
        ended = running.future.done()
        for event in mailbox.take():
            yield event
        if ended:
            break
        await mailbox.filled()
    if not running.future.cancelled():
        running.future.result()


def last() -> FusionResult | None:
    """The result of this process's latest run, also of one that was stopped; None before the first."""
    return _last


def _remember(result: FusionResult) -> FusionResult:
    global _last
    _last = result
    return result


def _tuple(models: Iterable[Model] | None) -> tuple[Model, ...] | None:
    return (models,) if isinstance(models, str | Panelist) else None if models is None else tuple(models)


__all__ = ["FusionResult", "Panel", "Panelist", "Settings", "fuse", "fuse_async", "last", "stream"]
