"""`auto`: the synthesizer's model is asked alone, and may call the panel through a tool before it answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

from ...errors import CallError, RequestRefused
from ...events import AnswerReady, Told, Warned
from ...prompts import panel_messages, version_of
from ...prompts_strategies import (
    ASK_IN_WORDS,
    AUTO_VERSION,
    FIRST,
    TINY_CHOICE,
    TINY_CHOICE_GRAMMAR,
    TOOL,
    TOOL_SPEC,
    USE_IT,
    WHERE_IT_HELPS,
)
from ...votes import Decision
from ..calls import ask, ask_or_fallback, is_remembered
from ..places import Place, judging, seated, writing
from ..plan import Chair, Plan
from ..question import Outcome, Question
from ..stages import Ending, Work
from ..tool_loop import refuses_tools
from .strategy import Evidence, Strategy

# DeepSeek: "Thinking mode does not support this tool_choice"; Qwen's: "… does not support being set to required …".
# github.com/deepseek-ai/DeepSeek-V3 issue 1376, github.com/cloudwego/eino issue 994
_ABOUT_CHOICE = re.compile(r"tool.?choice|thinking mode", re.IGNORECASE)
_IN_WORDS = re.compile(r"^\W*ask the panel\W*:[ \t]*(.*)$", re.IGNORECASE | re.MULTILINE)
BY_TOOL, IN_WORDS = "by its tool", "in words"
_REFUSED = (400, 404, 422, 501)


@dataclass(frozen=True, slots=True)
class First:
    """What the outer model did: it asked the panel a question, or wrote an answer."""

    question: str | None
    text: str
    way: str  # how it was asked, for the sentence about its decision


@dataclass(frozen=True, slots=True)
class Way:
    """A way of asking the outer model, in words for its decision, and what the reader is told where it is taken."""

    question: Question
    words: str
    warning: str = ""


def places(plan: Plan) -> Iterator[Place]:
    """The outer model; then, perhaps, seats, judge and the outer model again."""
    yield from writing(plan)
    yield from seated(plan.seats, maybe=True)
    yield from judging(plan, maybe=True)
    yield from writing(plan, 2, maybe=True)


async def carry_out(work: Work) -> Ending:
    """Let the outer model decide; if it calls the panel, judge and outer model follow as in `fusion`."""
    try:
        first = await ask_or_fallback(work.run, "synthesis", work.plan.synthesizer, lambda chair: _first(work, chair))
    except CallError as exc:
        return work.unanswered(exc)
    model = work.plan.synthesizer.model
    asked = first.question is not None
    called = f"{model} asked the panel ({first.way})." if asked else f"{model} answered alone ({first.way})."
    work.run.emit(Told(Decision(asked=asked, reason=called)))
    if not asked:
        if work.plan.settings.must_ask:
            work.run.emit(Warned(f"{model} did not ask the panel, although it was to."))
        work.run.emit(AnswerReady(first.text.strip()))
        return work.ended()
    work.run.memory.settle()
    question = first.question or work.request.prompt
    responses = await work.panel(replace(work.briefing, prompt=question))
    if not responses:
        return work.nobody()
    analysis = await work.analysis(responses, work.matter()._replace(question=question))
    return await work.answer(responses, analysis)


async def _first(work: Work, chair: Chair) -> First:
    """Ask with the tool, forced if wanted; in words where the model takes no tools or can't be forced."""
    if chair.is_tiny:
        return await _tiny(work, chair)
    ways = _ways(work, chair)
    at = await _beginning(work, chair, ways)
    while True:
        way = ways[at]
        if way.warning:
            work.run.emit(Warned(way.warning))
        try:
            outcome = await ask(work.run, chair, way.question)
        except RequestRefused as exc:
            at = _next(ways, at, exc)
            if at is None:
                raise
            if ways[at].words == IN_WORDS:
                work.run.providers.without_tools.add(_place(chair))
            continue
        return _said(outcome) if way.words == IN_WORDS else _called(outcome, way.words)


