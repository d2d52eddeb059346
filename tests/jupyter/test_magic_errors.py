"""How `%%fusion` fails: expected errors are one line, say what to do next, and lose nothing that was answered."""

from __future__ import annotations

import socket

import pytest

from fusion_magic import PanelFailed, scripted
from fusion_magic.errors import CallError, KeyMissing, SettingsError, UnknownModel, UnknownPanel
from servers.openrouter import Fault, Reply, Server, context_exceeded

from .conftest import Cells, Ran

MODELS = "-m a/one -m b/two"


def one_line(ran: Ran, kind: type[BaseException], *words: str) -> None:
    """The cell shows one line of that kind, with these words, and no traceback."""
    assert type(ran.error) is kind, ran.text
    assert len(ran.lines) == 1, ran.text
    assert all(word in ran.lines[0] for word in words), ran.text


def test_an_unknown_preset_names_the_nearest(cell: Cells) -> None:
    one_line(cell("%%fusion -p budgt\nWhat?"), UnknownPanel, "budgt", '"budget"', "%fusion panels")


def test_a_named_panel_without_a_key_says_where_to_put_one(cell: Cells) -> None:
    one_line(cell("%%fusion -p budget\nWhat?"), KeyMissing, "OPENROUTER_API_KEY", "%fusion login")


@pytest.mark.parametrize("prompt", ["", "\n", "   \n\t\n"])
def test_an_empty_prompt_is_refused(cell: Cells, prompt: str) -> None:
    ran = cell(f"%%fusion {MODELS}\n{prompt}")

    assert len(ran.lines) == 1
    assert "empty" in ran.text


def test_nine_models_are_too_many(cell: Cells) -> None:
    one_line(cell(f"%%fusion {'-m a/one ' * 9}\nWhat?"), SettingsError, "at most 8 models; 9 were given")


def test_an_unknown_flag_is_one_line(cell: Cells) -> None:
    ran = cell("%%fusion --modle x\nWhat?")

    assert ran.lines == [f"UsageError: {ran.error}"]


def test_a_value_out_of_range_is_one_line(cell: Cells) -> None:
    one_line(cell(f"%%fusion {MODELS} --temperature 9\nWhat?"), SettingsError, "temperature", "9.0")


def test_an_unknown_endpoint_is_one_line(cell: Cells) -> None:
    one_line(cell("%%fusion -m x@olama\nWhat?"), SettingsError, "olama", '"ollama"')


def test_a_model_that_is_not_in_the_catalogue_is_one_line_with_its_successors(
    cell: Cells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "nobodys")
    with Server() as server:
        monkeypatch.setenv("OPENROUTER_BASE_URL", server.base_url)
        ran = cell("%%fusion -m openai/gpt-5.4 --static\nWhat?")

    one_line(ran, UnknownModel, "openai/gpt-5.4", "openai/gpt-5.5")


def test_an_unreachable_endpoint_says_so(cell: Cells) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        ran = cell(f"%%fusion -m x@{address} --retries 0 --static\nWhat?")

    assert isinstance(ran.error, PanelFailed)
    assert ran.lines[-1].startswith("PanelFailed: No panelist answered. A: ")
    assert address.removesuffix("/v1") in ran.lines[-1]


def test_a_panel_that_failed_gives_each_reason_and_keeps_the_result(cell: Cells) -> None:
    with scripted({"a/one": CallError("a/one is tired."), "b/two": CallError("b/two is gone.")}):
        ran = cell(f"%%fusion {MODELS} --into r\nWhat?")

    assert ran.lines[-1] == "PanelFailed: No panelist answered. A: a/one is tired. B: b/two is gone."
    assert [failed.label for failed in cell["r"].failed_models] == ["A", "B"]
    assert cell["_fusion"].status == "error"
    assert "Traceback" not in ran.text


def test_a_prompt_that_is_too_long_says_what_to_do(cell: Cells) -> None:
    with Server() as server:
        server.reply("*", context_exceeded())
        ran = cell(f"%%fusion -m x@{server.base_url} --static\nWhat?")

    assert "Shorten the prompt, or choose a model with a longer context." in ran.lines[-1]
    assert "Traceback" not in ran.text


def test_a_failed_synthesizer_leaves_the_answers_and_no_traceback(cell: Cells) -> None:
    with scripted({"synthesis": CallError("a/one broke."), "*": "Paris."}):
        ran = cell(f"%%fusion {MODELS} --static\nWhat?")

    assert ran.error is None
    assert ran.value.status == "error"
    assert ran.text.startswith("There is no fused answer: a/one broke. The responses are kept.")


def test_a_key_that_a_server_echoes_is_shown_nowhere(cell: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "nobodys-secret")
    with Server() as server:
        monkeypatch.setenv("OPENROUTER_BASE_URL", server.base_url)
        server.reply("*", Fault(401, echo_key=True))
        server.reply("openai/gpt-5.5", Reply("Paris."))
        ran = cell("%%fusion -p frontier --judge openai/gpt-5.5 --synthesizer anthropic/claude-opus-4.8\nWhat?")

    assert server.requests[-1].headers["authorization"] == "Bearer nobodys-secret"
    assert "[key]" in ran.value.model_dump_json()
    assert "nobodys-secret" not in ran.everything + ran.value.model_dump_json() + repr(ran.value)
