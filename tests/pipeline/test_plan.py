"""The plan: who will be called, at what price, and what is refused before anything is called."""

from dataclasses import replace
from typing import Any

import pytest

from fusion_magic import Line, Panel, Panelist, fuse, scripted
from fusion_magic.endpoints import Endpoint
from fusion_magic.errors import KeyMissing, SettingsError, UnknownModel, UnknownPanel
from fusion_magic.events import RunStarted
from fusion_magic.pipeline.plan import Chair, Plan
from fusion_magic.settings import Settings
from pipeline.asking import at, chats, judged, panel, record
from servers.openrouter import Fault, Reply, Server, analysis_json, ollama

OPUS = "anthropic/claude-opus-4.8"
ANALYSIS: dict[str, Any] = {
    "consensus": ["x"],
    "contradictions": [],
    "partial_coverage": [],
    "unique_insights": [],
    "blind_spots": [],
}


def test_a_vanished_model_is_refused_with_its_successors_before_anything_is_called(openrouter: Server):
    with pytest.raises(UnknownModel, match=r'no model "openai/gpt-5.4"; nearest now: openai/gpt-5\.5'):
        fuse("Why?", models=["openai/gpt-5.4"], judge=OPUS)

    assert chats(openrouter) == []


def test_a_vanished_judge_is_refused_before_the_panel_is_paid(openrouter: Server):
    with pytest.raises(UnknownModel, match="nobody/knows"):
        fuse("Why?", models=["openai/gpt-5.5"], judge="nobody/knows")

    assert chats(openrouter) == []


def test_a_model_that_is_new_since_the_catalogue_was_read_is_found(openrouter: Server):
    fuse("Why?", models=["openai/gpt-5.5"], judge=OPUS)
    openrouter.models.append({"id": "openai/gpt-6", "pricing": {"prompt": "0", "completion": "0"}})
    with pytest.raises(UnknownModel):  # asked for less than a minute ago: the endpoint is not pestered
        fuse("Why?", models=["openai/gpt-6"], judge=OPUS)

    assert [request.path for request in openrouter.requests].count("/api/v1/models") == 1


def test_without_a_catalogue_the_run_goes_on_without_prices(openrouter: Server):
    openrouter.models.clear()

    run = record(models=["openai/gpt-5.5"], judge=OPUS)

    assert run.kept.status == "ok"
    assert {call.prompt_price for call in run.of(RunStarted)[0].plan} == {None}


def test_the_plan_has_every_call_with_the_catalogue_s_price(openrouter: Server):
    seat = Panelist(model="openai/gpt-5.5", fallback="moonshotai/kimi-k2.6")

    run = record(models=[seat, "google/gemini-3-flash-preview"], judge=OPUS)

    plan = [
        (call.stage, call.label, call.model, call.prompt_price, call.fallback) for call in run.of(RunStarted)[0].plan
    ]
    assert plan == [
        ("panel", "A", "openai/gpt-5.5", 5e-6, False),
        ("panel", "A", "moonshotai/kimi-k2.6", 9.5e-7, True),
        ("panel", "B", "google/gemini-3-flash-preview", 5e-7, False),
        ("judge", "", OPUS, 5e-6, False),
        ("synthesis", "", OPUS, 5e-6, False),
    ]


def test_nothing_is_called_that_the_plan_did_not_show(server: Server):
    server.reply("a", Fault(503, retry_after=0))
    server.reply("judge", Fault(500, retry_after=0))
    seats = [Panelist(model=at(server, "a")[0], fallback=at(server, "spare")[0]), *at(server, "b")]

    run = record(**panel(server) | {"models": seats}, retries=1)

    assert {f"{request.model}@{server.base_url}" for request in chats(server)} == set(run.planned)


