"""Reads the caller's rows in one thread of their own, which a generator that blocks for ever may keep."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from queue import SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar("T")


class Reader(Generic[T]):
    """Calls a function, one call after the other, in one thread: a generator is not moved between threads.

    The thread is a daemon, as those of an executor are waited for when the interpreter exits.

    Args:
        read: what is called; in a copy of the context in which the reader is made.
    """

    def __init__(self, read: Callable[[], T]) -> None:
        self._wanted: SimpleQueue[asyncio.Future[T] | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        context = copy_context()
        Thread(target=context.run, args=(self._run, read), name="fusion_magic rows", daemon=True).start()

    async def next(self) -> T:
        """What the function returns. Raises what it raises."""
        wanted: asyncio.Future[T] = self._loop.create_future()
        self._wanted.put(wanted)
        return await wanted

    def close(self) -> None:
        """Let the thread end, once the call that is going on has."""
        self._wanted.put(None)

    def _run(self, read: Callable[[], T]) -> None:
        while wanted := self._wanted.get():
            if wanted.cancelled():
                continue
            try:
                value = read()
            except Exception as exc:
                self._tell(_fail, wanted, exc)
            except BaseException as exc:  # SystemExit in a task would end the loop of all runs
                self._tell(_fail, wanted, RuntimeError(f"Reading the rows was ended by {exc!r}."))
            else:
                self._tell(_fulfil, wanted, value)

    def _tell(self, settle: Callable[..., None], wanted: asyncio.Future[T], what: object) -> None:
        with suppress(RuntimeError):  # the loop is closed at exit
            self._loop.call_soon_threadsafe(settle, wanted, what)


def _fulfil(wanted: asyncio.Future[T], value: T) -> None:
    if not wanted.done():
        wanted.set_result(value)


def _fail(wanted: asyncio.Future[T], error: Exception) -> None:
    if not wanted.done():
        wanted.set_exception(error)
