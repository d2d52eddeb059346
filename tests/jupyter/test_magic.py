"""`%%fusion` in a shell without a kernel: what each flag changes, what the cell leaves, and who decides."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fusion_magic import Line, Panel, Settings, scripted
from fusion_magic.errors import CallError, RequestRefused
from fusion_magic.providers import ChatRequest
from fusion_magic.providers.scripted import Script
from fusion_magic.results import FusionResult

from .conftest import Cells
from .flag_cases import ANALYSIS, ANSWERS, CHAIRS, MODELS, MONEY_CASES, SIMULATED, STRATEGY_CASES, TOOL_CASES, Case

NEVER = Line("Too late.", first_token=600.0)
STALLS = Line("Too slow.", gap=600.0)
REFUSED = RequestRefused("b/two answered 500.", status_code=500, retryable=True)


def of(requests: list[ChatRequest], stage: str) -> list[ChatRequest]:
    return [request for request in requests if request.stage == stage]


def said(requests: list[ChatRequest], stage: str) -> str:
    return str([request.messages for request in of(requests, stage)])


def lost(result: FusionResult) -> str:
    return " ".join(failed.error for failed in result.failed_models)


CASES = {
    "panel": Case(
        "-p frontier",
        lambda result, _: (
            [seat.model for seat in result.responses]
            == ["anthropic/claude-opus-4.8", "openai/gpt-5.5", "google/gemini-3.1-pro-preview"]
        ),
    ),
    "models": Case(
        "-m a/one -m b/two@ollama -m a/one",
        lambda result, _: [seat.model for seat in result.responses] == ["a/one", "b/two@ollama", "a/one"],
    ),
    "judge": Case(f"{MODELS} --judge j/x", lambda _, asked: of(asked, "judge")[0].model == "j/x"),
    "synthesizer": Case(f"{MODELS} --synthesizer s/x", lambda _, asked: of(asked, "synthesis")[0].model == "s/x"),
    "max_tokens": Case(f"{MODELS} --max-tokens 123", lambda _, asked: {call.max_tokens for call in asked} == {123}),
    "temperature": Case(
        f"{MODELS} --temperature 0.25",
        lambda _, asked: (
            {call.temperature for call in of(asked, "panel")} == {0.25} and of(asked, "judge")[0].temperature == 0
        ),
    ),
    "effort": Case(f"{MODELS} --effort low", lambda _, asked: {call.effort for call in asked} == {"low"}),
    "system": Case(
        f'{MODELS} --system "Answer in verse."',
        lambda _, asked: "Answer in verse." in said(asked, "panel") and "Answer in verse." in said(asked, "synthesis"),
    ),
    "rubric": Case(
        f'{MODELS} --rubric "Weigh the dates."',
        lambda _, asked: "Weigh the dates." in said(asked, "judge") and "Weigh" not in said(asked, "panel"),
    ),
    "timeout": Case(
        f"{MODELS} --timeout 0.05",
        lambda result, _: "took more than 0.05 s" in lost(result),
        {**CHAIRS, "b/two": NEVER, "*": "Paris."},
    ),
    "connect_timeout": Case(
        f"{MODELS} --connect-timeout 3", lambda _, asked: {call.connect_timeout for call in asked} == {3.0}
    ),
    "first_token_timeout": Case(
        f"{MODELS} --first-token-timeout 0.05 --connect-timeout 0.05 --retries 0",
        lambda result, _: "no token within 0.05 s" in lost(result),
        {**CHAIRS, "b/two": NEVER, "*": "Paris."},
    ),
    "gap_timeout": Case(
        f"{MODELS} --gap-timeout 0.05 --retries 0",
        lambda result, _: "nothing for 0.05 s" in lost(result),
        {**CHAIRS, "b/two": STALLS, "*": "Paris."},
    ),
    "retries": Case(
        f"{MODELS} --retries 0",
        lambda result, asked: "b/two answered 500" in lost(result) and len(of(asked, "panel")) == 2,
        {**CHAIRS, "b/two": [REFUSED, "Paris."], "*": "Paris."},
    ),
    "quorum": Case(
        f"{MODELS} --quorum 1 --grace 0.05",
        lambda result, _: "the quorum of 1 had answered" in lost(result),
        {**CHAIRS, "b/two": NEVER, "*": "Paris."},
    ),
    "grace": Case(
        f"{MODELS} --quorum 1 --grace 0.3",
        lambda result, _: len(result.responses) == 2 and not lost(result),
        {**CHAIRS, "b/two": Line("Paris.", first_token=0.02), "*": "Paris."},
    ),
    "private": Case(f"{MODELS} --private", lambda _, asked: all(call.private for call in asked)),
    **TOOL_CASES,
    **MONEY_CASES,
    **STRATEGY_CASES,
    "simulate": SIMULATED,
}


NEED_THE_STORE = {"max_usd_day", "max_usd_notebook", "thread"}  # which a script is kept away from: `test_money_cell`


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if name not in NEED_THE_STORE])
def test_every_flag_changes_what_happens(
    cell: Cells, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]  # a setting that is not here needs its line
    monkeypatch.chdir(tmp_path)
    if case.prepare:
        case.prepare(tmp_path)
    cell(case.setup)
    with scripted(case.answers) as script:
        ran = cell(f"%%fusion {case.line}\nWhat is the capital of France?")

    assert isinstance(ran.value, FusionResult), ran.text
    assert case.true(ran.value, script.requests)


def test_what_a_flag_sets_is_not_so_without_it(cell: Cells) -> None:
    with scripted(ANSWERS) as script:
        ran = cell(f"%%fusion {MODELS}\nWhat is the capital of France?")

    told = {
        name
        for name in ("effort", "private", "max_tokens", "temperature")
        if CASES[name].true(ran.value, script.requests)
    }
    assert told == set()


# --- what the cell leaves ---------------------------------------------------------------------------


def test_value_and_both_names_are_the_same_object(cell: Cells) -> None:
    with scripted(ANSWERS):
        ran = cell(f"%%fusion {MODELS} --into capital\nWhat is the capital of France?")

    assert ran.value.answer == "The capital is Paris."
    assert cell["_fusion"] is ran.value
    assert cell["capital"] is ran.value


def test_the_prompt_is_the_text_below_the_line(cell: Cells) -> None:
    with scripted(ANSWERS) as script:
        ran = cell(f"%%fusion {MODELS}\n\n  Two lines\n  of it \n")

    assert ran.value.prompt == "Two lines\n  of it"
    assert "Two lines\\n  of it" in said(script.requests, "panel")


def test_a_result_is_drawn_once_by_its_cell_and_again_by_a_later_one(cell: Cells) -> None:
    with scripted(ANSWERS):
        first = cell(f"%%fusion {MODELS} --static\nWhat is the capital of France?")
    second = cell("_fusion")

    assert first.everything.count("The capital is Paris.") == 1
    assert [set(bundle) for bundle in second.shown] == [
        {"text/html", "text/markdown", "text/plain", "application/vnd.fusion+json"}
    ]


def test_a_result_that_failed_is_drawn_when_it_is_asked_for(cell: Cells) -> None:
    with scripted({"*": CallError("no line")}):
        cell(f"%%fusion {MODELS}\nWhat?")

    assert "no line" in cell("_fusion").everything


def test_a_result_whose_value_is_not_the_cells_is_drawn_when_it_is_asked_for(cell: Cells) -> None:
    with scripted(ANSWERS):
        cell(f"r = get_ipython().run_cell_magic('fusion', '{MODELS}', 'What?')")

    assert "The capital is Paris." in cell("r").everything


def test_two_results_in_one_cell_are_both_drawn(cell: Cells) -> None:
    with scripted({"judge": ANALYSIS, "synthesis": ["First.", "Second."], "*": "Paris."}):
        ran = cell(f"for _ in range(2): get_ipython().run_cell_magic('fusion', '{MODELS} --static', 'What?')")

    assert ran.text.index("First.") < ran.text.index("Second.")


def test_fuse_shows_its_result_like_the_magic(cell: Cells) -> None:
    with scripted(ANSWERS):
        ran = cell("from fusion_magic import fuse\nfuse('What?', models=['a/one'])")

    assert len(ran.shown) == 1
    assert "The capital is Paris." in ran.shown[0]["text/html"]


# --- the flags of the cell --------------------------------------------------------------------------


def test_the_terminal_tells_the_plan_then_each_seats_progress_then_the_result(cell: Cells) -> None:
    slow = Line("Paris.", first_token=0.4)
    with scripted({**CHAIRS, "a/one": slow, "*": "Paris."}):
        ran = cell(f"%%fusion {MODELS}\nWhat?")

    asked, answer = ran.text.index("A  a/one  "), ran.text.index("The capital is Paris.")
    assert asked < answer
    assert "synthesizer  a/one" in ran.text[:answer]


def test_static_gives_the_result_alone(cell: Cells) -> None:
    with scripted({**CHAIRS, "a/one": Line("Paris.", first_token=0.3), "*": "Paris."}):
        ran = cell(f"%%fusion {MODELS} --static\nWhat?")

    assert "waiting" not in ran.text
    assert "It lies on the Seine." in ran.text


def test_quiet_gives_the_answer_alone(cell: Cells) -> None:
    with scripted(ANSWERS):
        ran = cell(f"%%fusion {MODELS} --quiet\nWhat?")

    assert [line for line in ran.lines if not line.startswith("Out[")] == ["The capital is Paris."]


def test_names_are_replaced_and_listed_in_the_output(cell: Cells) -> None:
    cell["city"] = "Zürich"
    with scripted(ANSWERS) as script:
        ran = cell(f'%%fusion {MODELS}\nWhere is {{city}}? {{"json": 1}} {{nobody}}')

    assert 'Where is Zürich? {"json": 1} {nobody}' in ran.value.prompt
    assert "Zürich" in said(script.requests, "panel")
    assert "Inserted {city}: str, 6 characters." in ran.text


def test_raw_sends_braces_as_they_are(cell: Cells) -> None:
    cell["city"] = "Zürich"
    with scripted(ANSWERS):
        ran = cell(f"%%fusion {MODELS} --raw\nWhere is {{city}}?")

    assert ran.value.prompt == "Where is {city}?"
    assert "Inserted" not in ran.text


def test_a_panel_in_a_variable_is_a_panel_by_name(cell: Cells) -> None:
    cell("from fusion_magic import Panel\nmine = Panel(models=['a/one', 'b/two'], judge='j/x')")
    with scripted(ANSWERS) as script:
        ran = cell("%%fusion --panel mine\nWhat?")

    assert [seat.model for seat in ran.value.responses] == ["a/one", "b/two"]
    assert of(script.requests, "judge")[0].model == "j/x"


# --- who decides ------------------------------------------------------------------------------------


def asked_tokens(script: Script) -> set[int]:
    return {request.max_tokens for request in script.requests}


def test_a_flag_beats_config_and_config_beats_the_file(cell: Cells) -> None:
    Path(os.environ["FUSION_HOME"], "fusion.toml").write_text("[settings]\nmax_tokens = 100\neffort = 'low'\n")
    tokens = []
    for before, line in [("", ""), ("%config FusionMagics.max_tokens = 200", ""), ("", "--max-tokens 300")]:
        cell(before)
        with scripted(ANSWERS) as script:
            cell(f"%%fusion {MODELS} {line}\nWhat?")
        tokens.append(asked_tokens(script))
        assert {request.effort for request in script.requests} == {"low"}

    assert tokens == [{100}, {200}, {300}]


def test_a_keyword_beats_the_file(cell: Cells) -> None:
    Path(os.environ["FUSION_HOME"], "fusion.toml").write_text("[settings]\nmax_tokens = 100\n")
    with scripted(ANSWERS) as script:
        cell("from fusion_magic import fuse\nfuse('What?', models=['a/one'], max_tokens=300)")

    assert asked_tokens(script) == {300}


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_can_be_given_by_config(cell: Cells, name: str) -> None:
    listed = cell("%config FusionMagics")

    assert f"FusionMagics.{name}" in listed.text


def test_config_takes_models_and_none_takes_them_back(cell: Cells) -> None:
    cell("%config FusionMagics.models = ['a/one', 'b/two']")
    with scripted(ANSWERS):
        ran = cell("%%fusion\nWhat?")
        cell("%config FusionMagics.models = None")
        without = cell("%%fusion\nWhat?")

    assert [seat.model for seat in ran.value.responses] == ["a/one", "b/two"]
    assert all(seat.model.endswith("@local") for seat in without.value.responses)


def test_a_bad_value_for_config_is_one_line_and_leaves_what_was(cell: Cells, caplog: pytest.LogCaptureFixture) -> None:
    cell("%config FusionMagics.max_tokens = 200")
    ran = cell("%config FusionMagics.max_tokens = -4")
    with scripted(ANSWERS) as script:
        cell(f"%%fusion {MODELS}\nWhat?")

    assert "max_tokens: Input should be greater than 0" in ran.text + caplog.text
    assert "Traceback" not in ran.text
    assert asked_tokens(script) == {200}


def test_without_a_key_the_embedded_model_sits_under_a_banner(cell: Cells) -> None:
    with scripted(ANSWERS):
        ran = cell("%%fusion\nWhat?")

    assert {seat.model for seat in ran.value.responses} == {"smollm2@local"}
    assert "No key was found, so the tiny embedded model answers." in ran.text
    assert "%fusion login" in ran.text


def test_with_a_key_budget_answers_without_a_banner(cell: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "nobodys")
    with scripted(ANSWERS):
        ran = cell("%%fusion\nWhat?")

    assert ran.value.settings["panel"]["name"] == "budget"
    assert "No key was found" not in ran.text


def test_models_of_the_users_own_need_no_banner(cell: Cells) -> None:
    Path(os.environ["FUSION_HOME"], "fusion.toml").write_text('[settings]\nmodels = ["llama3.2@ollama"]\n')

    with scripted({"*": "Paris."}):
        ran = cell("%%fusion\nWhat?")

    assert [seat.model for seat in ran.value.responses] == ["llama3.2@ollama"]
    assert "embedded model" not in ran.text


def test_a_default_panel_of_the_users_own_needs_no_banner(cell: Cells) -> None:
    Path(os.environ["FUSION_HOME"], "fusion.toml").write_text(
        '[settings]\npanel = "mine"\n[panels.mine]\nmodels = ["a@ollama"]\n'
    )
    with scripted(ANSWERS):
        ran = cell("%%fusion\nWhat?")

    assert [seat.model for seat in ran.value.responses] == ["a@ollama"]
    assert "No key was found" not in ran.text


def test_quiet_says_so_when_the_answer_is_not_a_whole_one(cell: Cells) -> None:
    broken = Line("The safe dose is 50 mg, but never", error=CallError("The line broke."))
    with scripted({**ANSWERS, "synthesis": broken}):
        ran = cell(f"%%fusion {MODELS} --quiet\nHow much?")

    assert "There is no fused answer" in ran.everything
    assert "as far as it was written" in ran.everything


def test_quiet_says_so_when_the_answer_stopped_at_its_limit(cell: Cells) -> None:
    with scripted({**ANSWERS, "synthesis": Line("Half an", finish="length")}):
        ran = cell(f"%%fusion {MODELS} --quiet\nHow much?")

    assert "token limit" in ran.everything


def test_a_judge_that_also_sits_on_the_panel_does_not_cost_the_run(cell: Cells) -> None:
    panel = Panel.model_validate({"models": ["a/one", "b/two"]})
    cell["mine"] = Panel.model_validate({"models": panel.models, "judge": panel.models[1]})
    with scripted(ANSWERS):
        ran = cell("%%fusion -p mine\nWhat?")

    assert ran.error is None
    assert cell["_fusion"].status == "ok"


def test_raw_keeps_the_text_to_the_letter(cell: Cells) -> None:
    with scripted(ANSWERS):
        ran = cell(f"%%fusion {MODELS} --raw\n    indented\n")

    assert ran.value.prompt == "    indented"