def test_calls_of_a_loopback_server_that_reports_no_cost_cost_nothing(server: Server):
    for name, text in (("*", "An answer."), ("judge", analysis_json("AB")), ("writer", "The fused answer.")):
        server.reply(name, ollama(text))

    run = record(**panel(server))

    assert {call.prompt_price for call in run.of(RunStarted)[0].plan} == {0.0}
    assert run.kept.cost == 0.0
    assert not run.kept.cost_is_partial


@pytest.mark.parametrize(
    ("judge", "writer", "warning"),
    [
        ("a", "c", "The judge (a) also sits on the panel."),
        ("c", "b", "The synthesizer (b) also sits on the panel."),
        ("a", "a", "The judge (a) and the synthesizer (a) also sit on the panel."),
    ],
)
def test_a_judge_or_synthesizer_that_sits_on_the_panel_is_told_once(judge: str, writer: str, warning: str):
    with scripted({"judge": ANALYSIS, "*": "Text."}):
        result = fuse("Why?", models=["a", "b"], judge=judge, synthesizer=writer)

    assert result.warnings == (warning,)


def test_a_panelist_that_also_judges_takes_no_letter_along():
    panel = Panel.model_validate({"models": ["a", "b"]})
    place = Endpoint(name="openrouter", base_url="scripted")
    one, other = (Chair(seat, seat.model, place) for seat in panel.models)
    plan = Plan(panel, Settings(), (one, other), judge=replace(other, fallback=one), synthesizer=one)

    calls = [(call.stage, call.label, call.model) for call in plan.calls()]

    assert calls[:2] == [("panel", "A", "a"), ("panel", "B", "b")]
    assert calls[2:] == [("judge", "", "b"), ("judge", "", "a"), ("synthesis", "", "a")]


def test_strangers_as_judge_and_synthesizer_are_not_warned_of():
    with scripted({"judge": ANALYSIS, "*": "Text."}):
        result = fuse("Why?", models=["a", "b"], judge="c", synthesizer="d")

    assert result.warnings == ()


def test_private_asks_openrouter_for_endpoints_that_keep_nothing(openrouter: Server):
    openrouter.reply(OPUS, judged("A"))

    fuse("Why?", models=["openai/gpt-5.5"], judge=OPUS, private=True)

    assert len(chats(openrouter)) == 3
    for request in chats(openrouter):
        assert request.body["provider"] == {"data_collection": "deny", "zdr": True}


def test_the_result_says_that_privacy_was_asked_for(openrouter: Server):
    result = fuse("Why?", models=["openai/gpt-5.5"], judge=OPUS, private=True)

    assert "OpenRouter was asked for endpoints that neither keep nor train on data." in result.warnings


@pytest.mark.parametrize("place", ["judge", "synthesizer", "fallback"])
def test_privacy_that_is_asked_of_one_call_alone_is_said_too(openrouter: Server, place: str):
    chosen: Any = panel(openrouter)
    if place == "fallback":
        chosen["judge"] = Panelist(model=chosen["judge"], fallback=OPUS)
    else:
        chosen[place] = OPUS

    result = fuse("Why?", **chosen, private=True)

    assert "OpenRouter was asked for endpoints that neither keep nor train on data." in result.warnings


def test_without_private_no_provider_preference_is_sent(openrouter: Server):
    fuse("Why?", models=["openai/gpt-5.5"], judge=OPUS)

    assert all("provider" not in request.body for request in chats(openrouter))


def test_private_trusts_a_loopback_server_and_says_so_once(server: Server):
    result = fuse("Why?", **panel(server), private=True)

    assert result.status == "ok"
    assert result.warnings == (f"Your own server {server.base_url} is trusted to keep the prompt to itself.",)


def test_private_has_nothing_to_say_of_the_embedded_model():
    with scripted({"judge": "Only Answer A says to rest.", "*": "Text."}):
        assert fuse("Why?", panel="local", private=True).warnings == ()


