"""What one call has brought and what it cost, over all its attempts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..prices import FREE, Price, cost_of
from ..providers import Chunk, ServerUse, ToolCall
from ..results import Source, Usage


@dataclass(slots=True)
class Received:
    """What one attempt has brought so far."""

    text: list[str] = field(default_factory=list[str])
    reasoning: list[str] = field(default_factory=list[str])
    sources: list[Source] = field(default_factory=list[Source])
    tool_calls: tuple[ToolCall, ...] = ()
    server_uses: list[ServerUse] = field(default_factory=list[ServerUse])
    echo: Mapping[str, Any] = field(default_factory=dict[str, Any])
    ttft: float | None = None
    served: str | None = None
    request_id: str | None = None
    finish: str | None = None
    usage: Usage | None = None
    cost: float | None = None

    def take(self, chunk: Chunk) -> None:
        """Take one chunk in."""
        if chunk.text:
            self.text.append(chunk.text)
        if chunk.reasoning:
            self.reasoning.append(chunk.reasoning)
        if chunk.sources:
            self.sources.extend(chunk.sources)
        self.server_uses.extend(chunk.server_uses)
        self.tool_calls = chunk.tool_calls or self.tool_calls
        self.echo = chunk.echo or self.echo
        self.served = chunk.served or self.served
        self.request_id = chunk.request_id or self.request_id
        self.finish = chunk.finish or self.finish
        self.usage = chunk.usage or self.usage
        self.cost = chunk.cost if chunk.cost is not None else self.cost

    @property
    def has_text(self) -> bool:
        return any(piece.strip() for piece in self.text)


@dataclass(slots=True)
class Allowance:
    """How many more attempts may be billed; the judge's calls of one run share one."""

    left: float = math.inf

    @property
    def is_spent(self) -> bool:
        return self.left <= 0


@dataclass(slots=True)
class Tally:
    """What is known of a call over its attempts.

    `cost` is None once it can't be known at all; `is_shortened` if a budget left it fewer tokens than it asks for.
    """

    price: Price
    begun: float = 0.0
    attempts: int = 0
    unreported: int = 0
    usage: Usage | None = None
    cost: float | None = 0.0
    is_shortened: bool = False
    received: Received = field(default_factory=Received)

    def next_attempt(self) -> None:
        """Begin an attempt with nothing received."""
        self.attempts += 1
        self.received = Received()

    def settle(self, *, answered: bool, refused: bool = False) -> bool:
        """Add up the attempt that has ended; returns whether it may be billed.

        Args:
            answered: it ended well.
            refused: the server turned it away before it began, which costs nothing.
        """
        usage = self.received.usage
        if usage is not None:
            self.usage = usage if self.usage is None else self.usage + usage
        # The server's word goes before the price: a server of one's own may pass calls on to one that charges.
        cost = self.received.cost if self.received.cost is not None else cost_of(usage, self.price)
        if cost is not None:
            self.cost = (self.cost or 0.0) + cost
            return cost > 0 or self.price != FREE
        if refused:
            return False
        self.unreported += not answered
        self.cost = None if answered else self.cost or None
        return True
