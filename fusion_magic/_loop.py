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
from collections.abc import Coroutine
from concurrent.futures import Future
from contextvars import copy_context
from typing import Any, TypeVar

T = TypeVar("T")


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

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine here, in a copy of the caller's context; cancelling the future cancels it."""
        done: Future[T] = Future()
        context = copy_context()

        def begin() -> None:
            task = self.loop.create_task(coroutine, context=context)
            task.add_done_callback(lambda _: _hand_over(task, done))
            done.add_done_callback(lambda _: self._cancel_if(done, task))

        self.loop.call_soon_threadsafe(begin)
        return done

    def _cancel_if(self, done: Future[T], task: asyncio.Task[T]) -> None:
        if done.cancelled():
            with contextlib.suppress(RuntimeError):  # the loop is closed at exit
                self.loop.call_soon_threadsafe(task.cancel)

    def stop(self) -> None:
        """Cancel what runs and end the thread; at the interpreter's exit."""
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


def _hand_over(task: asyncio.Task[T], done: Future[T]) -> None:
    if done.cancelled():
        return
    if task.cancelled():
        done.cancel()
        done.set_running_or_notify_cancel()
    elif error := task.exception():
        done.set_exception(error)
    else:
        done.set_result(task.result())


def _c_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    """asyncio's C task even where another library has replaced `asyncio.Task` (nest_asyncio does)."""
    try:
        from _asyncio import Task
    except ImportError:  # an interpreter without the C accelerator
        from asyncio import Task
    return Task(coroutine, loop=loop, **options)


_thread: LoopThread | None = None
_lock = threading.Lock()


def loop_thread() -> LoopThread:
    """The process's one loop thread, started when first needed; a forked child starts its own."""
    global _thread
    with _lock:
        if _thread is None:
            _thread = LoopThread()
            atexit.register(_thread.stop)
        return _thread


def _forget() -> None:
    global _thread, _lock
    _thread, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
