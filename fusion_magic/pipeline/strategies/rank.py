"""`rank`: seats rank each other's responses on anonymous ballots; the synthesizer reads responses and ranking."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from itertools import permutations

from ... import prompts_small
from ...errors import CallError
from ...events import Told, Warned
from ...prompts import run_digest, version_of
from ...prompts_strategies import BALLOT_VERSION, ballot_messages
from ...results import Response
from ...votes import Ballot, standing
from ..calls import ask, ask_or_fallback
from ..places import Place, seated, voting, writing
from ..plan import Chair, Plan
from ..question import Question
from ..stages import Ending, Work
from .strategy import Evidence, Strategy

_RANKING = re.compile(r"^\W*(?:final\s+)?ranking\W*:(.*)$", re.IGNORECASE | re.MULTILINE)
_LETTER = re.compile(r"(?<![A-Za-z])[A-H](?![A-Za-z])")


def places(plan: Plan) -> Iterator[Place]:
    """Every seat, every ballot, then the synthesizer."""
    yield from seated(plan.seats)
    yield from voting(plan)
    yield from writing(plan)


async def carry_out(work: Work) -> Ending:
    """Responses, ballots, and the synthesizer in the chair. Of two responses there is nothing to rank."""
    responses = await work.panel()
    if not responses:
        return work.nobody()
    ballots = await _ballots(work, responses) if len(responses) > 2 else []
    if len(responses) <= 2:
        work.run.emit(Warned("Fewer than three seats answered; they did not rank each other."))
    told = "\n".join(f"{label}: {place:.2f}" for label, place in standing(ballots).items())
    return await work.answer(responses, None, work.matter()._replace(ranking=told))


async def _ballots(work: Work, responses: tuple[Response, ...]) -> list[Ballot]:
    """The ballots, in seat order; a seat that writes none is missing, and that is told."""
    chairs = {chair.seat.label: chair for chair in work.plan.seats}
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_ballot(work, chairs[each.label], responses)) for each in responses]
    ballots = [ballot for task in tasks if (ballot := task.result())]
    for ballot in ballots:
        work.run.emit(Told(ballot))
    work.run.memory.settle()
    return ballots


async def _ballot(work: Work, chair: Chair, responses: tuple[Response, ...]) -> Ballot | None:
    label, run = chair.seat.label, work.run
    # Nobody ranks its own: models favour their own words, also where names are hidden.
    others = {each.label: each.content for each in responses if each.label != label}

    async def attempt(chair: Chair) -> tuple[str, ...]:
        return ranking_in((await ask(run, chair, _question(work, chair, others))).text, tuple(others))

    try:
        ranking = await ask_or_fallback(run, "judge", chair, attempt)
    except CallError as exc:
        run.emit(Warned(f"{label} did not rank the others: {exc}"))
        return None
    if not ranking:
        run.emit(Warned(f"{label}: no ranking could be read; its ballot does not count."))
        return None
    return Ballot(label=label, ranking=ranking)


def ranking_in(text: str, others: tuple[str, ...]) -> tuple[str, ...]:
    """The letters of the last "Ranking: …" line, best first; () unless each of the others is there once."""
    found = _RANKING.findall(text)
    letters = tuple(dict.fromkeys(_LETTER.findall(found[-1]))) if found else ()
    return letters if set(letters) == set(others) else ()


def _question(work: Work, chair: Chair, others: dict[str, str]) -> Question:
    matter, label = work.matter(), chair.seat.label
    if chair.is_tiny:
        return Question(
            "judge",
            prompts_small.ballot_messages(matter.question, others),
            prompts_small.BALLOT_VERSION,
            label=label,
            round=2,
            temperature=0.0,
            max_tokens=prompts_small.FIELD_TOKENS,
            extra={"grammar": _grammar(tuple(others))},
        )
    return Question(
        "judge",
        ballot_messages(matter.question, others, turns=matter.turns),
        version_of(BALLOT_VERSION, matter.turns),
        label=label,
        round=2,
        temperature=0.0,
        seed=run_digest(matter.question, others),
    )


def _grammar(others: tuple[str, ...]) -> str:
    """GBNF for every order of up to four letters; of more only the first four are shuffled, to keep it small."""
    orders = [" > ".join((*order, *others[4:])) for order in permutations(others[:4])]
    return "root ::= " + " | ".join(f'"Ranking: {order}"' for order in orders)


RANK = Strategy(
    name="rank",
    does="Every seat ranks the others' responses without names; the synthesizer reads the responses and their mean "
    "places.",
    cost="2 N + 1 calls; each ballot reads N − 1 responses",
    evidence=(
        Evidence(
            "for",
            "Three small judges of different families did better than GPT-4 alone, at less than a seventh of its cost.",
            "PoLL, arXiv:2404.18796",
        ),
        Evidence(
            "for",
            "The form is known from llm-council, which publishes no measurement.",
            "github.com/karpathy/llm-council",
        ),
        Evidence(
            "against",
            "Models favour their own words, also unnamed, and pass over their own mistakes up to 50 % more often; here "
            "nobody ranks its own response.",
            "arXiv:2410.21819, arXiv:2604.06996",
        ),
    ),
    places=places,
    carry_out=carry_out,
    least=3,
    is_judged=False,
)
