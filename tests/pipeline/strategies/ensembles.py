"""Every strategy on the loopback server, with answers that make it go all its way, or stop early."""

from __future__ import annotations

from typing import Any, NamedTuple

from servers.openrouter import Reply, Request, Server, analysis_json

RANKINGS = {"a": "B > C", "b": "A > C", "c": "A > B"}


class Case(NamedTuple):
    """A strategy with settings, how the two scouts conclude or the outer model decides, and the calls it makes."""

    name: str
    settings: dict[str, Any]
    calls: int
    full: bool = True


CASES = (
    Case("fusion", {}, 5),
    Case("self", {"samples": 3}, 5),
    Case("vote", {}, 3),
    Case("vote", {"samples": 2}, 6),
    Case("moa", {"rounds": 3}, 10),
    Case("debate", {}, 8),
    Case("rank", {}, 7),
    Case("scout", {}, 5),
    Case("scout", {}, 2, full=False),
    Case("guide", {}, 5),
    Case("auto", {}, 6),
    Case("auto", {}, 1, full=False),
)


def name(case: Case) -> str:
    """For a test's id."""
    return f"{case.name}-{case.calls}"


def play(server: Server, *, full: bool = True) -> None:
    """Let the server answer for any strategy; `full` makes scouts disagree and the outer model ask."""

    def seat(request: Request) -> Reply:
        asked = str(request.body["messages"])
        if "Ranking:" in asked:
            return Reply(f"Ranking: {RANKINGS[str(request.model)]}")
        said = request.model if full else "the same"
        return Reply(f"Words of {request.model}.\nPosition: kept\nIn short: {said}\nAnswer: 7")

    def writer(request: Request) -> Reply:
        decides = full and "tools" in request.body
        return Reply("", tool_calls=[("call_1", "fusion", "{}")]) if decides else Reply("The fused answer.")

    server.reply("*", seat)
    server.reply("judge", Reply(analysis_json("ABC")))
    server.reply("writer", writer)
