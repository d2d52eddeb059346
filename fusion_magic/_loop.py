"""The private event-loop thread in which every run lives, so that a sync call works anywhere.

A notebook's own loop is already running and can't wait for itself; nest_asyncio would patch it for the whole
process, breaks on Python 3.14 and leaves requests running after an interrupt. A thread with a loop of its own has
none of these troubles.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
from collections import deque
from collections.abc import Coroutine
from concurrent.futures import Future
from contextvars import Context, copy_context
from typing import Any, Generic, TypeVar

from .events import Event

T = TypeVar("T")


class Work(Generic[T]):
    """A coroutine in the loop thread; `future` is done when the coroutine has ended, also after `cancel`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.future: Future[T] = Future()
        self._loop = loop

    def begin(self, coroutine: Coroutine[Any, Any, T], context: Context) -> None:
        """Start it; in the loop."""
        self._task: asyncio.Task[T] = self._loop.create_task(coroutine, context=context)
        self._task.add_done_callback(self._hand_over)
        # Someone who wrapped the future may cancel it; that stops the work too.
        self.future.add_done_callback(lambda future: self.cancel() if future.cancelled() else None)

    def cancel(self) -> None:
        """Cancel it, from any thread; what has not begun never begins."""
        with contextlib.suppress(RuntimeError):  # the loop is closed at exit
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        self._task.cancel()

    def _hand_over(self, task: asyncio.Task[T]) -> None:
        error = None if task.cancelled() else task.exception()
        if task.cancelled():
            self.future.cancel()
        if not self.future.set_running_or_notify_cancel():
            return
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(task.result())


class LoopThread:
    """A daemon thread that runs an event loop."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_task_factory(_c_task)
        self._thread = threading.Thread(target=self._run, name="fusion_magic", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    @property
    def is_current(self) -> bool:
        """Whether the caller runs in this thread, where waiting for it would never end."""
        return threading.current_thread() is self._thread

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Work[T]:
        """Run a coroutine here, in a copy of the caller's context."""
        work: Work[T] = Work(self.loop)
        self.loop.call_soon_threadsafe(work.begin, coroutine, copy_context())
        return work

    def stop(self) -> None:
        """Cancel what runs and end the thread."""
        if self.loop.is_running():
            asyncio.run_coroutine_threadsafe(_cancel_all(), self.loop)
            self._thread.join(1.0)


async def _cancel_all() -> None:
    loop = asyncio.get_running_loop()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=0.5)
    loop.call_soon(loop.stop)


def _c_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    """asyncio's C task even where another library has replaced `asyncio.Task` (nest_asyncio does)."""
    try:
        from _asyncio import Task
    except ImportError:  # an interpreter without the C accelerator
        from asyncio import Task
    return Task(coroutine, loop=loop, **options)


_thread: LoopThread | None = None
_lock = threading.Lock()
_inherited: list[LoopThread | None] = []


def loop_thread() -> LoopThread:
    """The process's one loop thread, started when first needed; a forked child starts its own."""
    global _thread
    with _lock:
        if _thread is None:
            _thread = LoopThread()
        return _thread


def _forget() -> None:
    """In a forked child: the parent's loop is not ours to run, nor to close, as both share its selector."""
    global _thread, _lock
    _inherited.append(_thread)
    _thread, _lock = None, threading.Lock()


def _end() -> None:
    """At exit; whoever comes later starts a new thread instead of waiting for this one for ever."""
    global _thread
    ending, _thread = _thread, None
    if ending is not None:
        ending.stop()
        from .store import finish

        finish()  # once more: runs that were cancelled just now have kept what they had


atexit.register(_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


class Mailbox:
    """Events on their way from the loop thread to the caller's loop; many wake it once."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Event] = deque()
        self._arrived = asyncio.Event()
        self._called = False

    def put(self, event: Event) -> None:
        self._waiting.append(event)
        if not self._called:
            self._called = True
            self.wake()

    def wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the caller's loop is closed: nobody reads any more
            self._loop.call_soon_threadsafe(self._arrived.set)

    async def filled(self) -> None:
        await self._arrived.wait()
        self._arrived.clear()

    def take(self) -> list[Event]:
        self._called = False
        taken: list[Event] = []
        while self._waiting:
            taken.append(self._waiting.popleft())
        return taken
