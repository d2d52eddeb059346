"""The named panels are the published ones, and `fusion.toml` may say what it may and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from fusion_magic.errors import SettingsError, UnknownPanel
from fusion_magic.folders import config_dir
from fusion_magic.presets import (
    FREE_MEMBER,
    choose_panel,
    default_panel,
    endpoint_of,
    endpoints,
    panel_named,
    panels,
    user_file,
)
from fusion_magic.settings import Panel, build_settings

OPUS, GPT, PRO = "anthropic/claude-opus-4.8", "openai/gpt-5.5", "google/gemini-3.1-pro-preview"
CHEAP = ["google/gemini-3-flash-preview", "moonshotai/kimi-k2.6", "deepseek/deepseek-v4-pro"]


def own(text: str) -> Path:
    path = config_dir() / "fusion.toml"
    path.write_text(text, encoding="utf-8")
    return path


def project(text: str) -> None:
    Path("fusion.toml").write_text(text, encoding="utf-8")


def members(panel: Panel) -> list[str]:
    return [seat.model for seat in panel.models]


# -- the panels that come with the package ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "models", "judge", "synthesizer", "score"),
    [
        ("budget", CHEAP, OPUS, OPUS, 64.7),
        ("frontier", [OPUS, GPT, PRO], OPUS, OPUS, 68.3),
        ("top", ["anthropic/claude-fable-5", GPT], OPUS, OPUS, 69.0),
        ("self", [OPUS, OPUS], OPUS, OPUS, 65.5),
        ("frugal", CHEAP, CHEAP[2], CHEAP[1], None),
    ],
)
def test_a_published_panel_has_its_members_and_its_score(name, models, judge, synthesizer, score):
    panel = panel_named(name)

    assert members(panel) == models
    assert (panel.judge.model, panel.synthesizer.model, panel.score) == (judge, synthesizer, score)
    assert panel.source


def test_the_panels_are_the_ones_that_were_promised():
    promised = {"quality", "budget", "frugal", "frontier", "top", "self", "fast", "free", "local"}

    general = panels().keys() - promised

    assert promised <= panels().keys()
    assert general
    assert all(name.startswith("general-") for name in general)


@pytest.mark.parametrize("name", ["general-budget", "general-fast", "fast"])
def test_a_panel_whose_members_are_unpublished_is_called_a_reading(name):
    assert "reading" in panel_named(name).about
    assert panel_named(name).score is None


def test_the_top_panel_says_that_its_score_is_partial():
    assert "93 of 100" in panel_named("top").about


def test_every_panel_says_in_a_sentence_what_it_is():
    assert all(panel.about.endswith(".") and panel.name == name for name, panel in panels().items())


def test_a_panel_that_is_the_same_as_another_has_its_members():
    assert members(panel_named("general-high")) == members(panel_named("quality"))


def test_the_free_panel_waits_for_the_catalogue():
    assert members(panel_named("free")) == [FREE_MEMBER]


def test_the_local_panel_is_one_model_with_three_personas_and_seeds():
    panel = panel_named("local")

    assert set(members(panel)) == {"smollm2@local"} == {panel.judge.model, panel.synthesizer.model}
    assert len({(seat.system, seat.seed) for seat in panel.models}) == 3


def test_the_embedded_model_s_name_is_that_of_the_user_s_file_in_every_panel(monkeypatch):
    own('[panels.mine]\nmodels = ["smollm2@local", "a/b"]\n')
    monkeypatch.setenv("FUSION_LOCAL_MODEL", "/models/Qwen3 4B.gguf")

    assert set(members(panel_named("local"))) == {"Qwen3-4B@local"}
    assert members(panel_named("mine")) == ["Qwen3-4B@local", "a/b"]
    assert panel_named("mine").judge.model == "Qwen3-4B@local"


def test_an_unknown_panel_names_the_nearest():
    with pytest.raises(UnknownPanel, match='There is no panel "bugdet"; did you mean "budget"'):
        panel_named("bugdet")


# -- fusion.toml ------------------------------------------------------------------------------------------


def test_without_a_file_there_is_nothing_in_it():
    assert user_file().model_dump() == {"settings": {}, "panels": {}, "endpoints": {}, "mcp": {}, "prices": {}}


def test_the_user_s_file_may_hold_every_section():
    own('[panels.mine]\nmodels = ["a/b"]\n[endpoints.x]\nbase_url = "http://h/v1"\n[settings]\npanel = "mine"\n')

    assert members(panel_named("mine")) == ["a/b"]
    assert endpoints()["x"].base_url == "http://h/v1"
    assert default_panel() == "mine"


def test_a_project_s_panels_are_known_and_the_user_s_own_win():
    own('[panels.mine]\nmodels = ["own/model"]\n')
    project('[panels.mine]\nmodels = ["their/model"]\n[panels.theirs]\nmodels = ["c/d"]\n')

    assert members(panel_named("mine")) == ["own/model"]
    assert members(panel_named("theirs")) == ["c/d"]


def test_a_project_s_panel_may_not_take_the_name_of_a_preset():
    project('[panels.budget]\nmodels = ["their/model"]\n')

    with pytest.raises(SettingsError, match='the name "budget" is taken'):
        panels()


@pytest.mark.parametrize("section", ["endpoints", "prices", "mcp", "settings", "anything"])
def test_a_project_s_file_may_hold_panels_only(section):
    project(f'[{section}.openrouter]\nbase_url = "http://evil.example/v1"\n')

    with pytest.raises(SettingsError, match=rf"may hold \[panels\] only; move \[{section}\]"):
        endpoints()


def test_the_user_s_file_is_the_user_s_also_when_it_is_the_working_folder(monkeypatch):
    own('[endpoints.x]\nbase_url = "http://h/v1"\n')
    monkeypatch.chdir(config_dir())

    assert "x" in endpoints()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[panel.x]\n", 'fusion.toml: no setting "panel"; did you mean "panels"?'),
        ("panels = 5\n", "fusion.toml: panels: Input should be a valid dictionary"),
        ("[panels\n", "can't be read"),
    ],
)
@pytest.mark.parametrize("write", [own, project])
def test_a_file_that_can_t_be_used_is_one_sentence(text, said, write):
    write(text)

    with pytest.raises(SettingsError) as caught:
        panels()

    assert said in str(caught.value) or "[panels] only" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_utf_8_is_one_sentence():
    (config_dir() / "fusion.toml").write_bytes(b"\xff\xfe")

    with pytest.raises(SettingsError, match="can't be read"):
        user_file()


def test_a_panel_that_can_t_be_used_is_named():
    own('[panels.mine]\nmodles = ["a/b"]\n')

    with pytest.raises(SettingsError, match='Panel "mine": no setting "modles"; did you mean "models"'):
        panel_named("mine")


def test_same_as_may_lead_to_another_same_as_and_what_is_written_beside_it_wins():
    own('[panels.mine]\nsame_as = "fast"\nabout = "Mine."\n')

    panel = panel_named("mine")

    assert members(panel) == members(panel_named("general-fast"))
    assert (panel.name, panel.about) == ("mine", "Mine.")


@pytest.mark.parametrize("other", ["mine", "yours", "nobody"])
def test_same_as_must_end_at_a_panel(other):
    own(f'[panels.mine]\nsame_as = "{other}"\n[panels.yours]\nsame_as = "mine"\n')

    with pytest.raises(SettingsError, match="same_as"):
        panel_named("mine")


def test_a_published_score_does_not_pass_to_a_panel_with_members_of_its_own():
    own('[panels.same]\nsame_as = "budget"\n[panels.changed]\nsame_as = "budget"\njudge = "a/b"\n')

    assert panel_named("same").score == 64.7
    assert (panel_named("changed").score, panel_named("changed").source) == (None, "")


def test_members_of_its_own_replace_the_free_ones():
    own('[panels.mine]\nsame_as = "free"\nmodels = ["a/b"]\n')

    assert members(panel_named("mine")) == ["a/b"]


# -- endpoints --------------------------------------------------------------------------------------------


def test_a_built_in_endpoint_may_be_moved_and_keeps_the_rest():
    own('[endpoints.ollama]\nbase_url = "http://big-machine:11434/v1/"\nfree = true\n')

    ollama = endpoints()["ollama"]

    assert (ollama.base_url, ollama.costs_nothing, ollama.key_env) == ("http://big-machine:11434/v1", True, None)


def test_an_endpoint_that_can_t_be_used_is_named():
    own('[endpoints.x]\nbase_url = "h:1/v1"\n')

    with pytest.raises(SettingsError, match=r"fusion.toml \[endpoints.x\]: base_url: it is not an address"):
        endpoints()


def test_a_model_is_asked_where_its_name_says():
    known = endpoints()

    assert endpoint_of("a/b", known).is_openrouter
    assert endpoint_of("llama3.2@ollama", known).name == "ollama"
    assert endpoint_of("m@http://h:1/v1/", known).base_url == "http://h:1/v1"
    assert endpoint_of("m@http://h:1/v1", known).key_env is None


def test_an_endpoint_nobody_configured_names_the_nearest_and_the_file():
    with pytest.raises(SettingsError, match=r'No endpoint "olama".*did you mean "ollama".*fusion.toml'):
        endpoint_of("m@olama", endpoints())


@pytest.mark.parametrize("model", ["m@ollama:8080", "m@", "@ollama", "m@http://"])
def test_a_server_s_name_that_can_t_be_read_is_not_taken_for_openrouter(model):
    with pytest.raises(SettingsError):
        endpoint_of(model, endpoints())


def test_a_password_in_an_address_is_refused_and_not_repeated():
    with pytest.raises(SettingsError) as caught:
        endpoint_of("m@http://user:pw-secret@h/v1", endpoints())

    assert "pw-secret" not in f"{caught.value} {caught.value.__cause__}"


# -- which panel is used ----------------------------------------------------------------------------------


def test_without_a_choice_the_default_is_used():
    assert choose_panel(build_settings()).name == "budget"
    assert choose_panel(build_settings(), default="local").name == "local"


def test_models_replace_the_members_and_the_score_goes():
    panel = choose_panel(build_settings({"panel": "budget", "models": ["a/b", "c/d"]}))

    assert members(panel) == ["a/b", "c/d"]
    assert [seat.label for seat in panel.models] == ["A", "B"]
    assert (panel.judge.model, panel.name, panel.score) == (OPUS, "budget (changed)", None)


def test_models_alone_judge_themselves():
    panel = choose_panel(build_settings({"models": ["a/b", "c/d"]}), default="budget")

    assert (members(panel), panel.judge.model) == (["a/b", "c/d"], "a/b")


def test_judge_and_synthesizer_may_be_chosen_alone():
    panel = choose_panel(build_settings({"panel": "budget", "judge": "j/j", "synthesizer": "s/s"}))

    assert (members(panel), panel.judge.model, panel.synthesizer.model) == (CHEAP, "j/j", "s/s")


def test_a_panel_may_be_given_as_a_value():
    mine = Panel(models=["a/b"])  # type: ignore[list-item]

    assert choose_panel(build_settings({"panel": mine})) == mine


@pytest.mark.parametrize(("count", "said"), [(0, "at least one"), (9, "at most 8")])
def test_nobody_and_nine_are_refused(count, said):
    with pytest.raises(SettingsError, match=said):
        choose_panel(build_settings({"models": ["a/b"] * count}))


def test_the_default_panel_is_budget_with_a_key_and_nothing_without(monkeypatch):
    without = default_panel()
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-test-1")

    assert (without, default_panel()) == (None, "budget")


def test_another_gguf_in_the_tiny_model_s_place_is_not_held_to_its_limit_of_tokens(monkeypatch):
    monkeypatch.setenv("FUSION_LOCAL_MODEL", "/models/big-7b.gguf")

    seats = panel_named("local").models

    assert {(seat.model, seat.max_tokens) for seat in seats} == {("big-7b@local", None)}


def test_a_working_folder_that_was_deleted_has_no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    assert user_file().panels == {}
