"""The judge: blind, the same bytes for the same inputs, a ladder of JSON, at most two calls that may be billed."""

import json
from typing import Any

import pytest

from fusion_magic import Panelist, fuse, scripted
from fusion_magic.api import providers
from fusion_magic.pipeline.judge import PUT_TOGETHER
from fusion_magic.pipeline.reply import first_object, read_analysis
from fusion_magic.results import Analysis
from pipeline.asking import at, chats, judged, panel, record, sent
from servers.openrouter import (
    Broken,
    Fault,
    RefuseParameter,
    Reply,
    Server,
    analysis_json,
    context_exceeded,
    lm_studio,
    ollama,
)

OPUS = "anthropic/claude-opus-4.8"
GPT = "openai/gpt-5.5"
FIVE = set(Analysis.model_fields)


def formats(server: Server, model: str = "judge") -> list[str]:
    """Which response format each request to the judge asked for."""
    return [(request.body.get("response_format") or {}).get("type", "words") for request in chats(server, model)]


# --- the ladder


def test_a_refused_schema_is_asked_for_as_json_object(server: Server):
    server.reply("judge", RefuseParameter("json_schema", judged()))

    result = fuse("Why?", **panel(server))

    assert formats(server) == ["json_schema", "json_object"]
    assert result.analysis is not None
    assert '"blind_spots": ["…"]' in sent(server, "judge")


def test_without_any_format_the_judge_is_asked_in_words(server: Server):
    server.reply("judge", RefuseParameter("response_format", judged()))

    result = fuse("Why?", **panel(server))

    assert formats(server) == ["json_schema", "json_object", "words"]
    assert result.analysis is not None


def test_a_bare_bad_request_descends_the_ladder_too(server: Server):
    server.reply("judge", RefuseParameter("response_format", judged(), body=b'{"error": "bad request"}'))

    result = fuse("Why?", **panel(server))

    assert result.analysis is not None


def test_lm_studio_judges_by_its_schema(server: Server):
    server.reply("judge", lm_studio(analysis_json("AB")))

    result = fuse("Why?", **panel(server))

    assert formats(server) == ["json_schema"]
    assert result.analysis is not None


def test_lm_studio_s_refusal_of_json_object_leads_to_words(server: Server):
    providers().json_levels[server.base_url, "judge"] = 1
    server.reply("judge", lm_studio(analysis_json("AB")))

    result = fuse("Why?", **panel(server))

    assert formats(server) == ["json_object", "words"]
    assert result.analysis is not None


def test_the_level_that_worked_is_where_the_next_run_begins(server: Server):
    server.reply("judge", RefuseParameter("json_schema", judged()))

    fuse("Why?", **panel(server))
    fuse("Why not?", **panel(server))

    assert formats(server) == ["json_schema", "json_object", "json_object"]


def test_the_level_is_remembered_for_that_model_alone(server: Server):
    server.reply("judge", RefuseParameter("json_schema", judged()))
    server.reply("other", judged())

    fuse("Why?", **panel(server))
    fuse("Why?", **panel(server) | {"judge": at(server, "other")[0]})

    assert formats(server, "other") == ["json_schema"]


def test_a_judge_that_takes_no_temperature_runs_with_its_own_and_that_is_said(server: Server):
    server.reply("judge", RefuseParameter("temperature", judged()))

    result = fuse("Why?", **panel(server))

    assert result.analysis is not None
    assert "temperature" not in chats(server, "judge")[-1].body
    assert formats(server) == ["json_schema", "json_schema"]
    assert any("does not take a temperature" in text for text in result.warnings)


def test_an_unreadable_reply_is_repaired_once(server: Server):
    server.reply("judge", [Reply('{"consensus": []}'), judged()])

    result = fuse("Why?", **panel(server))

    last = chats(server, "judge")[-1].body["messages"]
    assert result.analysis is not None
    assert last[-2] == {"role": "assistant", "content": '{"consensus": []}'}
    assert "lacks contradictions, partial_coverage, unique_insights, blind_spots" in last[-1]["content"]
    assert [call.round for call in result.calls if call.stage == "judge"] == [1, 2]


def test_a_judge_that_stays_unreadable_leaves_a_run_without_analysis(openrouter: Server):
    openrouter.reply(OPUS, Reply("I would rather not."))

    result = fuse("Why?", models=[GPT], judge=OPUS, synthesizer="moonshotai/kimi-k2.6")

    assert result.status == "ok"
    assert result.analysis is None
    assert result.answer == "An answer."
    assert len(chats(openrouter, OPUS)) == 2
    assert any(text.startswith("There is no analysis: ") for text in result.warnings)
    assert "There is no analysis this time." in sent(openrouter, "moonshotai/kimi-k2.6")


# --- at most two billed calls


