"""What a finished run adds to a notebook's file, measured on the file as nbformat writes it."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import count, cycle, islice
from pathlib import Path

import nbformat
import pytest

from fusion_magic.jupyter.static import bundle
from fusion_magic.pipeline.tool_loop import KEPT
from fusion_magic.results import Analysis, Call, FusionResult, Response, Source, ToolUse, Usage

pytestmark = pytest.mark.thorough

LENGTH = 25_000  # characters of each answer
SEATS = "ABCDEFGH"
ADDRESS = re.compile(r"https?://[^\s)>\]]+")


def recorded(shared: Path) -> list[str]:
    """Reports that real models wrote, long ones."""
    with gzip.open(shared / "data" / "recorded-panels.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [response["content"] for line in lines for response in json.loads(line)["responses"]]
    return [text[:LENGTH] for text in texts if len(text) >= LENGTH]


def made_up() -> Iterator[str]:
    """Prose of invented words with headings, lists, tables and addresses, as reports have them."""
    draw = random.Random(7)
    letters = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(2, 9))) for _ in range(3000)]
    while True:
        blocks: list[str] = []
        while sum(map(len, blocks)) < LENGTH:
            said = " ".join(draw.choices(letters, k=60))
            blocks.append(
                f"## {said[:40]}\n\n**{said[:20]}** {said} (https://{said[:9].strip()}.example/{len(blocks)}).\n\n"
            )
            blocks.append("".join(f"- {said[n : n + 60]}\n" for n in range(0, 180, 60)) + "\n")
        yield "".join(blocks)[:LENGTH]


def cited(text: str) -> str:
    """The text with a citation at every other sentence."""
    seats = cycle(["[A]", "[B, C]", "[H]", "[D]", "[E and F]", "[G]"])
    ends = count()
    return re.sub(r"\.(?=\s)", lambda end: f" {next(seats)}." if next(ends) % 2 == 0 else end[0], text)[:LENGTH]


def result(texts: Iterable[str], *, with_tools: bool) -> FusionResult:
    """Eight seats of 25 kB answers with five sources and calls of tools each, their analysis, a long answer."""
    *seats, answer = islice(texts, 9)
    responses = tuple(
        Response(label=label, model=f"vendor/model-{label}", content=text, sources=_sources(label, text))
        for label, text in zip(SEATS, seats, strict=True)
    )
    calls = [
        Call(
            stage="panel",
            label=label,
            model=f"vendor/model-{label}",
            usage=Usage(prompt_tokens=9),
            messages_hash="0f" * 32,
        )
        for label in SEATS
    ]
    return FusionResult(
        id="0123456789ab",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        prompt="Compare them.",
        settings={},
        answer=cited(answer),
        responses=responses,
        analysis=Analysis(consensus=tuple(line for line in answer.splitlines() if len(line) > 80)[:8]),
        sources=tuple(source for response in responses for source in response.sources),
        calls=tuple(calls),
        tools=tuple(use for seat in responses for use in _uses(seat) if with_tools),
    )


def _sources(label: str, text: str) -> tuple[Source, ...]:
    addresses = dict.fromkeys(found.rstrip(".,;:") for found in ADDRESS.findall(text))
    return tuple(Source(url=url, title=url.split("/")[2], labels=(label,)) for url in islice(addresses, 5))


def _uses(seat: Response) -> Iterator[ToolUse]:
    """As many as a seat has by default, with as much of the output as is kept."""
    for step in range(4):
        output = seat.content[step * KEPT : (step + 1) * KEPT]
        yield ToolUse(
            stage="panel",
            label=seat.label,
            step=step + 1,
            tool="web_search",
            arguments=json.dumps({"query": output[:100]}),
            output=output,
            size=9_000,
        )


def in_a_file(path: Path, data: dict[str, object]) -> int:
    cell = nbformat.v4.new_code_cell("x", outputs=[nbformat.v4.new_output("display_data", data)])
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    return path.stat().st_size


def traceable(texts: list[str]) -> list[str]:
    """The same with an answer that is put together from what the seats say, so that each sentence has its passages."""
    seats = texts[:8]
    said = [sentence for n in range(40) for text in seats for sentence in text.split("\n\n")[n * 2 : n * 2 + 1]]
    return [*seats, "\n\n".join(said)[:LENGTH]]


@pytest.mark.parametrize("with_tools", [False, True])
@pytest.mark.parametrize("words", ["recorded", "recorded, and said again", "made up"])
def test_eight_seats_of_25_kb_add_at_most_2_2_times_their_text_to_the_file(
    words: str, with_tools: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    texts = made_up() if words == "made up" else recorded(request.getfixturevalue("shared"))
    texts = traceable(list(texts)) if words == "recorded, and said again" else texts
    shown = result(texts, with_tools=with_tools)
    assert shown.answer
    assert shown.analysis
    parts = [shown.prompt, shown.answer, *(seat.content for seat in shown.responses), *shown.analysis.consensus]
    parts += [use.output for use in shown.tools]
    text = sum(len(part.encode()) for part in parts)
    assert text > 220_000

    forms = bundle(shown)
    added = in_a_file(tmp_path / "with.ipynb", forms) - in_a_file(tmp_path / "without.ipynb", {})
    print(f"{added / text:.3f}")

    assert "Where each sentence comes from: " in forms["text/plain"]
    assert "not traced" not in forms["text/plain"]
    assert added <= 2.2 * text
