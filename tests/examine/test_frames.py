"""Frames: documented columns are the real ones, the shape is the same for any runs, and the values are the run's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas
import pytest
from pandas.testing import assert_frame_equal

from examine.eight_seats import ANSWERED, bare, crowded, recorded, without
from fusion_magic import Line, fuse, scripted
from fusion_magic.errors import SettingsError
from fusion_magic.examine.frames import Frames, frames
from fusion_magic.examine.quotes import quote
from fusion_magic.results import Analysis, FailedModel, FusionResult, Response

NAMES = [name for name, value in vars(Frames).items() if isinstance(value, property)]
FULL = crowded()
EMPTY = (
    [],
    [bare()],
    [bare(analysis=Analysis())],
    [bare(failed_models=(FailedModel(label="A", model="a/b", error="Gone."),))],
    [bare(answer="So it is.", responses=(Response(label="A", model="a/b", content="So it is."),))],
)


def frame(name: str, runs: FusionResult | list[FusionResult] = FULL) -> Any:
    return getattr(frames(runs), name)


def documented(name: str) -> dict[str, str]:
    """The columns and kinds that a property's docstring lists."""
    return dict(re.findall(r"^    (\w+) \(([\w ]+)\): \S", vars(Frames)[name].__doc__.partition("Columns:")[2], re.M))


# --- shape ------------------------------------------------------------------------------------------


def test_there_is_a_frame_for_each_kind_of_thing():
    assert (
        "responses claims contradictions coverage insights sources tools calls timeline".split()  # noqa: SIM905
    ) == NAMES
    assert all(name in repr(frames(FULL)) for name in ("crowded", *NAMES))


@pytest.mark.parametrize("name", NAMES)
def test_the_documented_columns_are_the_real_ones(name: str):
    columns = documented(name)

    assert list(columns) == list(frame(name).columns)
    assert columns["run"] == "text"


@pytest.mark.parametrize("name", NAMES)
def test_columns_and_dtypes_are_the_same_for_any_runs(name: str):
    full = frame(name)
    assert len(full)

    for runs in (*EMPTY, [FULL, bare()], [bare(), FULL]):
        assert_frame_equal(frame(name, runs).head(0), full.head(0))


@pytest.mark.parametrize("name", NAMES)
def test_a_kind_is_one_dtype(name: str):
    dtypes = {
        "text": str(pandas.Series(["a"]).dtype),
        "number": "float64",
        "count": "int64",
        "count or missing": "Int64",
        "flag": "bool",
        "time": "datetime64[us, UTC]",
    }

    assert {column: dtypes[kind] for column, kind in documented(name).items()} == frame(name).dtypes.map(str).to_dict()


@pytest.mark.parametrize("name", NAMES)
def test_many_runs_are_the_frames_of_each_one_below_the_other(name: str):
    other = FULL.model_copy(update={"id": "other"})

    stacked = frame(name, [FULL, other])

    assert_frame_equal(stacked, pandas.concat([frame(name), frame(name, other)], ignore_index=True))
    assert list(stacked["run"].unique()) == ["crowded", "other"]


def test_a_frame_is_the_callers_to_change():
    made = frames(FULL)
    mine = made.calls
    mine["cost"] = 0

    assert any(made.calls["cost"].tolist())


@pytest.mark.parametrize("wrong", [["run1"], [None], [FULL, 7]])
def test_what_is_no_result_is_refused_in_a_sentence(wrong: Any):
    with pytest.raises(SettingsError, match=r"^frames\(\) takes results, not a \w+; fusion_magic.load"):
        frames(wrong)


def test_without_pandas_a_sentence_names_the_extra():
    done = without("pandas", "from fusion_magic.examine.frames import frames; frames(run).calls")

    assert 'SettingsError: Frames need pandas; run `pip install "fusion-magic[data]"`.' in done.stderr


# --- values -----------------------------------------------------------------------------------------


def test_responses_have_every_seat_also_those_that_failed_or_were_skipped():
    seats = frame("responses").set_index("seat")

    assert "".join(seats.index) == "ABCDEFGH"
    assert seats["status"].to_dict() == dict.fromkeys(ANSWERED, "ok") | {"F": "failed", "G": "skipped"}
    assert seats.loc["F", "content"] == "The comm"
    assert seats.loc["F", "duration"] == 40
    assert seats.loc["A", "tools"] == 15
    assert seats.loc[["F", "G"], ["prompt_tokens", "cost"]].isna().to_numpy().all()


def test_the_cost_of_the_calls_is_the_cost_of_the_run_and_an_unknown_one_is_missing():
    calls = frame("calls")

    assert calls["cost"].sum() == pytest.approx(FULL.cost)
    assert calls.loc[calls["seat"] == "F", "cost"].isna().tolist() == [True]
    assert calls.loc[calls["reused"], "cost"].tolist() == [0.0]
    assert calls.loc[~calls["reused"], "prompt_tokens"].sum() == FULL.usage.prompt_tokens


