"""`debate`: seats read each other's answers, rebut them and keep or change their own; then judge and synthesizer."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...events import Told
from ...prompts_strategies import REBUTTAL_VERSION, rebuttal_messages
from ...results import Response
from ...votes import Change
from ..places import Place, fusing, seated
from ..plan import Chair, Plan
from ..question import Question
from ..stages import Ending, Work
from .rounds import Asking, ask_again, question_of, standing_orders
from .strategy import Evidence, Strategy

REASON = 300  # characters kept of why a seat changed its mind
_POSITION = re.compile(
    r"^\W*position\W*:\W*(kept|unchanged|changed)\b[^\w\n]*(?:because\b)?[ \t]*(.*)$", re.IGNORECASE | re.MULTILINE
)


def places(plan: Plan) -> Iterator[Place]:
    """Every seat in every round, then judge and synthesizer."""
    for number in range(1, plan.settings.rounds + 1):
        yield from seated(plan.seats, number)
    yield from fusing(plan)


async def carry_out(work: Work) -> Ending:
    """Round after round; the judge compares where they stand after the last."""
    responses = await work.panel()
    if not responses:
        return work.nobody()
    for number in range(2, work.plan.settings.rounds + 1):
        if len(responses) > 1:  # alone there is nobody to answer
            responses = await ask_again(work, responses, number, _asking(work, responses, number))
        for response in responses:
            if response.round == number:
                work.run.emit(Told(change_in(response)))
    return await work.fused(responses)


def change_in(response: Response) -> Change:
    """What a response says of its own position; unknown if its first lines say nothing."""
    said = _POSITION.search(response.content[:1_000])
    changed = None if said is None else said[1].lower() == "changed"
    return Change(
        label=response.label, round=response.round, changed=changed, reason=said[2].strip()[:REASON] if said else ""
    )


def _asking(work: Work, before: tuple[Response, ...], number: int) -> Asking:
    matter, texts = work.matter(), {each.label: each.content for each in before}

    def asking(chair: Chair, last: Response) -> Question:
        others = {label: text for label, text in texts.items() if label != chair.seat.label}
        system = standing_orders(work, chair)
        messages = rebuttal_messages(matter.question, last.content, others, system=system, turns=matter.turns)
        return question_of(work, chair, number, REBUTTAL_VERSION, others, messages)

    return asking


DEBATE = Strategy(
    name="debate",
    does="Rounds (--rounds, 2): each seat reads the others' answers, rebuts them and says whether it changed its mind; "
    "judge and synthesizer read the last round.",
    cost="N × rounds + 2 calls; from the second round on each reads N responses",
    evidence=(
        Evidence(
            "for",
            "Debates of different models do better than those of one model with itself.",
            "arXiv:2502.08788",
        ),
        Evidence(
            "against",
            "Five ways of debate on nine benchmarks often did no better than one chain of thought or a vote.",
            "arXiv:2502.08788",
        ),
        Evidence(
            "against",
            "Debaters give in to the majority, in up to 85.5 % of cases, and it takes 2.1 to 3.4 times the tokens.",
            "arXiv:2605.00914",
        ),
    ),
    places=places,
    carry_out=carry_out,
    options=("rounds", "one_pass"),
    least=2,
)
