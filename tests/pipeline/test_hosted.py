"""A fusion that OpenRouter runs: one call, told as the events and kept as the result of any run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fusion_magic import frames, fuse, load
from fusion_magic import map as map_prompts
from fusion_magic.api import Running
from fusion_magic.events import CallStarted, Delta, Event, RunStarted, SeatAnswered, fold
from fusion_magic.examine.costs import full_cost, full_seconds, seat_costs
from fusion_magic.jupyter.live.cards import Board
from fusion_magic.jupyter.progress import Progress
from fusion_magic.verbs import rejudge
from pipeline.hosting import JUDGE, ONE, THREE, TWO, ask, body, by_documents, hosting, posts
from servers.openrouter import Fault
from servers.responses import Fusion, Panelist, Validate, analysis_json


@pytest.fixture
def validate(shared: Path) -> Validate:
    return by_documents(shared)


SEEN = Fusion(analysis=analysis_json(ONE, TWO), preamble="I will ask the panel.")


def test_panel_analysis_and_answer_come_back_under_the_letters_of_the_seats(validate: Validate):
    with hosting(SEEN, validate=validate):
        result = ask().kept

    assert [(seat.label, seat.model, seat.content) for seat in result.responses] == [
        ("A", ONE, f"{ONE} says so."),
        ("B", TWO, f"{TWO} says so."),
        ("C", THREE, f"{THREE} says so."),
    ]
    assert result.analysis
    assert [(stance.label, stance.stance) for stance in result.analysis.contradictions[0].stances] == [
        ("A", "By law."),
        ("B", "By use."),
    ]
    assert result.analysis.partial_coverage[0].labels == ("A", "B")
    assert result.analysis.unique_insights[0].label == "B"
    assert (result.answer, result.status) == ("The panel says so.", "ok")


def test_the_one_bill_is_one_call_and_no_seat_has_a_share_of_it(validate: Validate):
    with hosting(SEEN, validate=validate):
        result = ask().kept

    (call,) = result.calls
    assert (call.stage, call.model, call.served_model) == ("hosted", "openrouter/fusion", JUDGE)
    assert (result.cost, result.usage.prompt_tokens, result.usage.web_searches) == (0.4321, 9_000, 3)
    assert seat_costs(result) == dict.fromkeys("ABC")
    assert full_cost(result) == 0.4321
    assert full_seconds(result) == call.duration
    assert list(frames(result).calls["stage"]) == ["hosted"]
    assert "OpenRouter does not itemise" in result._repr_mimebundle_()["text/plain"]


def test_every_prefix_of_the_log_folds_and_draws(validate: Validate):
    told = replace(SEEN, panel=[Panelist(ONE, "Yes.", "Hm."), Panelist(TWO, error="Gone.", status_code=502)])
    with hosting(told, validate=validate):
        run = ask(models=(ONE, TWO))
    board, progress = Board(), Progress()

    for end in range(1, len(run.events) + 1):
        part = fold(run.events[:end])
        board.apply(run.events[end - 1])
        progress.apply(run.events[end - 1])

        assert part.responses == run.kept.responses[: len(part.responses)]
        assert board.news() or board.whole()
        assert list(progress.news())
    assert fold(run.events) == run.kept
    assert {key: card.state for key, card in board.cards.items()} == {
        "A": "done",
        "B": "failed",
        "judge": "done",
        "synthesis": "done",
        "hosted": "done",
    }
    assert {seat.state for key, seat in progress.seats.items() if key != ("panel", "B")} == {"done"}


def test_what_the_model_wrote_before_its_panel_is_not_the_answer(validate: Validate):
    with hosting(SEEN, validate=validate):
        run = ask()

    drafts = [event.attempt for event in run.of(CallStarted) if event.stage == "synthesis"]
    assert drafts == [1, 2]
    assert "I will ask" not in str(run.kept.answer)


def test_seats_stream_as_they_write(validate: Validate):
    text = "One two three four five six seven eight nine."
    seats = [Panelist(ONE, text, "Let me think about it."), Panelist(TWO, text)]
    with hosting(replace(SEEN, panel=seats, together=True), validate=validate):
        run = ask(models=(ONE, TWO))

    pieces = [event for event in run.of(Delta) if event.stage == "panel"]
    assert "".join(event.text for event in pieces if event.label == "A") == text
    assert "".join(event.reasoning for event in pieces) == "Let me think about it."
    assert [event.label for event in pieces][:3] == ["A", "B", "A"]
    assert run.kept.responses[0].reasoning == "Let me think about it."


def test_two_seats_of_one_model_get_whole_answers_and_no_mixture(validate: Validate):
    seats = [Panelist(ONE, "First first first first."), Panelist(ONE, "Second second second second second.")]
    with hosting(replace(SEEN, panel=seats, together=True, analysis=analysis_json(ONE, ONE)), validate=validate):
        run = ask(models=(ONE, ONE))

    assert [seat.content for seat in run.kept.responses] == [seat.text for seat in seats]
    for label, seat in zip("AB", seats, strict=True):
        assert {event.text in seat.text for event in run.of(Delta) if event.label == label} == {True}
    assert run.kept.analysis
    assert [stance.label for stance in run.kept.analysis.contradictions[0].stances] == ["A", "B"]


def test_an_alias_is_found_by_the_name_of_the_model_behind_it(validate: Validate):
    seats = [Panelist("google/gemini-3.1-pro-preview", "Pro."), Panelist("anthropic/claude-opus-4.8", "Opus.")]
    with hosting(replace(SEEN, panel=seats), validate=validate):
        result = ask(models=("~anthropic/claude-opus-latest", "~google/gemini-pro-latest")).kept

    assert [(seat.model, seat.served_model, seat.content) for seat in result.responses] == [
        ("~anthropic/claude-opus-latest", "anthropic/claude-opus-4.8", "Opus."),
        ("~google/gemini-pro-latest", "google/gemini-3.1-pro-preview", "Pro."),
    ]


def test_a_seat_that_is_asked_by_its_alias_answers_by_its_own_name(validate: Validate):
    alias = "~anthropic/claude-opus-latest"
    seats = [Panelist("anthropic/claude-opus-4.8", "Opus.", asked_as=alias), Panelist(TWO, "Kimi.")]
    with hosting(replace(SEEN, panel=seats, together=True), validate=validate):
        result = ask(models=(alias, TWO)).kept

    assert [(seat.model, seat.served_model, seat.content) for seat in result.responses] == [
        (alias, "anthropic/claude-opus-4.8", "Opus."),
        (TWO, None, "Kimi."),
    ]
    assert result.failed_models == ()


def test_pages_go_to_the_seats_that_name_them(validate: Validate):
    pages = [("https://a.org/x", "A page"), ("https://b.org", "Nobody's")]
    seats = [Panelist(ONE, "No page."), Panelist(TWO, "See https://a.org/x.")]
    with hosting(replace(SEEN, panel=seats, sources=pages), validate=validate):
        result = ask(models=(ONE, TWO), block_domains="b.org", tools="web").kept

    assert [(source.url, source.labels) for source in result.sources] == [("https://a.org/x", ("B",))]
    assert any("1 pages of sites that are not allowed" in told for told in result.warnings)


@pytest.mark.parametrize("how", [{"as_item": True}, {"whole": True}, {"whole": True, "preamble": ""}])
def test_an_answer_without_events_is_read_from_its_items(validate: Validate, how: dict[str, Any]):
    with hosting(replace(SEEN, **how), validate=validate):
        result = ask().kept

    assert [seat.label for seat in result.responses] == ["A", "B", "C"]
    assert result.analysis
    assert result.answer == "The panel says so."
    assert result.cost == 0.4321


def test_a_second_call_of_the_fusion_in_one_turn_changes_nothing(validate: Validate):
    with hosting(replace(SEEN, calls=2), validate=validate):
        result = ask().kept

    assert len(result.responses) == 3
    assert result.answer == "The panel says so."
    assert not result.warnings


def test_the_same_question_again_is_answered_from_the_store_and_told_the_same(validate: Validate):
    with hosting(SEEN, validate=validate) as server:
        first, again = ask(), ask()

    assert len(posts(server)) == 1
    assert again.kept.cost == 0
    assert again.kept.calls[0].saved == 0.4321
    assert again.kept.analysis == first.kept.analysis
    assert [seat.content for seat in again.kept.responses] == [seat.content for seat in first.kept.responses]
    assert again.kept.answer == first.kept.answer
    assert fold(again.events) == again.kept


@pytest.mark.parametrize(
    "change", [{"fresh": "panel"}, {"engine": "kernel"}, {"max_tool_calls": 2}, {"reuse": "never"}]
)
def test_another_question_or_a_fresh_one_is_asked(validate: Validate, change: dict[str, Any]):
    with hosting(SEEN, validate=validate) as server:
        ask()
        before = len(server.requests)
        ask(**change)

        assert any(request.method == "POST" for request in server.requests[before:])


def test_a_hosted_result_is_judged_anew_on_this_machine(validate: Validate):
    with hosting(SEEN, validate=validate) as server:
        server.reply(JUDGE, Fault(402))
        server.reply("openai/gpt-5.5", _judge_or_write)
        hosted = ask().kept
        judged = hosted.rejudge(judge="openai/gpt-5.5", synthesizer="openai/gpt-5.5")

    assert judged.settings["engine"] == "kernel"
    assert seat_costs(judged) == dict.fromkeys("ABC")
    assert [call.stage for call in judged.calls] == ["hosted", "judge", "synthesis"]
    assert judged.calls[0].saved == 0.4321
    assert judged.calls[0].reused
    assert judged.answer == "Written here."
    assert len(posts(server)) == 1


def _judge_or_write(request: Any) -> Any:
    from pipeline.asking import judged
    from servers.openrouter import Reply

    return judged("A", "B", "C") if "response_format" in request.body else Reply("Written here.")


def test_the_views_of_a_run_made_from_a_hosted_one_take_its_call_in(validate: Validate):
    with hosting(SEEN, validate=validate) as server:
        server.reply("openai/gpt-5.5", _judge_or_write)
        request = rejudge(ask().kept, judge="openai/gpt-5.5", synthesizer="openai/gpt-5.5")
        events: list[Event] = []
        result = Running(request, events.append).wait()
    board, progress = Board(), Progress()

    for event in events:
        board.apply(event)
        progress.apply(event)

    assert fold(events) == result
    assert {card.state for card in board.cards.values()} == {"done"}
    assert "hosted" not in board.cards
    assert ("hosted", "") not in progress.seats


def test_nothing_of_an_earlier_result_can_be_given_to_openrouter(validate: Validate):
    with hosting(SEEN, validate=validate):
        hosted = ask().kept

        with pytest.raises(Exception, match="leave out engine"):
            hosted.rejudge(engine="openrouter")


def test_a_thread_goes_along_as_input_and_the_system_text_as_instructions(validate: Validate):
    with hosting(SEEN, validate=validate) as server:
        ask("Why?", thread="t")
        result = ask("And then?", thread="t", system="Be brief.").kept

    sent = body(server)
    assert sent["instructions"] == "Be brief."
    assert [(item["role"], item["content"]) for item in sent["input"]] == [
        ("user", "Why?"),
        ("assistant", "The panel says so."),
        ("user", "And then?"),
    ]
    assert any("whether its panel does" in told for told in result.warnings)


def test_pictures_go_along_in_the_form_of_the_api(validate: Validate, tmp_path: Path):
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (2, 2)).save(tmp_path / "dot.png")

    with hosting(SEEN, validate=validate) as server:
        ask(attach=(str(tmp_path / "dot.png"),))

    kinds = [part["type"] for part in body(server)["input"][0]["content"]]
    assert kinds == ["input_text", "input_image", "input_text"]
    assert "data:image" in json.dumps(body(server))


def test_the_guard_against_a_fusion_in_a_fusion_is_not_sent(validate: Validate):
    with hosting(SEEN, validate=validate) as server:
        ask()

    (request,) = posts(server)
    assert "x-openrouter-fusion-depth" not in request.headers
    assert request.headers["authorization"] == "Bearer key-of-a-test"


def test_a_saved_result_opens_as_it_was(validate: Validate, tmp_path: Path):
    with hosting(SEEN, validate=validate):
        result = ask().kept

    assert load(result.id) == result
    assert type(result).open(result.save(tmp_path / "r.json")) == result
    assert type(result).from_record(result.to_record()) == result


def test_plots_and_recipe_know_the_one_call(validate: Validate):
    pytest.importorskip("matplotlib")
    with hosting(SEEN, validate=validate):
        result = ask().kept

    assert [label.get_text() for label in result.plot.cost().axes[0].get_yticklabels()] == ["hosted"]
    assert any("hosted" in label.get_text() for label in result.plot.timeline().axes[0].get_yticklabels())
    assert "engine='openrouter'" in str(result.recipe())


def test_rows_of_a_batch_may_be_hosted(validate: Validate):
    with hosting(SEEN, validate=validate) as server:
        rows = list(map_prompts(["one", "two"], "Say {text}", models=[ONE, TWO], judge=JUDGE, engine="openrouter"))

    assert [row.answer for row in rows] == ["The panel says so."] * 2
    assert len(posts(server)) == 2


def test_fuse_takes_the_engine_as_any_setting(validate: Validate):
    with hosting(SEEN, validate=validate):
        result = fuse("Why?", models=[ONE, TWO], judge=JUDGE, engine="openrouter")

    assert result.settings["engine"] == "openrouter"


def test_the_plan_shows_the_seats_and_the_one_call(validate: Validate):
    with hosting(SEEN, validate=validate):
        run = ask()

    (begun,) = run.of(RunStarted)
    assert [(call.stage, call.label, call.maybe) for call in begun.plan] == [
        ("panel", "A", True),
        ("panel", "B", True),
        ("panel", "C", True),
        ("judge", "", True),
        ("synthesis", "", True),
        ("hosted", "", False),
    ]
    assert len(run.of(SeatAnswered)) == 3
