"""A batch from a test: rows of one word, a panel of two on the loopback server, a user who interrupts."""

from __future__ import annotations

from typing import Any

from fusion_magic.batch import Progress
from pipeline.asking import judged
from servers.openrouter import Reply, Request, analysis_json

SCRIPT: Any = {
    "judge": analysis_json("AB"),
    "synthesis": lambda request: f"Fused: {subject(request.messages)}",
    "*": "Text.",
}
SEATS: dict[str, Any] = {"models": ["a", "b"], "judge": "j", "synthesizer": "w"}


def subject(messages: Any) -> str:
    """The row that a call is about: what stands between these quotes."""
    return str(messages).rpartition("«")[2].partition("»")[0]


def whole(request: Request) -> Reply:
    texts = {"judge": judged().text, "writer": f"Fused: {subject(request.body['messages'])}"}
    return Reply(texts.get(str(request.model), "An answer."), cost=0.01)


def words(count: int) -> list[str]:
    return [f"word{number}" for number in range(count)]


class InterruptsAt:
    """A user who interrupts when so many rows have ended."""

    def __init__(self, *rows: int) -> None:
        self._rows = list(rows)

    def show(self, progress: Progress) -> None:
        if self._rows and progress.done >= self._rows[0] and not progress.has_ended:
            del self._rows[0]
            raise KeyboardInterrupt