def test_private_is_refused_for_another_remote_server_before_anything_is_called(server: Server):
    with pytest.raises(SettingsError, match="`private` can't be asked of"):
        fuse("Why?", **panel(server) | {"judge": "j@https://models.example/v1"}, private=True)

    assert server.requests == []


def test_the_free_panel_is_made_from_the_live_catalogue(openrouter: Server):
    run = record(panel="free")

    assert run.planned[:3] == ["qwen/qwen3-coder:free", "google/gemma-3-27b-it:free", "openai/gpt-oss-20b:free"]
    assert {request.model for request in chats(openrouter)} == set(run.planned)


def test_the_free_panel_with_other_models_is_judged_by_a_free_one(openrouter: Server):
    openrouter.reply("qwen/qwen3-coder:free", judged("A"))

    run = record(panel="free", models=["openai/gpt-5.5"])

    assert run.planned == ["openai/gpt-5.5", "qwen/qwen3-coder:free", "qwen/qwen3-coder:free"]
    assert run.kept.analysis is not None


def test_the_free_panel_without_a_catalogue_is_one_sentence(openrouter: Server):
    openrouter.models.clear()

    with pytest.raises(SettingsError, match="No free models"):
        fuse("Why?", panel="free")


def test_an_option_that_a_model_s_entry_does_not_list_is_warned_of(openrouter: Server):
    openrouter.reply(OPUS, judged("A"))
    seats = [Panelist(model="qwen/qwen3-4b:free", temperature=0.0, effort="high", seed=3)]

    result = fuse("Why?", models=seats, judge=OPUS)

    assert result.warnings == ("qwen/qwen3-4b:free does not take effort; it runs with its own.",)


def test_a_seat_s_temperature_of_zero_counts_as_chosen(openrouter: Server):
    openrouter.models.append({"id": "x/cold", "pricing": {}, "supported_parameters": ["max_tokens"]})
    openrouter.reply("x/cold", Reply("Text."))

    result = fuse("Why?", models=[Panelist(model="x/cold", temperature=0.0)], judge=OPUS)

    assert "x/cold does not take temperature; it runs with its own." in result.warnings


def test_an_effort_that_the_synthesizer_does_not_take_is_warned_of_once(openrouter: Server):
    openrouter.reply(OPUS, judged("A"))
    writer = "google/gemma-3-27b-it:free"

    result = fuse("Why?", models=["openai/gpt-5.5"], judge=OPUS, synthesizer=writer, effort="high")

    assert result.warnings == (f"{writer} does not take effort; it runs with its own.",)


def test_a_quorum_above_the_number_of_seats_is_warned_of(server: Server):
    result = fuse("Why?", **panel(server), quorum=5)

    assert result.warnings == ("A quorum of 5 is more than the panel has; all 2 are waited for.",)


def test_a_judge_s_system_text_is_not_ignored_in_silence(server: Server):
    judge = Panelist(model=at(server, "judge")[0], system="Be strict.")

    result = fuse("Why?", **panel(server) | {"judge": judge})

    assert "The judge's system text is not used; `rubric` tells the judge what to weigh." in result.warnings


def test_a_judge_s_temperature_is_not_said_to_be_missing_in_the_catalogue(openrouter: Server):
    openrouter.models.append({"id": "x/cold", "pricing": {}, "supported_parameters": ["max_tokens"]})
    openrouter.reply("x/cold", judged("A"))

    result = fuse("Why?", models=["openai/gpt-5.5"], judge=Panelist(model="x/cold", temperature=0.5), synthesizer=OPUS)

    assert result.warnings == ("The judge's own temperature is not used; the judge is always at 0.",)


# --- options that reach nobody


def told(**chosen: Any) -> tuple[str, ...]:
    """The warnings of a run whose every call is answered."""
    with scripted({"judge": "Only Answer A says to rest.", "synthesis": "Text.", "*": "Text."}):
        return fuse("Why?", **chosen).warnings


