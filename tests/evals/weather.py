"""Tasks about the weather, systems that answer them, and a grader that only looks for a word."""

from __future__ import annotations

import json
from typing import Any

from fusion_magic import evals
from fusion_magic.evals.datasets import Dataset, Sample
from fusion_magic.evals.rubrics import Criterion
from pipeline.asking import at, judged
from servers.openrouter import Reply, Request, Server

RUBRIC = (
    Criterion("warm", 10, "Says that it is warm.", "Facts"),
    Criterion("wet", 5, "Says that it is wet.", "Facts"),
    Criterion("cold", -5, "Says that it is cold.", "Facts"),
)
TASKS = Dataset(
    "weather",
    (
        Sample("noon", "How is noon?", "Day", RUBRIC),
        Sample("night", "How is night?", "Night", RUBRIC),
        Sample("sum", 'What is 2 + 2? End with "Answer: …".', "Sums", target=(4,)),
    ),
)


def verdict(prompt: str) -> str:
    """What an honest grader of the weather says: it reads the response for the criterion's one word."""
    criterion = prompt.partition("<criterion>\n")[2].partition("\n</criterion>")[0]
    response = prompt.partition("<response")[2].partition("</response")[0]
    word = criterion.removeprefix("Says that it is ").removesuffix(".")
    return json.dumps({"criterion_status": "MET" if word in response else "UNMET", "explanation": f"I looked: {word}."})


def answer(prompt: str) -> str:
    """What every seat and synthesizer says."""
    return "Answer: 4" if "2 + 2" in prompt else "It is warm and cold." if "noon" in prompt else "It is warm, wet."


def reply(request: Request) -> Reply:
    """What the server says for every model."""
    prompt = str(request.body["messages"][-1]["content"])
    if request.model == "judge":
        return judged(cost=0.01)
    return Reply(verdict(prompt) if request.model == "grader" else answer(prompt), cost=0.01)


def systems(server: Server) -> dict[str, Any]:
    """A model alone, and a panel."""
    judge, writer = at(server, "judge", "writer")
    return {
        "alone": at(server, "a")[0],
        "panel": {"models": at(server, "a", "b"), "judge": judge, "synthesizer": writer},
    }


def evaluated(server: Server, which: Any = None, **more: Any) -> evals.Scores:
    """The scores of these systems, or of both, on the tasks."""
    chosen = {"grader": at(server, "grader")[0], "progress": False, **more}
    return evals.evaluate(TASKS, systems(server) if which is None else which, **chosen)


def rows(scores: evals.Scores) -> dict[tuple[str, str], Any]:
    """The rows of the frame by configuration and task."""
    frame: Any = scores.frame
    return {(row["config"], row["task"]): row for row in frame.to_dict("records")}
