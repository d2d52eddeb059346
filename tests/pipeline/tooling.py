"""Tools for tests of the loop, and a panel that calls them."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from fusion_magic.errors import ToolError
from fusion_magic.results import Source
from fusion_magic.tools import Output, Tool
from servers.openrouter import Reply, Request

SCHEMA = {"type": "object", "properties": {"word": {"type": "string"}}}


class Recorder:
    """A tool that remembers its calls and answers as it is told."""

    def __init__(self, name: str = "look", **answers: Any) -> None:
        self.calls: list[Mapping[str, Any]] = []
        self.ended: list[str] = []
        self._answers = answers
        self.tool = Tool(name, "Looks a word up.", SCHEMA, self._call, timeout=answers.pop("timeout", 60.0))

    async def _call(self, arguments: Mapping[str, Any]) -> Output:
        self.calls.append(arguments)
        word = str(arguments.get("word"))
        answer = self._answers.get(word, f"About {word}.")
        try:
            if isinstance(answer, Exception):
                raise answer
            if isinstance(answer, asyncio.Event | asyncio.Barrier):
                await answer.wait()
                return Output("Waited.")
            return answer if isinstance(answer, Output) else Output(str(answer))
        finally:
            self.ended.append(word)


def refuses(text: str) -> ToolError:
    return ToolError(text)


def page(url: str, text: str = "A page.", *, found: bool = False) -> Output:
    source = Source(url=url, title="Title", quotes=("A passage.",))
    return Output(text, found=(source,)) if found else Output(text, sources=(source,))


def calling(*words: str, name: str = "look", text: str = "") -> Reply:
    """A reply that calls the tool once for each word."""
    calls = [(f"id-{word}", name, json.dumps({"word": word})) for word in words]
    return Reply(text, tool_calls=calls)


def steps(*replies: Reply) -> Any:
    """One reply for each turn of a conversation, by how many results it holds already."""

    def answer(request: Request) -> Reply:
        turns = sum(message["role"] == "assistant" for message in request.body["messages"])
        return replies[min(turns, len(replies) - 1)]

    return answer


def results(request: Request) -> list[str]:
    """What the tools brought, as the model reads it."""
    return [message["content"] for message in request.body["messages"] if message["role"] == "tool"]
