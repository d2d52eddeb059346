"""A run under a limit: what it is expected to cost, what it may cost, and what it says when that is not enough."""

from __future__ import annotations

from typing import Any

import pytest

from fusion_magic import estimate, fuse
from fusion_magic.errors import SettingsError
from fusion_magic.settings import Panel
from pipeline.asking import at, chats, judged, panel, record
from servers.openrouter import Reply, Server

SEATS = ("google/gemini-3-flash-preview", "deepseek/deepseek-v4-pro", "moonshotai/kimi-k2.6")
PANEL: Any = {"models": SEATS, "judge": "openai/gpt-5.5", "synthesizer": "openai/gpt-5.5"}


@pytest.fixture
def priced(openrouter: Server) -> Server:
    openrouter.reply("*", Reply("It is so. " * 40))
    openrouter.reply("openai/gpt-5.5", [judged(*"ABC"), Reply("It is so.")])
    return openrouter


def spent(server: Server) -> float:
    return sum(request.usage["cost"] for request in chats(server) if request.usage)


def test_a_run_that_is_expected_to_cost_more_does_not_start(priced: Server):
    expected = estimate("Why?", **PANEL).cost.expected

    with pytest.raises(SettingsError, match="expected to cost"):
        fuse("Why?", **PANEL, max_usd=expected * 0.9)

    assert chats(priced) == []


def test_a_run_within_its_limit_is_a_run_like_any_other(priced: Server):
    result = fuse("Why?", **PANEL, max_usd=1.0)

    assert result.status == "ok"
    assert result.cost is not None
    assert result.cost <= 1.0
    assert not any("budget" in warning for warning in result.warnings)


def test_under_a_tight_limit_calls_are_told_to_write_no_more_than_is_left(priced: Server):
    limit = estimate("Why?", **PANEL).cost.expected * 1.2

    fuse("Why?", **PANEL, max_usd=limit)

    asked = [request.body["max_completion_tokens"] for request in chats(priced)]
    assert len(asked) == 5
    assert all(tokens < 16_000 for tokens in asked[:3])


def test_what_no_longer_fits_is_not_sent_and_the_rest_is_judged(priced: Server):
    dear = {"prompt_tokens": 9, "completion_tokens": 90, "total_tokens": 99, "cost": 9.0}
    # When the other seats have been asked.
    priced.reply(SEATS[0], Reply("", tool_calls=[("1", "look", "{}")], usage=dear, first_token=0.5))

    def look() -> str:
        """Looks."""
        return "Nothing."

    result = fuse("Why?", **PANEL, max_usd=1.0, tools=[look])

    assert result.status == "limited"
    assert "max_usd" in str(result.error)
    assert [lost.label for lost in result.failed_models][:1] == ["A"]
    assert len(chats(priced, SEATS[0])) == 1


def test_no_more_is_spent_than_the_limit_allows_and_what_is_missing_can_be_resumed(priced: Server):
    expected = estimate("Why?", **PANEL).cost.expected
    for model in SEATS:
        priced.reply(model, Reply("It is so. " * 400, finish="length"))

    result = fuse("Why?", **PANEL, max_usd=expected * 1.05)

    assert spent(priced) <= expected * 1.05
    assert result.status == "limited"
    assert any("cut short by the run's budget" in warning for warning in result.warnings)


def test_an_answer_that_was_cut_short_for_its_price_is_asked_again_without_the_limit(priced: Server):
    expected = estimate("Why?", **PANEL).cost.expected
    priced.reply(SEATS[0], [Reply("It is", finish="length"), Reply("It is so.")])
    fuse("Why?", **PANEL, max_usd=expected * 1.1)
    priced.reply("openai/gpt-5.5", [judged(*"ABC"), Reply("It is so.")])

    again = fuse("Why?", **PANEL)

    assert again.responses[0].content == "It is so."
    assert [call.reused for call in sorted(again.calls, key=lambda call: call.label) if call.stage == "panel"] == [
        False,
        True,
        True,
    ]


def test_without_a_known_price_a_limit_can_not_be_kept(openrouter: Server):
    own: Any = {"models": ["m@somewhere"], "judge": "m@somewhere"}
    home_endpoint("somewhere")

    with pytest.raises(SettingsError, match="--allow-unpriced"):
        fuse("Why?", **own, max_usd=1.0)


