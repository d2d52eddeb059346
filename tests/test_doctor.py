"""The doctor: one finding for each thing a run needs, with the fix, and nothing that is paid for."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fusion_magic import FusionError
from fusion_magic.doctor import Check, check_panels, examine, find_models
from fusion_magic.folders import config_dir
from servers.openrouter import Request, Server
from servers.plans import Piece, Plan


@pytest.fixture
def openrouter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server(key="key-of-a-test") as server:
        monkeypatch.setenv("OPENROUTER_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENROUTER_API_KEY", "key-of-a-test")
        yield server


class WithAccount(Server):
    """The server with OpenRouter's GET /credits, which tests/servers does not have."""

    account: Any = None

    def _plan(self, request: Request) -> Plan:
        if request.path.endswith("/credits") and self.account is not None:
            data = json.dumps({"data": self.account}).encode()
            return Plan(200, {"Content-Type": "application/json"}, [Piece(0, data)])
        return super()._plan(request)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[WithAccount]:
    server = WithAccount(key="key-of-a-test")
    with server:
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


@pytest.mark.parametrize("left", ["much", "", [], {}, True, "1e999"])
def test_a_limit_that_is_no_number_takes_nothing_down(openrouter: Server, left: object):
    openrouter.key_info["limit_remaining"] = left

    checks = {check.subject for check in examine()}

    assert {"OpenRouter key", "OpenRouter credit", "embedded model"} <= checks


def test_key_information_of_another_shape_takes_nothing_down(openrouter: Server):
    openrouter.key_info = ["not", "an", "object"]  # type: ignore[assignment]

    assert found("OpenRouter key") == Check(True, "OpenRouter key", "accepted")


@pytest.mark.parametrize(
    ("bought", "used", "ok", "said"),
    [
        (20, 7.5, True, "$12.50 of credit left"),
        (5, 5.0, False, "$0 of credit left"),
        (0, 1, False, "$0 of credit left"),
    ],
)
def test_the_account_s_credit_stands_beside_the_key_s_limit(
    account: WithAccount, bought: float, used: float, ok: bool, said: str
):
    account.account = {"total_credits": bought, "total_usage": used}

    check = found("OpenRouter account")

    assert (check.ok, check.said) == (ok, said)
    assert bool(check.fix) is not ok
    assert found("OpenRouter credit").said == "$12.50 left on this key"


@pytest.mark.parametrize("told", [None, {}, [], {"total_credits": "many", "total_usage": 1}])
def test_an_endpoint_that_does_not_tell_the_account_s_credit_is_not_blamed(account: WithAccount, told: object):
    account.account = told

    assert "OpenRouter account" not in {check.subject for check in examine()}


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


def test_the_settings_file_is_named_whether_it_is_there_or_not():
    path = config_dir() / "fusion.toml"

    assert found("settings") == Check(True, "settings", f"{path} (none yet)")
    configure("")
    assert found("settings") == Check(True, "settings", str(path))


def test_a_default_panel_on_a_server_of_one_s_own_is_compared_with_what_it_lists(openrouter: Server):
    openrouter.key = None
    openrouter.models = [{"id": "llama3.2:latest"}, {"id": "qwen3"}]
    configure(
        f'[settings]\npanel = "mine"\n[endpoints.mine]\nbase_url = "{openrouter.base_url}"\n'
        '[panels.mine]\nmodels = ["llama3.2@mine", "qwen4@mine"]\njudge = "qwen3@mine"\n'
    )

    checks = {check.subject: check for check in examine()}

    assert checks["llama3.2@mine (panel mine)"] == Check(True, "llama3.2@mine (panel mine)", "known to mine")
    assert checks["qwen3@mine (panel mine)"].ok
    assert not checks["qwen4@mine (panel mine)"].ok
    assert 'did you mean "qwen3"' in checks["qwen4@mine (panel mine)"].said


def test_a_default_panel_on_a_server_that_is_away_is_a_finding():
    configure(
        '[settings]\npanel = "mine"\n[endpoints.mine]\nbase_url = "http://127.0.0.1:9/v1"\n'
        '[panels.mine]\nmodels = ["m@mine"]\n'
    )

    check = found("m@mine (panel mine)")

    assert (check.ok, check.said) == (False, "mine does not answer")


def test_the_free_panel_as_default_shows_today_s_members(openrouter: Server):
    configure('[settings]\npanel = "free"\n')

    check = found("openrouter/free-panel (panel free)")

    assert check.ok
    assert check.said.startswith("now qwen/qwen3-coder:free, ")


def test_openai_is_looked_at_once_it_has_a_key(openrouter: Server, monkeypatch: pytest.MonkeyPatch):
    configure(f'[endpoints.openai]\nbase_url = "{openrouter.base_url}"\n')
    without = {check.subject for check in examine()}
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-a-test")

    assert "openai" not in without
    assert found("openai").said.startswith(f"{len(openrouter.models)} models: ")


def test_a_server_that_refuses_the_key_leads_to_login(openrouter: Server, monkeypatch: pytest.MonkeyPatch):
    configure(f'[endpoints.openai]\nbase_url = "{openrouter.base_url}"\n')
    monkeypatch.setenv("OPENAI_API_KEY", "another-key-of-a-test")

    check = found("openai")

    assert not check.ok
    assert check.fix == "`%fusion login openai` stores another key."


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
