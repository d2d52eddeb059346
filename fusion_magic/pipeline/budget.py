"""A run's limit in US dollars: checked before the first call, and kept while the calls are under way."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from ..errors import OverBudget, SettingsError
from ..events import CallEnded, Event, SeatAnswered, SeatFailed
from ..prices import Price, cost_of
from ..results import Call, Stage, Usage, dollars
from ..settings import Panel, Settings
from .tokens import text_tokens

if TYPE_CHECKING:
    from .estimate import CallEstimate, RunEstimate

# Of the expected output tokens; an estimate is no more exact than that.
ENOUGH = 0.9
Place = tuple[Stage, str]
JUDGE: Place = ("judge", "")
WRITER: Place = ("synthesis", "")


class Limit(NamedTuple):
    """US dollars that a run may cost, and what says so: "the limit max_usd"."""

    dollars: float
    words: str

    def __str__(self) -> str:
        return f"{dollars(self.dollars)}, {self.words}"


def limit_of(settings: Settings, panel: Panel, *, today: float = 0.0, notebook: float = 0.0) -> Limit | None:
    """The smallest limit in force, or None.

    Args:
        settings, panel: where limits are set.
        today: US dollars spent today, all notebooks together.
        notebook: US dollars that this notebook has ever spent.
    """
    day, ever = settings.max_usd_day, settings.max_usd_notebook
    known = [
        (settings.max_usd, "the limit max_usd"),
        (panel.max_usd, "the panel's own limit max_usd"),
        (day and max(0.0, day - today), f"what is left of {dollars(day or 0)} for today (max_usd_day)"),
        (
            ever and max(0.0, ever - notebook),
            f"what is left of {dollars(ever or 0)} for this notebook (max_usd_notebook)",
        ),
    ]
    limits = [Limit(amount, words) for amount, words in known if amount is not None]
    return min(limits, key=lambda limit: limit.dollars, default=None)


class _Held(NamedTuple):
    """The most that an attempt may cost, and what it may cost others to read its answer, in US dollars."""

    cost: float
    reading: float


class Budget:
    """What a run may still spend; lives in the run's event loop, and is fed with `admit` and the run's events.

    What is not spent is divided so that the run ends with an answer: what judge and synthesizer are expected to cost is
    kept back, with the price of reading each response as long as it may become; unfinished seats share the rest in
    proportion to what they are expected to cost; a call under way is held at the most that it can cost. A call whose
    server runs tools itself has no such bound, so it is held at its seat's whole share. Models without a price are
    neither limited nor counted.

    Args:
        limit: None lets everything pass.
        estimate: of this run.

    Attributes:
        spent: US dollars of the calls that have ended.
        is_limited: whether a call was not sent, or its answer was cut short, because of the limit.
    """

    def __init__(self, limit: Limit | None, estimate: RunEstimate) -> None:
        self.limit = limit
        self.spent = 0.0
        self.is_limited = False
        self._estimate = estimate
        self._rows = {(row.stage, row.label): row for row in estimate.planned}
        self._shortened: set[Place] = set()
        self._held: dict[Place, list[_Held]] = {}
        self._asking = {row.label for row in estimate.planned if row.stage == "panel" and not row.reused}
        self._read = 0.0  # tokens of the responses so far

    def check_start(self, *, allow_unpriced: bool = False) -> None:
        """Refuse a run that is expected to cost more than the limit.

        Raises:
            SettingsError: it is, or a model has no known price and that is not allowed.
        """
        if self.limit is None:
            return
        unpriced = dict.fromkeys(row.model for row in self._estimate.rows if row.cost is None)
        if unpriced and not allow_unpriced:
            raise SettingsError(
                f"Not priced: {', '.join(unpriced)}; so {self.limit}, can't be kept. "
                "Write the price into [prices] of fusion.toml, or run with --allow-unpriced."
            )
        expected = self._estimate.cost.expected
        if expected > self.limit.dollars:
            raise SettingsError(
                f"The run is expected to cost {dollars(expected)}, more than {self.limit}; "
                "raise it, or choose cheaper models (--dry-run shows what each costs)."
            )

    def admit(
        self,
        stage: Stage,
        label: str,
        price: Price,
        input_tokens: int,
        max_tokens: int,
        *,
        has_server_tools: bool = False,
    ) -> int:
        """Let an attempt of a call be sent, and hold what it may cost until its CallEnded.

        Args:
            stage, label: the call's place.
            price: of the model that is asked.
            input_tokens: of the request.
            max_tokens: output tokens that it would ask for.
            has_server_tools: whether the server may run tools before it answers.

        Returns:
            Output tokens to ask for: `max_tokens`, or fewer.

        Raises:
            OverBudget: it would be less than the call is expected to write; nothing is held.
        """
        place = (stage, label)
        now = price.at(input_tokens)
        if self.limit is None or now.prompt is None or now.completion is None or now.request is None:
            return max_tokens
        share, row = self._share(place), self._rows.get(place)
        written = input_tokens if (now.input_cache_write or 0.0) > now.prompt else 0  # a cache is written all, or not
        fixed = cost_of(Usage(prompt_tokens=input_tokens, cache_write_tokens=written), now) or 0.0
        if has_server_tools and row and row.cost:  # what the tools are expected to bring, and their fees
            fixed = max(fixed, row.cost.expected - row.output_tokens.expected * now.completion)
        own, reading = max(now.completion, now.internal_reasoning or 0.0), self._reading(stage)
        each = own + reading
        needed = min(max_tokens, row.output_tokens.expected / row.calls.expected) if row else max_tokens
        tokens = max_tokens if not each else min(max_tokens, math.floor((share - fixed) / each + 1e-6))
        if (fixed and fixed > share) or tokens < ENOUGH * needed:
            self.is_limited = True
            raise OverBudget(
                f"Of {self.limit}, {dollars(max(0.0, share))} is left for this call, "
                f"which needs {dollars(fixed + needed * each)}; it was not sent."
            )
        held = _Held(fixed + tokens * own, tokens * reading)
        if has_server_tools and held.cost:
            held = held._replace(cost=max(held.cost, share - held.reading))
        self._held.setdefault(place, []).append(held)
        if tokens < max_tokens:
            self._shortened.add(place)
        return tokens

    def release(self, stage: Stage, label: str) -> None:
        """Let go of the last attempt of a call: it was turned away before it began, which nobody bills."""
        if held := self._held.get((stage, label)):
            held.pop()

    def take(self, event: Event) -> None:
        """Book what the event says: calls at their true cost, responses at their true length."""
        match event:
            case CallEnded(call):
                self._book(call)
            case SeatAnswered(response):
                self._asking.discard(response.label)
                self._read += text_tokens(response.content)
            case SeatFailed(failed):
                self._asking.discard(failed.label)
            case _:
                pass

    def _book(self, call: Call) -> None:
        held = self._held.pop((call.stage, call.label), [])
        if call.reused:
            return
        if (call.stage, call.label) in self._shortened and call.finish_reason == "length":
            self.is_limited = True
        self._shortened.discard((call.stage, call.label))
        self.spent += call.cost or 0.0
        if call.cost is None or call.unreported:
            # Of an attempt that reported nothing the most must be taken; the last one is known if it ended well.
            known = call.cost is not None and call.error is None
            self.spent += sum(attempt.cost for attempt in (held[:-1] if known else held))

    def _share(self, place: Place) -> float:
        """US dollars that a call at this place may cost, what it costs others to read it included."""
        assert self.limit is not None
        held = sum(sum(attempt) for attempts in self._held.values() for attempt in attempts)
        left = self.limit.dollars - self.spent - held - self._kept_back(place[0])
        if place[0] != "panel" or place[1] not in self._asking:
            return left
        idle = [label for label in self._asking if label == place[1] or not self._held.get(("panel", label))]
        weights = {label: self._weight(self._rows["panel", label]) for label in idle}
        return left * weights[place[1]] / sum(weights.values()) if any(weights.values()) else left

    def _weight(self, row: CallEstimate) -> float:
        """What a seat is expected to cost, with the reading of its answer."""
        return (row.cost.expected if row.cost else 0.0) + row.output_tokens.expected * self._reading("panel")

    def _kept_back(self, stage: Stage) -> float:
        """US dollars for judge and synthesizer as far as they come after this stage, with what there is to read."""
        return sum(self._unread(place, stage) + self._read * self._prompt_price(place) for place in _after(stage))

    def _unread(self, place: Place, stage: Stage) -> float:
        """What judge or synthesizer is expected to cost, without reading responses and what this stage writes."""
        row = self._rows.get(place)
        if row is None or row.cost is None:
            return 0.0
        read = sum(other.output_tokens.expected for other in self._estimate.planned if other.stage in ("panel", stage))
        return max(0.0, row.cost.expected - read * self._prompt_price(place))

    def _reading(self, stage: Stage) -> float:
        """US dollars that each token written in this stage costs those who read it."""
        return sum(map(self._prompt_price, _after(stage)))

    def _prompt_price(self, place: Place) -> float:
        row = self._rows.get(place)
        return 0.0 if row is None or row.reused else row.price.at(row.input_tokens.expected).prompt or 0.0


def _after(stage: Stage) -> tuple[Place, ...]:
    return {"panel": (JUDGE, WRITER), "judge": (WRITER,), "synthesis": (), "hosted": ()}[stage]
