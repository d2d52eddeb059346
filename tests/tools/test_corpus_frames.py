"""The rows of a DataFrame are documents, whichever library made it; rows without text are counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fusion_magic.errors import SettingsError
from fusion_magic.tools.corpus import Corpus, as_corpus

Make = Callable[[dict[str, list[Any]]], Any]


@pytest.fixture(params=["pandas", "polars"])
def frame(request: pytest.FixtureRequest) -> Make:
    library = pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    if request.param == "polars":
        return lambda columns: library.DataFrame(columns, strict=False)
    return library.DataFrame


def places(corpus: Corpus, query: str) -> list[str]:
    return [passage.place for passage in corpus.search(query)]


def test_rows_are_cited_by_their_number(frame):
    corpus = Corpus.from_frame(frame({"text": ["Solar cells", "Wind turbines"]}), "text")

    (passage,) = corpus.search("turbines")

    assert (passage.place, passage.title) == ("corpus:frame/2#part=1", "row 2")


def test_rows_are_cited_by_their_address_or_id_where_they_have_one(frame):
    columns = {
        "body": ["Solar cells", "Wind turbines", "Water wheels"],
        "name": ["On solar", "On wind", None],
        "url": ["https://example.org/a?x=1", None, "https://example.org/a?x=1"],
    }
    corpus = Corpus.from_frame(frame(columns), "body", title="name", url="url", name="notes")

    found = [corpus.search(word)[0] for word in ("solar", "wind", "water")]

    assert [passage.place for passage in found] == [
        "corpus:notes/https://example.org/a%3Fx%3D1#part=1",
        "corpus:notes/2#part=1",
        "corpus:notes/https://example.org/a%3Fx%3D1~2#part=1",
    ]
    assert [passage.title for passage in found] == ["On solar", "On wind", "row 3"]
    assert [corpus.read(passage.place)[0].text for passage in found] == columns["body"]


def test_rows_without_text_are_left_out_and_counted(frame):
    corpus = Corpus.from_frame(frame({"text": ["Solar cells", None, "", "  \n"]}), "text")

    assert (corpus.documents, corpus.skipped) == (1, {"2": "no text", "3": "no text", "4": "no text"})


def test_missing_values_of_every_kind_are_no_text():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    column = pandas.Series(["x", float("nan"), pandas.NA, pandas.NaT, None, 7], dtype=object)

    corpus = Corpus.from_frame(pandas.DataFrame({"text": column}), "text")

    assert (corpus.documents, len(corpus.skipped)) == (1, 5)


def test_a_frame_with_one_column_of_text_is_a_corpus(frame):
    corpus = as_corpus(frame({"year": [2020, 2021], "text": ["Solar cells", None]}))

    assert places(corpus, "solar") == ["corpus:frame/1#part=1"]


@pytest.mark.parametrize(
    ("columns", "told"),
    [({"a": ["x"], "b": ["y"]}, r"2 columns of text \(a, b\)"), ({"a": [1]}, "no column of text")],
)
def test_which_column_is_meant_must_be_clear(frame, columns, told):
    with pytest.raises(SettingsError, match=told):
        as_corpus(frame(columns))


def test_a_column_that_is_not_there_is_told_with_those_that_are(frame):
    with pytest.raises(SettingsError, match='no column "body" of its own; it has text, year'):
        Corpus.from_frame(frame({"text": ["x"], "year": [1]}), "body")


def test_two_columns_of_one_name_are_refused():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")

    with pytest.raises(SettingsError, match="no column"):
        Corpus.from_frame(pandas.DataFrame([["x", "y"]], columns=["text", "text"]), "text")


def test_a_column_without_a_string_for_a_name_is_no_obstacle():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")

    assert as_corpus(pandas.DataFrame([["x", 1]])).documents == 1


def test_a_frame_without_rows_yet_is_told():
    polars = pytest.importorskip("polars", reason="polars is not installed")

    with pytest.raises(SettingsError, match="LazyFrame"):
        as_corpus(polars.LazyFrame({"text": ["x"]}))


def test_a_frame_without_text_is_told(frame):
    with pytest.raises(SettingsError, match="no document"):
        Corpus.from_frame(frame({"text": [None, ""]}), "text")


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a#b"])
def test_a_name_that_makes_no_place_is_told(name):
    with pytest.raises(SettingsError, match="no name for a corpus"):
        Corpus.from_texts({"a": "x"}, name=name)
