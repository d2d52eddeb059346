"""Which of OpenRouter's forms a hosted run takes, and what it can't be asked: an error or a warning, never silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from fusion_magic import Panel, Panelist, estimate, fuse
from fusion_magic.errors import KeyMissing, SettingsError
from fusion_magic.events import fold
from fusion_magic.folders import config_dir
from fusion_magic.jupyter.live.cards import Board
from fusion_magic.verbs import panel_of
from pipeline.hosting import JUDGE, ONE, THREE, TWO, ask, body, by_documents, hosting, posts
from servers.responses import Fusion, Validate
from servers.responses import Panelist as Seat

WEB = [{"type": "openrouter:web_search"}, {"type": "openrouter:web_fetch"}]
THEIRS = {"panel": "general-high", "models": None, "judge": None}


@pytest.fixture
def validate(shared: Path) -> Validate:
    return by_documents(shared)


def sent(validate: Validate, **settings: Any) -> dict[str, Any]:
    """The body of a hosted run's request."""
    with hosting(validate=validate) as server:
        run = ask(**settings)
        assert run.error is None, run.error
        return body(server)


def test_models_and_judge_go_into_the_plugin_of_the_slug(validate: Validate):
    made = sent(validate, max_tool_calls=7, tools="web")

    assert made["model"] == "openrouter/fusion"
    assert made["plugins"] == [
        {
            "id": "fusion",
            "analysis_models": [ONE, TWO, THREE],
            "model": JUDGE,
            "max_tool_calls": 7,
            "tools": WEB,
        }
    ]
    assert "tools" not in made


def test_a_preset_of_openrouters_goes_by_its_name(validate: Validate):
    made = sent(validate, **THEIRS)

    assert made["plugins"] == [{"id": "fusion", "preset": "general-high", "max_tool_calls": 4, "tools": WEB}]


def test_who_sits_in_a_preset_is_told_by_the_events(validate: Validate):
    seats = [Seat(f"x/{number}", f"Answer {number}.") for number in range(5)]
    with hosting(Fusion(panel=seats), validate=validate):
        run = ask(**THEIRS)
        result = run.kept

    assert [(seat.label, seat.model) for seat in result.responses] == [("ABCDE"[n], f"x/{n}") for n in range(5)]
    assert any("OpenRouter chooses who sits" in told for told in result.warnings)
    assert [seat.model for seat in panel_of(result).models] == [seat.model for seat in result.responses]
    assert fold(run.events) == result
    board = Board()
    for event in run.events:
        board.apply(event)
    assert {key: card.state for key, card in board.cards.items()} == dict.fromkeys(
        ("hosted", *"ABCDE", "judge", "synthesis"), "done"
    )


def test_what_a_preset_costs_is_not_known_before():
    with hosting():
        found = estimate("Why?", panel="general-budget", engine="openrouter")
        run = ask(**{**THEIRS, "panel": "general-budget"}, max_usd=5.0)

    assert found.unpriced == ("openrouter/fusion",)
    assert str(found.count) == "1 call"
    assert "--allow-unpriced" in str(run.error)


def test_a_panel_of_ones_own_under_a_presets_name_is_sent_as_it_is(validate: Validate):
    config_dir().mkdir(parents=True, exist_ok=True)
    (config_dir() / "fusion.toml").write_text(f'[panels.general-fast]\nmodels = ["{ONE}"]\n', encoding="utf-8")

    made = sent(validate, panel="general-fast", models=None, judge=None)

    assert made["plugins"][0]["analysis_models"] == [ONE]


@pytest.mark.parametrize(
    ("settings", "parameter"),
    [
        ({"temperature": 0.5}, {"temperature": 0.5}),
        ({"effort": "high"}, {"reasoning": {"effort": "high"}}),
        ({"max_tokens": 900}, {"max_completion_tokens": 900}),
        ({"synthesizer": "openai/gpt-5.5"}, {"model": JUDGE}),
    ],
)
def test_what_only_the_server_tool_takes_makes_it_one(validate: Validate, settings: Any, parameter: dict[str, Any]):
    made = sent(validate, **settings)

    (tool,) = made["tools"]
    assert made["model"] == settings.get("synthesizer", JUDGE)
    assert tool["type"] == "openrouter:fusion"
    assert tool["parameters"].items() >= parameter.items()
    assert tool["parameters"]["analysis_models"] == [ONE, TWO, THREE]
    assert "plugins" not in made


def test_a_preset_that_is_asked_for_more_than_it_takes_is_spelled_out_and_says_so(validate: Validate):
    with hosting(validate=validate) as server:
        result = ask(**THEIRS, temperature=0.3).kept

    (tool,) = body(server)["tools"]
    assert tool["parameters"]["temperature"] == 0.3
    assert tool["parameters"]["analysis_models"][0] == "~anthropic/claude-opus-latest"
    assert any("only as it is" in told for told in result.warnings)


def test_the_synthesizers_own_settings_are_those_of_the_model_that_is_asked(validate: Validate):
    writer = Panelist(model="openai/gpt-5.5", temperature=0.2, effort="low", max_tokens=700, system="In verse.")

    made = sent(validate, synthesizer=writer)

    assert (made["temperature"], made["reasoning"], made["max_output_tokens"]) == (0.2, {"effort": "low"}, 700)
    assert made["instructions"] == "In verse."


