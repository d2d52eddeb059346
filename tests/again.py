"""Asking again from a test: seats that tell themselves apart, a judge that follows what it reads, and the new calls."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from fusion_magic import FusionResult
from fusion_magic.prompts import digest
from pipeline.asking import chats, judged
from servers.openrouter import Reply, Request, Server

EIGHT = tuple("abcdefgh")


@contextmanager
def answering() -> Iterator[Server]:
    """A server whose models a to h and x answer with their names; `judge` and `other-judge` compare."""
    with Server() as running:
        for name in (*EIGHT, "x"):
            running.reply(name, Reply(f"Answer of {name}."))
        running.reply("judge", judging)
        running.reply("other-judge", judging)
        running.reply("*", Reply("The fused answer."))
        yield running


def judging(request: Request) -> Reply:
    """A judge that speaks of the seats it was shown, and says something new to each rubric."""
    text = request.body["messages"][1]["content"]
    reply = judged(*(label for label in "ABCDEFGH" if f"<{label} " in text))
    return replace(reply, text=reply.text.replace("same cause", f"same cause {digest(str(request.model), text)}"))


class New:
    """The calls that come after this was made."""

    def __init__(self, server: Server) -> None:
        self._server, self._before = server, len(chats(server))

    @property
    def models(self) -> list[str | None]:
        return [request.model for request in chats(self._server)[self._before :]]


def rebuilt(result: FusionResult) -> FusionResult:
    """The result as it comes out of a saved notebook."""
    return FusionResult.from_record(result.to_record())
