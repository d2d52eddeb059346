"""Contamination: rubric text never reaches a model, blocked sites are in force, and an audit finds what slipped by."""

from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from fusion_magic import Line, evals, fuse, scripted
from fusion_magic.errors import SettingsError
from fusion_magic.evals import draco
from fusion_magic.evals.contamination import WITHHELD, Screen
from fusion_magic.evals.datasets import Dataset, Sample
from fusion_magic.evals.leaks import leak_audit
from fusion_magic.evals.rubrics import Criterion
from fusion_magic.evals.runs import Shield
from fusion_magic.results import Source
from pipeline.asking import at
from servers.openrouter import Reply, Server

LONG = (
    "States that the bridge over the river was opened in the year 1890 after eight years of work by four thousand men"
)
OTHER = "Names the two engineers who designed the bridge and says which of them was knighted for it afterwards"
TASKS = Dataset(
    "bridges",
    (
        Sample(
            "forth",
            "Tell me of the bridge.",
            rubric=(Criterion("bridge-opening-year", 10, LONG), Criterion("names-both-engineers", 5, OTHER)),
        ),
        Sample(
            "tay", "Tell me of the other bridge.", rubric=(Criterion("collapse-of-1879", 10, "Says that it fell."),)
        ),
    ),
    blocked=("answers.example", "arxiv.org/abs/2602.11685"),
)
SCREEN = Screen.of(TASKS)
FIRST_WORDS = " ".join(LONG.split()[:12])
ALL_BUT_FOURTEEN = " ".join(LONG.split()[:14])


@pytest.mark.parametrize(
    "text",
    [
        f"Found:\n{LONG}",
        LONG.upper().replace(" ", "\n* "),
        f"{FIRST_WORDS} … {' '.join(OTHER.split()[-12:])}",
        "- [ ] bridge-opening-year\n- [ ] names-both-engineers",
        json.dumps([{"id": "bridge-opening-year", "requirement": "…"}, {"id": "names-both-engineers"}]),
    ],
)
def test_text_of_a_rubric_is_withheld(text: str):
    assert SCREEN(text) == WITHHELD


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The bridge over the river was opened in 1890.",
        f"{ALL_BUT_FOURTEEN}, says the guide.",  # a page may say so much of one thing in the same words
        "See /bridge-opening-year in the index.",
        "bridge-opening-year and collapse-of-1879",  # of two tasks
        TASKS.samples[0].prompt,
    ],
)
def test_honest_text_passes_as_it_is(text: str):
    assert SCREEN(text) == text


def test_no_honest_answer_of_real_models_is_taken_for_a_rubric_and_every_rubric_is(shared: Path):
    tasks = draco.load(shared / "data" / "draco" / "draco-test.jsonl")
    screen = Screen.of(tasks)
    with gzip.open(shared / "data" / "recorded-panels.jsonl.gz", "rt", encoding="utf-8") as file:
        recorded = [json.loads(line) for line in file][:3]
    answers = [each["content"] or "" for row in recorded for each in (*row["responses"], *row["syntheses"])]
    pages = ["\n".join(f"- {each.requirement}" for each in task.rubric[:8]) for task in tasks]

    assert len(answers) == 30
    assert not [text[:80] for text in answers if screen.found(text)]
    assert all(map(screen.found, pages))


def test_a_screen_is_the_same_in_another_process():
    there = pickle.loads(pickle.dumps(SCREEN))

    assert there(LONG) == WITHHELD
    assert repr(there) == repr(SCREEN)


# --- in an evaluation -------------------------------------------------------------------------------


def lookup(query: str) -> str:
    """Look something up."""
    return f"From the benchmark: {LONG}" if "rubric" in query else "The bridge is red. https://answers.example/forth"


def using(query: str) -> Any:
    return [Line(tools=(("lookup", {"query": query}),)), "It is red."]


def test_a_tool_that_finds_the_rubric_is_not_heard_in_an_evaluation():
    with scripted({"a/*": using("the rubric")}) as script:
        evals.evaluate(TASKS, {"x": "a/b"}, tasks=["forth"], tools=[lookup], progress=False)

    read = [message for message in script.requests[-1].messages if message["role"] == "tool"]
    assert [WITHHELD in message["content"] for message in read] == [True]
    assert "eight years" not in str(script.requests[-1].messages)


def test_what_else_a_tool_brings_is_heard():
    with scripted({"a/*": using("its colour")}) as script:
        evals.evaluate(TASKS, {"x": "a/b"}, tasks=["forth"], tools=[lookup], progress=False)

    assert "The bridge is red." in str(script.requests[-1].messages)


