"""The doctor: one finding for each thing a run needs, with the fix, and nothing that is paid for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fusion_magic import FusionError
from fusion_magic.doctor import Check, check_panels, examine, find_models
from fusion_magic.settings import config_dir
from servers.openrouter import Server


@pytest.fixture
def openrouter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server(key="key-of-a-test") as server:
        monkeypatch.setenv("OPENROUTER_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENROUTER_API_KEY", "key-of-a-test")
        yield server


def configure(text: str) -> Path:
    path = config_dir() / "fusion.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def found(subject: str) -> Check:
    return next(check for check in examine() if check.subject.startswith(subject))


def test_a_missing_key_says_how_to_get_one():
    check = found("OpenRouter key")

    assert not check.ok
    assert "%fusion login" in check.fix


def test_an_accepted_key_shows_what_is_left(openrouter: Server):
    assert found("OpenRouter key") == Check(True, "OpenRouter key", "accepted")
    assert found("OpenRouter credit") == Check(True, "OpenRouter credit", "$12.50 left on this key")


@pytest.mark.parametrize(("left", "ok", "said"), [(None, True, "no limit"), (0, False, "$0"), (-1.0, False, "$0")])
def test_credit_is_well_while_there_is_some(openrouter: Server, left: float | None, ok: bool, said: str):
    openrouter.key_info["limit_remaining"] = left

    check = found("OpenRouter credit")

    assert check.ok is ok
    assert check.said.startswith(said)
    assert bool(check.fix) is not ok


def test_a_refused_key_is_told_without_showing_it(openrouter: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENROUTER_API_KEY", "another-key-of-a-test")

    check = found("OpenRouter key")

    assert not check.ok
    assert "401" in check.said
    assert "another-key-of-a-test" not in repr(check)


def test_each_model_of_the_default_panel_is_looked_up(openrouter: Server):
    openrouter.models = [model for model in openrouter.models if model["id"] != "moonshotai/kimi-k2.6"]

    checks = {check.subject: check for check in examine() if "(panel budget)" in check.subject}

    assert len(checks) == 4
    assert not checks["moonshotai/kimi-k2.6 (panel budget)"].ok
    assert checks["deepseek/deepseek-v4-pro (panel budget)"].said.startswith("known, $1.74 / $3.48")


def test_a_catalogue_that_can_t_be_read_is_said(openrouter: Server):
    openrouter.models.clear()

    assert found("moonshotai/kimi-k2.6").said == "the catalogue can't be read"


def test_a_default_panel_that_does_not_exist_names_the_nearest():
    configure('[settings]\npanel = "budgit"\n')

    check = found("default panel")

    assert not check.ok
    assert 'did you mean "budget"' in check.said


def test_a_panel_on_an_unknown_endpoint_is_a_finding_and_no_crash():
    configure('[settings]\npanel = "mine"\n[panels.mine]\nmodels = ["m@nowhere"]\n')

    check = found("default panel")

    assert not check.ok
    assert 'No endpoint "nowhere"' in check.said


def test_a_file_that_is_not_toml_is_the_one_finding():
    configure("= broken")

    checks = examine()

    assert [check.subject for check in checks] == ["fusion.toml"]
    assert not checks[0].ok


def test_a_server_of_one_s_own_is_well_when_it_answers(openrouter: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MINE_API_KEY", "key-of-a-test")
    configure(f'[endpoints.mine]\nbase_url = "{openrouter.base_url}"\nkey_env = "MINE_API_KEY"\n')

    check = found("mine")

    assert check.ok
    assert check.said.startswith(f"{len(openrouter.models)} models: ")


def test_a_server_of_one_s_own_that_is_away_is_a_finding_and_a_built_in_one_is_not():
    configure('[endpoints.mine]\nbase_url = "http://127.0.0.1:9/v1"\n')

    assert not found("mine").ok
    assert found("vllm").ok


def test_nothing_is_paid_for(openrouter: Server):
    examine()

    assert {request.method for request in openrouter.requests} == {"GET"}


def test_panels_are_checked_against_the_catalogue(openrouter: Server):
    openrouter.models = [model for model in openrouter.models if model["id"] != "openai/gpt-5.5"]

    standing = check_panels()

    assert standing["budget"] == "stands"
    assert standing["local"] == "not on OpenRouter"
    assert standing["frontier"].startswith("openai/gpt-5.5 is gone, nearest now: ")
    assert standing["free"].startswith("now ")


def test_models_are_found_by_a_word(openrouter: Server):
    assert [model.id for model in find_models("OPUS")] == ["anthropic/claude-opus-4.8", "~anthropic/claude-opus-latest"]


def test_without_a_catalogue_the_look_up_is_one_sentence(openrouter: Server):
    openrouter.models.clear()

    with pytest.raises(FusionError, match="catalogue can't be read"):
        find_models("opus")