@pytest.mark.parametrize(
    "script",
    [
        [Broken(judged(), 1, "truncate"), Reply("No JSON."), judged()],
        [Reply("No JSON."), Broken(judged(), 1, "truncate"), judged()],
        [Broken(judged(), 1, "truncate"), Broken(judged(), 1, "truncate"), judged()],
        [Reply(""), Reply(""), judged()],
        [Reply("Some", finish="error"), Reply(""), judged()],
        [Reply(""), Fault(400, "response_format is not supported"), Reply("No JSON."), judged()],
    ],
)
def test_two_calls_may_be_billed_and_no_more(openrouter: Server, script: Any):
    openrouter.reply(OPUS, script)

    result = fuse("Why?", models=[GPT], judge=OPUS, synthesizer="moonshotai/kimi-k2.6", retries=5)

    billed = [request for request in chats(openrouter, OPUS) if request.status == 200]
    assert len(billed) == 2
    assert result.analysis is None
    assert result.answer == "An answer."


def test_one_broken_stream_leaves_room_for_one_more(openrouter: Server):
    openrouter.reply(OPUS, [Broken(judged("A"), 1, "truncate"), judged("A")])

    result = fuse("Why?", models=[GPT], judge=OPUS)

    assert result.analysis is not None


def test_refusals_do_not_count_as_billed(openrouter: Server):
    openrouter.reply(OPUS, RefuseParameter("response_format", [Reply("No JSON.")][0]))

    fuse("Why?", models=[GPT], judge=OPUS, synthesizer="moonshotai/kimi-k2.6")

    assert formats(openrouter, OPUS) == ["json_schema", "json_object", "words", "words"]


def test_an_endpoint_that_costs_nothing_is_asked_field_by_field_at_last(server: Server):
    server.reply("judge", ollama("They agree that it is so."))

    result = fuse("Why?", **panel(server))

    assert len(chats(server, "judge")) > 2
    assert result.analysis is not None
    rounds = [call.round for call in result.calls if call.stage == "judge"]
    assert rounds[:3] == [1, 2, 3]
    assert rounds == sorted(set(rounds))
    assert result.warnings.count(PUT_TOGETHER) == 1


def test_an_analysis_that_the_judge_wrote_whole_is_not_said_to_be_put_together(server: Server):
    assert PUT_TOGETHER not in fuse("Why?", **panel(server)).warnings


@pytest.mark.parametrize("judge", ["judge", "smollm2@local"])
def test_five_empty_fields_are_no_analysis_and_that_is_said(server: Server, judge: str):
    with scripted({"judge": "None.", "*": "Text."}):
        result = fuse("Why?", **panel(server) | {"judge": judge if "@" in judge else at(server, judge)[0]})

    assert result.analysis is None
    assert result.answer == "Text."
    assert PUT_TOGETHER not in result.warnings
    assert any("found nothing to say in any of the five fields" in text for text in result.warnings)


def test_the_embedded_model_is_asked_field_by_field_without_a_warning():
    with scripted({"judge": "Only Answer A says to rest.", "*": "Text."}):
        result = fuse("Why?", panel="local")

    assert result.analysis is not None
    assert [insight.insight for insight in result.analysis.unique_insights] == ["Rest."]
    assert result.warnings == ()


# --- failures


@pytest.mark.parametrize("fault", [Fault(503, retry_after=0), Fault(401), Fault(402), context_exceeded()])
def test_a_failing_judge_loses_nothing(server: Server, fault: Fault):
    server.reply("judge", fault)

    result = fuse("Why?", **panel(server))

    assert result.status == "ok"
    assert [response.label for response in result.responses] == ["A", "B"]
    assert (result.analysis, result.answer) == (None, "The fused answer.")
    assert any(text.startswith("There is no analysis: judge@") for text in result.warnings)


def test_an_overflow_is_not_taken_for_a_refused_format(server: Server):
    server.reply("judge", context_exceeded())

    fuse("Why?", **panel(server))

    assert len(chats(server, "judge")) == 1


def test_a_judge_s_fallback_judges_in_its_place(server: Server):
    server.reply("judge", Fault(401))
    server.reply("spare", judged())
    judge = Panelist(model=at(server, "judge")[0], fallback=at(server, "spare")[0])

    told = record(**panel(server) | {"judge": judge})

    assert told.kept.analysis is not None
    assert any("is asked in its place" in text for text in told.kept.warnings)
    assert at(server, "spare")[0] in told.planned


def test_a_judge_s_fallback_does_not_get_a_third_billed_call(openrouter: Server):
    openrouter.reply(OPUS, Reply("No JSON."))
    judge = Panelist(model=OPUS, fallback=GPT)

    fuse("Why?", models=["moonshotai/kimi-k2.6"], judge=judge, synthesizer="deepseek/deepseek-v4-pro")

    assert len(chats(openrouter, OPUS)) == 2
    assert chats(openrouter, GPT) == []


