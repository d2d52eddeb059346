"""What a picker offers: every endpoint that answers, how old its list is, and what speaks against a panel."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fusion_magic import Panel, Panelist
from fusion_magic.jupyter.picker.offer import Offer, kept_offer, look
from fusion_magic.prices import FREE, UNKNOWN
from fusion_magic.providers import Providers
from servers.openrouter import Server

OPUS, GPT = "anthropic/claude-opus-4.8", "openai/gpt-5.5"


def made(**parts: Any) -> Panel:
    return Panel(**parts)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server() as running:
        monkeypatch.setenv("OPENROUTER_BASE_URL", running.base_url)
        yield running


def looked(**more: float) -> Offer:
    return asyncio.run(look(Providers(), **more))


def configure(text: str) -> None:
    Path(os.environ["FUSION_HOME"], "fusion.toml").write_text(text, encoding="utf-8")


def source(offer: Offer, name: str) -> dict[str, object] | None:
    return next((told for told in offer.sources() if told["name"] == name), None)


def test_every_model_of_the_catalogue_is_offered_with_prices_context_and_abilities(server: Server):
    rows = {row[0]: row for row in looked().rows()}

    assert {model["id"] for model in server.models} <= rows.keys()
    assert rows[OPUS][:5] == [OPUS, "Anthropic: Claude Opus 4.8", pytest.approx(5), pytest.approx(25), 1_000_000]
    assert set(rows[OPUS][5]) == {"t", "r", "j"}
    assert rows["openrouter/fusion"][2:4] == [None, None]


def test_what_reads_images_says_so_and_what_writes_none_but_images_is_left_out(server: Server):
    server.models[0]["architecture"]["input_modalities"] = ["text", "image"]
    server.models[1]["architecture"]["output_modalities"] = ["image"]

    rows = {row[0]: row for row in looked().rows()}

    assert "i" in rows[OPUS][5]
    assert GPT not in rows


def test_a_server_of_ones_own_comes_first_with_its_name_behind_the_model_and_costs_nothing(server: Server):
    with Server() as own:
        own.models = [{"id": "llama3.2:latest"}]
        configure(f'[endpoints.work]\nbase_url = "{own.base_url}"\n')
        offer = looked()

    assert [row[0] for row in offer.rows()][:2] == ["llama3.2:latest@work", "smollm2@local"]
    assert offer.price_of("llama3.2@work") == FREE
    assert offer.entry("llama3.2@work") is not None


def test_without_a_network_the_kept_list_is_offered_with_its_age_and_the_reason(
    server: Server, monkeypatch: pytest.MonkeyPatch
):
    fresh = looked()
    server.key = "another"

    old = looked(max_age=-1.0)

    told = source(old, "openrouter")
    assert told is not None
    assert "401" in str(told["problem"])
    assert told["asked"] == pytest.approx(source(fresh, "openrouter")["asked"], abs=1)  # type: ignore[index]
    assert old.rows() == fresh.rows()
    assert kept_offer().rows() == fresh.rows()


def test_without_network_and_cache_there_is_the_embedded_model_and_the_reason(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENROUTER_BASE_URL", "http://127.0.0.1:1/v1")

    offer = looked()

    assert [row[0] for row in offer.rows()] == ["smollm2@local"]
    assert "can't be reached" in str(source(offer, "openrouter"))
    assert source(offer, "ollama") is None


def test_a_server_of_ones_own_that_does_not_answer_is_told(server: Server):
    configure('[endpoints.work]\nbase_url = "http://127.0.0.1:1/v1"\n')

    assert "can't be reached" in str(source(looked(), "work"))


def test_the_price_of_what_nobody_lists_is_unknown(server: Server):
    offer = looked()

    assert offer.price_of("nobody/knows") == UNKNOWN
    assert offer.price_of("x@nowhere") == UNKNOWN
    assert offer.price_of(f"{OPUS}:nitro") == offer.price_of(OPUS)


@pytest.mark.parametrize(
    ("panel", "doubts"),
    [
        (made(models=[GPT, "moonshotai/kimi-k2.6"], judge=OPUS), []),
        (made(models=[GPT, GPT], judge=OPUS), ["A and B are the same model (openai/gpt-5.5)"]),
        (
            made(models=[GPT, GPT, "openai/gpt-oss-20b:free"], judge=OPUS),
            ["A, B and C are of one family (openai)"],
        ),
        (
            made(models=["~anthropic/claude-opus-latest", OPUS], judge=GPT),
            ["A and B are of one family (anthropic)"],
        ),
        (
            made(models=[GPT, OPUS], judge=OPUS),
            [f"The judge ({OPUS}) and the synthesizer ({OPUS}) also sit"],
        ),
        (made(models=["smollm2@local"]), []),
        (made(models=["openai/gpt-5.4"], judge=OPUS), ["openai/gpt-5.4 is not in OpenRouter's catalogue; nearest: "]),
        (
            made(models=[Panelist(model="qwen/qwen3-4b:free", effort="high")], judge=OPUS),
            ["qwen/qwen3-4b:free does not take effort"],
        ),
    ],
)
def test_what_speaks_against_a_panel_is_said(server: Server, panel: Panel, doubts: list[str]):
    said = looked().doubts(panel)

    assert len(said) == len(doubts)
    assert all(sentence.startswith(doubt) for sentence, doubt in zip(said, doubts, strict=True))


def test_a_list_without_end_does_not_fill_the_page(server: Server):
    server.models = [{"id": f"a/{n}", "name": "x" * 10_000} for n in range(6_000)]

    rows = looked().rows()

    assert len(rows) <= 5_001
    assert max(len(row[1]) for row in rows) <= 200


# --- the web ----------------------------------------------------------------------------------------


def with_web(*models: str) -> Panel:
    return made(models=list(models), judge=OPUS, tools=["web"])


@pytest.fixture
def searching(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that can search for models that are not on OpenRouter."""
    monkeypatch.setenv("SEARXNG_URL", "http://localhost:8888")
    pytest.importorskip("trafilatura", reason="pages can't be read without it")


