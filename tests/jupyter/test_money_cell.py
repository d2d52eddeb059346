"""Cells that pay once: reuse, threads, the price before, and a question before anybody is asked; on real servers."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest

from fusion_magic.jupyter.place import notebook_of
from fusion_magic.pipeline.estimate import RunEstimate
from fusion_magic.providers.scripted import scripted
from fusion_magic.store import Place, open_store
from servers.openrouter import Reply, Server, analysis_json

from .conftest import Cells
from .flag_cases import ANSWERS
from .kernels import Kernel, start, stop
from .samples import call
from .stored import book, settled

A, B = "openai/gpt-5.5", "google/gemini-3.1-pro-preview"
JUDGE, WRITER = "anthropic/claude-opus-4.8", "deepseek/deepseek-v4-pro"
LINE = f"%%fusion -m {A} -m {B} --judge {JUDGE} --synthesizer {WRITER}"
PROMPT = "What is the capital of France?"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server(key="nobodys") as running:
        running.reply("*", Reply("Paris, on the Seine."))
        running.reply(JUDGE, Reply(analysis_json(("A", "B"))))
        running.reply(WRITER, Reply("The capital is **Paris**."))
        monkeypatch.setenv("OPENROUTER_BASE_URL", running.base_url)
        monkeypatch.setenv("OPENROUTER_API_KEY", "nobodys")
        yield running


def asked(server: Server) -> list[str]:
    """The models of the chat calls so far."""
    return [str(request.model) for request in server.requests if request.path.endswith("/chat/completions")]


# --- reuse ------------------------------------------------------------------------------------------


def test_the_same_cell_again_asks_nobody_and_says_so_on_its_first_line(cell: Cells, server: Server) -> None:
    first = cell(f"{LINE}\n{PROMPT}").value
    before = asked(server)

    again = cell(f"{LINE}\n{PROMPT}")

    assert len(before) == 4
    assert asked(server) == before
    assert again.value.answer == first.answer
    assert "Reused 4 of 4 calls from " in again.text
    assert "$0, saved $" in again.text
    assert "--fresh asks again." in again.text


@pytest.mark.parametrize(
    ("line", "models"),
    [
        ("--reuse never", [A, B, JUDGE, WRITER]),
        ("--fresh", [A, B, JUDGE, WRITER]),
        ("--fresh panel", [A, B]),
        ("--fresh judge", [JUDGE]),
        ("--fresh synthesis", [WRITER]),
        ("--max-age 0s", [A, B, JUDGE, WRITER]),
        ("--max-age 1h", []),
        ("--reuse only", []),
        ("--no-store", [A, B, JUDGE, WRITER]),
    ],
)
def test_flags_say_what_is_asked_anew(cell: Cells, server: Server, line: str, models: list[str]) -> None:
    cell(f"{LINE}\n{PROMPT}")
    before = len(asked(server))

    ran = cell(f"{LINE} {line}\n{PROMPT}")

    assert ran.value.answer == "The capital is **Paris**.", ran.text
    assert sorted(asked(server)[before:]) == sorted(models)


def test_only_fails_rather_than_asks(cell: Cells, server: Server) -> None:
    ran = cell(f"{LINE} --reuse only\n{PROMPT}")

    assert asked(server) == []
    assert ran.error is not None
    assert "--reuse only" in str(ran.error)


def test_a_thread_goes_on_with_the_turns_before(cell: Cells, server: Server) -> None:
    cell(f"{LINE} --thread capitals\n{PROMPT}")
    before = len(server.requests)

    cell(f"{LINE} --thread capitals\nAnd of Italy?")

    sent = [json.dumps(request.body) for request in server.requests[before:] if request.model in (A, B, JUDGE, WRITER)]
    assert len(sent) == 4
    assert all("And of Italy?" in body and PROMPT in body for body in sent)
    assert [line.thread for line in open_store().history()] == ["capitals", "capitals"]


def test_what_a_cell_paid_is_booked_on_its_notebook_and_panel(
    cell: Cells, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "/n/capitals.ipynb")

    ran = cell(f"{LINE}\n{PROMPT}")

    (line,) = open_store().costs("notebook")
    assert (line.name, line.calls) == ("/n/capitals.ipynb", 4)
    assert line.cost == pytest.approx(ran.value.cost)


@pytest.mark.parametrize(
    ("variable", "session", "notebook"),
    [
        (None, "/n/one.ipynb", "/n/one.ipynb"),
        ("/n/code.ipynb", "one-jvsc-8f3c.ipynb", "/n/code.ipynb"),
        ("", "/n/one.ipynb", "/n/one.ipynb"),
        (["no", "path"], "", ""),
    ],
)
def test_the_notebook_is_what_vs_code_says_or_else_the_jupyter_server(
    variable: object, session: str, notebook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", session)

    assert notebook_of({"__vsc_ipynb_file__": variable}) == notebook


# --- limits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["--max-usd", "--max-usd-day", "--max-usd-notebook"])
def test_a_run_above_its_limit_asks_nobody_and_one_below_it_runs(
    cell: Cells, server: Server, flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "/n/capitals.ipynb")

    refused = cell(f"{LINE} {flag} 0.001\n{PROMPT}")
    before = asked(server)
    ran = cell(f"{LINE} {flag} 5\n{PROMPT}")

    assert len(refused.lines) == 1
    assert "$0.0010" in refused.lines[0]
    assert before == []
    assert ran.value.answer == "The capital is **Paris**.", ran.text


def test_what_the_day_has_cost_counts_for_its_limit(cell: Cells, server: Server) -> None:
    book(call(cost=5.0), "paid", Place("/n/other.ipynb"))
    settled()

    ran = cell(f"{LINE} --max-usd-day 5\n{PROMPT}")

    assert asked(server) == []
    assert ran.error is not None


def test_a_model_without_a_price_needs_a_flag_under_a_limit(cell: Cells) -> None:
    with scripted(ANSWERS) as script:
        refused = cell(f"%%fusion -m a/one --max-usd 5\n{PROMPT}")
        nobody = list(script.requests)
        ran = cell(f"%%fusion -m a/one --max-usd 5 --allow-unpriced\n{PROMPT}")

    assert "--allow-unpriced" in refused.text
    assert nobody == []
    assert ran.value.answer == "The capital is Paris."


# --- the price before -------------------------------------------------------------------------------


def test_a_dry_run_asks_nobody_and_shows_every_call_with_its_price(cell: Cells, server: Server) -> None:
    ran = cell(f"{LINE} --dry-run --into price\n{PROMPT}")

    (shown,) = ran.shown
    assert asked(server) == []
    assert isinstance(ran.value, RunEstimate)
    assert cell["price"] is ran.value
    assert all(model in shown["text/plain"] for model in (A, B, JUDGE, WRITER))
    assert f"${ran.value.cost.expected:.2g}"[:4] in shown["text/plain"]
    assert "<table" in shown["text/html"]
    assert open_store().history() == []


def test_a_dry_run_says_what_would_be_reused(cell: Cells, server: Server) -> None:
    cell(f"{LINE}\n{PROMPT}")
    before = asked(server)

    ran = cell(f"{LINE} --dry-run\n{PROMPT}")

    assert asked(server) == before
    assert [row.reused for row in ran.value.rows[:2]] == [True, True]
    assert "reused" in ran.shown[0]["text/plain"]


def test_an_estimate_is_drawn_again_when_it_is_asked_for(cell: Cells, server: Server) -> None:
    cell(f"{LINE} --dry-run --into price\n{PROMPT}")

    ran = cell("price")

    assert WRITER in ran.shown[0]["text/plain"]


def test_a_rejudgement_has_a_price_too(cell: Cells, server: Server) -> None:
    made = cell(f"{LINE}\n{PROMPT}").value
    before = asked(server)

    ran = cell(f"%fusion rejudge {made.id} --judge {A} --dry-run")

    assert asked(server) == before
    assert [(row.stage, row.reused) for row in ran.value.rows][2] == ("judge", False)


@pytest.mark.parametrize(("answer", "calls"), [("y\n", 4), ("Yes\n", 4), ("n\n", 0), ("\n", 0), ("", 0)])
def test_confirm_asks_once_the_price_is_shown(
    cell: Cells, server: Server, answer: str, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))

    ran = cell(f"{LINE} --confirm\n{PROMPT}")

    assert WRITER in ran.shown[0]["text/plain"]
    assert "Ask them? [y/N]" in ran.text
    assert len(asked(server)) == calls
    assert ("Nobody was asked." in ran.text) is (calls == 0)
    assert (ran.value is None) is (calls == 0)
    assert ran.error is None


# --- in a kernel ------------------------------------------------------------------------------------


@pytest.fixture
def kernel(server: Server) -> Iterator[Kernel]:
    pytest.importorskip("ipykernel")
    kernel = start("nobodys")
    kernel.run("%load_ext fusion_magic")
    yield kernel
    stop(kernel)


def test_in_a_kernel_confirm_asks_an_awaited_cell_and_an_interrupt_is_a_no(kernel: Kernel, server: Server) -> None:
    code = f"{LINE} --confirm --static\n{PROMPT}"

    without_stdin = kernel.run(code)
    yes = kernel.ask(code, "y")
    interrupted = kernel.ask(code, None)

    assert "nobody can be asked here" in without_stdin.reply["evalue"]
    assert "The capital is" in yes.html[-1]
    assert "KeyboardInterrupt" in "".join(interrupted.error)
    assert len(asked(server)) == 4
