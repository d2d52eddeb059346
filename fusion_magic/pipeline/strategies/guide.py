"""`guide`: the panel's comparison is private guidance to a chat model, which answers in its own voice."""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import CallError
from ...events import Warned
from ...prompts import compact, version_of
from ...prompts_strategies import GUIDE_VERSION, guided_messages
from ...results import Analysis
from ..places import Place, judging, seated, writing
from ..plan import Chair, Plan
from ..question import Question
from ..stages import Ending, Work
from ..synthesis import write
from .strategy import Evidence, Strategy


def places(plan: Plan) -> Iterator[Place]:
    """Seats, judge, and the synthesizer, which is the chat model."""
    yield from seated(plan.seats)
    yield from judging(plan)
    yield from writing(plan)


async def carry_out(work: Work) -> Ending:
    """Panel and judge before the turn; then the chat model, which sees the comparison and no response."""
    responses = await work.panel()
    if not responses:
        return work.nobody()
    analysis = await work.analysis(responses)
    if work.plan.synthesizer.is_tiny:
        work.run.emit(Warned("The embedded model can't be guided in private; it wrote from the responses."))
        return await work.answer(responses, analysis)
    if analysis is None:
        work.run.emit(Warned(f"{work.plan.synthesizer.model} answered this turn without guidance."))
    try:
        await write(work.run, work.plan, lambda chair: _question(work, chair, analysis), work.request.schema)
    except CallError as exc:
        return work.unanswered(exc)
    return work.ended()


def _question(work: Work, chair: Chair, analysis: Analysis | None) -> Question:
    briefing, settings = work.briefing, work.plan.settings
    guidance = compact(analysis) if analysis else ""
    system = (chair.seat.system, settings.system)
    return Question(
        "synthesis",
        guided_messages(briefing.content(chair), guidance, system=system, turns=briefing.turns),
        version_of(GUIDE_VERSION, briefing.turns),
        temperature=chair.seat.temperature,
    )


GUIDE = Strategy(
    name="guide",
    does="Before each turn panel and judge are asked in private; the synthesizer answers as a chat model that has read "
    "the comparison, not the responses. Goes on from turn to turn with --thread.",
    cost="N + 2 calls a turn; the writer reads no responses",
    evidence=(
        Evidence(
            "for",
            "A cheap judge before a strong writer gained 9.2 points on DRACO: a comparison helps who writes well.",
            "github.com/Lore-Hex/TrustedRouter-Fusion-Draco, docs/FINDINGS.md",
        ),
        Evidence(
            "against",
            "There the writer read the responses too; no published measurement of guidance alone is known to us.",
            "github.com/Lore-Hex/TrustedRouter-Fusion-Draco, docs/FINDINGS.md",
        ),
    ),
    places=places,
    carry_out=carry_out,
)