def test_a_stance_stands_beside_the_passage_that_it_rests_on():
    stances = frame("contradictions").set_index("seat")
    contents = {seat.label: seat.content for seat in FULL.responses}

    assert stances["quote"].dropna().to_dict() == {
        "A": "The committee met in 2019 in Paris.",
        "B": "The committee met in 2018 in Paris.",
    }
    for seat, row in stances.dropna().iterrows():
        assert contents[str(seat)][row["quote_start"] : row["quote_end"]] == row["quote"]


def test_a_passage_with_another_number_is_no_quote_and_a_passage_on_the_topic_is_taken_first():
    response = "In 2019 it rained. The committee met in 2019."

    assert quote("The committee met in 2018", "Year of the meeting", response) is None
    assert quote("2019", "When the committee met", response) == (19, len(response))


def test_coverage_is_a_matrix_of_points_and_seats_that_answered():
    matrix = frame("coverage").pivot(index="number", columns="seat", values="covered")

    assert "".join(matrix.columns) == ANSWERED
    assert matrix.loc[1].to_dict() == {"A": 1, "B": 1, "C": 0, "D": 1, "E": 0, "H": 0}
    assert matrix.loc[13:].sum(axis=1).tolist() == [1, 1]
    assert frame("coverage")["kind"].value_counts().to_dict() == {"partial": 72, "unique": 12}


def test_a_page_has_a_row_for_each_seat_with_the_quotes_of_that_seat():
    rows = frame("sources")[["url", "seat", "quotes", "quote"]].values.tolist()

    assert rows[:2] == [["https://a.org", "A", 1, "met in 2019"], ["https://a.org", "B", 1, "was late"]]
    assert rows[2][:3] == ["corpus:minutes/1.md", "E", 0]


def test_a_tool_has_the_model_that_called_it():
    tools = frame("tools")

    assert len(tools) == 60
    assert dict(zip(tools["seat"], tools["model"], strict=True))["G"] == "google/gemini-3.1-pro-preview"


def test_the_timeline_has_calls_and_tools_in_the_order_they_began():
    timeline = frame("timeline")
    retried = timeline[timeline["attempts"] > 1]

    assert timeline["start"].is_monotonic_increasing
    assert timeline["kind"].value_counts().to_dict() == {"tool": 60, "call": 10}
    assert timeline.loc[timeline["seat"] == "H", "first_token"].tolist() == [9.0]
    assert retried["first_token"].isna().all()
    assert timeline["end"].isna().sum() == 6


def test_claims_lead_from_a_sentence_of_the_answer_to_the_passages_that_say_it():
    claims = frame("claims")
    contents = {seat.label: seat.content for seat in FULL.responses}

    assert "".join(claims.loc[claims["relation"] == "supports", "seat"]) == "ACDEH"
    assert claims.loc[claims["relation"] == "contradicts", "seat"].tolist() == ["B"]
    for row in claims.itertuples():
        assert contents[row.seat][row.quote_start : row.quote_end] == row.quote
        assert FULL.answer is not None
        assert FULL.answer[row.start : row.end] == row.sentence


def test_a_sentence_that_no_seat_says_has_one_row_without_a_seat():
    claims = frame("claims", FULL.model_copy(update={"answer": "Elephants of Botswana drink 200 litres."}))

    assert claims[["number", "origin"]].values.tolist() == [[1, "added"]]
    assert claims[["relation", "seat", "quote", "quote_start"]].isna().to_numpy().all()


def test_a_real_run_has_frames():
    analysis = {
        "consensus": [],
        "contradictions": [
            {"topic": "Year", "stances": [{"label": "A", "stance": "2019"}, {"label": "B", "stance": "2018"}]}
        ],
        "partial_coverage": [],
        "unique_insights": [{"label": "A", "insight": "Paris"}],
        "blind_spots": [],
    }
    script = {
        "judge": analysis,
        "synthesis": "They met in 2019.",
        "x@*": Line("They met in 2019.", cost=0.01),
        "y@*": Line("They met in 2018.", cost=None),
    }

    with scripted(script):
        run = fuse("When?", models=["x@scripted", "y@scripted"], judge="j@scripted", synthesizer="s@scripted")
    made = frames(run)

    assert made.calls["stage"].tolist() == ["panel", "panel", "judge", "synthesis"]
    assert sorted(made.contradictions["quote"]) == ["They met in 2018.", "They met in 2019."]
    assert made.insights["insight"].tolist() == ["Paris"]
    assert all(end <= run.duration + 0.1 for end in made.timeline["end"].tolist())


def test_recorded_runs_stack_with_all_their_answers_calls_and_tools(shared: Path):
    runs = list(recorded(shared))

    made = frames(runs)

    assert made.responses.groupby("run").size().tolist() == [5] * 20
    assert made.responses["content"].str.len().equals(made.responses["characters"])
    assert len(made.calls) == 120
    assert len(made.tools) == sum(len(run.tools) for run in runs)
    assert len(made.timeline) == len(made.calls) + len(made.tools)


def test_every_sentence_of_a_recorded_answer_is_in_its_claims(shared: Path):
    run = min(recorded(shared), key=lambda run: sum(len(seat.content) for seat in run.responses))

    claims = frames(run).claims

    assert {"several", "one"} <= set(claims["origin"])
    numbers: list[int] = claims["number"].drop_duplicates().tolist()
    assert numbers == list(range(1, len(numbers) + 1))