def test_a_datasets_sites_are_blocked_on_this_machine():
    chosen = Shield.of(TASKS, None).over({"tools": "web", "block_domains": "mine.example"})

    assert chosen["web"] == "client"
    assert chosen["block_domains"] == ("mine.example", "answers.example", "arxiv.org/abs/2602.11685")


def test_servers_are_given_hosts_alone_as_they_refuse_pages():
    chosen = Shield.of(TASKS, None).over({"tools": "web", "web": "server"})

    assert chosen["block_domains"] == ("answers.example", "arxiv.org")


def test_without_blocked_sites_the_web_is_asked_as_it_was_chosen():
    chosen = Shield.of(TASKS, ()).over({"tools": "web"})

    assert "web" not in chosen
    assert chosen["block_domains"] == ()


def test_dracos_own_pages_are_blocked_and_other_papers_are_not():
    from fusion_magic.tools.domains import Domains

    sites = Domains(block=draco.BLOCKED)

    for url in (
        "https://huggingface.co/datasets/perplexity-ai/draco",
        "https://datasets-server.huggingface.co/rows?dataset=perplexity-ai/draco",
        "https://arxiv.org/pdf/2602.11685v2",
        "https://r2cdn.perplexity.ai/pplx-draco.pdf",
        "https://openrouter.ai/blog/fusion",
        "https://raw.githubusercontent.com/Lore-Hex/TrustedRouter-Fusion-Draco/main/data.csv",
    ):
        assert not sites.permits(url), url
    assert sites.permits("https://arxiv.org/abs/1706.03762")
    assert sites.permits("https://github.com/python/cpython")


# --- the audit --------------------------------------------------------------------------------------


def test_the_audit_finds_sites_and_rubric_text_wherever_they_were():
    cited = Source(url="https://www.answers.example/forth", title="Answers", quotes=(LONG,))
    script: Any = {
        "a/*": [Line(tools=(("lookup", {"query": "the rubric"}),)), Line(f"It says: {LONG}", sources=(cited,))],
        "b/*": "It is red; see https://arxiv.org/abs/2602.11685v2.",
        "judge": "?",
        "synthesis": "Red.",
    }
    with scripted(script):
        result = fuse("Tell me of the bridge.", models=["a/x", "b/y"], judge="c/j", synthesizer="c/w", tools=[lookup])

    found: Any = leak_audit([result], TASKS)

    told = {(row["where"], row["seat"], row["what"]) for row in found.to_dict("records")}
    assert told == {
        ("output", "A", "rubric"),
        ("source", "A", "site"),
        ("source", "A", "rubric"),
        ("response", "A", "rubric"),
        ("response", "B", "site"),
    }
    assert set(found[found["where"] == "output"]["tool"]) == {"lookup"}


def test_the_audit_names_no_address_but_those_of_blocked_sites():
    said = (
        "See https://... or https://…, http://user:pw@example.com/, http://[::1, https://example.com/answers.example; "
        "https://user:pw@answers.example/forth… and https://arxiv.org/abs/2602.11685v2."
    )
    with scripted({"*": said}):
        result = fuse("Tell me of the bridge.", models=["a/x"])

    found: Any = leak_audit([result], TASKS)

    assert set(found["found"]) == {"https://user:pw@answers.example/forth", "https://arxiv.org/abs/2602.11685v2"}


def test_the_audit_says_what_was_withheld():
    with Server() as server:
        server.reply("a", [Reply(tool_calls=(("1", "lookup", '{"query": "the rubric"}'),)), Reply("It is red.")])
        scores = evals.evaluate(TASKS, {"x": at(server, "a")[0]}, tasks=["forth"], tools=[lookup], progress=False)

    found: Any = leak_audit(scores, TASKS)

    assert [(row["where"], row["what"]) for row in found.to_dict("records")] == [("output", "withheld")]


def test_the_audit_of_scores_reads_their_runs_from_the_store():
    with Server() as server:
        server.reply("a", Reply(f"It is said: {LONG}"))
        scores = evals.evaluate(TASKS, {"x": at(server, "a")[0]}, progress=False)

    found: Any = leak_audit(scores, TASKS)

    assert set(found["run"]) == set(scores.frame["run"])
    assert set(found["what"]) == {"rubric"}


def test_clean_runs_give_an_empty_frame_and_scores_without_runs_an_error():
    with scripted({"*": "It is red."}):
        clean = fuse("Tell me of the bridge.", models=["a/x"])

    assert not len(leak_audit([clean], TASKS))
    with pytest.raises(SettingsError, match="no runs"):
        leak_audit(evals.Scores.of([]), TASKS)
