"""A result is one value: its sums are right, and it comes back from JSON as it was."""

from __future__ import annotations

import base64
import json
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_magic import from_notebook
from fusion_magic.errors import SettingsError
from fusion_magic.jupyter.static import bundle
from fusion_magic.results import (
    MAX_RECORD,
    RECORD,
    Analysis,
    Call,
    Contradiction,
    FailedModel,
    FusionResult,
    PartialCoverage,
    Response,
    Source,
    Stance,
    UniqueInsight,
    Usage,
    cost_text,
    dollars,
)


def result(*calls: Call, **more: Any) -> FusionResult:
    start = {"id": "r1", "created": datetime(2026, 6, 1, 12, 30, 1, 234567, tzinfo=UTC), "prompt": "Why?"}
    return FusionResult(**{**start, "settings": {"panel": {"models": ["a/b"]}}, "calls": calls, **more})


def call(cost: float | None = 0.1, **more: Any) -> Call:
    return Call(stage="panel", model="a/b", cost=cost, **more)


FULL = result(
    call(
        0.1 + 0.2, label="A", usage=Usage(prompt_tokens=3), ttft=0.123456789, finish_reason="stop", served_model="a/b-1"
    ),
    answer="Zwölf 🦊",
    responses=(Response(label="A", model="a/b", content="x", sources=(Source(url="https://a.org", labels=("A",)),)),),
    failed_models=(FailedModel(label="B", model="c/d", error="Gone.", status_code=404, content="half"),),
    analysis=Analysis(
        consensus=("one",),
        contradictions=(Contradiction(topic="t", stances=(Stance(label="A", model="a/b", stance="s"),)),),
        partial_coverage=(PartialCoverage(labels=("A",), models=("a/b",), point="p"),),
        unique_insights=(UniqueInsight(label="A", model="a/b", insight="i"),),
        blind_spots=("none",),
    ),
    warnings=("mind",),
    duration=1.5,
)


def test_a_result_comes_back_from_json_as_it_was():
    again = FusionResult.model_validate_json(FULL.model_dump_json())

    assert again == FULL
    assert again.model_dump_json() == FULL.model_dump_json()


@given(
    st.text(), st.floats(allow_nan=False, allow_infinity=False), st.dictionaries(st.text(), st.integers() | st.text())
)
def test_any_text_number_and_setting_survives_json(text, number, settings):
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    made = result(call(number), prompt=text, answer=text, settings=settings, duration=number)

    assert FusionResult.model_validate_json(made.model_dump_json()) == made


def test_a_saved_result_opens_as_it_was(tmp_path):
    path = FULL.save(tmp_path / "run.json")

    assert FusionResult.open(path) == FusionResult.open(str(path)) == FULL


def test_a_parsed_answer_is_not_saved(tmp_path):
    assert "parsed" not in json.loads(result(parsed=object()).model_dump_json())


def test_a_result_of_a_later_version_is_refused_also_with_fields_nobody_knows(tmp_path):
    path = tmp_path / "later.json"
    path.write_text(json.dumps({**json.loads(FULL.model_dump_json()), "schema_version": 99, "mood": "good"}), "utf-8")

    with pytest.raises(SettingsError, match="later fusion_magic"):
        FusionResult.open(path)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema_version": 1}', '{"schema_version": 1, "mood": 1}'])
def test_a_file_that_holds_no_result_is_one_sentence(tmp_path, text):
    (tmp_path / "x.json").write_text(text, encoding="utf-8")

    with pytest.raises(SettingsError, match="does not hold a result"):
        FusionResult.open(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("calls", "cost", "partial", "words"),
    [
        ([], None, False, "$0"),
        ([call(0.0)], 0.0, False, "$0"),
        ([call(1.0), call(0.25)], 1.25, False, "$1.25"),
        ([call(0.25), call(None)], 0.25, True, "at least $0.2500"),
        ([call(0.25, unreported=1)], 0.25, True, "at least $0.2500"),
        ([call(None)], None, True, "not priced"),
    ],
)
def test_an_unknown_cost_makes_the_sum_at_least_and_is_never_zero(calls, cost, partial, words):
    made = result(*calls)

    assert (made.cost, made.cost_is_partial, cost_text([made])) == (cost, partial, words)


def test_the_cost_of_several_results_is_at_least_if_one_of_them_is():
    assert cost_text([result(call(1.0)), result(call(None))]) == "at least $1.00"
    assert cost_text([]) == "$0"


