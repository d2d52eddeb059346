"""A server and a panel for each test, and a user who interrupts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from batch.asking import InterruptsAt, whole
from fusion_magic.batch import show_with
from pipeline.asking import at, judged
from servers.openrouter import Reply, Server


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        running.reply("*", whole)
        yield running


@pytest.fixture
def seats(server: Server) -> dict[str, Any]:
    judge, writer = at(server, "judge", "writer")
    return {"models": at(server, "a", "b"), "judge": judge, "synthesizer": writer, "progress": False}


@pytest.fixture
def interrupts() -> Iterator[InterruptsAt]:
    user = InterruptsAt(8, 20)
    show_with(lambda: user)
    yield user
    show_with(None)


@pytest.fixture
def priced(server: Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A panel on OpenRouter, where calls have prices; each row costs $0.03 to the cent."""
    monkeypatch.setenv("OPENROUTER_BASE_URL", server.base_url)
    monkeypatch.setenv("OPENROUTER_API_KEY", "key-of-a-test")
    for name in ("panel", "judge", "writer"):
        server.models.append({"id": f"x/{name}", "pricing": {"prompt": "0.000001", "completion": "0.000002"}})
    server.reply("x/panel", Reply("An answer.", cost=0.01))
    server.reply("x/judge", judged("A", cost=0.01))
    server.reply("x/writer", Reply("Fused.", cost=0.01))
    return {"models": "x/panel", "judge": "x/judge", "synthesizer": "x/writer", "progress": False, "max_tokens": 500}
