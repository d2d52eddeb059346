"""Runs to look at: a crowded one that has everything, and the recorded ones with real answers."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fusion_magic.results import (
    Analysis,
    Call,
    Contradiction,
    FailedModel,
    FusionResult,
    PartialCoverage,
    Response,
    Source,
    Stance,
    ToolUse,
    UniqueInsight,
    Usage,
)

BEGUN = datetime(2026, 6, 1, 12, tzinfo=UTC)
MODELS = {
    "A": "openai/gpt-5.5",
    "B": "anthropic/claude-opus-4.8",
    "C": "a-vendor/an-experimental-model-with-a-name-that-never-ends-preview-2026-06-01",
    "D": "moonshotai/kimi-k2.6",
    "E": "deepseek/deepseek-v4-pro",
    "F": "llama3.2@ollama",
    "G": "google/gemini-3.1-pro-preview",
    "H": "openai/gpt-5.5",
}
ANSWERED = "ABCDEH"  # F failed, G was skipped
POINT = "Point {}: the committee met in 2019, costs $5 to $6 and <b>not</b> everybody came; so it was said, twice"


def bare(run: str = "bare", **more: Any) -> FusionResult:
    """A run in which nothing happened."""
    return FusionResult(**{"id": run, "created": BEGUN, "prompt": "Why?", "settings": {}, **more})


def crowded(tools: int = 60, points: int = 14) -> FusionResult:
    """Eight seats, one lost and one skipped; tools, a retry, a repair, a reused answer, calls without a price."""
    chance = random.Random(6)
    return bare(
        "crowded",
        answer="The committee met in 2019.",
        responses=tuple(_response(label) for label in ANSWERED),
        failed_models=(
            FailedModel(label="F", model=MODELS["F"], error="llama3.2@ollama: no connection.", content="The comm"),
            FailedModel(label="G", model=MODELS["G"], error="Skipped.", skipped=True),
        ),
        analysis=_analysis(points),
        sources=(
            Source(url="https://a.org", title="A", labels=("A", "B"), quotes=("met in 2019", "was late")),
            Source(url="corpus:minutes/1.md", labels=("E",)),
        ),
        calls=(*map(_panel_call, "ABCDEF"), _panel_call("H"), *_chairs()),
        tools=tuple(_tool(number, chance) for number in range(tools)),
        duration=83.0,
    )


def _response(label: str) -> Response:
    year = "2018" if label == "B" else "2019"
    quotes = {"A": ("met in 2019",), "B": ("was late",)}.get(label, ())
    return Response(
        label=label,
        model=MODELS[label],
        content=f"Here is what seat {label} found.\n\nThe committee met in {year} in Paris. It was late.",
        sources=(Source(url="https://www.a.org/#top", labels=(label,), quotes=quotes),) if quotes else (),
        usage=Usage(prompt_tokens=4_000, completion_tokens=900),
        cost=0.02,
        duration=40.0,
    )


def _analysis(points: int) -> Analysis:
    partial = [PartialCoverage(labels=tuple("ABD"), models=(), point=POINT.format(n + 1)) for n in range(points - 2)]
    return Analysis(
        consensus=("They met.",),
        contradictions=(
            Contradiction(
                topic="Year of the meeting",
                stances=(
                    Stance(label="A", model=MODELS["A"], stance="The committee met in 2019"),
                    Stance(label="B", model=MODELS["B"], stance="The committee met in 2018"),
                    Stance(label="C", model=MODELS["C"], stance="Nothing of this kind: aliens, unrelated"),
                ),
            ),
        ),
        partial_coverage=tuple(partial),
        unique_insights=(
            UniqueInsight(label="D", model=MODELS["D"], insight="It was late."),
            UniqueInsight(label="A", model=MODELS["A"], insight="It was in Paris."),
        ),
    )


def _panel_call(label: str) -> Call:
    place = ord(label) - ord("A")
    known: dict[str, Any] = {
        "stage": "panel",
        "label": label,
        "model": MODELS[label],
        "usage": Usage(prompt_tokens=4_000, completion_tokens=900, cached_tokens=1_000),
        "cost": 0.01 + 0.004 * place,
        "ttft": 2.0 + place,
        "duration": 25.0 + 3 * place,
        "finish_reason": "stop",
    }
    match label:
        case "C":
            known |= {"attempts": 3, "unreported": 1}
        case "E":
            known |= {"reused": True, "cost": 0.0, "saved": 0.03, "made": BEGUN, "ttft": None, "duration": 0.0}
            known |= {"attempts": 0}
        case "F":
            known |= {"error": "no connection", "ttft": None, "usage": None, "cost": None, "finish_reason": None}
        case _:
            pass
    return Call(**known)


def _chairs() -> tuple[Call, ...]:
    read = Usage(prompt_tokens=22_000, completion_tokens=1_500)
    judge = {"stage": "judge", "model": "google/gemini-3.1-pro-preview", "usage": read, "ttft": 4.0}
    return (
        Call(**judge, started=46.0, duration=11.0, cost=0.05),
        Call(**judge, started=57.0, duration=8.0, round=2, cost=None),
        Call(
            stage="synthesis",
            model="anthropic/claude-opus-4.8",
            usage=read,
            cost=0.14,
            ttft=3,
            started=65.0,
            duration=18.0,
        ),
    )


def _tool(number: int, chance: random.Random) -> ToolUse:
    return ToolUse(
        stage="panel",
        label="ABDG"[number % 4],
        step=number // 8 + 1,
        number=number % 8 + 1,
        tool="openrouter:web_search" if number % 10 == 0 else "web_fetch",
        arguments='{"url": "https://a.org"}',
        output="The minutes.",
        size=12,
        error="404" if number % 15 == 7 else None,
        duration=None if number % 10 == 0 else chance.uniform(0.1, 3),
        started=chance.uniform(2, 25),
    )


def recorded(shared: Path) -> Iterator[FusionResult]:
    """Twenty research tasks, each with five real answers and a real synthesis; without a judge's analysis."""
    with gzip.open(shared / "data" / "recorded-panels.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            yield _of_task(json.loads(line))


def _of_task(task: dict[str, Any]) -> FusionResult:
    seats = list(zip("ABCDEFGH", task["responses"], strict=False))
    chair = task["syntheses"][0]
    return bare(
        task["task_id"],
        prompt=task["problem"],
        answer=chair["content"],
        responses=tuple(
            Response(label=label, model=seat["model"], content=seat["content"], duration=seat["elapsed_ms"] / 1000)
            for label, seat in seats
        ),
        calls=(
            *(_recorded_call("panel", seat, label, duration=seat["elapsed_ms"] / 1000) for label, seat in seats),
            _recorded_call("synthesis", chair, started=max(seat["elapsed_ms"] for _, seat in seats) / 1000),
        ),
        tools=tuple(
            ToolUse(
                stage="panel",
                label=label,
                number=number,
                tool=use["name"],
                arguments=json.dumps(use["args"]),
                error=use["error"],
            )
            for label, seat in seats
            for number, use in enumerate(seat["tool_calls"], 1)
        ),
    )


def _recorded_call(stage: Any, told: dict[str, Any], label: str = "", **times: Any) -> Call:
    usage = Usage(prompt_tokens=told["input_tokens"], completion_tokens=told["output_tokens"])
    return Call(stage=stage, label=label, model=told["model"], usage=usage, finish_reason="stop", **times)


def without(package: str, code: str) -> subprocess.CompletedProcess[str]:
    """Run code with the crowded run as `run` in a process where a package is not installed."""
    head = f"import sys; sys.modules[{package!r}] = None\nfrom examine.eight_seats import crowded\nrun = crowded()\n"
    tests = Path(__file__).parents[1]
    return subprocess.run(
        [sys.executable, "-c", head + code], cwd=tests, capture_output=True, text=True, timeout=180, check=False
    )
