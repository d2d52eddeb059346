"""Judges for audits of a test: what they were shown, and what they make of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from again import answering
from fusion_magic import FusionResult, fuse
from pipeline.asking import panel
from servers.openrouter import Reply, Request, Server

FACTS = {
    "a": "The bridge opened in 1932.",
    "b": "Its arch weighs 39,000 tonnes.",
    "c": "Sixteen workers died while it was built.",
}


def shown(request: Request) -> dict[str, str]:
    """The responses that a judge was shown, by letter, in the order in which it read them."""
    text = request.body["messages"][1]["content"]
    return dict(re.findall(r"<([A-H]) \w+>\n(.*?)\n</[A-H] ", text, re.DOTALL))


def analysis(**fields: Any) -> Reply:
    """A judge's reply with these fields and no other findings."""
    empty: dict[str, Any] = {name: [] for name in ("consensus", "contradictions", "partial_coverage", "blind_spots")}
    return Reply(json.dumps({**empty, "unique_insights": [], **fields}))


def fair(request: Request) -> Reply:
    """A judge that credits each seat with what it says."""
    return analysis(unique_insights=[{"label": label, "insight": said} for label, said in shown(request).items()])


def first_wins(request: Request) -> Reply:
    """A judge that credits whom it reads first."""
    label = next(iter(shown(request)))
    return analysis(unique_insights=[{"label": label, "insight": "Gives the date of the opening."}])


@contextmanager
def stating(judge: Callable[[Request], Reply] = fair) -> Iterator[Server]:
    """A server whose models a, b and c state a fact each; the writer repeats what it read."""
    with answering() as server:
        for name, fact in FACTS.items():
            server.reply(name, Reply(fact, cost=0.02))
        server.reply("judge", judge)
        server.reply("other-judge", fair)
        server.reply("writer", lambda request: Reply("\n\n".join(shown(request).values()), cost=0.04))
        yield server


def asked(server: Server, **settings: Any) -> FusionResult:
    """A run of the three on that server."""
    return fuse("What of the bridge?", **panel(server, "a", "b", "c"), **settings)