@pytest.mark.usefixtures("searching")
def test_a_model_that_takes_no_tools_is_told_where_the_panel_has_the_web(server: Server):
    server.models[1]["supported_parameters"] = ["temperature"]
    offer = looked()

    said = offer.doubts(with_web(GPT, "moonshotai/kimi-k2.6"))

    assert said == [f"{GPT} takes no tools; it would answer without the web."]
    assert offer.doubts(made(models=[GPT, "moonshotai/kimi-k2.6"], judge=OPUS)) == []


@pytest.mark.usefixtures("searching")
def test_the_embedded_model_takes_no_tools(server: Server):
    assert "smollm2@local takes no tools; it would answer without the web." in looked().doubts(
        with_web("smollm2@local")
    )


@pytest.mark.usefixtures("searching")
def test_a_seat_elsewhere_is_no_matter_where_this_machine_can_search(server: Server):
    assert looked().doubts(with_web(GPT, "llama3.2@ollama")) == []


def test_a_seat_elsewhere_is_told_with_what_to_install_where_this_machine_can_not_search(
    server: Server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "ddgs", None)  # as if it were not installed
    offer = looked()

    (said,) = offer.doubts(with_web(GPT, "llama3.2@ollama", "qwen3@ollama"))

    assert said.startswith("llama3.2@ollama, qwen3@ollama are not on OpenRouter, and this machine can't search for")
    assert 'pip install "fusion-magic[web]"' in said
    assert offer.doubts(made(models=[GPT, "llama3.2@ollama"], judge=OPUS)) == []


def test_a_search_that_is_set_up_wrongly_is_told_in_a_sentence(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FUSION_SEARCH", "gogle")

    (said,) = looked().doubts(with_web(GPT, "llama3.2@ollama"))

    assert 'FUSION_SEARCH names "gogle"' in said
