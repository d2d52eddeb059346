"""What a run would cost and how long it would take, call by call, before anything is asked."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from .. import prompts_small
from ..prices import ANALYSIS_TOKENS, FETCH_FEE, RESPONSE_TOKENS, SEARCH_FEE, Price, cost_of
from ..prompts import (
    USE_TOOLS,
    compact,
    judge_messages,
    judge_schema,
    one_pass_messages,
    panel_messages,
    response_format,
    synthesis_messages,
)
from ..results import Analysis, Stage, Usage
from .estimate_text import table
from .given import Given
from .panel import Briefing
from .places import Count, Place
from .plan import Chair, Plan
from .spans import NONE, Span, exactly
from .tokens import text_tokens, tokens_of
from .tool_loop import Bag

if TYPE_CHECKING:
    from ..store import Experience

    History = Callable[[Stage, str], Experience | None]


NO_BAG = Bag()
# Output tokens, reasoning included, where there is no history. With web tools: the answers of five models to 20 DRACO
# questions, and the syntheses of these (OpenRouter's recordings of June 2026). Without: an answer of two pages, as the
# picker takes it; effort can make it several times as much. The judge's: five fields of some sentences each.
ANSWER = Span(RESPONSE_TOKENS / 3, RESPONSE_TOKENS, 4 * RESPONSE_TOKENS)
RESEARCH, RESEARCHED = Span(1_300, 3_200, 8_000), Span(2_900, 4_600, 7_800)
ANALYSIS = Span(0.4 * ANALYSIS_TOKENS, ANALYSIS_TOKENS, 4 * ANALYSIS_TOKENS)
# Input tokens that a step with tools brings: five results of a search are 2,500 to 5,000, a long page 10,000.
BROUGHT = Span(1_000, 4_000, 10_000)
# Calls of a chair: without tools, of a judge that may have to repair its JSON, and with tools, where there are never
# more than `max_tool_calls` and one for the answer.
ONCE, REPAIRED, STEPS = Span(1, 1, 1), Span(1, 1, 2), Span(1, 3, 17)
BALLOT = Span(60, 300, 1_500)  # some sentences of reasons and a line of letters
# Seconds to the first token of each call, and output tokens per second, as hosted models have them.
WAIT, SPEED = Span(1, 3, 10), Span(100, 50, 25)


@dataclass(frozen=True, slots=True)
class CallEstimate:
    """A seat, the judge or the synthesizer, with all the calls it would take.

    Attributes:
        calls: how many calls it would be.
        input_tokens, output_tokens: of all of them.
        cost: US dollars, fees of OpenRouter's web tools included; None if the price is not known.
        reused: it is answered from the store or an earlier result, and free.
        fallback: it is asked only if the one before it fails; totals are without it.
        round: which of the chair's rounds it is.
        maybe: it is asked only if others answer so; the low totals are without it.
        learned: of how many earlier calls of the user the figures are; 0 for general ones.
    """

    stage: Stage
    label: str
    model: str
    price: Price
    calls: Span
    input_tokens: Span
    output_tokens: Span
    cost: Span | None
    seconds: Span
    reused: bool = False
    fallback: bool = False
    learned: int = 0
    round: int = 1
    maybe: bool = False


@dataclass(frozen=True, slots=True)
class Alone:
    """What the dearest model of a plan would cost if it alone were asked, in US dollars."""

    model: str
    cost: float


@dataclass(frozen=True, slots=True)
class Saved:
    """What one pass is expected to save beside a judge and a synthesizer: input tokens, and US dollars if known."""

    tokens: float
    cost: float | None


@dataclass(frozen=True, slots=True)
class RunEstimate:
    """Every call of a plan with what it would cost; `str` draws it as a table."""

    rows: tuple[CallEstimate, ...]
    dearest_alone: Alone | None = None
    count: Count | None = None
    saved: Saved | None = None

    @property
    def planned(self) -> tuple[CallEstimate, ...]:
        """The rows without fallbacks."""
        return tuple(row for row in self.rows if not row.fallback)

    @property
    def cost(self) -> Span:
        """US dollars in all; a lower bound if a model is `unpriced`."""
        return sum((_perhaps(row, row.cost) for row in self.planned if row.cost), NONE)

    @property
    def unpriced(self) -> tuple[str, ...]:
        """The models without a known price."""
        return tuple(dict.fromkeys(row.model for row in self.planned if row.cost is None))

    @property
    def seconds(self) -> Span:
        """Seconds from the prompt to the answer: the slowest of those that are asked at one time, then the next."""
        steps = groupby(self.planned, key=step_of)
        return sum((_slowest(list(rows)) for _, rows in steps), NONE)

    def __str__(self) -> str:
        return table(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        from ..jupyter.static.estimates import estimate_bundle

        return estimate_bundle(self)


def step_of(row: CallEstimate) -> tuple[Stage, bool, int, bool]:
    """What the calls that are asked at one time have in common."""
    return row.stage, bool(row.label), row.round, row.maybe


def _perhaps(row: CallEstimate, figures: Span) -> Span:
    return Span(0, figures.expected, figures.high) if row.maybe else figures


def _slowest(rows: list[CallEstimate]) -> Span:
    return Span(*(max(figures) for figures in zip(*(_perhaps(row, row.seconds) for row in rows), strict=True)))


def estimate_run(
    plan: Plan,
    briefing: Briefing,
    *,
    history: History = lambda stage, model: None,
    reused: Iterable[tuple[Stage, str]] = (),
) -> RunEstimate:
    """What a run of the plan would cost, from its prices, its own messages and the user's earlier calls.

    Input tokens are counted from what would be sent (see `tokens.text_tokens`); output tokens, steps and seconds are
    those of earlier calls, or the general figures at the top of this module. Retries are not in it, nor discounts for
    cached prompts, nor what search engines of one's own charge.

    Args:
        plan: who would be asked.
        briefing: the prompt and what goes along with it.
        history: the user's own figures for a stage and a model; `Store.experience`, which reads a file.
        reused: (stage, label) of what the store would answer, once for each round; what `briefing.given` holds is
            known besides.
    """
    asking, given = _Asking(plan, briefing, functools.cache(history)), briefing.given
    written = _written(given)
    free = Counter({*written}) + Counter(reused)
    rows: list[CallEstimate] = []
    for at in plan.places():
        place = (at.stage, at.label)
        row = asking.row(at, rows)
        row = replace(row, label=at.label, fallback=at.fallback, round=at.round, maybe=at.maybe)
        row = replace(row, output_tokens=written.get(place, row.output_tokens))
        is_free = rows[-1].reused if at.fallback else free[place] > 0
        rows.append(_for_nothing(row) if is_free else row)
        free[place] -= not at.fallback
    shown = tuple(row for at, row in zip(plan.places(), rows, strict=True) if not at.inner)
    estimate = RunEstimate(shown, asking.dearest(), plan.count())
    if not plan.one_pass or estimate.rows[-1].reused:
        return estimate
    apart = replace(plan, settings=plan.settings.model_copy(update={"one_pass": False}))
    return replace(estimate, saved=_saved(estimate, estimate_run(apart, briefing, history=history, reused=reused)))


def _saved(one: RunEstimate, two: RunEstimate) -> Saved:
    tokens = [sum(row.input_tokens.expected for row in each.planned) for each in (one, two)]
    cost = None if two.unpriced else two.cost.expected - one.cost.expected
    return Saved(tokens[1] - tokens[0], cost)


def _written(given: Given) -> dict[tuple[Stage, str], Span]:
    """Tokens of what is at hand already."""
    found: dict[tuple[Stage, str], Span] = {("panel", failed.label): NONE for failed in given.failed}
    found |= {("panel", response.label): exactly(text_tokens(response.content)) for response in given.responses}
    if given.analysis:
        found["judge", ""] = exactly(text_tokens(compact(given.analysis)))
    return found


def _for_nothing(row: CallEstimate) -> CallEstimate:
    return replace(row, reused=True, cost=NONE, seconds=NONE)


@dataclass(frozen=True, slots=True)
class _Asking:
    """The plan's calls, one row at a time."""

    plan: Plan
    briefing: Briefing
    history: History

    def row(self, at: Place, before: list[CallEstimate]) -> CallEstimate:
        """A row; later rounds, the judge and the synthesizer read what the rows `before` write."""
        read, chair = self._answers(before), at.chair
        match at.stage:
            case "panel" if at.round == 1:
                return self._seat(chair)
            case "panel":
                return self._row("panel", chair, self._first_of_writer(chair), ANSWER, ONCE, read=read)
            case "judge" if at.label:
                return self._row("judge", chair, self._first_of_writer(chair), BALLOT, ONCE, read=read)
            case "judge":
                return self._judge(chair, read)
            case "hosted":
                from .hosted.estimate import together

                return together(chair, before)
            case "synthesis":
                judged = (row.output_tokens for row in before if (row.stage, row.label) == ("judge", ""))
                return self._writer(chair, read + next(judged, NONE))

    def dearest(self) -> Alone | None:
        """The dearest of the plan's models, each asked alone as a seat would be."""
        chairs = {row[2].model: row[2] for row in self.plan.places() if not row[3]}
        costs = {model: self._seat(chair).cost for model, chair in chairs.items()}
        known = [Alone(model, cost.expected) for model, cost in costs.items() if cost]
        return max(known, key=lambda alone: alone.cost, default=None)

    def _seat(self, chair: Chair) -> CallEstimate:
        bag, briefing = self.briefing.bag(chair), self.briefing
        system = (chair.seat.system, self.plan.settings.system, USE_TOOLS if bag else None)
        messages = panel_messages(briefing.content(chair), *system, turns=briefing.turns)
        first, output = tokens_of(messages, bag.specs()), RESEARCH if bag else ANSWER
        return self._row("panel", chair, first, output, STEPS if bag else ONCE, bag=bag)

    def _judge(self, chair: Chair, answers: Span) -> CallEstimate:
        settings, briefing = self.plan.settings, self.briefing
        texts = dict.fromkeys(self._labels(), "")
        if chair.is_tiny:
            fields, told = prompts_small.FIELDS, prompts_small.FIELDS[0].messages(briefing.prompt, texts)
            calls, output = exactly(len(fields)), exactly(len(fields) * prompts_small.FIELD_TOKENS)
            return self._row("judge", chair, tokens_of(told), output, calls, read=answers)
        asked = judge_messages(briefing.prompt, texts, rubric=settings.rubric, turns=briefing.turns)
        first = tokens_of(asked, (), response_format("analysis", judge_schema(list(texts))))
        bag = briefing.kit.bag(chair, "judge", briefing.prompt) if settings.judge_tools else Bag()
        return self._row("judge", chair, first, ANALYSIS, STEPS if bag else REPAIRED, read=answers, bag=bag)

    def _writer(self, chair: Chair, read: Span) -> CallEstimate:
        output = RESEARCHED if any(self.briefing.bag(seat) for seat in self.plan.seats) else ANSWER
        output = output + ANALYSIS if self.plan.one_pass else output
        if chair.is_tiny:
            output = output.at_most(prompts_small.SYNTHESIS_TOKENS)
        return self._row("synthesis", chair, self._first_of_writer(chair), output, ONCE, read=read)

    def _first_of_writer(self, chair: Chair) -> int:
        """Tokens of what a writer is asked, without the responses."""
        briefing, system = self.briefing, (chair.seat.system, self.plan.settings.system)
        prompt, texts = briefing.prompt, dict.fromkeys(self._labels(), "")
        told, rulings = "\n\n".join(text for text in system if text), briefing.given.rulings
        if self.plan.one_pass:
            rubric = self.plan.settings.rubric
            asked = one_pass_messages(prompt, texts, rubric=rubric, system=told, turns=briefing.turns, rulings=rulings)
        else:
            asked = synthesis_messages(prompt, texts, Analysis(), system=told, turns=briefing.turns, rulings=rulings)
        return tokens_of(asked)

    def _labels(self) -> list[str]:
        return [chair.seat.label for chair in self.plan.seats]

    def _answers(self, before: list[CallEstimate]) -> Span:
        """Tokens of the last round's responses."""
        seats = [row for row in before if row.stage == "panel" and not row.fallback]
        last = max((row.round for row in seats), default=1)
        return sum((row.output_tokens for row in seats if row.round == last), NONE)

    def _row(
        self, stage: Stage, chair: Chair, first: int, output: Span, steps: Span, *, read: Span = NONE, bag: Bag = NO_BAG
    ) -> CallEstimate:
        """A chair's calls: each reads `first` and `read`, and with tools all that the calls before it brought."""
        known, settings = self.history(stage, chair.model), self.plan.settings
        if bag:
            steps = Span(*known.steps) if known and bag.own else steps
            steps = steps.at_most(settings.max_tool_calls + 1)
        calls = steps if bag.own or not bag else ONCE  # the steps of a server's tools are one call to us
        if known and known.tokens:
            output = Span(*known.tokens) * calls
        limit = chair.seat.max_tokens or settings.max_tokens
        output = Span(*(min(out, limit * count) for out, count in zip(output, calls, strict=True)))
        cases = [
            _requests(round(count), first + answers, out, brought if bag else 0)
            for count, out, brought, answers in zip(steps, output, BROUGHT, read, strict=True)
        ]
        costs = [_cost(chair.price, requests, _fee(bag, chair.price)) for requests in cases]
        waits = [count * wait + out / speed for count, out, wait, speed in zip(steps, output, WAIT, SPEED, strict=True)]
        return CallEstimate(
            stage=stage,
            label="",
            model=chair.model,
            price=chair.price,
            calls=calls,
            input_tokens=Span(*(sum(request.prompt_tokens for request in requests) for requests in cases)),
            output_tokens=output,
            cost=None if None in costs else Span(*(cost or 0.0 for cost in costs)),
            seconds=Span(*known.seconds) * calls if known and known.seconds else Span(*waits),
            learned=known.n if known else 0,
        )


def _requests(count: int, first: float, output: float, brought: float) -> list[Usage]:
    """What each request of a chair would use."""
    out = output / count
    return [
        Usage(prompt_tokens=round(first + number * (brought + out if brought else 0)), completion_tokens=round(out))
        for number in range(count)
    ]


def _fee(bag: Bag, price: Price) -> float:
    """US dollars of one step with tools that OpenRouter runs; the tools that run here cost nothing there."""
    kinds = {str(tool.get("type")) for tool in bag.server}
    if "openrouter:web_search" in kinds:
        return SEARCH_FEE if price.web_search is None else price.web_search
    return FETCH_FEE if kinds else 0.0


def _cost(price: Price, requests: list[Usage], fee: float) -> float | None:
    """US dollars of requests, each at the price of its own length, and of the steps between them."""
    costs = [cost_of(usage, price) for usage in requests]
    return None if None in costs else sum(cost or 0.0 for cost in costs) + fee * (len(requests) - 1)
