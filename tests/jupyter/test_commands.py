"""`%fusion WORD`: what each command shows and stores, against a server on loopback."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fusion_magic import keys
from fusion_magic.presets import endpoints, panels
from servers.openrouter import Server

from .conftest import Cells, Ran

KEY = "nobodys-secret"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server(key=KEY) as running:
        monkeypatch.setenv("OPENROUTER_BASE_URL", running.base_url)
        yield running


def typed(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    """A person at the prompt that does not echo."""
    monkeypatch.setattr("getpass.getpass", lambda prompt: key)


def rows(ran: Ran) -> list[str]:
    return ran.shown[0]["text/plain"].splitlines()


def stored_key() -> str | None:
    key = keys.find_key(endpoints()["openrouter"])
    return key.get_secret_value() if key else None


def test_alone_it_lists_the_commands(cell: Cells) -> None:
    told = cell("%fusion").everything

    for word in (
        "pick [PANEL]",
        "panels [--check]",
        "models [WORD]",
        "login [ENDPOINT]",
        "logout [ENDPOINT]",
        "doctor",
    ):
        assert f"%fusion {word}" in told
    assert all(flag in told for flag in ("--tools", "--data", "--corpus", "--attach", "--mcp"))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("dcotor", ['no command "dcotor"', '"doctor"']),
        ('models "open', ["quotation"]),
        ("panels --chekc", ["--check or nothing"]),
        ("login opnrouter", ['no endpoint "opnrouter"', '"openrouter"']),
        (f"login openrouter {KEY}", ["the endpoint's name only"]),
        ("doctor now", ["takes nothing"]),
        ("pick one two", ["one panel"]),
        ("pick", ["needs a notebook", "%fusion panels", "save_panel"]),
    ],
)
def test_a_line_that_cant_be_carried_out_is_one_sentence(cell: Cells, line: str, words: list[str]) -> None:
    ran = cell(f"%fusion {line}")

    assert len(ran.lines) == 1
    assert ran.lines[0].startswith("UsageError: ")
    assert all(word in ran.lines[0] for word in words)
    assert KEY not in ran.text


# --- panels and models ------------------------------------------------------------------------------


def test_panels_shows_every_panel_with_members_and_score(cell: Cells) -> None:
    ran = cell("%fusion panels")

    assert [row.partition("  ")[0] for row in rows(ran)[: len(panels())]] == list(panels())
    assert "64.7" in next(row for row in rows(ran) if row.startswith("budget"))
    assert "  web  " in next(row for row in rows(ran) if row.startswith("budget"))
    assert "  web  " not in next(row for row in rows(ran) if row.startswith("local"))
    assert "measured with tools, DRACO only" in rows(ran)[-1]
    assert "<table" in ran.shown[0]["text/html"]


@pytest.mark.parametrize(("tools", "web"), [('["web_search"]', True), ("[]", False)])
def test_panels_says_which_of_the_users_own_have_the_web(cell: Cells, tools: str, web: bool) -> None:
    file = Path(os.environ["FUSION_HOME"], "fusion.toml")
    file.write_text(f'[panels.mine]\nmodels = ["a@ollama"]\ntools = {tools}\n')

    ran = cell("%fusion panels")

    assert ("  web  " in next(row for row in rows(ran) if row.startswith("mine"))) is web
    assert "--tools none" in rows(ran)[-1]


def test_panels_holds_the_users_own(cell: Cells) -> None:
    Path(os.environ["FUSION_HOME"], "fusion.toml").write_text('[panels.mine]\nmodels = ["<b>a</b>@ollama"]\n')

    ran = cell("%fusion panels")

    assert any(row.startswith("mine  <b>a</b>@ollama") for row in rows(ran))
    assert "<b>a</b>" not in ran.shown[0]["text/html"]


def test_check_says_which_panels_stand_and_what_replaces_a_model_that_is_gone(cell: Cells, server: Server) -> None:
    server.models = [model for model in server.models if model["id"] != "openai/gpt-5.5"]
    server.key = None

    ran = cell("%fusion panels --check")

    standing = {row.partition("  ")[0]: row for row in rows(ran)}
    assert standing["budget"].endswith("stands")
    assert "openai/gpt-5.5 is gone" in standing["frontier"]
    assert "now " in standing["free"]


def test_models_finds_by_word_with_prices(cell: Cells, server: Server) -> None:
    server.key = None

    ran = cell("%fusion models kimi")

    assert all("kimi" in row for row in rows(ran))
    assert "per million tokens" in rows(ran)[0]


def test_a_catalogue_that_cant_be_read_is_one_line(cell: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENROUTER_BASE_URL", "http://127.0.0.1:1/v1")

    ran = cell("%fusion models kimi")

    assert ran.lines == [f"FusionError: {ran.error}"]
    assert "%fusion doctor" in ran.text


# --- keys -------------------------------------------------------------------------------------------


def test_login_stores_a_key_that_no_output_shows(cell: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, f" {KEY} ")

    ran = cell("%fusion login")

    file = Path(os.environ["FUSION_HOME"], "keys.json")
    assert stored_key() == KEY
    assert KEY not in ran.everything
    assert str(file) in ran.text
    if sys.platform != "win32":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_logout_deletes_it(cell: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, KEY)
    cell("%fusion login")

    first, second = cell("%fusion logout"), cell("%fusion logout")

    assert "is deleted" in first.text
    assert "No key" in second.text
    assert stored_key() is None


def test_login_for_an_endpoint_of_ones_own_leaves_openrouters_key(cell: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(os.environ["FUSION_HOME"], "fusion.toml").write_text('[endpoints.work]\nbase_url = "https://llm.example/v1"\n')
    typed(monkeypatch, KEY)

    ran = cell("%fusion login work")

    assert "The key for work is in" in ran.text
    assert stored_key() is None


@pytest.mark.parametrize("key", ["", "   ", "two words", "naïve"])
def test_what_is_no_key_is_not_stored(cell: Cells, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    typed(monkeypatch, key)

    ran = cell("%fusion login")

    assert len(ran.lines) == 1
    assert ran.error is not None
    assert stored_key() is None


# --- doctor -----------------------------------------------------------------------------------------


def test_doctor_without_a_key_says_how_to_get_one(cell: Cells, server: Server) -> None:
    ran = cell("%fusion doctor")

    assert any(row.startswith("✗  OpenRouter key  none  Set OPENROUTER_API_KEY") for row in rows(ran))


def test_doctor_with_a_key_shows_credit_and_every_model_of_the_default_panel(
    cell: Cells, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", KEY)

    ran = cell("%fusion doctor")

    told = "\n".join(rows(ran))
    assert "✓  OpenRouter key  accepted" in told
    assert "$12.50 left on this key" in told
    for seat in panels()["budget"].models:
        assert f"✓  {seat.model} (panel budget)  known, " in told
    assert KEY not in ran.everything


def test_doctor_says_that_a_key_is_refused_without_showing_it(
    cell: Cells, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "an-old-secret")

    ran = cell("%fusion doctor")

    assert any(row.startswith("✗  OpenRouter key") and "401" in row and "login" in row for row in rows(ran))
    assert "an-old-secret" not in ran.everything
