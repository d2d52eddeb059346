"""What a stage has brought is on the disk before the first call of the next one is sent."""

from __future__ import annotations

from typing import Any

import pytest

from fusion_magic import fuse
from fusion_magic.store import open_store
from pipeline.asking import at, judged
from servers.openrouter import Reply, Request, Server, analysis_json
from store.keeping import alter

CALL = ("call_1", "fusion", '{"question": "Why?"}')
ANALYSIS = Reply(analysis_json(("A", "B")))
# Who is asked; how; what the writer says at first; how many calls came before.
WAYS: dict[str, tuple[str, dict[str, Any], list[Reply], int]] = {
    "the judge": ("judge", {}, [], 2),
    "the synthesizer": ("writer", {}, [], 3),
    "a panel that a model has called": ("a", {"models": "a", "strategy": "auto"}, [Reply("", tool_calls=[CALL])], 1),
    "who has compared and not written": ("writer", {"judge": "writer", "one_pass": True}, [ANALYSIS], 3),
}


@pytest.mark.parametrize(("asked", "chosen", "first", "before"), WAYS.values(), ids=WAYS)
def test_all_that_was_paid_is_kept_before_the_next_is_asked(
    asked: str, chosen: dict[str, Any], first: list[Reply], before: int
):
    found: list[int] = []
    replies = {"judge": judged(), "a": Reply("Words."), "b": Reply("Words."), "writer": Reply("Fused.")}
    said = list(first)

    def answer(request: Request) -> Reply:
        if request.model == "writer" and said:
            return said.pop()
        if request.model == asked:
            found.append(alter(open_store(), "SELECT count(*) FROM calls")[0][0])
        return replies[str(request.model)]

    with Server() as server:
        server.reply("*", answer)
        seats = {"models": ("a", "b"), "judge": "judge", "synthesizer": "writer"} | chosen
        seats["models"] = at(server, *seats["models"])
        seats |= {role: at(server, seats[role])[0] for role in ("judge", "synthesizer")}
        fuse("Why?", **seats)

    assert found[0] == before
