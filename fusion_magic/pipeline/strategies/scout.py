"""`scout`: the two cheapest seats are asked first, and the rest only if the two disagree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from ...events import AnswerReady, Told
from ...prompts_strategies import IN_SHORT, SCOUT_VERSION
from ...results import Response
from ...votes import Decision, Vote
from ..given import Given
from ..places import Place, fusing, seated
from ..plan import Chair, Plan
from ..stages import Ending, Work
from ..task import Task
from .strategy import Evidence, Strategy

_CONCLUSION = re.compile(r"^\W*in short\W*[:,]\s*(.+)$", re.IGNORECASE | re.MULTILINE)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WORD = re.compile(r"\w+")
_NOT = frozenset(
    _WORD.findall("no not never none neither nor cannot without false incorrect wrong nicht kein keine nie")
)
_FILLING = frozenset(
    _WORD.findall("a an the of to in on at by for from with and or but as is are was were be it its this that")
)
SCOUTS = 2


def scouts_of(plan: Plan) -> tuple[Chair, ...]:
    """The two seats whose output tokens cost least, in seat order; one without a known price counts as the dearest."""

    def price(chair: Chair) -> float:
        return float("inf") if chair.price.completion is None else chair.price.completion

    cheapest = sorted(plan.seats, key=price)[:SCOUTS]
    return tuple(chair for chair in plan.seats if chair in cheapest)


def places(plan: Plan) -> Iterator[Place]:
    """The scouts; then, perhaps, the other seats, judge and synthesizer."""
    scouts = scouts_of(plan)
    yield from seated(scouts)
    yield from seated((chair for chair in plan.seats if chair not in scouts), maybe=True)
    yield from fusing(plan, maybe=True)


async def carry_out(work: Work) -> Ending:
    """Ask the scouts; where they agree the first one's response is the answer, else all goes on as in `fusion`."""
    scouts, settings = scouts_of(work.plan), work.plan.settings
    responses = await work.panel(seats=scouts)
    agreed = _agreement(work, responses)
    enough = agreed is not None and agreed >= settings.threshold
    reason = _reason(responses, agreed, settings.threshold)
    work.run.emit(Told(Decision(asked=not enough, reason=reason, agreement=agreed, threshold=settings.threshold)))
    if enough:
        work.run.emit(AnswerReady(responses[0].content))
        return work.ended()
    lost = {chair.seat.label for chair in scouts} - {response.label for response in responses}
    left = tuple(chair for chair in work.plan.seats if chair.seat.label not in lost)
    kept = Given(responses=responses, rulings=work.request.given.rulings)
    everyone = await work.panel(replace(work.briefing, given=kept, task=None), left)
    if not everyone:
        return work.nobody()
    return await work.fused(everyone)


def _agreement(work: Work, responses: tuple[Response, ...]) -> float | None:
    """How far the two agree, and their conclusions as votes; None if one of them gave none."""
    said = {response.label: conclusion_in(response.content) for response in responses}
    for label, conclusion in said.items():
        work.run.emit(Told(Vote(label=label, choice=conclusion, weight=1.0 if conclusion else 0.0)))
    texts = [text for text in said.values() if text]
    return agreement(*texts) if len(texts) == SCOUTS else None


def conclusion_in(response: str) -> str | None:
    """The last line that begins with "In short:", without these words; a response of one line is its own conclusion."""
    found = _CONCLUSION.findall(response)
    lines = response.strip().splitlines()
    return found[-1].strip(" *_") if found else lines[0] if len(lines) == 1 else None


def agreement(one: str, other: str) -> float:
    """How far two conclusions say the same, from 0 to 1: the share of words in common (Dice's coefficient, 1945).

    It is 0 if their numbers differ or only one of them negates, as few words can turn a sentence round. It does not
    know paraphrases, so it errs towards disagreement, which costs money and no quality.
    """
    if set(_numbers(one)) != set(_numbers(other)) or _negates(one) != _negates(other):
        return 0.0
    first, second = _words(one), _words(other)
    return 2 * len(first & second) / (len(first) + len(second)) if first or second else 0.0


def _numbers(text: str) -> list[str]:
    return _NUMBER.findall(_plain(text))


def _negates(text: str) -> bool:
    words = re.findall(r"[\w']+", text.casefold().replace("’", "'"))
    return sum(word in _NOT or word.endswith("n't") for word in words) % 2 == 1


def _words(text: str) -> set[str]:
    return set(_WORD.findall(_plain(text).casefold())) - _FILLING


def _plain(text: str) -> str:
    """1,000 as 1000."""
    return re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)


def _reason(responses: tuple[Response, ...], agreed: float | None, threshold: float) -> str:
    names = " and ".join(response.label for response in responses)
    if len(responses) < SCOUTS:
        return "The panel was asked: a scout did not answer."
    if agreed is None:
        return f"The panel was asked: {names} gave no conclusions that could be compared."
    if agreed < threshold:
        return f"The panel was asked: {names} disagree (agreement {agreed:.2f}, below {threshold:g})."
    return f"Nobody else was asked: {names} agree (agreement {agreed:.2f}, threshold {threshold:g})."


SCOUT = Strategy(
    name="scout",
    does="The two cheapest seats are asked; where their conclusions agree (--threshold, 0.6) the first one's response "
    "is the answer, else the rest is asked, and judge and synthesizer.",
    cost="2 cheap calls, or N + 2",
    evidence=(
        Evidence(
            "for",
            "On easy prompts with an answer that can be checked a whole fusion costs four times as much for nothing.",
            "chongjiazhen in freellmapi issue 326",
        ),
        Evidence(
            "against",
            "Two models can be wrong together: scores of DRACO's models correlate by .47 to .71. No published "
            "measurement of this form is known to us.",
            "github.com/Lore-Hex/TrustedRouter-Fusion-Draco, docs/FINDINGS.md",
        ),
    ),
    places=places,
    carry_out=carry_out,
    takes_schema=False,
    task=Task(IN_SHORT, SCOUT_VERSION),
    options=("threshold", "one_pass"),
    least=3,
)
