"""A provider that answers from a script, with timings and faults: for testing notebooks without a key.

    with scripted({"*/gpt-5.5": "Paris.", "judge": {"consensus": ["Paris"]}, "*": Line("Paris!", gap=0.01)}):
        result = fuse("What is the capital of France?", panel="frontier")

While a script is installed it answers every call of every endpoint and nothing reaches the network.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any, Self

from ..errors import CallError, StreamBroken
from ..results import Source, Usage
from . import ChatRequest, Chunk, ToolCall
from .installed import scripts


@dataclass(frozen=True, slots=True)
class Line:
    """One scripted answer.

    Attributes:
        text: what the model writes; a mapping is written as JSON.
        reasoning: what it shows of its reasoning, streamed first.
        pieces: in how many chunks the text comes.
        first_token: seconds before the first chunk.
        gap: seconds between chunks.
        finish: the finish reason; None ends the stream without one, as a cut connection does.
        error: raised instead of the end, after `pieces` chunks (before the first one if there is no text).
        usage: tokens; None if the server does not report them.
        cost: US dollars, or None.
        served: the model the server says it used; the requested one if None.
        sources: pages it cites.
        tools: calls of tools it asks for instead of ending, as (name, arguments).
    """

    text: str | Mapping[str, Any] = ""
    reasoning: str = ""
    pieces: int = 4
    first_token: float = 0.0
    gap: float = 0.0
    finish: str | None = "stop"
    error: CallError | None = None
    usage: Usage | None = field(default_factory=lambda: Usage(prompt_tokens=10, completion_tokens=20))
    cost: float | None = 0.0
    served: str | None = None
    sources: tuple[Source, ...] = ()
    tools: Sequence[tuple[str, Mapping[str, Any] | str]] = ()

    def written(self) -> str:
        return self.text if isinstance(self.text, str) else json.dumps(self.text)


Scripted = str | Mapping[str, Any] | Line | CallError
Answer = Scripted | Sequence[Scripted] | Callable[[ChatRequest], Scripted]


class Script:
    """Answers by model or stage; see `scripted`. `requests` lists every call it was asked."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self._answers = dict(answers)
        self._asked: dict[str, int] = {}
        self.requests: list[ChatRequest] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop answering; what was installed before answers again."""
        if self in scripts:
            scripts.remove(self)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        """The scripted chunks. Raises CallError as the script says."""
        self.requests.append(request)
        line = self._line(request)
        if line.error and not line.text:
            raise copy.copy(line.error)  # each call has its own: callers write into it
        served = line.served or request.model
        await asyncio.sleep(line.first_token)
        if line.reasoning:
            yield Chunk(reasoning=line.reasoning, served=served)
        for piece in _cut(line.written(), line.pieces):
            yield Chunk(text=piece, served=served)
            await asyncio.sleep(line.gap)
        if line.error:
            raise copy.copy(line.error)
        if line.finish is None:
            raise StreamBroken(f"{request.name}: the stream ended before the answer did.", retryable=True)
        yield Chunk(
            finish="tool_calls" if line.tools else line.finish,
            usage=line.usage,
            cost=line.cost,
            served=served,
            sources=line.sources,
            tool_calls=tuple(_tool_calls(line)),
        )

    def _line(self, request: ChatRequest) -> Line:
        for key, answer in self._answers.items():
            if fnmatchcase(request.name, key) or key == request.stage:
                return _as_line(self._next(key, answer, request))
        raise CallError(f"{request.name}: the script has no line for this model or the {request.stage}.")

    def _next(self, key: str, answer: Answer, request: ChatRequest) -> Scripted:
        if callable(answer):
            return answer(request)
        if isinstance(answer, str) or not isinstance(answer, Sequence):
            return answer
        if not answer:
            raise CallError(f'{request.name}: the script\'s list for "{key}" is empty.')
        asked = self._asked.get(key, 0)
        self._asked[key] = asked + 1
        return answer[min(asked, len(answer) - 1)]


def _as_line(scripted: Scripted) -> Line:
    if isinstance(scripted, Line):
        return scripted
    return Line(error=scripted) if isinstance(scripted, CallError) else Line(scripted)


def _tool_calls(line: Line) -> Iterator[ToolCall]:
    for number, (name, arguments) in enumerate(line.tools, 1):
        yield ToolCall(f"call_{number}", name, arguments if isinstance(arguments, str) else json.dumps(arguments))


def _cut(text: str, pieces: int) -> list[str]:
    cuts = [len(text) * k // max(1, pieces) for k in range(max(1, pieces) + 1)]
    return [text[start:end] for start, end in pairwise(cuts) if end > start]


def scripted(answers: Mapping[str, Answer]) -> Script:
    """Install a script; use it in a `with` block, or call `.close()` at the end.

    Args:
        answers: what each model says. A key is a model as in a panel, with wildcards ("*/gpt-5.5", "*"), or a
            stage ("panel", "judge", "synthesis"); the first that fits answers. A value is a text, a mapping
            (written as JSON), a `Line` with timings, faults and calls of tools, a `CallError` to raise, a list of
            these taken one after the other (the last repeats), or a function of the ChatRequest that returns one.

    Returns:
        The script; its `requests` are the calls it was asked.
    """
    script = Script(answers)
    scripts.append(script)
    return script
