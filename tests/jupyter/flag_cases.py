"""What each flag for tools must change: a line, what the panel is scripted to do, and what must be true of the run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fusion_magic import Line
from fusion_magic.folders import config_dir
from fusion_magic.providers import ChatRequest
from fusion_magic.results import FusionResult
from servers import mcp_server

ANALYSIS = {
    "consensus": ["It is Paris."],
    "contradictions": [],
    "partial_coverage": [],
    "unique_insights": [{"label": "A", "insight": "It lies on the Seine."}],
    "blind_spots": [],
}
CHAIRS = {"judge": ANALYSIS, "synthesis": "The capital is Paris."}
ANSWERS = {**CHAIRS, "*": "Paris."}
MODELS = "-m a/one -m b/two"
FUNCTION = '''
def twice(number: int) -> int:
    """Twice a number."""
    return 2 * number
'''
FRAME = "import pandas; sales = pandas.DataFrame({'town': ['Bonn', 'Kiel'], 'sold': [3, 4]}); hidden = sales"


@dataclass(frozen=True)
class Case:
    """A line, and what must be true of the run because of it; `setup` is run in a cell before."""

    line: str
    true: Callable[[FusionResult, list[ChatRequest]], bool]
    answers: dict[str, Any] = field(default_factory=lambda: dict(ANSWERS))
    setup: str = ""
    prepare: Callable[[Path], None] | None = None


def calls(name: str, **arguments: Any) -> dict[str, Any]:
    """A panel of one that calls a tool once and then answers."""
    return {**CHAIRS, "panel": [Line(tools=[(name, arguments)]), "Done."]}


def offered(requests: list[ChatRequest], stage: str = "panel") -> list[str]:
    """Names of the tools in the first request of a stage."""
    first = next(request for request in requests if request.stage == stage)
    return [tool["function"]["name"] if tool["type"] == "function" else tool["type"] for tool in first.tools]


def parameters(requests: list[ChatRequest]) -> list[Any]:
    return [tool.get("parameters") for tool in requests[0].tools]


def read(result: FusionResult) -> str:
    """What the tools brought, errors included."""
    return " ".join(use.output for use in result.tools)


def set_to(name: str, value: Any) -> Callable[[FusionResult, list[ChatRequest]], bool]:
    """The run has the setting. What it does needs a store, or prices, which a script has not: see `test_money_cell`."""
    return lambda result, _: result.settings[name] == value


def _papers(folder: Path) -> None:
    (folder / "papers").mkdir()
    (folder / "papers" / "tides.md").write_text("# Tides\n\nThe moon pulls the sea.\n", encoding="utf-8")


def _note(folder: Path) -> None:
    (folder / "note.txt").write_text("The password is heron.", encoding="utf-8")


def _mcp(folder: Path) -> None:
    config_dir().mkdir(parents=True, exist_ok=True)
    script = Path(mcp_server.__file__).as_posix()
    entry = f'[mcp.sums]\ncommand = "{Path(sys.executable).as_posix()}"\nargs = ["{script}"]\nallow = ["add"]\n'
    (config_dir() / "fusion.toml").write_text(entry, encoding="utf-8")


def _judge_asks() -> dict[str, Any]:
    def judge(request: ChatRequest) -> Any:
        told = any(message["role"] == "tool" for message in request.messages)
        return Line(tools=[("twice", {"number": 4})]) if request.tools and not told else ANALYSIS

    return {**ANSWERS, "judge": judge}


TOOL_CASES = {
    "tools": Case(
        "-m a/one --tools twice",
        lambda result, asked: offered(asked) == ["twice"] and read(result) == "42",
        calls("twice", number=21),
        FUNCTION,
    ),
    "judge_tools": Case(
        f"{MODELS} --tools twice --judge-tools",
        lambda result, _: [(use.stage, use.output) for use in result.tools] == [("judge", "8")],
        _judge_asks(),
        FUNCTION,
    ),
    "max_tool_calls": Case(
        "-m a/one --tools twice --max-tool-calls 2",
        lambda result, asked: len(result.tools) == 2 and {request.steps for request in asked} == {2},
        {**CHAIRS, "panel": [*2 * [Line(tools=[("twice", {"number": 1})])], "Done."]},
        FUNCTION,
    ),
    "web": Case("-m a/one --tools web_fetch --web client", lambda _, asked: offered(asked) == ["web_fetch"]),
    "allow_domains": Case(
        "-m a/one --tools web --allow-domain a.org,b.org",
        lambda _, asked: parameters(asked) == 2 * [{"allowed_domains": ["a.org", "b.org"]}],
    ),
    "block_domains": Case(
        "-m a/one --tools web_fetch --web client --url-policy any --block-domain example.org",
        lambda result, _: "example.org" in str(result.tools[0].error),
        calls("web_fetch", url="https://www.example.org/x"),
    ),
    "url_policy": Case(
        "-m a/one --tools web_fetch --web client --url-policy any",
        lambda result, _: "public" in str(result.tools[0].error),
        calls("web_fetch", url="http://127.0.0.1/"),
    ),
    "corpus": Case(
        "-m a/one --corpus papers",
        lambda result, asked: (
            offered(asked) == ["corpus_search", "corpus_read"] and "The moon pulls the sea." in read(result)
        ),
        calls("corpus_search", query="moon"),
        prepare=_papers,
    ),
    "data": Case(
        "-m a/one --data sales",
        lambda result, asked: "data_query" in offered(asked) and "7" in read(result),
        calls("data_query", sql="SELECT sum(sold) AS total FROM sales"),
        FRAME,
    ),
    "attach": Case(
        "-m a/one --attach note.txt",
        lambda result, asked: (
            "The password is heron." in str(asked[0].messages) and any("note.txt" in told for told in result.warnings)
        ),
        prepare=_note,
    ),
    "mcp": Case(
        "-m a/one --mcp sums",
        lambda result, asked: offered(asked) == ["sums_add"] and "5" in read(result),
        calls("sums_add", a=2, b=3),
        prepare=_mcp,
    ),
}
SIMULATED = Case(
    f"{MODELS} --simulate B=down,judge=badjson --retries 0",
    lambda result, asked: (
        [lost.label for lost in result.failed_models] == ["B"]
        and result.analysis is None
        and {request.label for request in asked} == {"A", ""}
    ),
)
MONEY_CASES = {
    "store": Case(f"{MODELS} --no-store", lambda result, _: any("--no-store" in told for told in result.warnings)),
    "reuse": Case(f"{MODELS} --reuse never", set_to("reuse", "never")),
    "fresh": Case(f"{MODELS} --fresh", set_to("fresh", "all")),
    "max_age": Case(f"{MODELS} --max-age 30m", set_to("max_age", "30m")),
    "max_usd": Case(f"{MODELS} --max-usd 5 --allow-unpriced", set_to("max_usd", 5.0)),
    "allow_unpriced": Case(f"{MODELS} --max-usd 5 --allow-unpriced", set_to("allow_unpriced", True)),
}
SURE = {"a/one": "Answer: Paris\nConfidence: 90", "b/two": "Answer: Bonn\nConfidence: 40"}
STRATEGY_CASES = {
    "strategy": Case(f"{MODELS} --strategy vote", lambda result, asked: len(result.votes) == len(asked) == 2),
    "samples": Case(f"{MODELS} --strategy self --samples 3", lambda result, _: len(result.responses) == 3),
    "rounds": Case(f"{MODELS} --strategy moa --rounds 3", lambda result, _: len(result.earlier) == 4),
    "weights": Case(
        f"{MODELS} --strategy vote --weights confidence",
        lambda result, _: [vote.weight for vote in result.votes] == [0.9, 0.4],
        SURE,
    ),
    "threshold": Case(
        f"{MODELS} -m c/three --strategy scout --threshold 0",
        lambda result, asked: len(asked) == 2,
        {"*": "In short: x"},
    ),
    "one_pass": Case(
        f"{MODELS} --judge c/three --synthesizer c/three --one-pass",
        lambda _, asked: [call.model for call in asked] == ["a/one", "b/two", "c/three"],
    ),
    "engine": Case(
        f"{MODELS} --engine openrouter",
        lambda result, asked: (
            [call.model for call in asked] == ["openrouter/fusion"]
            and any("without asking the panel" in told for told in result.warnings)
        ),
    ),
    "must_ask": Case(
        f"{MODELS} --strategy auto --must-ask", lambda _, asked: [call.tool_choice for call in asked] == ["required"]
    ),
}