def test_usage_is_the_sum_of_the_calls_that_reported_it():
    one, two = Usage(prompt_tokens=1, completion_tokens=2, reasoning_tokens=1), Usage(prompt_tokens=10, cached_tokens=4)

    total = result(call(usage=one), call(usage=None), call(usage=two)).usage

    assert total == Usage(prompt_tokens=11, completion_tokens=2, reasoning_tokens=1, cached_tokens=4)
    assert total.total_tokens == 13


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (0, "$0"),
        (12.345, "$12.35"),
        (1, "$1.00"),
        (0.5, "$0.5000"),
        (0.0012, "$0.0012"),
        (0.00005, "$0.000050"),
        (1e-9, "$0.000001"),
    ],
)
def test_small_amounts_are_not_rounded_to_nothing(amount, words):
    assert dollars(amount) == words


def test_a_result_says_in_one_line_what_it_is():
    assert repr(FULL) == str(FULL) == "<FusionResult 'r1' ok, 1 of 2 seats, $0.3000>"


def test_a_result_can_t_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        FULL.answer = "other"  # type: ignore[misc]


# --- records in notebooks ---------------------------------------------------------------------------


def packed(text: bytes, **more: Any) -> dict[str, Any]:
    return {"schema_version": 1, "result": base64.b85encode(zlib.compress(text)).decode()} | more


def notebook(path: Path, *outputs: dict[str, Any]) -> Path:
    """A notebook file with one code cell for each bundle, and a text cell first."""
    cells = [nbformat.v4.new_code_cell("x", outputs=[nbformat.v4.new_output("display_data", data)]) for data in outputs]
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Text"), *cells]), path)
    return path


def test_a_result_comes_back_from_its_record_as_it_was():
    record = json.loads(json.dumps(FULL.to_record()))

    assert FusionResult.from_record(record) == FULL
    assert record["schema_version"] == 1


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_from_a_record(text):
    made = result(prompt=text, answer=text)

    assert FusionResult.from_record(made.to_record()) == made


def test_a_record_of_prose_is_much_shorter_than_the_prose():
    prose = " ".join(f"The {number}th panelist says that the sky is blue." for number in range(1000))

    assert len(json.dumps(result(answer=prose).to_record())) < len(prose) / 5


@pytest.mark.parametrize(
    "record",
    [
        None,
        "text",
        {},
        {"schema_version": 1},
        {"schema_version": 1, "result": 7},
        {"schema_version": 1, "result": "\N{SNOWMAN} no base85"},
        {"schema_version": 1, "result": base64.b85encode(b"no zlib").decode()},
        {"schema_version": 1, "result": FULL.to_record()["result"][:-10]},
        packed(b"no json"),
        packed(b"{}"),
        packed(b'{"schema_version": 1}'),
        packed(b'{"settings": ' * 100_000),
        packed(b" " * (MAX_RECORD + 1)),
    ],
    ids=lambda record: str(record)[:40],
)
def test_a_record_that_holds_no_result_is_one_sentence(record):
    with pytest.raises(SettingsError, match=r"^The record does not hold a result of fusion_magic\.$"):
        FusionResult.from_record(record)


@pytest.mark.parametrize(
    "record", [{"schema_version": 99, "unknown": 1}, packed(b'{"schema_version": 99, "mood": "good"}')]
)
def test_a_record_of_a_later_version_says_so(record):
    with pytest.raises(SettingsError, match="later fusion_magic"):
        FusionResult.from_record(record)


def test_a_notebook_gives_back_its_results_in_order_and_each_once(tmp_path):
    other = result(answer="Other.").model_copy(update={"id": "r2"})
    shown = [bundle(FULL), {"text/plain": "1"}, bundle(other), bundle(FULL), bundle(other, record=False)]

    path = notebook(tmp_path / "analysis.ipynb", *shown)

    assert from_notebook(path) == from_notebook(str(path)) == [FULL, other]


def test_a_notebook_without_results_has_none(tmp_path):
    assert from_notebook(notebook(tmp_path / "empty.ipynb")) == []


def test_a_damaged_record_is_named_by_its_cell(tmp_path):
    path = notebook(tmp_path / "analysis.ipynb", bundle(FULL), {RECORD: {"schema_version": 1, "result": "x"}})

    with pytest.raises(SettingsError, match=r"^Cell 3 of .*analysis\.ipynb does not hold a result"):
        from_notebook(path)


@pytest.mark.parametrize("text", ["", "{}", "[]", "7", '{"cells": 7}', '{"cells": [7]}', '{"cells": [{"outputs": 7}]}'])
def test_a_file_that_is_no_notebook_is_one_sentence(tmp_path, text):
    (tmp_path / "x.ipynb").write_text(text, encoding="utf-8")

    with pytest.raises(SettingsError, match="is not a notebook of format 4"):
        from_notebook(tmp_path / "x.ipynb")


def test_opening_a_notebook_says_how_to_read_it(tmp_path):
    with pytest.raises(SettingsError, match=r"from_notebook\('.*analysis\.ipynb'\)"):
        FusionResult.open(notebook(tmp_path / "analysis.ipynb", bundle(FULL)))
