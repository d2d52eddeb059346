"""A loopback server for each test, as an address of its own or in OpenRouter's place."""

from collections.abc import Iterator

import pytest

from pipeline.asking import judged
from servers.openrouter import Reply, Server


@pytest.fixture
def server() -> Iterator[Server]:
    """Panelists a, b, c and others answer; `judge` compares, `writer` writes."""
    with Server() as running:
        running.reply("*", Reply("An answer."))
        running.reply("judge", judged())
        running.reply("writer", Reply("The fused answer."))
        yield running


@pytest.fixture
def openrouter(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The same server where OpenRouter would be."""
    monkeypatch.setenv("OPENROUTER_BASE_URL", server.base_url)
    monkeypatch.setenv("OPENROUTER_API_KEY", "key-of-a-test")
    server.reply("anthropic/claude-opus-4.8", judged())
    return server
