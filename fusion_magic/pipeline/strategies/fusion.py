"""`fusion`: a panel answers, a judge compares, a synthesizer writes."""

from __future__ import annotations

from collections.abc import Iterator

from ...events import AnswerReady
from ..places import Place, fusing, seated
from ..plan import Plan
from ..stages import Ending, Work
from .strategy import Evidence, Strategy


def places(plan: Plan) -> Iterator[Place]:
    """Seats, judge, synthesizer."""
    yield from seated(plan.seats)
    yield from fusing(plan)


async def carry_out(work: Work) -> Ending:
    """Panel, judge, synthesizer; less where a result's verb wants less."""
    responses, given = await work.panel(), work.request.given
    if not responses:
        return work.nobody()
    if given.alone:
        work.run.emit(AnswerReady(responses[0].content))
        return "ok", None
    return work.judged(await work.analysis(responses)) if given.judged_only else await work.fused(responses)


FUSION = Strategy(
    name="fusion",
    does="A panel answers in parallel, a judge compares, a synthesizer writes from the responses and the comparison.",
    cost="N + 2 calls; judge and synthesizer read N responses",
    evidence=(
        Evidence(
            "for",
            "On DRACO three models with Opus as synthesizer scored 68.3, the best of them alone 60.0.",
            "OpenRouter, “Surpassing Frontier Performance with Fusion”, June 2026",
        ),
        Evidence(
            "for",
            "In a replication the same five responses gave 54.0 to 71.6, depending on the synthesizer.",
            "github.com/Lore-Hex/TrustedRouter-Fusion-Draco, docs/FINDINGS.md",
        ),
        Evidence(
            "against",
            "On easy prompts with an answer that can be checked it costs four times as much for nothing.",
            "chongjiazhen in freellmapi issue 326",
        ),
    ),
    places=places,
    carry_out=carry_out,
    options=("one_pass",),
)
