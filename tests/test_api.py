"""The doors: `fuse` anywhere, `fuse_async`, `stream`, `last`, and what an interrupt leaves."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import pytest

from fusion_magic import FusionError, FusionInterrupted, PanelFailed, fold, fuse, fuse_async, last, scripted, stream
from fusion_magic._loop import loop_thread
from fusion_magic.api import Running, request_for
from fusion_magic.errors import CallError, KeyMissing, SettingsError
from fusion_magic.events import CallEnded, Delta, Event, RunEnded, SeatAnswered
from pipeline.asking import chats, judged, panel
from servers.openrouter import Fault, Reply, Server, analysis_json

WHOLE: Any = {"judge": analysis_json("AB"), "synthesis": "Fused.", "*": "Text."}
SEATS: dict[str, Any] = {"models": ["a", "b"], "judge": "j", "synthesizer": "w"}


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        running.reply("*", Reply("An answer."))
        running.reply("judge", judged())
        running.reply("slow", Reply("one two three four five", gap=60))
        yield running


# --- fuse


def test_fuse_works_in_a_plain_thread():
    with scripted(WHOLE):
        result = fuse("Why?", **SEATS)

    assert (result.status, result.answer) == ("ok", "Fused.")
    assert last() == result


def test_fuse_works_under_a_running_loop():
    async def main() -> str | None:
        return fuse("Why?", **SEATS).answer

    with scripted(WHOLE):
        assert asyncio.run(main()) == "Fused."


def test_fuse_works_from_eight_threads_at_once(server: Server):
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda n: fuse(f"Question {n}?", **panel(server)), range(8)))

    assert [result.prompt for result in results] == [f"Question {n}?" for n in range(8)]
    assert {result.status for result in results} == {"ok"}
    assert len({result.id for result in results}) == 8


def test_fuse_in_the_loop_thread_is_an_error_that_names_the_way_out():
    async def inside() -> None:
        fuse("Why?", **SEATS)

    with pytest.raises(FusionError, match="use `await fuse_async"):
        loop_thread().submit(inside()).future.result()


def test_fuse_async_works_in_the_loop_thread():
    with scripted(WHOLE):
        result = loop_thread().submit(fuse_async("Why?", **SEATS)).future.result()

    assert result.answer == "Fused."


def test_one_model_need_not_be_a_list():
    with scripted(WHOLE | {"judge": analysis_json("A")}):
        assert len(fuse("Why?", models="a", judge="j").responses) == 1


def test_without_a_key_and_a_panel_fuse_says_what_to_do():
    with pytest.raises(KeyMissing, match="set OPENROUTER_API_KEY or type `%fusion login`"):
        fuse("Why?")


def test_an_unknown_setting_names_the_nearest():
    with pytest.raises(FusionError, match='no setting "max_token"; did you mean "max_tokens"'):
        fuse("Why?", **SEATS, max_token=3)


def test_panel_failed_reaches_both_doors_as_itself_and_last_has_its_result():
    with scripted({"*": CallError("Dead.")}):
        with pytest.raises(PanelFailed) as sync:
            fuse("Why?", **SEATS)
        with pytest.raises(PanelFailed):
            asyncio.run(fuse_async("Why?", **SEATS))

    assert [lost.error for lost in sync.value.result.failed_models] == ["Dead.", "Dead."]
    kept = last()
    assert kept is not None
    assert kept.status == "error"


def test_the_caller_s_context_is_visible_in_a_run():
    asker: ContextVar[str] = ContextVar("asker", default="nobody")
    seen: list[str] = []

    def answer(request: Any) -> str:
        seen.append(asker.get())
        return "Text."

    asker.set("me")
    script: Any = {"judge": analysis_json("A"), "*": answer}
    with scripted(script):
        fuse("Why?", models=["a"], judge="j")

    assert set(seen) == {"me"}


# --- stopping


def test_stopping_twice_gives_the_same_result(server: Server):
    running = Running(request_for("Why?", **panel(server, "a", "slow")))
    server.wait_open(1)

    first, second = running.stop(), running.stop()

    assert first == second
    assert first is not None
    assert first.status == "cancelled"


def test_stopping_a_run_that_has_ended_gives_its_result():
    with scripted(WHOLE):
        running = Running(request_for("Why?", **SEATS))
        result = running.wait()

    assert running.stop() == result
    assert result.status == "ok"


def test_a_run_stopped_before_it_begins_calls_nobody_and_does_not_wait(server: Server):
    free = threading.Event()
    loop_thread().loop.call_soon_threadsafe(free.wait)
    running = Running(request_for("Why?", **panel(server)))
    running.cancel()
    free.set()

    assert running.stop() is None
    assert running.future.cancelled()
    assert server.requests == []
    with pytest.raises(FusionInterrupted, match="before its first call") as caught:
        running.wait()
    assert caught.value.result is None


def test_a_stop_during_the_catalogue_s_fetch_begins_nothing(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENROUTER_API_KEY", "key-of-a-test")
    arrived, answer = threading.Event(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as silent:

        def accept() -> None:
            connection, _ = silent.accept()
            arrived.set()
            answer.wait(20)
            connection.close()

        threading.Thread(target=accept, daemon=True).start()
        monkeypatch.setenv("OPENROUTER_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/api/v1")
        running = Running(request_for("Why?", panel="budget"))
        assert arrived.wait(10)

        assert running.stop() is None
        answer.set()

    assert running.future.cancelled()


def test_a_view_that_fails_while_waiting_stops_the_run(server: Server):
    running = Running(request_for("Why?", **panel(server, "slow")))

    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        running.wait(broken)

    assert running.future.done()
    server.wait_closed()


def test_an_interrupt_while_waiting_keeps_the_answers_and_closes_every_connection(server: Server):
    answered = threading.Event()

    def listen(event: Event) -> None:
        if isinstance(event, SeatAnswered):
            answered.set()

    def interrupt() -> None:
        if answered.is_set():
            raise KeyboardInterrupt

    running = Running(request_for("Why?", **panel(server, "a", "slow", "slow")), listen)
    with pytest.raises(FusionInterrupted, match="1 of 3 answers are kept") as interrupted:
        running.wait(interrupt)

    result = interrupted.value.result
    assert result is not None
    assert result.status == "cancelled"
    assert [response.label for response in result.responses] == ["A"]
    assert last() == result
    assert len(server.wait_closed()) == 2
    assert interrupted.value.__context__ is None


@pytest.mark.parametrize("stage", ["judge", "synthesis"])
@pytest.mark.parametrize("store", [True, False])
def test_a_stop_at_the_end_of_a_call_asks_nobody_more(server: Server, stage: str, store: bool):
    """As from another thread, in the moment in which the call ends."""

    def listen(event: Event) -> None:
        if isinstance(event, CallEnded) and event.call.stage == stage:
            running.cancel()

    running = Running(request_for("Why?", **panel(server, "a"), store=store, reuse="never"), listen)
    with pytest.raises(FusionInterrupted):
        running.wait()

    assert ("writer" in {request.model for request in chats(server)}) == (stage == "synthesis")
    assert running.state.result().status == "cancelled"


# --- fuse_async


def test_cancelling_fuse_async_closes_the_connections_before_it_returns(server: Server):
    async def main() -> None:
        task = asyncio.create_task(fuse_async("Why?", **panel(server, "a", "slow")))
        await asyncio.to_thread(server.wait_open, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())

    server.wait_closed()
    kept = last()
    assert kept is not None
    assert kept.status == "cancelled"


def test_a_timeout_around_fuse_async_is_a_timeout(server: Server):
    async def main() -> None:
        async with asyncio.timeout(None) as limit:
            task = asyncio.create_task(asyncio.to_thread(server.wait_open, 1))
            task.add_done_callback(lambda _: limit.reschedule(0))
            await fuse_async("Why?", **panel(server, "slow"))

    with pytest.raises(TimeoutError):
        asyncio.run(main())

    assert [request.model for request in server.wait_closed()] == ["slow"]


def test_several_runs_share_a_loop(server: Server):
    async def main() -> list[Any]:
        return await asyncio.gather(*(fuse_async(f"{n}?", **panel(server)) for n in range(4)))

    assert [result.prompt for result in asyncio.run(main())] == ["0?", "1?", "2?", "3?"]


# --- stream


def test_the_events_of_a_stream_fold_to_the_result():
    async def main() -> list[Event]:
        async with stream("Why?", **SEATS) as events:
            return [event async for event in events]

    with scripted(WHOLE):
        events = asyncio.run(main())

    assert fold(events) == last()
    assert isinstance(events[-1], RunEnded)


def test_events_arrive_while_the_run_goes_on(server: Server):
    async def main() -> int:
        async with stream("Why?", **panel(server, "slow")) as events:
            async for event in events:
                if isinstance(event, Delta):
                    return server.open_streams
        return 0

    assert asyncio.run(main()) == 1


def test_leaving_the_block_early_stops_the_run_and_the_server_sees_it(server: Server):
    async def main() -> None:
        async with stream("Why?", **panel(server, "a", "slow")) as events:
            async for event in events:
                if isinstance(event, SeatAnswered):
                    await asyncio.to_thread(server.wait_open)  # the other seat's call may still be on its way
                    break

    asyncio.run(main())

    assert [request.model for request in server.wait_closed()] == ["slow"]
    assert chats(server, "writer") == []
    kept = last()
    assert kept is not None
    assert [response.label for response in kept.responses] == ["A"]


def test_an_error_comes_from_the_iteration():
    async def main() -> None:
        async with stream("Why?", **SEATS) as events:
            async for _ in events:
                pass

    with scripted({"*": CallError("Dead.")}), pytest.raises(PanelFailed):
        asyncio.run(main())


def test_reading_on_after_the_block_ends_quietly(server: Server):
    async def main() -> list[Event]:
        async with stream("Why?", **panel(server, "slow")) as events:
            pass
        return [event async for event in events]

    assert all(not isinstance(event, SeatAnswered) for event in asyncio.run(main()))


def test_an_exception_in_the_block_stops_the_run_and_passes(server: Server):
    async def main() -> None:
        async with stream("Why?", **panel(server, "slow")):
            await asyncio.to_thread(server.wait_open, 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(main())

    server.wait_closed()


def test_a_failed_run_is_kept_as_last(server: Server):
    server.reply("writer", Fault(402))

    result = fuse("Why?", **panel(server))

    assert result.status == "error"
    assert last() == result


def test_half_a_character_in_the_prompt_is_replaced_and_the_rest_asked():
    with scripted({"*": "Text."}) as script:
        fuse("Why \ud83d\ude00 and \ud83d?", models=["a"])

    assert script.requests[0].messages[-1]["content"] == "Why \U0001f600 and \ufffd?"


@pytest.mark.parametrize("name", ["notes", "without_key", "defaults", "max_token"])
def test_a_setting_that_is_none_is_refused_by_every_door(name: str):
    setting: dict[str, Any] = {name: "x"}

    with scripted({"*": "Text."}), pytest.raises(SettingsError, match="no setting"):
        fuse("Why?", models=["a"], **setting)


@pytest.mark.parametrize("place", ["prompt", "system", "rubric"])
def test_a_key_in_the_text_is_sent_to_nobody(place: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENROUTER_API_KEY", "key-of-a-test-that-is-long")
    asked: Any = {"prompt": "Why?", "system": None, "rubric": None} | {place: "It is key-of-a-test-that-is-long."}

    with scripted({"*": "Text."}) as script, pytest.raises(SettingsError, match="OPENROUTER_API_KEY") as caught:
        fuse(models=["a"], **asked)

    assert script.requests == []
    assert "key-of-a-test" not in str(caught.value)
