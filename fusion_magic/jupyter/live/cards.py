"""A run as the cards of its live view: a fold of events, of which either the news or the whole can be asked for.

What leaves here is plain text, or HTML that `to_html` has sanitized.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, assert_never

from ...characters import escape, plain
from ...events import (
    AnalysisReady,
    AnswerReady,
    CallEnded,
    CallRetried,
    CallStarted,
    Delta,
    Event,
    Notice,
    PlannedCall,
    RunEnded,
    RunStarted,
    SeatAnswered,
    SeatFailed,
    Told,
    ToolEnded,
    ToolStarted,
    Warned,
)
from ...prices import Price
from ...results import Analysis, Call, FailedModel, Stage, Usage, dollars
from ..markup import to_html
from ..static.words import Row, findings
from .card import NAME_AT_MOST, Card, short

NAMES = {"judge": "Judge", "synthesis": "Answer", "hosted": "OpenRouter"}
WARNINGS_AT_MOST = 20
FIGURES_EVERY = 1.0  # seconds between two estimates; faster ones can't be read


@dataclass(slots=True)
class Board:
    """The cards of a run and its header."""

    started: RunStarted | None = None
    ended: RunEnded | None = None
    cards: dict[str, Card] = field(default_factory=dict[str, Card])
    notice: str = "Getting ready …"
    warnings: list[str] = field(default_factory=list[str])
    calls: list[Call] = field(default_factory=list[Call])
    told: dict[str, Any] = field(default_factory=dict[str, Any])
    _begun: float = field(default_factory=time.monotonic)
    _figures_at: float = 0.0

    def apply(self, event: Event) -> None:
        """Take one event in."""
        match event:
            case RunStarted():
                self.started, self.notice, self._begun = event, "", time.monotonic()
                self._deal(event.plan)
            case Notice():
                self.notice = event.text
            case Warned():
                self.warnings += [] if event.text in self.warnings else [event.text]
            case CallStarted():
                self._give_up_judge(event.stage)
                new = Card(_name(event.stage, event.label), event.stage, event.model, "")  # that OpenRouter added
                self.cards.setdefault(_key(event.stage, event.label), new).start(event.model)
            case Delta():
                self._card(event.stage, event.label).write(event.text, event.reasoning)
            case CallRetried():
                card = self._card(event.stage, event.label)
                card.state, card.note = "waiting", f"Again in {event.wait:.1f} s: {event.error}"
            case CallEnded():
                self._end_call(event.call)
            case ToolStarted():
                self._card(event.stage, event.label).use_tool(event)
            case ToolEnded():
                self._card(event.use.stage, event.use.label).end_tool(event.use)
            case SeatAnswered():
                self._card("panel", event.response.label).settle("done")
            case SeatFailed():
                self._lose(event.failed)
            case AnalysisReady():
                self._end_judge(event.analysis)
            case AnswerReady():
                self._end_writer()
            case Told():
                pass
            case RunEnded():
                self._end(event)
            case _:
                assert_never(event)

    def _deal(self, plan: tuple[PlannedCall, ...]) -> None:
        for call in plan:
            key, price = _key(call.stage, call.label), str(Price(call.prompt_price, call.completion_price))
            spare = f", or {call.model} ({price})"
            if not call.fallback:  # a later round has the card of the first
                self.cards.setdefault(key, Card(_name(call.stage, call.label), call.stage, call.model, price))
            elif not self.cards[key].price.endswith(spare):
                self.cards[key].price += spare

    def _card(self, stage: Stage, label: str) -> Card:
        return self.cards[_key(stage, label)]

    def _end_call(self, call: Call) -> None:
        self.calls.append(call)
        card = self.cards.get(_key(call.stage, call.label))
        if card is None:  # OpenRouter's call that this run's responses come from
            return
        card.end_call(call)
        if call.stage == "hosted" and not call.error:
            card.settle("done")

    def _lose(self, lost: FailedModel) -> None:
        self._card("panel", lost.label).lose("skipped" if lost.skipped else "failed", lost.error)

    def _end_judge(self, analysis: Analysis) -> None:
        judge = self._card("judge", "")
        judge.text.put(_analysis_html(analysis))
        judge.settle("done")

    def _end_writer(self) -> None:
        """Where nobody writes, a seat's own words are the answer."""
        if writer := self.cards.get("synthesis"):
            writer.settle("done" if writer.attempt else "skipped")

    def _give_up_judge(self, stage: Stage) -> None:
        """A judge that wrote nothing readable ends without an event of its own."""
        judge = self.cards.get("judge")
        if stage == "synthesis" and judge and judge.attempt and judge.is_going:
            judge.settle("failed", "There is no analysis.")

    def _end(self, event: RunEnded) -> None:
        self.ended = event
        for card in self.cards.values():
            if card.is_going:
                card.settle("stopped" if card.attempt or event.status != "ok" else "skipped")

    def news(self) -> dict[str, Any]:
        """What has changed since this was last asked for; empty if nothing has."""
        self._refresh_figures()
        facts = self._facts()
        run = {name: value for name, value in facts.items() if self.told.get(name) != value}
        self.told = facts
        cards = {key: news for key, card in self.cards.items() if (news := card.news())}
        return ({"run": run} if run else {}) | ({"cards": cards} if cards else {})

    def whole(self) -> dict[str, Any]:
        """Everything as it was last told; `age` is the seconds since the run began."""
        cards = {key: card.whole() for key, card in self.cards.items() if card.told}
        return {"run": self.told, "cards": cards, "age": round(time.monotonic() - self._begun, 1)}

    def _refresh_figures(self) -> None:
        now = time.monotonic()
        if now - self._figures_at >= FIGURES_EVERY or self.ended:
            self._figures_at = now
            for card in self.cards.values():
                card.refresh_figures()

    def _facts(self) -> dict[str, Any]:
        return {
            "title": self._title(),
            "panel": short(self._panel(), NAME_AT_MOST),
            "totals": self._totals(),
            "notice": short(self.notice),
            "warnings": [short(text) for text in self.warnings[:WARNINGS_AT_MOST]],
            "over": f"{self.ended.duration:.1f} s" if self.ended else "",
        }

    def _title(self) -> str:
        """The prompt's first line."""
        prompt = self.started.prompt.lstrip() if self.started else ""
        return short(plain(prompt[: 2 * NAME_AT_MOST]).partition("\n")[0], NAME_AT_MOST)

    def _panel(self) -> str:
        """The panel's name, or how many seats it has."""
        panel = self.started.settings.get("panel") if self.started else None
        seats = sum(card.stage == "panel" for card in self.cards.values())
        name = panel.get("name") if isinstance(panel, dict) else ""
        return name or (f"{seats} seat{'s' if seats != 1 else ''}" if seats else "")

    def _totals(self) -> str:
        """Tokens, those of calls that go on estimated, and the cost of the calls that have ended."""
        going = sum(card.tokens for card in self.cards.values())
        tokens = going + sum((call.usage for call in self.calls if call.usage), Usage()).total_tokens
        if not tokens:
            return ""
        return " · ".join(filter(None, [f"{'≈ ' if going else ''}{tokens:,} tokens", self._cost()]))

    def _cost(self) -> str:
        priced = [call.cost for call in self.calls if call.cost is not None]
        if not priced:
            return ""
        partial = any(call.cost is None or call.unreported for call in self.calls)
        return f"{'at least ' if partial else ''}{dollars(sum(priced))}{'' if self.ended else ' so far'}"


def _key(stage: Stage, label: str) -> str:
    """A card's key: a seat's letter, its ballot, the judge or the synthesizer."""
    return f"{stage} {label}" if label and stage != "panel" else label or stage


def _name(stage: Stage, label: str) -> str:
    return f"{label}'s ballot" if label and stage == "judge" else NAMES.get(stage, label)


def _analysis_html(analysis: Analysis) -> str:
    """The analysis as lists, with the seats named."""
    return "".join(_section_html(kind, rows) for kind, rows in findings(analysis))


def _section_html(kind: str, rows: list[Row]) -> str:
    items = (f"<li>{_topic(row)}{_who(row)}{to_html(row.text)}</li>" for row in rows)
    return f'<p><strong>{kind}</strong></p><ul class="fm-points">{"".join(items)}</ul>'


def _topic(row: Row) -> str:
    return f"<em>{escape(row.topic)}</em>: " if row.topic else ""


def _who(row: Row) -> str:
    return f"<strong>{escape(row.seats)}</strong> " if row.seats else ""
