"""A batch from a test: rows of one word, a panel of two on the loopback server, a user who interrupts."""

from __future__ import annotations

from typing import Any

from fusion_magic.batch import Progress
from fusion_magic.folders import config_dir
from pipeline.asking import judged
from servers.batches import BatchServer
from servers.openrouter import Reply, Request, analysis_json

SCRIPT: Any = {
    "judge": analysis_json("AB"),
    "synthesis": lambda request: f"Fused: {subject(request.messages)}",
    "*": "Text.",
}
CALL = 0.0025  # US dollars of a call in a batch after `settle`: 1,000 tokens read and 100 written, at half price
SEATS: dict[str, Any] = {"models": ["a", "b"], "judge": "j", "synthesizer": "w"}


def settle(server: BatchServer, *models: str) -> None:
    """The user's file: an endpoint with batches, one without, and what models cost."""
    prices = "".join(f'[prices."{model}@half"]\ninput = 4.0\noutput = 10.0\n' for model in models)
    path = config_dir() / "fusion.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    half = f'[endpoints.half]\nbase_url = "{server.base_url}"\nbatches = true\n'
    path.write_text(f'{half}[endpoints.plain]\nbase_url = "{server.base_url}"\n{prices}', encoding="utf-8")


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
