"""`moa`: layers of the same seats, each reading all responses of the layer before; then the synthesizer."""

from __future__ import annotations

from collections.abc import Iterator

from ...prompts_strategies import LAYER_VERSION, layer_messages
from ...results import Response
from ..places import Place, seated, writing
from ..plan import Chair, Plan
from ..question import Question
from ..stages import Ending, Work
from .rounds import Asking, ask_again, question_of, standing_orders
from .strategy import Evidence, Strategy


def places(plan: Plan) -> Iterator[Place]:
    """Every seat in every layer, then the synthesizer."""
    for number in range(1, plan.settings.rounds + 1):
        yield from seated(plan.seats, number)
    yield from writing(plan)


async def carry_out(work: Work) -> Ending:
    """Layer after layer; the synthesizer reads the last one. There is no judge, as in the paper."""
    responses = await work.panel()
    if not responses:
        return work.nobody()
    for number in range(2, work.plan.settings.rounds + 1):
        responses = await ask_again(work, responses, number, _asking(work, responses, number))
    return await work.answer(responses, None)


def _asking(work: Work, before: tuple[Response, ...], number: int) -> Asking:
    matter, texts = work.matter(), {each.label: each.content for each in before}

    def asking(chair: Chair, last: Response) -> Question:
        system = standing_orders(work, chair)
        messages = layer_messages(matter.question, texts, system=system, turns=matter.turns)
        return question_of(work, chair, number, LAYER_VERSION, texts, messages)

    return asking


MOA = Strategy(
    name="moa",
    does="Layers (--rounds, 2): in each every seat writes anew from all responses of the layer before; the synthesizer "
    "reads the last.",
    cost="N × layers + 1 calls; all but the first layer read N responses",
    evidence=(
        Evidence(
            "for",
            "Open models in three layers won 65.1 % on AlpacaEval 2, GPT-4o alone 57.5 %.",
            "Mixture-of-Agents, arXiv:2406.04692",
        ),
        Evidence(
            "against",
            "Mixing in weaker models costs more than their variety brings: samples of the best one alone did better by "
            "6.6 points there, and by 3.8 on average elsewhere.",
            "Self-MoA, arXiv:2502.00674",
        ),
    ),
    places=places,
    carry_out=carry_out,
    options=("rounds",),
    is_judged=False,
)
