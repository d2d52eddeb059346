"""A call that is interrupted after its last word: the answer is kept, and the interrupt passes."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from fusion_magic.api import request_for
from fusion_magic.endpoints import Endpoint
from fusion_magic.events import Fold
from fusion_magic.pipeline.run import run
from fusion_magic.providers import ChatRequest, Chunk, ModelInfo, Providers
from fusion_magic.results import FusionResult
from pipeline.asking import panel
from servers.openrouter import Server, analysis_json


class Holding:
    """Says its last word and, in one stage, keeps the stream open without a word of the usage."""

    def __init__(self, stage: str, finish: str = "stop") -> None:
        self._stage, self._finish = stage, finish
        self.said = asyncio.Event()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        yield Chunk(text=analysis_json("A") if request.stage == "judge" else "Whole.", served=request.model)
        yield Chunk(finish=self._finish)
        if request.stage == self._stage:
            self.said.set()
            await asyncio.Event().wait()

    async def models(self, endpoint: Endpoint) -> tuple[ModelInfo, ...]:
        return ()


def interrupted_after_the_last_word(server: Server, holding: Holding) -> FusionResult:
    state = Fold()

    async def main() -> None:
        asked = request_for("Why?", **panel(server, "a"))
        task = asyncio.create_task(run(asked, emit=lambda event: None, providers=Providers(holding), state=state))
        await holding.said.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    return state.result()


@pytest.mark.parametrize("stage", ["panel", "judge", "synthesis"])
def test_an_interrupt_after_the_last_word_keeps_the_answer_and_stops_the_run(server: Server, stage: str):
    result = interrupted_after_the_last_word(server, Holding(stage))

    assert result.status == "cancelled"
    assert [call.stage for call in result.calls][-1] == stage
    assert {(call.error, call.finish_reason) for call in result.calls} == {(None, "stop")}
    assert [response.content for response in result.responses] == ["Whole."]
    assert (result.analysis is not None) is (stage != "panel")
    assert result.answer == ("Whole." if stage == "synthesis" else None)


def test_an_interrupt_after_a_filtered_answer_leaves_a_lost_seat(server: Server):
    result = interrupted_after_the_last_word(server, Holding("panel", finish="content_filter"))

    assert (result.status, result.responses) == ("cancelled", ())
    assert "a content filter stopped the answer" in result.failed_models[0].error
    assert result.failed_models[0].content == "Whole."


def test_a_timeout_around_a_run_that_had_its_last_word_is_a_timeout_and_counts_once(server: Server):
    holding = Holding("synthesis")

    async def in_time() -> None:
        async with asyncio.timeout(None) as watch:
            said = asyncio.create_task(holding.said.wait())
            said.add_done_callback(lambda _: watch.reschedule(0))
            await run(request_for("Why?", **panel(server, "a")), emit=lambda event: None, providers=Providers(holding))

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await in_time()
        await asyncio.sleep(0)  # a cancellation that was counted twice would come here

    asyncio.run(main())