GIVEN: dict[str, Any] = {
    "rubric": "Prefer sources.",
    "temperature": 1.5,
    "max_tokens": 5000,
    "effort": "high",
    "system": "Be brief.",
}


def test_options_that_the_local_panel_does_not_use_are_named_in_one_sentence():
    deaf = "The embedded model does not use rubric, max_tokens, effort, system (as synthesizer)"

    assert told(panel="local", **GIVEN) == (f"{deaf}; every seat has its own temperature in place of the run's.",)


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ("rubric", "The embedded model does not use rubric."),
        ("temperature", "Every seat has its own temperature in place of the run's."),
        ("max_tokens", "The embedded model does not use max_tokens."),
        ("effort", "The embedded model does not use effort."),
        ("system", "The embedded model does not use system (as synthesizer)."),
    ],
)
def test_only_the_options_that_were_given_are_named(option: str, named: str):
    assert told(panel="local", **{option: GIVEN[option]}) == (named,)


def test_defaults_are_no_options_that_were_given():
    assert told(panel="local", max_tokens=16_000) == ()


def test_what_the_embedded_model_does_use_is_not_named():
    with scripted({"judge": ANALYSIS, "*": "Text."}):
        result = fuse("Why?", models=["smollm2@local"], judge="j", temperature=0.5, max_tokens=5000, system="Be brief.")

    assert result.warnings == ()


def test_a_large_panel_uses_every_option(server: Server):
    assert fuse("Why?", **panel(server), **GIVEN).warnings == ()


def test_an_option_that_every_seat_overrides_is_warned_of(server: Server):
    seats = [Panelist(model=name, temperature=0.2, effort="low") for name in at(server, "a", "b")]

    result = fuse("Why?", **panel(server) | {"models": seats}, temperature=0.9, effort="high")

    assert result.warnings == ("Every seat has its own temperature, effort in place of the run's.",)


def test_an_option_that_one_seat_overrides_is_not_warned_of(server: Server):
    seats = [Panelist(model=at(server, "a")[0], temperature=0.2), *at(server, "b")]

    assert fuse("Why?", **panel(server) | {"models": seats}, temperature=0.9).warnings == ()


def test_nine_models_are_refused(server: Server):
    with pytest.raises(SettingsError, match="at most 8 models; 9 were given"):
        fuse("Why?", **panel(server, *"abcdefghi"))

    assert server.requests == []


def test_eight_models_sit(server: Server):
    server.reply("judge", judged(*"ABCDEFGH"))

    result = fuse("Why?", **panel(server, *"abcdefgh"))

    assert [response.label for response in result.responses] == list("ABCDEFGH")


def test_no_models_are_refused():
    with scripted({"*": "x"}), pytest.raises(SettingsError, match="at least one model"):
        fuse("Why?", models=[])


def test_an_unknown_panel_names_the_nearest(openrouter: Server):
    with pytest.raises(UnknownPanel, match='did you mean "budget"'):
        fuse("Why?", panel="budgit")


def test_an_unknown_endpoint_names_the_nearest(openrouter: Server):
    with pytest.raises(SettingsError, match='No endpoint "olama"'):
        fuse("Why?", models=["llama3.2@olama"])


def test_an_endpoint_s_missing_key_is_told_before_anything_is_called(server: Server):
    with pytest.raises(KeyMissing, match="OPENAI_API_KEY"):
        fuse("Why?", **panel(server) | {"synthesizer": "gpt-5.5@openai"})

    assert server.requests == []


def test_settings_in_the_result_have_the_panel_written_out():
    seat = Panelist(model="a", system="Be brief.")
    with scripted({"judge": ANALYSIS, "*": Line("Text.")}):
        result = fuse("Why?", panel=Panel.model_validate({"models": [seat], "judge": "j"}), max_tokens=77)

    assert result.settings["panel"]["models"][0]["system"] == "Be brief."
    assert result.settings["panel"]["synthesizer"]["model"] == "j"
    assert result.settings["max_tokens"] == 77