@pytest.mark.parametrize(
    "text",
    [
        '{"a":' * 50_000,
        "{" * 50_000,
        '{"consensus": "x", "contradictions": 3, "partial_coverage": [1], "unique_insights": [], "blind_spots": []}',
        '{"consensus": [[]], "contradictions": [], "partial_coverage": [], "unique_insights": [], "blind_spots": []}',
        analysis_json().replace("stances", "positions"),
        "[]",
        "",
    ],
)
def test_a_hostile_reply_is_unreadable_and_never_an_accident(text: str):
    with pytest.raises(ValueError, match=r"."):
        read_analysis(text, {"A": "a"})


@pytest.mark.parametrize("around", ["{}", "```json\n{}\n```", "Here {{it}} is: {} Good?", "Set {{}}: {}"])
def test_an_analysis_is_found_whatever_stands_around_it(around: str):
    text = around.format(analysis_json("AB"))

    assert read_analysis(text, {"A": "a", "B": "b"}).consensus == ("All answers name the same cause.",)


def with_field(name: str, *items: Any) -> str:
    """A good analysis of A and B but for one field."""
    return json.dumps(json.loads(analysis_json("AB")) | {name: items})


@pytest.mark.parametrize(
    ("label", "seats"),
    [
        ("Response A", ["A"]),
        ("[b]", ["B"]),
        ("[Response B]", ["B"]),
        ("A, B", ["A", "B"]),
        ("A and B", ["A", "B"]),
        ("Responses A & B", ["A", "B"]),
        ("B, and A, and B", ["B", "A"]),
    ],
)
def test_a_label_is_read_in_several_spellings_and_two_letters_are_two_insights(label: str, seats: list[str]):
    text = with_field("unique_insights", {"label": label, "insight": "i"})

    analysis = read_analysis(text, {"A": "a", "B": "b"})

    assert [insight.label for insight in analysis.unique_insights] == seats
    assert [insight.model for insight in analysis.unique_insights] == [seat.lower() for seat in seats]


@pytest.mark.parametrize("label", ["Z", "A, Z", "A or B", "all", "", ",", None, 1, ["A"], {"A": 1}])
def test_a_label_that_is_nobody_s_letter_can_t_be_used(label: Any):
    text = with_field("unique_insights", {"label": label, "insight": "i"})

    with pytest.raises(ValueError, match=r"^label: .+ is not the letter of a response \(A, B\)\.$"):
        read_analysis(text, {"A": "a", "B": "b"})


@pytest.mark.parametrize("labels", ["Response A", "A", "A, B", None, {"A": 1}])
def test_labels_that_are_no_list_can_t_be_used(labels: Any):
    text = with_field("partial_coverage", {"labels": labels, "point": "p"})

    with pytest.raises(ValueError, match=r"^labels must be a list of letters, such as \[\"A\"\]\.$"):
        read_analysis(text, {"A": "a", "B": "b"})


def test_labels_in_one_string_of_the_list_are_taken_apart():
    text = with_field("partial_coverage", {"labels": ["A and B", "b"], "point": "p"})

    assert read_analysis(text, {"A": "a", "B": "b"}).partial_coverage[0].labels == ("A", "B")


def test_under_openrouter_s_own_keys_letters_are_read_and_models_names_dropped():
    data = json.loads(analysis_json("AB"))
    data["unique_insights"] = [{"model": name, "insight": "i"} for name in ("A", "p0", "B and A")]
    data["partial_coverage"] = [{"models": ["p0", "B"], "point": "p"}]

    analysis = read_analysis(json.dumps(data), {"A": "a", "B": "b"})

    assert [insight.label for insight in analysis.unique_insights] == ["A", "B", "A"]
    assert analysis.partial_coverage[0].labels == ("B",)


def test_a_wrong_letter_is_repaired_once_and_the_judge_is_told_which(server: Server):
    wrong = with_field("unique_insights", {"label": "Z", "insight": "i"})
    server.reply("judge", [Reply(wrong), judged()])

    result = fuse("Why?", **panel(server))

    assert result.analysis is not None
    assert len(chats(server, "judge")) == 2
    assert (
        'label: "Z" is not the letter of a response (A, B).'
        in chats(server, "judge")[-1].body["messages"][-1]["content"]
    )


def test_a_letter_that_stays_wrong_leaves_the_run_without_analysis(openrouter: Server):
    openrouter.reply(OPUS, judged("A", "B"))

    result = fuse("Why?", models=[GPT], judge=OPUS, synthesizer="moonshotai/kimi-k2.6")

    assert result.analysis is None
    assert len(chats(openrouter, OPUS)) == 2
    assert any('"B" is not the letter of a response (A)' in text for text in result.warnings)


def test_the_first_object_with_a_wanted_name_is_taken():
    assert first_object('{"x": 1} {"y": {"x": 2}}', ["y"]) == {"y": {"x": 2}}
    assert first_object('{"x": 1} {"z": 2}', ["y"]) == {"x": 1}


def test_the_analysis_is_asked_of_one_seat_too():
    with scripted({"judge": json.loads(analysis_json("A")), "*": "Text."}) as script:
        result = fuse("Why?", models=["a"], judge="j")

    assert result.analysis is not None
    assert [request.stage for request in script.requests] == ["panel", "judge", "synthesis"]