def test_no_tools_turn_the_web_off_and_domains_go_along(validate: Validate):
    assert sent(validate, tools="none")["plugins"][0]["tools"] == []
    assert sent(validate, tools="web_search", block_domains="a.org")["plugins"][0]["tools"] == [
        {"type": "openrouter:web_search", "parameters": {"excluded_domains": ["a.org"]}}
    ]


@pytest.mark.parametrize(
    ("settings", "choice"),
    [({}, "required"), ({"strategy": "auto"}, None), ({"strategy": "auto", "must_ask": True}, "required")],
)
def test_the_panel_is_forced_unless_the_model_may_decide(validate: Validate, settings: Any, choice: str | None):
    assert sent(validate, **settings).get("tool_choice") == choice


def twice(number: int) -> int:
    """Twice a number."""
    return 2 * number


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"strategy": "vote"}, "has no strategy vote"),
        ({"models": (ONE, "llama@ollama")}, "llama@ollama is none"),
        ({"judge": "llama@ollama"}, "llama@ollama is none"),
        ({"models": (ONE, Panelist(model=TWO, system="A critic."))}, "B has a system of its own"),
        ({"models": (Panelist(model=ONE, seed=3),)}, "A has a seed of its own"),
        ({"judge": Panelist(model=JUDGE, max_tokens=10)}, "the judge has a max_tokens"),
        ({"synthesizer": Panelist(model=JUDGE, fallback=ONE)}, "neither fallback nor seed"),
        ({"tools": (twice,)}, "not twice"),
        ({"tools": "bash"}, "not bash"),
        ({"corpus": "papers"}, "`corpus` does not reach"),
        ({"mcp": "sums"}, "`mcp` does not reach"),
        ({"simulate": "B=down"}, "`simulate` does not reach"),
        ({"web": "client"}, "on OpenRouter's servers"),
        ({"rubric": "Sources."}, "takes no rubric"),
        ({"private": True}, "`private`"),
    ],
)
def test_what_can_not_be_honoured_is_an_error_before_anybody_is_asked(settings: Any, said: str, tmp_path: Path):
    (tmp_path / "papers").mkdir()
    with hosting() as server:
        run = ask(**settings)

        assert isinstance(run.error, SettingsError)
        assert said in str(run.error)
        assert "--engine kernel" in str(run.error)
        assert not posts(server)


def test_a_schema_is_an_error():
    class City(BaseModel):
        name: str

    with hosting() as server:
        with pytest.raises(SettingsError, match="does not keep to a schema"):
            fuse("Where?", models=[ONE], schema=City, engine="openrouter")

        assert not posts(server)


def test_what_changes_nothing_is_told():
    with hosting():
        result = ask(quorum=2, samples=3).kept

    assert "OpenRouter's Fusion does not use quorum, samples." in result.warnings


def test_a_model_that_is_not_there_is_found_before_the_call():
    with hosting() as server:
        run = ask(models=("google/gemini-3-flash-previw",))

        assert "gemini-3-flash-preview" in str(run.error)
        assert not posts(server)


def test_without_a_key_nothing_is_sent():
    with hosting() as server, pytest.MonkeyPatch.context() as patch:
        patch.delenv("OPENROUTER_API_KEY")
        run = ask()

        assert isinstance(run.error, KeyMissing)
        assert not posts(server)


def test_the_estimate_is_one_call_at_the_prices_of_its_models():
    with hosting() as server:
        chosen: dict[str, Any] = {"models": [ONE, TWO], "judge": JUDGE}
        hosted, ours = estimate("Why?", engine="openrouter", **chosen), estimate("Why?", **chosen)

        assert not posts(server)
    assert [row.stage for row in hosted.rows] == ["hosted"]
    assert str(hosted.count) == "1 call"
    assert hosted.cost == ours.cost
    assert "not itemised" in str(hosted)


def test_a_limit_is_checked_before_and_said_to_be_soft(validate: Validate):
    with hosting(validate=validate) as server:
        refused, run = ask(max_usd=0.0001), ask(max_usd=5.0)

        assert "expected to cost" in str(refused.error)
        assert len(posts(server)) == 1
    assert any("it may cost more" in told for told in run.kept.warnings)


def test_another_limit_does_not_pay_again():
    with hosting() as server:
        first, again = ask(), ask(max_usd=0.01)

        assert len(posts(server)) == 1
    assert again.kept.answer == first.kept.answer


def test_a_model_without_a_price_is_refused_under_a_limit():
    with hosting() as server:
        server.models.append({**server.models[0], "id": "x/unpriced", "pricing": {}})
        run = ask(models=("x/unpriced",), max_usd=1.0)

    assert "Not priced" in str(run.error)


def test_a_named_panel_brings_its_tools(validate: Validate):
    panel = Panel.model_validate({"models": (ONE, TWO), "judge": JUDGE, "tools": "web"})

    assert sent(validate, panel=panel, models=None, judge=None)["plugins"][0]["tools"] == WEB
