"""Where a price comes from: the catalogue, then the user's own file, then the library; else it is unknown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fusion_magic.endpoints import Endpoint, builtin_endpoints
from fusion_magic.errors import SettingsError
from fusion_magic.presets import OwnPrice, choose_panel, panel_named, save_panel, user_file
from fusion_magic.prices import FREE, UNKNOWN, Price, cost_of, price_for
from fusion_magic.results import Usage
from fusion_magic.settings import Panel, Settings

LISTED = Price(1e-6, 2e-6)
CORP = Endpoint(name="corp", base_url="https://llm.corp.example/v1")
OLLAMA, OPENROUTER, OPENAI = (builtin_endpoints()[name] for name in ("ollama", "openrouter", "openai"))
OWN = {"m": OwnPrice(input=3, output=4)}


def own(name: str) -> dict[str, OwnPrice]:
    return {name: OwnPrice(input=7, output=8, cached=0.7)}


@pytest.mark.parametrize(
    ("model", "endpoint", "listed", "written", "price"),
    [
        ("m", OPENROUTER, LISTED, OWN, LISTED),
        ("m", OPENROUTER, UNKNOWN, OWN, Price(3e-6, 4e-6)),
        ("m@corp", CORP, UNKNOWN, OWN, Price(3e-6, 4e-6)),
        ("m@corp", CORP, UNKNOWN, OWN | own("m@corp"), Price(7e-6, 8e-6, input_cache_read=7e-7)),
        ("m@corp", CORP, Price(1e-6, None), {}, UNKNOWN),
        ("m@ollama", OLLAMA, UNKNOWN, {}, FREE),
        ("m@ollama", OLLAMA, UNKNOWN, OWN, FREE),
        ("m@ollama", OLLAMA, UNKNOWN, own("m@ollama"), Price(7e-6, 8e-6, input_cache_read=7e-7)),
        ("m@ollama", OLLAMA, LISTED, {}, FREE),
    ],
)
def test_the_first_place_that_knows_a_price_says_it(
    model: str, endpoint: Endpoint, listed: Price, written: dict[str, OwnPrice], price: Price
):
    assert price_for(model, endpoint, listed, written) == price


def test_a_price_of_the_user_s_own_goes_before_the_library_s():
    pytest.importorskip("genai_prices")

    price = price_for("gpt-4o@openai", OPENAI, UNKNOWN, {"gpt-4o@openai": OwnPrice(input=0, output=0)})

    assert price == FREE


def test_the_library_prices_models_of_providers_it_knows_by_their_address():
    pytest.importorskip("genai_prices")

    price = price_for("gpt-4o@openai", OPENAI, UNKNOWN, {})

    assert (price.prompt, price.completion) == (pytest.approx(2.5e-6), pytest.approx(1e-5))
    assert price.input_cache_read == pytest.approx(1.25e-6)


def test_the_library_s_tiers_are_kept():
    pytest.importorskip("genai_prices")

    price = price_for("gemini-2.5-pro@google", _google(), UNKNOWN, {})

    assert price.at(100_000).prompt == pytest.approx(1.25e-6)
    assert price.at(200_001).prompt == pytest.approx(2.5e-6)
    assert price.at(200_001).completion == pytest.approx(1.5e-5)


def test_our_cost_is_the_library_s_own():
    library = pytest.importorskip("genai_prices")
    google = _google()
    usage = Usage(prompt_tokens=300_000, completion_tokens=1_000, cached_tokens=100_000)

    cost = cost_of(usage, price_for("gemini-2.5-pro@google", google, UNKNOWN, {}))

    counted = library.Usage(input_tokens=300_000, output_tokens=1_000, cache_read_tokens=100_000)
    theirs = library.calc_price(counted, "gemini-2.5-pro", provider_api_url=google.base_url).total_price
    assert cost == pytest.approx(float(theirs))


def _google() -> Endpoint:
    return Endpoint(name="google", base_url="https://generativelanguage.googleapis.com/v1beta/openai")


@pytest.mark.parametrize(("model", "endpoint"), [("gpt-4o@corp", CORP), ("nobody-knows@openai", OPENAI)])
def test_a_known_model_at_an_unknown_address_is_not_priced(model: str, endpoint: Endpoint):
    assert price_for(model, endpoint, UNKNOWN, {}) == UNKNOWN


# --- the user's file --------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FUSION_HOME", str(tmp_path))
    return tmp_path


def test_prices_are_read_from_the_user_s_file_by_name(home: Path):
    home.joinpath("fusion.toml").write_text('[prices."m@corp"]\ninput = 2.5\noutput = 10\n')

    price = price_for("m@corp", CORP, UNKNOWN, user_file().prices)

    assert price == Price(2.5e-6, 1e-5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("input = -1\noutput = 1", "prices.m.input"),
        ("input = 1", "prices.m.output"),
        ("input = 1\noutput = 1\nouput = 2", 'no setting "ouput"; did you mean "output"'),
    ],
)
def test_a_price_that_can_t_be_used_is_named(home: Path, text: str, said: str):
    home.joinpath("fusion.toml").write_text(f"[prices.m]\n{text}\n")

    with pytest.raises(SettingsError, match=said):
        user_file()


def test_a_panel_keeps_its_limit_when_it_is_saved_and_chosen(home: Path):
    made: Any = {"models": ["a/b"], "max_usd": 0.5}
    save_panel("mine", Panel(**made))

    assert panel_named("mine").max_usd == 0.5
    assert choose_panel(Settings(panel="mine")).max_usd == 0.5