def test_without_a_known_price_it_runs_where_that_is_allowed(server: Server):
    home_endpoint("somewhere", server.base_url.replace("127.0.0.1", "localhost.localdomain"))

    told = record("Why?", models=["a@somewhere"], judge="a@somewhere", max_usd=1.0, allow_unpriced=True, retries=0)

    assert told.result is not None  # it began: whether that host can be reached is another matter


def home_endpoint(name: str, address: str = "https://models.example/v1") -> None:
    from fusion_magic.folders import config_dir

    (config_dir() / "fusion.toml").write_text(f'[endpoints.{name}]\nbase_url = "{address}"\n')


@pytest.mark.parametrize("limit", ["max_usd_day", "max_usd_notebook"])
def test_the_limit_of_a_day_or_a_notebook_counts_what_earlier_runs_cost(priced: Server, limit: str):
    expected = estimate("Why?", **PANEL).cost.expected
    first = fuse("Why?", **PANEL)
    assert first.cost is not None

    with pytest.raises(SettingsError, match=limit):
        fuse("Why not?", **PANEL | {limit: first.cost + expected * 0.5})

    assert len(chats(priced)) == 5


def test_a_run_that_the_store_answers_costs_nothing_and_so_fits_any_limit(priced: Server):
    first = fuse("Why?", **PANEL)

    again = fuse("Why?", **PANEL, max_usd=1e-9)

    assert again.answer == first.answer
    assert len(chats(priced)) == 5


def test_a_panel_may_have_a_limit_of_its_own(priced: Server):
    with pytest.raises(SettingsError, match="panel's own limit"):
        fuse("Why?", panel=Panel.model_validate(PANEL | {"max_usd": 1e-6}))


def test_a_limit_of_the_day_needs_the_store(priced: Server):
    with pytest.raises(SettingsError, match="store"):
        fuse("Why?", **PANEL, max_usd_day=5.0, store=False)


# --- estimates --------------------------------------------------------------------------------------


def reused(prompt: str, **settings: Any) -> list[tuple[str, str]]:
    return [(row.stage, row.label) for row in estimate(prompt, **settings).rows if row.reused]


def test_an_estimate_asks_nobody_and_needs_no_key(openrouter: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OPENROUTER_API_KEY")

    told = estimate("Why?", **PANEL)

    assert [row.stage for row in told.rows] == ["panel"] * 3 + ["judge", "synthesis"]
    assert told.dearest_alone is not None
    assert told.dearest_alone.model == "openai/gpt-5.5"
    assert chats(openrouter) == []


def test_an_estimate_knows_what_the_store_would_answer(server: Server):
    settings = panel(server)
    before = reused("Why?", **settings)
    fuse("Why?", **settings)

    after = reused("Why?", **settings)
    other_judge = reused("Why?", **settings | {"judge": at(server, "other")[0]})
    other_seat = reused("Why?", **panel(server, "a", "c"))

    assert before == []
    assert after == [("panel", "A"), ("panel", "B"), ("judge", ""), ("synthesis", "")]
    assert other_judge == [("panel", "A"), ("panel", "B")]
    assert other_seat == [("panel", "A")]
    assert reused("Why?", **settings, fresh="judge") == [("panel", "A"), ("panel", "B")]
    assert len(chats(server)) == 4


def test_an_estimate_learns_from_this_user_s_own_calls(priced: Server):
    general = estimate("Why?", **PANEL)
    for number in range(3):
        priced.reply("openai/gpt-5.5", [judged(*"ABC"), Reply("It is so.")])
        fuse(f"Question {number}?", **PANEL)

    own = estimate("Why?", **PANEL)

    assert {row.learned for row in general.rows} == {0}
    assert all(row.learned == 3 for row in own.rows if row.stage == "panel")
    assert own.rows[0].output_tokens.expected < general.rows[0].output_tokens.expected


def test_the_dearest_model_alone_is_next_to_the_total(priced: Server):
    text = str(estimate("Why?", **PANEL))

    assert "total" in text
    assert "openai/gpt-5.5 alone" in text or "gpt-5.5" in text.splitlines()[-1]
