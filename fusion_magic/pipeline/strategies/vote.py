"""`vote`: every seat gives one word or one number, and the heaviest answer wins; nobody judges or writes."""

from __future__ import annotations

from collections.abc import Iterator

from ...events import AnswerReady, Told, Warned
from ...prompts_strategies import TINY_VOTE, TINY_VOTE_GRAMMAR, VOTE_VERSION
from ...prompts_strategies import VOTE as WORDS
from ...results import Response
from ...settings import Panel, Settings
from ...votes import Vote, tally
from ..places import Place, seated
from ..plan import Plan
from ..stages import Ending, Work
from ..task import Task
from .choices import Choice, choice_in, same_as
from .strategy import Evidence, Strategy, distinct, repeated

SAMPLES = 5  # of one model alone: an odd number has fewer ties


def arrange(panel: Panel, settings: Settings) -> Panel:
    """The panel as it is, or each of its models as often as `samples` says; one model alone five times."""
    if settings.samples:
        return repeated(panel, distinct(panel), settings.samples)
    return repeated(panel, panel.models, SAMPLES) if len(panel.models) == 1 else panel


def places(plan: Plan) -> Iterator[Place]:
    """The seats."""
    return seated(plan.seats)


async def carry_out(work: Work) -> Ending:
    """Ask the panel and count. A tie goes to the choice of the earliest seat, with a warning."""
    responses = await work.panel()
    if not responses:
        return work.nobody()
    votes = votes_in(responses, by_confidence=work.plan.settings.weights == "confidence")
    for vote in votes:
        work.run.emit(Told(vote))
    for text in _told(votes, work.plan.settings):
        work.run.emit(Warned(text))
    counted = tally(votes)
    if not counted:
        return "error", "No seat gave one word or one number that could be counted; the responses are kept."
    work.run.emit(AnswerReady(next(iter(counted))))
    return work.ended()


def votes_in(responses: tuple[Response, ...], *, by_confidence: bool = False) -> list[Vote]:
    """The vote of each response, in seat order; choices that are the same have the first one's spelling.

    By confidence a vote weighs what its seat says, 0 to 1, and one that says nothing the mean of the others (1 if
    none says anything). The confidences of different models are not on one scale.
    """
    choices = {response.label: choice_in(response.content) for response in responses}
    said = [choice.confidence for choice in choices.values() if choice and choice.confidence is not None]
    silent = sum(said) / len(said) if said else 1.0
    spelling: dict[str, str] = {}
    return [
        Vote(
            label=label,
            choice=spelling.setdefault(same_as(choice.text), choice.text) if choice else None,
            weight=(_weight(choice, silent) if by_confidence else 1.0) if choice else 0.0,
            confidence=choice.confidence if choice else None,
        )
        for label, choice in choices.items()
    ]


def _weight(choice: Choice, silent: float) -> float:
    return silent if choice.confidence is None else choice.confidence


def _told(votes: list[Vote], settings: Settings) -> Iterator[str]:
    """What the reader should know of the count."""
    if unread := [vote.label for vote in votes if vote.choice is None]:
        yield f"{', '.join(unread)}: no single word or number could be read; it was not counted."
    if settings.weights == "confidence" and not any(vote.confidence is not None for vote in votes):
        yield "No seat said how sure it is; all votes weigh the same."
    counted = tally(votes)
    best = [choice for choice, weight in counted.items() if weight == max(counted.values())]
    if len(best) > 1:
        yield f"A tie between {', '.join(best)}; the answer of the earliest seat was taken."


VOTE = Strategy(
    name="vote",
    does="Every seat ends with one word or one number; the answer that most give, or that weighs most, is the answer.",
    cost="N calls; one model alone is asked 5 times (--samples)",
    evidence=(
        Evidence(
            "for",
            "The most frequent of many samples is right more often than one: GSM8K + 17.9 %, SVAMP + 11.0 %, "
            "ARC-challenge + 3.9 %.",
            "Self-consistency, arXiv:2203.11171",
        ),
        Evidence(
            "for",
            "Weighting votes by the model's own confidence reaches the same accuracy with 40 % fewer samples.",
            "CISC, arXiv:2502.06233",
        ),
        Evidence(
            "against",
            "It counts, and reads no reasons: where models share an error the error wins. Scores of DRACO's models "
            "correlate by .47 to .71.",
            "github.com/Lore-Hex/TrustedRouter-Fusion-Draco, docs/FINDINGS.md",
        ),
    ),
    places=places,
    carry_out=carry_out,
    takes_schema=False,
    arrange=arrange,
    task=Task(WORDS, VOTE_VERSION, TINY_VOTE, {"min_p": 0.1, "grammar": TINY_VOTE_GRAMMAR}),
    options=("samples", "weights"),
    is_judged=False,
)
