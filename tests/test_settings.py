"""What a user may write, and the one sentence that says what is wrong with the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_magic.chosen import checked, nearest
from fusion_magic.endpoints import Endpoint, builtin_endpoints, is_loopback, local_model_name, split_model
from fusion_magic.errors import SettingsError
from fusion_magic.folders import cache_dir, config_dir
from fusion_magic.settings import LABELS, Panel, Panelist, Settings, build_settings


def sentence(kind: type[Any], data: dict[str, Any]) -> str:
    with pytest.raises(SettingsError) as caught:
        checked(kind, data)
    return str(caught.value)


def test_the_first_layer_that_says_something_wins():
    settings = build_settings(
        {"retries": 0, "temperature": None}, {"temperature": 0.2, "retries": 5}, {"effort": "low"}
    )

    assert (settings.retries, settings.temperature, settings.effort) == (0, 0.2, "low")


def test_what_nobody_sets_has_its_default():
    settings = build_settings()

    assert (settings.max_tokens, settings.timeout, settings.first_token_timeout) == (16_000, 900, 300)


def test_settings_can_t_be_changed_after_they_were_made():
    with pytest.raises(ValueError, match="frozen"):
        build_settings().retries = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"temprature": 1}, 'no setting "temprature"; did you mean "temperature"?'),
        ({"zzz": 1}, 'no setting "zzz".'),
        ({"temperature": 3}, "temperature: Input should be less than or equal to 2 (it is 3)."),
        (
            {"max_tokens": "many"},
            "max_tokens: Input should be a valid integer, unable to parse string as an integer (it is 'many').",
        ),
        ({"timeout": 0}, "timeout: Input should be greater than 0 (it is 0)."),
        ({"timeout": float("inf")}, "timeout: Input should be a finite number (it is inf)."),
        ({"quorum": 9}, "quorum: Input should be less than or equal to 8 (it is 9)."),
        ({"panel": 5}, "panel: Input should be a valid dictionary or instance of Panel (it is 5)."),
        ({"panel": {"models": []}}, "panel: a panel needs at least one model."),
        ({"models": [{"model": "a", "sytem": "b"}]}, 'models.0: no setting "sytem"; did you mean "system"?'),
        ({"models": [{"system": "b"}]}, "models.0.model: Field required."),
        ({"models": [" "]}, "models.0.model: String should have at least 1 character (it is '')."),
        ({"judge": 5}, "judge: Input should be a valid dictionary or instance of Panelist (it is 5)."),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(data, said):
    assert sentence(Settings, data) == said


def test_numbers_may_come_as_text_from_flags():
    assert build_settings({"max_tokens": "4000", "temperature": "0.5"}).max_tokens == 4000


@pytest.mark.parametrize("models", [[], (), None])
def test_a_panel_of_nobody_is_refused(models):
    assert sentence(Panel, {"models": models}) == "a panel needs at least one model."


def test_nine_models_are_one_too_many():
    assert sentence(Panel, {"models": ["a/b"] * 9}) == "a panel has at most 8 models; 9 were given."


@pytest.mark.parametrize("models", [5, [5], [None], [{"slug": "x"}], {"slug": "x"}, {"model": 5}])
def test_what_is_no_model_is_a_settings_error_and_nothing_else(models):
    sentence(Panel, {"models": models})


@pytest.mark.parametrize(
    "models", ["a/b", ["a/b"], ("a/b",), {"model": "a/b"}, Panelist(model="a/b"), iter(["a/b"]), [" a/b "]]
)
def test_one_model_may_be_written_in_many_ways(models):
    panel = Panel(models=models)

    assert [seat.model for seat in panel.models] == ["a/b"]
    assert panel.judge.model == panel.synthesizer.model == "a/b"


@given(st.lists(st.sampled_from(["a/b", "c/d", "e@ollama"]), min_size=1, max_size=8))
def test_seats_are_labelled_by_position_and_the_same_model_may_sit_twice(models):
    panel = Panel(models=models)  # type: ignore[arg-type]

    assert [seat.label for seat in panel.models] == list(LABELS[: len(models)])
    assert [seat.model for seat in panel.models] == models


def test_the_first_seat_judges_and_the_judge_writes_unless_others_are_named():
    alone = Panel(models=["a/b", "c/d"])  # type: ignore[list-item]
    judged = Panel(models=["a/b"], judge="j/j")  # type: ignore[arg-type, list-item]
    full = Panel(models=["a/b"], judge={"model": "j/j"}, synthesizer="s/s")  # type: ignore[arg-type, list-item]

    assert (alone.judge.model, alone.synthesizer.model) == ("a/b", "a/b")
    assert (judged.judge.model, judged.synthesizer.model) == ("j/j", "j/j")
    assert (full.judge.model, full.synthesizer.model) == ("j/j", "s/s")


def test_a_seat_keeps_its_persona_temperature_effort_and_fallback():
    seat = {"model": "a/b", "system": "Be brief.", "temperature": 0.1, "effort": "low", "fallback": "c/d"}

    (kept,) = Panel(models=[seat]).models  # type: ignore[list-item]

    assert kept == Panelist(label="A", **seat)  # type: ignore[arg-type]


def test_a_panel_survives_json():
    panel = Panel(models=["a/b", "a/b"], judge="c/d", name="mine", score=1.5)  # type: ignore[arg-type, list-item]

    assert Panel.model_validate(json.loads(panel.model_dump_json())) == panel


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        ("a/b", ("a/b", "openrouter")),
        ("llama3.2:1b@ollama", ("llama3.2:1b", "ollama")),
        ("a/b@http://localhost:9000/v1", ("a/b", "http://localhost:9000/v1")),
        ("my model@lmstudio", ("my model", "lmstudio")),
        ("a@b@local", ("a@b", "local")),
        ("a/b@", ("a/b@", "openrouter")),
        ("@ollama", ("@ollama", "openrouter")),
    ],
)
def test_what_stands_behind_the_at_is_the_endpoint(model, parts):
    assert split_model(model) == parts


@given(st.text("ab/.:-~ 3", min_size=1).filter(str.strip), st.sampled_from(["ollama", "my-server.2", "https://h:1/v1"]))
def test_a_slug_and_its_endpoint_come_back_as_they_were_joined(slug, endpoint):
    assert split_model(f"{slug}@{endpoint}") == (slug, endpoint)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1", "::1", "0.0.0.0"])
def test_this_machine_is_known_by_each_of_its_names(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "localhost.evil.example", "10.0.0.1", "192.168.1.2", "127.evil.example"])
def test_other_machines_are_not_this_one(host):
    assert not is_loopback(host)


def test_only_a_server_of_this_machine_or_one_that_says_so_costs_nothing():
    assert Endpoint(name="x", base_url="http://localhost:1/v1").costs_nothing
    assert Endpoint(name="x", base_url="https://h.example/v1", free=True).costs_nothing
    assert not Endpoint(name="x", base_url="https://h.example/v1").costs_nothing
    assert not Endpoint(name="openrouter", base_url="http://localhost:1/v1").costs_nothing


@pytest.mark.parametrize("address", ["http://h/v1/", " http://h/v1 ", "http://h/v1///"])
def test_slashes_and_spaces_around_an_address_do_not_matter(address):
    assert Endpoint(name="x", base_url=address).base_url == "http://h/v1"


BAD = [
    "",
    "h/v1",
    "ftp://h/v1",
    "http://",
    "http://[::1/v1",
    "http://h:port/v1",
    "http://h:99999/v1",
    "http://h/v1?key=1",
    "http://h /v1",
]


@pytest.mark.parametrize("address", BAD)
def test_what_is_not_an_address_is_named(address):
    assert "not an address" in sentence(Endpoint, {"name": "x", "base_url": address})


@pytest.mark.parametrize(
    "entry",
    [
        {"base_url": "https://user:sk-test-secret@h/v1"},
        {"base_url": "https://h/v1", "key_env": "sk-test-secret"},
        {"base_url": "https://h/v1", "api_key": "sk-test-secret"},
    ],
    ids=["in the address", "as key_env", "under another name"],
)
def test_a_key_that_landed_in_the_wrong_place_is_not_repeated(entry):
    with pytest.raises(SettingsError) as caught:
        checked(Endpoint, {"name": "x", **entry})

    told = f"{caught.value!r} {caught.value} {caught.value.__cause__!r} {caught.value.__cause__}"
    assert "sk-test-secret" not in told


def test_openrouter_base_url_overrides_the_address(monkeypatch):
    monkeypatch.setenv("OPENROUTER_BASE_URL", "http://gateway.example/or/v1/")

    assert builtin_endpoints()["openrouter"].base_url == "http://gateway.example/or/v1"


def test_an_openrouter_base_url_that_is_no_address_is_named(monkeypatch):
    monkeypatch.setenv("OPENROUTER_BASE_URL", "gateway.example")

    with pytest.raises(SettingsError, match="OPENROUTER_BASE_URL"):
        builtin_endpoints()


def test_an_empty_openrouter_base_url_is_none(monkeypatch):
    monkeypatch.setenv("OPENROUTER_BASE_URL", " ")

    assert builtin_endpoints()["openrouter"].base_url == "https://openrouter.ai/api/v1"


def test_the_embedded_model_is_called_by_its_file(monkeypatch):
    without = local_model_name()
    monkeypatch.setenv("FUSION_LOCAL_MODEL", "/models/My Model.Q4.gguf")

    assert (without, local_model_name()) == ("smollm2", "My-Model.Q4")


def test_fusion_home_holds_settings_and_cache(monkeypatch):
    monkeypatch.setenv("FUSION_HOME", "~/fusion")

    assert config_dir() == Path("~/fusion").expanduser()
    assert cache_dir() == Path("~/fusion/cache").expanduser()


def test_without_fusion_home_the_system_s_folders_are_used(monkeypatch):
    monkeypatch.delenv("FUSION_HOME")

    assert config_dir().name == cache_dir().name == "fusion_magic"


def test_the_nearest_names_end_the_sentence():
    assert nearest("bugdet", ["budget", "local"]) == '; did you mean "budget"?'
    assert nearest("qqq", ["budget", "local"]) == "."


def test_models_of_the_user_s_own_are_not_judged_by_the_panel_of_a_weaker_layer():
    settings = build_settings({"models": ["llama3.2@ollama"]}, {"panel": "budget"})

    assert settings.panel is None


def test_a_panel_that_is_named_wins_over_the_models_of_a_weaker_layer():
    settings = build_settings({"panel": "frontier"}, {"models": ["a/b"], "judge": "c/d"})

    assert (settings.panel, settings.models, settings.judge) == ("frontier", None, None)


def test_a_judge_alone_leaves_the_weaker_layer_s_panel_in_force():
    settings = build_settings({"judge": "c/d"}, {"panel": "budget"})

    assert settings.panel == "budget"


def test_a_seat_of_the_panel_that_judges_too_leaves_its_letter_there():
    panel = Panel.model_validate({"models": ["a/b", "c/d"]})

    assert Panel.model_validate({"models": panel.models, "judge": panel.models[1]}).judge.label == ""
