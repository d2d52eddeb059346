"""Real DRACO prompts over a local collection of recorded reports: several steps, calls side by side, one that fails."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from fusion_magic import Corpus, fuse
from fusion_magic.errors import ToolError
from fusion_magic.events import fold
from fusion_magic.tools import Output, Tool
from pipeline.asking import chats, judged, panel, record
from servers.openrouter import Reply, Request, Server

TASKS = 5


@pytest.fixture(scope="module")
def recorded(shared: Path) -> list[dict[str, Any]]:
    path = shared / "data" / "recorded-panels.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines][:TASKS]


@pytest.fixture(scope="module")
def library(recorded: list[dict[str, Any]]) -> Corpus:
    """Every recorded report as a document; the models' names are their titles."""
    texts = {
        f"{task['task_id']}/{number}.md": response["content"]
        for task in recorded
        for number, response in enumerate(task["responses"])
    }
    return Corpus.from_texts(texts, name="reports")


async def _down(_: Any) -> Output:
    raise ToolError("The archive is down.")


ARCHIVE = Tool("archive", "An archive that does not answer.", {"type": "object", "properties": {}}, _down)


def researcher(request: Request) -> Reply:
    """Searches twice at once, asks the archive, reads the first document it found, then reports with its place."""
    messages = request.body["messages"]
    results = [message["content"] for message in messages if message["role"] == "tool"]
    question = next(message["content"] for message in messages if message["role"] == "user")
    if not results:
        queries = [question[:120], question[120:240] or "methods"]
        searches = [(f"s{n}", "corpus_search", json.dumps({"query": query})) for n, query in enumerate(queries)]
        return Reply("", tool_calls=[*searches, ("a", "archive", "{}")])
    places = [word.strip("`<>()") for text in results for word in text.split() if "corpus:reports/" in word]
    if len(results) == 3:
        return Reply("I read on.", tool_calls=[("r", "corpus_read", json.dumps({"place": places[0]}))])
    return Reply(f"The reports say so, see {places[0]} and {places[-1]}.")


def test_a_panel_works_through_recorded_prompts_over_a_local_collection(
    server: Server, recorded: list[dict[str, Any]], library: Corpus
):
    server.reply("*", researcher)
    server.reply("judge", judged())
    server.reply("writer", Reply("The fused answer."))

    for task in recorded:
        told = record(task["problem"], **panel(server), corpus=library, tools=[ARCHIVE])

        result = told.kept
        assert fold(told.events) == result
        assert [use.tool for use in result.tools if use.step == 2] == ["corpus_read", "corpus_read"]
        assert len(result.tools) == 8
        assert {use.error for use in result.tools} == {None, "The archive is down."}
        assert all(response.sources for response in result.responses)
        assert all(source.url.startswith("corpus:reports/") for source in result.sources)
        assert result.sources[0].labels == ("A", "B")


def test_the_results_that_the_models_read_are_passages_of_the_reports(
    server: Server, recorded: list[dict[str, Any]], library: Corpus
):
    server.reply("*", researcher)
    server.reply("judge", judged("A"))
    server.reply("writer", Reply("The fused answer."))

    fuse(recorded[0]["problem"], **panel(server, "a"), corpus=library, tools=[ARCHIVE])

    read = chats(server, "a")[-1].body["messages"][-1]["content"]
    line = next(line for line in read.splitlines() if len(line) > 60 and not line.startswith("corpus:"))
    reports = " ".join(" ".join(response["content"].split()) for response in recorded[0]["responses"])
    assert " ".join(line.split())[:60] in reports
