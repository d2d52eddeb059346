"""One card of the live view: a seat, the judge or the synthesizer, with its text, its tools and its figures.

What leaves here is plain text, or HTML that `to_html` has sanitized.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Literal

from ...characters import plain
from ...events import ToolStarted
from ...results import Call, Stage, ToolUse, dollars
from ..static.words import called
from .blocks import Text

State = Literal["queued", "thinking", "searching", "writing", "waiting", "done", "failed", "skipped", "stopped"]
REASONING_AT_MOST = 8_000  # the last ones
NAME_AT_MOST, SENTENCE_AT_MOST = 300, 1_000  # a name or an error may be hostile too
TOOL_AT_MOST, TOOLS_AT_MOST = 200, 60  # characters of a call of a tool; calls that are listed
FULL = "full"  # the row of a call that is not listed
CHARACTERS_PER_TOKEN = 4  # a rule of thumb for English, until the server reports tokens


@dataclass(slots=True)
class Card:
    """A seat, the judge or the synthesizer: its state, its text, and what the page was last told of it."""

    name: str
    stage: Stage
    model: str
    price: str
    state: State = "queued"
    note: str = ""
    attempt: int = 0  # counts the texts: another one takes the place of the last
    text: Text = field(default_factory=Text)
    reasoning: str = ""
    calls: list[Call] = field(default_factory=list[Call])
    tools: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    unlisted: int = 0  # calls of tools beyond those
    told: dict[str, Any] = field(default_factory=dict[str, Any])
    _figures: str = ""
    _asked_at: float = 0.0
    _first_at: float | None = None
    _characters: int = 0
    _thoughts: str = ""
    _asks: bool = False
    _new_tools: set[str] = field(default_factory=set[str])
    _running: dict[tuple[int, int], str] = field(default_factory=dict[tuple[int, int], str])

    @property
    def is_going(self) -> bool:
        return self.state in ("queued", "thinking", "searching", "writing", "waiting")

    def start(self, model: str) -> None:
        """A call is sent, perhaps again or to the fallback: what the one before had written goes.

        After tools the reasoning goes on, so the page gets what there was once more.
        """
        if self.attempt:
            goes_on = bool(self.calls) and not self._asks and not self.calls[-1].error
            before = f"{self.reasoning}{self._thoughts}".strip() if goes_on else ""
            self.text, self.reasoning, self._thoughts = Text(), "", f"{before}\n\n" if before else ""
        self.attempt += 1
        self.model, self.state, self.note, self._asks = model, "thinking", "", True
        self._asked_at, self._first_at, self._characters, self._figures = time.monotonic(), None, 0, ""

    def write(self, text: str, reasoning: str) -> None:
        """Take in what the model sends."""
        if self._first_at is None:
            self._first_at = time.monotonic()
        self._characters += len(text) + len(reasoning)
        self.state = "writing" if text else self.state
        if text and self.stage not in ("judge", "hosted"):  # JSON is for us; readers get the analysis
            self.text.add(text)
        self._thoughts = (self._thoughts + reasoning)[-REASONING_AT_MOST:]

    def end_call(self, call: Call) -> None:
        """A call has ended; another may follow, after tools or by a fallback."""
        self.calls.append(call)
        self._asks = False
        if call.error:
            self.lose("stopped" if call.error == "Cancelled." else "failed", call.error)

    def use_tool(self, event: ToolStarted) -> None:
        """A tool is called."""
        self.state = "searching"
        row = self._running[event.step, event.number] = self._next_row()
        self._list_tool(row, event.tool, event.arguments, "going", "")

    def end_tool(self, use: ToolUse) -> None:
        """A call of a tool has ended."""
        took = "" if use.duration is None else f"{use.duration:.1f} s · "
        figures = short(use.error, TOOL_AT_MOST) if use.error else f"{took}{use.size:,} characters"
        row = self._running.pop((use.step, use.number), None) or self._next_row()  # a server's are told at their end
        self._list_tool(row, use.tool, use.arguments, "failed" if use.error else "done", figures)
        if self.state == "searching" and not self._running:
            self.state = "thinking"

    def _next_row(self) -> str:
        """The number of a new row; none where the list is full. A fallback's steps begin anew, its rows go on."""
        if len(self.tools) < TOOLS_AT_MOST:
            return str(len(self.tools) + 1)
        self.unlisted += 1
        return FULL

    def _list_tool(self, row: str, tool: str, arguments: str, state: str, figures: str) -> None:
        if row != FULL:
            self.tools[row] = {"what": short(called(tool, arguments), TOOL_AT_MOST), "state": state, "figures": figures}
            self._new_tools.add(row)

    def settle(self, state: State, note: str = "") -> None:
        """The card has come to its end, unless another call follows."""
        self.state, self.note = state, note
        self.text.end()

    def lose(self, state: State, why: str) -> None:
        """It ends without an answer; only a failure needs a reason."""
        self.settle(state, why if state == "failed" else "")

    @property
    def tokens(self) -> int:
        """Tokens of the call that goes on, estimated; what has ended is counted elsewhere."""
        return self._characters // CHARACTERS_PER_TOKEN if self.is_going and self._asks else 0

    def refresh_figures(self) -> None:
        """Work out times and speed anew: estimated while it writes, the server's own once it has ended."""
        if self.calls and not self._asks:
            self._figures = _ended_figures(self.calls)
        elif self._first_at is not None:
            passed = time.monotonic() - self._first_at
            speed = f" · ≈ {self.tokens / passed:.0f} tokens/s" if passed >= 1 and self.tokens else ""
            self._figures = f"first token {self._first_at - self._asked_at:.1f} s{speed}"

    def facts(self) -> dict[str, Any]:
        """All but the texts."""
        return {
            "name": self.name,
            "stage": self.stage,
            "model": short(self.model, NAME_AT_MOST),
            "price": short(self.price, NAME_AT_MOST),
            "state": self.state,
            "note": short(self.note),
            "figures": self._figures,
            "attempt": self.attempt,
            "unlisted": self.unlisted,
        }

    def news(self) -> dict[str, Any]:
        """What the page lacks."""
        facts = self.facts()
        changed = {name: value for name, value in facts.items() if self.told.get(name) != value}
        self.told = facts
        thought, self._thoughts = plain(self._thoughts), ""
        self.reasoning = (self.reasoning + thought)[-REASONING_AT_MOST:]
        tools = {row: use for row, use in self.tools.items() if row in self._new_tools}
        self._new_tools.clear()
        extra = {name: value for name, value in (("thought", thought), ("tools", tools)) if value}
        return {**changed, **self.text.take(), **extra}

    def whole(self) -> dict[str, Any]:
        """All that the page shows."""
        told = self.told or self.facts()
        texts = {"blocks": list(self.text.html), "rest": self.text.rest, "thought": self.reasoning}
        return {**told, **texts, "tools": dict(self.tools)}


def _ended_figures(calls: list[Call]) -> str:
    """Times, tokens and cost of a chair's calls; the first token is that of the first call."""
    if calls[-1].error and calls[-1].ttft is None:
        return ""
    ttft = next((call.ttft for call in calls if call.ttft is not None), None)
    tokens = sum(call.usage.completion_tokens for call in calls if call.usage)
    writing = sum(call.duration - (call.ttft or 0) for call in calls)
    costs = [call.cost for call in calls if call.cost is not None]
    parts = [
        "" if ttft is None else f"first token {ttft:.1f} s",
        f"{tokens / writing:.0f} tokens/s" if tokens and writing > 0.05 else "",
        f"{tokens:,} tokens" if tokens else "",
        dollars(sum(costs)) if len(costs) == len(calls) else "not priced",
        f"{calls[-1].started + calls[-1].duration - calls[0].started:.1f} s",
    ]
    return " · ".join(filter(None, parts))


def short(text: str, most: int = SENTENCE_AT_MOST) -> str:
    """Plain text, cut off where it is long."""
    return plain(text if len(text) <= most else f"{text[:most]} …")
