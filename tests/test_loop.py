"""The loop thread: work runs, is cancelled, hands over what it ends with, and outlives other libraries' patches."""

import asyncio
import threading
from concurrent.futures import CancelledError

import pytest

from fusion_magic._loop import LoopThread, loop_thread


@pytest.fixture
def thread():
    own = LoopThread()
    yield own
    own.stop()


def test_there_is_one_thread_for_all():
    found: list[LoopThread] = []
    threads = [threading.Thread(target=lambda: found.append(loop_thread())) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert set(found) == {loop_thread()}


def test_a_result_and_an_exception_are_handed_over(thread: LoopThread):
    async def good() -> int:
        return 7

    async def bad() -> int:
        raise ZeroDivisionError

    assert thread.submit(good()).future.result(5) == 7
    with pytest.raises(ZeroDivisionError):
        thread.submit(bad()).future.result(5)


def test_a_cancelled_future_is_done_only_when_its_work_has_ended(thread: LoopThread):
    begun, ended, order = threading.Event(), threading.Event(), list[str]()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            order.append("closed")

    def done(_: object) -> None:
        order.append("done")
        ended.set()

    running = thread.submit(work())
    running.future.add_done_callback(done)
    assert begun.wait(5)
    running.cancel()

    assert ended.wait(5)
    assert order == ["closed", "done"]
    assert running.future.cancelled()


def test_cancelling_the_future_stops_the_work(thread: LoopThread):
    begun, closed = threading.Event(), threading.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            closed.set()

    running = thread.submit(work())
    assert begun.wait(5)
    running.future.cancel()

    assert closed.wait(5)


def test_work_cancelled_before_it_begins_never_begins(thread: LoopThread):
    free, begun = threading.Event(), list[str]()

    async def work() -> None:
        begun.append("begun")

    thread.loop.call_soon_threadsafe(free.wait)
    running = thread.submit(work())
    running.cancel()
    running.cancel()
    free.set()

    with pytest.raises(CancelledError):
        running.future.result(5)
    assert begun == []


def test_work_that_swallows_its_cancellation_hands_over_its_result(thread: LoopThread):
    begun = threading.Event()

    async def work() -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "kept"
        return "never"

    running = thread.submit(work())
    assert begun.wait(5)
    running.cancel()

    assert running.future.result(5) == "kept"


def test_cancelling_what_has_ended_changes_nothing(thread: LoopThread):
    async def work() -> int:
        return 7

    running = thread.submit(work())
    running.future.result(5)
    running.cancel()

    assert running.future.result(5) == 7


def test_is_current_is_true_inside_only(thread: LoopThread):
    async def inside() -> bool:
        return thread.is_current

    assert thread.submit(inside()).future.result(5)
    assert not thread.is_current


def test_stopping_cancels_what_runs():
    thread, begun = LoopThread(), threading.Event()

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    running = thread.submit(work())
    assert begun.wait(5)
    thread.stop()

    assert running.future.cancelled()
    assert not thread.loop.is_running()
