"""What is asked in one call, what came of it, and what every stage of a run shares."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ..events import Event
from ..providers import Chunk, Message, Providers, ServerUse, ToolCall
from ..results import Call, Source, Stage
from ..settings import Settings
from .accounts import Allowance
from .given import Turn
from .memory import NO_MEMORY, Memory

if TYPE_CHECKING:
    from .budget import Budget

SPEAKERS = {"judge": "The judge", "synthesis": "The synthesizer", "hosted": "OpenRouter"}


@dataclass(frozen=True, slots=True)
class Run:
    """What every stage of one run shares."""

    id: str
    settings: Settings
    providers: Providers
    emit: Callable[[Event], None]
    started: float
    memory: Memory = NO_MEMORY
    budget: Budget | None = None

    @property
    def is_limited(self) -> bool:
        """Whether a call was not sent, or cut short, for its price."""
        return self.budget is not None and self.budget.is_limited

    def now(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.started


class Matter(NamedTuple):
    """What judge and synthesizer are told was asked: the question, the conversation before it, the reader's rulings,
    and how seats ranked the responses.

    `sample` numbers the orders in which the judge may read the responses; 0 is the one of every plain run.
    """

    question: str
    turns: tuple[Turn, ...] = ()
    rulings: str = ""
    ranking: str = ""
    sample: int = 0


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked in one call, apart from whom; `drafts` takes what attempts that came to nothing had written.

    `sample` tells apart calls that ask the very same. `listener` makes, for each attempt, who hears its text as it
    streams and gives back what of it the reader of the stage is shown; without one, all. `overhear` gets every chunk.
    """

    stage: Stage
    messages: Sequence[Message]
    version: str
    label: str = ""
    round: int = 1
    temperature: float | None = None
    max_tokens: int | None = None
    response_format: Mapping[str, Any] | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: Literal["none", "required"] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    allowance: Allowance = field(default_factory=Allowance)
    drafts: list[str] = field(default_factory=list[str])
    seed: str = ""
    sample: int = 0
    listener: Callable[[], Callable[[str], str]] | None = None
    overhear: Callable[[Chunk], None] | None = None

    def listen(self) -> Callable[[str], str]:
        """Who hears the text of an attempt."""
        return self.listener() if self.listener else str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A call that ended well: with a text, with tool calls, or both; `key` is its key in the store."""

    text: str
    reasoning: str
    sources: tuple[Source, ...]
    call: Call
    tool_calls: tuple[ToolCall, ...] = ()
    server_uses: tuple[ServerUse, ...] = ()
    echo: Mapping[str, Any] = field(default_factory=dict[str, Any])
    key: str = ""

    def to_json(self) -> dict[str, Any]:
        """All but call and key, as the store keeps it."""
        return {
            "text": self.text,
            "reasoning": self.reasoning,
            "sources": [source.model_dump(mode="json") for source in self.sources],
            "tool_calls": [asdict(call) for call in self.tool_calls],
            "server_uses": [asdict(use) for use in self.server_uses],
            "echo": dict(self.echo),
        }

    @classmethod
    def from_json(cls, answer: Mapping[str, Any], call: Call, key: str) -> Outcome:
        """What `to_json` wrote, with the call that it belongs to now."""
        return cls(
            answer["text"],
            answer["reasoning"],
            tuple(Source.model_validate(source) for source in answer["sources"]),
            call,
            tuple(ToolCall(**made) for made in answer["tool_calls"]),
            tuple(ServerUse(**use) for use in answer["server_uses"]),
            answer["echo"],
            key,
        )


def who(stage: Stage, label: str) -> str:
    """Who is meant in a sentence: a seat's letter, the judge or the synthesizer."""
    return label or SPEAKERS.get(stage, stage)