def _ways(work: Work, chair: Chair) -> list[Way]:
    """The ways of asking, the strongest first."""
    forced = work.plan.settings.must_ask
    ways = [Way(_question(work, chair, forced=forced), BY_TOOL)]
    if forced:
        told = f"{chair.model} refuses to be forced to use a tool; it was asked in words to use it."
        ways.append(Way(_question(work, chair, told=USE_IT), f"{BY_TOOL}, asked in words", told))
    in_words = ASK_IN_WORDS.format(when=FIRST if forced else WHERE_IT_HELPS)
    told = f"{chair.model} takes no tools; it was asked in words whether the panel should be."
    return [*ways, Way(_question(work, chair, told=in_words, tools=False), IN_WORDS, told)]


async def _beginning(work: Work, chair: Chair, ways: list[Way]) -> int:
    """The way that an earlier run was answered in, as refusals are not remembered; else the strongest."""
    without = chair.takes_tools is False or _place(chair) in work.run.providers.without_tools
    first = len(ways) - 1 if without else 0
    for at in range(first, len(ways)):
        if await is_remembered(work.run, chair, ways[at].question):
            return at
    return first


def _next(ways: list[Way], at: int, exc: RequestRefused) -> int | None:
    """The way to go on with after a refusal; None if the refusal is about something else."""
    if ways[at].question.tool_choice and exc.status_code in _REFUSED and _ABOUT_CHOICE.search(str(exc)):
        return at + 1
    return len(ways) - 1 if ways[at].question.tools and refuses_tools(exc) else None


def _said(outcome: Outcome) -> First:
    found = _IN_WORDS.search(outcome.text)
    return First(found[1].strip() if found else None, outcome.text, IN_WORDS)


async def _tiny(work: Work, chair: Chair) -> First:
    """The embedded model only says yes or no; after a no it would have nothing to show, so seats answer in any case."""
    question = Question(
        "synthesis",
        [{"role": "user", "content": f"{work.request.prompt}\n\n{TINY_CHOICE}"}],
        AUTO_VERSION,
        temperature=0.0,
        max_tokens=4,
        extra={"grammar": TINY_CHOICE_GRAMMAR},
    )
    text = (await ask(work.run, chair, question)).text
    if text.strip().lower() != "yes":
        work.run.emit(Warned("The embedded model would not have asked the panel; it was asked all the same."))
    return First("", text, IN_WORDS)


def _called(outcome: Outcome, way: str) -> First:
    """The question of the first call of the tool; one without a question asks the prompt."""
    for call in outcome.tool_calls:
        if call.name == TOOL:
            return First(_asked(call.arguments), outcome.text, way)
    return First(None, outcome.text, way)


def _asked(arguments: str) -> str:
    try:
        given: object = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return ""
    question = cast("dict[str, Any]", given).get("question") if isinstance(given, dict) else None
    return question.strip() if isinstance(question, str) else ""


def _question(work: Work, chair: Chair, *, forced: bool = False, told: str = "", tools: bool = True) -> Question:
    briefing, settings = work.briefing, work.plan.settings
    system = (chair.seat.system, settings.system, told)
    return Question(
        "synthesis",
        panel_messages(briefing.content(chair), *system, turns=briefing.turns),
        version_of(AUTO_VERSION, briefing.turns),
        temperature=chair.seat.temperature,
        tools=(TOOL_SPEC,) if tools else (),
        tool_choice="required" if forced else None,
    )


def _place(chair: Chair) -> tuple[str, str]:
    return chair.endpoint.base_url, chair.slug


AUTO = Strategy(
    name="auto",
    does="The synthesizer's model gets the prompt and a tool named fusion; it answers alone, or asks the panel first "
    "(--must-ask wants that). Where tools can't be used or forced it is asked in words, and the output says so.",
    cost="1 call, or N + 3",
    evidence=(
        Evidence(
            "for",
            "On easy prompts with an answer that can be checked a whole fusion costs four times as much for nothing.",
            "chongjiazhen in freellmapi issue 326",
        ),
        Evidence(
            "against",
            "Who decides may decide badly: OpenRouter's own alias was seen to answer plainly at random unless forced.",
            "github.com/rbb-dev/Open-WebUI-OpenRouter-pipe",
        ),
    ),
    places=places,
    carry_out=carry_out,
    takes_schema=False,
    options=("must_ask",),
)
