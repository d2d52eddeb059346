"""The three stages of a run, one after the other."""

from __future__ import annotations

from ..errors import CallError
from ..events import AnalysisReady, AnswerReady, CallEnded, ToolEnded
from ..results import Analysis, Response, Status
from .given import Given
from .judge import judge
from .kit import Kit
from .panel import Skips, ask_panel
from .plan import Plan
from .question import Matter, Run
from .request import FusionRequest
from .synthesis import synthesize


async def carry_out(run: Run, plan: Plan, kit: Kit, request: FusionRequest, skips: Skips) -> tuple[Status, str | None]:
    """Ask the panel, the judge and the synthesizer; returns how that ended, and why there is no answer.

    What a stage has brought is on the disk before the next one begins.
    """
    given = request.given
    for event in (*map(CallEnded, given.calls), *map(ToolEnded, given.tools)):
        run.emit(event)
    responses = await ask_panel(run, plan, request.briefing(kit), skips)
    await run.memory.settled()
    if not responses:
        all_skipped = skips.labels >= {chair.seat.label for chair in plan.seats}
        return ("cancelled", "Every seat was skipped.") if all_skipped else ("error", "No panelist answered.")
    if given.alone:
        run.emit(AnswerReady(responses[0].content))
        return "ok", None
    matter = request.matter()
    analysis = await _analysis(run, plan, matter, responses, kit, given)
    try:
        await synthesize(run, plan, matter, responses, analysis, request.schema)
    except CallError as exc:
        error = f"There is no fused answer: {exc} The responses are kept."
        return "limited" if run.is_limited else "error", error
    return ("limited", _limited(run)) if run.is_limited else ("ok", None)


def _limited(run: Run) -> str:
    assert run.budget is not None
    return f"Limited by the budget ({run.budget.limit}): not all was asked, or not to its end; `.resume()` goes on."


async def _analysis(
    run: Run, plan: Plan, matter: Matter, responses: tuple[Response, ...], kit: Kit, given: Given
) -> Analysis | None:
    if given.analysis is not None:
        run.emit(AnalysisReady(given.analysis))
        return given.analysis
    analysis = await judge(run, plan, matter, responses, kit)
    await run.memory.settled()
    return analysis
